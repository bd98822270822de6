/* logprob.c - log-probabilities: the first of a model stays. */
#include "round_inside.h"

static int insert(struct store *s, int64_t prompt, int64_t response, int64_t model, int64_t seq,
                  const struct logprob *l, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_LOGPROB_INSERT);
	bind_int(&q, prompt);
	bind_int(&q, response);
	bind_int(&q, model);
	bind_int(&q, seq);
	bind_real(&q, l->logprob);
	if (l->tokens >= 0)
		bind_int(&q, l->tokens);
	else
		bind_null(&q);
	return query_run(&q, e);
}

int logprob_put(struct store *s, struct state *st, int64_t prompt, int64_t response, const struct logprob *l,
                bool *created, struct err *e)
{
	struct query q;
	int64_t model;
	int rc;

	*created = false;
	if (name_intern(s, l->model, &model, e) < 0)
		return -1;
	query_open(&q, s, SQL_LOGPROB_FIND);
	bind_int(&q, prompt);
	bind_int(&q, response);
	bind_int(&q, model);
	rc = query_step(&q, e);
	query_close(&q);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	*created = true;
	if (insert(s, prompt, response, model, ++st->seq, l, e) < 0)
		return -1;
	return rounds_count_logprob(s, prompt, response, model, e);
}
