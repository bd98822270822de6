/* job.h - one build under way: what jobs.c and settle.c share. See jobs.h. */
#ifndef PREFD_SERVICE_JOB_H
#define PREFD_SERVICE_JOB_H

#include "build.h"
#include "jobs.h"

enum {
	REST_US = 5 * 1000 * 1000,    /* before what failed is tried again */
	NAP_US = 500 * 1000,          /* while a deletion goes on */
	NAPS_MAX = 120,
	REPLAY_ASKS_MAX = 3,          /* for the file of a replay */
};

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_BUILT, JOB_SETTLING, JOB_RESTING, JOB_OVER };

/* A snapshot that wants the job's file. */
struct wanted {
	struct wanted *next;
	struct str id;
	struct recipe recipe;
};

struct job {
	struct job *next;
	struct snapshots *sn;
	struct arena arena;
	struct snapshot_row row;  /* the one that began it: dataset, number, recipe */
	struct str same;          /* what makes another the same: its recipe, build form */
	struct wanted *wanted;
	struct str rebuild;       /* the revision to be made anew; STR_NONE: a first build */
	struct snapshot_row other; /* settling found that this one wants it too; id STR_NONE: none */
	enum job_state state, then; /* then: what follows RESTING */
	int64_t rest_until_us;    /* of clock_steady_us */
	int naps, asks;
	bool stale;               /* something it may have read was deleted */
	_Atomic int permille;     /* of its progress */
	/* whose they are: see jobs.h */
	struct build *build;
	enum build_state outcome;
	struct err err;           /* of BUILD_FAILED */
	bool again;               /* settling found that it must begin again */
};

/* What a job needs of a row, copied. */
struct snapshot_row job_row(struct arena *a, const struct snapshot_row *row);
/* Whether a rebuild is about to find out what this row comes to. The mutex is held. */
bool job_judges(const struct snapshots *sn, const struct snapshot_row *row);
/* RESTING for us microseconds, then `then`; at once when us is 0. */
void job_rest(struct job *j, int64_t us, enum job_state then);
/* From the beginning, after a rest. Both: the mutex is held. */
void job_begin_again(struct job *j, int64_t rest_us);
/* Loop's thread: lets go on whatever can. ctx: struct snapshots. */
void jobs_run(void *ctx);

/* --- settle.c --------------------------------------------------------------------- */

/* Hands the outcome of a job in state SETTLING to the writer. Loop's thread,
 * without the mutex. */
void job_settle(struct job *j);

#endif
