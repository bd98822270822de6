/* check.c - do the sums say what the facts say?
 *
 * First what reading shows is counted into a map, and the stored tallies are
 * taken out of it: nothing may be left. Then each series must follow from its
 * own tally, to the last bit. Memory grows with the number of different
 * values, not of rows. */
#include <stdarg.h>
#include <stdio.h>

#include "base/exact.h"
#include "base/hash.h"
#include "check.h"
#include "store/read.h"

enum { CHECK_PAGE = 100 };

struct check {
	struct store *s;
	struct findings findings;
	struct arena page;
	/* of the dataset in hand */
	struct dataset d;
	char name[300];
	struct sums sums;
	int64_t prompts, responses;
};

void finding(struct findings *f, const char *fmt, ...)
{
	char line[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	f->report(f->ctx, line);
	f->any = true;
}

int check_ask(struct store *s, enum sql id, int64_t dataset, int64_t *out, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, id);
	if (dataset)
		bind_int(&q, dataset);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	*out = rc == 1 ? column_int(&q, 0) : 0;
	query_close(&q);
	return 0;
}

static void count(struct check *c, enum series_kind kind, int64_t a, int64_t b, enum sum_what what, double value,
                  int64_t n)
{
	struct sum_key key = {c->d.key, a, b, (int32_t)kind, (int32_t)what, value + 0.0};

	sums_add(&c->sums, &key, n);
}

/* --- what reading shows ------------------------------------------------------------------ */

static int count_score(struct check *c, const struct score *sc, bool *good, struct err *e)
{
	int64_t judge, attribute;

	if (name_find(c->s, sc->judge, &judge, e) < 0 || name_find(c->s, sc->attribute, &attribute, e) < 0)
		return -1;
	*good = *good || sc->status == SCORE_OK;
	if (sc->status == SCORE_OK)
		count(c, SERIES_SCORE, judge, attribute, SUM_VALUE, sc->value, 1);
	else
		count(c, SERIES_SCORE, judge, attribute, sc->status == SCORE_FAILED ? SUM_FAILED : SUM_ABSTAINED, 0, 1);
	return 0;
}

/* SQLite keeps no sums of its pages: a flipped bit of a text shows here only. */
static void check_text(struct check *c, struct str text, const uint8_t hash[SHA256_BYTES], const char *what, struct str id)
{
	uint8_t now[SHA256_BYTES];

	sha256_of(text.p, text.n, now);
	if (memcmp(now, hash, sizeof now) != 0)
		finding(&c->findings, "dataset %s: the text of %s %.*s is not what was stored", c->name, what, STR_ARG(id));
}

static int count_response(struct check *c, const struct read_prompt *p, const struct read_response *r, bool *good,
                          struct err *e)
{
	int64_t prompt, key, model;
	int rc = response_find(c->s, c->d.key, r->id, &prompt, &key, e);

	if (rc < 0 || name_find(c->s, r->model, &model, e) < 0)
		return -1;
	if (rc == 0 || prompt != p->key || key != r->key)
		finding(&c->findings, "dataset %s: the id %.*s does not lead to its response", c->name, STR_ARG(r->id));
	check_text(c, r->text, r->text_hash, "response", r->id);
	count(c, SERIES_LENGTHS, 0, 0, SUM_VALUE, r->characters, 1);
	count(c, SERIES_MODEL, model, 0, SUM_VALUE, r->characters, 1);
	for (uint32_t i = 0; i < r->scores; i++)
		if (count_score(c, &r->score[i].s, good, e) < 0)
			return -1;
	return 0;
}

static int count_votes(struct check *c, const struct read_prompt *p, struct err *e)
{
	int64_t judge;

	for (uint32_t i = 0; i < p->votes; i++) {
		if (name_find(c->s, p->vote[i].judge, &judge, e) < 0)
			return -1;
		count(c, SERIES_VOTES, judge, 0, SUM_VALUE, p->vote[i].strength, 1);
	}
	return 0;
}

static int count_prompt(struct check *c, const struct read_prompt *p, struct err *e)
{
	struct prompt_sum sum;
	bool good = false;

	check_text(c, p->messages, p->messages_hash, "prompt", p->id);
	for (uint32_t i = 0; i < p->responses; i++)
		if (count_response(c, p, &p->response[i], &good, e) < 0)
			return -1;
	if (count_votes(c, p, e) < 0 || prompt_sum_get(c->s, c->d.key, p->key, &sum, e) < 0)
		return -1;
	if (sum.responses != p->responses || sum.scored != good)
		finding(&c->findings, "dataset %s: the sums of prompt %.*s are wrong", c->name, STR_ARG(p->id));
	count(c, SERIES_PROMPTS, 0, 0, SUM_VALUE, p->responses, 1);
	if (good)
		count(c, SERIES_SCORED, 0, 0, SUM_VALUE, 1, 1);
	c->prompts++;
	c->responses += p->responses;
	return 0;
}

