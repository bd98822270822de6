/* copy.h - the database's copy while it is written to.
 *
 * A copy is made in steps between the writer's groups. What is committed
 * meanwhile is carried into the part that was copied already, so the copy ends
 * as the database stands at one commit: the last before the step that says it
 * is done. Writer's thread, outside a transaction; one copy at a time. */
#ifndef PREFD_STORE_COPY_H
#define PREFD_STORE_COPY_H

#include "store/store.h"

struct store_copy;

/* path: a file that is made. P_STORAGE_FULL, P_INTERNAL; here and below they
 * speak of the copy: the store itself goes on. */
int store_copy_begin(struct store *s, const char *path, struct store_copy **out, struct err *e);
/* Copies for about budget_us, 1 MiB at most. 1: there is more, 0: it is whole, -1: it failed. */
int store_copy_step(struct store_copy *c, int64_t budget_us, struct err *e);
/* Bytes of the whole, and of it copied, as of the last step. */
void store_copy_progress(const struct store_copy *c, int64_t *bytes, int64_t *done);
/* Always, also when it was not whole. NULL is allowed. */
void store_copy_end(struct store_copy *c);

/* Makes a whole copy a file that stands alone (no log beside it). Any thread,
 * after store_copy_end. Not yet synced. */
int store_copy_seal(const char *path, struct err *e);

/* The newest schema that this program knows. */
int store_schema(void);

#endif
