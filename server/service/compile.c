#include "compile.h"

#include <math.h>

#include "align/goal.h"

/* How far, as a part of the scale, a goal may lie outside it by rounding. */
#define SCALE_SLACK 1e-9

/* --- goals ----------------------------------------------------------------------- */

struct goals {
	struct str *json, *text; /* one a candidate; STR_NONE: no goal */
};

static struct str printed(struct arena *a, double goal, int decimals)
{
	char text[GOAL_TEXT_BYTES];

	return arena_str(a, (struct str){text, goal_print(goal, decimals, text)});
}

/* "helpfulness: 8.5, honesty: 7", escaped. */
static struct str listed(struct compiler *c, const double *own, struct arena *a)
{
	const struct recipe *r = c->recipe;
	struct buf *b = &c->scratch;
	char number[GOAL_TEXT_BYTES];

	buf_clear(b);
	for (size_t i = 0; i < r->attributes; i++) {
		if (i > 0)
			buf_lit(b, ", ");
		json_put_escaped(b, r->attribute[i].name);
		buf_lit(b, ": ");
		buf_add(b, number, goal_print(own[i], GOAL_DECIMALS, number));
	}
	return arena_str(a, buf_view(b));
}

struct str compile_quantile(const struct compiler *c, const double *sorted, uint64_t n, double x, struct arena *a)
{
	return printed(a, goal_quantile(sorted, n, x, c->recipe->goal_min, c->recipe->goal_max), QUANTILE_DECIMALS);
}

static void print_quantiles(struct compiler *c, const struct picked *p, struct arena *a, struct goals *g)
{
	double *x = ARENA_ARRAY(a, double, p->n);
	uint32_t *at = ARENA_ARRAY(a, uint32_t, p->n);
	size_t n = pick_centred(p, x, at);

	for (size_t i = 0; i < n; i++)
		g->json[at[i]] = g->text[at[i]] = compile_quantile(c, c->ranks->sorted, c->ranks->n, x[i], a);
}

static void print_goals(struct compiler *c, const struct picked *p, struct arena *a, struct goals *g)
{
	g->json = ARENA_ARRAY(a, struct str, p->n);
	g->text = ARENA_ARRAY(a, struct str, p->n);
	if (c->recipe->goal == GOAL_QUANTILE) {
		print_quantiles(c, p, a, g);
		return;
	}
	for (size_t i = 0; i < p->n; i++) {
		bool vector = p->c[i].vector.p != NULL;

		g->json[i] = vector ? p->c[i].vector : p->c[i].goal;
		g->text[i] = vector ? listed(c, p->own[i], a) : p->c[i].goal;
	}
}

/* A goal outside the scale can be stated in no prompt. */
static void check_scale(struct compiler *c, double goal, struct str what, struct str id)
{
	const struct recipe *r = c->recipe;
	double slack = SCALE_SLACK * (r->goal_max - r->goal_min);

	if (!c->found.has_goals || goal > c->found.greatest)
		c->found.greatest = goal;
	c->found.has_goals = true;
	if ((goal >= r->goal_min - slack && goal <= r->goal_max + slack) || c->found.outside.problem != P_NONE)
		return;
	c->found.flags |= SNAP_OUTSIDE_SCALE;
	err_at(&c->found.outside, P_GOAL_SCALE, "/recipe/view/goal",
	       "the %.*s of response %.*s is %.6g, outside the goal scale from %g to %g; "
	       "declare the range of the attribute on the dataset, or set the goal scale",
	       STR_ARG(what), STR_ARG(id), goal, r->goal_min, r->goal_max);
}

static void check_goals(struct compiler *c, const struct picked *p, uint32_t i)
{
	const struct recipe *r = c->recipe;

	if (r->goal == GOAL_REWARD)
		check_scale(c, p->c[i].reward, STR("reward"), p->c[i].id);
	for (size_t k = 0; r->goal == GOAL_ATTRIBUTES && k < r->attributes; k++)
		check_scale(c, p->own[i][k], r->attribute[k].name, p->c[i].id);
}

/* --- messages --------------------------------------------------------------------- */

static bool take(struct str *s, struct str front)
{
	if (s->n < front.n || memcmp(s->p, front.p, front.n) != 0)
		return false;
	s->p += front.n;
	s->n -= front.n;
	return true;
}

/* Whether an odd number of backslashes ends the first n bytes. */
static bool escaped_at(const char *p, size_t n)
{
	size_t slashes = 0;

	while (slashes < n && p[n - 1 - slashes] == '\\')
		slashes++;
	return slashes % 2 == 1;
}

