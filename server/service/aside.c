#include "aside.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "base/heap.h"

struct aside {
	pthread_t thread;
	bool begun; /* there is a thread */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	void (*work)(void *); /* NULL: idle */
	void *ctx;
	bool leaving;
};

struct aside *aside_new(void)
{
	struct aside *a = heap_zalloc(1, sizeof *a);

	pthread_mutex_init(&a->mutex, NULL);
	pthread_cond_init(&a->changed, NULL);
	return a;
}

static void *run(void *arg)
{
	struct aside *a = arg;

	pthread_mutex_lock(&a->mutex);
	while (!a->leaving) {
		if (a->work == NULL) {
			pthread_cond_wait(&a->changed, &a->mutex);
			continue;
		}
		pthread_mutex_unlock(&a->mutex);
		a->work(a->ctx);
		pthread_mutex_lock(&a->mutex);
		a->work = NULL;
		pthread_cond_signal(&a->changed);
	}
	pthread_mutex_unlock(&a->mutex);
	return NULL;
}

/* Signals are the main thread's. */
static bool begin(struct aside *a)
{
	sigset_t all, before;

	if (a->begun)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	a->begun = pthread_create(&a->thread, NULL, run, a) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return a->begun;
}

void aside_begin(struct aside *a, void (*work)(void *), void *ctx)
{
	if (!begin(a)) {
		work(ctx);
		return;
	}
	pthread_mutex_lock(&a->mutex);
	a->work = work;
	a->ctx = ctx;
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->mutex);
}

void aside_end(struct aside *a)
{
	pthread_mutex_lock(&a->mutex);
	while (a->work)
		pthread_cond_wait(&a->changed, &a->mutex);
	pthread_mutex_unlock(&a->mutex);
}

void aside_free(struct aside *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->mutex);
	a->leaving = true;
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->mutex);
	if (a->begun)
		pthread_join(a->thread, NULL);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->mutex);
	heap_free(a);
}
