/* ranks.h - very many numbers, kept outside the heap.
 *
 * Numbers are appended to a side file; once sealed they are mapped and sorted
 * there. One thread at a time. */
#ifndef PREFD_SERVICE_RANKS_H
#define PREFD_SERVICE_RANKS_H

#include "side.h"

struct ranks {
	struct side side;
	uint64_t n;
	double *sorted;     /* n of them, ascending; NULL until sealed */
};

/* P_STORAGE_FULL, P_INTERNAL. */
int ranks_open(struct ranks *r, const char *dir, struct err *e);
int ranks_add(struct ranks *r, const double *x, size_t n, struct err *e);
int ranks_seal(struct ranks *r, struct err *e);
/* Also of one that is all zeros, or was released. */
void ranks_release(struct ranks *r);

#endif
