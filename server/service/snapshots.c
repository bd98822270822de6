/* snapshots.c - snapshots as rows: made, told of, taken back. */
#include "service/snapshots.h"

#include "base/clock.h"
#include "base/heap.h"
#include "fields.h"
#include "inside.h"
#include "jobs.h"
#include "making.h"
#include "print.h"
#include "report.h"
#include "rescored.h"

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

static int list_page(struct service *s, struct store *db, struct str dataset, struct page *page,
                     struct answer *out, struct err *e)
{
	struct snapshot_row *row = NULL;
	struct dataset d = {.key = 0};
	struct arena a = {0};
	uint32_t n = 0, asked;
	int rc = dataset.p ? store_dataset_get(db, &a, dataset, &d, e) : 0;

	buf_lit(&out->body, "{\"snapshots\":[");
	do {
		asked = page->left;
		if (rc == 0)
			rc = store_snapshot_list(db, &a, d.key, page->after, asked, &row, &n, e);
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			if (page_shows(page, &out->body, row[i].dataset, row[i].id))
				rc = report_snapshot(&out->body, &row[i], jobs_progress(s->snapshots, row[i].id), e);
	} while (rc == 0 && n == asked && page->left > 0);
	if (rc == 0)
		print_page_end(&out->body, page->left == 0, page->shown);
	out->status = 200;
	arena_release(&a);
	return rc;
}

int snapshots_list(struct service *s, const struct access *who, struct str dataset, struct str after, uint32_t limit,
                   struct answer *out, struct err *e)
{
	struct page page = {who, after, limit, STR_NONE};
	struct store *db;
	int rc;

	if (limit < 1 || limit > PAGE_LIMIT_MAX)
		return err_at(e, P_INVALID, "?limit", "must be from 1 to %d", PAGE_LIMIT_MAX);
	if (reader_get(s, &db, e) < 0)
		return -1;
	rc = list_page(s, db, dataset, &page, out, e);
	reader_put(s, db);
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
	snapshots_sweep_dir(s, db);
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
	if (s->snapshots)
		jobs_drain(s->snapshots);
}

void snapshots_stop(struct service *s)
{
	struct snapshots *sn = s->snapshots;

	if (sn == NULL)
		return;
	jobs_drain(sn);
	jobs_free(sn);
	snapshots_free_doubts(sn);
	shelf_free(sn->shelf);
	pthread_cond_destroy(&sn->settled);
	pthread_mutex_destroy(&sn->mutex);
	heap_free(sn);
	s->snapshots = NULL;
}
