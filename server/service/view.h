/* view.h - pairs as they are shown: goals, placements and formats.
 *
 * A pair is stored once; a view decides which examples it makes and copies
 * the stored pieces, which are already escaped and printed, into one buffer.
 * A view is read-only once made and may serve many threads. */
#ifndef PREFD_SERVICE_VIEW_H
#define PREFD_SERVICE_VIEW_H

#include "recipe.h"
#include "service/snapshots.h"
#include "snap/read.h"
#include "template.h"

struct view {
	enum augment augment;
	enum placement placement;
	enum view_format format;
	bool reference;  /* log-probabilities go along */
	struct buf text; /* the template's pieces, one behind the other, escaped */
	size_t ends[TEMPLATE_GOALS_MAX + 1];
	size_t goals;    /* how often the goal stands in it */
};

/* The recipe's own view with what the query overrides. formats: how many words
 * of enum view_format are allowed. P_INVALID: a word that is none. The view
 * copies what it needs; release it. */
int view_make(struct view *v, const struct recipe *r, const struct view_query *q, int formats, struct err *e);
void view_release(struct view *v);

/* Examples of n pairs. */
uint64_t view_examples(enum augment augment, uint64_t pairs);
/* Appends n <= VIEW_AT_ONCE examples, each below view_examples(…), each as one
 * JSON object and `end` behind it (0: nothing). Several at once, because their
 * pieces lie far apart and memory is slow: their records are looked up
 * together, and the texts of one are asked for while the one before is copied.
 * P_DAMAGED from the file; P_VIEW: a conversation that the format cannot say. */
enum { VIEW_AT_ONCE = SNAP_AT_ONCE };
int view_put(const struct view *v, struct snap *s, const uint64_t *examples, size_t n, char end, struct buf *b,
             struct err *e);
/* Which pair example i shows, and whether under the rejected answer's goal
 * (of a pair that is not plain). */
uint64_t view_pair(const struct view *v, uint64_t i, bool *rejected_goal);
/* Bytes that an example adds to the texts of its pair, roughly: for sizing. */
size_t view_overhead(const struct view *v);

#endif
