/* check.h - what the checks of facts and of rounds share. */
#ifndef PREFD_STORE_CHECK_H
#define PREFD_STORE_CHECK_H

#include "inside.h"

/* Where findings go. */
struct findings {
	void (*report)(void *ctx, const char *finding);
	void *ctx;
	bool any; /* there was one */
};

/* --- check.c --------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) void finding(struct findings *f, const char *fmt, ...);
/* The one number of a statement without parameters, or (dataset not 0) with the
 * dataset's key; 0 without a row. */
int check_ask(struct store *s, enum sql id, int64_t dataset, int64_t *out, struct err *e);

/* --- round_check.c --------------------------------------------------------------------- */

/* Counts and open work of every round against the facts. */
int rounds_check(struct store *s, struct findings *f, struct err *e);

#endif
