/* store.c - opening and closing a connection. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/log.h"
#include "inside.h"

enum { PAGE_BYTES = 8192, WRITER_CACHE_KIB = 16384, READER_CACHE_KIB = 2048, READER_BUSY_MS = 5000 };

static const char *const sync_word[] = {
	[STORE_SYNC_FULL] = "FULL",
	[STORE_SYNC_NORMAL] = "NORMAL",
	[STORE_SYNC_OFF] = "OFF",
};

static int os_fail(struct err *e, const char *what, const char *path)
{
	enum problem p = errno == ENOSPC || errno == EDQUOT ? P_STORAGE_FULL : P_INTERNAL;

	return err_set(e, p, "%s %s: %s", what, path, strerror(errno));
}

/* A new file survives a power cut only once its folder was synced too. */
static int sync_folder(const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 ? -1 : fsync(fd);

	if (rc < 0)
		os_fail(e, "cannot sync the data folder", dir);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int make_folder(const char *dir, struct err *e)
{
	char parent[4096];
	char *slash;

	if (mkdir(dir, 0700) < 0)
		return errno == EEXIST ? 0 : os_fail(e, "cannot make the data folder", dir);
	snprintf(parent, sizeof parent, "%s", dir);
	slash = strrchr(parent, '/');
	if (slash == parent)
		slash++;
	if (slash)
		*slash = '\0';
	return sync_folder(slash ? parent : ".", e);
}

/* The lock goes with the descriptor, so it cannot outlive the process. The
 * file's content says that the folder has a database: see check_file. */
static int take_lock(struct store *s, const char *dir, struct err *e)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/lock", dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return os_fail(e, "cannot open", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? err_set(e, P_CONFLICT, "another prefd holds the data folder %s", dir)
		                            : os_fail(e, "cannot lock", path);
	return 0;
}

static int check_restored(const char *dir, struct err *e)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/" STORE_RESTORING, dir);
	if (access(path, F_OK) < 0)
		return 0;
	return err_set(e, P_CONFLICT, "a restore into the data folder %s was not finished; run it again", dir);
}

static const char LOCK_MARK[] = "this folder has a database\n";

static int64_t size_of(const char *path, const char *suffix)
{
	char name[4200];
	struct stat st;

	snprintf(name, sizeof name, "%s%s", path, suffix);
	return stat(name, &st) < 0 ? 0 : st.st_size;
}

/* What SQLite would pass over. A file that is gone or was emptied is no reason
 * to begin anew; and one that ends within a page was cut, unless its writing
 * was: then the log or the journal has the page. */
static int check_file(const struct store *s, const char *path, struct err *e)
{
	int64_t size = size_of(path, "");
	struct stat lock;

	if (size == 0 && fstat(s->lock_fd, &lock) == 0 && lock.st_size > 0)
		return err_set(e, P_CONFLICT, "the database %s is gone; to begin a new one, remove the file lock beside it",
		               path);
	if (size % PAGE_BYTES != 0 && size_of(path, "-wal") == 0 && size_of(path, "-journal") == 0)
		return err_set(e, P_INTERNAL, "the database %s is damaged: it ends within a page", path);
	return 0;
}

/* When it cannot be written, the next start will do it. */
static void mark_lock(const struct store *s)
{
	struct stat st;

	if (fstat(s->lock_fd, &st) == 0 && st.st_size == 0 && write(s->lock_fd, LOCK_MARK, sizeof LOCK_MARK - 1) < 0)
		log_warn("store", "cannot mark the lock file: %s", strerror(errno));
}

static int pragmas(struct store *s, enum store_sync sync, struct err *e)
{
	char sql[512];
	int rc;

	/* Looking through each page that comes from the file is for who writes
	 * into it, and for store_check: in random order it takes a quarter of a
	 * reader's time. */
	/* What is deleted is overwritten; Debian's library does so unasked. */
	snprintf(sql, sizeof sql,
	         "PRAGMA secure_delete=ON; PRAGMA cache_size=-%d; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF;"
	         "PRAGMA cell_size_check=%s; PRAGMA trusted_schema=OFF; PRAGMA synchronous=%s",
	         s->writer ? WRITER_CACHE_KIB : READER_CACHE_KIB, s->writer ? "ON" : "OFF", sync_word[sync]);
	rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : sql_fail(s, rc, e);
}

static int connect(struct store *s, const struct store_options *o, struct err *e)
{
	int flags = SQLITE_OPEN_NOMUTEX | (s->writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
	char path[4096];
	int rc;

	snprintf(path, sizeof path, "%s/prefd.db", o->dir);
	if (!s->writer && access(path, F_OK) < 0)
		return err_set(e, P_UNAVAILABLE, "there is no database in the data folder %s", o->dir);
	if (s->writer && check_file(s, path, e) < 0)
		return -1;
	rc = sqlite3_open_v2(path, &s->db, flags, o->vfs);
	if (s->db == NULL)
		return err_set(e, P_INTERNAL, "SQLite has no memory to open %s", path);
	if (rc != SQLITE_OK)
		return sql_fail(s, rc, e);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, READER_BUSY_MS);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_wal_autocheckpoint(s->db, 0);
	if (pragmas(s, o->sync, e) < 0 || schema_open(s, e) < 0)
		return -1;
	if (!s->writer)
		return 0;
	sqlite3_wal_hook(s->db, store_on_commit, s);
	s->log_frames = size_of(path, "-wal") / PAGE_BYTES; /* until the first commit tells */
	s->erasing = s->log_frames > 0; /* nobody knows what was deleted before */
	return sync_folder(o->dir, e);
}

static int load_counter(struct store *s, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_COUNTER_GET);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, P_INTERNAL, "the database has lost its counter");
	s->next_key = s->stored_next_key = column_int(&q, 0);
	query_close(&q);
	return 0;
}

/* SQLite's own memory statistics cost a lock at every allocation. */
static void configure(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int store_open(struct store **out, const struct store_options *o, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct store *s = heap_zalloc(1, sizeof *s);
	int rc = 0;

	pthread_once(&once, configure);
	s->writer = o->writer;
	s->lock_fd = -1;
	arena_init(&s->scratch);
	arena_init(&s->rounds_arena);
	if (o->writer)
		rc = make_folder(o->dir, e) < 0 || check_restored(o->dir, e) < 0 ? -1 : take_lock(s, o->dir, e);
	if (rc == 0)
		rc = connect(s, o, e);
	if (rc == 0 && o->writer)
		rc = load_counter(s, e);
	if (rc == 0 && o->writer)
		mark_lock(s);
	if (rc < 0) {
		store_close(s);
		return -1;
	}
	*out = s;
	return 0;
}

void store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->db && s->in_group)
		store_rollback(s);
	sql_finalize_all(s);
	sqlite3_close(s->db);
	names_drop(s);
	states_drop(s);
	series_forget(s);
	sums_release(&s->group);
	sums_release(&s->request);
	buf_release(&s->rows);
	buf_release(&s->more);
	arena_release(&s->scratch);
	arena_release(&s->rounds_arena);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	heap_free(s);
}
