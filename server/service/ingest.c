#include "service/ingest.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/split.h"
#include "base/zip.h"
#include "errors.h"
#include "inside.h"
#include "rows.h"
#include "store/round.h"

enum { COUNTS_BYTES = 512 }; /* the counts as text, mostly */

struct ingest {
	struct work work; /* first: the writer hands it back as a work */
	struct service *service;
	struct ingest_options options; /* strs copied into the arena */
	struct arena arena;            /* the request's */
	struct arena row;              /* one row's; the writer's while it applies */
	struct dataset dataset;        /* of facts */
	struct round_row round;        /* of deliveries */
	struct row_rules rules;
	struct unzip *unzip;
	struct split split;
	struct spool spool;
	struct buf packed;
	struct sha256 hash;
	struct row_errors broken, invalid; /* the first pass: each its own kind */
	struct row_errors late;            /* the second: ids and conflicts */
	struct err refused;                /* the whole body, once problem != P_NONE */
	uint64_t rows;
};

/* What the rows came to. */
struct tally {
	struct counts facts;
	struct delivery_counts delivered;
};

/* --- the first pass: the connection's thread ------------------------------------------ */

static int take_row(void *ctx, uint64_t number, struct str text, struct err *e)
{
	struct ingest *in = ctx;
	struct row row;

	if (number >= (uint64_t)in->service->conf->rows)
		return err_set(e, P_TOO_LARGE, "more than %lld rows in one body", (long long)in->service->conf->rows);
	in->rows = number + 1;
	arena_reset(&in->row);
	if (row_read(&in->row, &in->rules, text, &row, e) < 0) {
		row_errors_add(e->problem == P_BROKEN_JSON ? &in->broken : &in->invalid, number, e);
		/* A broken element leaves nothing of its array to trust. */
		return e->problem == P_BROKEN_JSON && in->options.split == SPLIT_JSON ? -1 : 0;
	}
	row.number = number;
	buf_clear(&in->packed);
	row_pack(&in->packed, &row);
	return spool_add(&in->spool, buf_view(&in->packed), e);
}

static int take_bytes(void *ctx, const char *p, size_t n, struct err *e)
{
	struct ingest *in = ctx;

	metric_add(M_BODY_BYTES, (int64_t)n);
	if (in->options.idempotency_key.p)
		sha256_add(&in->hash, p, n);
	return split_feed(&in->split, p, n, e);
}

static void copy_options(struct ingest *in, const struct ingest_options *o)
{
	in->options = *o;
	in->options.dataset = arena_str(&in->arena, o->dataset);
	in->options.round = arena_str(&in->arena, o->round);
	in->options.judge = arena_str(&in->arena, o->judge);
	in->options.idempotency_key = arena_str(&in->arena, o->idempotency_key);
	in->options.target = arena_str(&in->arena, o->target);
}

/* The dataset of facts, the round of deliveries. */
static int find_place(struct ingest *in, struct err *e)
{
	struct store *db;
	int rc;

	if (in->options.round.p == NULL)
		return known_dataset(in->service, &in->arena, in->options.dataset, &in->dataset, e);
	if (reader_get(in->service, &db, e) < 0)
		return -1;
	rc = store_round_get(db, &in->arena, in->options.round, &in->round, e);
	reader_put(in->service, db);
	return rc;
}

int ingest_open(struct ingest **out, struct service *s, const struct ingest_options *o, struct err *e)
{
	struct ingest *in = heap_zalloc(1, sizeof *in);

	in->service = s;
	copy_options(in, o);
	if (find_place(in, e) < 0) {
		arena_release(&in->arena);
		heap_free(in);
		return -1;
	}
	in->rules = (struct row_rules){o->kind, o->format, in->options.judge, o->fix_overall, &in->dataset, &in->round};
	in->unzip = unzip_new(o->coding, (uint64_t)s->conf->body_bytes, take_bytes, in);
	split_init(&in->split, o->split, (size_t)s->conf->row_bytes, take_row, in);
	spool_init(&in->spool, &s->spools);
	sha256_init(&in->hash);
	sha256_field(&in->hash, in->options.target);
	row_errors_init(&in->broken, &in->arena);
	row_errors_init(&in->invalid, &in->arena);
	row_errors_init(&in->late, &in->arena);
	*out = in;
	return 0;
}

