/* rescore.c - POST …/rescore: a round's rewards under other values.
 *
 *      READING (pages of prompts) --> SEARCHING (alpha) --> SUMMING --> stored
 *
 * Steps run on the pool; between two of them nothing of the store is held. The
 * facts are those at the number that was pinned first. What is stored is how
 * to work it out again and a summary, never a reward. A request whose time is
 * over is dropped between two steps: what nobody is told of is not stored. */
#include "service/rounds.h"

#include "align/alpha.h"
#include "base/clock.h"
#include "base/exact.h"
#include "base/heap.h"
#include "inside.h"
#include "print.h"
#include "rescored.h"
#include "round_report.h"
#include "weigh.h"

enum {
	RESCORES_MAX = 4,               /* at a time: each holds all rewards of its round */
	RESCORE_RESPONSES_MAX = 1 << 26, /* of one round; 16 bytes each */
	STEP_US = 40 * 1000,
	PAGE_PROMPTS = 128,
	REWARD_BINS = 20,
};

enum phase { PHASE_READING, PHASE_SEARCHING, PHASE_SUMMING, PHASE_OVER };

struct rescore {
	struct work work; /* once it is stored */
	struct service *service;
	struct pending *pending;
	struct arena arena, page;
	struct str id, body;
	enum phase phase; /* the next */
	bool begun;
	struct round_row round;
	struct rescore_params params;
	struct terms terms;
	int64_t seq;
	struct buf after;                  /* the last prompt's id */
	struct buf reward, length, first;  /* double, double, uint32_t: struct implicit_groups' arrays */
	struct implicit_groups groups;
	uint64_t dropped[LEFT_OUT_COUNT];
	struct buf result;                 /* members of the answer */
	struct err err;
};

static size_t responses(const struct rescore *j)
{
	return j->reward.n / sizeof(double);
}

/* --- reading ------------------------------------------------------------------------- */

static int begin(struct rescore *j, struct store *db)
{
	struct round_spec spec;
	struct dataset d;

	if (store_round_get(db, &j->arena, j->id, &j->round, &j->err) < 0 ||
	    round_spec_load(&j->arena, j->round.spec, &spec, &j->err) < 0 ||
	    rescore_params_read(&j->arena, j->body, &spec, &j->params, &j->err) < 0)
		return -1;
	if (store_dataset_get(db, &j->arena, j->round.dataset, &d, &j->err) < 0 || d.key != j->round.dataset_key)
		return err_set(&j->err, P_GONE, "the round's dataset was deleted");
	j->terms = rescore_terms(&j->round, &j->params);
	j->seq = d.seq;
	j->begun = true;
	return 0;
}

static int add_prompt(struct rescore *j, const struct round_prompt *p)
{
	uint32_t from = (uint32_t)responses(j);
	struct weighed w;

	if (weigh(&j->terms, p, NULL, &j->page, &w, &j->err) < 0)
		return -1;
	if (from + (size_t)w.n > RESCORE_RESPONSES_MAX)
		return err_set(&j->err, P_TOO_LARGE, "a rescoring takes at most %d responses", RESCORE_RESPONSES_MAX);
	for (uint32_t i = 0; i < p->responses; i++)
		j->dropped[w.drop[i]]++;
	buf_add(&j->first, &from, sizeof from);
	buf_add(&j->reward, w.reward, w.n * sizeof *w.reward);
	buf_add(&j->length, w.length, w.n * sizeof *w.length);
	return 0;
}

