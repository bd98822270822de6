/* read.c - prompts with what hangs on them, as they stood at a number.
 *
 * Facts are appended, so the past is a filter: rows with seq <= n, the last of
 * each key. Rows come in key order and are merged in one pass: responses first,
 * then scores and log-probabilities beside them. */
#include "store/read.h"

#include <stdlib.h>

#include "read_inside.h"

/* --- tables beside prompts ----------------------------------------------------------- */

enum { SWEEP_HOPS_MAX = 8 }; /* rows passed over: dearer than that is a look-up */

void reading_init(struct reading *r, struct store *s, struct arena *a, int64_t seq, unsigned what)
{
	*r = (struct reading){
		.s = s,
		.a = a,
		.seq = seq,
		.what = what,
		.prompts.sql = SQL_PROMPT_FROM,
		.responses.sql = SQL_RESPONSE_FROM,
		.scores.sql = SQL_SCORE_FROM,
		.votes.sql = SQL_VOTE_FROM,
		.logprobs.sql = SQL_LOGPROB_FROM,
	};
}

static void sweep_end(struct sweep *w)
{
	if (w->prompt)
		query_close(&w->q);
	w->prompt = 0;
	w->over = false;
}

void reading_end(struct reading *r)
{
	sweep_end(&r->prompts);
	sweep_end(&r->responses);
	sweep_end(&r->scores);
	sweep_end(&r->votes);
	sweep_end(&r->logprobs);
}

static int sweep_step(struct sweep *w, struct err *e)
{
	int rc = query_step(&w->q, e);

	w->prompt = rc == 1 ? column_int(&w->q, 0) : 0;
	w->over = rc == 0;
	return rc;
}

/* From the row that stands to the first one of the prompt that had come. */
static int sweep_stop(struct reading *r, struct sweep *w, int64_t prompt, struct err *e)
{
	while (w->prompt == prompt && column_int(&w->q, 1) > r->seq)
		if (sweep_step(w, e) < 0)
			return -1;
	return w->prompt == prompt;
}

int sweep_first(struct reading *r, struct sweep *w, int64_t prompt, struct err *e)
{
	for (int hops = 0; w->prompt > 0 && w->prompt < prompt && hops < SWEEP_HOPS_MAX; hops++)
		if (sweep_step(w, e) < 0)
			return -1;
	if (w->over)
		return 0;
	if (w->prompt < prompt) {
		sweep_end(w);
		query_open(&w->q, r->s, w->sql);
		bind_int(&w->q, prompt);
		if (sweep_step(w, e) < 0)
			return -1;
	}
	return sweep_stop(r, w, prompt, e);
}

int sweep_next(struct reading *r, struct sweep *w, struct err *e)
{
	int64_t prompt = w->prompt;

	return sweep_step(w, e) < 0 ? -1 : sweep_stop(r, w, prompt, e);
}

/* --- names ---------------------------------------------------------------------------- */

int reading_name(struct reading *r, int64_t key, struct str *name, struct err *e)
{
	struct name_slot *memo = &r->memo[(uint64_t)key % MEMO_SLOTS];

	if (key != 0 && memo->key == key) {
		*name = memo->name;
		return 0;
	}
	if (name_text(r->s, r->a, key, name, e) < 0)
		return -1;
	*memo = (struct name_slot){key, *name};
	return 0;
}

/* STR_NONE for key 0. Rounds stay, and keep their ids. */
static int reading_round(struct reading *r, int64_t key, struct str *id, struct err *e)
{
	struct name_slot *memo = &r->round[(uint64_t)key % ROUND_SLOTS];
	struct query q;
	int rc;

	*id = STR_NONE;
	if (key == 0)
		return 0;
	if (memo->key != key) {
		query_open(&q, r->s, SQL_ROUND_ID);
		bind_int(&q, key);
		rc = query_step(&q, e);
		if (rc <= 0)
			return rc < 0 ? -1 : err_set(e, P_INTERNAL, "the database has lost a round");
		*memo = (struct name_slot){key, arena_str(r->a, column_blob(&q, 0))};
		query_close(&q);
	}
	*id = memo->name;
	return 0;
}

/* --- responses --------------------------------------------------------------------- */

