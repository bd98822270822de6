/* sums.h - what the facts add to the sums, until it is written.
 *
 * A series is a bag of numbers (see store/stats.h); facts only ever put a
 * number in or take one out. So what a group changes is a map from (series,
 * number) to how often: a savepoint gathers its own, release merges it into the
 * group's, undo forgets it, commit writes it. What cancels out is never
 * written. */
#ifndef PREFD_STORE_SUMS_H
#define PREFD_STORE_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum series_kind {
	SERIES_PROMPTS, /* responses of each prompt */
	SERIES_SCORED,  /* 1 for each prompt with a good score */
	SERIES_LENGTHS, /* characters of each response */
	SERIES_MODEL,   /* the same, a: model */
	SERIES_SCORE,   /* current good values, a: judge, b: attribute; and how many have none */
	SERIES_VOTES,   /* strengths of current votes, a: judge */
};

enum sum_what { SUM_VALUE, SUM_FAILED, SUM_ABSTAINED };

struct sum_key {
	int64_t dataset, a, b;
	int32_t kind, what;
	double value; /* 0 unless SUM_VALUE */
};

struct delta {
	struct sum_key key;
	int64_t n;
};

struct sums {
	struct delta *delta; /* in order of first mention */
	size_t n, cap;
	uint32_t *slot;      /* open addressing: index into delta plus 1, 0 free */
	size_t slots;        /* a power of two, or 0 */
};

void sums_release(struct sums *s);
void sums_clear(struct sums *s);
void sums_add(struct sums *s, const struct sum_key *key, int64_t n);
void sums_merge(struct sums *into, const struct sums *from);

struct store;

/* Short forms on the savepoint's sums. */
void sum_value(struct store *s, int64_t dataset, enum series_kind kind, int64_t a, int64_t b, double value, int64_t n);
void sum_status(struct store *s, int64_t dataset, int64_t judge, int64_t attribute, enum sum_what what, int64_t n);
/* Writes the group's sums and forgets them. */
int sums_flush(struct store *s, struct err *e);
/* An attribute's range is (newly) min to max: counts the written values of its
 * series into the new bins. */
int sums_rebin(struct store *s, int64_t dataset, int64_t attribute, double min, double max, struct err *e);

/* --- bins.c -------------------------------------------------------------------- */

enum { BINS_MAX = 48 };

struct range {
	int64_t attribute;
	double min, max;
};

/* Edges of a series; the ends of an undeclared range are infinite. Returns the
 * number of bins, 0 for a series that has none. range: NULL when none is declared. */
uint32_t bin_edges(enum series_kind kind, const struct range *range, double edge[BINS_MAX + 1]);
/* The bin that holds v, the outermost for what lies outside. */
uint32_t bin_of(const double *edge, uint32_t bins, double v);

#endif
