/* writer.c - the one thread that writes.
 *
 * A group is what waits when the thread is free: no timer, so one client alone
 * pays one fsync and many clients share it. Each work of a group runs in a
 * savepoint and stands or falls alone; COMMIT decides for all of them. Only
 * after COMMIT is anybody answered. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/metric.h"
#include "inside.h"
#include "store/dataset.h"

enum {
	GROUP_REQUESTS_MAX = 512,
	GROUP_BYTES_MAX = 4 << 20,
	QUEUE_REQUESTS_MAX = 8192,
	CHECKPOINT_WAL_BYTES = 16 << 20,
	TRUNCATE_WAL_BYTES = 64 << 20,
	PURGE_ROWS = 500,
	SWEEP_ROWS = 2000,
};
#define DAY_US (24LL * 3600 * 1000000)

struct writer {
	pthread_t thread;
	struct queue queue;
	struct store *db;
	_Atomic bool failed;
};

/* What became of a work in this group. */
struct outcome {
	struct work *work;
	struct answer own;    /* the answer when nobody waits for it */
	struct answer *answer;
	bool cancelled;       /* the deadline was faster */
	bool kept;            /* its savepoint was released */
};

static void settle(struct outcome *o, bool committed)
{
	struct pending *p = o->work->pending;
	bool keep = false;

	if (o->work->settled)
		o->work->settled(o->work, committed && o->kept, o->answer, &keep);
	else
		heap_free(o->work);
	if (p && !o->cancelled && !keep)
		pending_finish(p);
	if (p)
		pending_unref(p);
	answer_release(&o->own);
}

/* --- one work ------------------------------------------------------------------ */

static int answer_again(const struct store_answer *stored, const struct work *w, struct answer *out, struct err *e)
{
	if (memcmp(stored->request_hash, w->origin.hash, sizeof w->origin.hash) != 0)
		return err_set(e, P_KEY_REUSED, "this Idempotency-Key came before with another request");
	out->status = stored->status;
	buf_str(&out->body, stored->body);
	if (stored->location.p)
		answer_header(out, "Location", "%.*s", STR_ARG(stored->location));
	answer_header(out, "Idempotency-Replayed", "true");
	return 0;
}

static struct str location_of(const struct answer *a)
{
	for (int i = 0; i < a->headers; i++)
		if (strcmp(a->header[i].name, "Location") == 0)
			return str_of(a->header[i].value);
	return STR_NONE;
}

static int apply_keyed(struct writer *w, struct work *work, struct answer *out, struct err *e)
{
	struct store_answer stored;
	struct arena arena;
	int found, rc = 0;

	arena_init(&arena);
	found = store_answer_get(w->db, &arena, work->origin.key, &stored, e);
	if (found < 0)
		rc = -1;
	else if (found)
		rc = answer_again(&stored, work, out, e);
	else
		rc = work->apply(work, w->db, out, e);
	if (rc == 0 && !found) {
		memcpy(stored.request_hash, work->origin.hash, sizeof stored.request_hash);
		stored.status = out->status;
		stored.location = location_of(out);
		stored.body = buf_view(&out->body);
		rc = store_answer_put(w->db, work->origin.key, &stored, clock_now_us(), e);
	}
	arena_release(&arena);
	return rc;
}

/* 0: the group goes on; -1: the transaction itself is lost. */
static int run_one(struct writer *w, struct outcome *o, struct err *e)
{
	struct work *work = o->work;
	struct err refused = {0};
	int rc;

	if (work->pending && !pending_take(work->pending)) {
		o->cancelled = true;
		return 0;
	}
	if ((work->checks_first ? store_step(w->db, e) : store_savepoint(w->db, e)) < 0)
		return -1;
	if (work->origin.key.p)
		rc = apply_keyed(w, work, o->answer, &refused);
	else
		rc = work->apply(work, w->db, o->answer, &refused);
	if (rc == 0) {
		o->kept = true;
		return store_release(w->db, e);
	}
	answer_problem(o->answer, &refused);
	if (refused.problem == P_INTERNAL)
		log_error("writer", "request failed detail=\"%s\"", refused.detail);
	if (store_undo(w->db, e) == 0)
		return 0;
	if (refused.problem == P_STORAGE_FULL)
		*e = refused; /* which is why nothing could be undone */
	return -1;
}

/* --- a group -------------------------------------------------------------------- */

static void fail_group(struct outcome *o, size_t n, const struct err *e)
{
	struct err shown = *e;

	if (shown.problem != P_STORAGE_FULL)
		shown.problem = P_UNAVAILABLE;
	for (size_t i = 0; i < n; i++)
		if (!o[i].cancelled) {
			answer_problem(o[i].answer, &shown);
			buf_clear(&o[i].answer->problem_more);
			o[i].answer->retry_after_s = 5;
		}
}

/* Takes what was not reached before the transaction broke. */
static void take_rest(struct outcome *o, size_t from, size_t n)
{
	for (size_t i = from; i < n; i++)
		if (o[i].work->pending && !pending_take(o[i].work->pending))
			o[i].cancelled = true;
}

