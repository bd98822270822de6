/* round_inside.h - what the files of rounds share. */
#ifndef PREFD_STORE_ROUND_INSIDE_H
#define PREFD_STORE_ROUND_INSIDE_H

#include "inside.h"
#include "store/round.h"

/* A round with its models as numbers. */
struct round_known {
	struct round_row row;
	int64_t model[2]; /* names: policy, reference */
	struct round_known *next;
};

/* --- round.c ------------------------------------------------------------------------- */

/* Writer: read once a group, theirs until the group ends. P_UNKNOWN_ROUND; a
 * key must be there. */
int round_by_id(struct store *s, struct str id, struct round_known **k, struct err *e);
int round_by_key(struct store *s, int64_t key, struct round_known **k, struct err *e);
/* Any connection. 1 found, 0 not, -1. */
int round_find(struct store *s, struct arena *a, struct str id, struct round_known *out, struct err *e);
/* The round's filters; finish_reason may be STR_NONE. */
bool round_passes(const struct round_row *r, struct str finish_reason, int64_t characters);

/* --- round_see.c ---------------------------------------------------------------------- */

/* A response as its round sees it: a sample as it was delivered, a stored
 * response as it was at the round's number, whatever replaced it since. */
struct seen {
	struct round_response r;
	int64_t token_ids; /* text, or 0 */
	bool valid;        /* passes the filters */
};

/* The responses of a prompt that the round looks at and their log-probabilities,
 * as the facts stood at seq; by index (samples) or id. Uses s->rows. */
int round_see(struct store *s, struct arena *a, const struct round_known *k, int64_t prompt, int64_t seq,
              struct seen **out, uint32_t *n, struct err *e);
/* Whether it looks at this response of one of its prompts. 1, 0, -1. */
int round_looks_at(struct store *s, const struct round_known *k, int64_t prompt, int64_t response, bool *valid,
                   struct err *e);
/* id: may be NULL; messages: text key. */
int round_prompt_at(struct store *s, struct arena *a, const struct round_known *k, int64_t prompt,
                    uint8_t hash[32], struct str *id, int64_t *messages, struct err *e);

/* --- round_count.c ----------------------------------------------------------------------- */

/* What is kept for each prompt of a round. */
struct round_count {
	int64_t samples, valid;
	int64_t scored[2]; /* valid ones with a log-probability of the model */
};

/* The counts that these responses make. */
struct round_count round_count_of(const struct round_known *k, const struct seen *seen, uint32_t n);
/* Whether there is work of this kind left. */
bool round_needs(const struct round_known *k, const struct round_count *c, enum round_work kind);
/* token_ids: text of the prompt's, or 0. 1 found, 0 the prompt is not of the round, -1. */
int round_count_get(struct store *s, const struct round_known *k, int64_t prompt, struct round_count *c,
                    int64_t *token_ids, struct err *e);
/* Stores new counts; work comes or goes with them. */
int round_count_set(struct store *s, const struct round_known *k, int64_t prompt, const struct round_count *before,
                    const struct round_count *now, struct err *e);
int round_work_put(struct store *s, const struct round_known *k, int64_t prompt, enum round_work kind, struct err *e);
/* A response got its first log-probability of a model, wherever from. Uses s->rows. */
int rounds_count_logprob(struct store *s, int64_t prompt, int64_t response, int64_t model, struct err *e);

#endif
