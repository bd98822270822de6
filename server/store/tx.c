/* tx.c - a group of requests in one transaction; checkpoints. */
#include "inside.h"
#include "store/read.h"

enum { PAGE_BYTES = 8192, FRAME_BYTES = PAGE_BYTES + 24, BUSY_MS = 5000 };

int tx_writing(struct store *s, struct err *e)
{
	if (!s->writer || !s->in_group)
		return err_set(e, P_INTERNAL, "a write outside the writer's transaction");
	if (s->failed)
		return err_set(e, P_UNAVAILABLE, "the store failed and takes no writes");
	/* An exhausted disk may have made SQLite give up the whole transaction. */
	if (sqlite3_get_autocommit(s->db))
		return err_set(e, P_STORAGE_FULL, "the transaction was given up");
	return 0;
}

int store_begin(struct store *s, struct err *e)
{
	if (!s->writer || s->in_group)
		return err_set(e, P_INTERNAL, "a transaction inside another");
	if (s->failed)
		return err_set(e, P_UNAVAILABLE, "the store failed and takes no writes");
	if (sql_do(s, SQL_BEGIN_WRITE, e) < 0)
		return -1;
	s->in_group = true;
	series_begin(s);
	return 0;
}

static int mark(struct store *s, bool step, struct err *e)
{
	if (tx_writing(s, e) < 0)
		return -1;
	if (s->in_savepoint)
		return err_set(e, P_INTERNAL, "a savepoint inside another");
	if (!step && sql_do(s, SQL_SAVEPOINT, e) < 0)
		return -1;
	s->in_savepoint = true;
	s->stepping = step;
	s->step_changes = sqlite3_total_changes64(s->db);
	states_save(s);
	s->saved_next_key = s->next_key;
	s->names_new = false;
	return 0;
}

int store_savepoint(struct store *s, struct err *e)
{
	return mark(s, false, e);
}

int store_step(struct store *s, struct err *e)
{
	return mark(s, true, e);
}

int store_release(struct store *s, struct err *e)
{
	if (tx_writing(s, e) < 0 || (!s->stepping && sql_do(s, SQL_RELEASE, e) < 0))
		return -1;
	s->in_savepoint = false;
	sums_merge(&s->group, &s->request);
	sums_clear(&s->request);
	return 0;
}

/* A step has left nothing behind, or the group cannot be kept. */
static int undo_rows(struct store *s, struct err *e)
{
	if (!s->stepping)
		return sql_do(s, SQL_UNDO, e) < 0 ? -1 : sql_do(s, SQL_RELEASE, e);
	if (sqlite3_total_changes64(s->db) != s->step_changes)
		return err_set(e, P_INTERNAL, "a step failed behind its first write");
	return 0;
}

int store_undo(struct store *s, struct err *e)
{
	if (tx_writing(s, e) < 0 || undo_rows(s, e) < 0)
		return -1;
	s->in_savepoint = false;
	sums_clear(&s->request);
	states_restore(s);
	rounds_forget(s);
	series_forget(s);
	s->next_key = s->saved_next_key;
	if (s->names_new)
		names_drop(s);
	return 0;
}

/* What the group kept in memory is in the database, or never was. */
static void forget_group(struct store *s)
{
	s->in_group = s->in_savepoint = s->deleting = false;
	sums_clear(&s->group);
	sums_clear(&s->request);
	states_drop(s);
	rounds_forget(s);
}

static int counter_flush(struct store *s, struct err *e)
{
	struct query q;

	if (s->next_key == s->stored_next_key)
		return 0;
	query_open(&q, s, SQL_COUNTER_SET);
	bind_int(&q, s->next_key);
	return query_run(&q, e);
}

int store_commit(struct store *s, struct err *e)
{
	int rc = tx_writing(s, e);

	if (rc == 0 && s->in_savepoint)
		rc = err_set(e, P_INTERNAL, "a commit inside a savepoint");
	if (rc == 0)
		rc = sums_flush(s, e);
	if (rc == 0)
		rc = states_flush(s, e);
	if (rc == 0)
		rc = counter_flush(s, e);
	if (rc == 0)
		rc = sql_do(s, SQL_COMMIT, e);
	if (rc < 0) {
		if (e->problem != P_STORAGE_FULL)
			s->failed = true;
		store_rollback(s);
		return -1;
	}
	s->stored_next_key = s->next_key;
	s->erasing = s->erasing || s->deleting;
	forget_group(s);
	return 0;
}

void store_rollback(struct store *s)
{
	struct err ignored;

	/* If even that fails, closing the connection does it. */
	if (!sqlite3_get_autocommit(s->db) && sql_do(s, SQL_ROLLBACK, &ignored) < 0)
		s->failed = true;
	forget_group(s);
	series_forget(s);
	names_drop(s);
	s->next_key = s->stored_next_key;
}

bool store_failed(const struct store *s)
{
	return s->failed;
}

int tx_read_begin(struct store *s, bool *begun, struct err *e)
{
	*begun = sqlite3_get_autocommit(s->db) != 0;
	return *begun ? sql_do(s, SQL_BEGIN, e) : 0;
}

void tx_read_end(struct store *s, bool begun)
{
	struct err ignored;

	if (begun)
		sql_do(s, SQL_COMMIT, &ignored);
}

int store_read_begin(struct store *s, struct err *e)
{
	return tx_read_begin(s, &s->reading, e);
}

void store_read_end(struct store *s)
{
	tx_read_end(s, s->reading);
	s->reading = false;
}

/* SQLite tells how many frames the log holds after each commit. Fewer than
 * before: it began again at its start. */
int store_on_commit(void *store, sqlite3 *db, const char *schema, int frames)
{
	struct store *s = store;

	(void)db;
	(void)schema;
	if (frames < s->log_frames)
		s->log_done = 0;
	s->log_frames = frames;
	return SQLITE_OK;
}

int store_checkpoint(struct store *s, bool truncate, struct err *e)
{
	int frames = 0, done = 0, rc;

	if (!s->writer || s->in_group)
		return err_set(e, P_INTERNAL, "a checkpoint inside a transaction");
	if (s->failed)
		return err_set(e, P_UNAVAILABLE, "the store failed and takes no writes");
	sqlite3_busy_timeout(s->db, 0); /* a reader in the way only leaves frames for the next time */
	rc = sqlite3_wal_checkpoint_v2(s->db, NULL, truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE,
	                               &frames, &done);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		return sql_fail(s, rc, e);
	if (truncate && rc == SQLITE_OK)
		s->erasing = false;
	if (frames >= 0 && done >= 0) {
		s->log_frames = frames;
		s->log_done = done;
	}
	return 0;
}

bool store_erasing(const struct store *s)
{
	return s->erasing;
}

int64_t store_wal_bytes(const struct store *s)
{
	return (s->log_frames - s->log_done) * FRAME_BYTES;
}
