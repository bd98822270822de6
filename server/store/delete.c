/* delete.c - a prompt goes, with all that hangs on it, in slices.
 *
 * Its places in rounds first, so that no work of it goes out any more, then
 * samples, votes, scores, log-probabilities, responses, and the prompt last;
 * what is left is whole after every slice, and the sums say what it says: a
 * ledger that does not fit one slice keeps its current value to the end. */
#include "delete.h"

int delete_text(struct store *s, int64_t key, struct err *e)
{
	struct query q;

	if (key == 0)
		return 0;
	query_open(&q, s, SQL_TEXT_DELETE);
	bind_int(&q, key);
	return query_run(&q, e);
}

/* --- log-probabilities --------------------------------------------------------------- */

static int sweep_logprobs(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e)
{
	struct query q;
	const int64_t *r;
	size_t n;
	int rc;

	(void)dataset;
	buf_clear(&s->rows);
	query_open(&q, s, SQL_LOGPROB_SLICE);
	bind_int(&q, prompt);
	bind_int(&q, *left);
	while ((rc = query_step(&q, e)) == 1) {
		int64_t key[2] = {column_int(&q, 0), column_int(&q, 1)};

		buf_add(&s->rows, key, sizeof key);
	}
	n = s->rows.n / sizeof(int64_t);
	r = (const int64_t *)s->rows.p;
	for (size_t i = 0; rc == 0 && i < n; i += 2) {
		query_open(&q, s, SQL_LOGPROB_DELETE);
		bind_int(&q, prompt);
		bind_int(&q, r[i]);
		bind_int(&q, r[i + 1]);
		rc = query_run(&q, e);
		--*left;
	}
	return rc < 0 ? -1 : n > 0;
}

/* --- responses --------------------------------------------------------------------- */

struct response_row {
	int64_t response, seq, text, characters, model;
	struct str id;
};

static int gather_responses(struct store *s, int64_t prompt, int64_t limit, size_t *n, struct err *e)
{
	struct query q;
	int rc;

	buf_clear(&s->rows);
	arena_reset(&s->scratch);
	query_open(&q, s, SQL_RESPONSE_SLICE);
	bind_int(&q, prompt);
	bind_int(&q, limit);
	while ((rc = query_step(&q, e)) == 1) {
		struct response_row r = {column_int(&q, 0), column_int(&q, 1), column_int(&q, 3), column_int(&q, 4),
		                         column_int(&q, 5), arena_str(&s->scratch, column_text(&q, 2))};

		buf_add(&s->rows, &r, sizeof r);
	}
	*n = s->rows.n / sizeof(struct response_row);
	return rc;
}

static int delete_version(struct store *s, int64_t prompt, const struct response_row *r, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_RESPONSE_DELETE);
	bind_int(&q, prompt);
	bind_int(&q, r->response);
	bind_int(&q, r->seq);
	return query_run(&q, e);
}

/* 1: there are later versions, 0, -1. */
static int more_versions(struct store *s, int64_t prompt, int64_t response, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_RESPONSE_MORE);
	bind_int(&q, prompt);
	bind_int(&q, response);
	rc = query_step(&q, e);
	query_close(&q);
	return rc;
}

/* The text goes with the last version that shows it. Versions go oldest first,
 * so the last to go is the current one, and with it the response. */
static int delete_response(struct store *s, int64_t dataset, int64_t prompt, const struct response_row *r,
                           const struct response_row *next, struct prompt_sum *sum, struct err *e)
{
	struct query q;
	int more;

	if (delete_version(s, prompt, r, e) < 0 || (more = more_versions(s, prompt, r->response, e)) < 0)
		return -1;
	if (more)
		return next == NULL || next->text == r->text ? 0 : delete_text(s, r->text, e);
	sum_value(s, dataset, SERIES_LENGTHS, 0, 0, (double)r->characters, -1);
	sum_value(s, dataset, SERIES_MODEL, r->model, 0, (double)r->characters, -1);
	sum_value(s, dataset, SERIES_PROMPTS, 0, 0, (double)sum->responses--, -1);
	sum_value(s, dataset, SERIES_PROMPTS, 0, 0, (double)sum->responses, 1);
	query_open(&q, s, SQL_RESPONSE_KEY_DELETE);
	bind_int(&q, dataset);
	bind_text(&q, r->id);
	return query_run(&q, e) < 0 ? -1 : delete_text(s, r->text, e);
}

