#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/queue.h"

struct item {
	struct queue_node node; /* first: a node's address is its item's */
	int producer, number;
};

/* The group's numbers as digits: 1, 2, 3 → 123. */
static long digits(struct queue_node *n)
{
	long v = 0;

	for (; n; n = n->next)
		v = 10 * v + ((struct item *)n)->number;
	return v;
}

static void put_all(struct queue *q, struct item *items, const size_t *weights, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		items[i] = (struct item){{NULL, weights[i]}, 0, (int)i + 1};
		assert_true(queue_put(q, &items[i].node));
	}
}

static void groups_by_count_and_weight(void **state)
{
	static const size_t weights[] = {4, 6, 1, 50, 3, 10, 0};
	struct item items[7];
	struct queue q;

	(void)state;
	queue_init(&q, 100);
	put_all(&q, items, weights, 7);
	assert_int_equal(queue_count(&q), 7);
	/* 4 + 6 = 10 fits exactly; one more does not. */
	assert_int_equal(digits(queue_take(&q, 9, 10)), 12);
	/* 1, then the heavy one is not taken along … */
	assert_int_equal(digits(queue_take(&q, 9, 10)), 3);
	/* … but goes alone, though 3 stands behind it. */
	assert_int_equal(digits(queue_take(&q, 9, 10)), 4);
	/* By count. */
	assert_int_equal(digits(queue_take(&q, 2, 1000)), 56);
	assert_int_equal(queue_count(&q), 1);
	assert_int_equal(digits(queue_take(&q, 2, 0)), 7);
	assert_int_equal(queue_count(&q), 0);
	queue_destroy(&q);
}

static void huge_weights_do_not_wrap(void **state)
{
	static const size_t weights[] = {2, SIZE_MAX, SIZE_MAX};
	struct item items[3];
	struct queue q;

	(void)state;
	queue_init(&q, 3);
	put_all(&q, items, weights, 3);
	assert_int_equal(digits(queue_take(&q, 9, 100)), 1);
	assert_int_equal(digits(queue_take(&q, 9, 100)), 2);
	assert_int_equal(digits(queue_take(&q, 9, SIZE_MAX)), 3);
	queue_destroy(&q);
}

static void full_and_closed(void **state)
{
	static const size_t weights[] = {1, 1};
	struct item items[2], more = {{NULL, 1}, 0, 3};
	struct queue q;

	(void)state;
	queue_init(&q, 2);
	put_all(&q, items, weights, 2);
	assert_false(queue_put(&q, &more.node));
	assert_int_equal(digits(queue_take(&q, 1, 9)), 1);
	assert_true(queue_put(&q, &more.node));
	queue_close(&q);
	assert_int_equal(digits(queue_take(&q, 1, 9)), 2);
	assert_false(queue_put(&q, &items[0].node));
	/* What was put before goes on, then the end is seen, again and again. */
	assert_int_equal(digits(queue_take(&q, 9, 9)), 3);
	assert_null(queue_take(&q, 9, 9));
	assert_null(queue_take(&q, 9, 9));
	queue_destroy(&q);
}

enum { PRODUCERS = 4, EACH = 5000 };

struct producer {
	struct queue *q;
	int id;
	struct item items[EACH];
};

static void *produce(void *ctx)
{
	struct producer *p = ctx;

	for (int i = 0; i < EACH; i++) {
		p->items[i] = (struct item){{NULL, 1 + (size_t)i % 7}, p->id, i};
		while (!queue_put(p->q, &p->items[i].node))
			sched_yield(); /* full; the taker is at work */
	}
	return NULL;
}

/* Closes the queue when all producers are through. */
static void *close_behind(void *ctx)
{
	struct producer *all = ctx;
	pthread_t threads[PRODUCERS];

	for (int i = 0; i < PRODUCERS; i++)
		pthread_create(&threads[i], NULL, produce, &all[i]);
	for (int i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	queue_close(all[0].q);
	return NULL;
}

static void many_producers_keep_their_order(void **state)
{
	struct producer *all = calloc(PRODUCERS, sizeof *all);
	int next[PRODUCERS] = {0}, taken = 0;
	struct queue_node *group;
	struct queue q;
	pthread_t closer;

	(void)state;
	queue_init(&q, 64);
	for (int i = 0; i < PRODUCERS; i++) {
		all[i].q = &q;
		all[i].id = i;
	}
	pthread_create(&closer, NULL, close_behind, all);
	while ((group = queue_take(&q, 16, 40))) {
		size_t items = 0, weight = 0;

		for (struct queue_node *n = group; n; n = n->next, items++, taken++) {
			struct item *it = (struct item *)n;

			assert_int_equal(it->number, next[it->producer]++);
			weight += n->weight;
		}
		assert_in_range(items, 1, 16);
		assert_in_range(weight, 1, 40);
	}
	pthread_join(closer, NULL);
	assert_int_equal(taken, PRODUCERS * EACH);
	queue_destroy(&q);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_by_count_and_weight),
		cmocka_unit_test(huge_weights_do_not_wrap),
		cmocka_unit_test(full_and_closed),
		cmocka_unit_test(many_producers_keep_their_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