/* Up to the quote that ends the string; escapes stay as they are. */
static bool take_string(struct str *s, struct str *out)
{
	const char *quote = s->p;
	size_t n;

	do {
		quote = memchr(quote, '"', s->n - (size_t)(quote - s->p));
		if (quote == NULL)
			return false;
		n = (size_t)(quote++ - s->p);
	} while (escaped_at(s->p, n));
	*out = (struct str){s->p, n};
	s->p += n + 1;
	s->n -= n + 1;
	return true;
}

/* Canonical messages are cut, not parsed: their contents already are escaped
 * as the file wants them. */
static int cut_messages(struct str s, struct arena *a, struct snap_prompt *out, struct err *e)
{
	size_t room = s.n / sizeof("{\"role\":\"\",\"content\":\"\"}") + 1;
	struct snap_message *m = ARENA_ARRAY(a, struct snap_message, room);
	bool good = take(&s, STR("["));
	uint32_t n = 0;

	while (good && !str_eq(s, STR("]"))) {
		struct str role;

		good = (n == 0 || take(&s, STR(","))) && take(&s, STR("{\"role\":\"")) && take_string(&s, &role) &&
		       take(&s, STR(",\"content\":\"")) && take_string(&s, &m[n].content) && take(&s, STR("}"));
		if (!good)
			break;
		m[n].role = role_of(role);
		good = m[n++].role != ROLE_COUNT;
	}
	if (!good)
		return err_set(e, P_INTERNAL, "the stored messages of a prompt are not canonical");
	out->message = m;
	out->messages = n;
	return 0;
}

/* Which formats cannot say this conversation. */
void compile_roles(struct compiler *c, const struct snap_prompt *p)
{
	uint32_t system = p->messages > 0 && p->message[0].role == ROLE_SYSTEM;
	uint32_t turns = p->messages - system;
	bool alternate = turns % 2 == 1;

	for (uint32_t i = 0; i < turns; i++)
		alternate = alternate && p->message[system + i].role == (i % 2 ? ROLE_ASSISTANT : ROLE_USER);
	if (!alternate && !(c->found.flags & SNAP_NOT_TURNS)) {
		c->found.flags |= SNAP_NOT_TURNS;
		c->found.not_turns = arena_str(c->life, p->id);
	}
	if (!(alternate && turns == 1) && !(c->found.flags & SNAP_NOT_TEXT)) {
		c->found.flags |= SNAP_NOT_TEXT;
		c->found.not_text = arena_str(c->life, p->id);
	}
}

/* --- answers ------------------------------------------------------------------------ */

static const struct read_logprob *logprob_of(const struct read_response *x, struct str model)
{
	for (uint32_t i = 0; i < x->logprobs; i++)
		if (str_eq(x->logprob[i].l.model, model))
			return &x->logprob[i];
	return NULL;
}

static struct str number(struct arena *a, double v)
{
	char text[JSON_NUMBER_MAX_BYTES];

	return arena_str(a, (struct str){text, json_print_number(v, text)});
}

static struct str escaped(struct compiler *c, struct str text, struct arena *a)
{
	buf_clear(&c->scratch);
	json_put_escaped(&c->scratch, text);
	return c->scratch.n == text.n ? text : arena_str(a, buf_view(&c->scratch));
}

static void put_answer(struct compiler *c, const struct read_response *x, const struct picked *p, uint32_t i,
                       const struct goals *g, struct arena *a, struct snap_response *out)
{
	const struct read_logprob *l = c->recipe->reference.p ? logprob_of(x, c->recipe->reference) : NULL;
	bool rewarded = p->c[i].goal.p != NULL;

	*out = (struct snap_response){
		.text = c->escaped ? x->text : escaped(c, x->text, a),
		.id = x->id,
		.score = rewarded ? number(a, p->c[i].reward) : STR_NONE,
		.goal = g->json[i],
		.goal_text = g->text[i],
		.ref_logp = l ? number(a, l->l.logprob) : STR_NONE,
		.reward = rewarded ? p->c[i].reward : (double)NAN,
	};
	c->found.answers++;
	c->found.no_reference += l == NULL;
}

enum { NOT_USED = UINT32_MAX };

/* The answers that pairs use, in order of their first use; place[i] says where
 * candidate i went. */
