/* rounds.c - rounds as rows: made, told of, closed. */
#include "service/rounds.h"

#include "base/clock.h"
#include "base/heap.h"
#include "inside.h"
#include "print.h"
#include "round_report.h"
#include "round_spec.h"
#include "score.h"
#include "store/snapshot.h"

enum { ID_RANDOM_BYTES = 16 };

static int report(struct service *s, struct buf *b, struct store *db, struct arena *a, const struct round_row *row,
                  struct err *e)
{
	struct scoring scoring;

	return report_round(b, db, a, row, scores_get(s->scores, row->id, &scoring) ? &scoring : NULL, e);
}

/* --- making one --------------------------------------------------------------------- */

struct create_work {
	struct work work;
	struct service *service;
	struct arena arena;
	struct str dataset, posted;
	struct round_spec spec;
	struct round_row row;
};

/* Twice the same document: canonical JSON rounds numbers to doubles, so that
 * gamma and sampling, which are kept as written, are compared by themselves. */
static int same_document(struct create_work *w, const struct round_row *there, struct err *e)
{
	struct round_spec old;
	const struct gamma *g = &w->spec.replay.gamma, *h = &old.replay.gamma;

	if (!str_eq(there->posted, w->posted))
		return 0;
	if (round_spec_load(&w->arena, there->spec, &old, e) < 0)
		return -1;
	return g->num == h->num && g->den == h->den && str_eq(w->spec.sampling, old.sampling);
}

/* A name that was there: the same document is the same round. */
static int answer_existing(struct create_work *w, struct store *db, const struct round_row *there,
                           const struct dataset *d, struct answer *out, struct err *e)
{
	int same = there->dataset_key == d->key ? same_document(w, there, e) : 0;

	if (same < 0)
		return -1;
	if (!same)
		return err_at(e, P_CONFLICT, "/name", "%.*s is a round of another document or dataset", STR_ARG(there->id));
	out->status = 200;
	return report(w->service, &out->body, db, &w->arena, there, e);
}

/* The name is free, or the round that has it is answered with: 1, 0, -1. */
static int name_free(struct create_work *w, struct store *db, const struct dataset *d, struct answer *out,
                     struct err *e)
{
	struct round_row there;

	if (!w->spec.name.p)
		return 1;
	if (store_round_get(db, &w->arena, w->spec.name, &there, e) == 0)
		return answer_existing(w, db, &there, d, out, e);
	return e->problem == P_UNKNOWN_ROUND ? 1 : -1;
}

/* Log-probabilities of engines of two kinds do not compare. */
static int check_engines(struct create_work *w, struct store *db, struct err *e)
{
	static const char *const place[2] = {"/engines/policy", "/engines/reference"};
	const struct str *id = w->spec.engine;
	struct engine_row engine[2];

	for (int m = 0; m < 2; m++) {
		if (id[m].p == NULL || store_engine_get(db, &w->arena, id[m], &engine[m], e) == 0)
			continue;
		if (e->problem != P_UNKNOWN_ENGINE)
			return -1;
		return err_at(e, P_UNKNOWN_ID, place[m], "there is no engine %.*s", STR_ARG(id[m]));
	}
	if (id[0].p && id[1].p && engine[0].kind != engine[1].kind)
		return err_at(e, P_INVALID, place[1], "is of another kind than the policy's: what they say does not compare");
	return 0;
}

/* The ids that the document names. */
static int check_named(struct create_work *w, struct store *db, const struct dataset *d, struct err *e)
{
	const struct round_spec *s = &w->spec;
	struct snapshot_row snapshot;
	struct round_row previous;

	if (s->previous.p) {
		int rc = store_round_get(db, &w->arena, s->previous, &previous, e);

		if (rc < 0 && e->problem != P_UNKNOWN_ROUND)
			return -1;
		if (rc < 0 || previous.dataset_key != d->key)
			return err_at(e, P_UNKNOWN_ID, "/previous", "%.*s has no round %.*s", STR_ARG(d->name),
			              STR_ARG(s->previous));
	}
	if (s->has_replay) {
		int rc = store_snapshot_get(db, &w->arena, s->replay.snapshot, &snapshot, e);

		if (rc < 0 && e->problem != P_UNKNOWN_SNAPSHOT)
			return -1;
		if (rc < 0 || snapshot.state == SNAPSHOT_DELETED)
			return err_at(e, P_UNKNOWN_ID, "/replay/snapshot", "there is no snapshot %.*s",
			              STR_ARG(s->replay.snapshot));
	}
	return check_engines(w, db, e);
}

static void fill_row(struct create_work *w, const struct dataset *d)
{
	const struct round_spec *s = &w->spec;
	char id[2 * ID_RANDOM_BYTES + 1];
	struct buf spec = BUF_INIT;

	random_hex(id, ID_RANDOM_BYTES);
	round_spec_print(&spec, s, SPEC_STORED);
	w->row = (struct round_row){
		.id = s->name.p ? s->name : arena_str(&w->arena, str_of(id)),
		.name = s->name,
		.dataset = w->dataset,
		.dataset_key = d->key,
		.state = ROUND_OPEN,
		.mode = s->mode,
		.posted = w->posted,
		.spec = arena_str(&w->arena, buf_view(&spec)),
		.policy = s->policy,
		.reference = s->reference,
		.previous = s->previous,
		.per_prompt = s->mode == ROUND_SAMPLE ? (uint32_t)s->per_prompt : 0,
		.lease_us = s->lease_seconds * 1000000,
		.exclude_finish_reason = s->exclude_finish_reasons.at,
		.excludes = (uint32_t)s->exclude_finish_reasons.n,
		.min_characters = s->min_characters,
		.max_characters = s->max_characters,
		.created_at = clock_now_us(),
	};
	buf_release(&spec);
}

