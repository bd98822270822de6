/* rows.h - one row of a body into a fact, checked and hashed. */
#ifndef PREFD_SERVICE_ROWS_H
#define PREFD_SERVICE_ROWS_H

#include "fields.h"
#include "service/ingest.h"
#include "store/round.h"
#include "store/row.h"

/* What a row is read by; the same for all rows of a body. */
struct row_rules {
	enum row_kind kind;
	enum rows_format format;
	struct str judge;              /* of a format's scores; STR_NONE: its own */
	bool fix_overall;
	const struct dataset *dataset; /* declared ranges */
	const struct round_row *round; /* of ROW_SAMPLE and ROW_LOGPROB; else NULL */
};

/* text: one JSON value. Everything in `out` lives in the arena. P_BROKEN_JSON;
 * P_INVALID, P_UNKNOWN_KEY with the pointer of the place. */
int row_read(struct arena *a, const struct row_rules *rules, struct str text, struct row *out, struct err *e);

/* --- shared by rows.c, responses.c, deliveries.c, formats.c ------------------------------------- */

/* A message before it is printed canonically. */
struct message {
	struct str role, content;
};

/* A response being gathered; its scores grow. */
struct draft {
	struct response r;
	struct score *score;
	uint32_t scores, room;
};

void draft_score(struct arena *a, struct draft *d, const struct score *s);
/* One element of "responses"; d zeroed. */
int read_response(struct reading *r, const struct json *v, struct draft *d, struct err *e);
/* A row of POST …/scores. */
int read_score_row(struct reading *r, const struct json *v, struct row *out, struct err *e);
/* A field_fn, of a double: at most 0, rounding above it taken as 0. */
field_fn read_logprob;
/* {"<model>": float, …}, in the arena. */
int read_logprobs(struct reading *r, const struct json *v, struct logprob **out, uint32_t *n, struct err *e);
/* Rows of POST /v1/rounds/{round}/responses and …/logprobs (deliveries.c). */
int read_sample_row(struct reading *r, const struct json *v, struct row *out, struct err *e);
int read_logprob_row(struct reading *r, const struct json *v, struct row *out, struct err *e);
/* [{"role","content"}, …] or one string (a user's message). */
int read_messages(struct reading *r, const struct json *v, struct message **m, uint32_t *n, struct err *e);
/* Messages, canonical text, hash, characters; the id when it is absent. */
void record_messages(struct arena *a, struct record *rec, const struct message *m, uint32_t n);
/* Hashes, derived ids, twins folded; then the record is whole. Pointers of
 * errors name /responses/N. */
int record_responses(struct arena *a, struct record *rec, struct draft *d, uint32_t n, struct err *e);

/* One row of another project's form. The text has been scanned. */
int format_read(struct reading *r, const struct row_rules *rules, const struct json *v,
                struct record *rec, struct err *e);

#endif
