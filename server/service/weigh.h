/* weigh.h - a round's responses to one prompt, under the terms of a rescoring.
 *
 * From facts to rewards: validity, lengths, r. Pure; memory of the caller's
 * arena. */
#ifndef PREFD_SERVICE_WEIGH_H
#define PREFD_SERVICE_WEIGH_H

#include "recipe.h"
#include "store/round.h"

/* Every response has a place in drop[]; the valid ones are listed once more, in
 * byte order of ids. */
struct weighed {
	enum implicit_drop *drop; /* [responses] */
	uint32_t *at;             /* [n] places among the responses */
	double *reward, *length;  /* [n] r, with no length in it; |y| */
	uint32_t n;
};

/* passes: responses that take part at all, or NULL: all. What does not pass has
 * LEFT_OUT_NONE and is not listed. P_INVALID: a reward too great to count with. */
int weigh(const struct terms *t, const struct round_prompt *p, const bool *passes, struct arena *a,
          struct weighed *out, struct err *e);

/* The pair that they make at alpha, as places in out->at; IMPLICIT_KEPT when
 * there is one. */
enum implicit_skip weigh_pair(const struct weighed *w, uint32_t min_responses, double alpha,
                              struct implicit_pair *out);

#endif
