/* Recipes: read strictly, resolved against a dataset, printed canonically;
 * and the template that states a goal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "../../server/service/recipe.h"
#include "../../server/service/template.h"

static struct arena arena;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static void assert_text(struct str got, const char *want)
{
	assert_string_equal(arena_str(&arena, got).p, want);
}

/* --- reading ------------------------------------------------------------------------- */

static void refused(const char *text, enum problem p, const char *pointer)
{
	struct recipe_post post;
	struct err e = {0};
	int rc = recipe_read_post(&arena, str_of(text), &post, &e);

	if (rc == 0 || e.problem != p || strcmp(e.pointer, pointer) != 0)
		print_error("%s: %d %s %s: %s\n", text, rc, problem_slug(e.problem), e.pointer, e.detail);
	assert_int_equal(rc, -1);
	assert_string_equal(problem_slug(e.problem), problem_slug(p));
	assert_string_equal(e.pointer, pointer);
	assert_true(e.detail[0] != '\0');
}

static struct recipe_post taken(const char *text)
{
	struct recipe_post post;
	struct err e = {0};

	if (recipe_read_post(&arena, str_of(text), &post, &e) < 0)
		print_error("%s: %s %s\n", text, e.pointer, e.detail);
	assert_string_equal(e.detail, "");
	return post;
}

static void wrong_documents(void **state)
{
	(void)state;
	refused("", P_BROKEN_JSON, "");
	refused("{\"recipe\":{}", P_BROKEN_JSON, "");
	refused("[]", P_INVALID, "");
	refused("{}", P_INVALID, "/recipe");
	refused("{\"recipe\":[]}", P_INVALID, "/recipe");
	refused("{\"recipe\":{},\"name\":\"a b\"}", P_INVALID, "/name");
	refused("{\"recipe\":{},\"wait\":1}", P_UNKNOWN_KEY, "/wait");
	refused("{\"recipe\":{\"goal_scale\":{\"min\":1,\"max\":10}}}", P_UNKNOWN_KEY, "/recipe/goal_scale");
	refused("{\"recipe\":{\"reward\":{\"ranges\":{}}}}", P_UNKNOWN_KEY, "/recipe/reward/ranges");
}

static void wrong_words_and_values(void **state)
{
	static const struct {
		const char *recipe;
		enum problem p;
		const char *pointer;
	} cases[] = {
		{"{\"pairing\":{\"strategy\":\"best\"}}", P_INVALID, "/recipe/pairing/strategy"},
		{"{\"pairing\":{\"strategy\":1}}", P_INVALID, "/recipe/pairing/strategy"},
		{"{\"pairing\":{\"how\":1}}", P_UNKNOWN_KEY, "/recipe/pairing/how"},
		{"{\"pairing\":{\"min_responses\":0}}", P_INVALID, "/recipe/pairing/min_responses"},
		{"{\"pairing\":{\"min_margin\":-0.5}}", P_INVALID, "/recipe/pairing/min_margin"},
		{"{\"pairing\":{\"seed\":-1}}", P_INVALID, "/recipe/pairing/seed"},
		{"{\"pairing\":{\"seed\":1.5}}", P_INVALID, "/recipe/pairing/seed"},
		{"{\"holdout\":{\"fraction\":0.1}}", P_INVALID, "/recipe/holdout/part"},
		{"{\"holdout\":{\"fraction\":1.1,\"part\":\"eval\"}}", P_INVALID, "/recipe/holdout/fraction"},
		{"{\"holdout\":{\"fraction\":0.1,\"part\":\"test\"}}", P_INVALID, "/recipe/holdout/part"},
		{"{\"reward\":{\"attributes\":{}}}", P_INVALID, "/recipe/reward/attributes"},
		{"{\"reward\":{\"attributes\":{\"a\":0,\"b\":0}}}", P_INVALID, "/recipe/reward/attributes"},
		{"{\"reward\":{\"attributes\":{\"a/b\":\"1\"}}}", P_INVALID, "/recipe/reward/attributes/a~1b"},
		{"{\"reward\":{\"attributes\":{\"a\":1e10}}}", P_INVALID, "/recipe/reward/attributes/a"},
		{"{\"reward\":{\"judges\":[]}}", P_INVALID, "/recipe/reward/judges"},
		{"{\"reward\":{\"judges\":[\"a\",3]}}", P_INVALID, "/recipe/reward/judges/1"},
		{"{\"reward\":{\"across_judges\":\"best\"}}", P_INVALID, "/recipe/reward/across_judges"},
		{"{\"reward\":{\"rescale\":\"yes\"}}", P_INVALID, "/recipe/reward/rescale"},
		{"{\"reward\":{\"rescoring\":1}}", P_INVALID, "/recipe/reward/rescoring"},
		{"{\"filters\":{\"rounds\":[]}}", P_INVALID, "/recipe/filters/rounds"},
		{"{\"filters\":{\"sources\":[]}}", P_INVALID, "/recipe/filters/sources"},
		{"{\"filters\":{\"models\":\"m\"}}", P_INVALID, "/recipe/filters/models"},
		{"{\"filters\":{\"max_characters\":-1}}", P_INVALID, "/recipe/filters/max_characters"},
		{"{\"reference\":\"\"}", P_INVALID, "/recipe/reference"},
		{"{\"split\":3}", P_INVALID, "/recipe/split"},
		{"{\"view\":{\"augment\":\"all\"}}", P_INVALID, "/recipe/view/augment"},
		{"{\"view\":{\"goal\":\"score\"}}", P_INVALID, "/recipe/view/goal"},
		{"{\"view\":{\"placement\":\"assistant\"}}", P_INVALID, "/recipe/view/placement"},
		{"{\"view\":{\"format\":\"llamafactory\"}}", P_INVALID, "/recipe/view/format"},
		{"{\"view\":{\"template\":\"no goal\"}}", P_INVALID, "/recipe/view/template"},
		{"{\"view\":{\"template\":\"{goal} {score}\"}}", P_INVALID, "/recipe/view/template"},
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		snprintf(text, sizeof text, "{\"recipe\":%s}", cases[i].recipe);
		refused(text, cases[i].p, cases[i].pointer);
	}
}

