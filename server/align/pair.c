#include "align/pair.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* One prompt at work: its candidates, and the indexes of those that stay. */
struct maker {
	const struct pair_rule *rule;
	struct str prompt_id;
	const struct candidate *c;
	uint32_t *kept; /* by reward, highest first; of equals the smallest id first */
	size_t n;
	struct arena *arena;
	struct pairs *out;
};

/* A vote as a signed number for the pair of a smaller and a greater index. */
struct signed_vote {
	uint32_t low, high;
	double strength; /* > 0: for `low` */
	size_t at;       /* place among the votes: sums run in the order given */
};

enum verdict { FITS, SMALL_MARGIN, EQUAL };

/* Two goals that print alike cannot be told apart in a prompt. */
static bool alike(const struct candidate *a, const struct candidate *b)
{
	return str_eq(a->goal, b->goal) || (a->vector.p && b->vector.p && str_eq(a->vector, b->vector));
}

static int by_text(const void *pa, const void *pb, void *ctx)
{
	const struct candidate *c = ctx;
	const struct candidate *a = &c[*(const uint32_t *)pa], *b = &c[*(const uint32_t *)pb];
	int d = memcmp(a->text_hash, b->text_hash, SHA256_BYTES);

	return d ? d : str_cmp(a->id, b->id);
}

static int by_reward(const void *pa, const void *pb, void *ctx)
{
	const struct candidate *c = ctx;
	const struct candidate *a = &c[*(const uint32_t *)pa], *b = &c[*(const uint32_t *)pb];

	if (a->reward != b->reward)
		return a->reward > b->reward ? -1 : 1;
	return str_cmp(a->id, b->id);
}

static int by_ids(const void *pa, const void *pb, void *ctx)
{
	const struct candidate *c = ctx;
	const struct pair *a = pa, *b = pb;
	int d = str_cmp(c[a->chosen].id, c[b->chosen].id);

	return d ? d : str_cmp(c[a->rejected].id, c[b->rejected].id);
}

static int by_sides(const void *pa, const void *pb)
{
	const struct signed_vote *a = pa, *b = pb;

	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return (a->at > b->at) - (a->at < b->at);
}

static void *sort_ctx(const struct candidate *c)
{
	return (void *)(uintptr_t)c; /* qsort_r takes no const */
}

/* Of several with the same text the smallest id stays. */
static void drop_same_texts(struct maker *m, size_t candidates)
{
	size_t kept = 0;

	m->kept = ARENA_ARRAY(m->arena, uint32_t, candidates);
	m->out->out = ARENA_ARRAY(m->arena, bool, candidates);
	for (size_t i = 0; i < candidates; i++)
		m->kept[i] = (uint32_t)i;
	qsort_r(m->kept, candidates, sizeof *m->kept, by_text, sort_ctx(m->c));
	for (size_t i = 0; i < candidates; i++) {
		uint32_t x = m->kept[i];

		/* m->kept[kept - 1] is the smallest id of the last text seen. */
		if (kept > 0 && memcmp(m->c[m->kept[kept - 1]].text_hash, m->c[x].text_hash,
		                       SHA256_BYTES) == 0)
			m->out->out[x] = true;
		else
			m->kept[kept++] = x;
	}
	m->n = kept;
	m->out->duplicate_text = (uint32_t)(candidates - kept);
}

static void emit(struct maker *m, uint32_t chosen, uint32_t rejected, bool plain)
{
	m->out->pair[m->out->n++] = (struct pair){chosen, rejected, plain};
}

/* Better and worse are places in kept[], better < worse. */
static enum verdict verdict(const struct maker *m, size_t better, size_t worse)
{
	const struct candidate *w = &m->c[m->kept[better]], *l = &m->c[m->kept[worse]];

	if (alike(w, l))
		return EQUAL;
	return w->reward - l->reward < m->rule->min_margin ? SMALL_MARGIN : FITS;
}

/* Takes the pair, or counts why not. */
static void consider(struct maker *m, size_t better, size_t worse)
{
	switch (verdict(m, better, worse)) {
	case FITS:
		emit(m, m->kept[better], m->kept[worse], false);
		break;
	case SMALL_MARGIN:
		m->out->small_margin++;
		break;
	case EQUAL:
		m->out->equal_rewards++;
		break;
	}
}

static uint64_t draw(const struct maker *m, uint64_t n)
{
	char seed[24];
	struct str parts[2] = {{seed, 0}, m->prompt_id};
	uint8_t h[SHA256_BYTES];

	parts[0].n = (size_t)snprintf(seed, sizeof seed, "%llu", (unsigned long long)m->rule->seed);
	hash_keyed(h, "prefd-draw-1", parts, 2);
	return hash_draw(h, n);
}

/* Only one pair is wanted, so those not drawn are not counted as left out;
 * `fell` tells whether one fell only to the margin. */
static void best_random(struct maker *m, bool *fell)
{
	uint32_t *fits = ARENA_ARRAY(m->arena, uint32_t, m->n);
	size_t n = 0;

	for (size_t i = 1; i < m->n; i++) {
		enum verdict v = verdict(m, 0, i);

		if (v == FITS)
			fits[n++] = m->kept[i];
		*fell |= v == SMALL_MARGIN;
	}
	if (n > 0)
		emit(m, m->kept[0], fits[n > 1 ? draw(m, n) : 0], false);
}

static void best_worst(struct maker *m, bool *fell)
{
	enum verdict v = verdict(m, 0, m->n - 1);

	if (v == FITS)
		emit(m, m->kept[0], m->kept[m->n - 1], false);
	*fell = v == SMALL_MARGIN;
}

