/* restore.c - backups without a daemon: made, looked through, brought back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup_folder.h"
#include "base/file.h"
#include "base/heap.h"
#include "service/backup.h"
#include "store/copy.h"

enum { STEP_US = 1000 * 1000 };

/* --- making one ------------------------------------------------------------------------ */

/* A reader refuses a folder without a database and one of another schema, and
 * a backup must not change what it is made of. */
static int open_data(const char *data, struct store **out, struct err *e)
{
	struct store_options options = {.dir = data};

	if (store_open(out, &options, e) < 0)
		return -1;
	store_close(*out);
	*out = NULL;
	options.writer = true;
	return store_open(out, &options, e);
}

static int copy_all(struct store *s, struct backup_folder *f, struct err *e)
{
	struct store_copy *copy = NULL;
	int64_t bytes, done;
	int rc = store_copy_begin(s, f->database, &copy, e);

	if (rc < 0)
		return -1;
	do
		rc = store_copy_step(copy, STEP_US, e);
	while (rc == 1);
	store_copy_progress(copy, &bytes, &done);
	atomic_fetch_add(f->bytes, done);
	store_copy_end(copy);
	return rc;
}

/* "a/b/" and "b": the folder that it is made in, and its name there. */
static int split_path(struct backup_folder *f, const char *to, struct str *name, struct err *e)
{
	struct str path = str_of(to);
	const char *slash;

	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	slash = memrchr(path.p, '/', path.n);
	*name = slash ? (struct str){slash + 1, (size_t)(path.p + path.n - slash - 1)} : path;
	if (name->n == 0 || name->p[0] == '.')
		return err_set(e, P_BAD_REQUEST, "%s is no name for a new folder", to);
	if (slash == NULL)
		return copy_path(f->folder, e, ".");
	return copy_path(f->folder, e, "%.*s", slash == path.p ? 1 : (int)(slash - path.p), path.p);
}

int backup_cold(const char *data, const char *to, int64_t *bytes, struct err *e)
{
	struct backup_folder *f = heap_zalloc(1, sizeof *f);
	_Atomic int64_t copied = 0;
	struct store *s = NULL;
	struct str name;
	int rc;

	f->data = data;
	f->bytes = &copied;
	f->lock_fd = -1;
	rc = split_path(f, to, &name, e);
	if (rc == 0)
		rc = open_data(data, &s, e);
	if (rc == 0)
		rc = backup_folder_begin(f, name, e);
	if (rc == 0)
		rc = copy_all(s, f, e);
	if (rc == 0)
		rc = backup_folder_finish(f, e);
	backup_folder_end(f);
	store_close(s);
	heap_free(f);
	*bytes = atomic_load(&copied);
	return rc;
}

/* --- looking one through ------------------------------------------------------------------ */

struct look {
	const char *from;
	void (*report)(void *ctx, const char *finding);
	void *ctx;
	bool found;
};

static void found(struct look *l, struct str name, const char *what)
{
	char line[COPY_PATH_BYTES];

	snprintf(line, sizeof line, "%.*s: %s", STR_ARG(name), what);
	l->report(l->ctx, line);
	l->found = true;
}

static bool same_content(const struct content *a, const struct content *b)
{
	return a->bytes == b->bytes && memcmp(a->hash, b->hash, sizeof a->hash) == 0;
}

static int look_at(struct look *l, const struct manifest_file *f, struct err *e)
{
	char path[COPY_PATH_BYTES], what[120];
	struct content is;
	int rc = copy_path(path, e, "%s/%.*s", l->from, STR_ARG(f->name));

	if (rc == 0)
		rc = copy_look(path, false, NULL, &is, e);
	if (rc < 0)
		return -1;
	if (rc == 0) {
		found(l, f->name, "is missing");
	} else if (is.bytes != f->content.bytes) {
		snprintf(what, sizeof what, "has %llu bytes instead of %llu", (unsigned long long)is.bytes,
		         (unsigned long long)f->content.bytes);
		found(l, f->name, what);
	} else if (!same_content(&is, &f->content)) {
		found(l, f->name, "does not have its SHA-256");
	}
	return 0;
}

