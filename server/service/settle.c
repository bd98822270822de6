/* settle.c - what came of a build is written down: on the writer's thread. */
#include <unistd.h>

#include "base/heap.h"
#include "base/log.h"
#include "inside.h"
#include "job.h"
#include "report.h"

struct settle_work {
	struct work work;
	struct job *job;
};

static int settle_one(struct store *db, const struct job *j, const struct wanted *w, struct err *e)
{
	const struct build_result *x = j->build ? build_result(j->build) : NULL;
	struct snapshot_row row = {.id = w->id, .state = SNAPSHOT_READY};
	struct buf text = BUF_INIT;
	struct err why = j->err;
	int rc = 0;

	if (j->outcome != BUILD_FAILED)
		rc = report_verdict(&x->found, &w->recipe, &why);
	if (j->outcome == BUILD_FAILED || rc < 0) {
		row.state = SNAPSHOT_FAILED;
		report_problem(&text, &why);
		row.problem = buf_view(&text);
	} else {
		report_result(&text, x, &w->recipe);
		row.result = buf_view(&text);
		row.revision = str_of(x->revision);
		row.bytes = (int64_t)x->bytes;
	}
	rc = store_snapshot_settle(db, &row, e); /* 0: revoked or deleted meanwhile */
	buf_release(&text);
	return rc < 0 ? -1 : 0;
}

/* The row that the file was made anew from, and those that would have given
 * the same: where it came out differently, their facts are no longer there. */
static bool lost(const struct job *j, const struct snapshot_row *row)
{
	return row->dataset_key == j->row.dataset_key && row->seq == j->row.seq && str_eq(row->revision, j->rebuild);
}

static int revoke_row(struct store *db, const struct snapshot_row *row, struct str problem, struct err *e)
{
	struct snapshot_row changed = *row;

	changed.state = SNAPSHOT_REVOKED;
	changed.problem = problem;
	return store_snapshot_settle(db, &changed, e) < 0 ? -1 : 0;
}

/* Another dataset, or another number, may hold the same facts still: the first
 * of those rows is tried next. */
static int revoke_lost(struct store *db, struct job *j, struct err *e)
{
	struct snapshot_row *row;
	struct buf text = BUF_INIT, after = BUF_INIT;
	struct err why;
	uint32_t n = 1;
	int rc = 0;

	err_set(&why, P_GONE, "its file was lost, and what it was made of is no longer there");
	report_problem(&text, &why);
	while (rc == 0 && n > 0) {
		struct arena a = {0};

		rc = store_snapshot_in_state(db, &a, SNAPSHOT_READY, after.n > 0 ? buf_view(&after) : STR_NONE, &row, &n, e);
		for (uint32_t i = 0; rc == 0 && i < n; i++) {
			buf_clear(&after);
			buf_str(&after, row[i].id);
			if (lost(j, &row[i]))
				rc = revoke_row(db, &row[i], buf_view(&text), e);
			else if (j->other.id.p == NULL && str_eq(row[i].revision, j->rebuild))
				j->other = job_row(&j->arena, &row[i]);
		}
		arena_release(&a);
	}
	buf_release(&after);
	buf_release(&text);
	return rc;
}

static bool file_there(const struct job *j)
{
	char path[SNAP_PATH_BYTES];

	snap_path(j->sn->service->snap_dir, str_of(build_result(j->build)->revision), path);
	return access(path, R_OK) == 0;
}

/* What was deleted since must not come back through the file of the replay. */
static int replay_revoked(const struct job *j, struct store *db, bool *revoked, struct err *e)
{
	const struct recipe *r = j->wanted ? &j->wanted->recipe : NULL;
	struct snapshot_row row = {.state = SNAPSHOT_READY};
	struct arena a = {0};
	int rc = 0;

	if (j->outcome == BUILD_DONE && r && r->has_replay)
		rc = store_snapshot_get(db, &a, r->made_from.snapshot, &row, e);
	*revoked = row.state == SNAPSHOT_REVOKED;
	arena_release(&a);
	return rc;
}

static int apply_settle(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct job *j = ((struct settle_work *)work)->job;
	bool revoked;

	(void)out;
	if (replay_revoked(j, db, &revoked, e) < 0)
		return -1;
	j->other = (struct snapshot_row){.id = STR_NONE};
	pthread_mutex_lock(&j->sn->mutex);
	j->again = j->stale || revoked;
	pthread_mutex_unlock(&j->sn->mutex);
	/* A deletion may have swept the file away before a row stood for it. */
	if (j->again || (j->outcome == BUILD_DONE && !j->rebuild.p && !file_there(j))) {
		j->again = true;
		return 0;
	}
	if (j->rebuild.p)
		return revoke_lost(db, j, e);
	for (const struct wanted *w = j->wanted; w; w = w->next)
		if (settle_one(db, j, w, e) < 0)
			return -1;
	return 0;
}

/* Files that no ready row stands for go; so do the mappings of revoked ones. */
static void clean_up(struct job *j)
{
	struct service *s = j->sn->service;
	struct err e = {0};
	struct store *db;

	if (j->rebuild.p && reader_get(s, &db, &e) == 0) {
		shelf_recheck(s, db, &e);
		reader_put(s, db);
		snapshots_drop_file(s, j->rebuild);
	}
	if (j->outcome == BUILD_DONE)
		snapshots_drop_file(s, str_of(build_result(j->build)->revision));
}

static void try_other(struct job *j)
{
	j->row = j->other;
	job_begin_again(j, 0);
}

static void settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct job *j = ((struct settle_work *)work)->job;
	struct snapshots *sn = j->sn;

	(void)keep;
	if (!committed)
		log_warn("jobs", "outcome not stored snapshot=%.*s detail=\"%s\"", STR_ARG(j->row.id), out->err.detail);
	else if (!j->again)
		clean_up(j);
	pthread_mutex_lock(&sn->mutex);
	if (!committed)
		job_rest(j, REST_US, JOB_BUILT);
	else if (j->again)
		job_begin_again(j, 0);
	else if (j->other.id.p && !job_judges(sn, &j->other))
		try_other(j);
	else
		j->state = JOB_OVER;
	sn->settling--;
	pthread_cond_broadcast(&sn->settled);
	if (!sn->stopping) /* under the lock: once it is free, sn may be gone */
		loop_call(sn->service->loop, jobs_run, sn);
	pthread_mutex_unlock(&sn->mutex);
	heap_free(work);
}

void job_settle(struct job *j)
{
	struct settle_work *w = heap_zalloc(1, sizeof *w);

	w->job = j;
	w->work.apply = apply_settle;
	w->work.settled = settled;
	writer_submit(j->sn->service, &w->work);
}
