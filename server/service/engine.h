/* engine.h - what is asked of a serving engine, and how its answer is read.
 *
 * Engines are asked by token ids alone: what they would make of a text is not
 * what was sampled. Their answers are checked like a client's input: whatever
 * is not exactly what was asked for is a reason, and no number. Pure; any
 * thread. */
#ifndef PREFD_SERVICE_ENGINE_H
#define PREFD_SERVICE_ENGINE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fetch_async.h"
#include "service/engines.h"
#include "store/engine.h"

enum {
	ENGINE_TRIES_MAX = 5,
	ENGINE_WAIT_MS = 250,        /* before the second try; doubles from try to try */
	ENGINE_WAIT_SECONDS_MAX = 300, /* of a Retry-After */
};

/* Why a response got no log-probability. X(NAME, "word") */
#define SCORE_FAILURES(X) \
	X(NONE, "none") \
	X(MISSING_TOKEN_IDS, "missing_token_ids")   /* the prompt's or the response's were not delivered */ \
	X(TOO_MANY_TOKENS, "too_many_tokens") \
	X(TIMEOUT, "timeout")                       /* at the last try as well; so the next two */ \
	X(TOO_MANY_REQUESTS, "too_many_requests") \
	X(ENGINE_ERROR, "engine_error")             /* 5xx */ \
	X(ENGINE_REFUSED, "engine_refused")         /* another 4xx, in every form that it could be asked */ \
	X(REDIRECTED, "redirected") \
	X(UNREACHABLE, "unreachable") \
	X(NO_ANSWER, "no_answer")                   /* cut, or no HTTP */ \
	X(ANSWER_TOO_LARGE, "answer_too_large") \
	X(BROKEN_JSON, "broken_json")               /* NaN and Infinity are no JSON */ \
	X(WRONG_FORM, "wrong_form") \
	X(LENGTH_MISMATCH, "length_mismatch")       /* other than the ids' number */ \
	X(TOKEN_ID_MISMATCH, "token_id_mismatch") \
	X(NULL_LOGPROB, "null_logprob") \
	X(MASKED_LOGPROB, "masked_logprob")         /* -9999: the engines' minus infinity */ \
	X(POSITIVE_LOGPROB, "positive_logprob")     /* above 0.001 */ \
	X(UNKNOWN_RESPONSE, "unknown_response")     /* deleted meanwhile */

enum score_failure {
#define X(name, word) FAILED_##name,
	SCORE_FAILURES(X)
#undef X
	SCORE_FAILURE_COUNT
};
const char *score_failure_word(enum score_failure f);

/* --- engines ------------------------------------------------------------------------- */

extern const char *const engine_kind_words[ENGINE_KINDS];
/* The URL as it is kept, without slashes at its end. P_INVALID: url_read's
 * reasons, or a host that is not among `hosts`, which are divided by spaces. */
int engine_url_check(const char *hosts, struct str url, struct str *kept, struct err *e);

/* --- asking ---------------------------------------------------------------------------- */

enum engine_form {
	FORM_VLLM,   /* POST /v1/completions with prompt_logprobs */
	FORM_ECHO,   /* the same with echo and logprobs: older, and without ids in its answer */
	FORM_SGLANG, /* POST /generate */
};

/* What is scored: the prompt's ids, then the response's. */
struct engine_ids {
	int32_t *id;
	size_t n;
	size_t prompt; /* how many are the prompt's: 1 … n - 1 */
};

/* JSON arrays as they were delivered; STR_NONE: not. FAILED_NONE, else why not. */
enum score_failure engine_ids_read(struct arena *a, struct str prompt, struct str response, struct engine_ids *out);
enum engine_form engine_form_of(enum engine_kind kind);
const char *engine_path(enum engine_form form);
/* The request's body. model: as the engine calls it. */
void engine_ask(struct buf *b, enum engine_form form, struct str model, const struct engine_ids *ids);
/* An answer's bytes at most. */
size_t engine_answer_bytes(const struct engine_ids *ids);

/* --- answers --------------------------------------------------------------------------- */

enum engine_next {
	NEXT_READ,  /* engine_read its body */
	NEXT_RETRY, /* the same again after engine_wait_ms */
	NEXT_ECHO,  /* again at once, in the older form */
	NEXT_FAIL,
};

/* tries: how often it was sent in this form, from 1. *why: with NEXT_FAIL. */
enum engine_next engine_judge(const struct fetch_answer *a, enum engine_form form, int tries,
                              enum score_failure *why);
/* The back-off after that many tries, or what Retry-After says if it is longer. */
int64_t engine_wait_ms(int tries, int64_t retry_after_seconds);
/* The natural log-probability of the response given the prompt, summed over
 * its tokens in their order. FAILED_NONE, else why there is none. */
enum score_failure engine_read(struct arena *a, enum engine_form form, struct str body,
                               const struct engine_ids *ids, double *logprob);

#endif
