/* implicit_read.h - the document of POST /v1/implicit-rewards. */
#ifndef PREFD_SERVICE_IMPLICIT_READ_H
#define PREFD_SERVICE_IMPLICIT_READ_H

#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum alpha_kind { ALPHA_AUTO, ALPHA_GRID, ALPHA_GIVEN };

struct scored {
	struct str id;
	double policy_logprob, reference_logprob, length;
	uint32_t at; /* its place in the group, as posted */
};

struct implicit_document {
	double beta;
	enum alpha_kind kind;
	double alpha; /* of ALPHA_GIVEN */
	int64_t min_responses;
	struct str *id;         /* [groups]; STR_NONE: none was given */
	uint32_t *first;        /* [groups + 1] */
	size_t groups;
	struct scored *response; /* those of group g at first[g] … first[g + 1] − 1, in byte order of ids */
	size_t responses;
	/* inside */
	size_t groups_cap, responses_cap;
};

/* Strings lie in the text or in the arena, arrays in memory of the document's
 * own, which implicit_release frees, also after -1. */
int implicit_read(struct str text, struct arena *a, struct implicit_document *d, struct err *e);
void implicit_release(struct implicit_document *d);

#endif
