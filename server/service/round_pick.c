#include "round_pick.h"

#include <stdlib.h>

#include "weigh.h"

static enum drop drop_of(enum implicit_drop d)
{
	static const enum drop drop[LEFT_OUT_COUNT] = {
		[LEFT_OUT_NONE] = DROP_COUNT,
		[LEFT_OUT_FINISH_REASON] = DROP_FINISH_REASON,
		[LEFT_OUT_TOO_SHORT] = DROP_TOO_SHORT,
		[LEFT_OUT_TOO_LONG] = DROP_TOO_LONG,
		[LEFT_OUT_MISSING_LOGPROB] = DROP_MISSING_LOGPROB,
		[LEFT_OUT_TOKEN_MISMATCH] = DROP_TOKEN_MISMATCH,
		[LEFT_OUT_MISSING_TOKENS] = DROP_MISSING_TOKENS,
		[LEFT_OUT_DUPLICATE_TEXT] = DROP_DUPLICATE_TEXT,
	};

	return drop[d];
}

/* --- a rescoring's own pair --------------------------------------------------------- */

static void as_read(const struct round_prompt *p, struct arena *a, struct read_prompt *as)
{
	struct read_response *r = ARENA_ARRAY(a, struct read_response, p->responses);

	*as = (struct read_prompt){
		.key = p->key, .id = p->id, .messages = p->messages, .response = r, .responses = p->responses};
	memcpy(as->messages_hash, p->messages_hash, sizeof as->messages_hash);
	for (uint32_t i = 0; i < p->responses; i++) {
		r[i] = (struct read_response){
			.key = p->response[i].key, .text_key = p->response[i].text_key, .id = p->response[i].id};
		memcpy(r[i].text_hash, p->response[i].text_hash, sizeof r[i].text_hash);
	}
}

static void candidates(const struct terms *t, const struct round_prompt *p, const struct weighed *w, struct arena *a,
                       struct picked *out)
{
	out->c = ARENA_ARRAY(a, struct candidate, w->n);
	out->own = ARENA_ARRAY(a, double *, w->n);
	out->response = w->at;
	out->n = w->n;
	for (uint32_t k = 0; k < w->n; k++) {
		const struct round_response *x = &p->response[w->at[k]];

		pick_candidate(&out->c[k], x->id, x->text_hash, implicit_regular(w->reward[k], t->alpha, w->length[k]), a);
	}
}

int pick_published(const struct recipe *r, const struct round_prompt *p, struct arena *a, struct read_prompt *as,
                   struct picked *out, struct pick_counts *counts, struct err *e)
{
	struct pair *pair = ARENA_NEW(a, struct pair);
	struct implicit_pair found = {0, 0};
	enum implicit_skip skip;
	struct weighed w;

	if (weigh(&r->terms, p, NULL, a, &w, e) < 0)
		return -1;
	*out = (struct picked){.n = 0};
	as_read(p, a, as);
	candidates(&r->terms, p, &w, a, out);
	for (uint32_t i = 0; i < p->responses; i++)
		if (w.drop[i] != LEFT_OUT_NONE)
			counts->dropped[drop_of(w.drop[i])]++;
	skip = weigh_pair(&w, r->pairing.min_responses, r->terms.alpha, &found);
	*pair = (struct pair){found.chosen, found.rejected, false};
	out->pairs = (struct pairs){
		.skip = skip == IMPLICIT_KEPT ? PAIR_MADE : skip == IMPLICIT_TIED ? PAIR_EQUAL : PAIR_TOO_FEW,
		.pair = pair,
		.n = skip == IMPLICIT_KEPT,
		.out = ARENA_ARRAY(a, bool, w.n),
	};
	if (skip != IMPLICIT_KEPT)
		counts->skipped[skip == IMPLICIT_TIED ? SKIP_TIED : SKIP_TOO_FEW]++;
	return skip == IMPLICIT_KEPT;
}

/* --- a recipe's pairs ------------------------------------------------------------------- */

struct known {
	int64_t key;
	uint32_t at;
};

static int by_key(const void *pa, const void *pb)
{
	const struct known *a = pa, *b = pb;

	return (a->key > b->key) - (a->key < b->key);
}

/* place[i]: where response i of the prompt stands in the round, or -1. */
static void find_places(const struct round_prompt *of_round, const struct read_prompt *prompt, struct arena *a,
                        int64_t *place)
{
	struct known *known = ARENA_ARRAY(a, struct known, of_round->responses), wanted = {0}, *found;

	for (uint32_t i = 0; i < of_round->responses; i++)
		known[i] = (struct known){of_round->response[i].key, i};
	if (of_round->responses > 1)
		qsort(known, of_round->responses, sizeof *known, by_key);
	for (uint32_t i = 0; i < prompt->responses; i++) {
		wanted.key = prompt->response[i].key;
		found = of_round->responses > 0
		                ? bsearch(&wanted, known, of_round->responses, sizeof *known, by_key)
		                : NULL;
		place[i] = found ? (int64_t)found->at : -1;
	}
}

static void put_rewards(const struct terms *t, const struct weighed *w, double *reward)
{
	for (uint32_t k = 0; k < w->n; k++)
		reward[w->at[k]] = implicit_regular(w->reward[k], t->alpha, w->length[k]);
}

/* What was sampled stays what was scored, whatever replaced it in the dataset. */
static void take_text(struct read_response *x, const struct round_response *sampled)
{
	x->text_key = sampled->text_key;
	memcpy(x->text_hash, sampled->text_hash, sizeof x->text_hash);
}

int pick_rescored(const struct picker *p, const struct round_prompt *of_round, struct read_prompt *prompt,
                  struct arena *a, struct picked *out, struct pick_counts *counts, struct err *e)
{
	const struct terms *t = &p->recipe->terms;
	struct valued *valued = ARENA_ARRAY(a, struct valued, prompt->responses);
	double *reward = ARENA_ARRAY(a, double, of_round->responses);
	int64_t *place = ARENA_ARRAY(a, int64_t, prompt->responses);
	bool *passes = ARENA_ARRAY(a, bool, of_round->responses);
	struct weighed w;

	find_places(of_round, prompt, a, place);
	for (uint32_t i = 0; i < prompt->responses; i++) {
		valued[i].drop = pick_filtered(p->recipe, &prompt->response[i]);
		valued[i].outside = place[i] < 0;
		if (place[i] < 0)
			continue;
		take_text(&prompt->response[i], &of_round->response[place[i]]);
		passes[place[i]] = valued[i].drop == DROP_COUNT;
	}
	if (weigh(t, of_round, passes, a, &w, e) < 0)
		return -1;
	put_rewards(t, &w, reward);
	for (uint32_t i = 0; i < prompt->responses; i++)
		if (place[i] >= 0 && passes[place[i]]) {
			valued[i].drop = drop_of(w.drop[place[i]]);
			valued[i].reward = reward[place[i]];
		}
	return pick_valued(p, prompt, valued, a, out, counts);
}
