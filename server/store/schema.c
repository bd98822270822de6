/* schema.c - the schema's version: made, brought up, or refused. */
#include <stdio.h>

#include "base/embedded.h"
#include "inside.h"
#include "store/copy.h"

enum { APPLICATION_ID = 0x70726566, SCHEMA_VERSION = 2 };

int store_schema(void)
{
	return SCHEMA_VERSION;
}

static struct str migration(int version)
{
	switch (version) {
	case 1:
		return EMBEDDED(schema_001);
	case 2:
		return EMBEDDED(schema_002);
	default:
		return STR_NONE;
	}
}

static int exec(struct store *s, const char *sql, struct err *e)
{
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : sql_fail(s, rc, e);
}

/* One number: the first column of the first row. */
static int ask(struct store *s, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	else
		sql_fail(s, rc, e);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW ? 0 : -1;
}

/* Each version in a transaction of its own. */
static int migrate(struct store *s, int from, struct err *e)
{
	char version[128];

	for (int v = from + 1; v <= SCHEMA_VERSION; v++) {
		snprintf(version, sizeof version, "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT;",
		         APPLICATION_ID, v);
		if (exec(s, "BEGIN IMMEDIATE", e) < 0 || exec(s, migration(v).p, e) < 0 || exec(s, version, e) < 0) {
			struct err ignored;

			if (!sqlite3_get_autocommit(s->db))
				exec(s, "ROLLBACK", &ignored);
			return -1;
		}
	}
	return 0;
}

int schema_open(struct store *s, struct err *e)
{
	int64_t version, application, tables;

	/* Nothing may touch the file before it is known to be ours. */
	if (ask(s, "PRAGMA user_version", &version, e) < 0 || ask(s, "PRAGMA application_id", &application, e) < 0 ||
	    ask(s, "SELECT count(*) FROM sqlite_schema", &tables, e) < 0)
		return -1;
	if (version > SCHEMA_VERSION)
		return err_set(e, P_CONFLICT, "the database has schema %d and this program knows %d: a newer prefd made it",
		               (int)version, SCHEMA_VERSION);
	if (tables > 0 && application != APPLICATION_ID)
		return err_set(e, P_CONFLICT, "the database in the data folder is not prefd's");
	if (!s->writer)
		return version == SCHEMA_VERSION ? 0
		                                 : err_set(e, P_UNAVAILABLE, "the database was not brought up to date yet");
	if (exec(s, "PRAGMA page_size=8192; PRAGMA journal_mode=WAL", e) < 0)
		return -1;
	return migrate(s, (int)version, e);
}
