/* Suspended requests: the cap, the deadline, and the race for one answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include "../../server/http/waiting.h"

enum { REQUESTS = 200, FINISHERS = 4, RACES = 50 };

/* A request as reply.c makes one; what it does with the connection is a count. */
struct fake {
	struct waiting *waiting;
	struct waiter waiter;
	struct pending *pending;
	_Atomic int resumed;
};

static void resume(void *ctx)
{
	struct fake *f = ctx;
	struct waiting *w = f->waiting;

	waiting_remove(w, &f->waiter);
	atomic_fetch_add(&f->resumed, 1);
	waiting_release(w);
}

static void suspend(struct fake *f, struct waiting *w, int64_t deadline_us)
{
	f->waiting = w;
	f->resumed = 0;
	assert_true(waiting_reserve(w));
	f->pending = pending_new(resume, f);
	waiting_add(w, &f->waiter, f->pending, deadline_us);
}

static void the_cap_is_exact(void **state)
{
	struct waiting w;

	(void)state;
	waiting_init(&w, 2);
	assert_true(waiting_reserve(&w));
	assert_false(waiting_full(&w));
	assert_true(waiting_reserve(&w));
	assert_true(waiting_full(&w));
	assert_false(waiting_reserve(&w));
	waiting_release(&w);
	assert_true(waiting_reserve(&w));
	waiting_release(&w);
	waiting_release(&w);
	waiting_destroy(&w);
}

static void deadlines_end_requests_once(void **state)
{
	struct fake f[REQUESTS];
	struct waiting w;

	(void)state;
	waiting_init(&w, REQUESTS);
	for (int i = 0; i < REQUESTS; i++)
		suspend(&f[i], &w, i); /* deadlines 0 … 199 */
	/* One that its owner has taken, but not answered, is left to the owner. */
	assert_true(pending_take(f[50].pending));
	waiting_tick(&w, 99);
	for (int i = 0; i < REQUESTS; i++) {
		bool late = i < 100 && i != 50;

		assert_int_equal(f[i].resumed, late);
		assert_int_equal(f[i].pending->answer.status, late ? 503 : 0);
	}
	waiting_tick(&w, 99);
	assert_int_equal(f[50].resumed, 0);
	f[50].pending->answer.status = 200;
	pending_finish(f[50].pending);
	assert_int_equal(f[50].resumed, 1);
	waiting_tick(&w, 199);
	for (int i = 0; i < REQUESTS; i++) {
		assert_int_equal(f[i].resumed, 1);
		pending_unref(f[i].pending);
	}
	assert_int_equal(w.places, 0);
	assert_null(w.head);
	waiting_destroy(&w);
}

struct finisher {
	struct fake *f;
	int first;
};

static void *finish_some(void *ctx)
{
	struct finisher *x = ctx;

	for (int i = x->first; i < REQUESTS; i += FINISHERS)
		if (pending_take(x->f[i].pending)) {
			x->f[i].pending->answer.status = 200;
			pending_finish(x->f[i].pending);
		}
	return NULL;
}

/* Owners and the closing race for every answer; each request ends once, by one
 * of them, and waiting_close returns only when all places are back. */
static void closing_races_with_the_owners(void **state)
{
	struct fake f[REQUESTS];
	pthread_t thread[FINISHERS];
	struct finisher x[FINISHERS];

	(void)state;
	for (int race = 0; race < RACES; race++) {
		struct waiting w;

		waiting_init(&w, REQUESTS);
		for (int i = 0; i < REQUESTS; i++)
			suspend(&f[i], &w, INT64_MAX / 4);
		for (int i = 0; i < FINISHERS; i++) {
			x[i] = (struct finisher){f, i};
			assert_int_equal(pthread_create(&thread[i], NULL, finish_some, &x[i]), 0);
		}
		waiting_close(&w);
		assert_int_equal(w.places, 0);
		assert_false(waiting_reserve(&w));
		for (int i = 0; i < FINISHERS; i++)
			pthread_join(thread[i], NULL);
		for (int i = 0; i < REQUESTS; i++) {
			int status = f[i].pending->answer.status;

			assert_int_equal(f[i].resumed, 1);
			assert_true(status == 200 || status == 503);
			pending_unref(f[i].pending);
		}
		waiting_destroy(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cap_is_exact),
		cmocka_unit_test(deadlines_end_requests_once),
		cmocka_unit_test(closing_races_with_the_owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
