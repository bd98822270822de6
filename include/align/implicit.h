/* implicit.h - implicit rewards: what DICE trains on (arXiv 2406.09760).
 *
 * r(x, y) = β·(log π(y|x) − log π_ref(y|x)), natural logarithms summed over
 * the response's tokens; length-regularised r_α = r − α·|y|. Of a prompt's
 * valid responses the one with the best r_α is chosen and the one with the
 * worst rejected. Of equal r_α the shorter response is the better, then the
 * smaller id: so at every α the order is total.
 *
 * A prompt is left out as tied only when all its valid responses have equal r
 * and equal length. So which prompts are kept does not depend on α. Pure. */
#ifndef PREFD_ALIGN_IMPLICIT_H
#define PREFD_ALIGN_IMPLICIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"

/* --- one response ------------------------------------------------------------ */

/* A log-probability up to this is rounding, and taken as 0; above: no logarithm
 * of a probability. */
#define LOGPROB_MAX 0.001

double implicit_reward(double beta, double policy_logprob, double reference_logprob);
/* r − α·|y|. Not inline: only this room is compiled without contraction. */
double implicit_regular(double reward, double alpha, double length);

/* --- validity ------------------------------------------------------------------ */

/* Why a response takes no part: the first reason that applies, in this order. */
enum implicit_drop {
	LEFT_OUT_NONE,
	LEFT_OUT_FINISH_REASON,   /* one of those left out; an absent one passes */
	LEFT_OUT_TOO_SHORT,       /* fewer characters than min_characters */
	LEFT_OUT_TOO_LONG,        /* more characters than max_characters */
	LEFT_OUT_MISSING_LOGPROB, /* of the policy or of the reference */
	LEFT_OUT_TOKEN_MISMATCH,  /* the two models counted different tokens */
	LEFT_OUT_MISSING_TOKENS,  /* the length is in tokens, and nobody counted them */
	LEFT_OUT_DUPLICATE_TEXT,  /* an earlier valid response of the prompt has its text */
	LEFT_OUT_COUNT
};
/* "finish_reason", …; "" for LEFT_OUT_NONE. */
const char *implicit_drop_word(enum implicit_drop d);

struct implicit_rule {
	const struct str *exclude_finish_reason;
	size_t excludes;
	int64_t min_characters, max_characters; /* both may still pass; -1: no limit */
	bool in_tokens;                         /* lengths are tokens, else characters */
};

enum { IMPLICIT_POLICY, IMPLICIT_REFERENCE, IMPLICIT_MODELS };

struct implicit_response {
	struct str finish_reason;         /* STR_NONE: none was delivered */
	int64_t characters;               /* Unicode code points */
	int64_t tokens;                   /* as delivered with the response; -1: not said */
	bool scored[IMPLICIT_MODELS];     /* has this model's log-probability */
	int64_t counted[IMPLICIT_MODELS]; /* tokens delivered with it; -1: not said */
	uint8_t text_hash[SHA256_BYTES];
};

/* The responses of one prompt in order of index or id: of several valid ones
 * with the same text the first stays. Writes drop[n], and length[n] of those
 * that are valid (the others' are 0). Returns how many are valid. */
size_t implicit_check(const struct implicit_rule *rule, const struct implicit_response *r, size_t n,
                      struct arena *a, enum implicit_drop *drop, double *length);

/* --- many prompts ----------------------------------------------------------------- */

enum implicit_skip { IMPLICIT_KEPT, IMPLICIT_TOO_FEW, IMPLICIT_TIED, IMPLICIT_SKIPS };
/* "too_few_responses", "tied"; "" for IMPLICIT_KEPT. */
const char *implicit_skip_word(enum implicit_skip s);

/* The valid responses of n prompts: arrays side by side, those of prompt g at
 * first[g] … first[g + 1] − 1 and there in byte order of ids. Rewards are
 * finite and within ±1e30, lengths finite and not negative. */
struct implicit_groups {
	size_t n;
	const uint32_t *first; /* [n + 1] */
	const double *reward;  /* r, with no length in it */
	const double *length;  /* |y| */
	enum implicit_skip *skip; /* [n], filled in by implicit_skips */
	size_t kept;              /* the same */
};

/* min_responses >= 1. */
void implicit_skips(struct implicit_groups *g, uint32_t min_responses);

struct implicit_pair {
	uint32_t chosen, rejected; /* places in reward[]; they differ in a kept prompt */
};

/* Of a prompt that has a response, at α >= 0. */
struct implicit_pair implicit_pair(const struct implicit_groups *g, size_t group, double alpha);
/* D(α) = mean over the kept prompts of |y_chosen| − |y_rejected|; 0 without any.
 * Summed so that only the result is rounded. */
double implicit_gap(const struct implicit_groups *g, double alpha);

#endif
