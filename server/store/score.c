/* score.c - the ledger of scores: every value stays, one is current. */
#include "inside.h"

/* A good value before any other status; then the later `at`; of equal times the
 * greater value, or abstained before failed. */
bool score_before(const struct score_value *a, const struct score_value *b)
{
	bool a_ok = a->status == SCORE_OK, b_ok = b->status == SCORE_OK;

	if (a_ok != b_ok)
		return a_ok;
	if (a->at != b->at)
		return a->at > b->at;
	return a_ok ? a->value > b->value : a->status > b->status;
}

static bool same_value(const struct score_value *a, const struct score_value *b)
{
	return a->status == b->status && (a->status != SCORE_OK || a->value == b->value);
}

/* Reads a key's ledger: the current value, and whether `twin` (may be NULL)
 * stands there with the same time. 1 found, 0 no value, -1. */
static int ledger_read(struct store *s, const struct score_key *k, const struct score_value *twin,
                       struct score_value *current, bool *has_twin, struct err *e)
{
	struct query q;
	int rc, found = 0;

	query_open(&q, s, SQL_SCORE_LEDGER);
	bind_int(&q, k->prompt);
	bind_int(&q, k->response);
	bind_int(&q, k->attribute);
	bind_int(&q, k->judge);
	while ((rc = query_step(&q, e)) == 1) {
		struct score_value v = {column_real(&q, 0), (int)column_int(&q, 1), column_int(&q, 2), column_int(&q, 3)};

		if (twin && v.at == twin->at && same_value(&v, twin))
			*has_twin = true;
		if (!found || score_before(&v, current))
			*current = v;
		found = 1;
	}
	return rc < 0 ? -1 : found;
}

int score_current(struct store *s, const struct score_key *k, struct score_value *out, struct err *e)
{
	return ledger_read(s, k, NULL, out, NULL, e);
}

void score_sum(struct store *s, int64_t dataset, const struct score_key *k, const struct score_value *v, int64_t n)
{
	if (v->status == SCORE_OK)
		sum_value(s, dataset, SERIES_SCORE, k->judge, k->attribute, v->value, n);
	else
		sum_status(s, dataset, k->judge, k->attribute, v->status == SCORE_FAILED ? SUM_FAILED : SUM_ABSTAINED, n);
}

static int append(struct store *s, const struct score_key *k, const struct score_value *v, struct str rationale,
                  struct err *e)
{
	struct query q;
	int64_t text = 0;

	if (rationale.p && text_put(s, rationale, &text, e) < 0)
		return -1;
	query_open(&q, s, SQL_SCORE_INSERT);
	bind_int(&q, k->prompt);
	bind_int(&q, k->response);
	bind_int(&q, k->attribute);
	bind_int(&q, k->judge);
	bind_int(&q, v->seq);
	if (v->status == SCORE_OK)
		bind_real(&q, v->value);
	else
		bind_null(&q);
	bind_int(&q, v->status);
	bind_int(&q, v->at);
	if (text)
		bind_int(&q, text);
	else
		bind_null(&q);
	return query_run(&q, e);
}

int score_put(struct store *s, struct state *st, int64_t prompt, int64_t response, const struct score *sc,
              bool fresh, int64_t now_us, bool *good, struct counts *counts, struct err *e)
{
	struct score_key k = {.prompt = prompt, .response = response};
	struct score_value v = {sc->value + 0.0, sc->status, sc->at, 0}, old = {0};
	bool twin = false;
	int there = 0;

	if (name_intern(s, sc->attribute, &k.attribute, e) < 0 || name_intern(s, sc->judge, &k.judge, e) < 0)
		return -1;
	if (!fresh && (there = ledger_read(s, &k, sc->at == TIME_NONE ? NULL : &v, &old, &twin, e)) < 0)
		return -1;
	if (twin || (there && sc->at == TIME_NONE && same_value(&v, &old))) {
		counts->scores_unchanged++;
		return 0;
	}
	v.seq = ++st->seq;
	if (sc->at == TIME_NONE)
		v.at = state_arrival(st, now_us);
	if (append(s, &k, &v, sc->rationale, e) < 0)
		return -1;
	if (!there || score_before(&v, &old)) {
		if (there)
			score_sum(s, st->key, &k, &old, -1);
		score_sum(s, st->key, &k, &v, 1);
	}
	*good = v.status == SCORE_OK && !(there && old.status == SCORE_OK);
	if (there)
		counts->scores_revised++;
	else
		counts->scores_created++;
	return 0;
}

int score_check(struct store *s, struct state *st, const struct score *sc, struct err *e)
{
	const struct range *range;
	int64_t attribute;

	if (series_admit(s, st, sc->judge, sc->attribute, e) < 0)
		return -1;
	if (sc->status != SCORE_OK)
		return 0;
	if (name_find(s, sc->attribute, &attribute, e) < 0 || state_range(s, st, attribute, &range, e) < 0)
		return -1;
	if (range && (sc->value < range->min || sc->value > range->max))
		return err_at(e, P_INVALID, "/value", "the value is outside %g to %g, the declared range of %.*s",
		              range->min, range->max, STR_ARG(sc->attribute));
	return 0;
}
