/* errors.h - the bad rows of a body: the first 100 named, all counted. */
#ifndef PREFD_SERVICE_ERRORS_H
#define PREFD_SERVICE_ERRORS_H

#include "base/arena.h"
#include "service/answer.h"

enum { ROW_ERRORS_NAMED_MAX = 100 };

struct row_error {
	uint64_t row;
	enum problem problem;
	const char *pointer, *detail;
};

struct row_errors {
	struct arena *arena;
	struct row_error *named; /* in order of rows */
	uint32_t count;
	uint64_t total, conflicts;
};

void row_errors_init(struct row_errors *r, struct arena *a);
void row_errors_add(struct row_errors *r, uint64_t row, const struct err *e);
/* The request's problem made of its rows': 409 if all are conflicts, else the
 * first other one. Sets e and out->problem_more; returns -1. */
int row_errors_refuse(const struct row_errors *r, uint64_t rows, struct answer *out, struct err *e);
/* "errors":[…] (and ,"errors_total":n when there are any) of several lists
 * together, in order of rows. */
void row_errors_print(struct buf *b, struct row_errors *const *lists, int n);

#endif
