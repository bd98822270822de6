#include "score_run.h"

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "store/row.h"

enum {
	PAGE_PROMPTS = 32,
	DELIVERY_ROWS = 1024,
	BUSY_US = 500 * 1000, /* until the writer is tried again */
};

/* Some log-probabilities on their way to the store. */
struct delivery {
	struct work work;
	struct run *run;
	struct asks asks;
	bool committed;
	struct err err;
};

/* --- what is told ------------------------------------------------------------------------- */

static void set_state(struct run *r, enum scoring_state state)
{
	pthread_mutex_lock(&r->scores->mutex);
	r->report.state = state;
	pthread_mutex_unlock(&r->scores->mutex);
	log_info("score", "round=%.*s state=%s asked=%lld delivered=%lld", STR_ARG(r->round.id),
	         state == SCORING_DONE ? "done" : "stopped", (long long)r->report.asked, (long long)r->report.delivered);
}

/* The store cannot be read or written: what is missing stays missing. */
static void give_up(struct run *r, const struct err *e)
{
	if (e->problem != P_CONFLICT) /* the round was closed */
		log_warn("score", "round=%.*s problem=%s detail=\"%s\"", STR_ARG(r->round.id), problem_slug(e->problem),
		         e->detail);
	atomic_store(&r->stop, true);
}

/* --- pages: on the pool -------------------------------------------------------------------- */

static void add_to_page(struct side *d, const struct unscored_response *u)
{
	struct ask *a = heap_zalloc(1, sizeof *a);
	enum score_failure failed = engine_ids_read(&a->arena, u->prompt_token_ids, u->token_ids, &a->ids);

	if (failed != FAILED_NONE) {
		d->page_failed[failed]++;
		ask_free(a);
		return;
	}
	a->side = d;
	a->response = arena_str(&a->arena, u->id);
	asks_put(&d->page, a);
}

static void read_page(void *ctx)
{
	struct side *d = ctx;
	struct service *s = d->run->scores->service;
	struct str after = d->after.n > 0 ? buf_view(&d->after) : STR_NONE, last;
	struct unscored_response *u;
	struct arena arena = {0};
	struct store *db;
	uint32_t n;

	if (reader_get(s, &db, &d->err) < 0)
		return;
	if (store_round_unscored(db, &arena, &d->run->round, d->model, after, PAGE_PROMPTS, &u, &n, &last, &d->err) == 0) {
		for (uint32_t i = 0; i < n; i++)
			add_to_page(d, &u[i]);
		d->page_last = last.p == NULL;
		buf_clear(&d->after);
		buf_str(&d->after, last);
	}
	reader_put(s, db);
	arena_release(&arena);
}

static void page_read(void *ctx)
{
	struct side *d = ctx;
	struct run *r = d->run;

	d->reading = false;
	r->working--;
	if (d->err.problem != P_NONE)
		give_up(r, &d->err);
	for (int f = 0; f < SCORE_FAILURE_COUNT; f++) {
		if (d->page_failed[f] > 0)
			run_count(r, &r->report.failed[f], d->page_failed[f]);
		d->page_failed[f] = 0;
	}
	d->exhausted = d->page_last;
	asks_move(&d->ready, &d->page);
	scores_go_on(r->scores);
}

static void read_on(struct side *d)
{
	if (!d->wanted || d->reading || d->exhausted || d->ready.n >= d->gate->max)
		return;
	d->reading = true;
	d->run->working++;
	loop_work(d->run->scores->service->loop, read_page, page_read, d);
}

/* --- delivering ---------------------------------------------------------------------------------- */

/* Writer. What it does not know any more is left out; a closed round ends all. */
static int apply(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct delivery *d = (struct delivery *)work;
	const struct round_row *round = &d->run->round;
	struct delivery_counts counts = {0};

	(void)out;
	for (struct ask *a = d->asks.head; a; a = a->next) {
		struct logprob l = {
			.model = a->side->model == 0 ? round->policy : round->reference,
			.logprob = a->logprob,
			.tokens = (int64_t)(a->ids.n - a->ids.prompt),
		};

		if (store_logprob_put(db, round->id, a->response, &l, &counts, e) == 0)
			continue;
		if (e->problem != P_UNKNOWN_ID)
			return -1;
		a->failed = FAILED_UNKNOWN_RESPONSE;
	}
	return 0;
}

static void count_delivered(struct run *r, const struct asks *asks)
{
	pthread_mutex_lock(&r->scores->mutex);
	for (const struct ask *a = asks->head; a; a = a->next) {
		if (a->failed == FAILED_NONE)
			r->report.delivered++;
		else
			r->report.failed[a->failed]++;
	}
	pthread_mutex_unlock(&r->scores->mutex);
}

/* Loop's thread. */
static void delivered(void *ctx)
{
	struct delivery *d = ctx;
	struct run *r = d->run;

	r->delivery = NULL;
	if (d->committed) {
		count_delivered(r, &d->asks);
	} else if (d->err.problem == P_UNAVAILABLE && !writer_failed(r->scores->service->writer)) {
		asks_move(&r->scored, &d->asks);
		r->deliver_at_us = clock_steady_us() + BUSY_US;
	} else {
		r->refused = true;
		give_up(r, &d->err);
	}
	asks_free(&d->asks);
	heap_free(d);
	scores_go_on(r->scores);
}

/* Writer's thread. */
static void settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct delivery *d = (struct delivery *)work;

	(void)keep;
	d->committed = committed;
	d->err = out->err;
	loop_call(d->run->scores->service->loop, delivered, d);
}

