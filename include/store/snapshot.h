/* snapshot.h - the rows of snapshots: what was asked, what came of it.
 *
 * A building snapshot is its own durable job: at start the service takes up
 * every row in that state. Ids are never used again: a deleted snapshot
 * leaves its row behind. */
#ifndef PREFD_STORE_SNAPSHOT_H
#define PREFD_STORE_SNAPSHOT_H

#include "store/dataset.h"

enum snapshot_state { SNAPSHOT_BUILDING, SNAPSHOT_READY, SNAPSHOT_FAILED, SNAPSHOT_REVOKED, SNAPSHOT_DELETED };

struct snapshot_row {
	struct str id;
	struct str name;    /* STR_NONE when the client gave none (the id is then the daemon's) */
	struct str dataset; /* its name, also after it is gone */
	int64_t dataset_key;
	int64_t seq;        /* the number it pins */
	enum snapshot_state state;
	struct str posted;  /* the recipe as posted, canonical JSON */
	struct str recipe;  /* resolved, canonical JSON */
	struct str revision; /* 64 hex digits; STR_NONE until ready */
	struct str result;  /* JSON object of counts, warnings …; STR_NONE until ready */
	struct str problem; /* JSON problem when failed or revoked; else STR_NONE */
	int64_t bytes;      /* of the file */
	int64_t created_at; /* microseconds since 1970 */
	struct str round;   /* id of the round whose rewards it has; STR_NONE: judges' */
};

/* P_UNKNOWN_SNAPSHOT: never there. A deleted one comes back as such. */
int store_snapshot_get(struct store *s, struct arena *a, struct str id, struct snapshot_row *out, struct err *e);
/* In byte order of ids, after `after`; deleted ones left out; dataset_key 0: all. */
int store_snapshot_list(struct store *s, struct arena *a, int64_t dataset_key, struct str after, uint32_t limit,
                        struct snapshot_row **out, uint32_t *n, struct err *e);
/* All in one state, for the start. At most PAGE_MAX after `after`. */
int store_snapshot_in_state(struct store *s, struct arena *a, enum snapshot_state state, struct str after,
                            struct snapshot_row **out, uint32_t *n, struct err *e);
/* Ids of those with a round's rewards, in byte order; deleted ones left out. */
int store_snapshot_of_round(struct store *s, struct arena *a, struct str round, struct str **out, uint32_t *n,
                            struct err *e);
/* Rows in state ready whose revision this is. */
int store_snapshot_users(struct store *s, struct str revision, int64_t *n, struct err *e);

/* Writer, inside a savepoint. P_CONFLICT if the id was ever used. */
int store_snapshot_insert(struct store *s, const struct snapshot_row *row, struct err *e);
/* Writer: state, revision, result, problem, bytes of row->id; only from a
 * state that may change: building → ready|failed, any → revoked|deleted.
 * 1 changed, 0 it was in no such state, -1 failed. */
int store_snapshot_settle(struct store *s, const struct snapshot_row *row, struct err *e);

#endif
