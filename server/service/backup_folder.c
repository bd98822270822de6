#include "backup_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "snap/read.h"
#include "store/copy.h"
#include "store/read.h"
#include "store/snapshot.h"

#define UNFINISHED ".unfinished-"

/* --- begin --------------------------------------------------------------------------- */

/* The lock goes with the descriptor, so it cannot outlive the process. */
static int lock_folder(struct backup_folder *b, struct err *e)
{
	char path[COPY_PATH_BYTES];

	if (copy_path(path, e, "%s/.lock", b->folder) < 0)
		return -1;
	b->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (b->lock_fd < 0)
		return err_set(e, P_INTERNAL, "cannot open %s: %s", path, strerror(errno));
	if (flock(b->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, P_CONFLICT, "a backup is being made in %s", b->folder);
	return 0;
}

/* With the lock held, nobody is at work on what is unfinished. */
static int sweep_entry(void *ctx, const char *name, struct err *e)
{
	char path[COPY_PATH_BYTES];

	if (strncmp(name, UNFINISHED, strlen(UNFINISHED)) == 0 &&
	    copy_path(path, e, "%s/%s", (const char *)ctx, name) == 0)
		copy_drop(path);
	return 0;
}

static int name_paths(struct backup_folder *b, struct str name, struct err *e)
{
	if (copy_path(b->part, e, "%s/" UNFINISHED "%.*s", b->folder, STR_ARG(name)) < 0 ||
	    copy_path(b->whole, e, "%s/%.*s", b->folder, STR_ARG(name)) < 0)
		return -1;
	return copy_path(b->database, e, "%s/" DATABASE_FILE, b->part);
}

int backup_folder_begin(struct backup_folder *b, struct str name, struct err *e)
{
	char snapshots[COPY_PATH_BYTES];
	struct stat st;

	b->lock_fd = -1;
	b->begun = false;
	b->manifest = (struct manifest_writer){.text = BUF_INIT};
	if (name_paths(b, name, e) < 0 || copy_path(snapshots, e, "%s/" SNAPSHOTS_DIR, b->part) < 0 ||
	    copy_folder(b->folder, e) < 0 || lock_folder(b, e) < 0)
		return -1;
	if (lstat(b->whole, &st) == 0)
		return err_set(e, P_CONFLICT, "%s is there already", b->whole);
	if (copy_list(b->folder, sweep_entry, b->folder, e) < 0)
		return -1;
	b->begun = true;
	return copy_folder(b->part, e) < 0 ? -1 : copy_folder(snapshots, e);
}

/* --- what goes in ---------------------------------------------------------------------- */

static void note(struct backup_folder *b, struct str name, const struct content *c)
{
	manifest_file(&b->manifest, name, c);
	atomic_fetch_add(b->bytes, (int64_t)c->bytes);
}

static int add_datasets(struct backup_folder *b, struct store *s, struct arena *a, struct err *e)
{
	struct str after = STR_NONE;
	struct dataset *d;
	uint32_t n;

	do {
		if (store_dataset_list(s, a, after, PAGE_MAX, &d, &n, e) < 0)
			return -1;
		for (uint32_t i = 0; i < n; i++)
			manifest_dataset(&b->manifest, d[i].name, d[i].seq);
		if (n > 0)
			after = d[n - 1].name;
	} while (n == PAGE_MAX);
	return 0;
}

static int add_database(struct backup_folder *b, struct err *e)
{
	struct content c;
	int rc = copy_look(b->database, true, b->stop, &c, e);

	if (rc == 1)
		manifest_file(&b->manifest, STR(DATABASE_FILE), &c);
	return rc == 0 ? err_set(e, P_INTERNAL, "the copied database is not there") : rc;
}

/* Whether the copy is sound to its last record. */
static int check_snapshot(const char *dir, struct str revision, struct err *e)
{
	struct snap *snap;
	int rc = snap_open(&snap, dir, revision, e);

	if (rc < 0)
		return -1;
	rc = snap_verify(snap, e);
	snap_close(snap);
	return rc;
}

/* A file that is missing or damaged is left out: it is made anew from the
 * database, to the same bytes, when it is asked for. */
static int add_snapshot(struct backup_folder *b, struct str revision, struct err *e)
{
	char from[COPY_PATH_BYTES], to[COPY_PATH_BYTES], dir[COPY_PATH_BYTES], name[100];
	struct content c;
	int rc;

	snprintf(name, sizeof name, SNAPSHOTS_DIR "/%.*s.snap", STR_ARG(revision));
	if (copy_path(from, e, "%s/%s", b->data, name) < 0 || copy_path(to, e, "%s/%s", b->part, name) < 0 ||
	    copy_path(dir, e, "%s/" SNAPSHOTS_DIR, b->part) < 0)
		return -1;
	if (access(to, F_OK) == 0)
		return 0; /* two snapshots, one revision */
	rc = copy_file(from, to, b->stop, &c, e);
	if (rc <= 0)
		return rc;
	if (check_snapshot(dir, revision, e) == 0) {
		note(b, str_of(name), &c);
		return 0;
	}
	log_warn("backup", "snapshot left out revision=%.*s why=\"%s\"", STR_ARG(revision), e->detail);
	return unlink(to) < 0 ? err_set(e, P_INTERNAL, "cannot remove %s: %s", to, strerror(errno)) : 0;
}

static int add_snapshots(struct backup_folder *b, struct store *s, struct err *e)
{
	struct buf after = BUF_INIT;
	struct snapshot_row *row;
	struct arena a = {0};
	uint32_t n = 0;
	int rc;

	do {
		arena_reset(&a);
		rc = store_snapshot_list(s, &a, 0, after.n ? buf_view(&after) : STR_NONE, PAGE_MAX, &row, &n, e);
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			if (row[i].state == SNAPSHOT_READY)
				rc = add_snapshot(b, row[i].revision, e);
		if (rc == 0 && n > 0) {
			buf_clear(&after);
			buf_str(&after, row[n - 1].id);
		}
	} while (rc == 0 && n == PAGE_MAX);
	buf_release(&after);
	arena_release(&a);
	return rc;
}

static int add_tokens(struct backup_folder *b, struct err *e)
{
	char from[COPY_PATH_BYTES], to[COPY_PATH_BYTES];
	struct content c;
	int rc;

	if (copy_path(from, e, "%s/" TOKENS_FILE, b->data) < 0 || copy_path(to, e, "%s/" TOKENS_FILE, b->part) < 0)
		return -1;
	rc = copy_file(from, to, b->stop, &c, e);
	if (rc == 1)
		note(b, STR(TOKENS_FILE), &c);
	return rc < 0 ? -1 : 0;
}

/* --- finish ------------------------------------------------------------------------------ */

/* What it holds is read from the copy itself: it stands still. */
static int add_all(struct backup_folder *b, struct err *e)
{
	struct store_options options = {.dir = b->part};
	struct arena a = {0};
	struct store *s;
	int rc;

	if (store_open(&s, &options, e) < 0)
		return -1;
	manifest_begin(&b->manifest, clock_now_us(), store_schema());
	rc = add_datasets(b, s, &a, e);
	if (rc == 0 && add_database(b, e) < 0)
		rc = -1;
	if (rc == 0)
		rc = add_snapshots(b, s, e);
	if (rc == 0)
		rc = add_tokens(b, e);
	manifest_end(&b->manifest);
	store_close(s);
	arena_release(&a);
	return rc;
}

static int write_manifest(struct backup_folder *b, struct err *e)
{
	char path[COPY_PATH_BYTES];

	if (copy_path(path, e, "%s/" MANIFEST_FILE, b->part) < 0)
		return -1;
	return file_replace(path, buf_view(&b->manifest.text), 0600, e);
}

int backup_folder_finish(struct backup_folder *b, struct err *e)
{
	char snapshots[COPY_PATH_BYTES];

	if (copy_path(snapshots, e, "%s/" SNAPSHOTS_DIR, b->part) < 0 || store_copy_seal(b->database, e) < 0 ||
	    add_all(b, e) < 0 || copy_sync_folder(snapshots, e) < 0 || write_manifest(b, e) < 0)
		return -1;
	if (rename(b->part, b->whole) < 0)
		return err_set(e, P_INTERNAL, "cannot rename %s: %s", b->part, strerror(errno));
	b->begun = false;
	return copy_sync_folder(b->folder, e);
}

void backup_folder_end(struct backup_folder *b)
{
	if (b->begun)
		copy_drop(b->part);
	if (b->lock_fd >= 0)
		close(b->lock_fd);
	buf_release(&b->manifest.text);
}