static void the_posted_form_is_canonical(void **state)
{
	struct recipe_post a = taken("{\"recipe\":{\"view\":{\"goal\":\"reward\"},\"pairing\":{\"seed\":7.0}},\"name\":\"n\"}");
	struct recipe_post b = taken("{ \"recipe\": {\"pairing\": {\"seed\": 7}, \"view\": {\"goal\": \"reward\"}}}");

	(void)state;
	assert_text(a.name, "n");
	assert_null(b.name.p);
	assert_text(a.posted, "{\"pairing\":{\"seed\":7},\"view\":{\"goal\":\"reward\"}}");
	assert_text(b.posted, a.posted.p);
}

/* --- resolving --------------------------------------------------------------------------- */

/* A dataset in which g scored helpfulness and verbosity, h helpfulness; x only
 * failed; v voted. helpfulness has the range 1 to 5. */
static struct series scores[] = {
	{.a = {"g", 1}, .b = {"helpfulness", 11}, .exact = {.count = 4}},
	{.a = {"g", 1}, .b = {"verbosity", 9}, .exact = {.count = 4}},
	{.a = {"h", 1}, .b = {"helpfulness", 11}, .exact = {.count = 1}},
	{.a = {"x", 1}, .b = {"honesty", 7}, .failed = 2},
};
static struct series votes[] = {{.a = {"v", 1}, .exact = {.count = 3}}};
static const struct attribute ranges[] = {{{"helpfulness", 11}, 1, 5}};

static int resolve(const char *recipe, size_t scored, struct str *whole, struct str *hashed, struct err *e)
{
	struct dataset d = {.goal_min = 1, .goal_max = 10, .attribute = ranges, .attributes = 1};
	struct dataset_stats st = {.score = scores, .scored = (uint32_t)scored, .voter = votes, .voters = 1};
	char text[300];
	struct recipe_post post;
	struct buf b = BUF_INIT;

	snprintf(text, sizeof text, "{\"recipe\":%s}", recipe);
	post = taken(text);
	*e = (struct err){0};
	if (recipe_resolve(&post.recipe, &arena, &d, &st, e) < 0)
		return -1;
	recipe_print(&b, &post.recipe, RECIPE_WHOLE);
	*whole = arena_str(&arena, buf_view(&b));
	buf_clear(&b);
	recipe_print(&b, &post.recipe, RECIPE_HASHED);
	*hashed = arena_str(&arena, buf_view(&b));
	buf_release(&b);
	return 0;
}

