/* read_ledger.c - scores, log-probabilities and votes of one prompt. */
#include <stdlib.h>

#include "read_inside.h"

/* --- scores --------------------------------------------------------------------------- */

struct score_row {
	struct score_key k;
	struct score_value v;
	int64_t rationale;
	bool current;
	struct str attribute, judge;
};

static int gather_scores(struct reading *r, int64_t prompt, struct err *e)
{
	struct buf *rows = &r->s->more;
	struct query *q = &r->scores.q;
	int rc;

	buf_clear(rows);
	for (rc = sweep_first(r, &r->scores, prompt, e); rc == 1; rc = sweep_next(r, &r->scores, e)) {
		struct score_row row = {
			.k = {prompt, column_int(q, 2), column_int(q, 3), column_int(q, 4)},
			.v = {column_real(q, 5), (int)column_int(q, 6), column_int(q, 7), column_int(q, 1)},
			.rationale = column_int(q, 8),
		};

		if (reading_name(r, row.k.attribute, &row.attribute, e) < 0 ||
		    reading_name(r, row.k.judge, &row.judge, e) < 0)
			return -1;
		buf_add(rows, &row, sizeof row);
	}
	return rc;
}

static bool same_key(const struct score_row *a, const struct score_row *b)
{
	return a->k.response == b->k.response && a->k.attribute == b->k.attribute && a->k.judge == b->k.judge;
}

/* Rows of a key lie together. Without the ledger only the current ones stay. */
static size_t mark_current(struct score_row *row, size_t n, bool ledger)
{
	size_t kept = 0;

	for (size_t i = 0, end; i < n; i = end) {
		struct score_row *current = &row[i];

		for (end = i + 1; end < n && same_key(&row[i], &row[end]); end++)
			if (score_before(&row[end].v, &current->v))
				current = &row[end];
		current->current = true;
		if (!ledger)
			row[kept++] = *current;
	}
	return ledger ? n : kept;
}

static int by_names(const void *a, const void *b)
{
	const struct score_row *x = a, *y = b;
	int c = (x->k.response > y->k.response) - (x->k.response < y->k.response);

	if (c == 0)
		c = str_cmp(x->attribute, y->attribute);
	if (c == 0)
		c = str_cmp(x->judge, y->judge);
	if (c == 0)
		c = (x->v.at > y->v.at) - (x->v.at < y->v.at);
	return c ? c : (x->v.seq > y->v.seq) - (x->v.seq < y->v.seq);
}

static int give_score(struct reading *r, const struct score_row *row, struct read_score *out, struct err *e)
{
	out->s = (struct score){
		.judge = row->judge,
		.attribute = row->attribute,
		.value = row->v.value,
		.status = (enum score_status)row->v.status,
		.at = row->v.at,
	};
	out->current = row->current;
	if (row->rationale == 0 || !(r->what & (READ_LEDGER | READ_RATIONALES)))
		return 0;
	return text_get(r->s, r->a, row->rationale, &out->s.rationale, e);
}

int read_scores(struct reading *r, struct read_prompt *p, struct err *e)
{
	struct score_row *row;
	struct read_score *out;
	size_t n, i = 0;

	if (gather_scores(r, p->key, e) < 0)
		return -1;
	row = (struct score_row *)r->s->more.p;
	n = mark_current(row, r->s->more.n / sizeof *row, (r->what & READ_LEDGER) != 0);
	if (n == 0)
		return 0;
	qsort(row, n, sizeof *row, by_names);
	out = ARENA_ARRAY(r->a, struct read_score, n);
	for (uint32_t j = 0; j < p->responses; j++) {
		struct read_response *to = &p->response[j];

		to->score = out + i;
		for (; i < n && row[i].k.response == to->key; i++, to->scores++)
			if (give_score(r, &row[i], &out[i], e) < 0)
				return -1;
	}
	return 0;
}

/* --- log-probabilities ------------------------------------------------------------------ */

struct logprob_row {
	int64_t response;
	struct read_logprob l;
};

static int gather_logprobs(struct reading *r, int64_t prompt, struct err *e)
{
	struct buf *rows = &r->s->more;
	struct query *q = &r->logprobs.q;
	int rc;

	buf_clear(rows);
	for (rc = sweep_first(r, &r->logprobs, prompt, e); rc == 1; rc = sweep_next(r, &r->logprobs, e)) {
		struct logprob_row row = {
			.response = column_int(q, 2),
			.l.l = {.logprob = column_real(q, 4), .tokens = column_null(q, 5) ? -1 : column_int(q, 5)},
		};

		if (reading_name(r, column_int(q, 3), &row.l.l.model, e) < 0)
			return -1;
		buf_add(rows, &row, sizeof row);
	}
	return rc;
}

static int by_model(const void *a, const void *b)
{
	const struct logprob_row *x = a, *y = b;
	int c = (x->response > y->response) - (x->response < y->response);

	return c ? c : str_cmp(x->l.l.model, y->l.l.model);
}

