#include "waiting.h"

#include <time.h>

#include "base/log.h"
#include "base/metric.h"

enum { EXPIRED_AT_ONCE = 64 };

void waiting_init(struct waiting *w, int max)
{
	memset(w, 0, sizeof *w);
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->gone, NULL);
	w->max = max;
}

void waiting_destroy(struct waiting *w)
{
	pthread_cond_destroy(&w->gone);
	pthread_mutex_destroy(&w->mutex);
}

bool waiting_reserve(struct waiting *w)
{
	bool ok;

	pthread_mutex_lock(&w->mutex);
	ok = !w->closed && w->places < w->max;
	if (ok)
		w->places++;
	pthread_mutex_unlock(&w->mutex);
	if (ok)
		metric_add(M_HTTP_SUSPENDED, 1);
	return ok;
}

bool waiting_full(struct waiting *w)
{
	bool full;

	pthread_mutex_lock(&w->mutex);
	full = w->closed || w->places >= w->max;
	pthread_mutex_unlock(&w->mutex);
	return full;
}

void waiting_add(struct waiting *w, struct waiter *x, struct pending *p, int64_t deadline_us)
{
	pthread_mutex_lock(&w->mutex);
	x->pending = p;
	x->deadline_us = deadline_us;
	x->next = w->head;
	x->at = &w->head;
	if (x->next)
		x->next->at = &x->next;
	w->head = x;
	pthread_mutex_unlock(&w->mutex);
}

void waiting_remove(struct waiting *w, struct waiter *x)
{
	pthread_mutex_lock(&w->mutex);
	*x->at = x->next;
	if (x->next)
		x->next->at = x->at;
	pthread_mutex_unlock(&w->mutex);
}

void waiting_release(struct waiting *w)
{
	metric_add(M_HTTP_SUSPENDED, -1);
	pthread_mutex_lock(&w->mutex);
	w->places--;
	pthread_cond_signal(&w->gone);
	pthread_mutex_unlock(&w->mutex);
}

/* Some of those past their deadline, each with a reference. Not all at once:
 * failing one takes the lock again. */
static int take_expired(struct waiting *w, int64_t now_us, struct pending *out[EXPIRED_AT_ONCE])
{
	int n = 0;

	pthread_mutex_lock(&w->mutex);
	for (struct waiter *x = w->head; x && n < EXPIRED_AT_ONCE; x = x->next) {
		if (x->deadline_us > now_us)
			continue;
		x->deadline_us = INT64_MAX; /* only once: the owner may hold it longer */
		pending_ref(x->pending);
		out[n++] = x->pending;
	}
	pthread_mutex_unlock(&w->mutex);
	return n;
}

static void fail_expired(struct waiting *w, int64_t now_us, const struct err *e)
{
	struct pending *late[EXPIRED_AT_ONCE];
	int n;

	while ((n = take_expired(w, now_us, late)) > 0)
		for (int i = 0; i < n; i++) {
			pending_fail(late[i], e);
			pending_unref(late[i]);
		}
}

void waiting_tick(struct waiting *w, int64_t now_us)
{
	struct err e;

	err_set(&e, P_UNAVAILABLE, "no answer in time; the request may still be carried out, so ask again");
	fail_expired(w, now_us, &e);
}

/* False when `seconds` have passed and places are still taken. */
static bool wait_for_none(struct waiting *w, int seconds)
{
	struct timespec until;
	int rc = 0, left;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&w->mutex);
	while (w->places > 0 && rc == 0)
		rc = pthread_cond_timedwait(&w->gone, &w->mutex, &until);
	left = w->places;
	pthread_mutex_unlock(&w->mutex);
	return left == 0;
}

void waiting_close(struct waiting *w)
{
	struct err e;

	pthread_mutex_lock(&w->mutex);
	w->closed = true;
	pthread_mutex_unlock(&w->mutex);
	err_set(&e, P_UNAVAILABLE, "prefd is stopping");
	/* What the writer owns by now it will finish; what was being added when
	 * `closed` was set is found in the next round. */
	do
		fail_expired(w, INT64_MAX - 1, &e);
	while (!wait_for_none(w, 1));
}
