/* round_pick.h - pairs of one prompt of a round, under a recipe with terms.
 *
 * A published recipe takes the rescoring's own pair; any other recipe pairs the
 * valid responses by its own rules. Memory of the caller's arena. */
#ifndef PREFD_SERVICE_ROUND_PICK_H
#define PREFD_SERVICE_ROUND_PICK_H

#include "pick.h"
#include "store/round.h"

/* The prompt of a published recipe, as the compiler wants it: candidates are
 * its valid responses, and there is one pair at most. 1 there is one, 0 not
 * (one of counts->skipped rose), -1. */
int pick_published(const struct recipe *r, const struct round_prompt *p, struct arena *a, struct read_prompt *as,
                   struct picked *out, struct pick_counts *counts, struct err *e);

/* prompt: the same prompt as the dataset has it, whose responses get the texts
 * that the round has; those that are not the round's are left aside. Returns
 * the same. */
int pick_rescored(const struct picker *p, const struct round_prompt *of_round, struct read_prompt *prompt,
                  struct arena *a, struct picked *out, struct pick_counts *counts, struct err *e);

#endif
