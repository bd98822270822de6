/* round_see.c - the responses that a round looks at. */
#include <stdlib.h>

#include "round_inside.h"

/* --- responses ------------------------------------------------------------------------------- */

/* Columns 0 … 6: response, id, text, hash, characters, tokens, finish_reason. */
static void read_columns(struct arena *a, struct query *q, const int column[7], struct seen *out)
{
	*out = (struct seen){
		.r = {
			.key = column_int(q, column[0]),
			.id = arena_str(a, column_text(q, column[1])),
			.text_key = column_int(q, column[2]),
			.characters = (uint32_t)column_int(q, column[4]),
			.tokens = column_null(q, column[5]) ? -1 : column_int(q, column[5]),
			.finish_reason = arena_str(a, column_text(q, column[6])),
			.counted = {-1, -1},
		},
	};
	column_bytes(q, column[3], out->r.text_hash, sizeof out->r.text_hash);
}

static int gather_samples(struct store *s, struct arena *a, const struct round_known *k, int64_t prompt, int64_t seq,
                          struct err *e)
{
	static const int column[7] = {0, 1, 2, 3, 4, 5, 6};
	struct seen x;
	struct query q;
	int rc;

	query_open(&q, s, SQL_SAMPLE_PAGE);
	bind_int(&q, prompt);
	bind_int(&q, k->row.key);
	bind_int(&q, seq);
	while ((rc = query_step(&q, e)) == 1) {
		read_columns(a, &q, column, &x);
		x.r.index = (uint32_t)column_int(&q, 7);
		x.token_ids = column_int(&q, 8);
		buf_add(&s->rows, &x, sizeof x);
	}
	return rc;
}

/* Of each response the last version that was there at the round's number. */
static int gather_stored(struct store *s, struct arena *a, const struct round_known *k, int64_t prompt, int64_t seq,
                         struct err *e)
{
	static const int column[7] = {0, 1, 2, 3, 4, 6, 7};
	struct seen x, *last = NULL;
	struct query q;
	int rc;

	query_open(&q, s, SQL_RESPONSE_PAGE);
	bind_int(&q, prompt);
	bind_int(&q, 0);
	bind_int(&q, seq < k->row.seq ? seq : k->row.seq);
	while ((rc = query_step(&q, e)) == 1) {
		read_columns(a, &q, column, &x);
		if (last && last->r.key == x.r.key)
			*last = x;
		else
			buf_add(&s->rows, &x, sizeof x);
		last = (struct seen *)(s->rows.p + s->rows.n) - 1;
	}
	return rc;
}

/* --- log-probabilities ------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
	const struct round_response *x = &((const struct seen *)a)->r, *y = &((const struct seen *)b)->r;

	return (x->key > y->key) - (x->key < y->key);
}

static int by_index(const void *a, const void *b)
{
	const struct round_response *x = &((const struct seen *)a)->r, *y = &((const struct seen *)b)->r;

	return (x->index > y->index) - (x->index < y->index);
}

static int by_id(const void *a, const void *b)
{
	return str_cmp(((const struct seen *)a)->r.id, ((const struct seen *)b)->r.id);
}

/* Both come in order of keys. */
static int merge_logprobs(struct store *s, const struct round_known *k, int64_t prompt, int64_t seq,
                          struct seen *seen, uint32_t n, struct err *e)
{
	uint32_t i = 0;
	struct query q;
	int rc;

	query_open(&q, s, SQL_LOGPROB_PAGE);
	bind_int(&q, prompt);
	bind_int(&q, seq);
	while ((rc = query_step(&q, e)) == 1) {
		int64_t response = column_int(&q, 0), model = column_int(&q, 1);
		int m = model == k->model[0] ? 0 : model == k->model[1] ? 1 : -1;

		while (i < n && seen[i].r.key < response)
			i++;
		if (m < 0 || i == n || seen[i].r.key != response)
			continue;
		seen[i].r.scored[m] = true;
		seen[i].r.logprob[m] = column_real(&q, 2);
		seen[i].r.counted[m] = column_null(&q, 3) ? -1 : column_int(&q, 3);
	}
	return rc;
}

int round_see(struct store *s, struct arena *a, const struct round_known *k, int64_t prompt, int64_t seq,
              struct seen **out, uint32_t *n, struct err *e)
{
	bool samples = k->row.mode == ROUND_SAMPLE;
	struct seen *x;

