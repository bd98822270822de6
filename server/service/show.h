/* show.h - what batch, export and rows have in common: a snapshot and a view
 * that it can be shown in. */
#ifndef PREFD_SERVICE_SHOW_H
#define PREFD_SERVICE_SHOW_H

#include "open.h"
#include "view.h"

struct show {
	struct opened *opened;
	struct view view;
	uint64_t examples;
};

/* As shelf_get and view_make; P_VIEW: this snapshot has no such view. Close it. */
int show_open(struct show *x, struct service *s, struct str snapshot, const struct view_query *q, int formats,
              struct err *e);
void show_close(struct show *x);
/* view_put; a damaged file is sent to be made anew, and what b got of it must
 * not leave. */
int show_put(struct show *x, struct service *s, const uint64_t *examples, size_t n, char end, struct buf *b,
             struct err *e);
/* Bytes to expect of n examples. */
size_t show_bytes(const struct show *x, uint64_t n);

#endif
