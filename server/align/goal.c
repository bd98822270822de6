#include "align/goal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t goal_print(double g, int decimals, char out[GOAL_TEXT_BYTES])
{
	size_t n = (size_t)snprintf(out, GOAL_TEXT_BYTES, "%.*f", decimals, g);

	if (decimals > 0) {
		while (out[n - 1] == '0')
			n--;
		if (out[n - 1] == '.')
			n--;
		out[n] = '\0';
	}
	if (strcmp(out, "-0") == 0) {
		strcpy(out, "0");
		n = 1;
	}
	return n;
}

/* To 12 significant digits, by way of the decimal itself: printf and strtod
 * both round correctly, so the result is the same on every machine. */
static double round12(double x)
{
	char text[32];

	snprintf(text, sizeof text, "%.11e", x);
	return strtod(text, NULL) + 0.0; /* -0 becomes 0 */
}

void goal_centre(const double *rewards, size_t n, double *x)
{
	double sum = 0, mean;

	for (size_t i = 0; i < n; i++)
		sum += rewards[i];
	mean = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		x[i] = round12(rewards[i] - mean);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void goal_sort(double *x, size_t n)
{
	if (n > 1)
		qsort(x, n, sizeof *x, ascending);
}

/* How many lie below x; with `or_equal`, those equal to it as well. */
static size_t below(const double *sorted, size_t n, double x, bool or_equal)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (sorted[mid] < x || (or_equal && sorted[mid] == x))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

double goal_quantile(const double *sorted, size_t n, double x, double min, double max)
{
	double k, goal;

	if (n <= 1)
		return max;
	/* Equal ones hold the ranks less + 1 … less + same; theirs is the middle. */
	k = ((double)below(sorted, n, x, false) + 1 + (double)below(sorted, n, x, true)) / 2;
	goal = min + (max - min) * (k - 1) / (double)(n - 1);
	return goal > max ? max : goal;
}
