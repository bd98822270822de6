/* unscored.c - a judge's queue: what it still has to score. */
#include "read_inside.h"

enum {
	LOOK_MAX = 4096,                 /* responses and prompts looked at a call */
	TEXT_BYTES_MAX = 8 * 1024 * 1024, /* a page of long texts is cut short */
};

struct queue_walk {
	struct reading r;
	const struct unscored *q;
	int64_t judge, attribute, model; /* names; model 0: any */
	struct unscored_row *out;
	uint32_t n;
	size_t bytes;
	int looked;
	bool full;
	int64_t cursor[2];
};

/* 1: still to be scored, 0: good or abstained, -1. */
static int wanted(struct queue_walk *w, int64_t prompt, int64_t response, struct err *e)
{
	struct score_key k = {prompt, response, w->attribute, w->judge};
	struct score_value v;
	int rc = w->judge > 0 && w->attribute > 0 ? score_current(w->r.s, &k, &v, e) : 0;

	if (rc < 0)
		return -1;
	return rc == 0 || v.status == SCORE_FAILED;
}

/* The prompt's id and messages, once for all its responses. */
static int give_prompt(struct queue_walk *w, int64_t prompt, struct unscored_row *row, struct err *e)
{
	const struct unscored_row *last = w->n > 0 ? &w->out[w->n - 1] : NULL;
	struct query q;
	int64_t messages;
	int rc;

	if (last && last->prompt == prompt) {
		row->prompt_id = last->prompt_id;
		row->messages = last->messages;
		return 0;
	}
	rc = prompt_at(&q, w->r.s, prompt, SEQ_LATEST, e);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, P_INTERNAL, "the database has lost a prompt");
	row->prompt_id = arena_str(w->r.a, column_text(&q, 1));
	messages = column_int(&q, 4);
	query_close(&q);
	if (text_get(w->r.s, w->r.a, messages, &row->messages, e) < 0)
		return -1;
	w->bytes += row->messages.n;
	return 0;
}

/* One response in its latest version. */
struct version {
	struct unscored_row row;
	int64_t text, model, round;
};

static int look(struct queue_walk *w, int64_t prompt, const struct version *v, struct err *e)
{
	struct unscored_row *row = &w->out[w->n];
	bool asked = (!w->model || v->model == w->model) && (!w->q->round || v->round == w->q->round);
	int rc = asked ? wanted(w, prompt, v->row.response, e) : 0;

	if (rc == 1) {
		*row = v->row;
		row->prompt = prompt;
		if (give_prompt(w, prompt, row, e) < 0 || text_get(w->r.s, w->r.a, v->text, &row->text, e) < 0 ||
		    reading_name(&w->r, v->model, &row->model, e) < 0)
			return -1;
		w->bytes += row->text.n;
		w->n++;
	}
	if (rc < 0)
		return -1;
	w->looked++;
	w->cursor[0] = prompt;
	w->cursor[1] = v->row.response;
	w->full = w->n == w->q->limit || w->looked >= LOOK_MAX || w->bytes >= TEXT_BYTES_MAX;
	return 0;
}

/* Versions go by in order; a response is looked at once its last is seen. */
static int walk_prompt(struct queue_walk *w, int64_t prompt, int64_t after, struct err *e)
{
	struct version seen = {0};
	struct query q;
	int rc;

	query_open(&q, w->r.s, SQL_RESPONSE_PAGE);
	bind_int(&q, prompt);
	bind_int(&q, after);
	bind_int(&q, SEQ_LATEST);
	while (!w->full && (rc = query_step(&q, e)) != 0) {
		if (rc == 1 && seen.row.response && seen.row.response != column_int(&q, 0))
			rc = look(w, prompt, &seen, e) < 0 ? -1 : 1;
		if (rc < 0) {
			query_close(&q);
			return -1;
		}
		seen.row.response = column_int(&q, 0);
		seen.row.response_id = arena_str(w->r.a, column_text(&q, 1));
		seen.row.characters = (uint32_t)column_int(&q, 4);
		seen.text = column_int(&q, 2);
		seen.model = column_int(&q, 5);
		seen.round = column_int(&q, 8);
	}
	query_close(&q);
	if (!w->full && seen.row.response && look(w, prompt, &seen, e) < 0)
		return -1;
	return 0;
}

static int walk(struct queue_walk *w, int64_t dataset, struct err *e)
{
	struct query q;
	int rc = 0;

	query_open(&q, w->r.s, SQL_PROMPT_SUM_FROM);
	bind_int(&q, dataset);
	bind_int(&q, w->q->after_prompt);
	while (!w->full && (rc = query_step(&q, e)) == 1) {
		int64_t prompt = column_int(&q, 0);

		if (walk_prompt(w, prompt, prompt == w->q->after_prompt ? w->q->after_response : 0, e) < 0) {
			rc = -1;
			break;
		}
		if (w->full)
			break;
		/* All its responses were seen: any later key is another prompt's. */
		w->cursor[0] = prompt;
		w->cursor[1] = INT64_MAX;
		w->full = ++w->looked >= LOOK_MAX;
	}
	query_close(&q);
	return rc < 0 ? -1 : 0;
}

/* 0: no response can match. */
static int resolve(struct queue_walk *w, struct err *e)
{
	if (name_find(w->r.s, w->q->judge, &w->judge, e) < 0 ||
	    name_find(w->r.s, w->q->attribute, &w->attribute, e) < 0 ||
	    name_find(w->r.s, w->q->model, &w->model, e) < 0)
		return -1;
	return w->model != -1;
}

int store_unscored(struct store *s, struct arena *a, const struct dataset *d, const struct unscored *q,
                   struct unscored_row **out, uint32_t *n, bool *more, int64_t cursor[2], struct err *e)
{
	struct unscored bounded = *q;
	struct queue_walk w = {
		.r = {.s = s, .a = a},
		.q = &bounded,
		.cursor = {q->after_prompt, q->after_response},
	};
	bool begun;
	int rc;

	bounded.limit = q->limit < 1 ? 1 : q->limit > PAGE_MAX ? PAGE_MAX : q->limit;
	w.out = ARENA_ARRAY(a, struct unscored_row, bounded.limit);
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	rc = resolve(&w, e);
	if (rc == 1)
		rc = walk(&w, d->key, e);
	tx_read_end(s, begun);
	*out = w.out;
	*n = w.n;
	*more = w.full;
	cursor[0] = w.cursor[0];
	cursor[1] = w.cursor[1];
	return rc;
}
