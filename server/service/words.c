#include <stdlib.h>

#include "recipe.h"

const char *const augment_words[] = {"both", "chosen", "rejected", "none"};
const char *const goal_words[] = {"reward", "attributes", "quantile"};
const char *const placement_words[] = {"system", "user"};
const char *const format_words[] = {"trl", "trl_text", "llamafactory", "openrlhf"};
const char *const across_words[] = {"mean", "median", "min", "max"};
const char *const strategy_words[] = {"best_random", "best_worst", "best_rest", "adjacent", "all", "comparisons"};

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
