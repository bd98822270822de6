/* A disk that is full, a sync that fails: the n-th write or sync goes wrong,
 * n = 1, 2, 3 … until nothing fails any more. */
#include <sqlite3.h>

#include "store_kit.h"

/* --- a VFS whose files fail on demand -------------------------------------------------- */

static sqlite3_vfs *real;
static const sqlite3_io_methods *real_methods; /* both kinds of file write alike */
static sqlite3_io_methods methods[2];          /* of the database, of the WAL */
static int64_t writes_left = -1, syncs_left = -1; /* before they fail; -1: never */
static bool failed_once;

static int count_down(int64_t *left)
{
	if (*left > 0)
		--*left;
	failed_once = failed_once || *left == 0;
	return *left == 0;
}

static int full_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	return count_down(&writes_left) ? SQLITE_FULL : real_methods->xWrite(f, p, n, at);
}

static int bad_sync(sqlite3_file *f, int flags)
{
	(void)flags;
	(void)f;
	return count_down(&syncs_left) ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int fault_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	int rc;

	(void)v;
	rc = real->xOpen(real, name, f, flags, out);
	if (rc == SQLITE_OK && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL))) {
		sqlite3_io_methods *m = &methods[(flags & SQLITE_OPEN_WAL) != 0];

		real_methods = f->pMethods;
		*m = *f->pMethods;
		m->xWrite = full_write;
		m->xSync = bad_sync;
		f->pMethods = m;
	}
	return rc;
}

static int fault_setup(void **state)
{
	static sqlite3_vfs vfs;
	struct kit *k;

	kit_setup(state);
	k = *state;
	if (real == NULL) {
		real = sqlite3_vfs_find(NULL);
		vfs = *real;
		vfs.zName = "fault";
		vfs.pNext = NULL;
		vfs.xOpen = fault_open;
		sqlite3_vfs_register(&vfs, 0);
	}
	writes_left = syncs_left = -1;
	store_close(k->w);
	kit_ok(k, store_open(&k->w, &(struct store_options){.dir = k->dir, .writer = true, .vfs = "fault"}, &k->e));
	return 0;
}

/* --- a group of requests ------------------------------------------------------------------ */

/* As the daemon does it: a request that fails is undone, a group whose undo
 * fails is given up. Prompt p with version-th text, and a score. */
static int run_group(struct kit *k, const char *text, int version)
{
	struct score sc = score_of("j", "overall", version, TIME_NONE);
	struct response r = response_of("r", text, "m");
	struct row row = record_of("p", "[]", &r, 1);
	struct err undo;
	int rc = store_begin(k->w, &k->e);

	r.score = &sc;
	r.scores = 1;
	if (rc == 0)
		rc = store_savepoint(k->w, &k->e);
	if (rc == 0)
		rc = kit_put_in(k, &row, CONFLICT_REPLACE, NOW);
	if (rc == 0)
		rc = store_release(k->w, &k->e);
	if (rc == 0)
		return store_commit(k->w, &k->e);
	if (store_undo(k->w, &undo) < 0)
		assert_int_equal(undo.problem, k->e.problem);
	store_rollback(k->w);
	return -1;
}

static double value_now(struct kit *k)
{
	return kit_read(k, "p", SEQ_LATEST, READ_SCORES).response[0].score[0].s.value;
}

/* Whatever write finds the disk full, the group is refused as a whole, nothing
 * is broken, and once there is room the same group passes. */
static void a_full_disk_is_said_and_survived(struct kit *k, const char *text, int64_t step)
{
	int version = 1;

	kit_ok(k, run_group(k, "first", version));
	for (int64_t n = 1;; n += step) {
		int rc;

		failed_once = false;
		writes_left = n;
		rc = run_group(k, text, version + 1);
		writes_left = -1;
		assert_true(n < 100000);
		if (!failed_once) {
			kit_ok(k, rc);
			break;
		}
		kit_fails(k, rc, P_STORAGE_FULL, "");
		assert_false(store_failed(k->w));
		assert_true(value_now(k) == version);
		kit_check(k);
		kit_ok(k, run_group(k, text, ++version));
		assert_true(value_now(k) == version);
		kit_ok(k, store_checkpoint(k->w, true, &k->e));
	}
}

static void a_full_disk_at_the_commit(void **state)
{
	a_full_disk_is_said_and_survived(*state, "text", 1);
}

/* More than the cache holds: SQLite writes, and fails, in the middle of a put
 * and may give up the whole transaction. */
static void a_full_disk_in_the_middle(void **state)
{
	enum { BYTES = 24 * 1024 * 1024 };
	char *text = malloc(BYTES + 1);

	memset(text, 'x', BYTES);
	text[BYTES] = '\0';
	a_full_disk_is_said_and_survived(*state, text, 1777);
	free(text);
}

static void a_full_disk_at_a_checkpoint(void **state)
{
	struct kit *k = *state;

	kit_ok(k, run_group(k, "text", 1));
	writes_left = 1;
	kit_fails(k, store_checkpoint(k->w, false, &k->e), P_STORAGE_FULL, "");
	writes_left = -1;
	assert_false(store_failed(k->w));
	kit_ok(k, store_checkpoint(k->w, true, &k->e));
	kit_check(k);
}

/* --- a failed sync is final ------------------------------------------------------------------ */

static void refuses_all_writes(struct kit *k)
{
	assert_true(store_failed(k->w));
	kit_fails(k, store_begin(k->w, &k->e), P_UNAVAILABLE, "");
	kit_fails(k, store_checkpoint(k->w, false, &k->e), P_UNAVAILABLE, "");
}

static void a_failed_sync_ends_writing(void **state)
{
	struct kit *k = *state;

	kit_ok(k, run_group(k, "first", 1));
	syncs_left = 1;
	kit_fails(k, run_group(k, "second", 2), P_INTERNAL, "");
	syncs_left = -1; /* that it would work again does not matter */
	refuses_all_writes(k);
	assert_true(value_now(k) == 1); /* reading goes on */
	store_close(k->w);
	kit_ok(k, kit_open_writer(k));
	kit_check(k);
	kit_ok(k, run_group(k, "third", 3));
	assert_true(value_now(k) == 3);
}

static void a_failed_sync_of_a_checkpoint_too(void **state)
{
	struct kit *k = *state;

	kit_ok(k, run_group(k, "first", 1));
	syncs_left = 1;
	kit_fails(k, store_checkpoint(k->w, false, &k->e), P_INTERNAL, "");
	syncs_left = -1;
	refuses_all_writes(k);
	kit_check(k);
}

#define FAULT_TEST(f) cmocka_unit_test_setup_teardown(f, fault_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAULT_TEST(a_full_disk_at_the_commit),
		FAULT_TEST(a_full_disk_in_the_middle),
		FAULT_TEST(a_full_disk_at_a_checkpoint),
		FAULT_TEST(a_failed_sync_ends_writing),
		FAULT_TEST(a_failed_sync_of_a_checkpoint_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