static void put_answers(struct compiler *c, const struct read_prompt *prompt, const struct picked *p,
                        const struct goals *g, struct arena *a, uint32_t *place, struct snap_prompt *out)
{
	struct snap_response *r = ARENA_ARRAY(a, struct snap_response, p->n);

	for (size_t i = 0; i < p->n; i++)
		place[i] = NOT_USED;
	for (size_t k = 0; k < p->pairs.n; k++) {
		const uint32_t side[2] = {p->pairs.pair[k].chosen, p->pairs.pair[k].rejected};

		for (int s = 0; s < 2; s++) {
			uint32_t i = side[s];

			if (place[i] != NOT_USED)
				continue;
			put_answer(c, &prompt->response[p->response[i]], p, i, g, a, &r[out->responses]);
			place[i] = out->responses++;
		}
	}
	out->response = r;
}

/* --- pairs ---------------------------------------------------------------------------- */

/* As sha256_field, but gathered: the hash takes one long piece faster than
 * many short ones. */
static void field(struct buf *b, struct str s)
{
	uint64_t n = s.n; /* little-endian, as everything here: see snap/layout.h */

	buf_add(b, &n, sizeof n);
	buf_str(b, s);
}

static void field_or_null(struct buf *b, struct str s)
{
	field(b, s.p ? s : STR("null"));
}

static struct str bytes(const uint8_t hash[SHA256_BYTES])
{
	return (struct str){(const char *)hash, SHA256_BYTES};
}

void compile_pair(struct compiler *c, const struct compiled_pair *p)
{
	const struct snap_response *w = p->chosen, *l = p->rejected;
	struct buf *b = &c->scratch;

	buf_clear(b);
	field(b, p->prompt);
	field(b, bytes(p->messages_hash));
	field(b, w->id);
	field(b, l->id);
	field(b, bytes(p->chosen_text_hash));
	field(b, bytes(p->rejected_text_hash));
	field_or_null(b, w->score);
	field_or_null(b, l->score);
	field_or_null(b, p->pair->plain ? STR_NONE : w->goal);
	field_or_null(b, p->pair->plain ? STR_NONE : l->goal);
	field_or_null(b, w->ref_logp);
	field_or_null(b, l->ref_logp);
	field(b, origin_name(p->pair->origin));
	field(b, p->lineage);
	sha256_add(c->hash, b->p, b->n);
	c->found.pairs++;
	c->found.plain += (uint64_t)p->pair->plain;
}

static void put_pair(struct compiler *c, const struct read_prompt *prompt, const struct picked *p,
                     const struct pair *from, const uint32_t *place, const struct snap_prompt *out,
                     struct snap_pair *pair)
{
	const struct candidate *w = &p->c[from->chosen], *l = &p->c[from->rejected];
	const struct snap_response *rw = &out->response[place[from->chosen]];
	const struct snap_response *rl = &out->response[place[from->rejected]];
	const struct compiled_pair compiled = {prompt->id, prompt->messages_hash, w->text_hash, l->text_hash, rw, rl,
	                                       pair, c->lineage};

	pair_id(prompt->id, w->id, l->id, pair->id);
	pair->chosen = place[from->chosen];
	pair->rejected = place[from->rejected];
	pair->origin = c->origin;
	/* Ranks may print alike where the rewards do not. */
	pair->plain = from->plain || str_eq(rw->goal, rl->goal);
	compile_pair(c, &compiled);
	if (pair->plain)
		return;
	check_goals(c, p, from->chosen);
	check_goals(c, p, from->rejected);
}

static void put_pairs(struct compiler *c, const struct read_prompt *prompt, const struct picked *p,
                      const uint32_t *place, struct arena *a, struct snap_prompt *out)
{
	struct snap_pair *pair = ARENA_ARRAY(a, struct snap_pair, p->pairs.n);

	for (size_t k = 0; k < p->pairs.n; k++)
		put_pair(c, prompt, p, &p->pairs.pair[k], place, out, &pair[k]);
	out->pair = pair;
	out->pairs = (uint32_t)p->pairs.n;
}

int compile_prompt(struct compiler *c, const struct read_prompt *prompt, const struct picked *picked,
                   struct arena *a, struct err *e)
{
	uint32_t *place = ARENA_ARRAY(a, uint32_t, picked->n);
	struct snap_prompt out = {.id = prompt->id};
	struct goals goals;

	print_goals(c, picked, a, &goals);
	if (cut_messages(prompt->messages, a, &out, e) < 0)
		return -1;
	compile_roles(c, &out);
	put_answers(c, prompt, picked, &goals, a, place, &out);
	put_pairs(c, prompt, picked, place, a, &out);
	return snap_put(c->writer, &out, e);
}
