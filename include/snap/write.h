/* write.h - writing a snapshot file in one pass.
 *
 * <dir>/<revision>.snap; its layout stands in snap/layout.h. Prompts come in
 * stored order (prompt id, bytewise), each with its messages, the responses
 * that its pairs use, and its pairs. Tables are gathered in unlinked side
 * files, so memory does not grow with the data. Only snap_finish makes the
 * file visible: fdatasync, rename, fsync of the folder. One thread at a time. */
#ifndef PREFD_SNAP_WRITE_H
#define PREFD_SNAP_WRITE_H

#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL, ROLE_COUNT };
enum origin { ORIGIN_JUDGED, ORIGIN_ON_POLICY, ORIGIN_RESCORED, ORIGIN_REPLAY, ORIGIN_COUNT };
/* "system", … ; "judged", … */
struct str role_name(enum role r);
struct str origin_name(enum origin o);
/* ROLE_COUNT when it is none. */
enum role role_of(struct str name);

/* Flags of a file: a view that asks for it is then impossible. */
enum snap_flag {
	SNAP_OUTSIDE_SCALE = 1 << 0, /* a reward lies outside the goal scale: no goals */
	SNAP_NOT_TEXT = 1 << 1,      /* a conversation that trl_text cannot say */
	SNAP_NO_REFERENCE = 1 << 2,  /* reserved; always 0 */
	SNAP_NOT_TURNS = 1 << 3,     /* a conversation that llamafactory cannot say */
};

struct snap_message {
	enum role role;
	struct str content; /* escaped for JSON */
};

/* Everything as it will be printed; STR_NONE where there is none. */
struct snap_response {
	struct str text;      /* escaped for JSON */
	struct str id;
	struct str score;     /* a JSON number; STR_NONE prints as null */
	struct str goal;      /* a JSON number or object; STR_NONE: the pair is plain */
	struct str goal_text; /* what stands for {goal} in a prompt, escaped */
	struct str ref_logp;  /* a JSON number */
	double reward;        /* the number behind score; NaN when none */
};

struct snap_pair {
	uint8_t id[16];
	uint32_t chosen, rejected; /* indexes into the prompt's responses */
	uint32_t lineage;          /* index into meta's lineage list; 0 when none */
	enum origin origin;
	int plain;                 /* 1: no goals in any view */
};

struct snap_prompt {
	struct str id;
	const struct snap_message *message;
	uint32_t messages;
	const struct snap_response *response;
	uint32_t responses;
	const struct snap_pair *pair; /* in order of (chosen id, rejected id) */
	uint32_t pairs;
};

struct snap_writer;

/* All: P_STORAGE_FULL when there is no room, P_TOO_LARGE beyond 2^32 − 1
 * responses or a text of 4 GiB, else P_INTERNAL. After a failure only
 * snap_finish (which refuses) or snap_abandon may follow. */
int snap_create(struct snap_writer **w, const char *dir, struct err *e);
int snap_put(struct snap_writer *w, const struct snap_prompt *p, struct err *e);
/* revision: 64 lower-case hex digits; meta: canonical JSON. bytes: the file's length.
 * Always ends the writer. */
int snap_finish(struct snap_writer *w, struct str revision, struct str meta, uint32_t flags,
                uint64_t *bytes, struct err *e);
/* Ends the writer and leaves nothing behind. NULL is allowed. */
void snap_abandon(struct snap_writer *w);
/* At start: removes what writers that were cut short left in dir (tmp-*). */
void snap_sweep(const char *dir);

#endif
