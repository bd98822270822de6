#include "pick.h"

#include "align/goal.h"

#define X(name, word) word,
const char *const skip_words[SKIP_COUNT] = {SKIPS(X)};
const char *const drop_words[DROP_COUNT] = {DROPS(X)};
#undef X

void picker_init(struct picker *p, const struct recipe *r, struct arena *a)
{
	struct reward_attribute *at = ARENA_ARRAY(a, struct reward_attribute, r->attributes);

	for (size_t i = 0; i < r->attributes; i++)
		at[i] = (struct reward_attribute){
			.weight = r->attribute[i].weight,
			.rescale = r->attribute[i].rescale,
			.min = r->attribute[i].min,
			.max = r->attribute[i].max,
		};
	p->recipe = r;
	p->rule = (struct reward_rule){at, r->attributes, r->across, r->goal_min, r->goal_max};
}

bool pick_in_scope(const struct recipe *r, const struct read_prompt *prompt)
{
	if (r->sources.n > 0 && !(prompt->source.p && names_have(&r->sources, prompt->source)))
		return false;
	if (prompt->source.p && names_have(&r->exclude_sources, prompt->source))
		return false;
	return !r->has_holdout ||
	       pair_held_out(prompt->messages_hash, r->holdout_seed, r->holdout_fraction) == r->holdout_eval;
}

/* --- one response ------------------------------------------------------------------ */

enum drop pick_filtered(const struct recipe *r, const struct read_response *x)
{
	if (r->models.n > 0 && !(x->model.p && names_have(&r->models, x->model)))
		return DROP_MODEL;
	if (r->rounds.n > 0 && !(x->round.p && names_have(&r->rounds, x->round)))
		return DROP_ROUND;
	if (x->finish_reason.p && names_have(&r->exclude_finish_reasons, x->finish_reason))
		return DROP_FINISH_REASON;
	if (x->characters < r->min_characters)
		return DROP_TOO_SHORT;
	if (r->max_characters >= 0 && x->characters > r->max_characters)
		return DROP_TOO_LONG;
	return DROP_COUNT;
}

/* The good values of the recipe's judges, attribute by attribute. Both lists
 * are in byte order, scores by (attribute, judge). */
static void gather(const struct picker *p, const struct read_response *x, struct reward_values *values,
                   double *room, struct pick_counts *counts)
{
	const struct recipe *r = p->recipe;
	uint32_t s = 0;

	for (size_t i = 0; i < r->attributes; i++) {
		values[i] = (struct reward_values){room, 0};
		for (; s < x->scores; s++) {
			const struct read_score *score = &x->score[s];
			int c = str_cmp(score->s.attribute, r->attribute[i].name);

			if (c > 0)
				break;
			if (c < 0 || !score->current || !names_have(&r->judges, score->s.judge))
				continue;
			counts->scores++;
			counts->failed += score->s.status == SCORE_FAILED;
			if (score->s.status != SCORE_OK)
				continue;
			*room++ = score->s.value;
			values[i].n++;
		}
	}
}

/* {"helpfulness":8.5,"honesty":7} */
static struct str vector(const struct recipe *r, const double *own, struct arena *a)
{
	char number[GOAL_TEXT_BYTES];
	struct buf b = BUF_INIT;
	struct str s;

	buf_byte(&b, '{');
	for (size_t i = 0; i < r->attributes; i++) {
		json_put_key_str(&b, r->attribute[i].name);
		buf_add(&b, number, goal_print(own[i], GOAL_DECIMALS, number));
	}
	buf_byte(&b, '}');
	s = arena_str(a, buf_view(&b));
	buf_release(&b);
	return s;
}

/* DROP_COUNT and the reward. Whatever the goal, two whose rewards print alike
 * make no pair; a quantile is known only when all pairs are. */
