/* delete_ledger.c - votes and scores of a prompt that goes. */
#include "delete.h"

/* --- votes ------------------------------------------------------------------------ */

struct vote_row {
	struct vote_key k;
	struct vote_value v;
};

static int gather_votes(struct store *s, int64_t prompt, int64_t limit, size_t *n, struct err *e)
{
	struct query q;
	int rc;

	buf_clear(&s->rows);
	query_open(&q, s, SQL_VOTE_SLICE);
	bind_int(&q, prompt);
	bind_int(&q, limit);
	while ((rc = query_step(&q, e)) == 1) {
		struct vote_row r = {{prompt, column_int(&q, 0), column_int(&q, 1), column_int(&q, 2)},
		                     {column_int(&q, 4), column_real(&q, 5), column_int(&q, 6), column_int(&q, 3)}};

		buf_add(&s->rows, &r, sizeof r);
	}
	*n = s->rows.n / sizeof(struct vote_row);
	return rc;
}

static bool same_vote_key(const struct vote_key *a, const struct vote_key *b)
{
	return a->low == b->low && a->high == b->high && a->judge == b->judge;
}

static int response_id(struct store *s, int64_t prompt, int64_t response, struct str *id, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_RESPONSE_ID);
	bind_int(&q, prompt);
	bind_int(&q, response);
	rc = query_step(&q, e);
	if (rc == 1) {
		*id = arena_str(&s->scratch, column_text(&q, 0));
		query_close(&q);
		return 0;
	}
	return rc < 0 ? -1 : err_set(e, P_INTERNAL, "the database has lost a response");
}

static int smaller_of(struct store *s, const struct vote_key *k, int64_t *smaller, struct err *e)
{
	struct str low, high;

	arena_reset(&s->scratch);
	if (response_id(s, k->prompt, k->low, &low, e) < 0 || response_id(s, k->prompt, k->high, &high, e) < 0)
		return -1;
	*smaller = str_cmp(low, high) < 0 ? k->low : k->high;
	return 0;
}

static int delete_vote(struct store *s, const struct vote_row *r, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_VOTE_DELETE);
	bind_int(&q, r->k.prompt);
	bind_int(&q, r->k.low);
	bind_int(&q, r->k.high);
	bind_int(&q, r->k.judge);
	bind_int(&q, r->v.seq);
	return query_run(&q, e);
}

/* The n rows of one ledger, whole or its beginning. */
static int delete_vote_ledger(struct store *s, int64_t dataset, const struct vote_row *r, size_t n, bool whole,
                              int64_t *left, struct err *e)
{
	struct vote_value current;
	int64_t smaller;

	if (smaller_of(s, &r->k, &smaller, e) < 0 || vote_current(s, &r->k, smaller, &current, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!whole && r[i].v.seq == current.seq)
			continue;
		if (delete_vote(s, &r[i], e) < 0)
			return -1;
		--*left;
	}
	if (whole)
		vote_sum(s, dataset, &r->k, &current, -1);
	return 0;
}

int sweep_votes(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e)
{
	size_t n, limit = slice_rows(*left);
	const struct vote_row *r;

	if (gather_votes(s, prompt, (int64_t)limit, &n, e) < 0)
		return -1;
	r = (const struct vote_row *)s->rows.p;
	for (size_t i = 0, end; i < n; i = end) {
		bool whole;

		for (end = i + 1; end < n && same_vote_key(&r[i].k, &r[end].k); end++)
			;
		whole = end < n || n < limit;
		if (delete_vote_ledger(s, dataset, r + i, end - i, whole, left, e) < 0)
			return -1;
	}
	return n > 0;
}

/* --- scores ----------------------------------------------------------------------- */

struct score_row {
	struct score_key k;
	int64_t seq, rationale;
};

static int gather_scores(struct store *s, int64_t prompt, int64_t limit, size_t *n, struct err *e)
{
	struct query q;
	int rc;

	buf_clear(&s->rows);
	query_open(&q, s, SQL_SCORE_SLICE);
	bind_int(&q, prompt);
	bind_int(&q, limit);
	while ((rc = query_step(&q, e)) == 1) {
		struct score_row r = {{prompt, column_int(&q, 0), column_int(&q, 1), column_int(&q, 2)},
		                      column_int(&q, 3), column_int(&q, 7)};

		buf_add(&s->rows, &r, sizeof r);
	}
	*n = s->rows.n / sizeof(struct score_row);
	return rc;
}

static bool same_score_key(const struct score_key *a, const struct score_key *b)
{
	return a->response == b->response && a->attribute == b->attribute && a->judge == b->judge;
}

static int delete_score(struct store *s, const struct score_row *r, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_SCORE_DELETE);
	bind_int(&q, r->k.prompt);
	bind_int(&q, r->k.response);
	bind_int(&q, r->k.attribute);
	bind_int(&q, r->k.judge);
	bind_int(&q, r->seq);
	return query_run(&q, e) < 0 ? -1 : delete_text(s, r->rationale, e);
}

static int delete_score_ledger(struct store *s, int64_t dataset, const struct score_row *r, size_t n, bool whole,
                               int64_t *left, struct err *e)
{
	struct score_value current;

	if (score_current(s, &r->k, &current, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!whole && r[i].seq == current.seq)
			continue;
		if (delete_score(s, &r[i], e) < 0)
			return -1;
		--*left;
	}
	if (whole)
		score_sum(s, dataset, &r->k, &current, -1);
	return 0;
}

/* Has the prompt lost its last good score? */
static int unscore(struct store *s, int64_t dataset, int64_t prompt, struct err *e)
{
	struct prompt_sum sum;
	struct query q;
	int rc;

	if (prompt_sum_get(s, dataset, prompt, &sum, e) < 0)
		return -1;
	if (!sum.scored)
		return 0;
	query_open(&q, s, SQL_SCORE_ANY_GOOD);
	bind_int(&q, prompt);
	rc = query_step(&q, e);
	query_close(&q);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	sum.scored = false;
	sum_value(s, dataset, SERIES_SCORED, 0, 0, 1, -1);
	return prompt_sum_put(s, dataset, prompt, &sum, e);
}

int sweep_scores(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e)
{
	size_t n, limit = slice_rows(*left);
	const struct score_row *r;

	if (gather_scores(s, prompt, (int64_t)limit, &n, e) < 0)
		return -1;
	r = (const struct score_row *)s->rows.p;
	for (size_t i = 0, end; i < n; i = end) {
		bool whole;

		for (end = i + 1; end < n && same_score_key(&r[i].k, &r[end].k); end++)
			;
		whole = end < n || n < limit;
		if (delete_score_ledger(s, dataset, r + i, end - i, whole, left, e) < 0)
			return -1;
	}
	if (n > 0 && unscore(s, dataset, prompt, e) < 0)
		return -1;
	return n > 0;
}