static int run_group(struct writer *w, struct outcome *o, size_t n, struct err *e)
{
	size_t i = 0;
	int64_t began;

	if (store_failed(w->db)) {
		take_rest(o, 0, n);
		return err_set(e, P_UNAVAILABLE, "the store failed and takes no more writes; see the log");
	}
	if (store_begin(w->db, e) < 0) {
		take_rest(o, 0, n);
		return -1;
	}
	for (; i < n; i++)
		if (run_one(w, &o[i], e) < 0) {
			take_rest(o, i + 1, n);
			store_rollback(w->db);
			return -1;
		}
	began = clock_steady_us();
	if (store_commit(w->db, e) < 0)
		return -1;
	metric_add(M_COMMIT_US, clock_steady_us() - began);
	metric_add(M_GROUPS, 1);
	metric_add(M_GROUP_REQUESTS, (int64_t)n);
	return 0;
}

static void note_read_only(struct writer *w)
{
	if (!store_failed(w->db))
		return;
	atomic_store(&w->failed, true);
	metric_set(M_STORE_READ_ONLY, 1);
}

static void checkpoint(struct writer *w)
{
	int64_t wal = store_wal_bytes(w->db);
	bool erasing = store_erasing(w->db); /* a reader may be in the way: then after the next group */
	struct err e;

	if ((wal < CHECKPOINT_WAL_BYTES && !erasing) || store_failed(w->db))
		return;
	if (store_checkpoint(w->db, erasing || wal >= TRUNCATE_WAL_BYTES, &e) < 0)
		log_warn("writer", "checkpoint failed detail=\"%s\"", e.detail);
	else
		metric_add(M_CHECKPOINTS, 1);
	note_read_only(w);
}

static void note_failure(struct writer *w, const struct err *e)
{
	metric_add(M_COMMIT_FAILED, 1);
	log_error("writer", "group failed problem=%s detail=\"%s\"", problem_slug(e->problem), e->detail);
	note_read_only(w);
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	struct outcome *o = heap_alloc(GROUP_REQUESTS_MAX * sizeof *o);
	struct queue_node *group;

	while ((group = queue_take(&w->queue, GROUP_REQUESTS_MAX, GROUP_BYTES_MAX))) {
		struct err e = {0};
		size_t n = 0;
		bool ok;

		for (; group; group = group->next, n++) {
			memset(&o[n], 0, sizeof o[n]);
			o[n].work = (struct work *)group;
			o[n].answer = o[n].work->pending ? &o[n].work->pending->answer : &o[n].own;
		}
		ok = run_group(w, o, n, &e) == 0;
		if (!ok) {
			note_failure(w, &e);
			fail_group(o, n, &e);
		}
		for (size_t i = 0; i < n; i++)
			settle(&o[i], ok);
		checkpoint(w);
	}
	heap_free(o);
	return NULL;
}

/* --- the door ------------------------------------------------------------------- */

int writer_start(struct writer **out, const struct conf *conf, struct err *e)
{
	struct store_options options = {.dir = conf->data, .writer = true, .sync = STORE_SYNC_FULL};
	struct writer *w = heap_zalloc(1, sizeof *w);

	if (store_open(&w->db, &options, e) < 0) {
		heap_free(w);
		return -1;
	}
	queue_init(&w->queue, QUEUE_REQUESTS_MAX);
	if (pthread_create(&w->thread, NULL, writer_main, w) != 0) {
		queue_destroy(&w->queue);
		store_close(w->db);
		heap_free(w);
		return err_set(e, P_UNAVAILABLE, "the writer's thread cannot be started");
	}
	*out = w;
	return 0;
}

void writer_stop(struct writer *w)
{
	struct err e;

	if (w == NULL)
		return;
	queue_close(&w->queue);
	pthread_join(w->thread, NULL);
	if (!store_failed(w->db) && store_checkpoint(w->db, true, &e) < 0)
		log_warn("writer", "last checkpoint failed detail=\"%s\"", e.detail);
	store_close(w->db);
	queue_destroy(&w->queue);
	heap_free(w);
}

bool writer_failed(struct writer *w)
{
	return atomic_load(&w->failed);
}

void writer_submit(struct service *s, struct work *work)
{
	struct outcome o = {.work = work};
	struct err e;

	if (work->pending)
		pending_ref(work->pending);
	if (queue_put(&s->writer->queue, &work->node))
		return;
	o.answer = work->pending ? &work->pending->answer : &o.own;
	o.cancelled = work->pending && !pending_take(work->pending);
	err_set(&e, P_UNAVAILABLE, "too many writes are waiting (%d)", QUEUE_REQUESTS_MAX);
	if (!o.cancelled)
		answer_problem(o.answer, &e);
	settle(&o, false);
}

/* Housekeeping is a work like any other: answers older than a day go, and so
 * do the rows of datasets that were deleted, slice by slice until none is left. */
struct housekeeping {
	struct work work;
	struct service *service;
	bool more;
};

static int keep_house(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct housekeeping *h = (struct housekeeping *)work;
	int more;

	(void)out;
	if (store_answer_purge(db, clock_now_us() - DAY_US, PURGE_ROWS, e) < 0)
		return -1;
	more = store_dataset_sweep(db, SWEEP_ROWS, e);
	h->more = more > 0;
	return more < 0 ? -1 : 0;
}

static void house_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct housekeeping *h = (struct housekeeping *)work;

	(void)out;
	(void)keep;
	if (committed && h->more)
		writer_submit(h->service, work);
	else
		heap_free(h);
}

void writer_tick(struct service *s)
{
	struct housekeeping *h = heap_zalloc(1, sizeof *h);

	h->service = s;
	h->work.apply = keep_house;
	h->work.settled = house_settled;
	writer_submit(s, &h->work);
}