static int count_facts(struct check *c, struct err *e)
{
	unsigned what = READ_MESSAGES | READ_TEXTS | READ_SCORES | READ_RATIONALES | READ_VOTES;
	struct buf after = BUF_INIT;
	struct read_prompt *p;
	uint32_t n;
	int rc;

	do {
		arena_reset(&c->page);
		rc = store_prompt_page(c->s, &c->page, &c->d, buf_view(&after), STR_NONE, CHECK_PAGE, c->d.seq, what,
		                       &p, &n, e);
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			rc = count_prompt(c, &p[i], e);
		if (rc == 0 && n > 0) {
			buf_clear(&after);
			buf_str(&after, p[n - 1].id);
		}
	} while (rc == 0 && n > 0);
	buf_release(&after);
	return rc;
}

/* --- what is stored ------------------------------------------------------------------------ */

static int take_out_tallies(struct check *c, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, c->s, SQL_CHECK_TALLIES);
	bind_int(&q, c->d.key);
	while ((rc = query_step(&q, e)) == 1)
		count(c, (enum series_kind)column_int(&q, 0), column_int(&q, 1), column_int(&q, 2), SUM_VALUE,
		      column_real(&q, 3), -column_int(&q, 4));
	return rc;
}

/* Sum and bins of one series from its tally. */
static int rebuild(struct check *c, int64_t series, const double *edge, uint32_t bins, struct exact *exact,
                   int64_t *in_bin, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, c->s, SQL_TALLY_LIST);
	bind_int(&q, series);
	while ((rc = query_step(&q, e)) == 1) {
		double v = column_real(&q, 0);
		int64_t n = column_int(&q, 1);

		if (n <= 0)
			finding(&c->findings, "dataset %s: series %lld counts a value %lld times", c->name, (long long)series,
			        (long long)n);
		for (int64_t i = 0; i < n; i++)
			exact_add(exact, v, 1);
		if (bins > 0)
			in_bin[bin_of(edge, bins, v)] += n;
	}
	return rc;
}

static const struct range *range_of(struct check *c, int64_t attribute, struct range *range, struct err *e)
{
	int64_t key;

	for (uint32_t i = 0; i < c->d.attributes; i++)
		if (name_find(c->s, c->d.attribute[i].name, &key, e) == 0 && key == attribute) {
			*range = (struct range){key, c->d.attribute[i].min, c->d.attribute[i].max};
			return range;
		}
	return NULL;
}

/* A row of SERIES_LIST. */
static int check_series(struct check *c, struct query *q, struct err *e)
{
	enum series_kind kind = (enum series_kind)column_int(q, 1);
	struct exact exact = {0};
	int64_t in_bin[BINS_MAX] = {0};
	double edge[BINS_MAX + 1];
	struct buf packed = BUF_INIT;
	struct str bins_want;
	struct range range;
	uint32_t bins = bin_edges(kind, kind == SERIES_SCORE ? range_of(c, column_int(q, 3), &range, e) : NULL, edge);

	if (rebuild(c, column_int(q, 0), edge, bins, &exact, in_bin, e) < 0)
		return -1;
	exact_pack(&packed, &exact);
	bins_want = (struct str){(const char *)in_bin, bins * sizeof in_bin[0]};
	if (!str_eq(column_blob(q, 6), buf_view(&packed)) || !str_eq(column_blob(q, 7), bins_want))
		finding(&c->findings, "dataset %s: series %lld does not follow from its tally", c->name,
		        (long long)column_int(q, 0));
	buf_release(&packed);
	count(c, kind, column_int(q, 2), column_int(q, 3), SUM_FAILED, 0, -column_int(q, 4));
	count(c, kind, column_int(q, 2), column_int(q, 3), SUM_ABSTAINED, 0, -column_int(q, 5));
	return 0;
}

static int check_all_series(struct check *c, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, c->s, SQL_SERIES_LIST);
	bind_int(&q, c->d.key);
	while ((rc = query_step(&q, e)) == 1)
		if (check_series(c, &q, e) < 0) {
			query_close(&q);
			return -1;
		}
	return rc;
}

