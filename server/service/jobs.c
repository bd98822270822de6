/* jobs.c - builds, step by step. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/metric.h"
#include "inside.h"
#include "job.h"
#include "report.h"

enum { JOBS_RUNNING_MAX = 2, STEP_US = 40 * 1000 };

/* --- the list; the mutex is held --------------------------------------------------------- */

static void job_free(struct job *j)
{
	build_free(j->build);
	arena_release(&j->arena);
	heap_free(j);
	metric_add(M_JOBS, -1);
}

struct snapshot_row job_row(struct arena *a, const struct snapshot_row *row)
{
	return (struct snapshot_row){
		.id = arena_str(a, row->id),
		.dataset = arena_str(a, row->dataset),
		.dataset_key = row->dataset_key,
		.seq = row->seq,
		.recipe = arena_str(a, row->recipe),
		.revision = arena_str(a, row->revision),
	};
}

static struct job *job_new(struct snapshots *sn, const struct snapshot_row *row)
{
	struct job *j = heap_zalloc(1, sizeof *j);

	metric_add(M_JOBS, 1);
	j->sn = sn;
	j->row = job_row(&j->arena, row);
	return j;
}

static void append(struct snapshots *sn, struct job *j)
{
	struct job **at = &sn->jobs;

	while (*at)
		at = &(*at)->next;
	*at = j;
}

static void take_out(struct snapshots *sn, struct job *j)
{
	struct job **at = &sn->jobs;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
}

/* A first build of the same pairs whose outcome is not being written yet. */
static struct job *same_job(struct snapshots *sn, const struct job *like)
{
	for (struct job *j = sn->jobs; j; j = j->next)
		if (!j->rebuild.p && (j->state == JOB_QUEUED || j->state == JOB_RUNNING) &&
		    j->row.dataset_key == like->row.dataset_key && j->row.seq == like->row.seq &&
		    str_eq(j->same, like->same))
			return j;
	return NULL;
}

static bool rebuilding(const struct snapshots *sn, struct str revision)
{
	for (const struct job *j = sn->jobs; j; j = j->next)
		if (j->rebuild.p && str_eq(j->rebuild, revision))
			return true;
	return false;
}

bool job_judges(const struct snapshots *sn, const struct snapshot_row *row)
{
	for (const struct job *j = sn->jobs; j; j = j->next)
		if (j->rebuild.p && str_eq(j->rebuild, row->revision) && j->state != JOB_OVER &&
		    j->row.dataset_key == row->dataset_key && j->row.seq == row->seq)
			return true;
	return false;
}

void job_rest(struct job *j, int64_t us, enum job_state then)
{
	j->state = us > 0 ? JOB_RESTING : then;
	j->then = then;
	j->rest_until_us = clock_steady_us() + us;
}

void job_begin_again(struct job *j, int64_t rest_us)
{
	build_free(j->build);
	j->build = NULL;
	j->stale = false;
	job_rest(j, rest_us, JOB_QUEUED);
}

/* --- replay: on the pool ------------------------------------------------------------------------ */

static bool rebuildable(const struct snapshot_row *row)
{
	return (row->state == SNAPSHOT_READY || row->state == SNAPSHOT_DELETED) && row->revision.p;
}

/* The build needs the file of another snapshot, which is missing or damaged:
 * that one is made anew first. A deleted one too: its row is still there, and
 * what was published does not end with it. */
static int ask_for_replay(struct job *j, struct store *db, struct err *e)
{
	struct snapshot_row row;
	struct recipe recipe;
	struct arena a = {0};
	int rc = recipe_load(&a, j->row.recipe, &recipe, e);

	if (rc == 0)
		rc = store_snapshot_get(db, &a, recipe.made_from.snapshot, &row, e);
	if (rc == 0 && !rebuildable(&row))
		rc = -1;
	if (rc == 0 && !jobs_rebuilding(j->sn, row.revision)) {
		if (j->asks++ < REPLAY_ASKS_MAX)
			jobs_rebuild(j->sn, &row, "a published snapshot needs it");
		else
			rc = -1;
	}
	arena_release(&a);
	return rc == 0 ? 0 : err_set(e, P_UNKNOWN_SNAPSHOT, "the snapshot whose pairs are replayed is no longer there");
}

/* --- steps: on the pool, then on the loop ------------------------------------------------------ */