static enum drop rewarded(const struct picker *p, const struct read_response *x, struct arena *a,
                          struct candidate *c, double **own, struct pick_counts *counts)
{
	struct reward_values *values = ARENA_ARRAY(a, struct reward_values, p->rule.attributes);
	double *room = ARENA_ARRAY(a, double, x->scores);
	char text[GOAL_TEXT_BYTES];

	*own = ARENA_ARRAY(a, double, p->rule.attributes);
	gather(p, x, values, room, counts);
	if (p->rule.attributes == 0 || !reward_of(&p->rule, values, &c->reward, *own)) {
		*own = NULL;
		return DROP_MISSING_ATTRIBUTE;
	}
	c->goal = arena_str(a, (struct str){text, goal_print(c->reward, GOAL_DECIMALS, text)});
	if (p->recipe->goal == GOAL_ATTRIBUTES)
		c->vector = vector(p->recipe, *own, a);
	return DROP_COUNT;
}

bool pick_reward(const struct picker *p, const struct read_response *x, struct arena *a, double *reward)
{
	struct pick_counts counts = {0};
	struct candidate c;
	double *own;

	if (rewarded(p, x, a, &c, &own, &counts) != DROP_COUNT)
		return false;
	*reward = c.reward;
	return true;
}

/* Whether it takes part; votes need no reward, unless a filter asks for one. */
static enum drop consider(const struct picker *p, const struct read_response *x, struct arena *a,
                          struct candidate *c, double **own, struct pick_counts *counts)
{
	const struct recipe *r = p->recipe;
	enum drop drop = pick_filtered(r, x);

	*c = (struct candidate){.id = x->id, .goal = STR_NONE};
	if (drop != DROP_COUNT)
		return drop;
	memcpy(c->text_hash, x->text_hash, sizeof c->text_hash);
	drop = rewarded(p, x, a, c, own, counts);
	if (drop == DROP_COUNT)
		return r->has_min_reward && c->reward < r->min_reward ? DROP_LOW_REWARD : DROP_COUNT;
	if (drop == DROP_MISSING_ATTRIBUTE && r->pairing.strategy == PAIR_COMPARISONS && !r->has_min_reward)
		return DROP_COUNT;
	return drop;
}

void pick_candidate(struct candidate *c, struct str id, const uint8_t text_hash[SHA256_BYTES], double reward,
                    struct arena *a)
{
	char text[JSON_NUMBER_MAX_BYTES];

	*c = (struct candidate){.id = id, .reward = reward};
	memcpy(c->text_hash, text_hash, sizeof c->text_hash);
	c->goal = arena_str(a, (struct str){text, json_print_number(reward, text)});
}

/* The same as consider() where the reward is known. Without a scale there is
 * no rounding: only equal rewards print alike. */
static enum drop consider_valued(const struct picker *p, const struct read_response *x, const struct valued *v,
                                 struct arena *a, struct candidate *c)
{
	const struct recipe *r = p->recipe;

	if (v->drop != DROP_COUNT)
		return v->drop;
	pick_candidate(c, x->id, x->text_hash, v->reward, a);
	return r->has_min_reward && v->reward < r->min_reward ? DROP_LOW_REWARD : DROP_COUNT;
}

/* --- votes ---------------------------------------------------------------------------- */

enum { NOT_A_CANDIDATE = UINT32_MAX };

static size_t votes_of(const struct recipe *r, const struct read_prompt *prompt, const struct picked *p,
                       struct arena *a, struct vote **out)
{
	uint32_t *place = ARENA_ARRAY(a, uint32_t, prompt->responses);
	size_t n = 0;

	*out = ARENA_ARRAY(a, struct vote, prompt->votes);
	for (uint32_t i = 0; i < prompt->responses; i++)
		place[i] = NOT_A_CANDIDATE;
	for (size_t i = 0; i < p->n; i++)
		place[p->response[i]] = (uint32_t)i;
	for (uint32_t i = 0; i < prompt->votes; i++) {
		const struct read_vote *v = &prompt->vote[i];
		uint32_t chosen = place[v->chosen], rejected = place[v->rejected];

		if (!v->current || chosen == NOT_A_CANDIDATE || rejected == NOT_A_CANDIDATE ||
		    !names_have(&r->judges, v->judge))
			continue;
		(*out)[n++] = (struct vote){chosen, rejected, v->strength};
	}
	return n;
}

