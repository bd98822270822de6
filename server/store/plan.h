/* plan.h - one row's way into the store: the plan, then the writing. */
#ifndef PREFD_STORE_PLAN_H
#define PREFD_STORE_PLAN_H

#include "inside.h"

/* What the store holds of one response of the row. */
struct plan_response {
	int64_t prompt, key; /* key 0: not there */
	int64_t text;
	uint8_t hash[32];
	uint32_t characters;
	int64_t model;
	int64_t round;            /* 0: none sampled it */
	int64_t tokens;           /* -1: none */
	struct str finish_reason; /* STR_NONE: none */
	bool same;                /* prompt, text and model as posted */
};

struct plan_vote {
	int64_t chosen, rejected; /* keys; of responses that are new: -1 - index */
	int64_t prompt;           /* 0: the row's, which is new */
};

struct plan {
	const struct record *r;
	enum on_conflict policy;
	int64_t now_us;
	int64_t prompt; /* 0: not there */
	bool same;      /* messages as posted */
	uint8_t hash[32];
	int64_t messages, metadata; /* texts */
	struct str split, source;
	struct plan_response *response;
	struct plan_vote *vote;
	const struct response **by_id; /* the row's responses, when there are comparisons */
	struct prompt_sum sum;         /* of the row's prompt */
	bool sum_changed;
};

/* What of the row is there already, and what is in conflict: only reads. p
 * comes with r and policy; its arrays lie in s->scratch. */
int record_plan(struct store *s, struct state *st, struct plan *p, struct err *e);

/* A response that is new under pr->prompt, with round, tokens and finish reason
 * as in pr and text and model as in r: its key comes into pr. The prompt's own
 * sums are the caller's. */
int response_insert(struct store *s, struct state *st, const struct response *r, struct plan_response *pr,
                    struct err *e);

/* The latest version of the response pr->prompt, pr->key, into pr. */
int response_latest(struct store *s, struct plan_response *pr, struct err *e);

#endif
