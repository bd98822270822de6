/* round_insert.c - a round is made: its prompts are fixed. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "round_inside.h"

/* --- the row -------------------------------------------------------------------------------- */

static int insert_row(struct store *s, const struct round_known *k, int64_t *key, struct err *e)
{
	const struct round_row *r = &k->row;
	struct query q;

	query_open(&q, s, SQL_ROUND_INSERT);
	bind_text(&q, r->id);
	bind_text(&q, r->name);
	bind_text(&q, r->dataset);
	bind_int(&q, r->dataset_key);
	bind_int(&q, r->mode);
	bind_text(&q, r->posted);
	bind_text(&q, r->spec);
	bind_int(&q, k->model[0]);
	bind_int(&q, k->model[1]);
	bind_text(&q, r->previous);
	bind_int(&q, r->per_prompt);
	bind_int(&q, r->lease_us);
	bind_int(&q, r->min_characters);
	bind_int(&q, r->max_characters);
	bind_int(&q, r->seq);
	bind_int(&q, r->created_at);
	if (query_run(&q, e) < 0)
		return -1;
	*key = sqlite3_last_insert_rowid(s->db);
	return 0;
}

static int insert_excludes(struct store *s, const struct round_row *r, struct err *e)
{
	struct query q;

	for (uint32_t i = 0; i < r->excludes; i++) {
		query_open(&q, s, SQL_EXCLUDE_INSERT);
		bind_int(&q, r->key);
		bind_text(&q, r->exclude_finish_reason[i]);
		if (query_run(&q, e) < 0)
			return -1;
	}
	return 0;
}

/* --- its prompts ------------------------------------------------------------------------------ */

static int insert_prompt(struct store *s, const struct round_known *k, struct str id, int64_t prompt,
                         const struct round_count *c, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_ROUND_PROMPT_INSERT);
	bind_int(&q, k->row.key);
	bind_text(&q, id);
	bind_int(&q, prompt);
	bind_int(&q, c->samples);
	bind_int(&q, c->valid);
	bind_int(&q, c->scored[0]);
	bind_int(&q, c->scored[1]);
	if (query_run(&q, e) < 0)
		return -1;
	for (int kind = 0; kind < WORK_KINDS; kind++)
		if (round_needs(k, c, (enum round_work)kind) &&
		    round_work_put(s, k, prompt, (enum round_work)kind, e) < 0)
			return -1;
	return 0;
}

static int add_prompt(struct store *s, const struct round_known *k, struct str id, int64_t prompt, struct err *e)
{
	struct round_count c = {0};
	struct seen *seen;
	uint32_t n;

	if (k->row.mode == ROUND_DATASET) {
		arena_reset(&s->scratch);
		if (round_see(s, &s->scratch, k, prompt, k->row.seq, &seen, &n, e) < 0)
			return -1;
		c = round_count_of(k, seen, n);
	}
	return insert_prompt(s, k, id, prompt, &c, e);
}

/* --- a draw ------------------------------------------------------------------------------------- */

/* Of equal hashes (twin prompts) the first in byte order of ids comes first. */
struct drawn {
	uint8_t hash[SHA256_BYTES];
	uint64_t place; /* in byte order of ids */
	int64_t prompt;
};

/* The `limit` best so far; up to twice as many lie unsorted in `all`. */
struct draw {
	struct str split; /* STR_NONE: any */
	uint64_t limit;   /* UINT64_MAX: no draw, all of them */
	char seed[24];
	uint64_t place;
	struct buf all;
};

static int by_hash(const void *a, const void *b)
{
	const struct drawn *x = a, *y = b;
	int c = memcmp(x->hash, y->hash, sizeof x->hash);

	return c ? c : (x->place > y->place) - (x->place < y->place);
}

static void draw_cut(struct draw *d)
{
	size_t n = d->all.n / sizeof(struct drawn);

	if (n > 1)
		qsort(d->all.p, n, sizeof(struct drawn), by_hash);
	if (n > d->limit)
		d->all.n = d->limit * sizeof(struct drawn);
}

