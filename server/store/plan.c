/* plan.c - what of a row is there already. Reads only, so a refused row
 * leaves nothing behind. */
#include <stdlib.h>

#include "plan.h"

static int plan_prompt(struct store *s, struct state *st, struct plan *p, struct err *e)
{
	struct query q;
	int rc = prompt_find(s, st->key, p->r->id, &p->prompt, e);

	if (rc <= 0)
		return rc;
	rc = prompt_at(&q, s, p->prompt, INT64_MAX, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, P_INTERNAL, "the database has lost a prompt");
	column_bytes(&q, 2, p->hash, sizeof p->hash);
	p->messages = column_int(&q, 4);
	p->split = arena_str(&s->scratch, column_text(&q, 5));
	p->source = arena_str(&s->scratch, column_text(&q, 6));
	p->metadata = column_int(&q, 7);
	query_close(&q);
	p->same = memcmp(p->hash, p->r->messages_hash, sizeof p->hash) == 0;
	if (!p->same && p->policy == CONFLICT_REFUSE)
		return err_at(e, P_CONFLICT, "/prompt", "the prompt \"%.*s\" is there with other messages",
		              STR_ARG(p->r->id));
	return prompt_sum_get(s, st->key, p->prompt, &p->sum, e);
}

int response_latest(struct store *s, struct plan_response *pr, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_RESPONSE_LATEST);
	bind_int(&q, pr->prompt);
	bind_int(&q, pr->key);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, P_INTERNAL, "the database has lost a response");
	pr->text = column_int(&q, 0);
	column_bytes(&q, 1, pr->hash, sizeof pr->hash);
	pr->characters = (uint32_t)column_int(&q, 2);
	pr->model = column_int(&q, 3);
	pr->tokens = column_null(&q, 4) ? -1 : column_int(&q, 4);
	pr->finish_reason = arena_str(&s->scratch, column_text(&q, 5));
	pr->round = column_int(&q, 6);
	query_close(&q);
	return 0;
}

static int plan_response(struct store *s, struct state *st, struct plan *p, uint32_t i, struct err *e)
{
	const struct response *r = &p->r->response[i];
	struct plan_response *pr = &p->response[i];
	int64_t model;
	int rc = response_find(s, st->key, r->id, &pr->prompt, &pr->key, e);

	if (rc <= 0)
		return rc;
	if (response_latest(s, pr, e) < 0 || name_find(s, r->model, &model, e) < 0)
		return -1;
	pr->same = pr->prompt == p->prompt && pr->model == model &&
	           memcmp(pr->hash, r->text_hash, sizeof pr->hash) == 0;
	if (pr->same || p->policy == CONFLICT_KEEP)
		return 0;
	if (pr->prompt != p->prompt)
		return err_at(e, P_CONFLICT, "/id", "the response \"%.*s\" is there under another prompt", STR_ARG(r->id));
	if (p->policy == CONFLICT_REFUSE)
		return err_at(e, P_CONFLICT, "/id", "the response \"%.*s\" is there with another text or model",
		              STR_ARG(r->id));
	return 0;
}

static int plan_responses(struct store *s, struct state *st, struct plan *p, struct err *e)
{
	int64_t created = 0;

	for (uint32_t i = 0; i < p->r->responses; i++) {
		const struct response *r = &p->r->response[i];

		if (plan_response(s, st, p, i, e) < 0)
			return err_under(e, "/responses/%u", i);
		for (uint32_t j = 0; j < r->scores; j++)
			if (score_check(s, st, &r->score[j], e) < 0)
				return err_under(e, "/responses/%u/scores/%u", i, j);
		created += p->response[i].key == 0;
	}
	if (created > 0 && p->sum.responses + created > RESPONSES_PER_PROMPT_MAX)
		return err_at(e, P_INVALID, "/responses", "a prompt has at most %d responses; this one would have %lld",
		              RESPONSES_PER_PROMPT_MAX, (long long)(p->sum.responses + created));
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return str_cmp((*(const struct response *const *)a)->id, (*(const struct response *const *)b)->id);
}

/* A side of a vote: a response of the row, or one that is stored. */
static int plan_side(struct store *s, struct state *st, struct plan *p, const char *pointer, struct str id,
                     int64_t *prompt, int64_t *key, struct err *e)
{
	struct response like = {.id = id};
	const struct response *want = &like, **at = NULL;
	int rc;

	if (p->r->responses > 0)
		at = bsearch(&want, p->by_id, p->r->responses, sizeof *p->by_id, by_id);
	if (at) {
		int64_t i = *at - p->r->response;
		const struct plan_response *pr = &p->response[i];

		*prompt = pr->key ? pr->prompt : p->prompt;
		*key = pr->key ? pr->key : -1 - i;
		return 0;
	}
	rc = response_find(s, st->key, id, prompt, key, e);
	if (rc == 0)
		return err_at(e, P_UNKNOWN_ID, pointer, "there is no response \"%.*s\"", STR_ARG(id));
	return rc < 0 ? -1 : 0;
}

static int plan_vote(struct store *s, struct state *st, struct plan *p, uint32_t i, struct err *e)
{
	const struct comparison *c = &p->r->comparison[i];
	struct plan_vote *v = &p->vote[i];
	int64_t other;

	if (plan_side(s, st, p, "/chosen", c->chosen, &v->prompt, &v->chosen, e) < 0 ||
	    plan_side(s, st, p, "/rejected", c->rejected, &other, &v->rejected, e) < 0)
		return err_under(e, "/comparisons/%u", i);
	if (v->prompt != other) {
		err_at(e, P_UNKNOWN_ID, "/rejected", "the two responses are not of one prompt");
		return err_under(e, "/comparisons/%u", i);
	}
	return series_admit(s, st, c->judge, STR_NONE, e) < 0 ? err_under(e, "/comparisons/%u", i) : 0;
}

static int plan_votes(struct store *s, struct state *st, struct plan *p, struct err *e)
{
	const struct record *r = p->r;

	if (r->comparisons == 0)
		return 0;
	p->vote = ARENA_ARRAY(&s->scratch, struct plan_vote, r->comparisons);
	p->by_id = ARENA_ARRAY(&s->scratch, const struct response *, r->responses + 1);
	for (uint32_t i = 0; i < r->responses; i++)
		p->by_id[i] = &r->response[i];
	qsort(p->by_id, r->responses, sizeof *p->by_id, by_id);
	for (uint32_t i = 0; i < r->comparisons; i++)
		if (plan_vote(s, st, p, i, e) < 0)
			return -1;
	return 0;
}

int record_plan(struct store *s, struct state *st, struct plan *p, struct err *e)
{
	arena_reset(&s->scratch);
	p->response = ARENA_ARRAY(&s->scratch, struct plan_response, p->r->responses);
	if (plan_prompt(s, st, p, e) < 0 || plan_responses(s, st, p, e) < 0)
		return -1;
	return plan_votes(s, st, p, e);
}
