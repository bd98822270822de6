#include "words.h"

#include <stdlib.h>

#include "recipe.h"

const char *const augment_words[] = {"both", "chosen", "rejected", "none"};
const char *const goal_words[] = {"reward", "attributes", "quantile"};
const char *const placement_words[] = {"system", "user"};
const char *const format_words[] = {"trl", "trl_text", "llamafactory", "openrlhf"};
const char *const across_words[] = {"mean", "median", "min", "max"};
const char *const strategy_words[] = {"best_random", "best_worst", "best_rest", "adjacent", "all", "comparisons"};
static const char *const part_words[] = {"train", "eval"};

enum { RECIPE_FORMATS = VIEW_TRL_TEXT + 1 }; /* the formats behind it are for export */

int word_among(struct str word, const char *const *words, int n)
{
	for (int i = 0; i < n; i++)
		if (str_eq(word, str_of(words[i])))
			return i;
	return -1;
}

static int bytewise(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

void names_sort(struct names *names)
{
	size_t n = 0;

	if (names->n > 1)
		qsort(names->at, names->n, sizeof *names->at, bytewise);
	for (size_t i = 0; i < names->n; i++)
		if (n == 0 || !str_eq(names->at[n - 1], names->at[i]))
			names->at[n++] = names->at[i];
	names->n = n;
}

bool names_have(const struct names *names, struct str name)
{
	size_t lo = 0, hi = names->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(names->at[mid], name);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* --- words -------------------------------------------------------------------- */

static int read_word(const struct json *v, const char *const *words, int n, int *to, struct err *e)
{
	char list[120] = "";

	if (want_type(v, JSON_STRING, e) < 0)
		return -1;
	*to = word_among(json_string(v), words, n);
	if (*to >= 0)
		return 0;
	for (int i = 0; i < n; i++) {
		strcat(list, i ? ", " : "");
		strcat(list, words[i]);
	}
	return err_set(e, P_INVALID, "is none of %s", list);
}

#define WORD_READER(name, type, words, n)                                                              \
	int name(struct reading *r, const struct json *v, void *to, struct err *e)               \
	{                                                                                               \
		int word;                                                                               \
                                                                                                        \
		(void)r;                                                                                \
		if (read_word(v, words, n, &word, e) < 0)                                               \
			return -1;                                                                      \
		*(type *)to = (type)word;                                                               \
		return 0;                                                                               \
	}
WORD_READER(read_augment, enum augment, augment_words, AUGMENT_COUNT)
WORD_READER(read_goal, enum goal_kind, goal_words, GOAL_COUNT)
WORD_READER(read_placement, enum placement, placement_words, PLACEMENT_COUNT)
WORD_READER(read_format, enum view_format, format_words, RECIPE_FORMATS)
WORD_READER(read_across, enum across, across_words, ACROSS_COUNT)
WORD_READER(read_strategy, enum strategy, strategy_words, STRATEGY_COUNT)
WORD_READER(read_part, bool, part_words, 2)

/* --- numbers ------------------------------------------------------------------ */

int read_fraction(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_number(r, v, to, e) < 0)
		return -1;
	if (*(double *)to < 0 || *(double *)to > 1)
		return err_set(e, P_INVALID, "must lie between 0 and 1");
	return 0;
}

int read_min_margin(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_number(r, v, to, e) < 0)
		return -1;
	return *(double *)to >= 0 ? 0 : err_set(e, P_INVALID, "must not be negative");
}

int read_min_responses(struct reading *r, const struct json *v, void *to, struct err *e)
{
	int64_t n;

	if (read_count(r, v, &n, e) < 0)
		return -1;
	*(uint32_t *)to = (uint32_t)n;
	return n >= 1 ? 0 : err_set(e, P_INVALID, "must be at least 1");
}

int read_rescale(struct reading *r, const struct json *v, void *to, struct err *e)
{
	bool all;

	if (read_bool(r, v, &all, e) < 0)
		return -1;
	*(enum rescale *)to = all ? RESCALE_ALL : RESCALE_NONE;
	return 0;
}

/* --- lists --------------------------------------------------------------------------- */

/* In the order given, so that a pointer still finds the place. */
int read_names(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct names *names = to;
	size_t i = 0;

	if (want_type(v, JSON_ARRAY, e) < 0)
		return -1;
	names->at = ARENA_ARRAY(r->arena, struct str, json_size(v));
	names->n = json_size(v);
	for (const struct json *m = json_first(v); m; m = json_next(m), i++)
		if (read_text(r, m, &names->at[i], e) < 0)
			return err_under(e, "/%zu", i);
	return 0;
}

/* A set: sorted, each once. */
int read_set(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_names(r, v, to, e) < 0)
		return -1;
	names_sort(to);
	return 0;
}