int reading_logprobs(struct reading *r, struct read_prompt *p, struct err *e)
{
	struct logprob_row *row;
	struct read_logprob *out;
	size_t n, i = 0;

	if (gather_logprobs(r, p->key, e) < 0)
		return -1;
	row = (struct logprob_row *)r->s->more.p;
	n = r->s->more.n / sizeof *row;
	if (n == 0)
		return 0;
	qsort(row, n, sizeof *row, by_model);
	out = ARENA_ARRAY(r->a, struct read_logprob, n);
	for (uint32_t j = 0; j < p->responses; j++) {
		struct read_response *to = &p->response[j];

		to->logprob = out + i;
		for (; i < n && row[i].response == to->key; i++, to->logprobs++)
			out[i] = row[i].l;
	}
	return 0;
}

/* --- votes ------------------------------------------------------------------------------ */

struct place {
	int64_t key;
	uint32_t index; /* in order of ids */
};

struct vote_row {
	struct vote_key k;
	struct vote_value v;
	uint32_t low, high; /* indexes: low has the smaller id */
	struct str judge;
	bool current;
};

static int by_key(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

static struct place *places(struct reading *r, const struct read_prompt *p)
{
	struct place *place = ARENA_ARRAY(r->a, struct place, p->responses);

	for (uint32_t i = 0; i < p->responses; i++)
		place[i] = (struct place){p->response[i].key, i};
	qsort(place, p->responses, sizeof *place, by_key);
	return place;
}

static uint32_t place_of(const struct place *place, uint32_t n, int64_t key)
{
	struct place want = {key, 0}, *at = bsearch(&want, place, n, sizeof *place, by_key);

	return at ? at->index : UINT32_MAX;
}

static int gather_votes(struct reading *r, const struct read_prompt *p, struct err *e)
{
	struct buf *rows = &r->s->more;
	struct place *place = NULL;
	struct query *q = &r->votes.q;
	int rc;

	buf_clear(rows);
	for (rc = sweep_first(r, &r->votes, p->key, e); rc == 1; rc = sweep_next(r, &r->votes, e)) {
		struct vote_row row = {
			.k = {p->key, column_int(q, 2), column_int(q, 3), column_int(q, 4)},
			.v = {column_int(q, 5), column_real(q, 6), column_int(q, 7), column_int(q, 1)},
		};
		uint32_t a, b;

		place = place ? place : places(r, p);
		a = place_of(place, p->responses, row.k.low);
		b = place_of(place, p->responses, row.k.high);
		if (a == UINT32_MAX || b == UINT32_MAX)
			continue;
		row.low = a < b ? a : b;
		row.high = a < b ? b : a;
		if (reading_name(r, row.k.judge, &row.judge, e) < 0)
			return -1;
		buf_add(rows, &row, sizeof row);
	}
	return rc;
}

static bool same_vote_key(const struct vote_row *a, const struct vote_row *b)
{
	return a->k.low == b->k.low && a->k.high == b->k.high && a->k.judge == b->k.judge;
}

static size_t mark_current_votes(const struct read_prompt *p, struct vote_row *row, size_t n, bool ledger)
{
	size_t kept = 0;

	for (size_t i = 0, end; i < n; i = end) {
		struct vote_row *current = &row[i];
		int64_t smaller = p->response[row[i].low].key;

		for (end = i + 1; end < n && same_vote_key(&row[i], &row[end]); end++)
			if (vote_before(&row[end].v, &current->v, smaller))
				current = &row[end];
		current->current = true;
		if (!ledger)
			row[kept++] = *current;
	}
	return ledger ? n : kept;
}

static int by_judge(const void *a, const void *b)
{
	const struct vote_row *x = a, *y = b;
	int c = str_cmp(x->judge, y->judge);

	if (c == 0)
		c = (x->low > y->low) - (x->low < y->low);
	if (c == 0)
		c = (x->high > y->high) - (x->high < y->high);
	if (c == 0)
		c = (x->v.at > y->v.at) - (x->v.at < y->v.at);
	return c ? c : (x->v.seq > y->v.seq) - (x->v.seq < y->v.seq);
}

int read_votes(struct reading *r, struct read_prompt *p, struct err *e)
{
	struct vote_row *row;
	size_t n;

	if (gather_votes(r, p, e) < 0)
		return -1;
	row = (struct vote_row *)r->s->more.p;
	n = mark_current_votes(p, row, r->s->more.n / sizeof *row, (r->what & READ_LEDGER) != 0);
	if (n == 0)
		return 0;
	qsort(row, n, sizeof *row, by_judge);
	p->vote = ARENA_ARRAY(r->a, struct read_vote, n);
	p->votes = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		bool low = row[i].v.chosen == p->response[row[i].low].key;

		p->vote[i] = (struct read_vote){
			.chosen = low ? row[i].low : row[i].high,
			.rejected = low ? row[i].high : row[i].low,
			.judge = row[i].judge,
			.strength = row[i].v.strength,
			.at = row[i].v.at,
			.current = row[i].current,
		};
	}
	return 0;
}
