/* jobs.h - builds under way, and who waits for them.
 *
 * The row of a building snapshot is the durable job; what stands here is only
 * its work in progress, and is taken up again from the rows at the start.
 * Snapshots that would have the same pairs share one job.
 *
 *      QUEUED --> RUNNING (a step on the pool) --> QUEUED …
 *                    \--> SETTLING (on the writer's queue) --> SETTLED --> gone
 *                    \--> RESTING (a while) --> QUEUED or SETTLING
 *
 * A deletion in the dataset makes its jobs stale: they begin again. Everything
 * is guarded by one mutex; a job's build belongs to whoever its state says:
 * the pool while RUNNING, the writer while SETTLING, else the loop's thread. */
#ifndef PREFD_SERVICE_JOBS_H
#define PREFD_SERVICE_JOBS_H

#include <pthread.h>
#include "open.h"
#include "store/snapshot.h"

struct job;
struct waiting_for; /* a request that waits for a snapshot */
struct doubt;       /* a row that a rebuild must judge */

struct snapshots {
	struct service *service;
	struct shelf *shelf;
	pthread_mutex_t mutex;
	pthread_cond_t settled; /* settling went down */
	struct job *jobs;       /* oldest first */
	struct waiting_for *waiters;
	struct doubt *doubts;   /* takeback.c's; the writer's thread */
	uint64_t changes;       /* how often rows were said to have changed */
	int running, settling;
	bool stopping;
};

/* How a waiting request is answered once the snapshot is no longer building,
 * or its time is over. */
enum wait_answer {
	WAIT_AGAIN,   /* status 0: the request asks again itself */
	WAIT_TOLD,    /* 200 and what the snapshot is */
	WAIT_CREATED, /* 201 when ready, its problem when failed, else 202 */
};
enum { WAIT_SECONDS_MAX = 60 };

/* Any thread. A building row becomes a job, or joins one. */
void jobs_build(struct snapshots *sn, const struct snapshot_row *row);
/* Any thread. A ready row's file is made anew; why goes to the log. */
void jobs_rebuild(struct snapshots *sn, const struct snapshot_row *row, const char *why);
/* The same, and from this very row: what it was made of may be gone, and the
 * revision that comes out says so. */
void jobs_judge(struct snapshots *sn, const struct snapshot_row *row, const char *why);
bool jobs_rebuilding(struct snapshots *sn, struct str revision);
/* 0 … 1; 0 when nothing is known of it. */
double jobs_progress(struct snapshots *sn, struct str id);
/* The jobs of a dataset begin again. */
void jobs_stale(struct snapshots *sn, struct str dataset);
/* Any thread. owned: the pending was taken already. */
void jobs_wait(struct snapshots *sn, struct pending *p, bool owned, struct str id, enum wait_answer how, int wait_s);
/* Some rows changed: looks whether anybody waited for that. */
void jobs_recheck(struct snapshots *sn);
/* Loop's thread: starts what may run, answers whose time is over. */
void jobs_tick(struct snapshots *sn);
/* Loop's thread: jobs stop between two steps, nobody waits any longer. */
void jobs_drain(struct snapshots *sn);
/* After the loop has run out: waits for the writer, then frees them. */
void jobs_free(struct snapshots *sn);

/* --- waiters.c ------------------------------------------------------------------- */

/* Loop's thread: answers those that are flagged or late; all: everybody. */
void waiters_run(struct snapshots *sn, bool all);

/* --- takeback.c ------------------------------------------------------------------ */

/* Writer, after a commit: the revision's file goes unless a ready row has it. */
void snapshots_drop_file(struct service *s, struct str revision);
/* All files that no ready row has. */
void snapshots_sweep_dir(struct service *s, struct store *db);
/* Doubts that nothing will be done about any more. */
void snapshots_free_doubts(struct snapshots *sn);

#endif
