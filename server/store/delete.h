/* delete.h - one slice of each kind of row that hangs on a prompt. */
#ifndef PREFD_STORE_DELETE_H
#define PREFD_STORE_DELETE_H

#include "inside.h"

/* At least two rows: of a ledger's one may be the current one, and of versions
 * the last of a full slice waits until its successor is seen. */
static inline size_t slice_rows(int64_t left)
{
	return left < 2 ? 2 : (size_t)left;
}

/* Key 0 is no text. */
int delete_text(struct store *s, int64_t key, struct err *e);

/* 1: there may be more, 0: none left, -1 failed. What goes is taken off *left. */
int sweep_votes(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e);
int sweep_scores(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e);

int sweep_rounds(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e);
int sweep_samples(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e);

#endif
