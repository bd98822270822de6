/* round_spec.h - what a round is: the document, read and printed.
 *
 * Posted with gaps, closed at once (no default depends on the dataset), and
 * kept as JSON with sorted keys. Numbers that must not pass through a double
 * are kept as they were written: replay.gamma, and all of sampling. Everything
 * lives in the arena of whoever read it. Any thread. */
#ifndef PREFD_SERVICE_ROUND_SPEC_H
#define PREFD_SERVICE_ROUND_SPEC_H

#include "align/replay.h"
#include "fields.h"
#include "recipe.h"
#include "store/round.h"

enum length_unit { LENGTH_CHARACTERS, LENGTH_TOKENS };

struct alpha_choice {
	bool found; /* "auto": from the crossings */
	double value;
};

struct replay_spec {
	struct str snapshot;
	struct gamma gamma;
	struct str gamma_text; /* as it was written */
	int64_t total;         /* -1: the number of the snapshot's prompts that have a pair */
	uint64_t seed;
};

struct round_spec {
	struct str name; /* of the posted document; no part of the printed one */
	struct str policy, reference;
	struct str previous;  /* a round's id, or STR_NONE */
	enum round_mode mode; /* "responses" */
	int64_t per_prompt, min_responses, lease_seconds;
	double beta;
	struct alpha_choice alpha;
	enum length_unit length;
	struct names exclude_finish_reasons;
	int64_t min_characters, max_characters; /* code points; both may still pass */
	struct str split; /* "*": all of them */
	int64_t limit;    /* prompts; -1: all */
	uint64_t seed;
	struct str sampling; /* compact JSON object */
	bool has_replay;
	struct replay_spec replay;
	struct str engine[2]; /* policy's, reference's; STR_NONE: none */
};

/* A posted document. posted: its canonical form. P_BROKEN_JSON, P_UNKNOWN_KEY,
 * P_INVALID with the pointer of the place. */
int round_spec_read(struct arena *a, struct str text, struct round_spec *out, struct str *posted, struct err *e);
/* Reads what round_spec_print wrote. P_INTERNAL when it is not that. */
int round_spec_load(struct arena *a, struct str text, struct round_spec *out, struct err *e);

/* Stored, as an object of the posted document's keys; or shown, as members
 * without braces: there the progress stands under "prompts" and "responses",
 * and which of them are meant under "prompts_from" and "responses_from". */
enum spec_form { SPEC_STORED, SPEC_SHOWN };
void round_spec_print(struct buf *b, const struct round_spec *s, enum spec_form form);

/* Readers of parts that other documents have too, and what `to` points at. */
field_fn read_beta;          /* double: above 0 */
field_fn read_alpha;         /* struct alpha_choice */
field_fn read_length_unit;   /* enum length_unit */
field_fn read_minimum;       /* int64_t, of valid responses: at least 1 */
/* struct replay_spec; `text` is the member as it was written, for gamma. */
int read_replay(struct reading *r, const struct json *v, struct str text, struct replay_spec *to, struct err *e);

#endif
