#include "example.h"

#include "base/ahead.h"
#include "base/hash.h"

enum {
	EXAMPLE_BYTES = 640, /* keys, ids and numbers of one example, roughly */
	FETCH_BYTES = 2048,
	TAIL_BYTES = 128,  /* of an answer, behind its text */
};

/* --- pieces ------------------------------------------------------------------- */

static void put_or_null(struct buf *b, struct str s)
{
	if (s.p)
		put_str(b, s);
	else
		put_lit(b, "null");
}

void put_goal(const struct example *x)
{
	const struct view *v = x->view;
	size_t from = 0;

	for (size_t i = 0; i <= v->goals; i++) {
		put_str(x->b, (struct str){buf_view(&v->text).p + from, v->ends[i] - from});
		if (i < v->goals)
			put_str(x->b, x->goal);
		from = v->ends[i];
	}
}

int example_message(const struct example *x, uint32_t m, struct snap_message *out)
{
	return snap_message_at(x->snap, x->pair, m, out, x->e);
}

/* Where the goal goes: in front of the first message of the placement's role,
 * or, where there is none, into a new message in front of all. */
static int find_goal_place(struct example *x)
{
	enum role role = x->view->placement == PLACEMENT_SYSTEM ? ROLE_SYSTEM : ROLE_USER;
	struct snap_message m;

	x->goal_at = NEW_MESSAGE;
	if (x->goal.p == NULL)
		return 0;
	for (uint32_t i = 0; i < x->pair->messages; i++) {
		if (example_message(x, i, &m) < 0)
			return -1;
		if (m.role == role) {
			x->goal_at = i;
			return 0;
		}
	}
	return 0;
}

void put_content(const struct example *x, uint32_t i, const struct snap_message *m)
{
	if (x->goal.p && i == x->goal_at) {
		put_goal(x);
		put_lit(x->b, "\\n\\n");
	}
	put_str(x->b, m->content);
}

/* --- conversations: trl and openrlhf -------------------------------------------- */

static void put_role(struct buf *b, struct str role)
{
	put_lit(b, "{\"role\":\"");
	put_str(b, role);
	put_lit(b, "\",\"content\":\"");
}

int put_messages(const struct example *x)
{
	struct snap_message m;
	bool fresh = x->goal.p && x->goal_at == NEW_MESSAGE;

	if (fresh) {
		put_role(x->b, role_name(x->view->placement == PLACEMENT_SYSTEM ? ROLE_SYSTEM : ROLE_USER));
		put_goal(x);
		put_lit(x->b, "\"}");
	}
	for (uint32_t i = 0; i < x->pair->messages; i++) {
		if (example_message(x, i, &m) < 0)
			return -1;
		if (i > 0 || fresh)
			put_lit(x->b, ",");
		put_role(x->b, role_name(m.role));
		put_content(x, i, &m);
		put_lit(x->b, "\"}");
	}
	return 0;
}

void put_answer(struct buf *b, struct str text)
{
	put_lit(b, "{\"role\":\"assistant\",\"content\":\"");
	put_str(b, text);
	put_lit(b, "\"}");
}

/* --- plain text: trl_text --------------------------------------------------------- */

/* A system message, the goal and the user's message, joined by blank lines. */
static int put_text_prompt(const struct example *x)
{
	struct snap_message m;
	bool fresh = x->goal.p && x->goal_at == NEW_MESSAGE;

	if (fresh)
		put_goal(x);
	for (uint32_t i = 0; i < x->pair->messages; i++) {
		if (example_message(x, i, &m) < 0)
			return -1;
		if (i > 0 || fresh)
			put_lit(x->b, "\\n\\n");
		put_content(x, i, &m);
	}
	return 0;
}

static void put_quoted(struct buf *b, struct str escaped)
{
	put_lit(b, "\"");
	put_str(b, escaped);
	put_lit(b, "\"");
}

static int put_bodies(const struct example *x)
{
	bool text = x->view->format == VIEW_TRL_TEXT;
	struct buf *b = x->b;

	if (text) {
		put_lit(b, "\"");
		if (put_text_prompt(x) < 0)
			return -1;
		put_lit(b, "\",\"chosen\":");
		put_quoted(b, x->chosen->text);
		put_lit(b, ",\"rejected\":");
		put_quoted(b, x->rejected->text);
		return 0;
	}
	put_lit(b, "[");
	if (put_messages(x) < 0)
		return -1;
	put_lit(b, "],\"chosen\":[");
	put_answer(b, x->chosen->text);
	put_lit(b, "],\"rejected\":[");
	put_answer(b, x->rejected->text);
	put_lit(b, "]");
	return 0;
}

static void put_pair_id(struct buf *b, const uint8_t id[16])
{
	char hex[33];

	hex_of(id, 16, hex);
	put(b, hex, 32);
}