static void draw_add(struct draw *d, const uint8_t messages_hash[32], int64_t prompt)
{
	struct drawn x = {.place = d->place++, .prompt = prompt};
	char hex[2 * SHA256_BYTES + 1];
	struct str part[2] = {str_of(d->seed), {hex, sizeof hex - 1}};

	hex_of(messages_hash, SHA256_BYTES, hex);
	hash_keyed(x.hash, "prefd-round-1", part, 2);
	buf_add(&d->all, &x, sizeof x);
	if (d->all.n / sizeof x / 2 >= d->limit && d->all.n / sizeof x >= 1024)
		draw_cut(d);
}

/* 1: it is of the split, 0: not, -1. */
static int read_prompt(struct store *s, const struct round_known *k, struct str split, int64_t prompt,
                       uint8_t hash[32], struct err *e)
{
	struct query q;
	int rc = prompt_at(&q, s, prompt, k->row.seq, e);

	if (rc <= 0)
		return rc;
	column_bytes(&q, 2, hash, SHA256_BYTES);
	rc = split.p == NULL || str_eq(split, column_text(&q, 5));
	query_close(&q);
	return rc;
}

/* Every prompt of the dataset goes by, in byte order of ids. */
static int walk(struct store *s, const struct round_known *k, struct draw *d, int64_t *prompts, struct err *e)
{
	uint8_t hash[SHA256_BYTES];
	struct query q;
	int rc;

	query_open(&q, s, SQL_PROMPT_PAGE);
	bind_int(&q, k->row.dataset_key);
	bind_text(&q, STR(""));
	while ((rc = query_step(&q, e)) == 1) {
		int64_t prompt = column_int(&q, 1);

		rc = read_prompt(s, k, d->split, prompt, hash, e);
		if (rc == 1 && d->limit < UINT64_MAX)
			draw_add(d, hash, prompt);
		else if (rc == 1 && ++*prompts)
			rc = add_prompt(s, k, column_text(&q, 0), prompt, e);
		if (rc < 0) {
			query_close(&q);
			return -1;
		}
	}
	return rc;
}

static int add_drawn(struct store *s, const struct round_known *k, struct draw *d, int64_t *prompts, struct err *e)
{
	const struct drawn *x;
	struct buf id = BUF_INIT;
	uint8_t hash[SHA256_BYTES];
	int64_t messages;
	int rc = 0;

	draw_cut(d);
	x = (const struct drawn *)d->all.p;
	*prompts = (int64_t)(d->all.n / sizeof *x);
	for (int64_t i = 0; rc == 0 && i < *prompts; i++) {
		struct str found;

		arena_reset(&s->scratch);
		rc = round_prompt_at(s, &s->scratch, k, x[i].prompt, hash, &found, &messages, e);
		if (rc == 0) {
			buf_clear(&id); /* scratch is used again before the id is */
			buf_str(&id, found);
			rc = add_prompt(s, k, buf_view(&id), x[i].prompt, e);
		}
	}
	buf_release(&id);
	return rc;
}

int store_round_insert(struct store *s, struct round_row *row, struct str split, int64_t limit, uint64_t seed,
                       int64_t *prompts, struct err *e)
{
	struct round_known k;
	struct draw d = {.split = split, .limit = limit < 0 ? UINT64_MAX : (uint64_t)limit};
	struct state *st;
	int rc;

	if (tx_writing(s, e) < 0 || state_get(s, row->dataset, &st, e) < 0)
		return -1;
	arena_reset(&s->scratch);
	rc = round_find(s, &s->scratch, row->id, &k, e);
	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, P_CONFLICT, "the id \"%.*s\" was used before", STR_ARG(row->id));
	row->state = ROUND_OPEN;
	row->dataset_key = st->key;
	row->seq = st->seq;
	k = (struct round_known){.row = *row};
	if (name_intern(s, row->policy, &k.model[0], e) < 0 || name_intern(s, row->reference, &k.model[1], e) < 0 ||
	    insert_row(s, &k, &row->key, e) < 0)
		return -1;
	k.row.key = row->key;
	if (insert_excludes(s, &k.row, e) < 0)
		return -1;
	*prompts = 0;
	snprintf(d.seed, sizeof d.seed, "%llu", (unsigned long long)seed);
	rc = walk(s, &k, &d, prompts, e);
	if (rc == 0 && d.limit < UINT64_MAX)
		rc = add_drawn(s, &k, &d, prompts, e);
	buf_release(&d.all);
	return rc;
}
