/* rewards.c - GET …/rewards: what a rescoring made of each response, worked
 * out anew from the facts at its number. */
#include "service/rounds.h"

#include "fields.h"
#include "inside.h"
#include "print.h"
#include "rescored.h"
#include "weigh.h"

enum { PAGE_PROMPTS = 32 };

struct listing {
	struct store *db;
	struct arena arena, page;
	struct rescored x;
	struct buf *b;
	uint32_t rewards; /* listed */
};

static void print_known(struct buf *b, const char *key, bool known, double value)
{
	if (known)
		print_number_member(b, key, value);
	else
		print_member(b, key, STR_NONE);
}

/* k: its place among the valid ones, or -1. */
static void print_reward(struct listing *l, const struct round_prompt *p, uint32_t i, const struct weighed *w, int64_t k,
                         const char *role)
{
	const struct round_response *x = &p->response[i];
	double length = k >= 0 ? w->length[k] : x->characters;
	struct buf *b = l->b;

	json_put_comma(b);
	buf_byte(b, '{');
	print_member(b, "response", x->id);
	print_member(b, "prompt", p->id);
	print_known(b, "reward", k >= 0, k >= 0 ? implicit_regular(w->reward[k], l->x.terms.alpha, length) : 0);
	print_known(b, "length", k >= 0 || !l->x.terms.rule.in_tokens, length);
	print_known(b, "policy_logprob", x->scored[IMPLICIT_POLICY], x->logprob[IMPLICIT_POLICY]);
	print_known(b, "reference_logprob", x->scored[IMPLICIT_REFERENCE], x->logprob[IMPLICIT_REFERENCE]);
	print_member(b, "role", role ? str_of(role) : STR_NONE);
	if (k < 0)
		print_member(b, "left_out", str_of(implicit_drop_word(w->drop[i])));
	buf_byte(b, '}');
	l->rewards++;
}

/* The responses in the round's own order. */
static int print_prompt(struct listing *l, const struct round_prompt *p, struct err *e)
{
	int64_t *place = ARENA_ARRAY(&l->page, int64_t, p->responses);
	struct implicit_pair pair = {0, 0};
	struct weighed w;
	bool kept;

	if (weigh(&l->x.terms, p, NULL, &l->page, &w, e) < 0)
		return -1;
	kept = weigh_pair(&w, l->x.min_responses, l->x.terms.alpha, &pair) == IMPLICIT_KEPT;
	for (uint32_t i = 0; i < p->responses; i++)
		place[i] = -1;
	for (uint32_t k = 0; k < w.n; k++)
		place[w.at[k]] = k;
	for (uint32_t i = 0; i < p->responses; i++) {
		const char *role = NULL;

		if (kept && place[i] >= 0)
			role = place[i] == pair.chosen ? "chosen" : place[i] == pair.rejected ? "rejected" : NULL;
		print_reward(l, p, i, &w, place[i], role);
	}
	return 0;
}

/* Whole prompts, up to the one that fills the page; next is its id, or
 * STR_NONE at the end. */
static int print_prompts(struct listing *l, struct str after, uint32_t limit, struct str *next, struct err *e)
{
	struct round_prompt *prompt;
	uint32_t n;

	*next = STR_NONE;
	for (;;) {
		arena_reset(&l->page);
		if (store_round_page(l->db, &l->page, &l->x.round, after, PAGE_PROMPTS, l->x.row.seq, 0, &prompt, &n, e) < 0)
			return -1;
		for (uint32_t i = 0; i < n; i++) {
			if (print_prompt(l, &prompt[i], e) < 0)
				return -1;
			after = arena_str(&l->arena, prompt[i].id);
			if (l->rewards >= limit) {
				*next = after;
				return 0;
			}
		}
		if (n == 0)
			return 0;
	}
}

/* Prompts are read behind an id: the greatest text below the wanted one, given
 * that no id holds a byte as great as DEL. */
static struct str just_before(struct arena *a, struct str id)
{
	char *p = arena_alloc(a, id.n + 1);

	memcpy(p, id.p, id.n);
	p[id.n - 1]--;
	p[id.n] = 0x7F;
	return (struct str){p, id.n + 1};
}

static int print_one(struct listing *l, struct str id, struct err *e)
{
	struct round_prompt *prompt;
	uint32_t n = 0;

	if (id_valid(id) && store_round_page(l->db, &l->page, &l->x.round, just_before(&l->arena, id), 1, l->x.row.seq, 0,
	                                     &prompt, &n, e) < 0)
		return -1;
	if (n == 0 || !str_eq(prompt[0].id, id))
		return err_at(e, P_UNKNOWN_ID, "?prompt", "the round has no prompt %.*s", STR_ARG(id));
	return print_prompt(l, &prompt[0], e);
}

static int print_list(struct listing *l, struct str round, const struct rewards_query *q, struct err *e)
{
	struct str next = STR_NONE;
	int rc = rescored_get(l->db, &l->arena, round, q->rescoring, &l->x, e);

	if (rc < 0)
		return -1;
	buf_lit(l->b, "{\"rewards\":[");
	rc = q->prompt.p ? print_one(l, q->prompt, e) : print_prompts(l, q->after, q->limit, &next, e);
	print_page_end(l->b, next.p != NULL, next);
	return rc;
}

int rounds_rewards(struct service *s, struct str round, const struct rewards_query *q,
                   struct answer *out, struct err *e)
{
	struct listing l = {.b = &out->body};
	int rc;

	if (reader_get(s, &l.db, e) < 0)
		return -1;
	out->status = 200;
	rc = print_list(&l, round, q, e);
	reader_put(s, l.db);
	arena_release(&l.page);
	arena_release(&l.arena);
	return rc;
}
