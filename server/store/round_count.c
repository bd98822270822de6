/* round_count.c - what is kept for each prompt of a round, and the work that
 * follows from it. */
#include "round_inside.h"

struct round_count round_count_of(const struct round_known *k, const struct seen *seen, uint32_t n)
{
	struct round_count c = {.samples = k->row.mode == ROUND_SAMPLE ? n : 0};

	for (uint32_t i = 0; i < n; i++) {
		if (!seen[i].valid)
			continue;
		c.valid++;
		for (int m = 0; m < 2; m++)
			c.scored[m] += seen[i].r.scored[m];
	}
	return c;
}

/* Over stored responses per_prompt is 0: no samples are needed, ever. */
bool round_needs(const struct round_known *k, const struct round_count *c, enum round_work kind)
{
	if (c->samples < k->row.per_prompt)
		return kind == WORK_SAMPLE;
	return kind != WORK_SAMPLE && c->scored[kind - WORK_POLICY] < c->valid;
}

int round_count_get(struct store *s, const struct round_known *k, int64_t prompt, struct round_count *c,
                    int64_t *token_ids, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_ROUND_PROMPT_GET);
	bind_int(&q, prompt);
	bind_int(&q, k->row.key);
	rc = query_step(&q, e);
	if (rc == 1) {
		*c = (struct round_count){column_int(&q, 0), column_int(&q, 1), {column_int(&q, 2), column_int(&q, 3)}};
		*token_ids = column_int(&q, 4);
		query_close(&q);
	}
	return rc;
}

static int work_row(struct store *s, enum sql id, const struct round_known *k, int64_t prompt, enum round_work kind,
                    struct err *e)
{
	struct query q;

	query_open(&q, s, id);
	bind_int(&q, prompt);
	bind_int(&q, k->row.key);
	bind_int(&q, kind);
	return query_run(&q, e);
}

int round_work_put(struct store *s, const struct round_known *k, int64_t prompt, enum round_work kind, struct err *e)
{
	return work_row(s, SQL_WORK_PUT, k, prompt, kind, e);
}

int round_count_set(struct store *s, const struct round_known *k, int64_t prompt, const struct round_count *before,
                    const struct round_count *now, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_ROUND_PROMPT_COUNT);
	bind_int(&q, now->samples);
	bind_int(&q, now->valid);
	bind_int(&q, now->scored[0]);
	bind_int(&q, now->scored[1]);
	bind_int(&q, prompt);
	bind_int(&q, k->row.key);
	if (query_run(&q, e) < 0)
		return -1;
	for (int i = 0; i < WORK_KINDS; i++) {
		enum round_work kind = (enum round_work)i;
		bool need = round_needs(k, now, kind);

		if (need != round_needs(k, before, kind) &&
		    work_row(s, need ? SQL_WORK_PUT : SQL_WORK_DONE, k, prompt, kind, e) < 0)
			return -1;
	}
	return 0;
}

static int count_logprob(struct store *s, const struct round_known *k, int64_t prompt, int64_t response, int m,
                         struct err *e)
{
	struct round_count before, now;
	int64_t token_ids;
	bool valid;
	int rc = round_looks_at(s, k, prompt, response, &valid, e);

	if (rc <= 0 || !valid)
		return rc < 0 ? -1 : 0;
	rc = round_count_get(s, k, prompt, &before, &token_ids, e);
	if (rc <= 0)
		return rc;
	now = before;
	now.scored[m]++;
	return round_count_set(s, k, prompt, &before, &now, e);
}

int rounds_count_logprob(struct store *s, int64_t prompt, int64_t response, int64_t model, struct err *e)
{
	struct query q;
	size_t n;
	int rc;

	buf_clear(&s->rows);
	query_open(&q, s, SQL_ROUND_OF_PROMPT);
	bind_int(&q, prompt);
	while ((rc = query_step(&q, e)) == 1) {
		int64_t round = column_int(&q, 0);

		buf_add(&s->rows, &round, sizeof round);
	}
	n = s->rows.n / sizeof(int64_t);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct round_known *k;

		rc = round_by_key(s, ((const int64_t *)s->rows.p)[i], &k, e);
		for (int m = 0; rc == 0 && m < 2; m++)
			if (k->model[m] == model)
				rc = count_logprob(s, k, prompt, response, m, e);
	}
	return rc;
}