	*n = 0;
	*out = NULL;
	buf_clear(&s->rows);
	if ((samples ? gather_samples : gather_stored)(s, a, k, prompt, seq, e) < 0)
		return -1;
	if (s->rows.n == 0)
		return 0;
	*n = (uint32_t)(s->rows.n / sizeof *x);
	*out = x = arena_alloc(a, s->rows.n);
	memcpy(x, s->rows.p, s->rows.n);
	qsort(x, *n, sizeof *x, by_key);
	if (merge_logprobs(s, k, prompt, seq, x, *n, e) < 0)
		return -1;
	qsort(x, *n, sizeof *x, samples ? by_index : by_id);
	for (uint32_t i = 0; i < *n; i++)
		x[i].valid = round_passes(&k->row, x[i].r.finish_reason, x[i].r.characters);
	return 0;
}

int round_looks_at(struct store *s, const struct round_known *k, int64_t prompt, int64_t response, bool *valid,
                   struct err *e)
{
	bool samples = k->row.mode == ROUND_SAMPLE;
	struct query q;
	int rc;

	query_open(&q, s, samples ? SQL_RESPONSE_FIRST : SQL_RESPONSE_AT);
	bind_int(&q, prompt);
	bind_int(&q, response);
	if (!samples)
		bind_int(&q, k->row.seq);
	rc = query_step(&q, e);
	if (rc <= 0)
		return rc;
	rc = !samples || column_int(&q, 0) == k->row.key;
	*valid = round_passes(&k->row, column_text(&q, 2), column_int(&q, 1));
	query_close(&q);
	return rc;
}

/* --- prompts ------------------------------------------------------------------------------------- */

int round_prompt_at(struct store *s, struct arena *a, const struct round_known *k, int64_t prompt,
                    uint8_t hash[32], struct str *id, int64_t *messages, struct err *e)
{
	struct query q;
	int rc = prompt_at(&q, s, prompt, k->row.seq, e);

	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, P_INTERNAL, "the database has lost a prompt of a round");
	if (id)
		*id = arena_str(a, column_text(&q, 1));
	column_bytes(&q, 2, hash, 32);
	*messages = column_int(&q, 4);
	query_close(&q);
	return 0;
}

static int read_prompt(struct store *s, struct arena *a, const struct round_known *k, int64_t seq, unsigned what,
                       struct round_prompt *p, struct err *e)
{
	struct seen *seen;
	int64_t messages;

	if (round_prompt_at(s, a, k, p->key, p->messages_hash, NULL, &messages, e) < 0 ||
	    ((what & READ_MESSAGES) && text_get(s, a, messages, &p->messages, e) < 0) ||
	    round_see(s, a, k, p->key, seq, &seen, &p->responses, e) < 0)
		return -1;
	p->response = ARENA_ARRAY(a, struct round_response, p->responses);
	for (uint32_t i = 0; i < p->responses; i++)
		p->response[i] = seen[i].r;
	return 0;
}

static int read_page(struct store *s, struct arena *a, const struct round_known *k, struct str after, uint32_t limit,
                     int64_t seq, unsigned what, struct round_prompt *out, uint32_t *n, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_ROUND_PROMPT_PAGE);
	bind_int(&q, k->row.key);
	bind_text(&q, after.p ? after : STR(""));
	bind_int(&q, limit);
	while ((rc = query_step(&q, e)) == 1) {
		struct round_prompt *p = &out[*n];

		*p = (struct round_prompt){.key = column_int(&q, 1), .id = arena_str(a, column_text(&q, 0))};
		if (read_prompt(s, a, k, seq, what, p, e) < 0) {
			query_close(&q);
			return -1;
		}
		++*n;
	}
	return rc;
}

int store_round_page(struct store *s, struct arena *a, const struct round_row *r, struct str after,
                     uint32_t limit, int64_t seq, unsigned what,
                     struct round_prompt **out, uint32_t *n, struct err *e)
{
	struct round_known k = {.row = *r};
	bool begun;
	int rc;

	if (limit > PAGE_MAX)
		limit = PAGE_MAX;
	*n = 0;
	*out = ARENA_ARRAY(a, struct round_prompt, limit);
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	rc = name_find(s, r->policy, &k.model[0], e);
	if (rc == 0)
		rc = name_find(s, r->reference, &k.model[1], e);
	if (rc == 0)
		rc = read_page(s, a, &k, after, limit, seq, what, *out, n, e);
	tx_read_end(s, begun);
	return rc;
}
