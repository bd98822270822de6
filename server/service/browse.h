/* browse.h - what browse.c and statistics.c share. */
#ifndef PREFD_SERVICE_BROWSE_H
#define PREFD_SERVICE_BROWSE_H

#include "inside.h"
#include "store/dataset.h"

/* What every call begins and ends with. */
struct browsing {
	struct service *service;
	struct arena arena;
	struct store *db;
	struct dataset dataset; /* when the call names one */
	struct buf *b;          /* the answer's body */
};

/* -1 also wants its browse_end. */
int browse_begin(struct browsing *w, struct service *s, struct str dataset, struct answer *out, struct err *e);
/* Returns rc. */
int browse_end(struct browsing *w, int rc);

#endif
