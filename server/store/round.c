/* round.c - rounds as they were asked for. */
#include "round_inside.h"

/* --- reading -------------------------------------------------------------------------- */

static int read_excludes(struct store *s, struct arena *a, struct round_row *r, struct err *e)
{
	struct buf reasons = BUF_INIT;
	struct query q;
	int rc;

	query_open(&q, s, SQL_EXCLUDE_LIST);
	bind_int(&q, r->key);
	while ((rc = query_step(&q, e)) == 1) {
		struct str reason = arena_str(a, column_text(&q, 0));

		buf_add(&reasons, &reason, sizeof reason);
	}
	r->excludes = (uint32_t)(reasons.n / sizeof(struct str));
	if (rc == 0 && r->excludes > 0) {
		struct str *list = ARENA_ARRAY(a, struct str, r->excludes);

		memcpy(list, reasons.p, reasons.n);
		r->exclude_finish_reason = list;
	}
	buf_release(&reasons);
	return rc;
}

/* A row of ROUND_COLUMNS. */
static int read_round(struct store *s, struct arena *a, struct query *q, struct round_known *k, struct err *e)
{
	*k = (struct round_known){
		.row = {
			.key = column_int(q, 0),
			.id = arena_str(a, column_text(q, 1)),
			.name = arena_str(a, column_text(q, 2)),
			.dataset = arena_str(a, column_text(q, 3)),
			.dataset_key = column_int(q, 4),
			.state = (enum round_state)column_int(q, 5),
			.mode = (enum round_mode)column_int(q, 6),
			.posted = arena_str(a, column_text(q, 7)),
			.spec = arena_str(a, column_text(q, 8)),
			.previous = arena_str(a, column_text(q, 11)),
			.per_prompt = (uint32_t)column_int(q, 12),
			.lease_us = column_int(q, 13),
			.min_characters = column_int(q, 14),
			.max_characters = column_int(q, 15),
			.seq = column_int(q, 16),
			.created_at = column_int(q, 17),
		},
		.model = {column_int(q, 9), column_int(q, 10)},
	};
	if (name_text(s, a, k->model[0], &k->row.policy, e) < 0 ||
	    name_text(s, a, k->model[1], &k->row.reference, e) < 0)
		return -1;
	return read_excludes(s, a, &k->row, e);
}

/* The one row of a query that is bound. 1, 0, -1. */
static int read_one(struct store *s, struct arena *a, struct query *q, struct round_known *out, struct err *e)
{
	int rc = query_step(q, e);

	if (rc == 1) {
		rc = read_round(s, a, q, out, e) < 0 ? -1 : 1;
		query_close(q);
	}
	return rc;
}

int round_find(struct store *s, struct arena *a, struct str id, struct round_known *out, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_ROUND_GET);
	bind_text(&q, id);
	return read_one(s, a, &q, out, e);
}

static int unknown(struct str id, struct err *e)
{
	return err_set(e, P_UNKNOWN_ROUND, "there is no round \"%.*s\"", STR_ARG(id));
}

int store_round_get(struct store *s, struct arena *a, struct str id, struct round_row *out, struct err *e)
{
	struct round_known k;
	bool begun;
	int rc;

	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	rc = round_find(s, a, id, &k, e);
	tx_read_end(s, begun);
	if (rc <= 0)
		return rc < 0 ? -1 : unknown(id, e);
	*out = k.row;
	return 0;
}

static int read_list(struct store *s, struct arena *a, struct query *q, struct round_row *out, uint32_t *n,
                     struct err *e)
{
	struct round_known k;
	int rc;

	while ((rc = query_step(q, e)) == 1) {
		if (read_round(s, a, q, &k, e) < 0) {
			query_close(q);
			return -1;
		}
		out[(*n)++] = k.row;
	}
	return rc;
}

int store_round_list(struct store *s, struct arena *a, int64_t dataset_key, struct str after, uint32_t limit,
                     struct round_row **out, uint32_t *n, struct err *e)
{
	struct query q;
	bool begun;
	int rc;

	if (limit > PAGE_MAX)
		limit = PAGE_MAX;
	*n = 0;
	*out = ARENA_ARRAY(a, struct round_row, limit);
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	query_open(&q, s, dataset_key ? SQL_ROUND_LIST_DATASET : SQL_ROUND_LIST);
	if (dataset_key)
		bind_int(&q, dataset_key);
	bind_text(&q, after.p ? after : STR(""));
	bind_int(&q, limit);
	rc = read_list(s, a, &q, *out, n, e);
	tx_read_end(s, begun);
	return rc;
}

/* --- what a group knows ------------------------------------------------------------------ */

