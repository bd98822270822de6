/* stats.h - sums kept at commit.
 *
 * A series is a set of numbers that the facts make: the current good values
 * of one (judge, attribute), the lengths of responses, … Each keeps a count,
 * exact Σx and Σx² (base/exact.h), fixed histogram bins and a tally of values
 * for minimum and maximum. They are merged in memory and written once a group,
 * in the same transaction as the facts; reading costs the same at ten scores
 * and at ten million. */
#ifndef PREFD_STORE_STATS_H
#define PREFD_STORE_STATS_H

#include "base/exact.h"
#include "store/dataset.h"

struct series {
	struct str a, b;       /* (judge, attribute), (model, ""), (judge, "") or ("", "") */
	struct exact exact;    /* count, Σx, Σx² */
	int64_t failed, abstained; /* scores: keys whose current status that is */
	double min, max;       /* 0 when there is no value */
	uint32_t bins;
	const double *edge;    /* bins + 1, rising; the last bin holds its upper edge */
	const int64_t *in_bin; /* bins */
};

struct dataset_stats {
	int64_t seq; /* what the sums hold for */
	int64_t prompts, responses, scored_prompts;
	int64_t scores;      /* (response, judge, attribute) with any value */
	int64_t comparisons; /* current votes */
	struct series responses_per_prompt, lengths; /* lengths: characters of responses */
	const struct series *model; /* lengths by model, in byte order; "" is no model */
	uint32_t models;
	const struct series *score; /* in byte order of (judge, attribute) */
	uint32_t scored;
	const struct series *voter; /* strengths by judge */
	uint32_t voters;
};

/* Fixed bins: a score attribute with a declared range has 20 of equal width
 * over it; one without has [least, −10), forty of 0.5 from −10 to 10 and
 * [10, greatest]; lengths: 0, 1, 2, 4 … 2^24; responses per prompt: 0, 1 … 16,
 * 32, 64 … 2^20. */
int store_stats(struct store *s, struct arena *a, const struct dataset *d, struct dataset_stats *out, struct err *e);

#endif