void ingest_feed(struct ingest *in, const char *p, size_t n)
{
	struct err e = {0};

	if (in->refused.problem == P_NONE && unzip_feed(in->unzip, p, n, &e) != 0)
		in->refused = e;
}

bool ingest_refused(const struct ingest *in)
{
	return in->refused.problem != P_NONE;
}

static void ingest_free(struct ingest *in)
{
	if (in->unzip)
		unzip_free(in->unzip);
	split_release(&in->split);
	spool_release(&in->spool);
	buf_release(&in->packed);
	arena_release(&in->row);
	arena_release(&in->arena);
	heap_free(in);
}

void ingest_abort(struct ingest *in)
{
	ingest_free(in);
}

/* --- the second pass: the writer's thread ---------------------------------------------- */

/* Problems of one row; anything else is the whole request's. */
static bool about_a_row(enum problem p)
{
	return p == P_CONFLICT || p == P_UNKNOWN_ID || p == P_INVALID;
}

static int put_row(struct ingest *in, struct store *db, const struct row *row, struct tally *t, struct err *e)
{
	if (row->kind == ROW_SAMPLE)
		return store_sample_put(db, in->options.round, &row->sample, clock_now_us(), &t->delivered, e);
	if (row->kind == ROW_LOGPROB)
		return store_logprob_put(db, in->options.round, row->logprob.response, &row->logprob.logprob,
		                         &t->delivered, e);
	return store_put(db, in->options.dataset, row, in->options.on_conflict, clock_now_us(), &t->facts, e);
}

static int put_rows(struct ingest *in, struct store *db, struct tally *t, struct err *e)
{
	struct str frame;
	struct row row;
	int more;

	spool_rewind(&in->spool);
	while ((more = spool_next(&in->spool, &frame, e)) > 0) {
		arena_reset(&in->row);
		if (row_unpack(&in->row, frame, &row, e) < 0)
			return -1;
		if (put_row(in, db, &row, t, e) == 0)
			continue;
		if (!about_a_row(e->problem))
			return -1;
		row_errors_add(&in->late, row.number, e);
	}
	return more;
}

static void put_count(struct buf *b, const char *name, uint64_t n)
{
	buf_z(b, name);
	buf_uint(b, n);
}

static void put_counts(struct buf *b, const struct ingest *in, const struct counts *c, uint64_t rejected)
{
	bool replaced = in->options.on_conflict == CONFLICT_REPLACE;

	buf_room(b, COUNTS_BYTES);
	put_count(b, "{\"rows\":", in->rows);
	put_count(b, ",\"prompts\":{\"created\":", c->prompts_created);
	put_count(b, ",\"unchanged\":", c->prompts_unchanged);
	if (replaced)
		put_count(b, ",\"replaced\":", c->prompts_replaced);
	put_count(b, "},\"responses\":{\"created\":", c->responses_created);
	put_count(b, ",\"unchanged\":", c->responses_unchanged);
	if (replaced)
		put_count(b, ",\"replaced\":", c->responses_replaced);
	put_count(b, "},\"scores\":{\"created\":", c->scores_created);
	put_count(b, ",\"revised\":", c->scores_revised);
	put_count(b, ",\"unchanged\":", c->scores_unchanged);
	put_count(b, "},\"comparisons\":{\"created\":", c->comparisons_created);
	put_count(b, ",\"revised\":", c->comparisons_revised);
	put_count(b, ",\"unchanged\":", c->comparisons_unchanged);
	put_count(b, "},\"rejected\":", rejected);
	buf_byte(b, ',');
}

static void put_delivered(struct buf *b, const struct ingest *in, const struct delivery_counts *c, uint64_t rejected)
{
	bool samples = in->options.kind == ROW_SAMPLE;

	buf_printf(b, "{\"%s\":{\"created\":%llu,\"%s\":%llu}", samples ? "responses" : "logprobs",
	           (unsigned long long)(samples ? c->responses_created : c->logprobs_created),
	           samples ? "unchanged" : "kept",
	           (unsigned long long)(samples ? c->responses_unchanged : c->logprobs_kept));
	if (rejected)
		buf_printf(b, ",\"rejected\":%llu,", (unsigned long long)rejected);
}

