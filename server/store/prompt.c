/* prompt.c - ids to keys, and what is kept for each prompt. */
#include "inside.h"

static int find_id(struct query *q, struct store *s, enum sql sql, int64_t dataset, struct str id, struct err *e)
{
	query_open(q, s, sql);
	bind_int(q, dataset);
	bind_text(q, id);
	return query_step(q, e);
}

int prompt_find(struct store *s, int64_t dataset, struct str id, int64_t *prompt, struct err *e)
{
	struct query q;
	int rc = find_id(&q, s, SQL_PROMPT_FIND, dataset, id, e);

	if (rc == 1) {
		*prompt = column_int(&q, 0);
		query_close(&q);
	}
	return rc;
}

int response_find(struct store *s, int64_t dataset, struct str id, int64_t *prompt, int64_t *response, struct err *e)
{
	struct query q;
	int rc = find_id(&q, s, SQL_RESPONSE_FIND, dataset, id, e);

	if (rc == 1) {
		*prompt = column_int(&q, 0);
		*response = column_int(&q, 1);
		query_close(&q);
	}
	return rc;
}

int prompt_at(struct query *q, struct store *s, int64_t prompt, int64_t seq, struct err *e)
{
	query_open(q, s, SQL_PROMPT_AT);
	bind_int(q, prompt);
	bind_int(q, seq);
	return query_step(q, e);
}

int prompt_sum_get(struct store *s, int64_t dataset, int64_t prompt, struct prompt_sum *out, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_PROMPT_SUM_GET);
	bind_int(&q, dataset);
	bind_int(&q, prompt);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, P_INTERNAL, "the database has lost the sums of a prompt");
	*out = (struct prompt_sum){column_int(&q, 0), column_int(&q, 1) != 0};
	query_close(&q);
	return 0;
}

int prompt_sum_put(struct store *s, int64_t dataset, int64_t prompt, const struct prompt_sum *sum, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_PROMPT_SUM_PUT);
	bind_int(&q, dataset);
	bind_int(&q, prompt);
	bind_int(&q, sum->responses);
	bind_int(&q, sum->scored);
	return query_run(&q, e);
}

int prompt_scored(struct store *s, int64_t dataset, int64_t prompt, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_PROMPT_SUM_SCORED);
	bind_int(&q, dataset);
	bind_int(&q, prompt);
	if (query_run(&q, e) < 0)
		return -1;
	if (sqlite3_changes(s->db) > 0)
		sum_value(s, dataset, SERIES_SCORED, 0, 0, 1, 1);
	return 0;
}