static int check_counts(struct check *c, struct err *e)
{
	int64_t keys, prompts;

	if (check_ask(c->s, SQL_CHECK_KEYS, c->d.key, &keys, e) < 0 ||
	    check_ask(c->s, SQL_CHECK_PROMPTS, c->d.key, &prompts, e) < 0)
		return -1;
	if (keys != c->responses || prompts != c->prompts)
		finding(&c->findings, "dataset %s: %lld prompts and %lld responses, but %lld and %lld are listed", c->name,
		        (long long)c->prompts, (long long)c->responses, (long long)prompts, (long long)keys);
	return 0;
}

/* --- a dataset ------------------------------------------------------------------------------ */

static void check_rest(struct check *c)
{
	for (size_t i = 0; i < c->sums.n; i++) {
		const struct sum_key *k = &c->sums.delta[i].key;

		if (c->sums.delta[i].n != 0)
			finding(&c->findings, "dataset %s: sums of kind %d (%lld, %lld) miss %lld of %.17g", c->name, (int)k->kind,
			        (long long)k->a, (long long)k->b, (long long)c->sums.delta[i].n, k->value);
	}
}

static int check_dataset(struct check *c, struct err *e)
{
	c->prompts = c->responses = 0;
	sums_clear(&c->sums);
	snprintf(c->name, sizeof c->name, "%.*s", STR_ARG(c->d.name));
	if (count_facts(c, e) < 0) {
		if (e->problem != P_GONE)
			return -1;
		finding(&c->findings, "dataset %s: %s", c->name, e->detail);
		return 0;
	}
	if (take_out_tallies(c, e) < 0 || check_all_series(c, e) < 0 || check_counts(c, e) < 0)
		return -1;
	check_rest(c);
	return 0;
}

/* 1: the next dataset is in c->d, 0: there is none, -1. */
static int next_dataset(struct check *c, struct arena *a, struct err *e)
{
	struct query q;
	struct str name;
	int rc;

	query_open(&q, c->s, SQL_CHECK_DATASETS);
	bind_int(&q, c->d.key);
	rc = query_step(&q, e);
	if (rc <= 0)
		return rc;
	name = arena_str(a, column_text(&q, 0));
	query_close(&q);
	return store_dataset_get(c->s, a, name, &c->d, e) < 0 ? -1 : 1;
}

static int check_datasets(struct check *c, struct err *e)
{
	struct arena a;
	int rc;

	arena_init(&a);
	while ((rc = next_dataset(c, &a, e)) == 1) {
		rc = check_dataset(c, e);
		arena_reset(&a);
		if (rc < 0)
			break;
	}
	arena_release(&a);
	return rc;
}

static int check_integrity(struct check *c, struct err *e)
{
	int64_t tallies = 0, rows = 0;
	struct query q;
	int rc;

	query_open(&q, c->s, SQL_CHECK_INTEGRITY);
	while ((rc = query_step(&q, e)) == 1)
		if (!str_eq(column_text(&q, 0), STR("ok")))
			finding(&c->findings, "integrity: %.*s", STR_ARG(column_text(&q, 0)));
	if (rc < 0 || check_ask(c->s, SQL_CHECK_TALLY_ORPHANS, 0, &tallies, e) < 0 ||
	    check_ask(c->s, SQL_CHECK_ORPHANS, 0, &rows, e) < 0)
		return -1;
	if (tallies > 0)
		finding(&c->findings, "%lld tallies belong to no series", (long long)tallies);
	if (rows > 0)
		finding(&c->findings, "facts of %lld prompts that are not there", (long long)rows);
	return 0;
}

int store_check(struct store *s, void (*report)(void *ctx, const char *finding), void *ctx, struct err *e)
{
	struct check c = {.s = s, .findings = {report, ctx, false}};
	bool begun = false;
	int rc;

	if (s->in_group)
		return err_set(e, P_INTERNAL, "a check inside a transaction");
	arena_init(&c.page);
	sqlite3_exec(s->db, "PRAGMA cell_size_check=ON", NULL, NULL, NULL);
	rc = tx_read_begin(s, &begun, e);
	if (rc == 0)
		rc = check_integrity(&c, e);
	if (rc == 0)
		rc = check_datasets(&c, e);
	if (rc == 0)
		rc = rounds_check(s, &c.findings, e);
	tx_read_end(s, begun);
	arena_release(&c.page);
	sums_release(&c.sums);
	return rc < 0 ? -1 : c.findings.any;
}