static void unresolved(const char *recipe, enum problem p, const char *pointer)
{
	struct str whole, hashed;
	struct err e;

	assert_int_equal(resolve(recipe, 4, &whole, &hashed, &e), -1);
	assert_string_equal(problem_slug(e.problem), problem_slug(p));
	assert_string_equal(e.pointer, pointer);
}

/* The part of a text from `from` up to `to`. */
static struct str between(struct str s, const char *from, const char *to)
{
	const char *a = strstr(s.p, from), *b = a ? strstr(a, to) : NULL;

	assert_non_null(b);
	return arena_str(&arena, (struct str){a, (size_t)(b - a)});
}

static void every_default_is_resolved(void **state)
{
	struct str whole, hashed;
	struct err e;

	(void)state;
	assert_int_equal(resolve("{}", 4, &whole, &hashed, &e), 0);
	assert_text(hashed,
	            "{\"filters\":{},\"goal_scale\":{\"max\":10,\"min\":1},"
	            "\"pairing\":{\"min_margin\":0,\"min_responses\":2,\"seed\":42,\"strategy\":\"best_random\"},"
	            "\"reward\":{\"across_judges\":\"mean\",\"attributes\":{\"helpfulness\":1,\"verbosity\":1},"
	            "\"judges\":[\"g\",\"h\"],\"ranges\":{\"helpfulness\":{\"max\":5,\"min\":1}},\"rescale\":true},"
	            "\"split\":\"train\",\"view\":{\"goal\":\"reward\"}}");
	assert_non_null(strstr(whole.p, "\"view\":{\"augment\":\"both\",\"format\":\"trl\",\"goal\":\"reward\","
	                                "\"placement\":\"system\",\"template\":\""));
}

static void overall_stands_alone(void **state)
{
	struct str whole, hashed;
	struct err e;

	(void)state;
	scores[1].b = STR("overall");
	assert_int_equal(resolve("{}", 4, &whole, &hashed, &e), 0);
	scores[1].b = STR("verbosity");
	assert_text(between(hashed, "\"attributes\"", ",\"ranges\""), "\"attributes\":{\"overall\":1},\"judges\":[\"g\"]");
	assert_non_null(strstr(hashed.p, "\"ranges\":{},\"rescale\":false"));
}

static void nothing_scored(void **state)
{
	struct str whole, hashed;
	struct err e;

	(void)state;
	assert_int_equal(resolve("{}", 0, &whole, &hashed, &e), 0);
	assert_non_null(strstr(hashed.p, "\"attributes\":{},\"judges\":[],"));
	assert_int_equal(resolve("{\"pairing\":{\"strategy\":\"comparisons\"}}", 0, &whole, &hashed, &e), 0);
	assert_non_null(strstr(hashed.p, "\"attributes\":{},\"judges\":[\"v\"],"));
	assert_int_equal(resolve("{\"view\":{\"goal\":\"attributes\"}}", 0, &whole, &hashed, &e), -1);
	assert_string_equal(e.pointer, "/recipe/view/goal");
}

static void comparisons_take_scorers_and_voters(void **state)
{
	struct str whole, hashed;
	struct err e;

	(void)state;
	assert_int_equal(resolve("{\"pairing\":{\"strategy\":\"comparisons\"}}", 4, &whole, &hashed, &e), 0);
	assert_non_null(strstr(hashed.p, "\"judges\":[\"g\",\"h\",\"v\"]"));
}

static void names_are_sorted_and_known(void **state)
{
	struct str whole, hashed;
	struct err e;

	(void)state;
	assert_int_equal(resolve("{\"reward\":{\"judges\":[\"h\",\"g\",\"h\"],\"attributes\":{\"verbosity\":-0.5,\"helpfulness\":2},"
	                         "\"rescale\":false}}", 4, &whole, &hashed, &e), 0);
	assert_text(between(hashed, "\"attributes\"", "},\"split\""),
	            "\"attributes\":{\"helpfulness\":2,\"verbosity\":-0.5},\"judges\":[\"g\",\"h\"],\"ranges\":{},"
	            "\"rescale\":false");
	/* Only failed scores make a name known, but no default. */
	assert_int_equal(resolve("{\"reward\":{\"judges\":[\"x\"],\"attributes\":{\"honesty\":1}}}", 4, &whole, &hashed, &e), 0);
	unresolved("{\"reward\":{\"judges\":[\"g\",\"nobody\"]}}", P_UNKNOWN_ID, "/recipe/reward/judges/1");
	unresolved("{\"reward\":{\"judges\":[\"v\"]}}", P_UNKNOWN_ID, "/recipe/reward/judges/0");
	unresolved("{\"reward\":{\"attributes\":{\"helpfulness\":1,\"wit/charm\":1}}}", P_UNKNOWN_ID,
	           "/recipe/reward/attributes/wit~1charm");
	unresolved("{\"reward\":{\"rescale\":true}}", P_INVALID, "/recipe/reward/rescale");
}

