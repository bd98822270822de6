/* exact.h - sums without rounding.
 *
 * A sum of doubles, or of their squares, kept as a wide fixed-point integer:
 * adding and then subtracting leaves no trace, and the order of additions
 * never shows. From it come mean and population deviation, rounded once.
 * Pure; any thread. */
#ifndef PREFD_BASE_EXACT_H
#define PREFD_BASE_EXACT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/str.h"

enum {
	EXACT_SUM_WORDS = 36,    /* 2^-1074 … 2^1024 and 2^100 terms, two's complement */
	EXACT_SQUARE_WORDS = 68, /* the same for squares: 2^-2148 … 2^2048 */
};

struct exact {
	int64_t count;                        /* terms now in the sum */
	uint64_t sum[EXACT_SUM_WORDS];        /* little-endian words, two's complement */
	uint64_t square[EXACT_SQUARE_WORDS];
};

/* x finite. sign +1 adds the term, -1 takes it back. */
void exact_add(struct exact *s, double x, int sign);
/* into += from (from may hold a net negative count: a difference). */
void exact_merge(struct exact *into, const struct exact *from);
bool exact_is_zero(const struct exact *s);
/* 0 when count is 0. Correctly rounded to within one unit in the last place. */
double exact_sum(const struct exact *s);
double exact_mean(const struct exact *s);
/* sqrt(Σx²/n − mean²), from the exact sums; never NaN. */
double exact_std(const struct exact *s);
/* A compact form for the store (leading and trailing zero words dropped) and back. */
void exact_pack(struct buf *b, const struct exact *s);
int exact_unpack(struct exact *s, struct str packed);

#endif
