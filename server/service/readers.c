/* Read-only connections, lent one to a reading thread at a time. As many are
 * opened as ever read at once; they stay open for life. */
#include <pthread.h>

#include "base/heap.h"
#include "inside.h"

enum { READERS_MAX = 64 };

struct readers {
	pthread_mutex_t mutex;
	struct store *idle[READERS_MAX];
	int idle_count;
	char *dir;
};

struct readers *readers_new(const char *dir)
{
	struct readers *r = heap_zalloc(1, sizeof *r);

	pthread_mutex_init(&r->mutex, NULL);
	r->dir = heap_strdup(dir);
	return r;
}

void readers_free(struct readers *r)
{
	if (r == NULL)
		return;
	while (r->idle_count > 0)
		store_close(r->idle[--r->idle_count]);
	pthread_mutex_destroy(&r->mutex);
	heap_free(r->dir);
	heap_free(r);
}

int reader_get(struct service *s, struct store **out, struct err *e)
{
	struct readers *r = s->readers;
	struct store_options options = {.dir = r->dir, .writer = false};

	*out = NULL;
	pthread_mutex_lock(&r->mutex);
	if (r->idle_count > 0)
		*out = r->idle[--r->idle_count];
	pthread_mutex_unlock(&r->mutex);
	return *out ? 0 : store_open(out, &options, e);
}

void reader_put(struct service *s, struct store *db)
{
	struct readers *r = s->readers;

	if (db == NULL)
		return;
	pthread_mutex_lock(&r->mutex);
	if (r->idle_count < READERS_MAX) {
		r->idle[r->idle_count++] = db;
		db = NULL;
	}
	pthread_mutex_unlock(&r->mutex);
	store_close(db);
}
