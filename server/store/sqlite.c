#include "sqlite.h"

#include <assert.h>
#include <errno.h>

#include "base/heap.h"
#include "inside.h"

static const char *const text[SQL_COUNT] = {
#define X(name, sql) [SQL_##name] = sql,
	STATEMENTS(X)
#undef X
};

void query_open(struct query *q, struct store *s, enum sql id)
{
	*q = (struct query){.s = s, .st = s->stmt[id]};
	if (q->st == NULL) {
		sqlite3_prepare_v3(s->db, text[id], -1, SQLITE_PREPARE_PERSISTENT, &s->stmt[id], NULL);
		q->st = s->stmt[id];
	}
	assert(q->st == NULL || !sqlite3_stmt_busy(q->st));
}

void bind_int(struct query *q, int64_t v)
{
	sqlite3_bind_int64(q->st, ++q->bound, v);
}

void bind_real(struct query *q, double v)
{
	sqlite3_bind_double(q->st, ++q->bound, v);
}

void bind_null(struct query *q)
{
	sqlite3_bind_null(q->st, ++q->bound);
}

void bind_text(struct query *q, struct str v)
{
	if (v.p == NULL)
		bind_null(q);
	else
		sqlite3_bind_text64(q->st, ++q->bound, v.p, v.n, SQLITE_STATIC, SQLITE_UTF8);
}

void bind_blob(struct query *q, const void *p, size_t n)
{
	sqlite3_bind_blob64(q->st, ++q->bound, p, n, SQLITE_STATIC);
}

int query_step(struct query *q, struct err *e)
{
	int rc;

	if (q->st == NULL)
		return sql_fail(q->s, sqlite3_errcode(q->s->db), e);
	rc = sqlite3_step(q->st);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE) {
		sqlite3_reset(q->st);
		return 0;
	}
	sql_fail(q->s, rc, e); /* before the reset, which may change the words */
	sqlite3_reset(q->st);
	return -1;
}

void query_close(struct query *q)
{
	sqlite3_reset(q->st);
}

int query_run(struct query *q, struct err *e)
{
	int rc;

	do
		rc = query_step(q, e);
	while (rc == 1);
	return rc;
}

int64_t column_int(struct query *q, int i)
{
	return sqlite3_column_int64(q->st, i);
}

double column_real(struct query *q, int i)
{
	return sqlite3_column_double(q->st, i);
}

bool column_null(struct query *q, int i)
{
	return sqlite3_column_type(q->st, i) == SQLITE_NULL;
}

struct str column_text(struct query *q, int i)
{
	const unsigned char *p = sqlite3_column_text(q->st, i);

	if (p == NULL && sqlite3_errcode(q->s->db) == SQLITE_NOMEM)
		heap_exhausted(0); /* not NULL: a text that could not be had */
	return (struct str){(const char *)p, p ? (size_t)sqlite3_column_bytes(q->st, i) : 0};
}

struct str column_blob(struct query *q, int i)
{
	const void *p = sqlite3_column_blob(q->st, i);

	return (struct str){p ? p : "", (size_t)sqlite3_column_bytes(q->st, i)};
}

void column_bytes(struct query *q, int i, void *out, size_t n)
{
	struct str blob = column_blob(q, i);

	if (blob.n == n)
		memcpy(out, blob.p, n);
	else
		memset(out, 0, n);
}

int sql_do(struct store *s, enum sql id, struct err *e)
{
	struct query q;

	query_open(&q, s, id);
	return query_run(&q, e);
}

static bool no_room(sqlite3 *db, int rc)
{
	int os = sqlite3_system_errno(db);

	if (rc == SQLITE_FULL)
		return true;
	/* A failed fsync is final whatever its reason: nobody knows what was kept. */
	return (rc & 0xff) == SQLITE_IOERR && rc != SQLITE_IOERR_FSYNC && rc != SQLITE_IOERR_DIR_FSYNC &&
	       (os == ENOSPC || os == EDQUOT);
}

int sql_fail(struct store *s, int rc, struct err *e)
{
	int extended = sqlite3_extended_errcode(s->db);

	if (no_room(s->db, extended))
		return err_set(e, P_STORAGE_FULL, "there is no room on the disk of the data folder");
	if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
		return err_set(e, P_UNAVAILABLE, "the database is busy");
	if (s->writer && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CORRUPT))
		s->failed = true;
	return err_set(e, P_INTERNAL, "the database failed: %s (%d)", sqlite3_errmsg(s->db), extended);
}

void sql_finalize_all(struct store *s)
{
	for (int i = 0; i < SQL_COUNT; i++)
		sqlite3_finalize(s->stmt[i]);
	memset(s->stmt, 0, sizeof s->stmt);
}
