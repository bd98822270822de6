/* takeback.c - snapshots that go, and their files. */
#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/log.h"
#include "inside.h"
#include "job.h"
#include "report.h"
#include "service/snapshots.h"

enum { REVOKE_PAGE = 100, REVISION_HEX = 64 };

/* --- DELETE -------------------------------------------------------------------------- */

struct delete_work {
	struct work work;
	struct service *service;
	struct arena arena;
	struct str id, revision;
};

static int apply_delete(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct delete_work *w = (struct delete_work *)work;
	struct snapshot_row row;

	if (store_snapshot_get(db, &w->arena, w->id, &row, e) < 0)
		return -1;
	if (row.state == SNAPSHOT_DELETED)
		return err_set(e, P_GONE, "snapshot %.*s was deleted before", STR_ARG(w->id));
	w->revision = row.revision;
	out->status = 204;
	row.state = SNAPSHOT_DELETED;
	return store_snapshot_settle(db, &row, e) < 0 ? -1 : 0;
}

static void delete_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct delete_work *w = (struct delete_work *)work;

	(void)out;
	(void)keep;
	if (committed) {
		shelf_forget(w->service->snapshots->shelf, w->id);
		if (w->revision.p)
			snapshots_drop_file(w->service, w->revision);
		jobs_recheck(w->service->snapshots);
	}
	arena_release(&w->arena);
	heap_free(w);
}

void snapshots_delete(struct service *s, struct str id, struct pending *p)
{
	struct delete_work *w = heap_zalloc(1, sizeof *w);

	w->service = s;
	w->id = arena_str(&w->arena, id);
	w->work.pending = p;
	w->work.apply = apply_delete;
	w->work.settled = delete_settled;
	writer_submit(s, &w->work);
}

static void drop_unused(struct service *s, struct store *db, struct str revision)
{
	char path[SNAP_PATH_BYTES];
	struct err e = {0};
	int64_t users;

	if (store_snapshot_users(db, revision, &users, &e) < 0 || users > 0)
		return;
	snap_path(s->snap_dir, revision, path);
	if (unlink(path) == 0)
		log_info("snapshots", "file removed revision=%.*s", STR_ARG(revision));
	else if (errno != ENOENT)
		log_warn("snapshots", "file not removed revision=%.*s error=\"%s\"", STR_ARG(revision), strerror(errno));
}

void snapshots_drop_file(struct service *s, struct str revision)
{
	struct err e = {0};
	struct store *db;

	if (reader_get(s, &db, &e) < 0)
		return; /* the sweep at the next start finds it */
	drop_unused(s, db, revision);
	reader_put(s, db);
}

void snapshots_sweep_dir(struct service *s, struct store *db)
{
	DIR *dir = opendir(s->snap_dir);
	struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		struct str name = str_of(entry->d_name);

		if (name.n == REVISION_HEX + strlen(".snap") && strcmp(name.p + REVISION_HEX, ".snap") == 0)
			drop_unused(s, db, (struct str){name.p, REVISION_HEX});
	}
	closedir(dir);
}

/* --- doubts ---------------------------------------------------------------------------- */

/* A ready row whose file could not be read when a prompt was deleted: whether
 * it held the prompt shows in what it comes to now. */
struct doubt {
	struct doubt *next;
	struct arena arena;
	struct snapshot_row row;
};

/* The file goes at once: unread, it might hold what was deleted, and be read
 * after a crash. Should the deletion fail, it is made anew all the same. */
static void doubt(struct service *s, const struct snapshot_row *row)
{
	char path[SNAP_PATH_BYTES];
	struct doubt *d;

	snap_path(s->snap_dir, row->revision, path);
	unlink(path);
	for (d = s->snapshots->doubts; d; d = d->next)
		if (str_eq(d->row.id, row->id))
			return;
	d = heap_zalloc(1, sizeof *d);
	d->row = job_row(&d->arena, row);
	d->next = s->snapshots->doubts;
	s->snapshots->doubts = d;
}

static struct doubt *next_doubt(struct snapshots *sn)
{
	struct doubt *d = sn->doubts;

	if (d)
		sn->doubts = d->next;
	return d;
}

