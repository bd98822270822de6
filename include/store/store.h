/* store.h - a connection to the database, and its transactions (SQLite).
 *
 * One connection writes, and it alone checkpoints (SQLite 3.40.1's WAL-reset
 * race needs two that do); all others read. A connection belongs to one
 * thread at a time. No statement, cursor or SQL text crosses this door: every
 * call takes and gives arrays of rows, in memory of the caller's arena.
 *
 * What must stay true:
 *  1. Facts are appended. A revision is a new row of the same key with a
 *     higher sequence number; the value at n is the last row <= n of its key.
 *  2. Sequence numbers belong to a dataset and rise in commit order.
 *     What changed nothing takes no number.
 *  3. The sums of store/stats.h always say what the facts say, at every commit.
 *  4. A commit that fails leaves the connection unusable for writing
 *     (store_failed): a failed fsync is final. */
#ifndef PREFD_STORE_STORE_H
#define PREFD_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum store_sync { STORE_SYNC_FULL, STORE_SYNC_NORMAL, STORE_SYNC_OFF }; /* the last two: only for the tests' controls */

struct store_options {
	const char *dir;      /* the data folder; made if missing by a writer */
	bool writer;          /* takes the folder's lock; migrates the schema */
	enum store_sync sync; /* writers only */
	const char *vfs;      /* NULL: the system's */
};

struct store;

/* A file in the data folder while `prefd restore` fills it: no writer opens it. */
#define STORE_RESTORING "restoring"

/* P_CONFLICT: another daemon holds the folder, a restore was not finished, or the schema is newer than
 * this program; P_STORAGE_FULL; P_INTERNAL with SQLite's own words. */
int store_open(struct store **s, const struct store_options *o, struct err *e);
void store_close(struct store *s);

/* A writer's transaction: one group of requests, each in a savepoint of its
 * own. Savepoints do not nest. */
int store_begin(struct store *s, struct err *e);
int store_savepoint(struct store *s, struct err *e);
/* Cheaper, for a request that finds what could refuse it before it writes:
 * store_undo fails when it did write, and then the group has to be rolled back. */
int store_step(struct store *s, struct err *e);
int store_release(struct store *s, struct err *e); /* keeps what the savepoint did */
int store_undo(struct store *s, struct err *e);    /* undoes all since the savepoint */
/* Writes the sums, then COMMIT. On failure everything of the group is gone;
 * P_STORAGE_FULL may be tried again, anything else sets store_failed. */
int store_commit(struct store *s, struct err *e);
void store_rollback(struct store *s);
bool store_failed(const struct store *s);

/* Writer, outside a transaction. Moves the WAL into the database as far as
 * readers allow; `truncate` waits for none and shortens the file when it can. */
int store_checkpoint(struct store *s, bool truncate, struct err *e);
/* Whether the files may still hold what was deleted: until the next checkpoint
 * that shortens the WAL. */
bool store_erasing(const struct store *s);
/* Bytes of WAL not yet checkpointed, as of the last commit. */
int64_t store_wal_bytes(const struct store *s);

/* SQLite's integrity check, and that the sums agree with the facts. Each
 * finding goes to report; 0 when there is none, 1 when there is, -1 on failure. */
int store_check(struct store *s, void (*report)(void *ctx, const char *finding), void *ctx, struct err *e);

/* Answers of POSTs that came with an Idempotency-Key; kept for a day. */
struct store_answer {
	uint8_t request_hash[32]; /* of method, target and unpacked body */
	int status;
	struct str location; /* STR_NONE when there is none */
	struct str body;
};
/* 1 found, 0 not, -1 failed. */
int store_answer_get(struct store *s, struct arena *a, struct str key, struct store_answer *out, struct err *e);
int store_answer_put(struct store *s, struct str key, const struct store_answer *answer, int64_t now_us, struct err *e);
/* Drops at most `limit` answers older than before_us; returns how many went, -1 on failure. */
int store_answer_purge(struct store *s, int64_t before_us, int limit, struct err *e);

#endif