/* `head` is the first of its reward; what prints like it is left out. */
static void adjacent(struct maker *m)
{
	size_t head = 0;

	for (size_t i = 1; i < m->n; i++) {
		consider(m, head, i);
		if (!str_eq(m->c[m->kept[head]].goal, m->c[m->kept[i]].goal))
			head = i;
	}
}

static void by_rewards(struct maker *m)
{
	bool fell = false;
	size_t room = m->rule->strategy == PAIR_ALL ? m->n * (m->n - 1) / 2 : m->n;

	m->out->pair = ARENA_ARRAY(m->arena, struct pair, room);
	qsort_r(m->kept, m->n, sizeof *m->kept, by_reward, sort_ctx(m->c));
	switch (m->rule->strategy) {
	case PAIR_BEST_RANDOM:
		best_random(m, &fell);
		break;
	case PAIR_BEST_WORST:
		best_worst(m, &fell);
		break;
	case PAIR_BEST_REST:
		for (size_t i = 1; i < m->n; i++)
			consider(m, 0, i);
		break;
	case PAIR_ADJACENT:
		adjacent(m);
		break;
	case PAIR_ALL:
		for (size_t i = 0; i < m->n; i++)
			for (size_t j = i + 1; j < m->n; j++)
				consider(m, i, j);
		break;
	case PAIR_COMPARISONS:
		break; /* not by rewards */
	}
	if (m->out->n == 0)
		m->out->skip = fell || m->out->small_margin > 0 ? PAIR_SMALL_MARGIN : PAIR_EQUAL;
}

/* The votes between candidates that stay, those of one pair together. */
static struct signed_vote *counted_votes(struct maker *m, const struct vote *v, size_t votes,
                                         size_t *n)
{
	struct signed_vote *s = ARENA_ARRAY(m->arena, struct signed_vote, votes);

	*n = 0;
	for (size_t i = 0; i < votes; i++) {
		bool up = v[i].chosen < v[i].rejected;

		if (v[i].chosen == v[i].rejected || m->out->out[v[i].chosen] ||
		    m->out->out[v[i].rejected])
			continue;
		s[(*n)++] = (struct signed_vote){
			.low = up ? v[i].chosen : v[i].rejected,
			.high = up ? v[i].rejected : v[i].chosen,
			.strength = up ? v[i].strength : -v[i].strength,
			.at = i,
		};
	}
	if (*n > 1)
		qsort(s, *n, sizeof *s, by_sides);
	return s;
}

/* What the votes decided: with goals where the rewards agree, else plain. */
static void decide(struct maker *m, uint32_t chosen, uint32_t rejected)
{
	const struct candidate *w = &m->c[chosen], *l = &m->c[rejected];
	bool goals = w->goal.p && l->goal.p && w->reward > l->reward && !alike(w, l);

	if (goals && w->reward - l->reward < m->rule->min_margin)
		m->out->small_margin++;
	else
		emit(m, chosen, rejected, !goals);
}

static void by_votes(struct maker *m, const struct vote *v, size_t votes)
{
	size_t n;
	struct signed_vote *s = counted_votes(m, v, votes, &n);

	m->out->pair = ARENA_ARRAY(m->arena, struct pair, n);
	for (size_t i = 0, end; i < n; i = end) {
		double sum = 0;

		for (end = i; end < n && s[end].low == s[i].low && s[end].high == s[i].high; end++)
			sum += s[end].strength;
		if (sum > 0)
			decide(m, s[i].low, s[i].high);
		else if (sum < 0)
			decide(m, s[i].high, s[i].low);
		else
			m->out->contradictory++;
	}
	if (m->out->n > 0)
		return;
	if (m->out->small_margin > 0)
		m->out->skip = PAIR_SMALL_MARGIN;
	else
		m->out->skip = m->out->contradictory > 0 ? PAIR_CONTRADICTORY : PAIR_NO_VOTES;
}

void pairs_make(const struct pair_rule *rule, struct str prompt_id,
                const struct candidate *c, size_t n, const struct vote *v, size_t votes,
                struct arena *a, struct pairs *out)
{
	struct maker m = {.rule = rule, .prompt_id = prompt_id, .c = c, .arena = a, .out = out};

	*out = (struct pairs){.skip = PAIR_MADE};
	drop_same_texts(&m, n);
	/* One alone makes no pair, whatever the rule asks for. */
	if (m.n < rule->min_responses || m.n < 2) {
		out->skip = PAIR_TOO_FEW;
		return;
	}
	if (rule->strategy == PAIR_COMPARISONS)
		by_votes(&m, v, votes);
	else
		by_rewards(&m);
	if (out->n > 1)
		qsort_r(out->pair, out->n, sizeof *out->pair, by_ids, sort_ctx(c));
}

void pair_id(struct str prompt, struct str a, struct str b, uint8_t out[16])
{
	bool up = str_cmp(a, b) < 0;
	struct str parts[3] = {prompt, up ? a : b, up ? b : a};
	uint8_t h[SHA256_BYTES];

	hash_keyed(h, "prefd-pair-1", parts, 3);
	memcpy(out, h, 16);
}

bool pair_held_out(const uint8_t messages_hash[SHA256_BYTES], uint64_t seed, double fraction)
{
	char hex[2 * SHA256_BYTES + 1], text[24];
	struct str parts[2] = {{text, 0}, {hex, 2 * SHA256_BYTES}};
	double bound = ceil(ldexp(fraction, 64));
	uint8_t h[SHA256_BYTES];
	uint64_t w = 0;

	if (bound >= 0x1p64)
		return true;
	hex_of(messages_hash, SHA256_BYTES, hex);
	parts[0].n = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
	hash_keyed(h, "prefd-holdout-1", parts, 2);
	for (int i = 0; i < 8; i++)
		w |= (uint64_t)h[i] << (8 * i);
	return w < (uint64_t)bound; /* whole numbers: w < x just when w < ceil(x) */
}
