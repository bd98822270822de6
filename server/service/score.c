/* score.c - the runs: begun, told of, ended. */
#include "score.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/json.h"
#include "print.h"
#include "score_run.h"

enum { RUNS_KEPT_MAX = 256 }; /* reports of runs that are over */

static const char *const state_words[] = {
	[SCORING_RUNNING] = "running", [SCORING_DONE] = "done", [SCORING_STOPPED] = "stopped"};

struct scores *scores_new(struct service *s)
{
	struct scores *x = heap_zalloc(1, sizeof *x);

	x->service = s;
	pthread_mutex_init(&x->mutex, NULL);
	return x;
}

static void free_runs(struct run *r)
{
	while (r) {
		struct run *next = r->next;

		run_free(r);
		r = next;
	}
}

void scores_free(struct scores *x)
{
	if (x == NULL)
		return;
	free_runs(x->fresh);
	free_runs(x->runs);
	pthread_mutex_destroy(&x->mutex);
	heap_free(x);
}

/* --- the loop's round -------------------------------------------------------------------- */

static void poked(void *scores)
{
	struct scores *x = scores;

	x->poked = false;
	scores_go_on(x);
}

void scores_poke(struct scores *x)
{
	if (x->poked)
		return;
	x->poked = true;
	loop_call(x->service->loop, poked, x);
}

/* What was begun since comes to the others; of those that are over the newest stay. */
static void take_over(struct scores *x)
{
	struct run **at = &x->runs, *gone = NULL;
	int over = 0;

	pthread_mutex_lock(&x->mutex);
	while (x->fresh) {
		struct run *r = x->fresh;

		x->fresh = r->next;
		r->next = x->runs;
		x->runs = r;
	}
	while (*at) {
		struct run *r = *at;

		if (r->over && (r->replaced || ++over > RUNS_KEPT_MAX)) {
			*at = r->next;
			r->next = gone;
			gone = r;
		} else {
			at = &r->next;
		}
	}
	pthread_mutex_unlock(&x->mutex);
	free_runs(gone);
}

/* Who has less under way comes first; of equals, who has waited longest. */
static bool before(const struct side *a, const struct side *b)
{
	return a->out.n != b->out.n ? a->out.n < b->out.n : a->turn < b->turn;
}

static struct side *next_side(const struct scores *x)
{
	struct side *best = NULL;

	for (struct run *r = x->runs; r; r = r->next)
		for (int m = 0; m < 2; m++)
			if (run_may_ask(&r->side[m]) && (best == NULL || before(&r->side[m], best)))
				best = &r->side[m];
	return best;
}

/* Places come free one at a time: given out in the list's order, the first run
 * would have each of them until its end. */
static void ask(struct scores *x)
{
	for (struct side *d = next_side(x); d; d = next_side(x)) {
		d->turn = ++x->turn;
		run_ask(d);
	}
}

static void woken(void *scores)
{
	struct scores *x = scores;

	x->wake_us = 0;
	scores_go_on(x);
}

/* An alarm for what rests; earlier ones may still come and do no harm. */
static void set_alarm(struct scores *x)
{
	int64_t due = 0, now = clock_steady_us();

	for (const struct run *r = x->runs; r; r = r->next) {
		int64_t own = run_due_us(r);

		if (own > 0 && (due == 0 || own < due))
			due = own;
	}
	if (due == 0 || (x->wake_us > 0 && x->wake_us <= due))
		return;
	x->wake_us = due;
	loop_after(x->service->loop, due > now ? (uint64_t)(due - now) / 1000 + 1 : 1, woken, x);
}

void scores_go_on(void *scores)
{
	struct scores *x = scores;

	take_over(x);
	for (struct run *r = x->runs; r; r = r->next) {
		if (x->draining)
			atomic_store(&r->stop, true);
		run_go_on(r);
	}
	ask(x);
	set_alarm(x);
}

/* --- the door ------------------------------------------------------------------------------- */

/* The latest; the mutex is held. */
static struct run *find(struct scores *x, struct str round)
{
	struct run *const list[2] = {x->fresh, x->runs};

	for (int i = 0; i < 2; i++)
		for (struct run *r = list[i]; r; r = r->next)
			if (!r->replaced && str_eq(r->round.id, round))
				return r;
	return NULL;
}

void scores_begin(struct scores *x, const struct score_plan *plan)
{
	struct run *r;

	pthread_mutex_lock(&x->mutex);
	r = find(x, plan->round.id);
	if (r == NULL || r->report.state != SCORING_RUNNING) {
		if (r)
			r->replaced = true;
		r = run_new(x, plan);
		r->next = x->fresh;
		x->fresh = r;
		loop_call(x->service->loop, scores_go_on, x);
	}
	pthread_mutex_unlock(&x->mutex);
}

void scores_stop(struct scores *x, struct str round)
{
	struct run *r;

	pthread_mutex_lock(&x->mutex);
	r = find(x, round);
	if (r && r->report.state == SCORING_RUNNING) {
		atomic_store(&r->stop, true);
		loop_call(x->service->loop, scores_go_on, x);
	}
	pthread_mutex_unlock(&x->mutex);
}

bool scores_get(struct scores *x, struct str round, struct scoring *out)
{
	struct run *r;

	pthread_mutex_lock(&x->mutex);
	r = find(x, round);
	if (r)
		*out = r->report;
	pthread_mutex_unlock(&x->mutex);
	return r != NULL;
}

void scores_drain(struct scores *x)
{
	x->draining = true;
	scores_go_on(x);
}

void print_scoring(struct buf *b, const struct scoring *x)
{
	json_put_key(b, "scoring");
	buf_byte(b, '{');
	print_member(b, "state", str_of(state_words[x->state]));
	print_count_member(b, "asked", x->asked);
	print_count_member(b, "delivered", x->delivered);
	json_put_key(b, "failed");
	buf_byte(b, '{');
	for (int f = FAILED_NONE + 1; f < SCORE_FAILURE_COUNT; f++)
		if (x->failed[f] > 0)
			print_count_member(b, score_failure_word((enum score_failure)f), x->failed[f]);
	buf_lit(b, "}}");
}
