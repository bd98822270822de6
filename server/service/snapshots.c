/* snapshots.c - snapshots as rows: made, told of, taken back. */
#include "service/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "fields.h"
#include "inside.h"
#include "jobs.h"
#include "making.h"
#include "report.h"
#include "rescored.h"
#include "store/record.h"

enum { REVOKE_PAGE = 100, REVISION_HEX = 64 };

/* --- making one ------------------------------------------------------------------------------- */

static int close_recipe(struct making *m, struct store *db, const struct dataset *d, int64_t *seq, struct err *e)
{
	struct dataset_stats stats;

	if (rescored_resolve(&m->recipe, db, &m->arena, d, seq, e) < 0 || store_stats(db, &m->arena, d, &stats, e) < 0)
		return -1;
	return recipe_resolve(&m->recipe, &m->arena, d, &stats, e);
}

void snapshots_create(struct service *s, struct str dataset, struct str body, int wait_s,
                      const struct origin_key *origin, struct pending *p)
{
	struct making *m = making_new(sizeof *m, s, dataset, wait_s, origin, p);
	struct recipe_post post;
	struct err e = {0};

	if (recipe_read_post(&m->arena, arena_str(&m->arena, body), &post, &e) < 0) {
		making_refuse(m, &e);
		return;
	}
	m->name = post.name;
	m->posted = post.posted;
	m->recipe = post.recipe;
	m->close = close_recipe;
	making_submit(m);
}

/* --- telling of them ---------------------------------------------------------------------------- */

/* 0 and the row, which may be in any state but deleted. */
static int get_row(struct service *s, struct str id, struct arena *a, struct snapshot_row *row, struct err *e)
{
	struct store *db;
	int rc;

	if (reader_get(s, &db, e) < 0)
		return -1;
	rc = store_snapshot_get(db, a, id, row, e);
	reader_put(s, db);
	if (rc == 0 && row->state == SNAPSHOT_DELETED)
		return err_set(e, P_GONE, "snapshot %.*s was deleted", STR_ARG(id));
	return rc;
}

void snapshots_get(struct service *s, struct str id, int wait_s, struct pending *p)
{
	struct snapshot_row row;
	struct arena a = {0};
	struct err e = {0};
	int rc = get_row(s, id, &a, &row, &e);

	if (rc < 0) {
		pending_fail(p, &e);
	} else if (row.state == SNAPSHOT_BUILDING && wait_s > 0) {
		jobs_wait(s->snapshots, p, false, id, WAIT_TOLD, wait_s);
	} else if (pending_take(p)) {
		p->answer.status = 200;
		if (report_snapshot(&p->answer.body, &row, jobs_progress(s->snapshots, id), &e) < 0)
			answer_problem(&p->answer, &e);
		pending_finish(p);
	}
	arena_release(&a);
}

void snapshots_wait(struct service *s, struct str id, int wait_s, struct pending *p)
{
	jobs_wait(s->snapshots, p, false, id, WAIT_AGAIN, wait_s);
}

static int list_page(struct service *s, struct store *db, struct str dataset, struct str after, uint32_t limit,
                     struct answer *out, struct err *e)
{
	struct snapshot_row *row = NULL;
	struct dataset d = {.key = 0};
	struct arena a = {0};
	uint32_t n = 0;
	int rc = dataset.p ? store_dataset_get(db, &a, dataset, &d, e) : 0;

	if (rc == 0)
		rc = store_snapshot_list(db, &a, d.key, after, limit, &row, &n, e);
	buf_lit(&out->body, "{\"snapshots\":[");
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		json_put_comma(&out->body);
		rc = report_snapshot(&out->body, &row[i], jobs_progress(s->snapshots, row[i].id), e);
	}
	buf_lit(&out->body, "],\"next\":");
	if (n > 0 && n == limit)
		json_put_string(&out->body, row[n - 1].id);
	else
		buf_lit(&out->body, "null");
	buf_byte(&out->body, '}');
	out->status = 200;
	arena_release(&a);
	return rc;
}

