/* waiters.c - requests that wait for a snapshot. */
#include "base/clock.h"
#include "base/heap.h"
#include "inside.h"
#include "jobs.h"
#include "report.h"

struct waiting_for {
	struct waiting_for *next;
	struct pending *pending; /* a reference */
	bool owned;              /* taken already */
	bool flagged;            /* its row may have changed */
	enum wait_answer how;
	int64_t deadline_us;     /* of clock_steady_us */
	char id[];               /* NUL-terminated */
};

static struct waiting_for *waiter_new(struct pending *p, bool owned, struct str id, enum wait_answer how, int wait_s)
{
	struct waiting_for *w = heap_zalloc(1, sizeof *w + id.n + 1);
	int seconds = wait_s < 0 ? 0 : wait_s < WAIT_SECONDS_MAX ? wait_s : WAIT_SECONDS_MAX;

	pending_ref(p);
	w->pending = p;
	w->owned = owned;
	w->flagged = true; /* it may have happened before it came here */
	w->how = how;
	w->deadline_us = clock_steady_us() + seconds * 1000000LL;
	memcpy(w->id, id.p, id.n);
	return w;
}

/* --- answering ---------------------------------------------------------------------------- */

static int answer_created(struct answer *out, const struct snapshot_row *row, double progress, struct err *e)
{
	if (row->state == SNAPSHOT_FAILED)
		return problem_read(row->problem, e);
	if (row->state == SNAPSHOT_REVOKED || row->state == SNAPSHOT_DELETED)
		return err_set(e, P_GONE, "snapshot %.*s was taken back while it was being built", STR_ARG(row->id));
	out->status = row->state == SNAPSHOT_READY ? 201 : 202;
	answer_header(out, "Location", "/v1/snapshots/%.*s", STR_ARG(row->id));
	return report_snapshot(&out->body, row, progress, e);
}

static int answer_told(struct answer *out, const struct snapshot_row *row, double progress, struct err *e)
{
	if (row->state == SNAPSHOT_DELETED)
		return err_set(e, P_GONE, "snapshot %.*s was deleted", STR_ARG(row->id));
	out->status = 200;
	return report_snapshot(&out->body, row, progress, e);
}

static void answer_waiter(struct snapshots *sn, struct waiting_for *w, const struct snapshot_row *row, struct err *e)
{
	struct answer *out = &w->pending->answer;
	double progress = jobs_progress(sn, str_of(w->id));
	int rc = row ? 0 : -1;

	if (!w->owned && !pending_take(w->pending))
		return;
	buf_clear(&out->body);
	out->headers = 0;
	out->status = 0;
	if (rc == 0 && w->how == WAIT_CREATED)
		rc = answer_created(out, row, progress, e);
	else if (rc == 0 && w->how == WAIT_TOLD)
		rc = answer_told(out, row, progress, e);
	if (rc < 0)
		answer_problem(out, e);
	pending_finish(w->pending);
}

/* --- looking ------------------------------------------------------------------------------- */

/* Takes those that must be looked at off the list; *changes: as of then. */
static struct waiting_for *take_due(struct snapshots *sn, bool all, uint64_t *changes)
{
	struct waiting_for *due = NULL, **at = &sn->waiters;
	int64_t now = clock_steady_us();

	pthread_mutex_lock(&sn->mutex);
	*changes = sn->changes;
	while (*at) {
		struct waiting_for *w = *at;

		if (!all && !w->flagged && w->deadline_us > now) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = due;
		due = w;
	}
	pthread_mutex_unlock(&sn->mutex);
	return due;
}

/* Rows that changed since `changes` may have been read too early. */
static void put_back(struct snapshots *sn, struct waiting_for *w, uint64_t changes)
{
	pthread_mutex_lock(&sn->mutex);
	w->flagged = sn->changes != changes;
	w->next = sn->waiters;
	sn->waiters = w;
	pthread_mutex_unlock(&sn->mutex);
}

static void look(struct snapshots *sn, struct store *db, struct waiting_for *w, bool all, uint64_t changes,
                 struct err *e)
{
	struct snapshot_row row;
	struct arena a = {0};
	int rc = db ? store_snapshot_get(db, &a, str_of(w->id), &row, e) : -1;

	if (rc == 0 && row.state == SNAPSHOT_BUILDING && !all && w->deadline_us > clock_steady_us()) {
		put_back(sn, w, changes);
	} else {
		answer_waiter(sn, w, rc == 0 ? &row : NULL, e);
		pending_unref(w->pending);
		heap_free(w);
	}
	arena_release(&a);
}

void waiters_run(struct snapshots *sn, bool all)
{
	uint64_t changes;
	struct waiting_for *due = take_due(sn, all, &changes);
	struct store *db = NULL;
	struct err e = {0};

	if (due == NULL)
		return;
	if (reader_get(sn->service, &db, &e) < 0)
		db = NULL;
	while (due) {
		struct waiting_for *next = due->next;

		look(sn, db, due, all, changes, &e);
		due = next;
	}
	reader_put(sn->service, db);
}

/* --- the door -------------------------------------------------------------------------------- */

static void run_on_loop(void *ctx)
{
	waiters_run(ctx, false);
}

static void poke(struct snapshots *sn)
{
	loop_call(sn->service->loop, run_on_loop, sn);
}

void jobs_wait(struct snapshots *sn, struct pending *p, bool owned, struct str id, enum wait_answer how, int wait_s)
{
	struct waiting_for *w = waiter_new(p, owned, id, how, wait_s);
	bool stopping;

	pthread_mutex_lock(&sn->mutex);
	w->next = sn->waiters;
	sn->waiters = w;
	stopping = sn->stopping;
	pthread_mutex_unlock(&sn->mutex);
	/* Nobody looks any more: whoever comes now looks for all. */
	if (stopping)
		waiters_run(sn, true);
	else
		poke(sn);
}

void jobs_recheck(struct snapshots *sn)
{
	bool stopping;

	pthread_mutex_lock(&sn->mutex);
	sn->changes++;
	for (struct waiting_for *w = sn->waiters; w; w = w->next)
		w->flagged = true;
	stopping = sn->stopping;
	pthread_mutex_unlock(&sn->mutex);
	if (!stopping)
		poke(sn);
}
