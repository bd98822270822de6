/* old.c - a database as version 1 of the schema has it.
 *
 * The facts come from a store of today: what has a place in the old tables is
 * copied over, in one transaction behind the old schema's own. */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/embedded.h"
#include "load.h"

enum { OLD_GROUPS = 2, APPLICATION_ID = 0x70726566 };

static void run_sql(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return;
	printf("Bail out! %s: %.60s\n", sqlite3_errmsg(db), sql);
	exit(2);
}

/* A store of today with the facts in it, closed and under another name. */
static void make_template(struct load *l, const char *scratch, char path[160])
{
	struct store_options o = {.dir = scratch, .writer = true, .sync = STORE_SYNC_OFF};
	char from[160];
	struct arena a;

	load_must(l, store_open(&l->w, &o, &l->e), "template");
	load_dataset(l);
	arena_init(&a);
	for (int g = 0; g < OLD_GROUPS; g++)
		load_group(l, &a, g);
	arena_release(&a);
	load_must(l, store_checkpoint(l->w, true, &l->e), "checkpoint");
	store_close(l->w);
	snprintf(from, sizeof from, "%s/prefd.db", scratch);
	snprintf(path, 160, "%s/template.db", scratch);
	if (rename(from, path) < 0)
		perror(from);
}

/* The statement that copies a table of the old schema. */
static void copy_table(sqlite3 *db, const char *table)
{
	char *ask = sqlite3_mprintf("SELECT group_concat('\"' || name || '\"') FROM pragma_table_info('%q')", table);
	sqlite3_stmt *st;
	char *copy;

	sqlite3_prepare_v2(db, ask, -1, &st, NULL);
	sqlite3_step(st);
	copy = sqlite3_mprintf("INSERT OR REPLACE INTO main.\"%w\"(%s) SELECT %s FROM template.\"%w\"", table,
	                       sqlite3_column_text(st, 0), sqlite3_column_text(st, 0), table);
	sqlite3_finalize(st);
	run_sql(db, copy);
	sqlite3_free(copy);
	sqlite3_free(ask);
}

static void copy_facts(sqlite3 *db)
{
	char *table[64];
	int n = 0;
	sqlite3_stmt *st;

	sqlite3_prepare_v2(db, "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
	                   -1, &st, NULL);
	while (n < 64 && sqlite3_step(st) == SQLITE_ROW)
		table[n++] = sqlite3_mprintf("%s", sqlite3_column_text(st, 0));
	sqlite3_finalize(st);
	for (int i = 0; i < n; i++) {
		copy_table(db, table[i]);
		sqlite3_free(table[i]);
	}
}

void old_make(struct load *l, const char *dir, const char *vfs, const char *scratch)
{
	char path[160], template[160], sql[256];
	sqlite3 *db;

	make_template(l, scratch, template);
	mkdir(dir, 0700);
	snprintf(path, sizeof path, "%s/prefd.db", dir);
	sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs);
	run_sql(db, "PRAGMA synchronous=FULL; PRAGMA page_size=8192; PRAGMA journal_mode=WAL");
	sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=1; COMMIT", APPLICATION_ID);
	run_sql(db, "BEGIN IMMEDIATE");
	run_sql(db, EMBEDDED(schema_001).p);
	run_sql(db, sql);
	snprintf(sql, sizeof sql, "ATTACH '%s' AS template", template);
	run_sql(db, sql);
	run_sql(db, "BEGIN IMMEDIATE");
	copy_facts(db);
	run_sql(db, "COMMIT; DETACH template");
	sqlite3_close(db);
	remove_files(scratch);
}
