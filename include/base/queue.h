/* queue.h - a bounded queue between threads: many put, one takes.
 *
 * Items are linked through a `struct queue_node` inside them. */
#ifndef PREFD_BASE_QUEUE_H
#define PREFD_BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct queue_node {
	struct queue_node *next;
	size_t weight; /* bytes this item stands for */
};

struct queue {
	pthread_mutex_t mutex;
	pthread_cond_t ready;
	struct queue_node *head, **tail;
	size_t count, max_count;
	bool closed;
};

void queue_init(struct queue *q, size_t max_count);
void queue_destroy(struct queue *q);
/* false when full or closed; the item is then still the caller's. */
bool queue_put(struct queue *q, struct queue_node *n);
/* Waits for items, then takes a group from the front: at most max_items, at
 * most max_weight together (a heavier item goes alone). NULL: closed and empty. */
struct queue_node *queue_take(struct queue *q, size_t max_items, size_t max_weight);
/* No more puts; takes go on until it is empty. */
void queue_close(struct queue *q);
size_t queue_count(struct queue *q);

#endif
