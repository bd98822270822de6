/* Recipes, rounds and templates: read, printed and read again are the same. */
#include "../../server/service/recipe.h"
#include "../../server/service/round_spec.h"
#include "../../server/service/template.h"
#include "fuzz.h"

static const struct attribute declared[1] = {{{"helpfulness", 11}, 1, 5}};
static const struct dataset dataset = {
	.name = {"d", 1}, .goal_min = 1, .goal_max = 10, .attribute = declared, .attributes = 1};

static struct str printed(struct arena *a, const struct recipe *r)
{
	struct buf b = BUF_INIT;
	struct str s;

	recipe_print(&b, r, RECIPE_WHOLE);
	s = arena_str(a, buf_view(&b));
	buf_release(&b);
	return s;
}

static void resolve(struct arena *a, struct recipe *r)
{
	static const struct series scores[] = {
		{.a = {"j", 1}, .b = {"helpfulness", 11}, .exact = {.count = 4}},
		{.a = {"j", 1}, .b = {"overall", 7}, .exact = {.count = 4}, .min = 1, .max = 9},
	};
	const struct dataset_stats stats = {.score = scores, .scored = 2};
	struct recipe again;
	struct err e = {0};
	struct str once;

	if (recipe_resolve(r, a, &dataset, &stats, &e) < 0) {
		must_explain(&e);
		return;
	}
	once = printed(a, r);
	MUST(recipe_load(a, once, &again, &e) == 0);
	MUST(str_eq(printed(a, &again), once));
}

static void try_recipe(struct arena *a, struct str text)
{
	struct recipe_post post;
	struct err e = {0};

	if (recipe_read_post(a, text, &post, &e) < 0) {
		must_explain(&e);
		return;
	}
	if (post.recipe.made_from.round.p == NULL)
		resolve(a, &post.recipe);
}

static void try_round(struct arena *a, struct str text)
{
	struct round_spec spec, again;
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct str posted;
	struct err e = {0};

	if (round_spec_read(a, text, &spec, &posted, &e) < 0) {
		must_explain(&e);
		return;
	}
	round_spec_print(&once, &spec, SPEC_STORED);
	MUST(round_spec_load(a, buf_view(&once), &again, &e) == 0);
	round_spec_print(&twice, &again, SPEC_STORED);
	MUST(str_eq(buf_view(&once), buf_view(&twice)));
	buf_release(&once);
	buf_release(&twice);
}

static void try_template(struct str text)
{
	size_t ends[TEMPLATE_GOALS_MAX + 1], goals;
	struct buf b = BUF_INIT;
	struct err e = {0};

	if (!utf8_valid(text))
		return; /* it comes out of JSON */
	if (template_check(text, &e) < 0) {
		must_explain(&e);
		return;
	}
	goals = template_cut(&b, text, 1, 10, false, ends);
	MUST(goals >= 1 && goals <= TEMPLATE_GOALS_MAX && ends[goals] == b.n);
	for (size_t i = 0; i < goals; i++)
		MUST(ends[i] <= ends[i + 1]);
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct str text;

	if (size == 0)
		return 0;
	arena_init(&a);
	text = arena_str(&a, text_of(data + 1, size - 1));
	if (data[0] % 3 == 0)
		try_recipe(&a, text);
	else if (data[0] % 3 == 1)
		try_round(&a, text);
	else
		try_template(text);
	arena_release(&a);
	return 0;
}
