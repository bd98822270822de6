/* put.c - one row of any kind comes in. */
#include "inside.h"

static int put_score(struct store *s, struct state *st, struct str response, const struct score *sc,
                     int64_t now_us, struct counts *counts, struct err *e)
{
	int64_t prompt, key;
	bool good = false;
	int rc = response_find(s, st->key, response, &prompt, &key, e);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_at(e, P_UNKNOWN_ID, "/response", "there is no response \"%.*s\"", STR_ARG(response));
	if (score_check(s, st, sc, e) < 0 ||
	    score_put(s, st, prompt, key, sc, false, now_us, &good, counts, e) < 0)
		return -1;
	return good ? prompt_scored(s, st->key, prompt, e) : 0;
}

static int find_side(struct store *s, struct state *st, const char *pointer, struct str id, int64_t *prompt,
                     int64_t *key, struct err *e)
{
	int rc = response_find(s, st->key, id, prompt, key, e);

	if (rc == 0)
		return err_at(e, P_UNKNOWN_ID, pointer, "there is no response \"%.*s\"", STR_ARG(id));
	return rc < 0 ? -1 : 0;
}

static int put_comparison(struct store *s, struct state *st, const struct comparison *c, int64_t now_us,
                          struct counts *counts, struct err *e)
{
	int64_t prompt, other, chosen, rejected;

	if (find_side(s, st, "/chosen", c->chosen, &prompt, &chosen, e) < 0 ||
	    find_side(s, st, "/rejected", c->rejected, &other, &rejected, e) < 0)
		return -1;
	if (prompt != other)
		return err_at(e, P_UNKNOWN_ID, "/rejected", "the two responses are not of one prompt");
	if (series_admit(s, st, c->judge, STR_NONE, e) < 0)
		return -1;
	return vote_put(s, st, prompt, chosen, rejected, c, now_us, counts, e);
}

int store_put(struct store *s, struct str dataset, const struct row *r, enum on_conflict policy,
              int64_t now_us, struct counts *counts, struct err *e)
{
	struct state *st;

	if (tx_writing(s, e) < 0 || state_get(s, dataset, &st, e) < 0)
		return -1;
	switch (r->kind) {
	case ROW_RECORD:
		return record_put(s, st, &r->record, policy, now_us, counts, e);
	case ROW_SCORE:
		return put_score(s, st, r->score.response, &r->score.score, now_us, counts, e);
	case ROW_COMPARISON:
		return put_comparison(s, st, &r->comparison, now_us, counts, e);
	case ROW_SAMPLE:
	case ROW_LOGPROB:
		break; /* a round takes them: store/round.h */
	}
	return err_set(e, P_INTERNAL, "a row of no kind");
}
