/* pair.h - which answers of a prompt are compared.
 *
 * Takes the candidates of one prompt, gives its pairs. Of several candidates
 * with one text the smallest id stays; the rest are sorted by reward, highest
 * first, of equals the smallest id first. Random choices are keyed by a hash
 * of (seed, prompt id): no global state. Pure; memory from the arena. */
#ifndef PREFD_ALIGN_PAIR_H
#define PREFD_ALIGN_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/hash.h"
#include "base/str.h"

enum strategy {
	PAIR_BEST_RANDOM, /* the best with one drawn among those that make a pair with it, by
	                     SHA-256("prefd-draw-1\n" seed "\n" prompt id) */
	PAIR_BEST_WORST,  /* first with last */
	PAIR_BEST_REST,   /* first with each lower one */
	PAIR_ADJACENT,    /* neighbours in the list of distinct rewards, the first of each */
	PAIR_ALL,         /* each with each lower one */
	PAIR_COMPARISONS, /* by votes: signed strengths summed per unordered pair */
};

struct pair_rule {
	enum strategy strategy;
	uint32_t min_responses; /* >= 1 candidates; fewer, or fewer than 2: PAIR_TOO_FEW */
	double min_margin;      /* reward units, >= 0 */
	uint64_t seed;
};

struct candidate {
	struct str id;
	struct str goal; /* as it prints: two that print alike make no pair; STR_NONE: no reward */
	struct str vector; /* the same of a goal by attributes, beside the reward in `goal`; STR_NONE: none */
	double reward;   /* unused when goal is STR_NONE */
	uint8_t text_hash[SHA256_BYTES];
};

struct vote {
	uint32_t chosen, rejected; /* indexes of candidates */
	double strength;           /* > 0 */
};

struct pair {
	uint32_t chosen, rejected; /* indexes of candidates */
	bool plain;                /* by votes, without usable rewards: no goals */
};

enum pair_skip {
	PAIR_MADE,
	PAIR_TOO_FEW,       /* too_few_responses */
	PAIR_SMALL_MARGIN,  /* small_margin: a pair fell only to that */
	PAIR_EQUAL,         /* equal_rewards */
	PAIR_CONTRADICTORY, /* contradictory: votes sum to 0 */
	PAIR_NO_VOTES,      /* no_votes */
};

struct pairs {
	enum pair_skip skip;
	struct pair *pair;       /* in order of (chosen id, rejected id), bytewise */
	size_t n;
	uint32_t duplicate_text; /* candidates left out for their text */
	uint32_t small_margin;   /* pairs left out, for best_rest, adjacent, all, comparisons */
	uint32_t equal_rewards;  /* the same */
	uint32_t contradictory;  /* the same, comparisons */
	bool *out;               /* [candidates]: left out as duplicate_text */
};

/* With PAIR_COMPARISONS candidates may lack rewards; votes come in byte order
 * of judges; min_margin then applies to the pairs that would carry goals. For
 * all other strategies every candidate has a reward. */
void pairs_make(const struct pair_rule *rule, struct str prompt_id,
                const struct candidate *c, size_t n, const struct vote *v, size_t votes,
                struct arena *a, struct pairs *out);

/* The first 16 bytes of SHA-256("prefd-pair-1\n" prompt "\n" smaller id "\n" larger id). */
void pair_id(struct str prompt, struct str a, struct str b, uint8_t out[16]);

/* True when the prompt falls into the held-out part: the draw of
 * SHA-256("prefd-holdout-1\n" seed "\n" hex(messages hash)), as a fraction of
 * 2^64, lies below `fraction` (0 … 1). Twin prompts share a side. */
bool pair_held_out(const uint8_t messages_hash[SHA256_BYTES], uint64_t seed, double fraction);

#endif
