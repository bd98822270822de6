/* read.h - reading a snapshot file.
 *
 * The file is mapped; nothing is copied. Opening checks the header; a 64 KiB
 * block is checked against its XXH3 the first time it is touched, and every
 * offset where it is used, so a damaged or hostile file gives P_DAMAGED and
 * never a wrong byte. All reading calls may run on many threads at once.
 * The file may be unlinked or replaced while it is open. Where it is cut short
 * in place, or its medium fails, reading goes on with zeros: every call here
 * gives P_DAMAGED from then on, but a text that was handed out before may turn
 * to zeros under its reader. So whoever has copied texts asks snap_damaged
 * before they leave. A byte that is overwritten in place after the first touch
 * of its block is not noticed.
 * The first file that is opened takes SIGBUS over; from elsewhere it ends the
 * process as ever. */
#ifndef PREFD_SNAP_READ_H
#define PREFD_SNAP_READ_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"
#include "snap/write.h"

struct snap;

/* P_UNKNOWN_SNAPSHOT: there is no file; P_DAMAGED: it is not what it should
 * be (revision: 64 hex digits, compared with the header's); P_UNAVAILABLE: too
 * many are open (65536). */
int snap_open(struct snap **s, const char *dir, struct str revision, struct err *e);
void snap_close(struct snap *s);
/* Whether anything read up to now may have been zeros instead of the file's bytes. */
bool snap_damaged(const struct snap *s);
/* Checks every block and every record. For `prefd check`. */
int snap_verify(struct snap *s, struct err *e);

uint64_t snap_pairs(const struct snap *s);
uint64_t snap_prompts(const struct snap *s);
uint32_t snap_flags(const struct snap *s);
uint64_t snap_bytes(const struct snap *s);
struct str snap_revision(const struct snap *s);
int snap_meta(struct snap *s, struct str *meta, struct err *e);

/* A pair and what hangs on it; all strs point into the mapping. */
struct snap_view {
	uint8_t id[16];
	enum origin origin;
	bool plain;
	uint32_t lineage;
	struct str prompt_id;
	struct snap_response chosen, rejected;
	uint32_t messages; /* read them with snap_message_at */
	uint64_t first_message;
};

/* i < snap_pairs(s), else P_INTERNAL. */
int snap_pair_at(struct snap *s, uint64_t i, struct snap_view *out, struct err *e);
/* The same for n <= SNAP_AT_ONCE of them, in any order: faster than one by one
 * where they lie far apart, because the memory's answers are awaited together.
 * After an error `out` is undefined. */
enum { SNAP_AT_ONCE = 16 };
int snap_pairs_at(struct snap *s, const uint64_t *i, size_t n, struct snap_view *out, struct err *e);
/* m < view->messages. */
int snap_message_at(struct snap *s, const struct snap_view *view, uint32_t m,
                    struct snap_message *out, struct err *e);

/* The file's path in dir; out holds at least SNAP_PATH_BYTES. */
enum { SNAP_PATH_BYTES = 4096 };
void snap_path(const char *dir, struct str revision, char out[SNAP_PATH_BYTES]);

#endif