static void step(void *ctx)
{
	struct job *j = ctx;
	struct service *s = j->sn->service;
	struct build_spec spec = {s->snap_dir, j->row.dataset, j->row.dataset_key, j->row.seq, j->row.recipe};
	struct store *db;
	struct err why;

	if (j->build == NULL)
		j->build = build_new(&spec);
	j->err = (struct err){.problem = P_NONE};
	j->outcome = BUILD_FAILED;
	if (reader_get(s, &db, &j->err) < 0) {
		j->err.problem = P_UNAVAILABLE; /* no connection now, perhaps later */
		return;
	}
	j->outcome = build_step(j->build, db, STEP_US, &j->err);
	if (j->outcome == BUILD_FAILED && j->err.problem == P_DAMAGED && ask_for_replay(j, db, &why) < 0)
		j->err = why;
	reader_put(s, db);
	atomic_store(&j->permille, (int)(1000 * build_progress(j->build)));
}

/* Every snapshot that wants it would fail: there is no use in going on. */
static bool hopeless(const struct job *j)
{
	struct err e;

	if (j->rebuild.p)
		return false;
	for (const struct wanted *w = j->wanted; w; w = w->next)
		if (report_verdict(&build_result(j->build)->found, &w->recipe, &e) == 0)
			return false;
	return true;
}

/* Tries again later what may pass by itself. */
static bool passing(struct job *j)
{
	if (j->err.problem == P_DAMAGED)
		return true;
	if (j->rebuild.p)
		return j->err.problem != P_UNKNOWN_DATASET && j->err.problem != P_UNKNOWN_SNAPSHOT;
	return (j->err.problem == P_GONE || j->err.problem == P_UNAVAILABLE || j->err.problem == P_STORAGE_FULL) && j->naps++ < NAPS_MAX;
}

/* What follows a step. The mutex is held. */
static void after_step(struct job *j)
{
	if (j->outcome == BUILD_FAILED && !j->stale)
		log_warn("jobs", "build failed snapshot=%.*s problem=%s detail=\"%s\"", STR_ARG(j->row.id),
		         problem_slug(j->err.problem), j->err.detail);
	if (j->stale)
		job_begin_again(j, 0);
	else if (j->outcome == BUILD_FAILED && passing(j))
		job_begin_again(j, j->rebuild.p ? REST_US : NAP_US);
	else if (j->outcome == BUILD_MORE && !hopeless(j))
		j->state = JOB_QUEUED;
	else
		j->state = JOB_BUILT;
	if (j->state != JOB_BUILT || j->outcome != BUILD_DONE)
		return;
	metric_add(M_SNAPSHOTS_BUILT, 1);
	if (j->rebuild.p && str_eq(j->rebuild, str_of(build_result(j->build)->revision)))
		j->state = JOB_OVER;
}

static void stepped(void *ctx)
{
	struct job *j = ctx;
	struct snapshots *sn = j->sn;

	pthread_mutex_lock(&sn->mutex);
	sn->running--;
	after_step(j);
	pthread_mutex_unlock(&sn->mutex);
	jobs_run(sn);
}

/* --- the loop's round ---------------------------------------------------------------------------- */

/* The next job that goes on now, in its new state. The mutex is held. */
static struct job *next_job(struct snapshots *sn)
{
	for (struct job *j = sn->jobs; j; j = j->next) {
		if (j->state == JOB_RESTING && j->rest_until_us <= clock_steady_us())
			j->state = j->then;
		if (j->state == JOB_QUEUED && sn->running < JOBS_RUNNING_MAX) {
			j->state = JOB_RUNNING;
			sn->running++;
			return j;
		}
		if (j->state == JOB_BUILT) {
			j->state = JOB_SETTLING;
			sn->settling++;
			return j;
		}
		if (j->state == JOB_OVER) {
			take_out(sn, j);
			return j;
		}
	}
	return NULL;
}

/* Lets one job go on. False: there was none. */
static bool run_job(struct snapshots *sn, bool *over)
{
	enum job_state state = JOB_OVER;
	struct job *j;

	pthread_mutex_lock(&sn->mutex);
	j = sn->stopping ? NULL : next_job(sn);
	if (j)
		state = j->state;
	pthread_mutex_unlock(&sn->mutex);
	if (j == NULL)
		return false;
	if (state == JOB_RUNNING)
		loop_work(sn->service->loop, step, stepped, j);
	else if (state == JOB_SETTLING)
		job_settle(j);
	else
		job_free(j);
	*over = *over || state == JOB_OVER;
	return true;
}

void jobs_run(void *ctx)
{
	struct snapshots *sn = ctx;
	bool over = false;

	while (run_job(sn, &over))
		;
	if (over)
		jobs_recheck(sn);
}

