/* engine.h - serving engines as rows, and what a round may still ask of them.
 *
 * An engine is configuration, no fact: it may be put anew and deleted at any
 * time; who scores with it looks it up by its id when it begins. */
#ifndef PREFD_STORE_ENGINE_H
#define PREFD_STORE_ENGINE_H

#include "store/round.h"

enum engine_kind { ENGINE_VLLM, ENGINE_SGLANG, ENGINE_KINDS };

struct engine_row {
	struct str id;
	enum engine_kind kind;
	struct str url;         /* http or https, without a slash at its end */
	struct str model;       /* as the engine calls it */
	uint32_t max_in_flight; /* requests */
};

/* P_UNKNOWN_ENGINE. */
int store_engine_get(struct store *s, struct arena *a, struct str id, struct engine_row *out, struct err *e);
/* In byte order of ids, after `after`; limit <= PAGE_MAX. */
int store_engine_list(struct store *s, struct arena *a, struct str after, uint32_t limit,
                      struct engine_row **out, uint32_t *n, struct err *e);
/* Writer, inside a savepoint. created: the id was free. */
int store_engine_put(struct store *s, const struct engine_row *row, bool *created, struct err *e);
/* Writer, inside a savepoint. P_UNKNOWN_ENGINE. */
int store_engine_delete(struct store *s, struct str id, struct err *e);

/* --- what a round wants scored ------------------------------------------------------ */

/* A valid response without a model's log-probability. */
struct unscored_response {
	struct str id;
	struct str prompt_token_ids, token_ids; /* JSON arrays; STR_NONE: not delivered */
};

enum { UNSCORED_PAGE_BYTES = 4 << 20 }; /* token ids of a page; at least one prompt's */

/* Those of the next prompts that have any, in byte order of the prompts' ids
 * after `after`, at most `prompts` of them. model: 0 the policy, 1 the
 * reference. *last: the page's last prompt, to go on after; STR_NONE: there
 * was none. */
int store_round_unscored(struct store *s, struct arena *a, const struct round_row *r, int model, struct str after,
                         uint32_t prompts, struct unscored_response **out, uint32_t *n, struct str *last,
                         struct err *e);

#endif
