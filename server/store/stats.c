/* stats.c - the sums as answers. */
#include "store/stats.h"

#include <math.h>
#include <stdlib.h>

#include "inside.h"

struct found {
	enum series_kind kind;
	struct series s;
};

/* --- one series --------------------------------------------------------------------- */

static int tally_end(struct store *s, enum sql id, int64_t series, double *out, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, id);
	bind_int(&q, series);
	rc = query_step(&q, e);
	if (rc == 1) {
		*out = column_real(&q, 0);
		query_close(&q);
	}
	return rc < 0 ? -1 : 0;
}

static const struct range *declared(const struct dataset *d, struct str attribute, struct range *range)
{
	for (uint32_t i = 0; i < d->attributes; i++)
		if (str_eq(d->attribute[i].name, attribute)) {
			*range = (struct range){0, d->attribute[i].min, d->attribute[i].max};
			return range;
		}
	return NULL;
}

/* Infinite ends become the least and the greatest value; an outer bin that
 * nothing lies beyond goes, and what stands exactly on 10 joins its neighbour. */
static void close_ends(struct series *s, double *edge, int64_t *in_bin)
{
	uint32_t n = s->bins;

	if (n == 0 || !isinf(edge[n]))
		return;
	if (s->exact.count > 0 && s->max > edge[n - 1]) {
		edge[n] = s->max;
	} else {
		in_bin[n - 2] += in_bin[n - 1];
		s->bins--;
	}
	if (s->exact.count > 0 && s->min < edge[1]) {
		edge[0] = s->min;
	} else {
		s->edge++;
		s->in_bin++;
		s->bins--;
	}
}

static void give_bins(struct arena *a, enum series_kind kind, const struct range *range, struct str stored,
                      struct series *out)
{
	double *edge = ARENA_ARRAY(a, double, BINS_MAX + 1);
	int64_t *in_bin = ARENA_ARRAY(a, int64_t, BINS_MAX);

	out->bins = bin_edges(kind, range, edge);
	out->edge = edge;
	out->in_bin = in_bin;
	if (stored.n > 0 && stored.n == out->bins * sizeof *in_bin)
		memcpy(in_bin, stored.p, stored.n);
	close_ends(out, edge, in_bin);
}

/* A row of SERIES_LIST. */
static int read_series(struct store *s, struct arena *a, const struct dataset *d, struct query *q, struct found *f,
                       struct err *e)
{
	int64_t key = column_int(q, 0);
	struct series *out = &f->s;
	struct range range;

	*f = (struct found){.kind = (enum series_kind)column_int(q, 1)};
	if (name_text(s, a, column_int(q, 2), &out->a, e) < 0 || name_text(s, a, column_int(q, 3), &out->b, e) < 0 ||
	    tally_end(s, SQL_TALLY_LEAST, key, &out->min, e) < 0 ||
	    tally_end(s, SQL_TALLY_GREATEST, key, &out->max, e) < 0)
		return -1;
	out->a = out->a.p ? out->a : STR("");
	out->b = out->b.p ? out->b : STR("");
	out->failed = column_int(q, 4);
	out->abstained = column_int(q, 5);
	if (exact_unpack(&out->exact, column_blob(q, 6)) < 0)
		return err_set(e, P_INTERNAL, "a stored sum cannot be read");
	give_bins(a, f->kind, f->kind == SERIES_SCORE ? declared(d, out->b, &range) : NULL, column_blob(q, 7), out);
	return 0;
}

/* --- all of them ---------------------------------------------------------------------- */

static int by_names(const void *x, const void *y)
{
	const struct found *a = x, *b = y;
	int c = (a->kind > b->kind) - (a->kind < b->kind);

	if (c == 0)
		c = str_cmp(a->s.a, b->s.a);
	return c ? c : str_cmp(a->s.b, b->s.b);
}

static int gather(struct store *s, struct arena *a, const struct dataset *d, struct err *e)
{
	struct query q;
	int rc;

	buf_clear(&s->rows);
	query_open(&q, s, SQL_SERIES_LIST);
	bind_int(&q, d->key);
	while ((rc = query_step(&q, e)) == 1) {
		struct found f;

		if (read_series(s, a, d, &q, &f, e) < 0) {
			query_close(&q);
			return -1;
		}
		buf_add(&s->rows, &f, sizeof f);
	}
	return rc;
}

/* The series of one kind, which lie together. */
static const struct series *give_kind(struct arena *a, const struct found *f, size_t n, enum series_kind kind,
                                      uint32_t *count)
{
	struct series *out;
	size_t first = 0, end;

	while (first < n && f[first].kind != kind)
		first++;
	for (end = first; end < n && f[end].kind == kind; end++)
		;
	*count = (uint32_t)(end - first);
	out = ARENA_ARRAY(a, struct series, *count);
	for (uint32_t i = 0; i < *count; i++)
		out[i] = f[first + i].s;
	return out;
}

/* A series that every dataset has, if only as an empty one. */
static struct series give_one(struct arena *a, const struct found *f, size_t n, enum series_kind kind)
{
	struct series empty = {.a = STR(""), .b = STR("")};
	const struct series *there;
	uint32_t count;

	there = give_kind(a, f, n, kind, &count);
	if (count > 0)
		return there[0];
	give_bins(a, kind, NULL, STR_NONE, &empty);
	return empty;
}

static void give_all(struct arena *a, const struct found *f, size_t n, struct dataset_stats *out)
{
	out->responses_per_prompt = give_one(a, f, n, SERIES_PROMPTS);
	out->lengths = give_one(a, f, n, SERIES_LENGTHS);
	out->model = give_kind(a, f, n, SERIES_MODEL, &out->models);
	out->score = give_kind(a, f, n, SERIES_SCORE, &out->scored);
	out->voter = give_kind(a, f, n, SERIES_VOTES, &out->voters);
	out->prompts = out->responses_per_prompt.exact.count;
	out->responses = out->lengths.exact.count;
	out->scored_prompts = give_one(a, f, n, SERIES_SCORED).exact.count;
	for (uint32_t i = 0; i < out->scored; i++)
		out->scores += out->score[i].exact.count + out->score[i].failed + out->score[i].abstained;
	for (uint32_t i = 0; i < out->voters; i++)
		out->comparisons += out->voter[i].exact.count;
}

int store_stats(struct store *s, struct arena *a, const struct dataset *d, struct dataset_stats *out, struct err *e)
{
	struct dataset now; /* ranges and number as of the same moment as the sums */
	bool begun;
	size_t n;
	int rc;

	*out = (struct dataset_stats){0};
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	rc = store_dataset_get(s, a, d->name, &now, e);
	if (rc == 0)
		rc = gather(s, a, &now, e);
	tx_read_end(s, begun);
	if (rc < 0)
		return -1;
	out->seq = now.seq;
	n = s->rows.n / sizeof(struct found);
	if (n > 1)
		qsort(s->rows.p, n, sizeof(struct found), by_names);
	give_all(a, (const struct found *)s->rows.p, n, out);
	return 0;
}