/* --- the door -------------------------------------------------------------------------------------- */

static int want(struct job *j, const struct snapshot_row *row, struct err *e)
{
	struct wanted *w = ARENA_NEW(&j->arena, struct wanted);

	w->id = arena_str(&j->arena, row->id);
	w->next = j->wanted;
	j->wanted = w;
	return recipe_load(&j->arena, arena_str(&j->arena, row->recipe), &w->recipe, e);
}

static void add_job(struct snapshots *sn, struct job *j)
{
	pthread_mutex_lock(&sn->mutex);
	append(sn, j);
	if (!sn->stopping)
		loop_call(sn->service->loop, jobs_run, sn);
	pthread_mutex_unlock(&sn->mutex);
}

void jobs_build(struct snapshots *sn, const struct snapshot_row *row)
{
	struct job *j = job_new(sn, row), *other;
	struct buf b = BUF_INIT;
	struct err e;

	if (want(j, row, &j->err) < 0) {
		j->outcome = BUILD_FAILED;
		j->state = JOB_BUILT;
		add_job(sn, j);
		return;
	}
	recipe_print(&b, &j->wanted->recipe, RECIPE_BUILD);
	j->same = arena_str(&j->arena, buf_view(&b));
	buf_release(&b);
	pthread_mutex_lock(&sn->mutex);
	other = same_job(sn, j);
	if (other)
		want(other, row, &e); /* it could be read just now */
	pthread_mutex_unlock(&sn->mutex);
	if (other)
		job_free(j);
	else
		add_job(sn, j);
}

static void add_rebuild(struct snapshots *sn, const struct snapshot_row *row, bool own, const char *why)
{
	struct job *j = job_new(sn, row);
	bool there;

	j->rebuild = arena_str(&j->arena, row->revision);
	pthread_mutex_lock(&sn->mutex);
	there = own ? job_judges(sn, row) : rebuilding(sn, row->revision);
	if (!there)
		append(sn, j);
	if (!there && !sn->stopping)
		loop_call(sn->service->loop, jobs_run, sn);
	pthread_mutex_unlock(&sn->mutex);
	if (there) {
		job_free(j);
		return;
	}
	metric_add(M_SNAPSHOTS_DAMAGED, 1);
	log_warn("jobs", "file made anew snapshot=%.*s revision=%.*s why=\"%s\"", STR_ARG(row->id),
	         STR_ARG(row->revision), why);
}

void jobs_rebuild(struct snapshots *sn, const struct snapshot_row *row, const char *why)
{
	add_rebuild(sn, row, false, why);
}

void jobs_judge(struct snapshots *sn, const struct snapshot_row *row, const char *why)
{
	add_rebuild(sn, row, true, why);
}

bool jobs_rebuilding(struct snapshots *sn, struct str revision)
{
	bool there;

	pthread_mutex_lock(&sn->mutex);
	there = rebuilding(sn, revision);
	pthread_mutex_unlock(&sn->mutex);
	return there;
}

double jobs_progress(struct snapshots *sn, struct str id)
{
	int permille = 0;

	pthread_mutex_lock(&sn->mutex);
	for (struct job *j = sn->jobs; j; j = j->next)
		for (const struct wanted *w = j->wanted; w; w = w->next)
			if (str_eq(w->id, id))
				permille = atomic_load(&j->permille);
	pthread_mutex_unlock(&sn->mutex);
	return permille / 1000.0;
}

void jobs_stale(struct snapshots *sn, struct str dataset)
{
	pthread_mutex_lock(&sn->mutex);
	for (struct job *j = sn->jobs; j; j = j->next)
		j->stale = j->stale || str_eq(j->row.dataset, dataset);
	pthread_mutex_unlock(&sn->mutex);
}

void jobs_tick(struct snapshots *sn)
{
	jobs_run(sn);
	waiters_run(sn, false);
}

void jobs_drain(struct snapshots *sn)
{
	pthread_mutex_lock(&sn->mutex);
	sn->stopping = true;
	pthread_mutex_unlock(&sn->mutex);
	waiters_run(sn, true);
}

void jobs_free(struct snapshots *sn)
{
	pthread_mutex_lock(&sn->mutex);
	while (sn->settling > 0)
		pthread_cond_wait(&sn->settled, &sn->mutex);
	pthread_mutex_unlock(&sn->mutex);
	while (sn->jobs) {
		struct job *next = sn->jobs->next;

		job_free(sn->jobs);
		sn->jobs = next;
	}
}
