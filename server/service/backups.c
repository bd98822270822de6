/* backups.c - backups that the daemon makes.
 *
 * One at a time, on a thread of its own: it waits for the disk more than it
 * computes, and a step of the pool must not. The database is copied on the
 * writer's thread, in steps between two groups (store/copy.h): a work that
 * writes nothing, and does its step when its group is over. */
#include "backups.h"

#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "backup_folder.h"
#include "base/clock.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "inside.h"
#include "service/backup.h"
#include "store/copy.h"

enum {
	STEP_US = 4 * 1000,        /* that a step holds up the writes */
	ASKS_MAX = 600,            /* of a writer that has no room for a step, */
	ASK_AGAIN_MS = 50,         /* so long apart: half a minute */
	BACKUPS_MAX = 65536,       /* listed */
};

struct backups {
	struct service *service;
	pthread_mutex_t mutex;
	pthread_t thread;
	bool started;  /* there is a thread to join */
	bool running;
	_Atomic bool stop;
	_Atomic int64_t bytes;
	struct buf name; /* of the last one */
	struct err err;  /* why it failed; P_NONE: it did not */
	int64_t longest_us; /* that a step took on the writer's thread */
};

/* --- on the writer's thread -------------------------------------------------------------- */

enum act { ACT_BEGIN, ACT_STEP, ACT_END };

struct copy_work {
	struct work work;
	struct backups *b;
	enum act act;
	const char *path;
	struct store *db;
	struct store_copy *copy;
	pthread_t asker;
	sem_t done;
	bool refused; /* not done at all: the queue was full, or the group failed */
	int rc;
	struct err err;
};

static int apply(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	(void)out;
	(void)e;
	((struct copy_work *)work)->db = db;
	return 0;
}

static void act(struct copy_work *w)
{
	int64_t began = clock_steady_us(), bytes, done;

	if (w->act == ACT_BEGIN) {
		w->rc = store_copy_begin(w->db, w->path, &w->copy, &w->err);
	} else if (w->act == ACT_STEP) {
		w->rc = store_copy_step(w->copy, STEP_US, &w->err);
		store_copy_progress(w->copy, &bytes, &done);
		atomic_store(&w->b->bytes, done);
	} else {
		store_copy_end(w->copy);
		w->copy = NULL;
		w->rc = 0;
	}
	began = clock_steady_us() - began;
	if (began > w->b->longest_us)
		w->b->longest_us = began;
}

/* The group is over: no transaction is open. The end needs no more than the
 * writer's thread, so it is done even where the store has failed. */
static void settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct copy_work *w = (struct copy_work *)work;

	(void)out;
	(void)keep;
	w->refused = pthread_equal(pthread_self(), w->asker) || (!committed && w->act != ACT_END);
	if (!w->refused)
		act(w);
	sem_post(&w->done);
}

/* --- on the backup's thread ----------------------------------------------------------------- */

static void rest(int ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&t, NULL);
}

/* A writer that is full, or whose group failed, may take it a little later. */
static int ask_writer(struct copy_work *w, enum act what, struct err *e)
{
	w->act = what;
	for (int i = 0; i < ASKS_MAX || what == ACT_END; i++) {
		writer_submit(w->b->service, &w->work);
		while (sem_wait(&w->done) < 0)
			;
		if (!w->refused) {
			*e = w->rc < 0 ? w->err : *e;
			return w->rc;
		}
		if (what != ACT_END && atomic_load(&w->b->stop))
			break;
		rest(ASK_AGAIN_MS);
	}
	return err_set(e, P_UNAVAILABLE, "the writer had no room for the backup");
}

/* Step by step onto the disk, off the writer's thread: a commit must never wait
 * behind more than a step's bytes. */
static int steps(struct copy_work *w, struct err *e)
{
	int rc;

	do {
		if (atomic_load(&w->b->stop))
			return err_set(e, P_UNAVAILABLE, "the daemon stops");
		rc = ask_writer(w, ACT_STEP, e);
		if (rc == 1 && copy_sync(w->path, e) < 0)
			return -1;
	} while (rc == 1);
	return rc;
}

