#include "align/implicit.h"

#include <stdlib.h>

#include "gap.h"

double implicit_reward(double beta, double policy_logprob, double reference_logprob)
{
	double policy = policy_logprob > 0 ? 0 : policy_logprob;
	double reference = reference_logprob > 0 ? 0 : reference_logprob;

	return beta * (policy - reference) + 0.0; /* -0 becomes 0 */
}

double implicit_regular(double reward, double alpha, double length)
{
	return reward - alpha * length;
}

/* --- validity ------------------------------------------------------------------ */

const char *implicit_drop_word(enum implicit_drop d)
{
	static const char *const words[LEFT_OUT_COUNT] = {
		[LEFT_OUT_NONE] = "",
		[LEFT_OUT_FINISH_REASON] = "finish_reason",
		[LEFT_OUT_TOO_SHORT] = "too_short",
		[LEFT_OUT_TOO_LONG] = "too_long",
		[LEFT_OUT_MISSING_LOGPROB] = "missing_logprob",
		[LEFT_OUT_TOKEN_MISMATCH] = "token_mismatch",
		[LEFT_OUT_MISSING_TOKENS] = "missing_tokens",
		[LEFT_OUT_DUPLICATE_TEXT] = "duplicate_text",
	};

	return words[d];
}

/* -1 when nobody counted. */
static int64_t tokens_of(const struct implicit_response *r)
{
	if (r->tokens >= 0)
		return r->tokens;
	return r->counted[IMPLICIT_POLICY] >= 0 ? r->counted[IMPLICIT_POLICY] : r->counted[IMPLICIT_REFERENCE];
}

static bool finish_excluded(const struct implicit_rule *rule, struct str reason)
{
	if (reason.p == NULL)
		return false;
	for (size_t i = 0; i < rule->excludes; i++)
		if (str_eq(reason, rule->exclude_finish_reason[i]))
			return true;
	return false;
}

static bool counts_differ(const struct implicit_response *r)
{
	return r->counted[IMPLICIT_POLICY] >= 0 && r->counted[IMPLICIT_REFERENCE] >= 0 &&
	       r->counted[IMPLICIT_POLICY] != r->counted[IMPLICIT_REFERENCE];
}

/* What can be said of a response alone. */
static enum implicit_drop check_one(const struct implicit_rule *rule, const struct implicit_response *r)
{
	if (finish_excluded(rule, r->finish_reason))
		return LEFT_OUT_FINISH_REASON;
	if (rule->min_characters >= 0 && r->characters < rule->min_characters)
		return LEFT_OUT_TOO_SHORT;
	if (rule->max_characters >= 0 && r->characters > rule->max_characters)
		return LEFT_OUT_TOO_LONG;
	if (!r->scored[IMPLICIT_POLICY] || !r->scored[IMPLICIT_REFERENCE])
		return LEFT_OUT_MISSING_LOGPROB;
	if (counts_differ(r))
		return LEFT_OUT_TOKEN_MISMATCH;
	if (rule->in_tokens && tokens_of(r) < 0)
		return LEFT_OUT_MISSING_TOKENS;
	return LEFT_OUT_NONE;
}

static int by_text(const void *pa, const void *pb, void *ctx)
{
	const struct implicit_response *r = ctx;
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	int d = memcmp(r[a].text_hash, r[b].text_hash, SHA256_BYTES);

	return d ? d : (a > b) - (a < b);
}

/* Among the valid[n] the first of each text stays. Returns how many do. */
static size_t drop_same_texts(const struct implicit_response *r, uint32_t *valid, size_t n, enum implicit_drop *drop)
{
	size_t kept = n > 0;

	if (n > 1)
		qsort_r(valid, n, sizeof *valid, by_text, (void *)(uintptr_t)r);
	for (size_t i = 1; i < n; i++) {
		if (memcmp(r[valid[i - 1]].text_hash, r[valid[i]].text_hash, SHA256_BYTES) == 0)
			drop[valid[i]] = LEFT_OUT_DUPLICATE_TEXT;
		else
			kept++;
	}
	return kept;
}

size_t implicit_check(const struct implicit_rule *rule, const struct implicit_response *r, size_t n,
                      struct arena *a, enum implicit_drop *drop, double *length)
{
	uint32_t *valid = ARENA_ARRAY(a, uint32_t, n);
	size_t alone = 0, kept;

	for (size_t i = 0; i < n; i++) {
		drop[i] = check_one(rule, &r[i]);
		if (drop[i] == LEFT_OUT_NONE)
			valid[alone++] = (uint32_t)i;
	}
	kept = drop_same_texts(r, valid, alone, drop);
	for (size_t i = 0; i < n; i++) {
		int64_t l = rule->in_tokens ? tokens_of(&r[i]) : r[i].characters;

		length[i] = drop[i] == LEFT_OUT_NONE ? (double)l : 0;
	}
	return kept;
}

/* --- many prompts ----------------------------------------------------------------- */

const char *implicit_skip_word(enum implicit_skip s)
{
	static const char *const words[IMPLICIT_SKIPS] = {
		[IMPLICIT_KEPT] = "",
		[IMPLICIT_TOO_FEW] = "too_few_responses",
		[IMPLICIT_TIED] = "tied",
	};

	return words[s];
}

static bool tied(const struct implicit_groups *g, uint32_t from, uint32_t to)
{
	for (uint32_t i = from + 1; i < to; i++)
		if (g->reward[i] != g->reward[from] || g->length[i] != g->length[from])
			return false;
	return true;
}

void implicit_skips(struct implicit_groups *g, uint32_t min_responses)
{
	g->kept = 0;
	for (size_t i = 0; i < g->n; i++) {
		uint32_t from = g->first[i], to = g->first[i + 1];

		if (to - from < min_responses)
			g->skip[i] = IMPLICIT_TOO_FEW;
		else
			g->skip[i] = tied(g, from, to) ? IMPLICIT_TIED : IMPLICIT_KEPT;
		g->kept += g->skip[i] == IMPLICIT_KEPT;
	}
}

struct implicit_pair implicit_pair(const struct implicit_groups *g, size_t group, double alpha)
{
	const double *reward = g->reward, *length = g->length;
	uint32_t best = g->first[group], worst = best;
	double top = implicit_regular(reward[best], alpha, length[best]), bottom = top;

	/* In order of ids: what equals the best so far is not better than it, what
	 * equals the worst so far is worse. */
	for (uint32_t i = best + 1; i < g->first[group + 1]; i++) {
		double r = implicit_regular(reward[i], alpha, length[i]);

		if (r > top || (r == top && length[i] < length[best])) {
			top = r;
			best = i;
		}
		if (r < bottom || (r == bottom && length[i] >= length[worst])) {
			bottom = r;
			worst = i;
		}
	}
	return (struct implicit_pair){best, worst};
}

struct wide gap_sum(const struct implicit_groups *g, double alpha)
{
	struct wide sum = {0, 0};

	for (size_t i = 0; i < g->n; i++) {
		struct implicit_pair p;

		if (g->skip[i] != IMPLICIT_KEPT)
			continue;
		p = implicit_pair(g, i, alpha);
		wide_add(&sum, g->length[p.chosen]);
		wide_add(&sum, -g->length[p.rejected]);
	}
	return sum;
}

double implicit_gap(const struct implicit_groups *g, double alpha)
{
	return g->kept > 0 ? gap_sum(g, alpha).hi / (double)g->kept : 0;
}
