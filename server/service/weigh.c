#include "weigh.h"

#include <math.h>
#include <stdlib.h>

/* What align/implicit.h can count with. */
#define REWARD_MAX 1e30

static struct implicit_response fact_of(const struct round_response *x)
{
	struct implicit_response r = {
		.finish_reason = x->finish_reason,
		.characters = x->characters,
		.tokens = x->tokens,
	};

	for (int m = 0; m < IMPLICIT_MODELS; m++) {
		r.scored[m] = x->scored[m];
		r.counted[m] = x->counted[m];
	}
	memcpy(r.text_hash, x->text_hash, sizeof r.text_hash);
	return r;
}

static int by_id(const void *pa, const void *pb, void *ctx)
{
	const struct round_response *r = ctx;

	return str_cmp(r[*(const uint32_t *)pa].id, r[*(const uint32_t *)pb].id);
}

/* The facts of those that take part, in the round's order; place[] is where
 * they stand among the responses. */
static size_t gather(const struct round_prompt *p, const bool *passes, struct implicit_response *fact, uint32_t *place)
{
	size_t n = 0;

	for (uint32_t i = 0; i < p->responses; i++)
		if (passes == NULL || passes[i]) {
			fact[n] = fact_of(&p->response[i]);
			place[n++] = i;
		}
	return n;
}

static int put_valid(const struct terms *t, const struct round_prompt *p, const double *length, struct weighed *w,
                     struct err *e)
{
	for (uint32_t k = 0; k < w->n; k++) {
		const struct round_response *x = &p->response[w->at[k]];
		double r = implicit_reward(t->beta, x->logprob[IMPLICIT_POLICY], x->logprob[IMPLICIT_REFERENCE]);

		if (!(fabs(r) <= REWARD_MAX))
			return err_set(e, P_INVALID, "the reward of response %.*s lies beyond %g", STR_ARG(x->id), REWARD_MAX);
		w->reward[k] = r;
		w->length[k] = length[w->at[k]];
	}
	return 0;
}

int weigh(const struct terms *t, const struct round_prompt *p, const bool *passes, struct arena *a,
          struct weighed *out, struct err *e)
{
	struct implicit_response *fact = ARENA_ARRAY(a, struct implicit_response, p->responses);
	enum implicit_drop *drop = ARENA_ARRAY(a, enum implicit_drop, p->responses);
	uint32_t *place = ARENA_ARRAY(a, uint32_t, p->responses);
	double *some = ARENA_ARRAY(a, double, p->responses), *length = ARENA_ARRAY(a, double, p->responses);
	size_t n = gather(p, passes, fact, place);

	*out = (struct weighed){
		.drop = ARENA_ARRAY(a, enum implicit_drop, p->responses),
		.at = ARENA_ARRAY(a, uint32_t, n),
		.reward = ARENA_ARRAY(a, double, n),
		.length = ARENA_ARRAY(a, double, n),
	};
	implicit_check(&t->rule, fact, n, a, drop, some);
	for (size_t i = 0; i < n; i++) {
		out->drop[place[i]] = drop[i];
		length[place[i]] = some[i];
		if (drop[i] == LEFT_OUT_NONE)
			out->at[out->n++] = place[i];
	}
	if (out->n > 1)
		qsort_r(out->at, out->n, sizeof *out->at, by_id, p->response);
	return put_valid(t, p, length, out, e);
}

enum implicit_skip weigh_pair(const struct weighed *w, uint32_t min_responses, double alpha,
                              struct implicit_pair *out)
{
	const uint32_t first[2] = {0, w->n};
	enum implicit_skip skip = IMPLICIT_KEPT;
	struct implicit_groups g = {.n = 1, .first = first, .reward = w->reward, .length = w->length, .skip = &skip};

	implicit_skips(&g, min_responses);
	if (skip == IMPLICIT_KEPT)
		*out = implicit_pair(&g, 0, alpha);
	return skip;
}