static void doubt_free(struct doubt *d)
{
	arena_release(&d->arena);
	heap_free(d);
}

void snapshots_free_doubts(struct snapshots *sn)
{
	struct doubt *d;

	while ((d = next_doubt(sn)) != NULL)
		doubt_free(d);
}

/* After the commit. What began before it may have read what is gone now. The
 * job comes first, so that nobody opens a file before it is judged. */
static void settle_doubts(struct snapshots *sn)
{
	struct doubt *d;

	while ((d = next_doubt(sn)) != NULL) {
		jobs_stale(sn, d->row.dataset);
		jobs_judge(sn, &d->row, "it could not be read when a prompt was deleted");
		shelf_forget(sn->shelf, d->row.id);
		doubt_free(d);
	}
}

void snapshots_after_deletion(struct service *s, struct str dataset)
{
	struct err e = {0};
	struct store *db;

	/* A build that began again between the deletion and its commit has read what is gone. */
	jobs_stale(s->snapshots, dataset);
	settle_doubts(s->snapshots);
	if (reader_get(s, &db, &e) < 0) {
		log_warn("snapshots", "no sweep detail=\"%s\"", e.detail);
		return;
	}
	shelf_recheck(s, db, &e);
	snapshots_sweep_dir(s, db);
	reader_put(s, db);
	jobs_recheck(s->snapshots);
}

/* --- prompts that go --------------------------------------------------------------------------------- */

/* The pairs lie in byte order of prompt ids. 1 held, 0 not, -1. */
static int file_holds(struct snap *snap, struct str prompt, struct err *e)
{
	uint64_t lo = 0, hi = snap_pairs(snap);

	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		struct snap_view view;
		int c;

		if (snap_pair_at(snap, mid, &view, e) < 0)
			return -1;
		c = str_cmp(view.prompt_id, prompt);
		if (c == 0)
			return 1;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}

/* 1 held, 0 not, -1: it cannot be read. */
static int holds(struct service *s, const struct snapshot_row *row, struct str prompt)
{
	struct err e = {0};
	struct snap *snap;
	int held;

	if (snap_open(&snap, s->snap_dir, row->revision, &e) < 0)
		return -1;
	held = file_holds(snap, prompt, &e);
	if (snap_damaged(snap)) /* ids were compared with zeros */
		held = -1;
	snap_close(snap);
	return held;
}

static int revoke_page(struct service *s, struct store *db, const struct snapshot_row *row, uint32_t n,
                       struct str prompt, struct err *e)
{
	struct buf text = BUF_INIT;
	struct err why;
	int rc = 0;

	err_set(&why, P_GONE, "prompt %.*s, which the snapshot holds, was deleted", STR_ARG(prompt));
	report_problem(&text, &why);
	for (uint32_t i = 0; rc >= 0 && i < n; i++) {
		struct snapshot_row gone = row[i];
		int held = row[i].state == SNAPSHOT_READY ? holds(s, &row[i], prompt) : 0;

		gone.state = SNAPSHOT_REVOKED;
		gone.problem = buf_view(&text);
		if (held > 0)
			rc = store_snapshot_settle(db, &gone, e);
		else if (held < 0)
			doubt(s, &row[i]);
	}
	buf_release(&text);
	return rc < 0 ? -1 : 0;
}

int snapshots_revoke_prompt(struct service *s, struct store *db, struct str dataset, struct str prompt, struct err *e)
{
	struct buf after = BUF_INIT;
	struct arena a = {0};
	struct dataset d;
	uint32_t n = 1;
	int rc = store_dataset_get(db, &a, dataset, &d, e);

	jobs_stale(s->snapshots, dataset);
	while (rc == 0 && n > 0) {
		struct snapshot_row *row;

		rc = store_snapshot_list(db, &a, d.key, after.n > 0 ? buf_view(&after) : STR_NONE, REVOKE_PAGE, &row, &n, e);
		if (rc < 0 || n == 0)
			break;
		buf_clear(&after);
		buf_str(&after, row[n - 1].id);
		rc = revoke_page(s, db, row, n, prompt, e);
	}
	buf_release(&after);
	arena_release(&a);
	return rc;
}
