#include "base/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <uv.h>

#include "base/heap.h"
#include "base/log.h"
#include "loop_inside.h"

/* A call from another thread, waiting for the loop. */
struct call {
	struct call *next;
	loop_fn *fn;
	void *ctx;
};

/* A timer or a signal; freed when libuv has closed the handle. Its handle's
 * data is NULL: the other handles are closed by whoever opened them. */
struct watch {
	union {
		uv_handle_t any;
		uv_timer_t timer;
		uv_signal_t signal;
	} handle; /* first, so that a handle's address is its watch's */
	loop_fn *fn;
	void *ctx;
};

struct work {
	uv_work_t req;
	loop_fn *work, *done;
	void *ctx;
};

struct loop {
	uv_loop_t uv;
	uv_async_t wake; /* keeps the loop alive until loop_stop */
	bool stopped;
	pthread_mutex_t mutex; /* guards the two below */
	struct call *calls, **tail;
};

static void must(int rc, const char *what)
{
	if (rc == 0)
		return;
	log_error("loop", "cannot go on: %s: %s", what, uv_strerror(rc));
	abort();
}

/* --- calls ---------------------------------------------------------------------- */

static struct call *take_calls(struct loop *l)
{
	struct call *all;

	pthread_mutex_lock(&l->mutex);
	all = l->calls;
	l->calls = NULL;
	l->tail = &l->calls;
	pthread_mutex_unlock(&l->mutex);
	return all;
}

uv_loop_t *loop_uv(struct loop *l)
{
	return &l->uv;
}

static bool run_calls(struct loop *l)
{
	struct call *c = take_calls(l);
	bool any = c != NULL;

	while (c) {
		struct call *next = c->next;

		c->fn(c->ctx);
		heap_free(c);
		c = next;
	}
	return any;
}

static void on_wake(uv_async_t *a)
{
	run_calls(a->data);
}

void loop_call(struct loop *l, loop_fn *fn, void *ctx)
{
	struct call *c = heap_alloc(sizeof *c);

	*c = (struct call){NULL, fn, ctx};
	pthread_mutex_lock(&l->mutex);
	*l->tail = c;
	l->tail = &c->next;
	/* Under the lock: once the call can be taken, it may end the loop. */
	must(uv_async_send(&l->wake), "wake");
	pthread_mutex_unlock(&l->mutex);
}

/* --- the loop's life -------------------------------------------------------------- */

struct loop *loop_new(void)
{
	struct loop *l = heap_zalloc(1, sizeof *l);

	pthread_mutex_init(&l->mutex, NULL);
	l->tail = &l->calls;
	must(uv_loop_init(&l->uv), "loop");
	must(uv_async_init(&l->uv, &l->wake, on_wake), "wake");
	l->wake.data = l;
	return l;
}

void loop_run(struct loop *l)
{
	/* A call may arrive when libuv has nothing left to wait for; it is run
	 * here, and may itself have queued work. */
	do
		uv_run(&l->uv, UV_RUN_DEFAULT);
	while (run_calls(l));
}

static void free_watch(uv_handle_t *h)
{
	heap_free(h);
}

static void close_watch(uv_handle_t *h, void *ctx)
{
	(void)ctx;
	if (h->data == NULL && !uv_is_closing(h))
		uv_close(h, free_watch);
}

void loop_stop(struct loop *l)
{
	if (l->stopped)
		return;
	l->stopped = true;
	uv_walk(&l->uv, close_watch, NULL);
	/* From here only running work keeps libuv's loop alive. */
	uv_unref((uv_handle_t *)&l->wake);
}

void loop_free(struct loop *l)
{
	struct call *c;

	loop_stop(l);
	uv_close((uv_handle_t *)&l->wake, NULL);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	must(uv_loop_close(&l->uv), "close");
	/* Calls that came after the last run: who they were for is gone. */
	for (c = take_calls(l); c;) {
		struct call *next = c->next;

		heap_free(c);
		c = next;
	}
	pthread_mutex_destroy(&l->mutex);
	heap_free(l);
}

/* --- timers, signals, work ---------------------------------------------------------- */

static struct watch *watch_new(loop_fn *fn, void *ctx)
{
	struct watch *w = heap_zalloc(1, sizeof *w);

	w->fn = fn;
	w->ctx = ctx;
	return w;
}

static void on_signal(uv_signal_t *h, int signum)
{
	struct watch *w = (struct watch *)h;

	(void)signum;
	w->fn(w->ctx);
}

void loop_on_signal(struct loop *l, int signum, loop_fn *fn, void *ctx)
{
	struct watch *w;

	if (l->stopped)
		return;
	w = watch_new(fn, ctx);
	must(uv_signal_init(&l->uv, &w->handle.signal), "signal");
	must(uv_signal_start(&w->handle.signal, on_signal, signum), "signal");
}

static void on_tick(uv_timer_t *h)
{
	struct watch *w = (struct watch *)h;

	w->fn(w->ctx);
}

void loop_every(struct loop *l, uint64_t period_ms, loop_fn *fn, void *ctx)
{
	struct watch *w;

	if (l->stopped)
		return;
	w = watch_new(fn, ctx);
	must(uv_timer_init(&l->uv, &w->handle.timer), "timer");
	must(uv_timer_start(&w->handle.timer, on_tick, period_ms, period_ms), "timer");
}

static void on_alarm(uv_timer_t *h)
{
	struct watch *w = (struct watch *)h;
	loop_fn *fn = w->fn;
	void *ctx = w->ctx;

	uv_close(&w->handle.any, free_watch);
	fn(ctx);
}

void loop_after(struct loop *l, uint64_t delay_ms, loop_fn *fn, void *ctx)
{
	struct watch *w;

	if (l->stopped)
		return;
	w = watch_new(fn, ctx);
	must(uv_timer_init(&l->uv, &w->handle.timer), "timer");
	/* libuv counts from when it last looked at its clock. */
	uv_update_time(&l->uv);
	must(uv_timer_start(&w->handle.timer, on_alarm, delay_ms, 0), "timer");
}

static void on_work(uv_work_t *r)
{
	struct work *w = (struct work *)r;

	w->work(w->ctx);
}

static void on_done(uv_work_t *r, int status)
{
	struct work *w = (struct work *)r;

	(void)status; /* never cancelled */
	w->done(w->ctx);
	heap_free(w);
}

void loop_work(struct loop *l, loop_fn *work, loop_fn *done, void *ctx)
{
	struct work *w = heap_zalloc(1, sizeof *w);

	w->work = work;
	w->done = done;
	w->ctx = ctx;
	must(uv_queue_work(&l->uv, &w->req, on_work, on_done), "work");
}