static void filters_are_sets(void **state)
{
	struct str whole, hashed;
	struct err e;

	(void)state;
	assert_int_equal(resolve("{\"filters\":{\"sources\":[\"b\",\"a\",\"b\"],\"exclude_sources\":[],\"min_characters\":0,"
	                         "\"max_characters\":9,\"min_reward\":-1.5,\"max_prompt_characters\":7,\"models\":[\"m\"],"
	                         "\"exclude_finish_reasons\":[\"length\"]}}", 4, &whole, &hashed, &e), 0);
	assert_text(between(hashed, "{\"filters\"", ",\"goal_scale\""),
	            "{\"filters\":{\"exclude_finish_reasons\":[\"length\"],\"max_characters\":9,\"max_prompt_characters\":7,"
	            "\"min_reward\":-1.5,\"models\":[\"m\"],\"sources\":[\"a\",\"b\"]}");
}

/* What was printed reads back to the same, whole and hashed. */
static void printed_recipes_read_back(void **state)
{
	static const char *const recipes[] = {
		"{}",
		"{\"split\":\"*\",\"holdout\":{\"fraction\":0.05,\"part\":\"eval\",\"seed\":9007199254740991},\"reference\":\"m/ref\"}",
		"{\"filters\":{\"sources\":[\"a\"],\"min_reward\":2},\"pairing\":{\"min_margin\":0.1,\"strategy\":\"adjacent\"}}",
		"{\"reward\":{\"attributes\":{\"verbosity\":-0.3,\"helpfulness\":0},\"across_judges\":\"median\"},"
		"\"view\":{\"goal\":\"attributes\",\"augment\":\"none\",\"placement\":\"user\",\"format\":\"trl_text\"}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++) {
		struct str whole, hashed;
		struct buf b = BUF_INIT;
		struct recipe r;
		struct err e;

		assert_int_equal(resolve(recipes[i], 4, &whole, &hashed, &e), 0);
		assert_int_equal(recipe_load(&arena, whole, &r, &e), 0);
		recipe_print(&b, &r, RECIPE_WHOLE);
		assert_text(buf_view(&b), whole.p);
		buf_clear(&b);
		recipe_print(&b, &r, RECIPE_HASHED);
		assert_text(buf_view(&b), hashed.p);
		buf_clear(&b);
		assert_int_equal(recipe_load(&arena, hashed, &r, &e), 0);
		recipe_print(&b, &r, RECIPE_HASHED);
		assert_text(buf_view(&b), hashed.p);
		buf_release(&b);
	}
}

static void the_view_is_not_hashed(void **state)
{
	struct str whole, a, b;
	struct err e;

	(void)state;
	assert_int_equal(resolve("{}", 4, &whole, &a, &e), 0);
	assert_int_equal(resolve("{\"view\":{\"augment\":\"none\",\"placement\":\"user\",\"format\":\"trl_text\","
	                         "\"template\":\"{goal}!\"}}", 4, &whole, &b, &e), 0);
	assert_text(b, a.p);
	assert_int_equal(resolve("{\"view\":{\"goal\":\"quantile\"}}", 4, &whole, &b, &e), 0);
	assert_true(strcmp(a.p, b.p) != 0);
}

