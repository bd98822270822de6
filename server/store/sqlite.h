/* sqlite.h - statements: prepared once, bound in order, always reset.
 *
 *      struct query q;
 *
 *      query_open(&q, s, SQL_PROMPT_FIND);
 *      bind_int(&q, dataset);
 *      bind_text(&q, id);
 *      rc = query_step(&q, e);       1: a row, 0: the end, -1: failed
 *      if (rc == 1)
 *              prompt = column_int(&q, 0);
 *      query_close(&q);
 *
 * What is bound must live until the query is closed; what a column gives lives
 * until the next step. A statement is open once at a time. */
#ifndef PREFD_STORE_SQLITE_H
#define PREFD_STORE_SQLITE_H

#include <sqlite3.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "sql.h"

struct store;

struct query {
	struct store *s;
	sqlite3_stmt *st; /* NULL: could not be prepared; query_step says so */
	int bound;
};

void query_open(struct query *q, struct store *s, enum sql id);
void bind_int(struct query *q, int64_t v);
void bind_real(struct query *q, double v);
void bind_null(struct query *q);
void bind_text(struct query *q, struct str v); /* STR_NONE binds NULL */
void bind_blob(struct query *q, const void *p, size_t n);
/* At the end and after a failure the query is closed already. */
int query_step(struct query *q, struct err *e);
void query_close(struct query *q);
/* Steps to the end. 0, -1. */
int query_run(struct query *q, struct err *e);

int64_t column_int(struct query *q, int i);
double column_real(struct query *q, int i);
bool column_null(struct query *q, int i);
struct str column_text(struct query *q, int i); /* STR_NONE for NULL */
/* Also of a text that is not NULL: asked for text, SQLite copies it to put a NUL
 * behind. It lies in the page then: nothing may be written before it is used. */
struct str column_blob(struct query *q, int i);
/* Exactly n bytes: a blob of another length comes out as zeros. */
void column_bytes(struct query *q, int i, void *out, size_t n);

/* Statements without parameters or rows: BEGIN and the like. */
int sql_do(struct store *s, enum sql id, struct err *e);
/* SQLite's last error as one of ours; what is final marks a writer as failed. -1. */
int sql_fail(struct store *s, int rc, struct err *e);
void sql_finalize_all(struct store *s);

#endif