/* 1: there may be more, 0: that was all, -1. */
static int read_page(struct rescore *j, struct store *db)
{
	struct str after = j->after.n > 0 ? buf_view(&j->after) : STR_NONE;
	struct round_prompt *prompt;
	uint32_t n;

	arena_reset(&j->page);
	if (store_round_page(db, &j->page, &j->round, after, PAGE_PROMPTS, j->seq, 0, &prompt, &n, &j->err) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (add_prompt(j, &prompt[i]) < 0)
			return -1;
	if (n == 0)
		return 0;
	buf_clear(&j->after);
	buf_str(&j->after, prompt[n - 1].id);
	return 1;
}

static void read_pages(struct rescore *j)
{
	int64_t until = clock_steady_us() + STEP_US;
	struct store *db;
	int rc;

	if (reader_get(j->service, &db, &j->err) < 0)
		return;
	rc = j->begun ? 1 : begin(j, db) == 0;
	while (rc > 0 && (rc = read_page(j, db)) > 0)
		if (clock_steady_us() >= until)
			break;
	reader_put(j->service, db);
	if (rc == 0 && j->err.problem == P_NONE)
		j->phase = PHASE_SEARCHING;
}

/* --- searching -------------------------------------------------------------------------- */

static void search(struct rescore *j)
{
	size_t n = j->first.n / sizeof(uint32_t);
	uint32_t end = (uint32_t)responses(j);

	buf_add(&j->first, &end, sizeof end);
	j->groups = (struct implicit_groups){
		.n = n,
		.first = (const uint32_t *)(const void *)j->first.p,
		.reward = (const double *)(const void *)buf_view(&j->reward).p,
		.length = (const double *)(const void *)buf_view(&j->length).p,
		.skip = ARENA_ARRAY(&j->arena, enum implicit_skip, n),
	};
	implicit_skips(&j->groups, (uint32_t)j->params.min_responses);
	arena_reset(&j->page);
	j->terms.alpha = j->params.alpha.found ? alpha_auto(&j->groups, &j->page) : j->params.alpha.value;
	j->phase = PHASE_SUMMING;
}

/* --- summing ------------------------------------------------------------------------------ */

static double reward_at(const struct rescore *j, size_t i)
{
	return implicit_regular(j->groups.reward[i], j->terms.alpha, j->groups.length[i]);
}

/* Bins of equal width; the last holds its upper edge. */
static uint32_t bin_of(const double *edge, uint32_t bins, double x)
{
	double width = edge[bins] / bins - edge[0] / bins;
	uint32_t k = width > 0 ? (uint32_t)((x - edge[0]) / width) : 0;

	k = k < bins ? k : bins - 1;
	while (k > 0 && x < edge[k])
		k--;
	while (k + 1 < bins && x >= edge[k + 1])
		k++;
	return k;
}

static void print_bins(struct rescore *j, double min, double max)
{
	uint32_t bins = responses(j) == 0 ? 0 : max > min ? REWARD_BINS : 1;
	double edge[REWARD_BINS + 1];
	int64_t count[REWARD_BINS] = {0};

	for (uint32_t i = 0; i < bins; i++)
		edge[i] = min + (max - min) * i / bins;
	edge[bins] = max;
	for (size_t i = 0; i < responses(j); i++)
		count[bin_of(edge, bins, reward_at(j, i))]++;
	print_histogram(&j->result, bins, edge, count);
}

static void print_or_null(struct buf *b, const char *key, bool there, double value)
{
	if (there)
		print_number_member(b, key, value);
	else
		print_member(b, key, STR_NONE);
}

static void print_rewards(struct rescore *j)
{
	struct exact *sum = ARENA_NEW(&j->arena, struct exact);
	size_t n = responses(j);
	double min = n > 0 ? reward_at(j, 0) : 0, max = min;

	for (size_t i = 0; i < n; i++) {
		double x = reward_at(j, i);

		exact_add(sum, x, 1);
		min = x < min ? x : min;
		max = x > max ? x : max;
	}
	json_put_key(&j->result, "rewards");
	buf_byte(&j->result, '{');
	print_or_null(&j->result, "mean", n > 0, exact_mean(sum));
	print_or_null(&j->result, "std", n > 0, exact_std(sum));
	print_or_null(&j->result, "min", n > 0, min);
	print_or_null(&j->result, "max", n > 0, max);
	print_bins(j, min, max);
	buf_byte(&j->result, '}');
}

static void print_reasons(struct rescore *j)
{
	uint64_t skipped[IMPLICIT_SKIPS] = {0};
	struct buf *b = &j->result;

	for (size_t i = 0; i < j->groups.n; i++)
		skipped[j->groups.skip[i]]++;
	json_put_key(b, "skipped");
	buf_byte(b, '{');
	for (int s = IMPLICIT_KEPT + 1; s < IMPLICIT_SKIPS; s++)
		if (skipped[s] > 0)
			print_count_member(b, implicit_skip_word((enum implicit_skip)s), (int64_t)skipped[s]);
	buf_byte(b, '}');
	json_put_key(b, "dropped");
	buf_byte(b, '{');
	for (int d = LEFT_OUT_NONE + 1; d < LEFT_OUT_COUNT; d++)
		if (j->dropped[d] > 0)
			print_count_member(b, implicit_drop_word((enum implicit_drop)d), (int64_t)j->dropped[d]);
	buf_byte(b, '}');
}

static void sum_up(struct rescore *j)
{
	struct buf *b = &j->result;

	print_count_member(b, "prompts", (int64_t)j->groups.n);
	print_count_member(b, "pairs", (int64_t)j->groups.kept);
	print_reasons(j);
	json_put_key(b, "length_gap");
	buf_byte(b, '{');
	print_number_member(b, "before", implicit_gap(&j->groups, 0));
	print_number_member(b, "after", implicit_gap(&j->groups, j->terms.alpha));
	buf_byte(b, '}');
	print_rewards(j);
	j->phase = PHASE_OVER;
}

/* --- storing: on the writer's thread --------------------------------------------------------- */

static void rescore_free(struct rescore *j)
{
	atomic_fetch_sub(&j->service->rescores, 1);
	pending_unref(j->pending);
	buf_release(&j->after);
	buf_release(&j->reward);
	buf_release(&j->length);
	buf_release(&j->first);
	buf_release(&j->result);
	arena_release(&j->page);
	arena_release(&j->arena);
	heap_free(j);
}

static int apply(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct rescore *j = (struct rescore *)work;
	struct buf params = BUF_INIT;
	struct rescoring_row row = {
		.seq = j->seq,
		.alpha = j->terms.alpha,
		.beta = j->terms.beta,
		.result = buf_view(&j->result),
		.created_at = clock_now_us(),
	};
	int rc;

	rescore_params_print(&params, &j->params);
	row.params = buf_view(&params);
	rc = store_rescoring_insert(db, j->id, &row, e);
	out->status = 200;
	if (rc == 0)
		report_rescoring(&out->body, &row);
	buf_release(&params);
	return rc;
}

static void settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	(void)committed;
	(void)out;
	(void)keep;
	rescore_free((struct rescore *)work);
}