/* --- one prompt ------------------------------------------------------------------------ */

static enum skip skip_of(enum pair_skip s)
{
	switch (s) {
	case PAIR_SMALL_MARGIN:
		return SKIP_SMALL_MARGIN;
	case PAIR_EQUAL:
		return SKIP_EQUAL;
	case PAIR_CONTRADICTORY:
		return SKIP_CONTRADICTORY;
	case PAIR_NO_VOTES:
		return SKIP_NO_VOTES;
	case PAIR_MADE:
	case PAIR_TOO_FEW:
		break;
	}
	return SKIP_TOO_FEW;
}

static void count(struct pick_counts *counts, const struct pairs *p)
{
	counts->dropped[DROP_DUPLICATE_TEXT] += p->duplicate_text;
	counts->dropped[DROP_SMALL_MARGIN] += p->small_margin;
	counts->dropped[DROP_EQUAL] += p->equal_rewards;
	counts->dropped[DROP_CONTRADICTORY] += p->contradictory;
	if (p->n == 0)
		counts->skipped[skip_of(p->skip)]++;
}

/* The pairs among the candidates that were gathered. */
static bool pair_up(const struct picker *p, const struct read_prompt *prompt, struct arena *a, struct picked *out,
                    struct pick_counts *counts)
{
	const struct recipe *r = p->recipe;
	struct vote *vote = NULL;
	size_t votes = 0;

	if (r->pairing.strategy == PAIR_COMPARISONS)
		votes = votes_of(r, prompt, out, a, &vote);
	pairs_make(&r->pairing, prompt->id, out->c, out->n, vote, votes, a, &out->pairs);
	count(counts, &out->pairs);
	return out->pairs.n > 0;
}

bool pick_valued(const struct picker *p, const struct read_prompt *prompt, const struct valued *valued,
                 struct arena *a, struct picked *out, struct pick_counts *counts)
{
	const struct recipe *r = p->recipe;

	*out = (struct picked){.n = 0};
	if (r->max_prompt_characters >= 0 && prompt->characters > r->max_prompt_characters) {
		counts->skipped[SKIP_PROMPT_TOO_LONG]++;
		return false;
	}
	out->c = ARENA_ARRAY(a, struct candidate, prompt->responses);
	out->response = ARENA_ARRAY(a, uint32_t, prompt->responses);
	out->own = ARENA_ARRAY(a, double *, prompt->responses);
	for (uint32_t i = 0; i < prompt->responses; i++) {
		const struct read_response *x = &prompt->response[i];
		enum drop drop;

		if (valued && valued[i].outside)
			continue;
		drop = valued ? consider_valued(p, x, &valued[i], a, &out->c[out->n])
		              : consider(p, x, a, &out->c[out->n], &out->own[out->n], counts);
		if (drop == DROP_COUNT)
			out->response[out->n++] = i;
		else
			counts->dropped[drop]++;
	}
	return pair_up(p, prompt, a, out, counts);
}

bool pick_prompt(const struct picker *p, const struct read_prompt *prompt, struct arena *a,
                 struct picked *out, struct pick_counts *counts)
{
	return pick_valued(p, prompt, NULL, a, out, counts);
}

size_t pick_centred(const struct picked *p, double *x, uint32_t *at)
{
	size_t n = 0;

	if (p->n == 0 || p->pairs.skip == PAIR_TOO_FEW)
		return 0;
	for (size_t i = 0; i < p->n; i++)
		if (!p->pairs.out[i] && p->c[i].goal.p) {
			at[n] = (uint32_t)i;
			x[n++] = p->c[i].reward;
		}
	if (n > 0)
		goal_centre(x, n, x);
	return n;
}
