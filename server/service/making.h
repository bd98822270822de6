/* making.h - a snapshot made, whatever document asked for it.
 *
 *      read (any thread) --> closed and stored (writer) --> a job, and whoever waits
 */
#ifndef PREFD_SERVICE_MAKING_H
#define PREFD_SERVICE_MAKING_H

#include "inside.h"
#include "recipe.h"
#include "store/dataset.h"
#include "store/snapshot.h"

struct making {
	struct work work; /* making.c's, as are row and inserted */
	struct service *service;
	struct arena arena;
	struct str dataset; /* its name */
	struct str name;    /* STR_NONE: none */
	struct str posted;  /* what a second document of this name must equal */
	struct recipe recipe;
	/* Writer: closes the recipe over the dataset; *seq is the dataset's number
	 * and may be set to an earlier one. */
	int (*close)(struct making *m, struct store *db, const struct dataset *d, int64_t *seq, struct err *e);
	struct snapshot_row row;
	bool inserted;
	int wait_s;
};

/* size: of the struct that begins with it, zeroed. Fill it in, then submit or
 * refuse it: either ends it and finishes p. */
void *making_new(size_t size, struct service *s, struct str dataset, int wait_s, const struct origin_key *origin,
                 struct pending *p);
void making_submit(struct making *m);
void making_refuse(struct making *m, const struct err *e);

#endif