static int apply_create(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct create_work *w = (struct create_work *)work;
	struct str split = str_eq(w->spec.split, STR("*")) ? STR_NONE : w->spec.split;
	struct dataset d;
	int64_t prompts;
	int rc;

	if (store_dataset_get(db, &w->arena, w->dataset, &d, e) < 0)
		return -1;
	rc = name_free(w, db, &d, out, e);
	if (rc <= 0)
		return rc;
	if (check_named(w, db, &d, e) < 0)
		return -1;
	fill_row(w, &d);
	if (store_round_insert(db, &w->row, split, w->spec.limit, w->spec.seed, &prompts, e) < 0)
		return -1;
	out->status = 201;
	answer_header(out, "Location", "/v1/rounds/%.*s", STR_ARG(w->row.id));
	return report(w->service, &out->body, db, &w->arena, &w->row, e);
}

static void create_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct create_work *w = (struct create_work *)work;

	(void)committed;
	(void)out;
	(void)keep;
	arena_release(&w->arena);
	heap_free(w);
}

void rounds_create(struct service *s, struct str dataset, struct str body,
                   const struct origin_key *origin, struct pending *p)
{
	struct create_work *w = heap_zalloc(1, sizeof *w);
	struct err e = {0};

	w->service = s;
	w->dataset = arena_str(&w->arena, dataset);
	w->work.pending = p;
	w->work.apply = apply_create;
	w->work.settled = create_settled;
	work_origin(&w->work, &w->arena, origin);
	if (round_spec_read(&w->arena, arena_str(&w->arena, body), &w->spec, &w->posted, &e) == 0) {
		writer_submit(s, &w->work);
		return;
	}
	pending_fail(p, &e);
	create_settled(&w->work, false, NULL, NULL);
}

/* --- telling of them ------------------------------------------------------------------- */

int rounds_get(struct service *s, struct str round, struct answer *out, struct err *e)
{
	struct arena a = {0};
	struct round_row row;
	struct store *db;
	int rc;

	if (reader_get(s, &db, e) < 0)
		return -1;
	out->status = 200;
	rc = store_round_get(db, &a, round, &row, e);
	if (rc == 0)
		rc = report(s, &out->body, db, &a, &row, e);
	reader_put(s, db);
	arena_release(&a);
	return rc;
}

static int list_page(struct service *s, struct store *db, struct str dataset, struct page *page,
                     struct answer *out, struct err *e)
{
	struct round_row *row = NULL;
	struct dataset d = {.key = 0};
	struct arena a = {0};
	uint32_t n = 0, asked;
	int rc = dataset.p ? store_dataset_get(db, &a, dataset, &d, e) : 0;

	buf_lit(&out->body, "{\"rounds\":[");
	do {
		asked = page->left;
		if (rc == 0)
			rc = store_round_list(db, &a, d.key, page->after, asked, &row, &n, e);
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			if (page_shows(page, &out->body, row[i].dataset, row[i].id))
				rc = report(s, &out->body, db, &a, &row[i], e);
	} while (rc == 0 && n == asked && page->left > 0);
	if (rc == 0)
		print_page_end(&out->body, page->left == 0, page->shown);
	out->status = 200;
	arena_release(&a);
	return rc;
}

int rounds_list(struct service *s, const struct access *who, struct str dataset, struct str after, uint32_t limit,
                struct answer *out, struct err *e)
{
	struct page page = {who, after, limit, STR_NONE};
	struct store *db;
	int rc;

	if (reader_get(s, &db, e) < 0)
		return -1;
	rc = list_page(s, db, dataset, &page, out, e);
	reader_put(s, db);
	return rc;
}

/* --- the end of one ----------------------------------------------------------------------- */

struct close_work {
	struct work work;
	struct service *service;
	struct arena arena;
	struct str round;
};

/* Twice is once. */
static int apply_close(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct close_work *w = (struct close_work *)work;
	struct round_row row;

	if (store_round_get(db, &w->arena, w->round, &row, e) < 0)
		return -1;
	if (row.state == ROUND_OPEN && store_round_close(db, w->round, e) < 0)
		return -1;
	row.state = ROUND_CLOSED;
	out->status = 200;
	return report(w->service, &out->body, db, &w->arena, &row, e);
}

static void close_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct close_work *w = (struct close_work *)work;

	(void)out;
	(void)keep;
	if (committed)
		scores_stop(w->service->scores, w->round);
	arena_release(&w->arena);
	heap_free(w);
}

void rounds_close(struct service *s, struct str round, const struct origin_key *origin, struct pending *p)
{
	struct close_work *w = heap_zalloc(1, sizeof *w);

	w->service = s;
	w->round = arena_str(&w->arena, round);
	w->work.pending = p;
	w->work.apply = apply_close;
	w->work.settled = close_settled;
	work_origin(&w->work, &w->arena, origin);
	writer_submit(s, &w->work);
}
