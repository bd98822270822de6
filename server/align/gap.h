/* gap.h - D before it is a mean: a sum with twice a double's digits.
 *
 * The search for α reaches D by adding and taking away in another order than
 * an evaluation does. Within 106 bits the two agree, and rounded they are equal. */
#ifndef PREFD_ALIGN_GAP_H
#define PREFD_ALIGN_GAP_H

#include "align/implicit.h"

struct wide {
	double hi, lo; /* hi is the sum, rounded; lo what that left */
};

static inline void wide_add(struct wide *s, double x)
{
	double sum = s->hi + x;
	double part = sum - s->hi;
	double lost = (s->hi - (sum - part)) + (x - part) + s->lo;

	s->hi = sum + lost;
	s->lo = lost - (s->hi - sum);
}

/* Over the kept prompts, |y_chosen| − |y_rejected| summed. */
struct wide gap_sum(const struct implicit_groups *g, double alpha);

#endif
