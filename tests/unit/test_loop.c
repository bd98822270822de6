/* Every loop here ends by itself; a guard timer of 20 s fails one that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"

struct probe {
	struct loop *loop;
	pthread_t loop_thread;
	int calls, ticks, works, dones, signals, order_broken;
	int stop_after; /* calls or ticks */
};

static void probe_open(struct probe *p)
{
	memset(p, 0, sizeof *p);
	p->loop = loop_new();
	p->loop_thread = pthread_self();
}

static void guard(void *ctx)
{
	(void)ctx;
	fail_msg("the loop did not end");
}

static void run_guarded(struct probe *p)
{
	loop_every(p->loop, 20000, guard, NULL);
	loop_run(p->loop);
}

static void stop(void *ctx)
{
	loop_stop(((struct probe *)ctx)->loop);
}

/* --- calls ------------------------------------------------------------------------ */

struct numbered {
	struct probe *probe;
	int number;
};

static void count_call(void *ctx)
{
	struct numbered *n = ctx;

	n->probe->order_broken += n->probe->calls != n->number;
	n->probe->calls++;
	assert_true(pthread_equal(pthread_self(), n->probe->loop_thread));
}

static void calls_before_the_run_are_kept_in_order(void **state)
{
	struct numbered numbers[100];
	struct probe p;

	(void)state;
	probe_open(&p);
	for (int i = 0; i < 100; i++) {
		numbers[i] = (struct numbered){&p, i};
		loop_call(p.loop, count_call, &numbers[i]);
	}
	loop_call(p.loop, stop, &p);
	run_guarded(&p);
	assert_int_equal(p.calls, 100);
	assert_int_equal(p.order_broken, 0);
	loop_free(p.loop);
}

enum { CALLERS = 3, EACH = 2000 };

static void count_and_stop(void *ctx)
{
	struct probe *p = ctx;

	if (++p->calls == CALLERS * EACH)
		loop_stop(p->loop);
}

static void *call_often(void *ctx)
{
	struct probe *p = ctx;

	for (int i = 0; i < EACH; i++)
		loop_call(p->loop, count_and_stop, p);
	return NULL;
}

static void calls_of_other_threads_all_arrive(void **state)
{
	pthread_t threads[CALLERS];
	struct probe p;

	(void)state;
	probe_open(&p);
	for (int i = 0; i < CALLERS; i++)
		pthread_create(&threads[i], NULL, call_often, &p);
	run_guarded(&p);
	for (int i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(p.calls, CALLERS * EACH);
	loop_free(p.loop);
}

/* --- timers and signals -------------------------------------------------------------- */

static void tick(void *ctx)
{
	struct probe *p = ctx;

	if (++p->ticks == p->stop_after)
		loop_stop(p->loop);
}

static void ticks_go_on_until_the_stop(void **state)
{
	struct probe p;

	(void)state;
	probe_open(&p);
	p.stop_after = 5;
	loop_every(p.loop, 2, tick, &p);
	run_guarded(&p);
	assert_int_equal(p.ticks, 5);
	/* Too late: nothing that would keep the loop from ending is begun. */
	loop_every(p.loop, 1, tick, &p);
	loop_on_signal(p.loop, SIGHUP, tick, &p);
	loop_run(p.loop);
	assert_int_equal(p.ticks, 5);
	loop_free(p.loop);
}

static void on_hup(void *ctx)
{
	struct probe *p = ctx;

	p->signals++;
	kill(getpid(), SIGTERM);
}

static void on_term(void *ctx)
{
	struct probe *p = ctx;

	p->signals += 10;
	loop_stop(p->loop);
}

static void raise_hup(void *ctx)
{
	(void)ctx;
	kill(getpid(), SIGHUP);
}

static void signals_arrive_as_calls(void **state)
{
	struct probe p;

	(void)state;
	probe_open(&p);
	loop_on_signal(p.loop, SIGHUP, on_hup, &p);
	loop_on_signal(p.loop, SIGTERM, on_term, &p);
	loop_call(p.loop, raise_hup, NULL);
	run_guarded(&p);
	assert_int_equal(p.signals, 11);
	loop_free(p.loop);
}

/* --- work --------------------------------------------------------------------------- */

static void work(void *ctx)
{
	struct probe *p = ctx;

	assert_false(pthread_equal(pthread_self(), p->loop_thread));
	usleep(20000);
	p->works++;
}

static void done(void *ctx)
{
	struct probe *p = ctx;

	assert_true(pthread_equal(pthread_self(), p->loop_thread));
	assert_int_equal(p->works, p->dones + 1);
	p->dones++;
}

static void start_work_and_stop(void *ctx)
{
	struct probe *p = ctx;

	loop_work(p->loop, work, done, p);
	loop_stop(p->loop);
}

static void running_work_ends_after_the_stop(void **state)
{
	struct probe p;

	(void)state;
	probe_open(&p);
	loop_call(p.loop, start_work_and_stop, &p);
	run_guarded(&p);
	assert_int_equal(p.works, 1);
	assert_int_equal(p.dones, 1);
	loop_free(p.loop);
}

/* Steps: each done begins the next, as jobs do. */
static void step_done(void *ctx)
{
	struct probe *p = ctx;

	done(p);
	if (p->dones < 3)
		loop_work(p->loop, work, step_done, p);
	else
		loop_stop(p->loop);
}

static void work_follows_work(void **state)
{
	struct probe p;

	(void)state;
	probe_open(&p);
	loop_work(p.loop, work, step_done, &p);
	run_guarded(&p);
	assert_int_equal(p.dones, 3);
	loop_free(p.loop);
}

/* A call that arrives from the pool while the loop drains is still run. */
static void late(void *ctx)
{
	((struct probe *)ctx)->calls++;
}

static void work_that_calls(void *ctx)
{
	struct probe *p = ctx;

	usleep(20000);
	loop_call(p->loop, late, p);
	p->works++;
}

static void start_caller_and_stop(void *ctx)
{
	struct probe *p = ctx;

	loop_work(p->loop, work_that_calls, done, p);
	loop_stop(p->loop);
}

static void late_calls_are_run(void **state)
{
	struct probe p;

	(void)state;
	probe_open(&p);
	loop_call(p.loop, start_caller_and_stop, &p);
	run_guarded(&p);
	assert_int_equal(p.dones, 1);
	assert_int_equal(p.calls, 1);
	loop_free(p.loop);
}

static void freed_without_a_run(void **state)
{
	struct probe p;

	(void)state;
	probe_open(&p);
	loop_every(p.loop, 10, tick, &p);
	loop_on_signal(p.loop, SIGTERM, tick, &p);
	loop_call(p.loop, late, &p);
	loop_free(p.loop);
	assert_int_equal(p.ticks + p.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_before_the_run_are_kept_in_order),
		cmocka_unit_test(calls_of_other_threads_all_arrive),
		cmocka_unit_test(ticks_go_on_until_the_stop),
		cmocka_unit_test(signals_arrive_as_calls),
		cmocka_unit_test(running_work_ends_after_the_stop),
		cmocka_unit_test(work_follows_work),
		cmocka_unit_test(late_calls_are_run),
		cmocka_unit_test(freed_without_a_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
