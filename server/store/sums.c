#include "sums.h"

#include <stdlib.h>

#include "base/exact.h"
#include "base/hash.h"
#include "base/heap.h"
#include "inside.h"

_Static_assert(sizeof(struct sum_key) == 40, "keys are hashed and compared as bytes: no padding");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bins are stored as they lie in memory");

enum { FIRST_SLOTS = 64, KEPT_SLOTS = 4096 };

/* --- the map ------------------------------------------------------------------- */

void sums_release(struct sums *s)
{
	heap_free(s->delta);
	heap_free(s->slot);
	*s = (struct sums){0};
}

void sums_clear(struct sums *s)
{
	if (s->slots > KEPT_SLOTS)
		sums_release(s);
	else if (s->n > 0)
		memset(s->slot, 0, s->slots * sizeof *s->slot);
	s->n = 0;
}

/* Where the key is, or would go. */
static uint32_t *find(const struct sums *s, const struct sum_key *key)
{
	size_t i = xxh3(key, sizeof *key) & (s->slots - 1);

	while (s->slot[i] && memcmp(&s->delta[s->slot[i] - 1].key, key, sizeof *key) != 0)
		i = (i + 1) & (s->slots - 1);
	return &s->slot[i];
}

static void grow(struct sums *s)
{
	s->slots = s->slots ? 2 * s->slots : FIRST_SLOTS;
	s->cap = s->slots / 2;
	heap_free(s->slot);
	s->slot = heap_zalloc(s->slots, sizeof *s->slot);
	s->delta = heap_realloc(s->delta, s->cap * sizeof *s->delta);
	for (size_t i = 0; i < s->n; i++)
		*find(s, &s->delta[i].key) = (uint32_t)(i + 1);
}

void sums_add(struct sums *s, const struct sum_key *key, int64_t n)
{
	uint32_t *slot;

	if (s->n == s->cap)
		grow(s);
	slot = find(s, key);
	if (*slot == 0) {
		s->delta[s->n] = (struct delta){*key, 0};
		*slot = (uint32_t)++s->n;
	}
	s->delta[*slot - 1].n += n;
}

void sums_merge(struct sums *into, const struct sums *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (from->delta[i].n != 0)
			sums_add(into, &from->delta[i].key, from->delta[i].n);
}

void sum_value(struct store *s, int64_t dataset, enum series_kind kind, int64_t a, int64_t b, double value, int64_t n)
{
	/* -0 and 0 are one value. */
	struct sum_key key = {dataset, a, b, (int32_t)kind, SUM_VALUE, value + 0.0};

	sums_add(&s->request, &key, n);
}

void sum_status(struct store *s, int64_t dataset, int64_t judge, int64_t attribute, enum sum_what what, int64_t n)
{
	struct sum_key key = {dataset, judge, attribute, SERIES_SCORE, (int32_t)what, 0};

	sums_add(&s->request, &key, n);
}

/* --- writing -------------------------------------------------------------------- */

/* A series' row while its deltas are applied. */
struct series_row {
	int64_t key; /* 0: not stored yet */
	struct exact exact;
	int64_t failed, abstained;
	uint32_t bins;
	double edge[BINS_MAX + 1];
	int64_t in_bin[BINS_MAX];
};

static int by_series(const void *a, const void *b)
{
	const struct sum_key *x = &((const struct delta *)a)->key, *y = &((const struct delta *)b)->key;

	if (x->dataset != y->dataset)
		return x->dataset < y->dataset ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->a != y->a)
		return x->a < y->a ? -1 : 1;
	if (x->b != y->b)
		return x->b < y->b ? -1 : 1;
	if (x->what != y->what)
		return x->what < y->what ? -1 : 1;
	return (x->value > y->value) - (x->value < y->value);
}

static bool same_series(const struct sum_key *x, const struct sum_key *y)
{
	return x->dataset == y->dataset && x->kind == y->kind && x->a == y->a && x->b == y->b;
}

static int row_load(struct store *s, const struct sum_key *k, struct series_row *r, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_SERIES_GET);
	bind_int(&q, k->dataset);
	bind_int(&q, k->kind);
	bind_int(&q, k->a);
	bind_int(&q, k->b);
	rc = query_step(&q, e);
	if (rc <= 0)
		return rc;
	r->key = column_int(&q, 0);
	r->failed = column_int(&q, 1);
	r->abstained = column_int(&q, 2);
	column_bytes(&q, 4, r->in_bin, r->bins * sizeof r->in_bin[0]);
	rc = exact_unpack(&r->exact, column_blob(&q, 3));
	query_close(&q);
	return rc < 0 ? err_set(e, P_INTERNAL, "a stored sum cannot be read") : 0;
}

static bool row_empty(const struct series_row *r)
{
	return r->exact.count == 0 && r->failed == 0 && r->abstained == 0;
}

