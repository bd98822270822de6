#include "store/copy.h"

#include <errno.h>

#include "base/clock.h"
#include "base/heap.h"
#include "inside.h"

enum {
	PAGE_BYTES = 8192,
	LOOK_PAGES = 16, /* between two looks at the clock */
	STEP_LOOKS = 8,  /* 1 MiB a step, however fast: what is written at once is waited for at once */
};

struct store_copy {
	sqlite3 *to;
	sqlite3_backup *backup;
};

/* The copy's trouble is no trouble of the store's. */
static int copy_fail(sqlite3 *to, int rc, struct err *e)
{
	int os = to ? sqlite3_system_errno(to) : 0;

	if (rc == SQLITE_FULL || ((rc & 0xff) == SQLITE_IOERR && (os == ENOSPC || os == EDQUOT)))
		return err_set(e, P_STORAGE_FULL, "there is no room on the disk of the backup");
	return err_set(e, P_INTERNAL, "the database could not be copied: %s (%d)", sqlite3_errstr(rc), rc);
}

/* Half a copy is thrown away, so it needs no journal and no sync of its own. */
static int open_copy(const char *path, const char *pragmas, sqlite3 **out, struct err *e)
{
	int rc = sqlite3_open_v2(path, out, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

	if (rc == SQLITE_OK) {
		sqlite3_extended_result_codes(*out, 1);
		rc = sqlite3_exec(*out, pragmas, NULL, NULL, NULL);
	}
	if (rc == SQLITE_OK)
		return 0;
	copy_fail(*out, rc, e);
	sqlite3_close(*out);
	*out = NULL;
	return -1;
}

int store_copy_begin(struct store *s, const char *path, struct store_copy **out, struct err *e)
{
	struct store_copy *c;
	sqlite3 *to = NULL;

	if (!s->writer || s->in_group)
		return err_set(e, P_INTERNAL, "a copy inside a transaction");
	if (open_copy(path, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", &to, e) < 0)
		return -1;
	c = heap_zalloc(1, sizeof *c);
	c->to = to;
	c->backup = sqlite3_backup_init(to, "main", s->db, "main");
	if (c->backup == NULL) {
		copy_fail(to, sqlite3_extended_errcode(to), e);
		store_copy_end(c);
		return -1;
	}
	*out = c;
	return 0;
}

int store_copy_step(struct store_copy *c, int64_t budget_us, struct err *e)
{
	int64_t until = clock_steady_us() + budget_us;
	int rc = SQLITE_OK;

	for (int i = 0; i < STEP_LOOKS && rc == SQLITE_OK && (i == 0 || clock_steady_us() < until); i++)
		rc = sqlite3_backup_step(c->backup, LOOK_PAGES);
	if (rc == SQLITE_DONE)
		return 0;
	return rc == SQLITE_OK ? 1 : copy_fail(c->to, rc, e);
}

void store_copy_progress(const struct store_copy *c, int64_t *bytes, int64_t *done)
{
	*bytes = (int64_t)sqlite3_backup_pagecount(c->backup) * PAGE_BYTES;
	*done = *bytes - (int64_t)sqlite3_backup_remaining(c->backup) * PAGE_BYTES;
}

void store_copy_end(struct store_copy *c)
{
	if (c == NULL)
		return;
	sqlite3_backup_finish(c->backup);
	sqlite3_close(c->to);
	heap_free(c);
}

int store_copy_seal(const char *path, struct err *e)
{
	sqlite3 *db = NULL;

	if (open_copy(path, "PRAGMA journal_mode=DELETE", &db, e) < 0)
		return -1;
	sqlite3_close(db);
	return 0;
}