static int read_response(struct reading *r, struct query *q, struct read_response *out, struct err *e)
{
	*out = (struct read_response){
		.key = column_int(q, 2),
		.id = arena_str(r->a, column_blob(q, 3)),
		.text_key = column_int(q, 4),
		.characters = (uint32_t)column_int(q, 6),
		.tokens = column_null(q, 8) ? -1 : column_int(q, 8),
		.finish_reason = arena_str(r->a, column_text(q, 9)),
	};
	column_bytes(q, 5, out->text_hash, sizeof out->text_hash);
	return reading_name(r, column_int(q, 7), &out->model, e) < 0 ? -1
	                                                             : reading_round(r, column_int(q, 10), &out->round, e);
}

/* All versions up to seq go by; the last of each stays. Into s->rows, by key. */
static int gather_responses(struct reading *r, int64_t prompt, struct err *e)
{
	struct buf *rows = &r->s->rows;
	struct read_response next, *last = NULL;
	int rc;

	buf_clear(rows);
	for (rc = sweep_first(r, &r->responses, prompt, e); rc == 1; rc = sweep_next(r, &r->responses, e)) {
		if (read_response(r, &r->responses.q, &next, e) < 0)
			return -1;
		if (last && last->key == next.key)
			*last = next;
		else
			buf_add(rows, &next, sizeof next);
		last = (struct read_response *)(rows->p + rows->n) - 1;
	}
	return rc;
}

static int read_texts(struct reading *r, struct read_response *response, uint32_t n, struct err *e)
{
	for (uint32_t i = 0; i < n; i++)
		if (text_get(r->s, r->a, response[i].text_key, &response[i].text, e) < 0)
			return -1;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return str_cmp(((const struct read_response *)a)->id, ((const struct read_response *)b)->id);
}

static int read_responses(struct reading *r, struct read_prompt *p, struct err *e)
{
	if (gather_responses(r, p->key, e) < 0)
		return -1;
	p->responses = (uint32_t)(r->s->rows.n / sizeof *p->response);
	if (p->responses == 0)
		return 0;
	p->response = arena_alloc(r->a, r->s->rows.n);
	memcpy(p->response, r->s->rows.p, r->s->rows.n);
	if ((r->what & READ_TEXTS) && read_texts(r, p->response, p->responses, e) < 0)
		return -1;
	if ((r->what & (READ_SCORES | READ_LEDGER)) && read_scores(r, p, e) < 0)
		return -1;
	if ((r->what & READ_LOGPROBS) && reading_logprobs(r, p, e) < 0)
		return -1;
	if (p->responses > 1)
		qsort(p->response, p->responses, sizeof *p->response, by_id);
	return r->what & READ_VOTES ? read_votes(r, p, e) : 0;
}

/* --- prompts ------------------------------------------------------------------------- */

/* All versions up to seq go by. 1: there at seq and in the split, 0: not, -1. */
static int read_prompt_row(struct reading *r, int64_t prompt, struct str split, struct read_prompt *p, int64_t *metadata,
                           struct err *e)
{
	struct query *q = &r->prompts.q;
	bool there = false;
	int rc;

	for (rc = sweep_first(r, &r->prompts, prompt, e); rc == 1; rc = sweep_next(r, &r->prompts, e)) {
		there = !split.p || str_eq(split, column_blob(q, 6));
		if (!there)
			continue;
		*p = (struct read_prompt){
			.key = prompt,
			.id = arena_str(r->a, column_blob(q, 2)),
			.characters = (uint32_t)column_int(q, 4),
			.messages_key = column_int(q, 5),
			.split = arena_str(r->a, column_blob(q, 6)),
			.source = arena_str(r->a, column_text(q, 7)),
		};
		column_bytes(q, 3, p->messages_hash, sizeof p->messages_hash);
		*metadata = column_int(q, 8);
	}
	return rc < 0 ? -1 : there;
}

static int read_prompt(struct reading *r, int64_t prompt, struct str split, struct read_prompt *p, struct err *e)
{
	int64_t metadata;
	int rc = read_prompt_row(r, prompt, split, p, &metadata, e);

	if (rc <= 0)
		return rc;
	if (r->what & READ_MESSAGES) {
		if (text_get(r->s, r->a, p->messages_key, &p->messages, e) < 0 ||
		    (metadata && text_get(r->s, r->a, metadata, &p->metadata, e) < 0))
			return -1;
	}
	return read_responses(r, p, e) < 0 ? -1 : 1;
}

