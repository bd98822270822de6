#include "base/ahead.h"
#include "inside.h"

static int text_at(struct snap *s, uint64_t at, uint32_t length, struct str *out, struct err *e)
{
	const char *p = snap_span(s, SECTION_POOL, at, length, e);

	*out = (struct str){p, length};
	return p ? 0 : -1;
}

static int response_at(struct snap *s, uint32_t number, struct snap_response *out, uint32_t *prompt,
                       struct err *e)
{
	const struct snap_response_rec *rec = snap_record(s, SECTION_RESPONSES, number, e);
	struct str piece[PIECE_COUNT];
	uint64_t total = 0;
	const char *p;

	if (rec == NULL)
		return -1;
	for (int i = 0; i < PIECE_COUNT; i++)
		total += rec->length[i];
	p = snap_span(s, SECTION_POOL, rec->offset, total, e);
	if (p == NULL)
		return -1;
	for (int i = 0; i < PIECE_COUNT; i++) {
		bool absent = i > PIECE_ID && rec->absent >> i & 1;

		piece[i] = absent ? STR_NONE : (struct str){p, rec->length[i]};
		p += rec->length[i];
	}
	*out = (struct snap_response){
		.text = piece[PIECE_TEXT],
		.id = piece[PIECE_ID],
		.score = piece[PIECE_SCORE],
		.goal = piece[PIECE_GOAL],
		.goal_text = piece[PIECE_GOAL_TEXT],
		.ref_logp = piece[PIECE_REF_LOGP],
		.reward = rec->reward,
	};
	*prompt = rec->prompt;
	return 0;
}

int snap_prompt_at(struct snap *s, uint32_t number, struct snap_view *out, struct err *e)
{
	const struct snap_prompt_rec *rec = snap_record(s, SECTION_PROMPTS, number, e);

	if (rec == NULL)
		return -1;
	out->messages = rec->messages;
	out->first_message = rec->first_message;
	return text_at(s, rec->id, rec->id_length, &out->prompt_id, e);
}

/* Many pairs at once: the records lie far apart and each says where the next one
 * lies, so every step is taken for all of them before any takes the next. By
 * then the memory has answered. */

struct gather {
	struct snap *s;
	struct snap_view *out;
	const struct snap_pair_rec *rec[SNAP_AT_ONCE];
	uint32_t prompt[SNAP_AT_ONCE];
	struct err *e;
};

/* Asks the memory for a record, which may be none; nothing is read yet. */
static void ask(const struct snap *s, enum snap_section section, uint64_t number)
{
	uint32_t size = section_record(section);
	const uint8_t *p;

	if (number >= s->part[section].length / size)
		return;
	p = s->part[section].p + number * size;
	ahead(p, 1);
	ahead(p + size - 1, 1);
}

static int take_pair(struct gather *g, size_t k, uint64_t i)
{
	const struct snap_pair_rec *rec = snap_record(g->s, SECTION_PAIRS, i, g->e);
	struct snap_view *out = &g->out[k];

	if (rec == NULL)
		return -1;
	if (rec->origin >= ORIGIN_COUNT || rec->plain > 1)
		return snap_is_damaged(g->e, "a pair is of no known kind");
	memcpy(out->id, rec->id, sizeof out->id);
	out->origin = (enum origin)rec->origin;
	out->plain = rec->plain;
	out->lineage = rec->lineage;
	g->rec[k] = rec;
	ask(g->s, SECTION_RESPONSES, rec->chosen);
	ask(g->s, SECTION_RESPONSES, rec->rejected);
	return 0;
}

static int take_responses(struct gather *g, size_t k)
{
	uint32_t other;

	if (response_at(g->s, g->rec[k]->chosen, &g->out[k].chosen, &g->prompt[k], g->e) < 0 ||
	    response_at(g->s, g->rec[k]->rejected, &g->out[k].rejected, &other, g->e) < 0)
		return -1;
	if (g->prompt[k] != other)
		return snap_is_damaged(g->e, "the answers of a pair belong to two prompts");
	ask(g->s, SECTION_PROMPTS, other);
	return 0;
}

static int take_prompt(struct gather *g, size_t k)
{
	if (snap_prompt_at(g->s, g->prompt[k], &g->out[k], g->e) < 0)
		return -1;
	ask(g->s, SECTION_MESSAGES, g->out[k].first_message);
	return 0;
}

int snap_pairs_at(struct snap *s, const uint64_t *i, size_t n, struct snap_view *out, struct err *e)
{
	struct gather g;

	g.s = s;
	g.out = out;
	g.e = e;
	for (size_t k = 0; k < n; k++) {
		if (i[k] >= snap_pairs(s))
			return err_set(e, P_INTERNAL, "a pair beyond the last was asked for");
		ask(s, SECTION_PAIRS, i[k]);
	}
	for (size_t k = 0; k < n; k++)
		if (take_pair(&g, k, i[k]) < 0)
			return -1;
	for (size_t k = 0; k < n; k++)
		if (take_responses(&g, k) < 0)
			return -1;
	for (size_t k = 0; k < n; k++)
		if (take_prompt(&g, k) < 0)
			return -1;
	return snap_intact(s, e);
}

int snap_pair_at(struct snap *s, uint64_t i, struct snap_view *out, struct err *e)
{
	return snap_pairs_at(s, &i, 1, out, e);
}

int snap_message_at(struct snap *s, const struct snap_view *view, uint32_t m,
                    struct snap_message *out, struct err *e)
{
	const struct snap_message_rec *rec;
	uint64_t count = snap_count(s, SECTION_MESSAGES);

	if (m >= view->messages)
		return err_set(e, P_INTERNAL, "a message beyond the last was asked for");
	if (view->first_message > count) /* so that the sum below cannot wrap */
		return snap_is_damaged(e, "a number leads out of its table");
	rec = snap_record(s, SECTION_MESSAGES, view->first_message + m, e);
	if (rec == NULL)
		return -1;
	if (rec->role >= ROLE_COUNT)
		return snap_is_damaged(e, "a message is of no known role");
	out->role = (enum role)rec->role;
	return text_at(s, rec->offset, rec->length, &out->content, e) < 0 ? -1 : snap_intact(s, e);
}
