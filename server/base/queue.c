#include "base/queue.h"

void queue_init(struct queue *q, size_t max_count)
{
	pthread_mutex_init(&q->mutex, NULL);
	pthread_cond_init(&q->ready, NULL);
	q->head = NULL;
	q->tail = &q->head;
	q->count = 0;
	q->max_count = max_count;
	q->closed = false;
}

void queue_destroy(struct queue *q)
{
	pthread_cond_destroy(&q->ready);
	pthread_mutex_destroy(&q->mutex);
}

bool queue_put(struct queue *q, struct queue_node *n)
{
	bool taken;

	pthread_mutex_lock(&q->mutex);
	taken = !q->closed && q->count < q->max_count;
	if (taken) {
		n->next = NULL;
		*q->tail = n;
		q->tail = &n->next;
		q->count++;
		pthread_cond_signal(&q->ready);
	}
	pthread_mutex_unlock(&q->mutex);
	return taken;
}

/* Cuts the first item off, and those behind it that still fit. */
static struct queue_node *cut_group(struct queue *q, size_t max_items, size_t max_weight)
{
	struct queue_node *first = q->head, *last = first;
	size_t items = 1, weight = first->weight;

	while (last->next && items < max_items && weight <= max_weight &&
	       last->next->weight <= max_weight - weight) {
		last = last->next;
		weight += last->weight;
		items++;
	}
	q->head = last->next;
	if (q->head == NULL)
		q->tail = &q->head;
	q->count -= items;
	last->next = NULL;
	return first;
}

struct queue_node *queue_take(struct queue *q, size_t max_items, size_t max_weight)
{
	struct queue_node *group = NULL;

	pthread_mutex_lock(&q->mutex);
	while (q->head == NULL && !q->closed)
		pthread_cond_wait(&q->ready, &q->mutex);
	if (q->head)
		group = cut_group(q, max_items, max_weight);
	pthread_mutex_unlock(&q->mutex);
	return group;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->mutex);
	q->closed = true;
	pthread_cond_broadcast(&q->ready);
	pthread_mutex_unlock(&q->mutex);
}

size_t queue_count(struct queue *q)
{
	size_t n;

	pthread_mutex_lock(&q->mutex);
	n = q->count;
	pthread_mutex_unlock(&q->mutex);
	return n;
}