static void deliver(struct run *r)
{
	struct delivery *d;

	if (r->delivery || r->scored.n == 0 || r->deliver_at_us > clock_steady_us())
		return;
	r->delivery = d = heap_zalloc(1, sizeof *d);
	d->run = r;
	d->work.apply = apply;
	d->work.settled = settled;
	while (r->scored.head && d->asks.n < DELIVERY_ROWS) {
		struct ask *a = r->scored.head;

		asks_take(&r->scored, a);
		asks_put(&d->asks, a);
	}
	writer_submit(r->scores->service, &d->work);
}

/* --- its life -------------------------------------------------------------------------------------- */

static void copy_round(struct run *r, const struct round_row *from)
{
	struct str *reason = ARENA_ARRAY(&r->arena, struct str, from->excludes);

	for (uint32_t i = 0; i < from->excludes; i++)
		reason[i] = arena_str(&r->arena, from->exclude_finish_reason[i]);
	r->round = *from;
	r->round.id = arena_str(&r->arena, from->id);
	r->round.policy = arena_str(&r->arena, from->policy);
	r->round.reference = arena_str(&r->arena, from->reference);
	r->round.exclude_finish_reason = reason;
	/* Nobody here asks for the others. */
	r->round.name = r->round.dataset = r->round.posted = r->round.spec = r->round.previous = STR_NONE;
}

struct run *run_new(struct scores *x, const struct score_plan *plan)
{
	struct run *r = heap_zalloc(1, sizeof *r);

	r->scores = x;
	copy_round(r, &plan->round);
	for (int m = 0; m < 2; m++) {
		struct side *d = &r->side[m];

		d->run = r;
		d->model = m;
		d->wanted = plan->wanted[m];
		if (!d->wanted)
			continue;
		d->engine = plan->engine[m];
		d->engine.id = arena_str(&r->arena, plan->engine[m].id);
		d->engine.url = arena_str(&r->arena, plan->engine[m].url);
		d->engine.model = arena_str(&r->arena, plan->engine[m].model);
	}
	return r;
}

static struct gate *gate_get(struct scores *x, const struct engine_row *engine)
{
	struct gate *g = x->gates;

	while (g && !str_eq(str_of(g->id), engine->id))
		g = g->next;
	if (g == NULL) {
		g = heap_zalloc(1, sizeof *g);
		g->id = heap_strdup(engine->id.p); /* of an arena: a NUL is behind it */
		g->next = x->gates;
		x->gates = g;
	}
	g->max = engine->max_in_flight;
	g->users++;
	return g;
}

static void gate_put(struct scores *x, struct gate *g)
{
	struct gate **at = &x->gates;

	if (g == NULL || --g->users > 0)
		return;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	heap_free(g->id);
	heap_free(g);
}

/* What is under way is dropped, but for answers on the pool. */
static void drop(struct run *r)
{
	fetches_free(r->fetches);
	r->fetches = NULL;
	for (int m = 0; m < 2; m++) {
		struct side *d = &r->side[m];

		asks_free(&d->ready);
		for (struct ask *a = d->out.head, *next; a; a = next) {
			next = a->next;
			if (a->state == ASK_READING)
				continue;
			ask_leave(a);
			ask_free(a);
		}
	}
}

static bool side_done(const struct side *d)
{
	return !d->wanted || (d->exhausted && !d->reading && d->ready.n == 0 && d->out.n == 0);
}

/* All that it held but its name and its report. */
static void finish(struct run *r)
{
	drop(r);
	for (int m = 0; m < 2; m++) {
		buf_release(&r->side[m].after);
		gate_put(r->scores, r->side[m].gate);
		r->side[m].gate = NULL;
	}
	r->over = true;
}

void run_go_on(struct run *r)
{
	int64_t now = clock_steady_us();

	if (r->over)
		return;
	if (run_running(r) && atomic_load(&r->stop)) {
		set_state(r, SCORING_STOPPED);
		drop(r);
	}
	for (int m = 0; m < 2 && run_running(r); m++) {
		struct side *d = &r->side[m];

		if (d->wanted && d->gate == NULL)
			d->gate = gate_get(r->scores, &d->engine);
		read_on(d);
		asks_send_due(d, now);
	}
	if (r->refused)
		asks_free(&r->scored);
	deliver(r);
	if (r->delivery || r->scored.n > 0 || r->working > 0)
		return;
	if (run_running(r) && side_done(&r->side[0]) && side_done(&r->side[1]))
		set_state(r, SCORING_DONE);
	if (!run_running(r))
		finish(r);
}

int64_t run_due_us(const struct run *r)
{
	int64_t due = r->scored.n > 0 && !r->delivery ? r->deliver_at_us : 0;

	for (int m = 0; m < 2; m++)
		for (const struct ask *a = r->side[m].out.head; a; a = a->next)
			if (a->state == ASK_RESTING && (due == 0 || a->due_us < due))
				due = a->due_us;
	return due;
}

void run_free(struct run *r)
{
	drop(r);
	for (int m = 0; m < 2; m++) {
		struct side *d = &r->side[m];

		asks_free(&d->out); /* none: nothing is on the pool */
		asks_free(&d->page);
		buf_release(&d->after);
		gate_put(r->scores, d->gate);
	}
	if (r->delivery) {
		asks_free(&r->delivery->asks);
		heap_free(r->delivery);
	}
	asks_free(&r->scored);
	arena_release(&r->arena);
	heap_free(r);
}
