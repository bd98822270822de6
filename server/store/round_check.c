/* round_check.c - do the counts and the open work of rounds say what the facts
 * say? */
#include "check.h"
#include "round_inside.h"

enum { CHECK_PAGE = 100 };

struct check {
	struct store *s;
	struct findings *findings;
	struct arena page;
	struct round_known k; /* the round in hand */
};

static bool same_count(const struct round_count *a, const struct round_count *b)
{
	return a->samples == b->samples && a->valid == b->valid && a->scored[0] == b->scored[0] &&
	       a->scored[1] == b->scored[1];
}

/* The kinds of open work, a bit each. */
static int read_work(struct check *c, int64_t prompt, unsigned *kinds, struct err *e)
{
	struct query q;
	int rc;

	*kinds = 0;
	query_open(&q, c->s, SQL_WORK_KINDS_OF);
	bind_int(&q, prompt);
	bind_int(&q, c->k.row.key);
	while ((rc = query_step(&q, e)) == 1)
		*kinds |= 1u << (column_int(&q, 0) & 31);
	return rc;
}

static int check_prompt(struct check *c, struct str id, int64_t prompt, const struct round_count *stored, struct err *e)
{
	struct round_count count;
	struct seen *seen;
	unsigned kinds, want = 0;
	int64_t key = 0;
	uint32_t n;

	if (prompt_find(c->s, c->k.row.dataset_key, id, &key, e) < 0 ||
	    round_see(c->s, &c->page, &c->k, prompt, SEQ_LATEST, &seen, &n, e) < 0 ||
	    read_work(c, prompt, &kinds, e) < 0)
		return -1;
	count = round_count_of(&c->k, seen, n);
	for (int kind = 0; kind < WORK_KINDS; kind++)
		want |= (unsigned)round_needs(&c->k, &count, (enum round_work)kind) << kind;
	if (key != prompt)
		finding(c->findings, "round %.*s: %.*s does not lead to its prompt", STR_ARG(c->k.row.id), STR_ARG(id));
	if (!same_count(&count, stored))
		finding(c->findings, "round %.*s: the counts of prompt %.*s are wrong", STR_ARG(c->k.row.id), STR_ARG(id));
	if (kinds != want)
		finding(c->findings, "round %.*s: the open work of prompt %.*s is wrong", STR_ARG(c->k.row.id), STR_ARG(id));
	return 0;
}

/* A page; the last id goes into after, *n: how many. */
static int check_page(struct check *c, struct buf *after, uint32_t *n, struct err *e)
{
	struct query q;
	struct str id = STR_NONE;
	int rc;

	*n = 0;
	query_open(&q, c->s, SQL_ROUND_PROMPT_PAGE);
	bind_int(&q, c->k.row.key);
	bind_text(&q, buf_view(after));
	bind_int(&q, CHECK_PAGE);
	while ((rc = query_step(&q, e)) == 1) {
		struct round_count stored = {column_int(&q, 2), column_int(&q, 3), {column_int(&q, 4), column_int(&q, 5)}};

		id = arena_str(&c->page, column_text(&q, 0));
		++*n;
		if (check_prompt(c, id, column_int(&q, 1), &stored, e) < 0) {
			query_close(&q);
			return -1;
		}
	}
	buf_clear(after);
	buf_str(after, id);
	return rc;
}

static int check_round(struct check *c, struct err *e)
{
	struct buf after = BUF_INIT;
	uint32_t n;
	int rc;

	do {
		arena_reset(&c->page);
		rc = check_page(c, &after, &n, e);
	} while (rc == 0 && n == CHECK_PAGE);
	buf_release(&after);
	return rc;
}

/* 1: the next round is in c->k, 0: there is none, -1. */
static int next_round(struct check *c, struct arena *a, struct err *e)
{
	struct query q;
	struct str id;
	int rc;

	query_open(&q, c->s, SQL_CHECK_ROUNDS);
	bind_int(&q, c->k.row.key);
	rc = query_step(&q, e);
	if (rc <= 0)
		return rc;
	id = arena_str(a, column_text(&q, 0));
	query_close(&q);
	return round_find(c->s, a, id, &c->k, e);
}

static int check_all(struct check *c, struct arena *a, struct err *e)
{
	int64_t samples, work;
	int rc;

	if (check_ask(c->s, SQL_CHECK_SAMPLES, 0, &samples, e) < 0 || check_ask(c->s, SQL_CHECK_WORK, 0, &work, e) < 0)
		return -1;
	if (samples > 0)
		finding(c->findings, "%lld samples lead to no response of their round", (long long)samples);
	if (work > 0)
		finding(c->findings, "open work on %lld prompts that are of no round", (long long)work);
	while ((rc = next_round(c, a, e)) == 1) {
		if (check_round(c, e) < 0)
			return -1;
		arena_reset(a);
	}
	return rc;
}

int rounds_check(struct store *s, struct findings *f, struct err *e)
{
	struct check c = {.s = s, .findings = f};
	struct arena a;
	int rc;

	arena_init(&c.page);
	arena_init(&a);
	rc = check_all(&c, &a, e);
	arena_release(&c.page);
	arena_release(&a);
	return rc;
}