static int row_store(struct store *s, const struct sum_key *k, struct series_row *r, struct err *e)
{
	struct buf *exact = &s->more;
	struct query q;

	buf_clear(exact);
	exact_pack(exact, &r->exact);
	query_open(&q, s, r->key == 0 ? SQL_SERIES_INSERT : row_empty(r) ? SQL_SERIES_DELETE : SQL_SERIES_UPDATE);
	if (r->key == 0) {
		bind_int(&q, k->dataset);
		bind_int(&q, k->kind);
		bind_int(&q, k->a);
		bind_int(&q, k->b);
	}
	if (r->key == 0 || !row_empty(r)) {
		bind_int(&q, r->failed);
		bind_int(&q, r->abstained);
		bind_blob(&q, exact->p, exact->n);
		bind_blob(&q, r->in_bin, r->bins * sizeof r->in_bin[0]);
	}
	if (r->key != 0)
		bind_int(&q, r->key);
	if (query_run(&q, e) < 0)
		return -1;
	if (r->key == 0)
		r->key = sqlite3_last_insert_rowid(s->db);
	else if (row_empty(r))
		series_forget(s);
	return 0;
}

static int tally_add(struct store *s, int64_t series, double value, int64_t n, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_TALLY_ADD);
	bind_int(&q, series);
	bind_real(&q, value);
	bind_int(&q, n);
	if (query_run(&q, e) < 0)
		return -1;
	if (n > 0)
		return 0;
	query_open(&q, s, SQL_TALLY_PRUNE);
	bind_int(&q, series);
	bind_real(&q, value);
	return query_run(&q, e);
}

static void row_apply(struct series_row *r, const struct delta *d)
{
	int sign = d->n < 0 ? -1 : 1;

	if (d->key.what == SUM_FAILED)
		r->failed += d->n;
	if (d->key.what == SUM_ABSTAINED)
		r->abstained += d->n;
	if (d->key.what != SUM_VALUE)
		return;
	for (int64_t i = d->n; i != 0; i -= sign)
		exact_add(&r->exact, d->key.value, sign);
	if (r->bins > 0)
		r->in_bin[bin_of(r->edge, r->bins, d->key.value)] += d->n;
}

/* 1: the series' attribute has a declared range, 0, -1. */
static int find_range(struct store *s, const struct sum_key *k, struct range *range, struct err *e)
{
	struct query q;
	int rc;

	if (k->kind != SERIES_SCORE)
		return 0;
	query_open(&q, s, SQL_ATTRIBUTE_GET);
	bind_int(&q, k->dataset);
	bind_int(&q, k->b);
	rc = query_step(&q, e);
	if (rc == 1) {
		*range = (struct range){k->b, column_real(&q, 0), column_real(&q, 1)};
		query_close(&q);
	}
	return rc;
}

/* n deltas of one series. The row comes first: the tally needs its key. */
static int flush_series(struct store *s, const struct delta *d, size_t n, struct err *e)
{
	struct series_row r = {0};
	struct range range;
	int declared = find_range(s, &d->key, &range, e);

	if (declared < 0)
		return -1;
	r.bins = bin_edges((enum series_kind)d->key.kind, declared ? &range : NULL, r.edge);
	if (row_load(s, &d->key, &r, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		row_apply(&r, &d[i]);
	if (row_store(s, &d->key, &r, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (d[i].key.what == SUM_VALUE && tally_add(s, r.key, d[i].key.value, d[i].n, e) < 0)
			return -1;
	return 0;
}

int sums_flush(struct store *s, struct err *e)
{
	struct sums *g = &s->group;
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		if (g->delta[i].n != 0)
			g->delta[n++] = g->delta[i];
	if (n > 0)
		qsort(g->delta, n, sizeof *g->delta, by_series);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && same_series(&g->delta[i].key, &g->delta[end].key); end++)
			;
		if (flush_series(s, g->delta + i, end - i, e) < 0)
			return -1;
	}
	sums_clear(g);
	return 0;
}

/* --- a range is declared ----------------------------------------------------------- */

static int rebin_row(struct store *s, const struct sum_key *k, const double *edge, uint32_t bins, struct err *e)
{
	struct series_row r = {.bins = bins};
	struct query q;
	int rc;

	/* What is stored has the old number of bins; they are counted anew. */
	if (row_load(s, k, &r, e) < 0)
		return -1;
	memset(r.in_bin, 0, sizeof r.in_bin);
	query_open(&q, s, SQL_TALLY_LIST);
	bind_int(&q, r.key);
	while ((rc = query_step(&q, e)) == 1)
		r.in_bin[bin_of(edge, bins, column_real(&q, 0))] += column_int(&q, 1);
	return rc < 0 ? -1 : row_store(s, k, &r, e);
}

int sums_rebin(struct store *s, int64_t dataset, int64_t attribute, double min, double max, struct err *e)
{
	struct range range = {attribute, min, max};
	struct buf *keys = &s->rows;
	double edge[BINS_MAX + 1];
	uint32_t bins = bin_edges(SERIES_SCORE, &range, edge);
	struct query q;
	int rc;

	buf_clear(keys);
	query_open(&q, s, SQL_SERIES_OF_ATTRIBUTE);
	bind_int(&q, dataset);
	bind_int(&q, SERIES_SCORE);
	bind_int(&q, attribute);
	while ((rc = query_step(&q, e)) == 1) {
		struct sum_key k = {.dataset = dataset, .kind = SERIES_SCORE, .a = column_int(&q, 1), .b = attribute};

		buf_add(keys, &k, sizeof k);
	}
	for (size_t i = 0; rc == 0 && i < keys->n; i += sizeof(struct sum_key)) {
		struct sum_key k;

		memcpy(&k, keys->p + i, sizeof k);
		rc = rebin_row(s, &k, edge, bins, e);
	}
	return rc < 0 ? -1 : 0;
}
