/* forms.c - examples as other projects take them. */
#include "example.h"

int put_openrlhf(const struct example *x)
{
	struct buf *b = x->b;

	for (int side = 0; side < 2; side++) {
		if (side == 0)
			put_lit(b, "{\"chosen\":[");
		else
			put_lit(b, "],\"rejected\":[");
		if (put_messages(x) < 0)
			return -1;
		if (x->pair->messages > 0 || x->goal.p)
			put_lit(b, ",");
		put_answer(b, side == 0 ? x->chosen->text : x->rejected->text);
	}
	put_lit(b, "]}");
	return 0;
}

static void put_turn(struct buf *b, bool human)
{
	if (human)
		put_lit(b, "{\"from\":\"human\",\"value\":\"");
	else
		put_lit(b, "{\"from\":\"gpt\",\"value\":\"");
}

/* A system message at the front stands apart; then human and gpt take turns. */
static int put_turns(const struct example *x, bool *has_system)
{
	struct snap_message m;
	uint32_t turns = 0;

	*has_system = false;
	for (uint32_t i = 0; i < x->pair->messages; i++) {
		if (example_message(x, i, &m) < 0)
			return -1;
		if (i == 0 && m.role == ROLE_SYSTEM) {
			*has_system = true;
			continue;
		}
		if (m.role != (turns % 2 ? ROLE_ASSISTANT : ROLE_USER))
			break;
		if (turns++ > 0)
			put_lit(x->b, ",");
		put_turn(x->b, m.role == ROLE_USER);
		put_content(x, i, &m);
		put_lit(x->b, "\"}");
	}
	if (turns % 2 == 0 || turns + *has_system != x->pair->messages)
		return err_at(x->e, P_VIEW, "?format", "the conversation of prompt %.*s does not take turns, ending with the user",
		              STR_ARG(x->pair->prompt_id));
	return 0;
}

static int put_system(const struct example *x, bool has_system)
{
	bool fresh = x->goal.p && x->goal_at == NEW_MESSAGE;
	struct snap_message m;

	if (!has_system && !fresh)
		return 0;
	put_lit(x->b, ",\"system\":\"");
	if (fresh) {
		put_goal(x);
	} else {
		if (example_message(x, 0, &m) < 0)
			return -1;
		put_content(x, 0, &m);
	}
	put_lit(x->b, "\"");
	return 0;
}

int put_llamafactory(const struct example *x)
{
	struct buf *b = x->b;
	bool has_system;

	put_lit(b, "{\"conversations\":[");
	if (put_turns(x, &has_system) < 0)
		return -1;
	put_lit(b, "],\"chosen\":");
	put_turn(b, false);
	put_str(b, x->chosen->text);
	put_lit(b, "\"},\"rejected\":");
	put_turn(b, false);
	put_str(b, x->rejected->text);
	put_lit(b, "\"}");
	if (put_system(x, has_system) < 0)
		return -1;
	put_lit(b, "}");
	return 0;
}