static int copy_database(struct backups *b, const char *path, struct err *e)
{
	struct copy_work w = {
		.work = {.apply = apply, .settled = settled},
		.b = b,
		.path = path,
		.asker = pthread_self(),
	};
	struct err ignored = {0};
	int rc;

	sem_init(&w.done, 0, 0);
	rc = ask_writer(&w, ACT_BEGIN, e);
	if (rc == 0)
		rc = steps(&w, e);
	if (w.copy)
		ask_writer(&w, ACT_END, &ignored);
	sem_destroy(&w.done);
	return rc;
}

static int make(struct backups *b, struct str name, struct err *e)
{
	const struct conf *conf = b->service->conf;
	struct backup_folder *f = heap_zalloc(1, sizeof *f);
	int rc;

	f->data = conf->data;
	f->stop = &b->stop;
	f->bytes = &b->bytes;
	snprintf(f->folder, sizeof f->folder, "%s", conf->backups);
	rc = backup_folder_begin(f, name, e);
	if (rc == 0)
		rc = copy_database(b, f->database, e);
	if (rc == 0)
		rc = backup_folder_finish(f, e);
	backup_folder_end(f);
	heap_free(f);
	return rc;
}

static void *backup_main(void *arg)
{
	struct backups *b = arg;
	struct str name = buf_view(&b->name); /* stays while this runs */
	int64_t began = clock_steady_us();
	struct err e = {0};

	if (make(b, name, &e) < 0)
		log_error("backup", "failed name=%.*s problem=%s detail=\"%s\"", STR_ARG(name), problem_slug(e.problem),
		          e.detail);
	else
		log_info("backup", "made name=%.*s bytes=%lld ms=%lld longest_step_us=%lld", STR_ARG(name),
		         (long long)atomic_load(&b->bytes), (long long)(clock_steady_us() - began) / 1000,
		         (long long)b->longest_us);
	pthread_mutex_lock(&b->mutex);
	b->err = e;
	b->running = false;
	pthread_mutex_unlock(&b->mutex);
	return NULL;
}

/* --- life --------------------------------------------------------------------------------------- */

struct backups *backups_new(struct service *s)
{
	struct backups *b = heap_zalloc(1, sizeof *b);

	b->service = s;
	pthread_mutex_init(&b->mutex, NULL);
	return b;
}

void backups_drain(struct backups *b)
{
	atomic_store(&b->stop, true);
}

void backups_free(struct backups *b)
{
	if (b == NULL)
		return;
	backups_drain(b);
	if (b->started)
		pthread_join(b->thread, NULL);
	buf_release(&b->name);
	pthread_mutex_destroy(&b->mutex);
	heap_free(b);
}

/* The mutex is held, nothing is running. */
static int start(struct backups *b, struct str name, struct err *e)
{
	if (atomic_load(&b->stop))
		return err_set(e, P_UNAVAILABLE, "the daemon stops");
	if (b->started)
		pthread_join(b->thread, NULL);
	buf_clear(&b->name);
	buf_str(&b->name, name);
	b->err = (struct err){.problem = P_NONE};
	b->longest_us = 0;
	atomic_store(&b->bytes, 0);
	b->started = b->running = pthread_create(&b->thread, NULL, backup_main, b) == 0;
	return b->running ? 0 : err_set(e, P_UNAVAILABLE, "no thread for the backup");
}

/* --- answers ---------------------------------------------------------------------------------------- */

static void put_running(struct backups *b, struct answer *out, int status)
{
	out->status = status;
	buf_lit(&out->body, "{\"backup\":");
	json_put_string(&out->body, buf_view(&b->name));
	buf_printf(&out->body, ",\"state\":\"running\",\"bytes\":%lld}", (long long)atomic_load(&b->bytes));
}