/* --- its life ----------------------------------------------------------------------------------- */

/* On the pool. */
static void step(void *ctx)
{
	struct rescore *j = ctx;

	if (j->phase == PHASE_READING)
		read_pages(j);
	else if (j->phase == PHASE_SEARCHING)
		search(j);
	else
		sum_up(j);
}

/* Loop's thread. */
static void next(void *ctx)
{
	struct rescore *j = ctx;

	if (j->err.problem != P_NONE || atomic_load(&j->pending->taken)) {
		pending_fail(j->pending, &j->err);
		rescore_free(j);
	} else if (j->phase == PHASE_OVER) {
		writer_submit(j->service, &j->work);
	} else {
		loop_work(j->service->loop, step, next, j);
	}
}

void rounds_rescore(struct service *s, struct str round, struct str body,
                    const struct origin_key *origin, struct pending *p)
{
	struct rescore *j;
	struct err e = {0};

	if (atomic_fetch_add(&s->rescores, 1) >= RESCORES_MAX) {
		atomic_fetch_sub(&s->rescores, 1);
		err_set(&e, P_UNAVAILABLE, "%d rescorings are under way; try again when one is done", RESCORES_MAX);
		pending_fail(p, &e);
		return;
	}
	j = heap_zalloc(1, sizeof *j);
	j->service = s;
	j->pending = p;
	pending_ref(p);
	j->id = arena_str(&j->arena, round);
	j->body = arena_str(&j->arena, body);
	j->work.pending = p;
	j->work.apply = apply;
	j->work.settled = settled;
	work_origin(&j->work, &j->arena, origin);
	loop_call(s->loop, next, j);
}
