/* replay.h - how much of the offline data stands among a round's pairs.
 *
 * Of N pairs a share γ is replayed: n_gen = min(⌊N·(1 − γ)⌋, generated),
 * n_off = ⌊γ·n_gen/(1 − γ)⌋. γ is the decimal that it is written as (0.8 is
 * 4/5), never a double: there 10,000 at 0.8 would give 1,999 and 7,996.
 *
 * Both parts are drawn without replacement: those whose
 * SHA-256("prefd-replay-1\n" seed "\n" hex(messages hash)) is smallest, the
 * generated ones first. Prompts are told apart by the hash of their messages:
 * of several in a pool the first stands for them, and none stands in both
 * parts. A round published without replay takes all of its pairs: nothing is
 * drawn. Pure. */
#ifndef PREFD_ALIGN_REPLAY_H
#define PREFD_ALIGN_REPLAY_H

#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

/* num/den in lowest terms, 0 <= num <= den. */
struct gamma {
	uint64_t num, den;
};

enum { GAMMA_DECIMALS_MAX = 18 };

/* text: a number as JSON writes it ("0.8", "8e-1", "1.0"), in full. P_INVALID
 * for anything else, outside 0 … 1, or with more decimals than that. */
int gamma_read(struct str text, struct gamma *g, struct err *e);

struct replay_counts {
	uint64_t generated; /* pairs of the round */
	uint64_t offline;   /* pairs to be replayed, if the pool has them */
};

/* total: N. At γ = 1 all of N is replayed, at γ = 0 nothing. */
struct replay_counts replay_counts(struct gamma g, uint64_t total, uint64_t generated);

struct replay_rule {
	struct gamma gamma;
	uint64_t total, seed;
};

/* One prompt each, in stored order. */
struct replay_pool {
	const uint8_t (*hash)[SHA256_BYTES]; /* of the messages */
	size_t n;
};

struct replay_part {
	uint32_t *at; /* places in the pool, ascending */
	size_t n;
};

struct replay_draw {
	struct replay_part generated, offline;
	uint64_t wanted; /* of offline: more than offline.n when the pool is too small */
};

void replay_draw(const struct replay_rule *rule, struct replay_pool generated, struct replay_pool offline,
                 struct arena *a, struct replay_draw *out);

#endif