static int sweep_responses(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e)
{
	const struct response_row *r;
	struct prompt_sum sum;
	size_t n, limit = slice_rows(*left);

	if (gather_responses(s, prompt, (int64_t)limit, &n, e) < 0 || prompt_sum_get(s, dataset, prompt, &sum, e) < 0)
		return -1;
	r = (const struct response_row *)s->rows.p;
	for (size_t i = 0; i < n; i++) {
		/* The last row of a full slice waits until its successor is seen. */
		if (n == limit && i + 1 == n)
			break;
		if (delete_response(s, dataset, prompt, &r[i], i + 1 < n ? &r[i + 1] : NULL, &sum, e) < 0)
			return -1;
		--*left;
	}
	return n == 0 ? 0 : prompt_sum_put(s, dataset, prompt, &sum, e) < 0 ? -1 : 1;
}

/* --- the prompt -------------------------------------------------------------------- */

struct prompt_row {
	int64_t seq, messages, metadata;
};

static int gather_prompt(struct store *s, int64_t prompt, int64_t limit, size_t *n, struct str *id, struct err *e)
{
	struct query q;
	int rc;

	buf_clear(&s->rows);
	arena_reset(&s->scratch);
	query_open(&q, s, SQL_PROMPT_SLICE);
	bind_int(&q, prompt);
	bind_int(&q, limit);
	while ((rc = query_step(&q, e)) == 1) {
		struct prompt_row r = {column_int(&q, 0), column_int(&q, 1), column_int(&q, 2)};

		*id = arena_str(&s->scratch, column_text(&q, 3));
		buf_add(&s->rows, &r, sizeof r);
	}
	*n = s->rows.n / sizeof(struct prompt_row);
	return rc;
}

static int delete_keys(struct store *s, int64_t dataset, int64_t prompt, struct str id, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_PROMPT_KEY_DELETE);
	bind_int(&q, dataset);
	bind_text(&q, id);
	if (query_run(&q, e) < 0)
		return -1;
	query_open(&q, s, SQL_PROMPT_SUM_DELETE);
	bind_int(&q, dataset);
	bind_int(&q, prompt);
	if (query_run(&q, e) < 0)
		return -1;
	sum_value(s, dataset, SERIES_PROMPTS, 0, 0, 0, -1);
	return 0;
}

/* A version's texts, unless the next version shows them too. */
static int delete_prompt_version(struct store *s, int64_t prompt, const struct prompt_row *r,
                                 const struct prompt_row *next, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_PROMPT_DELETE);
	bind_int(&q, prompt);
	bind_int(&q, r->seq);
	if (query_run(&q, e) < 0)
		return -1;
	if ((next == NULL || next->messages != r->messages) && delete_text(s, r->messages, e) < 0)
		return -1;
	return next && next->metadata == r->metadata ? 0 : delete_text(s, r->metadata, e);
}

static int sweep_prompt(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e)
{
	size_t n, limit = slice_rows(*left);
	const struct prompt_row *r;
	struct str id = STR_NONE;

	if (gather_prompt(s, prompt, (int64_t)limit, &n, &id, e) < 0)
		return -1;
	r = (const struct prompt_row *)s->rows.p;
	for (size_t i = 0; i < n; i++) {
		if (n == limit && i + 1 == n)
			return 1;
		if (delete_prompt_version(s, prompt, &r[i], i + 1 < n ? &r[i + 1] : NULL, e) < 0)
			return -1;
		--*left;
	}
	return delete_keys(s, dataset, prompt, id, e);
}

/* --- all of it ----------------------------------------------------------------------- */

int prompt_sweep(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e)
{
	static int (*const stage[])(struct store *, int64_t, int64_t, int64_t *, struct err *) = {
		sweep_rounds, sweep_samples, sweep_votes, sweep_scores,
		sweep_logprobs, sweep_responses, sweep_prompt,
	};
	int rc;

	for (size_t i = 0; i < sizeof stage / sizeof *stage; i++)
		do {
			if (*left <= 0)
				return 1;
			rc = stage[i](s, dataset, prompt, left, e);
			if (rc < 0)
				return -1;
		} while (rc == 1);
	return 0;
}

int store_prompt_delete(struct store *s, struct str dataset, struct str prompt, uint32_t limit, struct err *e)
{
	int64_t key, left = limit ? limit : 1;
	struct state *st;
	int rc;

	if (tx_writing(s, e) < 0 || state_get(s, dataset, &st, e) < 0)
		return -1;
	rc = prompt_find(s, st->key, prompt, &key, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, P_UNKNOWN_PROMPT, "there is no prompt \"%.*s\"", STR_ARG(prompt));
	s->deleting = true;
	return prompt_sweep(s, st->key, key, &left, e);
}
