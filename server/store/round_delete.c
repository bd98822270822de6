/* round_delete.c - a prompt goes: its places in rounds, and its samples. */
#include "delete.h"

struct place {
	int64_t round, number, token_ids;
};

/* Rows of (round, number, token_ids), or without a number; into s->rows. */
static int gather(struct store *s, enum sql id, int64_t prompt, int64_t limit, size_t *n, struct err *e)
{
	bool samples = id == SQL_SAMPLE_SLICE;
	struct query q;
	int rc;

	buf_clear(&s->rows);
	query_open(&q, s, id);
	bind_int(&q, prompt);
	bind_int(&q, limit);
	while ((rc = query_step(&q, e)) == 1) {
		struct place p = {column_int(&q, 0), samples ? column_int(&q, 1) : 0, column_int(&q, samples ? 2 : 1)};

		buf_add(&s->rows, &p, sizeof p);
	}
	*n = s->rows.n / sizeof(struct place);
	return rc;
}

static int delete_row(struct store *s, enum sql id, int64_t prompt, const struct place *p, struct err *e)
{
	struct query q;

	query_open(&q, s, id);
	bind_int(&q, prompt);
	bind_int(&q, p->round);
	if (id == SQL_SAMPLE_DELETE)
		bind_int(&q, p->number);
	return query_run(&q, e);
}

/* With the place go its counts and its open work: nobody waits for it any more. */
int sweep_rounds(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e)
{
	size_t n;

	(void)dataset;
	if (gather(s, SQL_ROUND_PROMPT_SLICE, prompt, *left, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct place *p = (const struct place *)s->rows.p + i;

		if (delete_row(s, SQL_WORK_DELETE, prompt, p, e) < 0 ||
		    delete_row(s, SQL_ROUND_PROMPT_DELETE, prompt, p, e) < 0 || delete_text(s, p->token_ids, e) < 0)
			return -1;
		--*left;
	}
	return n > 0;
}

int sweep_samples(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e)
{
	size_t n;

	(void)dataset;
	if (gather(s, SQL_SAMPLE_SLICE, prompt, *left, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const struct place *p = (const struct place *)s->rows.p + i;

		if (delete_row(s, SQL_SAMPLE_DELETE, prompt, p, e) < 0 || delete_text(s, p->token_ids, e) < 0)
			return -1;
		--*left;
	}
	return n > 0;
}