void rounds_forget(struct store *s)
{
	s->rounds = NULL;
	arena_reset(&s->rounds_arena);
}

/* The bound query's round joins the group's. 1, 0, -1. */
static int learn(struct store *s, struct query *q, struct round_known **out, struct err *e)
{
	struct round_known *k = ARENA_NEW(&s->rounds_arena, struct round_known);
	int rc = read_one(s, &s->rounds_arena, q, k, e);

	if (rc == 1) {
		k->next = s->rounds;
		s->rounds = *out = k;
	}
	return rc;
}

int round_by_id(struct store *s, struct str id, struct round_known **k, struct err *e)
{
	struct query q;
	int rc;

	for (struct round_known *at = s->rounds; at; at = at->next)
		if (str_eq(at->row.id, id)) {
			*k = at;
			return 0;
		}
	query_open(&q, s, SQL_ROUND_GET);
	bind_text(&q, id);
	rc = learn(s, &q, k, e);
	return rc == 0 ? unknown(id, e) : rc < 0 ? -1 : 0;
}

int round_by_key(struct store *s, int64_t key, struct round_known **k, struct err *e)
{
	struct query q;
	int rc;

	for (struct round_known *at = s->rounds; at; at = at->next)
		if (at->row.key == key) {
			*k = at;
			return 0;
		}
	query_open(&q, s, SQL_ROUND_BY_KEY);
	bind_int(&q, key);
	rc = learn(s, &q, k, e);
	return rc == 0 ? err_set(e, P_INTERNAL, "the database has lost a round") : rc < 0 ? -1 : 0;
}

bool round_passes(const struct round_row *r, struct str finish_reason, int64_t characters)
{
	for (uint32_t i = 0; finish_reason.p && i < r->excludes; i++)
		if (str_eq(finish_reason, r->exclude_finish_reason[i]))
			return false;
	return (r->min_characters < 0 || characters >= r->min_characters) &&
	       (r->max_characters < 0 || characters <= r->max_characters);
}

/* --- closing -------------------------------------------------------------------------------- */

static int with_key(struct store *s, enum sql id, int64_t key, struct err *e)
{
	struct query q;

	query_open(&q, s, id);
	bind_int(&q, key);
	return query_run(&q, e);
}

int store_round_close(struct store *s, struct str id, struct err *e)
{
	struct round_known *k;

	if (tx_writing(s, e) < 0 || round_by_id(s, id, &k, e) < 0)
		return -1;
	if (with_key(s, SQL_ROUND_CLOSE, k->row.key, e) < 0 || with_key(s, SQL_LEASE_END_ROUND, k->row.key, e) < 0)
		return -1;
	k->row.state = ROUND_CLOSED;
	return 0;
}

int rounds_close_dataset(struct store *s, int64_t dataset, struct err *e)
{
	rounds_forget(s);
	if (with_key(s, SQL_LEASE_END_DATASET, dataset, e) < 0)
		return -1;
	return with_key(s, SQL_ROUND_CLOSE_DATASET, dataset, e);
}

/* --- progress --------------------------------------------------------------------------------- */

static int read_sums(struct store *s, const struct round_row *r, struct round_progress *out, struct err *e)
{
	struct query q;
	int64_t samples, valid;

	query_open(&q, s, SQL_ROUND_SUMS);
	bind_int(&q, r->key);
	if (query_step(&q, e) < 0)
		return -1;
	out->prompts = column_int(&q, 0);
	samples = column_int(&q, 1);
	valid = column_int(&q, 2);
	out->logprobs_there[0] = column_int(&q, 3);
	out->logprobs_there[1] = column_int(&q, 4);
	query_close(&q);
	out->responses_there = r->mode == ROUND_SAMPLE ? samples : valid;
	out->responses_wanted = r->mode == ROUND_SAMPLE ? out->prompts * r->per_prompt : valid;
	/* What is still to come may turn out valid; what was dropped is not wanted. */
	for (int m = 0; m < 2; m++)
		out->logprobs_wanted[m] = out->responses_wanted - out->responses_there + valid;
	return 0;
}

int store_round_progress(struct store *s, const struct round_row *r, int64_t now_us,
                         struct round_progress *out, struct err *e)
{
	struct query q;
	bool begun;
	int rc;

	*out = (struct round_progress){0};
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	rc = read_sums(s, r, out, e);
	if (rc == 0) {
		query_open(&q, s, SQL_LEASE_ALIVE);
		bind_int(&q, r->key);
		bind_int(&q, now_us);
		rc = query_step(&q, e) < 0 ? -1 : 0;
	}
	if (rc == 0) {
		out->leases = column_int(&q, 0);
		query_close(&q);
	}
	tx_read_end(s, begun);
	return rc;
}
