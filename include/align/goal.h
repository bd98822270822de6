/* goal.h - goals: how a reward stands in a prompt.
 *
 * For a policy conditioned on a goal g the relabelled reward of a response
 * with reward r is R(x, y, g) = −(g − r)² (arXiv 2410.08067); each pair is
 * trained on twice, with g = r_w and with g = r_l, the answers of the second
 * changing places. Pure. */
#ifndef PREFD_ALIGN_GOAL_H
#define PREFD_ALIGN_GOAL_H

#include <stdbool.h>
#include <stddef.h>

enum { GOAL_TEXT_BYTES = 352, GOAL_DECIMALS = 2, QUANTILE_DECIMALS = 4 };

/* C's "%.<decimals>f" with trailing zeros and point removed, never "-0".
 * Returns the length. 8.50 → "8.5", 7.00 → "7". */
size_t goal_print(double g, int decimals, char out[GOAL_TEXT_BYTES]);

/* x(y) = reward − mean of its prompt's candidates, rounded to 12 significant
 * digits so that ties are ties. rewards[] in byte order of ids; writes x[n]. */
void goal_centre(const double *rewards, size_t n, double *x);
/* Ascending, in place: the ground for goal_quantile. */
void goal_sort(double *x, size_t n);
/* k = mid-rank of x in sorted[n] (which contains it);
 * goal = min + (max − min)·(k − 1)/(n − 1); n = 1 gives max. */
double goal_quantile(const double *sorted, size_t n, double x, double min, double max);

#endif
