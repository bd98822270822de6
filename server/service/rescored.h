/* rescored.h - a rescoring of a round, as what is made of it needs it. */
#ifndef PREFD_SERVICE_RESCORED_H
#define PREFD_SERVICE_RESCORED_H

#include "recipe.h"
#include "round_spec.h"
#include "store/round.h"

/* What one rescoring goes by: the round's own values and those it was given. */
struct rescore_params {
	double beta;
	struct alpha_choice alpha;
	enum length_unit length;
	int64_t min_responses;
};

/* The document of POST …/rescore; "" is {}. */
int rescore_params_read(struct arena *a, struct str text, const struct round_spec *round,
                        struct rescore_params *out, struct err *e);
/* Canonical JSON, and back. P_INTERNAL when it is not that. */
void rescore_params_print(struct buf *b, const struct rescore_params *p);
int rescore_params_load(struct arena *a, struct str text, struct rescore_params *out, struct err *e);

/* Terms but for alpha. Its strings are the row's. */
struct terms rescore_terms(const struct round_row *row, const struct rescore_params *p);

struct rescored {
	struct round_row round;
	struct rescoring_row row;
	uint32_t min_responses;
	struct terms terms;
};

/* number 0: the latest. P_UNKNOWN_ROUND, P_UNKNOWN_RESCORING. */
int rescored_get(struct store *db, struct arena *a, struct str round, int64_t number, struct rescored *out,
                 struct err *e);

/* Closes a recipe whose rewards a round gives, or whose filters name rounds;
 * seq becomes the rescoring's. P_UNKNOWN_ID with the pointer. */
int rescored_resolve(struct recipe *r, struct store *db, struct arena *a, const struct dataset *d, int64_t *seq,
                     struct err *e);

#endif
