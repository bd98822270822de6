/* score_ask.c - one response and one model: sent, tried again, read. */
#include "base/clock.h"
#include "base/heap.h"
#include "score_run.h"

enum { SCORED_MAX = 4096 }; /* that wait for the writer; above no more are asked */

/* --- lists ------------------------------------------------------------------------------ */

void asks_put(struct asks *l, struct ask *a)
{
	a->next = l->head;
	a->at = &l->head;
	if (a->next)
		a->next->at = &a->next;
	l->head = a;
	l->n++;
}

void asks_take(struct asks *l, struct ask *a)
{
	*a->at = a->next;
	if (a->next)
		a->next->at = a->at;
	l->n--;
}

void ask_free(struct ask *a)
{
	buf_release(&a->body);
	arena_release(&a->arena);
	heap_free(a);
}

void asks_free(struct asks *l)
{
	while (l->head) {
		struct ask *a = l->head;

		asks_take(l, a);
		ask_free(a);
	}
}

void asks_move(struct asks *to, struct asks *from)
{
	while (from->head) {
		struct ask *a = from->head;

		asks_take(from, a);
		asks_put(to, a);
	}
}

/* --- what is told -------------------------------------------------------------------------- */

void run_count(struct run *r, int64_t *counter, int64_t n)
{
	pthread_mutex_lock(&r->scores->mutex);
	*counter += n;
	pthread_mutex_unlock(&r->scores->mutex);
}

bool run_running(const struct run *r)
{
	return r->report.state == SCORING_RUNNING; /* only this thread changes it */
}

/* --- asking ---------------------------------------------------------------------------------- */

static void send(struct ask *a);

void ask_leave(struct ask *a)
{
	asks_take(&a->side->out, a);
	a->side->gate->in_flight--;
}

static void fail(struct ask *a, enum score_failure why)
{
	struct run *r = a->side->run;

	run_count(r, &r->report.failed[why], 1);
	ask_leave(a);
	ask_free(a);
}

/* On the pool. */
static void read_answer(void *ctx)
{
	struct ask *a = ctx;
	struct arena arena = {0};

	a->failed = engine_read(&arena, a->form, buf_view(&a->body), &a->ids, &a->logprob);
	arena_release(&arena);
	buf_release(&a->body);
}

static void answer_read(void *ctx)
{
	struct ask *a = ctx;
	struct side *d = a->side;
	struct run *r = d->run;

	r->working--;
	if (!run_running(r)) {
		ask_leave(a);
		ask_free(a);
	} else if (a->failed != FAILED_NONE) {
		fail(a, a->failed);
	} else {
		d->echo = d->echo || a->form == FORM_ECHO;
		ask_leave(a);
		asks_put(&r->scored, a);
	}
	scores_go_on(r->scores);
}

static void rest(struct ask *a, int64_t retry_after_seconds)
{
	a->state = ASK_RESTING;
	a->due_us = clock_steady_us() + engine_wait_ms(a->tries, retry_after_seconds) * 1000;
}

static void answered(void *ctx, const struct fetch_answer *answer)
{
	struct ask *a = ctx;
	struct run *r = a->side->run;
	enum score_failure why;

	switch (engine_judge(answer, a->form, a->tries, &why)) {
	case NEXT_READ:
		a->state = ASK_READING;
		buf_str(&a->body, answer->body);
		r->working++;
		loop_work(r->scores->service->loop, read_answer, answer_read, a);
		return;
	case NEXT_ECHO:
		a->form = FORM_ECHO;
		a->tries = 0;
		send(a);
		return;
	case NEXT_RETRY:
		rest(a, answer->retry_after_seconds);
		break;
	default:
		fail(a, why);
		break;
	}
	scores_poke(r->scores);
}

static void send(struct ask *a)
{
	const struct engine_row *engine = &a->side->engine;
	struct run *r = a->side->run;
	struct buf url = BUF_INIT, body = BUF_INIT;
	struct fetch_post q = {.max_bytes = engine_answer_bytes(&a->ids)};

	a->state = ASK_SENT;
	a->tries++;
	buf_str(&url, engine->url);
	buf_z(&url, engine_path(a->form));
	buf_byte(&url, '\0');
	engine_ask(&body, a->form, engine->model, &a->ids);
	q.url = url.p;
	q.body = buf_view(&body);
	q.timeout_ms = (uint32_t)r->scores->service->conf->engine_seconds * 1000;
	fetches_post(r->fetches, &q, answered, a);
	buf_release(&url);
	buf_release(&body);
}

bool run_may_ask(const struct side *d)
{
	return run_running(d->run) && d->ready.n > 0 && d->gate->in_flight < d->gate->max &&
	       d->run->scored.n < SCORED_MAX;
}

void run_ask(struct side *d)
{
	struct run *r = d->run;
	struct ask *a = d->ready.head;

	if (r->fetches == NULL)
		r->fetches = fetches_new(r->scores->service->loop);
	asks_take(&d->ready, a);
	asks_put(&d->out, a);
	d->gate->in_flight++;
	a->form = d->echo ? FORM_ECHO : engine_form_of(d->engine.kind);
	run_count(r, &r->report.asked, 1);
	send(a);
}

void asks_send_due(struct side *d, int64_t now_us)
{
	for (struct ask *a = d->out.head; a; a = a->next)
		if (a->state == ASK_RESTING && a->due_us <= now_us)
			send(a);
}
