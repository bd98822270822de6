/* snapshots.c - snapshots as rows: made, told of, taken back. */
#include "service/snapshots.h"

#include "base/clock.h"
#include "base/heap.h"
#include "fields.h"
#include "inside.h"
#include "jobs.h"
#include "report.h"

enum { ID_RANDOM_BYTES = 16 };
/* Heavier than any group: a work of this weight goes alone, because the sums
 * that it reads are those of the last commit. */
#define WEIGHT_ALONE ((size_t)1 << 40)

/* --- making one ------------------------------------------------------------------------------- */

struct create_work {
	struct work work;
	struct service *service;
	struct arena arena;
	struct str dataset;
	struct recipe_post post;
	struct snapshot_row row;
	bool inserted;
	int wait_s;
};

/* A name that was there: the same recipe is the same snapshot. */
static int answer_existing(struct create_work *w, const struct snapshot_row *row, const struct dataset *d,
                           struct answer *out, struct err *e)
{
	if (row->state == SNAPSHOT_DELETED)
		return err_at(e, P_CONFLICT, "/name", "%.*s was deleted, and ids are never used again", STR_ARG(row->id));
	if (row->dataset_key != d->key || !str_eq(row->posted, w->post.posted))
		return err_at(e, P_CONFLICT, "/name", "%.*s is a snapshot of another recipe or dataset", STR_ARG(row->id));
	w->row.id = row->id;
	out->status = 200;
	return report_snapshot(&out->body, row, jobs_progress(w->service->snapshots, row->id), e);
}

static int fill_row(struct create_work *w, struct store *db, const struct dataset *d, struct err *e)
{
	char id[2 * ID_RANDOM_BYTES + 1];
	struct dataset_stats stats;
	struct buf recipe = BUF_INIT;

	if (store_stats(db, &w->arena, d, &stats, e) < 0 ||
	    recipe_resolve(&w->post.recipe, &w->arena, d, &stats, e) < 0)
		return -1;
	random_hex(id, ID_RANDOM_BYTES);
	recipe_print(&recipe, &w->post.recipe, RECIPE_WHOLE);
	w->row = (struct snapshot_row){
		.id = w->post.name.p ? w->post.name : arena_str(&w->arena, str_of(id)),
		.name = w->post.name,
		.dataset = w->dataset,
		.dataset_key = d->key,
		.seq = d->seq,
		.state = SNAPSHOT_BUILDING,
		.posted = w->post.posted,
		.recipe = arena_str(&w->arena, buf_view(&recipe)),
		.created_at = clock_now_us(),
	};
	buf_release(&recipe);
	return 0;
}

static int apply_create(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct create_work *w = (struct create_work *)work;
	struct snapshot_row there;
	struct dataset d;
	int rc;

	if (store_dataset_get(db, &w->arena, w->dataset, &d, e) < 0)
		return -1;
	if (w->post.name.p) {
		rc = store_snapshot_get(db, &w->arena, w->post.name, &there, e);
		if (rc == 0)
			return answer_existing(w, &there, &d, out, e);
		if (e->problem != P_UNKNOWN_SNAPSHOT)
			return -1;
	}
	if (fill_row(w, db, &d, e) < 0 || store_snapshot_insert(db, &w->row, e) < 0)
		return -1;
	w->inserted = true;
	out->status = 202;
	answer_header(out, "Location", "/v1/snapshots/%.*s", STR_ARG(w->row.id));
	return report_snapshot(&out->body, &w->row, 0, e);
}

/* The id that an answer tells of: our own, or that of an answer repeated for
 * its idempotency key. */
static struct str answered_id(const struct create_work *w, const struct answer *out)
{
	static const char front[] = "/v1/snapshots/";

	if (w->row.id.p)
		return w->row.id;
	for (int i = 0; i < out->headers; i++)
		if (strcmp(out->header[i].name, "Location") == 0)
			return str_of(out->header[i].value + strlen(front));
	return STR_NONE;
}

static void create_free(struct create_work *w)
{
	arena_release(&w->arena);
	heap_free(w);
}

static void create_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct create_work *w = (struct create_work *)work;
	struct snapshots *sn = w->service->snapshots;
	struct str id = STR_NONE;

	if (committed && w->inserted)
		jobs_build(sn, &w->row);
	if (committed && w->wait_s > 0 && (out->status == 200 || out->status == 202))
		id = answered_id(w, out);
	if (id.p) {
		*keep = true;
		jobs_wait(sn, work->pending, true, id, out->status == 202 ? WAIT_CREATED : WAIT_TOLD, w->wait_s);
	}
	create_free(w);
}

void snapshots_create(struct service *s, struct str dataset, struct str body, int wait_s,
                      const struct origin_key *origin, struct pending *p)
{
	struct create_work *w = heap_zalloc(1, sizeof *w);
	struct err e = {0};

	w->service = s;
	w->wait_s = wait_s;
	w->dataset = arena_str(&w->arena, dataset);
	w->work.node.weight = WEIGHT_ALONE;
	w->work.pending = p;
	w->work.apply = apply_create;
	w->work.settled = create_settled;
	if (origin && origin->key.p) {
		w->work.origin = *origin;
		w->work.origin.key = arena_str(&w->arena, origin->key);
	}
	if (recipe_read_post(&w->arena, arena_str(&w->arena, body), &w->post, &e) == 0) {
		writer_submit(s, &w->work);
		return;
	}
	pending_fail(p, &e);
	create_free(w);
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
