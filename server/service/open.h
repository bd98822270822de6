/* open.h - snapshot files that are kept mapped, by snapshot id.
 *
 * A shelf holds as many as the settings allow, the least recently used goes.
 * What is lent stays valid until it is put back, whatever happens to the
 * snapshot meanwhile. Serving from the shelf needs no SQL. Any thread. */
#ifndef PREFD_SERVICE_OPEN_H
#define PREFD_SERVICE_OPEN_H

#include <stdatomic.h>
#include "recipe.h"
#include "service/service.h"
#include "snap/read.h"
#include "store/snapshot.h"

/* A ready snapshot, open. Read-only but for what open.c keeps. */
struct opened {
	struct snapshot_row row;
	struct recipe recipe;
	struct str not_text, not_turns, outside; /* see report.h; STR_NONE: possible */
	struct snap *snap;
	/* open.c's own */
	struct arena arena;
	_Atomic int refs;
	_Atomic bool reported;        /* its file is damaged, and that was told */
	uint64_t hash;
	struct opened *next;          /* in its bucket */
	struct opened *newer, *older; /* by last use */
};

struct shelf;

struct shelf *shelf_new(size_t max);
/* Nothing may be lent any more. */
void shelf_free(struct shelf *sh);

/* Lends a ready snapshot. P_UNKNOWN_SNAPSHOT, P_BUILDING, P_GONE, the problem
 * of one that failed; P_DAMAGED: its file is missing or damaged and is being
 * made anew. */
int shelf_get(struct service *s, struct str id, struct opened **out, struct err *e);
void shelf_put(struct opened *o);
/* The file turned out to be damaged: nobody gets it any more, and it is made
 * anew. The loan goes on. */
void shelf_damaged(struct service *s, struct opened *o);
/* A snapshot that is no longer ready. */
void shelf_forget(struct shelf *sh, struct str id);
/* Forgets those whose rows are no longer ready. */
int shelf_recheck(struct service *s, struct store *db, struct err *e);

#endif
