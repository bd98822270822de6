/* build.h - a snapshot's file, made in steps.
 *
 *      new --> GATHERING ----------------------------> WRITING --> DONE
 *          \-> [RANKING --> [DRAWING -->]] WRITING --> [REPLAYING -->] DONE
 *                  \                           \-----> FAILED (the problem)
 *
 * A step reads pages of prompts, as they stood at the pinned number, until its
 * time is over; between two steps nothing of the store is held. Of a dataset
 * they are gathered in order of arrival (gather.h) and then written in order of
 * ids; goals by quantile are ranked on the way. A round's come in order of ids:
 * there goals by quantile need a pass of their own before anything is written;
 * replay is drawn when all of a round's pairs are known, and merged with those
 * that were drawn. While a page is used, a thread of the build's reads the next
 * one; between two steps it is idle. A build left behind leaves no file. One
 * thread at a time. */
#ifndef PREFD_SERVICE_BUILD_H
#define PREFD_SERVICE_BUILD_H

#include "compile.h"
#include "replaying.h"

struct build_spec {
	const char *dir;     /* of snapshot files */
	struct str dataset;  /* its name … */
	int64_t dataset_key; /* … and its key: another of that name will not do */
	int64_t seq;
	struct str recipe;   /* resolved, with what it is made from */
};

enum build_state { BUILD_MORE, BUILD_DONE, BUILD_FAILED };

struct build_result {
	char revision[65]; /* hex */
	uint64_t bytes;    /* of the file */
	uint64_t prompts;  /* with a pair */
	struct pick_counts counts;
	struct findings found;
	struct replay_result replay;
};

struct build;

/* Copies the spec. */
struct build *build_new(const struct build_spec *spec);
/* At most some budget_us, and a page at least. BUILD_FAILED: e says why;
 * P_UNKNOWN_DATASET: it was deleted; P_GONE: a text was, so begin again;
 * P_DAMAGED: the file of its replay is missing or damaged; P_UNKNOWN_SNAPSHOT:
 * the replay's snapshot was revoked. */
enum build_state build_step(struct build *b, struct store *db, int64_t budget_us, struct err *e);
/* 0 … 1. */
double build_progress(const struct build *b);
/* Complete after BUILD_DONE; before it, what is known so far. */
const struct build_result *build_result(const struct build *b);
void build_free(struct build *b);

#endif
