/* walk.h - a scanned JSON text, read in place and in order.
 *
 * For documents of many small values, where a tree would take several times
 * the text's memory and time. The text must have passed json_scan, and outlives
 * the walk; so nothing here fails. A walk stands in front of a value until
 * that is taken; the caller asks for its type first.
 *
 *     for (bool more = walk_into(w); more; more = walk_more(w))
 *             … in an object walk_key(w) first; then take the value … */
#ifndef PREFD_BASE_WALK_H
#define PREFD_BASE_WALK_H

#include "base/arena.h"
#include "base/json.h"

struct walk {
	const char *p, *end;
};

void walk_init(struct walk *w, struct str scanned);
enum json_type walk_type(struct walk *w);
/* Into an array or object; false when it is empty, and then it is behind it. */
bool walk_into(struct walk *w);
/* Behind a value in an array or object: false when that was the last one, and
 * then it is behind the array or object itself. */
bool walk_more(struct walk *w);
/* -0 comes out as 0. */
double walk_number(struct walk *w);
/* A piece of the text; one with escapes goes into the arena. */
struct str walk_string(struct walk *w, struct arena *a);
struct str walk_key(struct walk *w, struct arena *a);

#endif
