/* round_rescoring.c - what was asked of a round's facts, and what came of it. */
#include "round_inside.h"

/* The number of the last one, 0 when there is none. */
static int last_number(struct store *s, int64_t round, int64_t *number, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_RESCORING_LAST);
	bind_int(&q, round);
	if (query_step(&q, e) < 0)
		return -1;
	*number = column_int(&q, 0);
	query_close(&q);
	return 0;
}

int store_rescoring_insert(struct store *s, struct str round, struct rescoring_row *row, struct err *e)
{
	struct round_known *k;
	struct query q;

	if (tx_writing(s, e) < 0 || round_by_id(s, round, &k, e) < 0 ||
	    last_number(s, k->row.key, &row->number, e) < 0)
		return -1;
	query_open(&q, s, SQL_RESCORING_INSERT);
	bind_int(&q, k->row.key);
	bind_int(&q, ++row->number);
	bind_int(&q, row->seq);
	bind_text(&q, row->params);
	bind_real(&q, row->alpha);
	bind_real(&q, row->beta);
	bind_text(&q, row->result);
	bind_int(&q, row->created_at);
	return query_run(&q, e);
}

static void read_row(struct arena *a, struct query *q, struct rescoring_row *r)
{
	*r = (struct rescoring_row){
		.number = column_int(q, 0),
		.seq = column_int(q, 1),
		.params = arena_str(a, column_text(q, 2)),
		.alpha = column_real(q, 3),
		.beta = column_real(q, 4),
		.result = arena_str(a, column_text(q, 5)),
		.created_at = column_int(q, 6),
	};
}

/* P_UNKNOWN_ROUND; also on a connection that only reads. */
static int find_round(struct store *s, struct arena *a, struct str id, int64_t *key, struct err *e)
{
	struct round_known k;
	int rc = round_find(s, a, id, &k, e);

	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, P_UNKNOWN_ROUND, "there is no round \"%.*s\"", STR_ARG(id));
	*key = k.row.key;
	return 0;
}

static int get(struct store *s, struct arena *a, struct str round, int64_t number, struct rescoring_row *out,
               struct err *e)
{
	struct query q;
	int64_t key;
	int rc;

	if (find_round(s, a, round, &key, e) < 0 || (number == 0 && last_number(s, key, &number, e) < 0))
		return -1;
	query_open(&q, s, SQL_RESCORING_GET);
	bind_int(&q, key);
	bind_int(&q, number);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && number == 0)
		return err_set(e, P_UNKNOWN_RESCORING, "the round was not rescored yet");
	if (rc == 0)
		return err_set(e, P_UNKNOWN_RESCORING, "the round has no rescoring %lld", (long long)number);
	read_row(a, &q, out);
	query_close(&q);
	return 0;
}

int store_rescoring_get(struct store *s, struct arena *a, struct str round, int64_t number,
                        struct rescoring_row *out, struct err *e)
{
	bool begun;
	int rc;

	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	rc = get(s, a, round, number, out, e);
	tx_read_end(s, begun);
	return rc;
}

static int list(struct store *s, struct arena *a, struct str round, struct rescoring_row **out, uint32_t *n,
                struct err *e)
{
	int64_t key, last, after;
	struct query q;
	int rc;

	if (find_round(s, a, round, &key, e) < 0 || last_number(s, key, &last, e) < 0)
		return -1;
	after = last > PAGE_MAX ? last - PAGE_MAX : 0;
	*out = ARENA_ARRAY(a, struct rescoring_row, (size_t)(last - after));
	query_open(&q, s, SQL_RESCORING_LIST);
	bind_int(&q, key);
	bind_int(&q, after);
	while ((rc = query_step(&q, e)) == 1)
		read_row(a, &q, &(*out)[(*n)++]);
	return rc;
}

int store_rescoring_list(struct store *s, struct arena *a, struct str round,
                         struct rescoring_row **out, uint32_t *n, struct err *e)
{
	bool begun;
	int rc;

	*n = 0;
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	rc = list(s, a, round, out, n, e);
	tx_read_end(s, begun);
	return rc;
}
