/* compile.h - picked pairs of one prompt, as they are stored and hashed.
 *
 * The revision of a snapshot is SHA-256 over
 *     "prefd-revision-1\n"
 *     field(hashed recipe)
 *     and for each pair, in stored order (prompt id, chosen id, rejected id):
 *         field(prompt id)      field(SHA-256 of the canonical messages)
 *         field(chosen id)      field(rejected id)
 *         field(SHA-256 of the chosen text)  field(SHA-256 of the rejected text)
 *         field(chosen score)   field(rejected score)
 *         field(chosen goal)    field(rejected goal)
 *         field(chosen reference log-probability)  field(that of the rejected)
 *         field(origin)         field(lineage)
 * where field(x) is the length of x in bytes as 8 bytes, little-endian, then x;
 * hashes are their 32 bytes; scores, goals and log-probabilities are as they
 * print, "null" where there is none (a plain pair has no goals). The lineage is
 * JSON and names no id, so that equal data stays equal bytes: empty of a judged
 * pair; {"policy","reference"} of a round's; {"snapshot":<revision>} of a
 * replayed one. Frozen by golden values in tests/unit. */
#ifndef PREFD_SERVICE_COMPILE_H
#define PREFD_SERVICE_COMPILE_H

#include "base/hash.h"
#include "pick.h"
#include "ranks.h"
#include "snap/write.h"

/* What building finds out about a snapshot as a whole. */
struct findings {
	uint32_t flags;      /* enum snap_flag */
	struct str not_text; /* the first prompt that trl_text cannot say */
	struct str not_turns; /* the first that llamafactory cannot say */
	struct err outside;  /* P_GOAL_SCALE: the first reward outside the scale; P_NONE */
	bool has_goals;
	double greatest;     /* the greatest goal, when there are goals */
	uint64_t pairs, plain;          /* of them without goals */
	uint64_t answers, no_reference; /* of them without log-probability */
};

struct compiler {
	const struct recipe *recipe;
	const struct ranks *ranks; /* for goals by quantile */
	struct sha256 *hash;
	struct snap_writer *writer;
	bool escaped;       /* texts of responses come as the file wants them */
	enum origin origin; /* of all pairs of compile_prompt */
	struct str lineage; /* the same; "" of judged ones */
	struct findings found;
	struct arena *life;        /* where findings live */
	struct buf scratch;
};

/* Hashes the pairs into the revision, writes the prompt. Its messages and the
 * texts of what the pairs use are there. a: for this prompt alone. */
int compile_prompt(struct compiler *c, const struct read_prompt *prompt, const struct picked *picked,
                   struct arena *a, struct err *e);

/* --- for pairs that come from elsewhere (replaying.c) ---------------------------- */

/* One pair as it goes into the revision. */
struct compiled_pair {
	struct str prompt;
	const uint8_t *messages_hash, *chosen_text_hash, *rejected_text_hash; /* SHA256_BYTES each */
	const struct snap_response *chosen, *rejected;
	const struct snap_pair *pair;
	struct str lineage;
};
/* Hashes and counts it. */
void compile_pair(struct compiler *c, const struct compiled_pair *p);
/* Notes which formats cannot say the prompt's conversation. */
void compile_roles(struct compiler *c, const struct snap_prompt *p);
/* A quantile goal as it prints. */
struct str compile_quantile(const struct compiler *c, const double *sorted, uint64_t n, double x, struct arena *a);

#endif
