/* alpha.h - how strongly length is regularised: the α of r − α·|y|.
 *
 * D(α), the mean length gap of the pairs (implicit_gap), is a right-continuous
 * step function that never increases. Its steps lie at crossings, where two
 * responses of a prompt change places: c = (r_i − r_j)/(L_i − L_j). Pure. */
#ifndef PREFD_ALIGN_ALPHA_H
#define PREFD_ALIGN_ALPHA_H

#include "align/implicit.h"

/* α is sought below this; in rewards per unit of length. */
#define ALPHA_MAX 1e15

/* The α >= 0 with the least |D(α)|, of equals the smallest. It is found from
 * the crossings themselves and never by trying values: only those where a
 * prompt's best or worst response changes count (its upper and lower envelope),
 * and one sweep over them, sorted, adds up D. Crossings within 1e-12·c of each
 * other are one. Let [c, c′) be the best interval: the answer is 0 if 0 lies in
 * it, else c + min((c′ − c)/2, 1e-9·max(1, c)), because c itself is a tie in
 * doubles. O(N·K·log(N·K)). 0 when no prompt is kept. */
double alpha_auto(const struct implicit_groups *g, struct arena *a);

/* What the published script does, for comparison: α = 0, 0.001, 0.002, … below
 * 1 over scores without β, up to the first |D| that is worse than the best so
 * far; the best, of equals the first, is the answer. */
enum { ALPHA_GRID_STEPS = 1000 };

struct alpha_grid {
	int next;     /* step to be tried; ALPHA_GRID_STEPS: the search is over */
	int best;     /* step with the least |D| so far */
	double least; /* that |D| */
};

void alpha_grid_init(struct alpha_grid *s);
/* Tries at most `steps` values; false when the search is over. The groups'
 * rewards are log π − log π_ref. */
bool alpha_grid_try(struct alpha_grid *s, const struct implicit_groups *scores, int steps);
/* For rewards with β in them, like every α outside this search. */
double alpha_grid_found(const struct alpha_grid *s, double beta);

#endif
