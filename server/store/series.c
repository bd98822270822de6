/* series.c - a dataset has so many series of scores and votes, and no more.
 *
 * Its statistics, and making a snapshot of it, cost in proportion to them. A
 * group may count a series twice that it admitted twice (its slot was taken in
 * between, or its savepoint undone): then it refuses a little early. */
#include "base/hash.h"
#include "inside.h"

void series_forget(struct store *s)
{
	memset(s->series_known, 0, sizeof s->series_known);
}

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
	struct sum_key key = {.dataset = st->key, .kind = attribute.p ? SERIES_SCORE : SERIES_VOTES}, *slot;
	int rc;

	if (name_find(s, judge, &key.a, e) < 0 || name_find(s, attribute, &key.b, e) < 0)
		return -1;
	slot = &s->series_known[xxh3(&key, sizeof key) % SERIES_SLOTS];
	if (memcmp(slot, &key, sizeof key) == 0)
		return 0;
	rc = there(s, &key, e);
	if (rc < 0 || (rc == 0 && admit_new(s, st, e) < 0))
		return -1;
	if (key.a >= 0 && key.b >= 0)
		*slot = key;
	return 0;
}