int snapshots_list(struct service *s, struct str dataset, struct str after, uint32_t limit,
                   struct answer *out, struct err *e)
{
	struct store *db;
	int rc;

	if (limit < 1 || limit > PAGE_LIMIT_MAX)
		return err_at(e, P_INVALID, "?limit", "must be from 1 to %d", PAGE_LIMIT_MAX);
	if (reader_get(s, &db, e) < 0)
		return -1;
	rc = list_page(s, db, dataset, after, limit, out, e);
	reader_put(s, db);
	return rc;
}

/* --- taking back ---------------------------------------------------------------------------------- */

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

static void sweep_dir(struct service *s, struct store *db)
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

void snapshots_sweep_files(struct service *s)
{
	struct err e = {0};
	struct store *db;

	if (reader_get(s, &db, &e) < 0) {
		log_warn("snapshots", "no sweep detail=\"%s\"", e.detail);
		return;
	}
	shelf_recheck(s, db, &e);
	sweep_dir(s, db);
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

/* A file that cannot be read is made anew at its next use; if the prompt was in
 * it, that is found out then, because the revision differs. */
static bool holds(struct service *s, const struct snapshot_row *row, struct str prompt)
{
	struct err e = {0};
	struct snap *snap;
	int held;

	if (snap_open(&snap, s->snap_dir, row->revision, &e) < 0)
		return false;
	held = file_holds(snap, prompt, &e);
	snap_close(snap);
	return held == 1;
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

		gone.state = SNAPSHOT_REVOKED;
		gone.problem = buf_view(&text);
		if (row[i].state == SNAPSHOT_READY && holds(s, &row[i], prompt))
			rc = store_snapshot_settle(db, &gone, e);
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

/* --- start, tick, stop ----------------------------------------------------------------------------------- */

/* Rows that were being built when the daemon stopped. */
static int take_up(struct service *s, struct store *db, struct err *e)
{
	struct buf after = BUF_INIT;
	struct snapshot_row *row;
	uint32_t n = 1;
	int rc = 0;

	while (rc == 0 && n > 0) {
		struct arena a = {0};

		rc = store_snapshot_in_state(db, &a, SNAPSHOT_BUILDING, after.n > 0 ? buf_view(&after) : STR_NONE, &row, &n, e);
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			jobs_build(s->snapshots, &row[i]);
		if (rc == 0 && n > 0) {
			buf_clear(&after);
			buf_str(&after, row[n - 1].id);
		}
		arena_release(&a);
	}
	buf_release(&after);
	return rc;
}

int snapshots_start(struct service *s, struct err *e)
{
	struct snapshots *sn = heap_zalloc(1, sizeof *sn);
	struct store *db;
	int rc;

	sn->service = s;
	sn->shelf = shelf_new((size_t)s->conf->open_snapshots);
	pthread_mutex_init(&sn->mutex, NULL);
	pthread_cond_init(&sn->settled, NULL);
	s->snapshots = sn;
	snap_sweep(s->snap_dir);
	if (reader_get(s, &db, e) < 0)
		return -1;
	sweep_dir(s, db);
	rc = take_up(s, db, e);
	reader_put(s, db);
	return rc;
}

void snapshots_tick(struct service *s)
{
	jobs_tick(s->snapshots);
}

void snapshots_drain(struct service *s)
{
	jobs_drain(s->snapshots);
}

void snapshots_stop(struct service *s)
{
	struct snapshots *sn = s->snapshots;

	if (sn == NULL)
		return;
	jobs_drain(sn);
	jobs_free(sn);
	shelf_free(sn->shelf);
	pthread_cond_destroy(&sn->settled);
	pthread_mutex_destroy(&sn->mutex);
	heap_free(sn);
	s->snapshots = NULL;
}
