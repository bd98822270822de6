#include "template.h"

#include "align/goal.h"

const char template_default[] = "Answers to this conversation are rated on a scale from {min} to {max}; "
                                "{max} is the best. Write an answer that deserves this rating: {goal}.";

enum slot { SLOT_END, SLOT_GOAL, SLOT_MIN, SLOT_MAX, SLOT_UNKNOWN };

static bool word_byte(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/* The length of "{word}" at the front of s, or 0. */
static size_t placeholder(struct str s)
{
	size_t n = 1;

	if (s.n < 3 || s.p[0] != '{')
		return 0;
	while (n < s.n && word_byte(s.p[n], n == 1))
		n++;
	return n > 1 && n < s.n && s.p[n] == '}' ? n + 1 : 0;
}

static enum slot slot_of(struct str word)
{
	if (str_eq(word, STR("{goal}")))
		return SLOT_GOAL;
	if (str_eq(word, STR("{min}")))
		return SLOT_MIN;
	return str_eq(word, STR("{max}")) ? SLOT_MAX : SLOT_UNKNOWN;
}

/* Takes the text up to the next placeholder, and the placeholder, off *rest. */
static enum slot next_slot(struct str *rest, struct str *text, struct str *word)
{
	size_t at = 0, n = 0;

	while (at < rest->n && (n = placeholder((struct str){rest->p + at, rest->n - at})) == 0)
		at++;
	*text = (struct str){rest->p, at};
	*word = (struct str){rest->p + at, n};
	rest->p += at + n;
	rest->n -= at + n;
	return n ? slot_of(*word) : SLOT_END;
}

int template_check(struct str template, struct err *e)
{
	struct str text, word;
	enum slot slot;
	int goals = 0;

	if (template.n > TEMPLATE_BYTES_MAX)
		return err_set(e, P_INVALID, "a template has at most %d bytes", TEMPLATE_BYTES_MAX);
	while ((slot = next_slot(&template, &text, &word)) != SLOT_END) {
		if (slot == SLOT_UNKNOWN)
			return err_set(e, P_INVALID, "%.*s is no placeholder: there are {goal}, {min} and {max}",
			               (int)(word.n < 60 ? word.n : 60), word.p);
		goals += slot == SLOT_GOAL;
	}
	if (goals == 0)
		return err_set(e, P_INVALID, "a template must hold {goal}");
	if (goals > TEMPLATE_GOALS_MAX)
		return err_set(e, P_INVALID, "a template holds {goal} at most %d times", TEMPLATE_GOALS_MAX);
	return 0;
}

size_t template_cut(struct buf *b, struct str template, double min, double max, bool escaped,
                    size_t ends[TEMPLATE_GOALS_MAX + 1])
{
	size_t start = b->n, goals = 0;
	struct str text, word;
	enum slot slot;

	do {
		slot = next_slot(&template, &text, &word);
		if (escaped)
			json_put_escaped(b, text);
		else
			buf_str(b, text);
		if (slot == SLOT_MIN || slot == SLOT_MAX)
			json_put_number(b, slot == SLOT_MIN ? min : max);
		if (slot == SLOT_GOAL && goals < TEMPLATE_GOALS_MAX)
			ends[goals++] = b->n - start;
	} while (slot != SLOT_END);
	ends[goals] = b->n - start;
	return goals;
}

static void best_goal(struct buf *b, const struct recipe *r)
{
	char best[GOAL_TEXT_BYTES];
	size_t n = goal_print(r->goal_max, r->goal == GOAL_QUANTILE ? QUANTILE_DECIMALS : GOAL_DECIMALS, best);

	if (r->goal != GOAL_ATTRIBUTES) {
		buf_add(b, best, n);
		return;
	}
	for (size_t i = 0; i < r->attributes; i++) {
		if (i > 0)
			buf_lit(b, ", ");
		buf_str(b, r->attribute[i].name);
		buf_lit(b, ": ");
		buf_add(b, best, n);
	}
}

void template_inference(struct buf *b, const struct recipe *r)
{
	size_t ends[TEMPLATE_GOALS_MAX + 1], from = 0;
	struct buf text = BUF_INIT;
	size_t goals = template_cut(&text, r->template, r->goal_min, r->goal_max, false, ends);

	for (size_t i = 0; i <= goals; i++) {
		buf_add(b, buf_view(&text).p + from, ends[i] - from);
		if (i < goals)
			best_goal(b, r);
		from = ends[i];
	}
	buf_release(&text);
}