/* A closed round refuses the body as a whole, whatever its rows. */
static int check_open(struct ingest *in, struct store *db, struct err *e)
{
	struct round_row now;

	if (store_round_get(db, &in->arena, in->options.round, &now, e) < 0)
		return -1;
	if (now.state == ROUND_CLOSED)
		return err_set(e, P_CONFLICT, "round %.*s is closed and takes no deliveries", STR_ARG(in->options.round));
	return 0;
}

static int apply_rows(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct ingest *in = (struct ingest *)work;
	struct row_errors *all[3] = {&in->broken, &in->invalid, &in->late};
	struct tally t = {0};
	uint64_t rejected;

	row_errors_init(&in->late, &in->arena);
	if ((in->options.round.p && check_open(in, db, e) < 0) || put_rows(in, db, &t, e) < 0)
		return -1;
	if (in->late.total > 0 && !in->options.on_error_continue)
		return row_errors_refuse(&in->late, in->rows, out, e);
	rejected = in->broken.total + in->invalid.total + in->late.total;
	out->status = rejected ? 207 : 200;
	if (in->options.round.p)
		put_delivered(&out->body, in, &t.delivered, rejected);
	else
		put_counts(&out->body, in, &t.facts, rejected);
	if (!in->options.round.p || rejected)
		row_errors_print(&out->body, all, 3);
	buf_byte(&out->body, '}');
	metric_add(M_ROWS_ACCEPTED, (int64_t)(in->rows - rejected));
	metric_add(M_ROWS_REJECTED, (int64_t)rejected);
	return 0;
}

static void drop(void *in)
{
	ingest_free(in);
}

static void rows_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct ingest *in = (struct ingest *)work;

	(void)out;
	(void)keep;
	if (!committed)
		metric_add(M_ROWS_REJECTED, (int64_t)in->rows);
	/* Freed by the thread that filled it: that takes no lock of malloc's. */
	pending_keep(work->pending, drop, in);
}

/* --- the end of the body ------------------------------------------------------------------ */

/* What the first pass found, as the answer. -1: refused. */
static int first_verdict(struct ingest *in, struct answer *out, struct err *e)
{
	struct row_errors *bad;

	if (in->refused.problem == P_NONE && unzip_end(in->unzip, e) != 0)
		in->refused = *e;
	if (in->refused.problem == P_NONE && split_end(&in->split, e) != 0)
		in->refused = *e;
	if (in->refused.problem == P_NONE && spool_seal(&in->spool, e) < 0)
		in->refused = *e;
	if (in->refused.problem != P_NONE) {
		*e = in->refused;
		if (in->refused.problem == P_BROKEN_JSON && in->broken.total)
			row_errors_refuse(&in->broken, in->rows, out, e);
		return -1;
	}
	/* Only now: the end may have handed out the last row. */
	bad = in->broken.total ? &in->broken : &in->invalid;
	if (bad->total > 0 && !in->options.on_error_continue)
		return row_errors_refuse(bad, in->rows, out, e);
	return 0;
}

void ingest_submit(struct ingest *in, struct pending *p)
{
	struct err e = {0};
	struct answer verdict;

	answer_init(&verdict);
	if (first_verdict(in, &verdict, &e) < 0) {
		metric_add(M_ROWS_REJECTED, (int64_t)in->rows);
		if (pending_take(p)) {
			p->answer.problem_more = verdict.problem_more;
			answer_problem(&p->answer, &e);
			pending_finish(p);
		}
		ingest_free(in);
		return;
	}
	in->work.pending = p;
	in->work.apply = apply_rows;
	in->work.settled = rows_settled;
	in->work.node.weight = (size_t)in->spool.bytes;
	in->work.checks_first = in->rows == 1 && (in->options.kind == ROW_SCORE || in->options.kind == ROW_COMPARISON);
	in->work.origin.key = in->options.idempotency_key;
	sha256_end(&in->hash, in->work.origin.hash);
	writer_submit(in->service, &in->work);
}
