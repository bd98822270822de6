/* template.h - the sentence that states the goal.
 *
 * Placeholders are {goal}, {min} and {max}; a brace that opens no word is
 * text. Pure; any thread. */
#ifndef PREFD_SERVICE_TEMPLATE_H
#define PREFD_SERVICE_TEMPLATE_H

#include "recipe.h"

enum { TEMPLATE_BYTES_MAX = 16384, TEMPLATE_GOALS_MAX = 16 };

/* Used where a recipe brings no template: the one place of our wording. It
 * names the scale, says that its highest is best, and takes a number as well
 * as a list of attributes. */
extern const char template_default[];

/* P_INVALID: no {goal}, another placeholder, too long or too many goals. */
int template_check(struct str template, struct err *e);

/* The template in pieces, {min} and {max} filled in: the goal stands between
 * piece i and piece i + 1. escaped: for JSON. Appends to b; ends[i] is where
 * piece i ends, counted from where b ended before. Returns the goals (>= 1). */
size_t template_cut(struct buf *b, struct str template, double min, double max, bool escaped,
                    size_t ends[TEMPLATE_GOALS_MAX + 1]);

/* What to put before a prompt at inference: every goal at the scale's maximum. */
void template_inference(struct buf *b, const struct recipe *r);

#endif