/* 1: it is there, whole; 0: it is not. */
static int put_ready(struct backups *b, struct str name, struct answer *out, struct err *e)
{
	char dir[COPY_PATH_BYTES], whole[PATH_MAX];
	struct manifest m;
	struct arena a = {0};
	int rc = copy_path(dir, e, "%s/%.*s", b->service->conf->backups, STR_ARG(name));

	if (rc == 0)
		rc = manifest_read(&a, dir, &m, e);
	if (rc == 0) {
		out->status = 200;
		buf_lit(&out->body, "{\"backup\":");
		json_put_string(&out->body, name);
		buf_lit(&out->body, ",\"state\":\"ready\",\"folder\":");
		json_put_string(&out->body, str_of(realpath(dir, whole) ? whole : dir));
		buf_lit(&out->body, ",\"manifest\":");
		buf_str(&out->body, m.text);
		buf_byte(&out->body, '}');
	}
	arena_release(&a);
	if (rc < 0 && e->problem == P_UNKNOWN_BACKUP)
		return 0;
	return rc < 0 ? -1 : 1;
}

static bool is_last(const struct backups *b, struct str name)
{
	return b->name.n > 0 && str_eq(buf_view(&b->name), name);
}

int backups_put(struct service *s, struct str name, struct answer *out, struct err *e)
{
	struct backups *b = s->backups;
	int rc = 0;

	pthread_mutex_lock(&b->mutex);
	if (b->running && !is_last(b, name))
		rc = err_set(e, P_CONFLICT, "the backup %.*s is being made", STR_ARG(buf_view(&b->name)));
	else if (!b->running)
		rc = put_ready(b, name, out, e);
	if (rc == 0 && !b->running)
		rc = start(b, name, e);
	if (rc == 0)
		put_running(b, out, 202);
	pthread_mutex_unlock(&b->mutex);
	return rc < 0 ? -1 : 0;
}

int backups_get(struct service *s, struct str name, struct answer *out, struct err *e)
{
	struct backups *b = s->backups;
	bool running, known;
	struct err failed;

	pthread_mutex_lock(&b->mutex);
	known = is_last(b, name);
	running = known && b->running;
	failed = b->err;
	if (running)
		put_running(b, out, 200);
	pthread_mutex_unlock(&b->mutex);
	if (running)
		return 0;
	switch (put_ready(b, name, out, e)) {
	case 1:
		return 0;
	case 0:
		if (known && failed.problem != P_NONE)
			*e = failed;
		else
			err_set(e, P_UNKNOWN_BACKUP, "there is no backup \"%.*s\"", STR_ARG(name));
	}
	return -1;
}

/* --- the list ------------------------------------------------------------------------------------------ */

struct names {
	struct arena a;
	const char *folder;
	struct str *name;
	uint32_t n;
};

static int see_entry(void *ctx, const char *name, struct err *e)
{
	struct names *l = ctx;
	char path[COPY_PATH_BYTES];

	if (name[0] == '.' || l->n == BACKUPS_MAX)
		return 0;
	if (copy_path(path, e, "%s/%s/" MANIFEST_FILE, l->folder, name) < 0)
		return -1;
	if (copy_is_file(path))
		l->name[l->n++] = arena_str(&l->a, str_of(name));
	return 0;
}

static int by_name(const void *x, const void *y)
{
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static void put_names(struct names *l, struct str after, uint32_t limit, struct answer *out)
{
	uint32_t from = 0, n;

	qsort(l->name, l->n, sizeof *l->name, by_name);
	while (from < l->n && after.p && str_cmp(l->name[from], after) <= 0)
		from++;
	n = l->n - from < limit ? l->n - from : limit;
	out->status = 200;
	buf_lit(&out->body, "{\"backups\":[");
	for (uint32_t i = from; i < from + n; i++) {
		json_put_comma(&out->body);
		json_put_string(&out->body, l->name[i]);
	}
	buf_lit(&out->body, "],\"next\":");
	if (from + n < l->n)
		json_put_string(&out->body, l->name[from + n - 1]);
	else
		buf_lit(&out->body, "null");
	buf_byte(&out->body, '}');
}

int backups_list(struct service *s, struct str after, uint32_t limit, struct answer *out, struct err *e)
{
	struct names l = {.folder = s->conf->backups};
	int rc = 0;

	l.name = ARENA_ARRAY(&l.a, struct str, BACKUPS_MAX);
	if (copy_is_folder(l.folder)) /* the first backup makes it */
		rc = copy_list(l.folder, see_entry, &l, e);
	if (rc == 0)
		put_names(&l, after, limit, out);
	arena_release(&l.a);
	return rc;
}
