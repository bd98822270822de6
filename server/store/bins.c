/* bins.c - the fixed histogram bins of each kind of series (see store/stats.h). */
#include <math.h>

#include "sums.h"

enum { RANGE_BINS = 20, HALF_STEPS = 40, LENGTH_POWERS = 24, COUNT_STEPS = 16, COUNT_POWERS = 20 };

static uint32_t range_edges(const struct range *r, double *edge)
{
	for (int i = 0; i < RANGE_BINS; i++)
		edge[i] = r->min + (r->max - r->min) * i / RANGE_BINS;
	edge[RANGE_BINS] = r->max;
	return RANGE_BINS;
}

static uint32_t open_edges(double *edge)
{
	edge[0] = -INFINITY;
	for (int i = 0; i <= HALF_STEPS; i++)
		edge[1 + i] = -10 + 0.5 * i;
	edge[HALF_STEPS + 2] = INFINITY;
	return HALF_STEPS + 2;
}

static uint32_t length_edges(double *edge)
{
	edge[0] = 0;
	for (int i = 0; i <= LENGTH_POWERS; i++)
		edge[1 + i] = ldexp(1, i);
	return LENGTH_POWERS + 1;
}

static uint32_t count_edges(double *edge)
{
	uint32_t n = 0;

	for (; n <= COUNT_STEPS; n++)
		edge[n] = n;
	for (int i = 5; i <= COUNT_POWERS; i++)
		edge[n++] = ldexp(1, i);
	return n - 1;
}

uint32_t bin_edges(enum series_kind kind, const struct range *range, double edge[BINS_MAX + 1])
{
	switch (kind) {
	case SERIES_PROMPTS:
		return count_edges(edge);
	case SERIES_LENGTHS:
	case SERIES_MODEL:
		return length_edges(edge);
	case SERIES_SCORE:
		return range ? range_edges(range, edge) : open_edges(edge);
	case SERIES_VOTES:
		return open_edges(edge);
	case SERIES_SCORED:
		break;
	}
	return 0;
}

uint32_t bin_of(const double *edge, uint32_t bins, double v)
{
	uint32_t low = 0, high = bins - 1;

	while (low < high) {
		uint32_t mid = (low + high + 1) / 2;

		if (v >= edge[mid])
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}
