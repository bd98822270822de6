/* pick.h - which answers of one prompt are compared, under a recipe.
 *
 * From facts to pairs: filters, rewards, goals, then align/pair.h. Takes and
 * gives memory of the caller's arena; no I/O, no state but the counts. */
#ifndef PREFD_SERVICE_PICK_H
#define PREFD_SERVICE_PICK_H

#include "recipe.h"
#include "store/read.h"

/* Prompts without a pair, each once. */
#define SKIPS(X) \
	X(PROMPT_TOO_LONG, "prompt_too_long") \
	X(TOO_FEW, "too_few_responses") \
	X(SMALL_MARGIN, "small_margin") \
	X(EQUAL, "equal_rewards") \
	X(TIED, "tied") \
	X(CONTRADICTORY, "contradictory") \
	X(NO_VOTES, "no_votes")
/* Responses, each under the first reason that applies; then pairs. */
#define DROPS(X) \
	X(MODEL, "model") \
	X(ROUND, "round") \
	X(FINISH_REASON, "finish_reason") \
	X(TOO_SHORT, "too_short") \
	X(TOO_LONG, "too_long") \
	X(MISSING_LOGPROB, "missing_logprob") \
	X(TOKEN_MISMATCH, "token_mismatch") \
	X(MISSING_TOKENS, "missing_tokens") \
	X(MISSING_ATTRIBUTE, "missing_attribute") \
	X(LOW_REWARD, "low_reward") \
	X(DUPLICATE_TEXT, "duplicate_text") \
	X(SMALL_MARGIN, "small_margin") \
	X(EQUAL, "equal_rewards") \
	X(CONTRADICTORY, "contradictory")

#define X(name, word) SKIP_##name,
enum skip { SKIPS(X) SKIP_COUNT };
#undef X
#define X(name, word) DROP_##name,
enum drop { DROPS(X) DROP_COUNT };
#undef X
extern const char *const skip_words[SKIP_COUNT], *const drop_words[DROP_COUNT];

struct pick_counts {
	uint64_t skipped[SKIP_COUNT], dropped[DROP_COUNT];
	uint64_t scores, failed; /* current scores of the recipe's judges that were looked at; of them failed */
};

/* A recipe made ready for many prompts. */
struct picker {
	const struct recipe *recipe;
	struct reward_rule rule;
};
void picker_init(struct picker *p, const struct recipe *r, struct arena *a);

/* The reward that the recipe gives one response, filters aside; false: none. */
bool pick_reward(const struct picker *p, const struct read_response *x, struct arena *a, double *reward);

/* What the recipe's filters say of a response; DROP_COUNT: it passes. */
enum drop pick_filtered(const struct recipe *r, const struct read_response *x);

/* What a response is worth where judges are not asked. */
struct valued {
	bool outside;   /* not looked at, counted nowhere */
	enum drop drop; /* DROP_COUNT: it has a reward */
	double reward;
};

/* Candidates of a prompt and the pairs among them. */
struct picked {
	struct candidate *c;
	uint32_t *response; /* candidate i is the prompt's response[response[i]] */
	double **own;       /* candidate i's own goals, one an attribute; NULL without a reward */
	size_t n;
	struct pairs pairs;
};

/* Split aside: sources and holdout. Prompts outside are counted nowhere. */
bool pick_in_scope(const struct recipe *r, const struct read_prompt *prompt);
/* In scope. Returns whether there is a pair; else one of counts->skipped rose. */
bool pick_prompt(const struct picker *p, const struct read_prompt *prompt, struct arena *a,
                 struct picked *out, struct pick_counts *counts);
/* The same with rewards that are known: valued[i] is that of the prompt's
 * response i, filters included. */
bool pick_valued(const struct picker *p, const struct read_prompt *prompt, const struct valued *valued,
                 struct arena *a, struct picked *out, struct pick_counts *counts);
/* A candidate with a reward that nobody's score made: as it prints in full. */
void pick_candidate(struct candidate *c, struct str id, const uint8_t text_hash[SHA256_BYTES], double reward,
                    struct arena *a);
/* Centred rewards of the candidates that goals by quantile rank (see
 * align/goal.h), or 0 when the prompt has too few: x[i] belongs to candidate
 * at[i]. Both arrays hold p->n. */
size_t pick_centred(const struct picked *p, double *x, uint32_t *at);

#endif