static int put_trl(const struct example *x)
{
	struct buf *b = x->b;

	put_lit(b, "{\"pair\":\"");
	put_pair_id(b, x->pair->id);
	put_lit(b, "\",\"twin\":\"");
	put_str(b, str_of(x->twin));
	put_lit(b, "\",\"prompt_id\":\"");
	put_str(b, x->pair->prompt_id);
	put_lit(b, "\",\"prompt\":");
	if (put_bodies(x) < 0)
		return -1;
	put_lit(b, ",\"goal\":");
	put_or_null(b, x->goal.p ? x->chosen->goal : STR_NONE);
	put_lit(b, ",\"score_chosen\":");
	put_or_null(b, x->chosen->score);
	put_lit(b, ",\"score_rejected\":");
	put_or_null(b, x->rejected->score);
	put_lit(b, ",\"chosen_id\":");
	put_quoted(b, x->chosen->id);
	put_lit(b, ",\"rejected_id\":");
	put_quoted(b, x->rejected->id);
	put_lit(b, ",\"origin\":");
	put_quoted(b, origin_name(x->pair->origin));
	if (x->view->reference) {
		put_lit(b, ",\"ref_chosen_logps\":");
		put_or_null(b, x->chosen->ref_logp);
		put_lit(b, ",\"ref_rejected_logps\":");
		put_or_null(b, x->rejected->ref_logp);
	}
	put_lit(b, "}");
	return 0;
}

/* --- the door ------------------------------------------------------------------------ */

uint64_t view_examples(enum augment augment, uint64_t pairs)
{
	return augment == AUGMENT_BOTH ? 2 * pairs : pairs;
}

uint64_t view_pair(const struct view *v, uint64_t i, bool *rejected_goal)
{
	*rejected_goal = v->augment == AUGMENT_REJECTED || (v->augment == AUGMENT_BOTH && i % 2 == 1);
	return v->augment == AUGMENT_BOTH ? i / 2 : i;
}

static void choose_sides(struct example *x, bool rejected_goal)
{
	bool plain = x->pair->plain || x->view->augment == AUGMENT_NONE;
	bool swap = rejected_goal && !plain;

	x->chosen = swap ? &x->pair->rejected : &x->pair->chosen;
	x->rejected = swap ? &x->pair->chosen : &x->pair->rejected;
	x->goal = plain ? STR_NONE : x->chosen->goal_text;
	x->twin = plain ? "plain" : swap ? "rejected_goal" : "chosen_goal";
}

static int write_out(struct example *x)
{
	if (find_goal_place(x) < 0)
		return -1;
	switch (x->view->format) {
	case VIEW_LLAMAFACTORY:
		return put_llamafactory(x);
	case VIEW_OPENRLHF:
		return put_openrlhf(x);
	default:
		return put_trl(x);
	}
}

/* The prompt's id with its messages right behind it, and an answer's text with
 * its id, numbers and goal: so much of each that the processor sees a stream
 * then and fetches the rest by itself. */
static void fetch_text(struct str text)
{
	size_t n = text.n + TAIL_BYTES;

	ahead(text.p, n < FETCH_BYTES ? n : FETCH_BYTES);
}

static void fetch_example(const struct snap_view *pair)
{
	ahead(pair->prompt_id.p, FETCH_BYTES);
	fetch_text(pair->chosen.text);
	fetch_text(pair->rejected.text);
}

int view_put(const struct view *v, struct snap *s, const uint64_t *examples, size_t n, char end, struct buf *b,
             struct err *e)
{
	struct example x = {.view = v, .snap = s, .b = b, .e = e};
	struct snap_view pair[VIEW_AT_ONCE];
	uint64_t number[VIEW_AT_ONCE] = {0};
	bool rejected_goal[VIEW_AT_ONCE];

	for (size_t i = 0; i < n; i++)
		number[i] = view_pair(v, examples[i], &rejected_goal[i]);
	if (snap_pairs_at(s, number, n, pair, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n)
			fetch_example(&pair[i + 1]);
		x.pair = &pair[i];
		choose_sides(&x, rejected_goal[i]);
		if (write_out(&x) < 0)
			return -1;
		if (end)
			put(b, &end, 1);
	}
	return 0;
}

size_t view_overhead(const struct view *v)
{
	return v->text.n + EXAMPLE_BYTES;
}

/* --- making one ------------------------------------------------------------------------ */

static int override(struct str word, const char *const *words, int n, const char *pointer, int *to, struct err *e)
{
	int found;

	if (word.p == NULL)
		return 0;
	found = word_among(word, words, n);
	if (found < 0) {
		char list[120] = "";

		for (int i = 0; i < n; i++) {
			strcat(list, i ? ", " : "");
			strcat(list, words[i]);
		}
		return err_at(e, P_INVALID, pointer, "is none of %s", list);
	}
	*to = found;
	return 0;
}

int view_make(struct view *v, const struct recipe *r, const struct view_query *q, int formats, struct err *e)
{
	int augment = r->augment, placement = r->placement, format = r->format;

	*v = (struct view){.goals = 0};
	if (override(q->augment, augment_words, AUGMENT_COUNT, "?augment", &augment, e) < 0 ||
	    override(q->placement, placement_words, PLACEMENT_COUNT, "?placement", &placement, e) < 0 ||
	    override(q->format, format_words, formats, "?format", &format, e) < 0)
		return -1;
	v->augment = (enum augment)augment;
	v->placement = (enum placement)placement;
	v->format = (enum view_format)format;
	v->reference = r->reference.p && v->augment == AUGMENT_NONE;
	v->goals = template_cut(&v->text, r->template, r->goal_min, r->goal_max, true, v->ends);
	return 0;
}

void view_release(struct view *v)
{
	buf_release(&v->text);
}
