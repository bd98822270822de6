/* series.c - a dataset has so many series of scores and votes, and no more.
 *
 * Its statistics, and making a snapshot of it, cost in proportion to them. What
 * a group admits is in no table before its end, so it is remembered here, by
 * names, since a new name has no key yet either. */
#include "base/hash.h"
#include "base/heap.h"
#include "inside.h"

enum { SLOTS_MIN = 1024 };

/* --- what was seen ------------------------------------------------------------------ */

static uint64_t hash_of(int64_t dataset, enum series_kind kind, struct str judge, struct str attribute)
{
	const uint64_t parts[] = {(uint64_t)dataset, (uint64_t)kind, xxh3(judge.p, judge.n),
	                          attribute.p ? xxh3(attribute.p, attribute.n) : 0};
	uint64_t h = xxh3(parts, sizeof parts);

	return h ? h : 1;
}

/* Where the hash is, or would go. */
static uint64_t *place(const struct series_seen *x, uint64_t h)
{
	size_t i = h & (x->slots - 1);

	while (x->slot[i] != 0 && x->slot[i] != h)
		i = (i + 1) & (x->slots - 1);
	return &x->slot[i];
}

static bool seen(const struct series_seen *x, uint64_t h)
{
	return x->slots > 0 && *place(x, h) == h;
}

static void grow(struct series_seen *x)
{
	struct series_seen larger = {.slots = x->slots ? 2 * x->slots : SLOTS_MIN, .n = x->n};

	larger.slot = heap_zalloc(larger.slots, sizeof *larger.slot);
	for (size_t i = 0; i < x->slots; i++)
		if (x->slot[i] != 0)
			*place(&larger, x->slot[i]) = x->slot[i];
	heap_free(x->slot);
	*x = larger;
}

static void see(struct series_seen *x, uint64_t h)
{
	if (2 * x->n >= x->slots)
		grow(x);
	*place(x, h) = h;
	x->n++;
}

void series_forget(struct store *s)
{
	heap_free(s->series.slot);
	s->series = (struct series_seen){NULL, 0, 0};
}

void series_begin(struct store *s)
{
	if (s->series.n > SERIES_SEEN_MAX)
		series_forget(s);
}

/* --- what is there --------------------------------------------------------------------- */

static void bind_series(struct query *q, const struct sum_key *k)
{
	bind_int(q, k->dataset);
	bind_int(q, k->kind);
	bind_int(q, k->a);
	bind_int(q, k->b);
}

/* 1, 0, -1. A name that is nowhere yet (-1) has no series. */
static int there(struct store *s, const struct sum_key *k, struct err *e)
{
	struct query q;
	int rc;

	if (k->a < 0 || k->b < 0)
		return 0;
	query_open(&q, s, SQL_SERIES_THERE);
	bind_series(&q, k);
	rc = query_step(&q, e);
	query_close(&q);
	return rc;
}

static int count(struct store *s, struct state *st, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_SERIES_COUNT);
	bind_int(&q, st->key);
	bind_int(&q, SERIES_SCORE); /* and SERIES_VOTES, behind it */
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	st->series = column_int(&q, 0);
	query_close(&q);
	return 0;
}

static int admit_new(struct store *s, struct state *st, struct err *e)
{
	if (st->series == 0 && count(s, st, e) < 0)
		return -1;
	if (st->series >= SERIES_MAX)
		return err_at(e, P_INVALID, "/judge",
		              "the dataset has scores of %d judges and attributes already; this would be one more", SERIES_MAX);
	st->series++;
	return 0;
}

int series_admit(struct store *s, struct state *st, struct str judge, struct str attribute, struct err *e)
{
	struct sum_key key = {.dataset = st->key, .kind = attribute.p ? SERIES_SCORE : SERIES_VOTES};
	uint64_t h = hash_of(key.dataset, (enum series_kind)key.kind, judge, attribute);
	int rc;

	if (seen(&s->series, h))
		return 0;
	if (name_find(s, judge, &key.a, e) < 0 || name_find(s, attribute, &key.b, e) < 0)
		return -1;
	rc = there(s, &key, e);
	if (rc < 0 || (rc == 0 && admit_new(s, st, e) < 0))
		return -1;
	see(&s->series, h);
	return 0;
}
