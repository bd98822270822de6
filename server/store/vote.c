/* vote.c - the ledger of comparisons: one current vote per judge and pair. */
#include "inside.h"

/* The later `at`; of equal times the smaller chosen id, then the greater strength. */
bool vote_before(const struct vote_value *a, const struct vote_value *b, int64_t smaller)
{
	if (a->at != b->at)
		return a->at > b->at;
	if (a->chosen != b->chosen)
		return a->chosen == smaller;
	return a->strength > b->strength;
}

static bool same_vote(const struct vote_value *a, const struct vote_value *b)
{
	return a->chosen == b->chosen && a->strength == b->strength;
}

static int ledger_read(struct store *s, const struct vote_key *k, int64_t smaller, const struct vote_value *twin,
                       struct vote_value *current, bool *has_twin, struct err *e)
{
	struct query q;
	int rc, found = 0;

	query_open(&q, s, SQL_VOTE_LEDGER);
	bind_int(&q, k->prompt);
	bind_int(&q, k->low);
	bind_int(&q, k->high);
	bind_int(&q, k->judge);
	while ((rc = query_step(&q, e)) == 1) {
		struct vote_value v = {column_int(&q, 0), column_real(&q, 1), column_int(&q, 2), column_int(&q, 3)};

		if (twin && v.at == twin->at && same_vote(&v, twin))
			*has_twin = true;
		if (!found || vote_before(&v, current, smaller))
			*current = v;
		found = 1;
	}
	return rc < 0 ? -1 : found;
}

int vote_current(struct store *s, const struct vote_key *k, int64_t smaller, struct vote_value *out, struct err *e)
{
	return ledger_read(s, k, smaller, NULL, out, NULL, e);
}

void vote_sum(struct store *s, int64_t dataset, const struct vote_key *k, const struct vote_value *v, int64_t n)
{
	sum_value(s, dataset, SERIES_VOTES, k->judge, 0, v->strength, n);
}

static int append(struct store *s, const struct vote_key *k, const struct vote_value *v, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_VOTE_INSERT);
	bind_int(&q, k->prompt);
	bind_int(&q, k->low);
	bind_int(&q, k->high);
	bind_int(&q, k->judge);
	bind_int(&q, v->seq);
	bind_int(&q, v->chosen);
	bind_real(&q, v->strength);
	bind_int(&q, v->at);
	return query_run(&q, e);
}

int vote_put(struct store *s, struct state *st, int64_t prompt, int64_t chosen, int64_t rejected,
             const struct comparison *c, int64_t now_us, struct counts *counts, struct err *e)
{
	struct vote_key k = {prompt, chosen < rejected ? chosen : rejected, chosen < rejected ? rejected : chosen, 0};
	struct vote_value v = {chosen, c->strength, c->at, 0}, old = {0};
	int64_t smaller = str_cmp(c->chosen, c->rejected) < 0 ? chosen : rejected;
	bool twin = false;
	int there;

	if (name_intern(s, c->judge, &k.judge, e) < 0)
		return -1;
	there = ledger_read(s, &k, smaller, c->at == TIME_NONE ? NULL : &v, &old, &twin, e);
	if (there < 0)
		return -1;
	if (twin || (there && c->at == TIME_NONE && same_vote(&v, &old))) {
		counts->comparisons_unchanged++;
		return 0;
	}
	v.seq = ++st->seq;
	if (c->at == TIME_NONE)
		v.at = state_arrival(st, now_us);
	if (append(s, &k, &v, e) < 0)
		return -1;
	if (!there || vote_before(&v, &old, smaller)) {
		if (there)
			vote_sum(s, st->key, &k, &old, -1);
		vote_sum(s, st->key, &k, &v, 1);
	}
	if (there)
		counts->comparisons_revised++;
	else
		counts->comparisons_created++;
	return 0;
}