static void a_broken_stored_recipe(void **state)
{
	struct recipe r;
	struct err e;

	(void)state;
	assert_int_equal(recipe_load(&arena, STR("{\"split\":1}"), &r, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
	assert_int_equal(recipe_load(&arena, STR("{"), &r, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
}

/* --- templates ------------------------------------------------------------------------------ */

static int checked(const char *template, struct err *e)
{
	*e = (struct err){0};
	return template_check(str_of(template), e);
}

static void templates_hold_a_goal(void **state)
{
	static char goals[6 * (TEMPLATE_GOALS_MAX + 1) + 1], text[TEMPLATE_BYTES_MAX + 2];
	struct err e;

	(void)state;
	assert_int_equal(checked("{goal}", &e), 0);
	assert_int_equal(checked("{min}{max}{goal} of {goal}", &e), 0);
	assert_int_equal(checked("{\"aim\": {goal}, {}, { goal }, {1}, {", &e), 0); /* braces that open no word */
	assert_int_equal(checked("", &e), -1);
	assert_int_equal(checked("{goal", &e), -1);
	assert_int_equal(checked("{Goal} {goal}", &e), -1);
	assert_non_null(strstr(e.detail, "{Goal}"));
	for (int i = 0; i <= TEMPLATE_GOALS_MAX; i++)
		memcpy(goals + 6 * i, "{goal}", 6);
	assert_int_equal(checked(goals, &e), -1);
	goals[6 * TEMPLATE_GOALS_MAX] = '\0';
	assert_int_equal(checked(goals, &e), 0);
	memset(text, 'x', TEMPLATE_BYTES_MAX + 1);
	memcpy(text, "{goal}", 6);
	assert_int_equal(checked(text, &e), -1);
	text[TEMPLATE_BYTES_MAX] = '\0';
	assert_int_equal(checked(text, &e), 0);
	assert_int_equal(checked(template_default, &e), 0);
}

static void templates_are_cut_at_their_goals(void **state)
{
	size_t ends[TEMPLATE_GOALS_MAX + 1];
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(template_cut(&b, STR("\"{min}\n{goal}/{max} {goal}"), 1, 7.5, true, ends), 2);
	/* \"1\n  |  /7.5  and a space  |  nothing */
	assert_text(buf_view(&b), "\\\"1\\n/7.5 ");
	assert_int_equal(ends[0], 5);
	assert_int_equal(ends[1], 10);
	assert_int_equal(ends[2], 10);
	buf_clear(&b);
	assert_int_equal(template_cut(&b, STR("a\n{goal}"), 1, 10, false, ends), 1);
	assert_text(buf_view(&b), "a\n");
	buf_release(&b);
}

static void the_inference_prompt_aims_highest(void **state)
{
	struct weighted w[] = {{.name = STR("a")}, {.name = STR("b c")}};
	struct recipe r = {.template = STR("{goal} of {max}; {goal}"), .goal_min = 0, .goal_max = 2.25};
	struct buf b = BUF_INIT;

	(void)state;
	template_inference(&b, &r);
	assert_text(buf_view(&b), "2.25 of 2.25; 2.25");
	buf_clear(&b);
	r.goal = GOAL_ATTRIBUTES;
	r.attribute = w;
	r.attributes = 2;
	template_inference(&b, &r);
	assert_text(buf_view(&b), "a: 2.25, b c: 2.25 of 2.25; a: 2.25, b c: 2.25");
	buf_release(&b);
}

static void the_default_names_scale_and_goal(void **state)
{
	struct recipe r = {.template = str_of(template_default), .goal_min = 1, .goal_max = 10};
	struct buf b = BUF_INIT;

	(void)state;
	template_inference(&b, &r);
	buf_byte(&b, '\0');
	assert_non_null(strstr(b.p, "from 1 to 10"));
	assert_non_null(strstr(b.p, "10 is the best"));
	assert_non_null(strstr(b.p, "rating: 10."));
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(wrong_documents),
		TEST(wrong_words_and_values),
		TEST(the_posted_form_is_canonical),
		TEST(every_default_is_resolved),
		TEST(overall_stands_alone),
		TEST(nothing_scored),
		TEST(comparisons_take_scorers_and_voters),
		TEST(names_are_sorted_and_known),
		TEST(filters_are_sets),
		TEST(printed_recipes_read_back),
		TEST(the_view_is_not_hashed),
		TEST(a_broken_stored_recipe),
		TEST(templates_hold_a_goal),
		TEST(templates_are_cut_at_their_goals),
		TEST(the_inference_prompt_aims_highest),
		TEST(the_default_names_scale_and_goal),
	};

	return cmocka_run_group_tests_name("recipe", tests, NULL, NULL);
}