int store_prompt_get(struct store *s, struct arena *a, const struct dataset *d, struct str id, int64_t seq,
                     unsigned what, struct read_prompt *out, struct err *e)
{
	struct reading r;
	int64_t prompt;
	bool begun;
	int rc;

	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	reading_init(&r, s, a, seq, what);
	rc = prompt_find(s, d->key, id, &prompt, e);
	if (rc == 1)
		rc = read_prompt(&r, prompt, STR_NONE, out, e);
	reading_end(&r);
	tx_read_end(s, begun);
	if (rc == 0)
		return err_set(e, P_UNKNOWN_PROMPT, "there is no prompt \"%.*s\"", STR_ARG(id));
	return rc < 0 ? -1 : 0;
}

/* --- pages ---------------------------------------------------------------------------- */

/* In order of ids keys do not rise: every prompt is a look-up. */
static int read_page(struct reading *r, int64_t dataset, struct str after, struct str split, uint32_t limit,
                     struct read_prompt *out, uint32_t *n, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, r->s, SQL_PROMPT_PAGE);
	bind_int(&q, dataset);
	bind_text(&q, after.p ? after : STR(""));
	while (*n < limit && (rc = query_step(&q, e)) != 0) {
		if (rc == 1)
			rc = read_prompt(r, column_int(&q, 1), split, &out[*n], e);
		if (rc < 0) {
			query_close(&q);
			return -1;
		}
		*n += (uint32_t)rc;
		reading_end(r);
	}
	query_close(&q);
	return 0;
}

int store_prompt_page(struct store *s, struct arena *a, const struct dataset *d, struct str after,
                      struct str split, uint32_t limit, int64_t seq, unsigned what,
                      struct read_prompt **out, uint32_t *n, struct err *e)
{
	struct reading r;
	bool begun;
	int rc;

	*n = 0;
	if (limit > PAGE_MAX)
		limit = PAGE_MAX;
	*out = ARENA_ARRAY(a, struct read_prompt, limit);
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	reading_init(&r, s, a, seq, what);
	rc = read_page(&r, d->key, after, split, limit, *out, n, e);
	reading_end(&r);
	tx_read_end(s, begun);
	return rc;
}

/* They come in order of keys, as the tables beside them. */
static int read_arrivals(struct reading *r, int64_t dataset, struct str split, uint32_t limit, int64_t *after,
                         struct read_prompt *out, uint32_t *n, uint32_t *looked, struct err *e)
{
	struct query q;
	int rc = 0;

	query_open(&q, r->s, SQL_PROMPT_SUM_FROM);
	bind_int(&q, dataset);
	bind_int(&q, *after + 1);
	while (*looked < limit && (rc = query_step(&q, e)) == 1) {
		*after = column_int(&q, 0);
		rc = read_prompt(r, *after, split, &out[*n], e);
		if (rc < 0)
			break;
		*n += (uint32_t)rc;
		++*looked;
	}
	query_close(&q);
	return rc < 0 ? -1 : 0;
}

int store_prompt_arrivals(struct store *s, struct arena *a, const struct dataset *d, int64_t *after, struct str split,
                          uint32_t limit, int64_t seq, unsigned what, struct read_prompt **out, uint32_t *n,
                          uint32_t *looked, struct err *e)
{
	struct reading r;
	bool begun;
	int rc;

	*n = *looked = 0;
	if (limit > PAGE_MAX)
		limit = PAGE_MAX;
	*out = ARENA_ARRAY(a, struct read_prompt, limit);
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	reading_init(&r, s, a, seq, what);
	rc = read_arrivals(&r, d->key, split, limit, after, *out, n, looked, e);
	reading_end(&r);
	tx_read_end(s, begun);
	return rc;
}

int store_prompt_keys(struct store *s, struct arena *a, const struct dataset *d, struct str after, uint32_t limit,
                      struct prompt_key **out, uint32_t *n, struct err *e)
{
	struct query q;
	int rc = 0;

	*n = 0;
	if (limit > PAGE_MAX)
		limit = PAGE_MAX;
	*out = ARENA_ARRAY(a, struct prompt_key, limit);
	query_open(&q, s, SQL_PROMPT_PAGE);
	bind_int(&q, d->key);
	bind_text(&q, after.p ? after : STR(""));
	while (*n < limit && (rc = query_step(&q, e)) == 1)
		(*out)[(*n)++] = (struct prompt_key){arena_str(a, column_blob(&q, 0)), column_int(&q, 1)};
	query_close(&q);
	return rc < 0 ? -1 : 0;
}
