/* waiting.h - suspended requests, each with a deadline. Any thread.
 *
 * A request reserves a place before its work begins, so that more than the cap
 * are turned away early. Its deadline competes with the owner of the answer by
 * pending_take, so it is resumed once. The place is given back after the
 * connection was resumed: when none is left, no resuming call is under way.
 *
 *      reserve --> (suspend) --> add --> … --> remove --> (resume) --> release */
#ifndef PREFD_HTTP_WAITING_H
#define PREFD_HTTP_WAITING_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "service/answer.h"

/* Lives in the request. */
struct waiter {
	struct waiter *next, **at; /* at: the link that points here */
	struct pending *pending;
	int64_t deadline_us; /* of clock_steady_us */
};

struct waiting {
	pthread_mutex_t mutex;
	pthread_cond_t gone; /* a place was given back */
	struct waiter *head;
	int places, max; /* taken; the cap */
	bool closed;
};

void waiting_init(struct waiting *w, int max);
void waiting_destroy(struct waiting *w);
/* False at the cap, or after waiting_close: answer 503. */
bool waiting_reserve(struct waiting *w);
bool waiting_full(struct waiting *w);
/* After the connection was suspended, before the work can finish it. */
void waiting_add(struct waiting *w, struct waiter *x, struct pending *p, int64_t deadline_us);
void waiting_remove(struct waiting *w, struct waiter *x);
void waiting_release(struct waiting *w);
/* Fails, with P_UNAVAILABLE, those whose deadline is past. */
void waiting_tick(struct waiting *w, int64_t now_us);
/* Turns new ones away, fails those that no one has answered yet, and returns
 * when every place is given back. */
void waiting_close(struct waiting *w);

#endif