static int look_through(struct look *l, struct arena *a, struct manifest *m, struct err *e)
{
	if (manifest_read(a, l->from, m, e) < 0)
		return -1;
	if (m->schema > store_schema())
		return err_set(e, P_CONFLICT, "the backup has schema %lld and this program knows %d: a newer prefd made it",
		               (long long)m->schema, store_schema());
	for (size_t i = 0; i < m->files; i++)
		if (look_at(l, &m->file[i], e) < 0)
			return -1;
	return l->found;
}

int backup_check(const char *from, void (*report)(void *ctx, const char *finding), void *ctx, uint64_t *files,
                 struct err *e)
{
	struct look l = {from, report, ctx, false};
	struct arena a = {0};
	struct manifest m = {0};
	int rc = look_through(&l, &a, &m, e);

	*files = m.files;
	arena_release(&a);
	return rc;
}

/* --- bringing one back ------------------------------------------------------------------------ */

struct target {
	const char *data;
	bool again; /* an unfinished restore left it: what it left goes */
};

static int see_entry(void *ctx, const char *name, struct err *e)
{
	const struct target *t = ctx;
	char path[COPY_PATH_BYTES];

	if (strcmp(name, STORE_RESTORING) == 0)
		return 0;
	if (!t->again)
		return err_set(e, P_CONFLICT, "%s is not empty: it holds %s", t->data, name);
	if (copy_path(path, e, "%s/%s", t->data, name) < 0)
		return -1;
	copy_drop(path);
	return 0;
}

/* The mark comes first and goes last: as long as it is there no daemon takes
 * the folder, and only a restore may fill it. */
static int take_target(const char *data, const char *mark, struct err *e)
{
	struct target t = {data, copy_is_file(mark)};

	if (copy_folder(data, e) < 0 || copy_list(data, see_entry, &t, e) < 0)
		return -1;
	return file_replace(mark, STR("prefd restore was not finished here\n"), 0600, e);
}

static int restore_file(const char *from, const char *data, const struct manifest_file *f, struct err *e)
{
	char source[COPY_PATH_BYTES], target[COPY_PATH_BYTES];
	struct content is;
	int rc;

	if (copy_path(source, e, "%s/%.*s", from, STR_ARG(f->name)) < 0 ||
	    copy_path(target, e, "%s/%.*s", data, STR_ARG(f->name)) < 0)
		return -1;
	rc = copy_file(source, target, NULL, &is, e);
	if (rc < 0)
		return -1;
	if (rc == 0 || !same_content(&is, &f->content))
		return err_set(e, P_INVALID, "%s changed while it was restored", source);
	return 0;
}

static int fill(const char *from, const char *data, const struct manifest *m, struct err *e)
{
	char mark[COPY_PATH_BYTES], snapshots[COPY_PATH_BYTES];

	if (copy_path(mark, e, "%s/" STORE_RESTORING, data) < 0 ||
	    copy_path(snapshots, e, "%s/" SNAPSHOTS_DIR, data) < 0 || take_target(data, mark, e) < 0 ||
	    copy_folder(snapshots, e) < 0)
		return -1;
	for (size_t i = 0; i < m->files; i++)
		if (restore_file(from, data, &m->file[i], e) < 0)
			return -1;
	if (copy_sync_folder(snapshots, e) < 0 || copy_sync_folder(data, e) < 0)
		return -1;
	if (unlink(mark) < 0)
		return err_set(e, P_INTERNAL, "cannot remove %s: %s", mark, strerror(errno));
	return copy_sync_folder(data, e);
}

static void first_finding(void *ctx, const char *finding)
{
	struct err *e = ctx;

	if (e->problem == P_NONE)
		err_set(e, P_INVALID, "the backup is not sound: %s", finding);
}

int backup_restore(const char *from, const char *data, uint64_t *files, struct err *e)
{
	struct err unsound = {.problem = P_NONE};
	struct look l = {from, first_finding, &unsound, false};
	struct arena a = {0};
	struct manifest m = {0};
	int rc = look_through(&l, &a, &m, e);

	if (rc == 1) {
		*e = unsound;
		rc = -1;
	}
	if (rc == 0)
		rc = fill(from, data, &m, e);
	*files = m.files;
	arena_release(&a);
	return rc;
}
