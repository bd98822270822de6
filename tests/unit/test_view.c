/* Views: examples worked by hand, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../server/service/view.h"
#include "snap/write.h"

#define REVISION STR("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
#define ID "000102030405060708090a0b0c0d0e0f"

/* Two prompts: p0 is a user's question (with a quote in it) and has goals; p1
 * is a longer conversation and its pair is plain, with a score on one side. */
static char dir[] = "/tmp/prefd-view-XXXXXX";
static struct snap *snap;
static struct recipe recipe;

static const struct snap_message one[] = {{ROLE_USER, {"say \\\"hi\\\"", 10}}};
static const struct snap_message with_system[] = {{ROLE_SYSTEM, {"Be brief.", 9}}, {ROLE_USER, {"q", 1}}};
static const struct snap_message turns[] = {
	{ROLE_USER, {"q1", 2}}, {ROLE_ASSISTANT, {"a1", 2}}, {ROLE_USER, {"q2", 2}}};
static const struct snap_message tools[] = {{ROLE_TOOL, {"t", 1}}, {ROLE_ASSISTANT, {"a", 1}}};

static void write_prompt(struct snap_writer *w, const char *id, const struct snap_message *m, uint32_t messages, int plain)
{
	struct snap_response r[2] = {
		{.text = STR("good\\n"), .id = STR("w"), .score = STR("8.504"), .goal = STR("8.5"), .goal_text = STR("8.5"),
		 .ref_logp = STR("-1.5"), .reward = 8.504},
		{.text = STR(""), .id = STR("l"), .score = STR("2"), .goal = STR("2"), .goal_text = STR("2"), .reward = 2},
	};
	struct snap_pair pair = {.chosen = 0, .rejected = 1, .origin = ORIGIN_JUDGED, .plain = plain};
	struct snap_prompt p = {.id = str_of(id), .message = m, .messages = messages, .response = r, .responses = 2,
	                        .pair = &pair, .pairs = 1};
	struct err e;

	if (plain) {
		r[1].score = r[0].goal = r[0].goal_text = r[1].goal = r[1].goal_text = STR_NONE;
		r[1].reward = NAN;
	}
	for (int i = 0; i < 16; i++)
		pair.id[i] = (uint8_t)i;
	assert_int_equal(snap_put(w, &p, &e), 0);
}

static int set_up(void **state)
{
	struct snap_writer *w;
	uint64_t bytes;
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(snap_create(&w, dir, &e), 0);
	write_prompt(w, "p0", one, 1, 0);
	write_prompt(w, "p1", turns, 3, 1);
	write_prompt(w, "p2", with_system, 2, 0);
	write_prompt(w, "p3", turns, 3, 0);
	write_prompt(w, "p4", tools, 2, 0);
	assert_int_equal(snap_finish(w, REVISION, STR("{}"), 0, &bytes, &e), 0);
	assert_int_equal(snap_open(&snap, dir, REVISION, &e), 0);
	recipe = (struct recipe){.template = STR("Aim: {goal}/{max}"), .goal_min = 1, .goal_max = 10};
	return 0;
}

static int tear_down(void **state)
{
	char path[SNAP_PATH_BYTES];

	(void)state;
	snap_close(snap);
	snap_path(dir, REVISION, path);
	unlink(path);
	return rmdir(dir);
}

static void shows(const char *augment, const char *placement, const char *format, uint64_t example, const char *want)
{
	struct view_query q = {str_of(augment), str_of(placement), str_of(format)};
	struct buf b = BUF_INIT;
	struct err e = {0};
	struct view v;

	assert_int_equal(view_make(&v, &recipe, &q, VIEW_FORMATS, &e), 0);
	if (view_put(&v, snap, &example, 1, 0, &b, &e) < 0)
		print_error("%s\n", e.detail);
	buf_byte(&b, '\0');
	assert_string_equal(b.p, want);
	buf_release(&b);
	view_release(&v);
}

#define FRONT(twin, prompt) "{\"pair\":\"" ID "\",\"twin\":\"" twin "\",\"prompt_id\":\"" prompt "\",\"prompt\":"
#define GOOD "[{\"role\":\"assistant\",\"content\":\"good\\n\"}]"
#define BAD "[{\"role\":\"assistant\",\"content\":\"\"}]"
#define BACK(goal, w, l, wid, lid) ",\"goal\":" goal ",\"score_chosen\":" w ",\"score_rejected\":" l \
	",\"chosen_id\":\"" wid "\",\"rejected_id\":\"" lid "\",\"origin\":\"judged\"}"

/* --- twins ------------------------------------------------------------------------------ */

static void both_gives_two_twins(void **state)
{
	(void)state;
	shows("both", NULL, NULL, 0,
	      FRONT("chosen_goal", "p0") "[{\"role\":\"system\",\"content\":\"Aim: 8.5/10\"},"
	      "{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\"}],\"chosen\":" GOOD ",\"rejected\":" BAD
	      BACK("8.5", "8.504", "2", "w", "l"));
	/* The goal of the lower answer: the answers change places, and their scores with them. */
	shows("both", NULL, NULL, 1,
	      FRONT("rejected_goal", "p0") "[{\"role\":\"system\",\"content\":\"Aim: 2/10\"},"
	      "{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\"}],\"chosen\":" BAD ",\"rejected\":" GOOD
	      BACK("2", "2", "8.504", "l", "w"));
}

static void one_goal_alone(void **state)
{
	(void)state;
	shows("chosen", "user", NULL, 0,
	      FRONT("chosen_goal", "p0") "[{\"role\":\"user\",\"content\":\"Aim: 8.5/10\\n\\nsay \\\"hi\\\"\"}],\"chosen\":"
	      GOOD ",\"rejected\":" BAD BACK("8.5", "8.504", "2", "w", "l"));
	shows("rejected", "user", NULL, 0,
	      FRONT("rejected_goal", "p0") "[{\"role\":\"user\",\"content\":\"Aim: 2/10\\n\\nsay \\\"hi\\\"\"}],\"chosen\":"
	      BAD ",\"rejected\":" GOOD BACK("2", "2", "8.504", "l", "w"));
}

static void without_goals(void **state)
{
	(void)state;
	shows("none", NULL, NULL, 0,
	      FRONT("plain", "p0") "[{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\"}],\"chosen\":" GOOD ",\"rejected\":" BAD
	      BACK("null", "8.504", "2", "w", "l"));
}

/* A pair without goals is plain in every view, under both in both its places. */
static void plain_pairs_stay_plain(void **state)
{
	static const char want[] =
		FRONT("plain", "p1") "[{\"role\":\"user\",\"content\":\"q1\"},{\"role\":\"assistant\",\"content\":\"a1\"},"
		"{\"role\":\"user\",\"content\":\"q2\"}],\"chosen\":" GOOD ",\"rejected\":" BAD
		BACK("null", "8.504", "null", "w", "l");

	(void)state;
	shows("both", NULL, NULL, 2, want);
	shows("both", "user", NULL, 3, want);
	shows("chosen", NULL, NULL, 1, want);
	shows("rejected", NULL, NULL, 1, want);
	shows("none", NULL, NULL, 1, want);
}

static void reference_goes_along_without_goals(void **state)
{
	(void)state;
	recipe.reference = STR("m");
	shows("none", NULL, NULL, 0,
	      FRONT("plain", "p0") "[{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\"}],\"chosen\":" GOOD ",\"rejected\":" BAD
	      ",\"goal\":null,\"score_chosen\":8.504,\"score_rejected\":2,\"chosen_id\":\"w\",\"rejected_id\":\"l\","
	      "\"origin\":\"judged\",\"ref_chosen_logps\":-1.5,\"ref_rejected_logps\":null}");
	shows("chosen", "user", NULL, 0,
	      FRONT("chosen_goal", "p0") "[{\"role\":\"user\",\"content\":\"Aim: 8.5/10\\n\\nsay \\\"hi\\\"\"}],\"chosen\":"
	      GOOD ",\"rejected\":" BAD BACK("8.5", "8.504", "2", "w", "l"));
	recipe.reference = STR_NONE;
}

/* --- placements --------------------------------------------------------------------------- */

static void goals_join_what_is_there(void **state)
{
	(void)state;
	shows("chosen", "system", NULL, 2,
	      FRONT("chosen_goal", "p2") "[{\"role\":\"system\",\"content\":\"Aim: 8.5/10\\n\\nBe brief.\"},"
	      "{\"role\":\"user\",\"content\":\"q\"}],\"chosen\":" GOOD ",\"rejected\":" BAD BACK("8.5", "8.504", "2", "w", "l"));
	shows("chosen", "user", NULL, 2,
	      FRONT("chosen_goal", "p2") "[{\"role\":\"system\",\"content\":\"Be brief.\"},"
	      "{\"role\":\"user\",\"content\":\"Aim: 8.5/10\\n\\nq\"}],\"chosen\":" GOOD ",\"rejected\":" BAD
	      BACK("8.5", "8.504", "2", "w", "l"));
	/* Only the first of two user messages. */
	shows("chosen", "user", NULL, 3,
	      FRONT("chosen_goal", "p3") "[{\"role\":\"user\",\"content\":\"Aim: 8.5/10\\n\\nq1\"},"
	      "{\"role\":\"assistant\",\"content\":\"a1\"},{\"role\":\"user\",\"content\":\"q2\"}],\"chosen\":" GOOD
	      ",\"rejected\":" BAD BACK("8.5", "8.504", "2", "w", "l"));
	/* No user message at all: a new one in front. */
	shows("chosen", "user", NULL, 4,
	      FRONT("chosen_goal", "p4") "[{\"role\":\"user\",\"content\":\"Aim: 8.5/10\"},{\"role\":\"tool\",\"content\":\"t\"},"
	      "{\"role\":\"assistant\",\"content\":\"a\"}],\"chosen\":" GOOD ",\"rejected\":" BAD
	      BACK("8.5", "8.504", "2", "w", "l"));
}

/* --- formats -------------------------------------------------------------------------------- */

#define TEXT(twin, id, prompt) FRONT(twin, id) "\"" prompt "\",\"chosen\":\"good\\n\",\"rejected\":\"\""

static void text_form(void **state)
{
	(void)state;
	shows("none", NULL, "trl_text", 0,
	      TEXT("plain", "p0", "say \\\"hi\\\"") BACK("null", "8.504", "2", "w", "l"));
	shows("chosen", NULL, "trl_text", 0,
	      TEXT("chosen_goal", "p0", "Aim: 8.5/10\\n\\nsay \\\"hi\\\"") BACK("8.5", "8.504", "2", "w", "l"));
	shows("none", NULL, "trl_text", 2, TEXT("plain", "p2", "Be brief.\\n\\nq") BACK("null", "8.504", "2", "w", "l"));
	shows("chosen", "system", "trl_text", 2,
	      TEXT("chosen_goal", "p2", "Aim: 8.5/10\\n\\nBe brief.\\n\\nq") BACK("8.5", "8.504", "2", "w", "l"));
	shows("chosen", "user", "trl_text", 2,
	      TEXT("chosen_goal", "p2", "Be brief.\\n\\nAim: 8.5/10\\n\\nq") BACK("8.5", "8.504", "2", "w", "l"));
}

#define FACTORY_GOOD "\"chosen\":{\"from\":\"gpt\",\"value\":\"good\\n\"}"
#define FACTORY_BAD "\"rejected\":{\"from\":\"gpt\",\"value\":\"\"}"

static void llamafactory_form(void **state)
{
	(void)state;
	shows("none", NULL, "llamafactory", 3,
	      "{\"conversations\":[{\"from\":\"human\",\"value\":\"q1\"},{\"from\":\"gpt\",\"value\":\"a1\"},"
	      "{\"from\":\"human\",\"value\":\"q2\"}]," FACTORY_GOOD "," FACTORY_BAD "}");
	shows("none", NULL, "llamafactory", 2,
	      "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"}]," FACTORY_GOOD "," FACTORY_BAD
	      ",\"system\":\"Be brief.\"}");
	shows("chosen", "system", "llamafactory", 0,
	      "{\"conversations\":[{\"from\":\"human\",\"value\":\"say \\\"hi\\\"\"}]," FACTORY_GOOD "," FACTORY_BAD
	      ",\"system\":\"Aim: 8.5/10\"}");
	shows("chosen", "system", "llamafactory", 2,
	      "{\"conversations\":[{\"from\":\"human\",\"value\":\"q\"}]," FACTORY_GOOD "," FACTORY_BAD
	      ",\"system\":\"Aim: 8.5/10\\n\\nBe brief.\"}");
	shows("rejected", "user", "llamafactory", 2,
	      "{\"conversations\":[{\"from\":\"human\",\"value\":\"Aim: 2/10\\n\\nq\"}],"
	      "\"chosen\":{\"from\":\"gpt\",\"value\":\"\"},\"rejected\":{\"from\":\"gpt\",\"value\":\"good\\n\"},"
	      "\"system\":\"Be brief.\"}");
}

static void llamafactory_wants_turns(void **state)
{
	struct view_query q = {STR("none"), STR_NONE, STR("llamafactory")};
	const uint64_t p4 = 4;
	struct buf b = BUF_INIT;
	struct err e = {0};
	struct view v;

	(void)state;
	assert_int_equal(view_make(&v, &recipe, &q, VIEW_FORMATS, &e), 0);
	assert_int_equal(view_put(&v, snap, &p4, 1, 0, &b, &e), -1);
	assert_int_equal(e.problem, P_VIEW);
	assert_non_null(strstr(e.detail, "p4"));
	buf_release(&b);
	view_release(&v);
}

static void openrlhf_form(void **state)
{
	(void)state;
	shows("chosen", NULL, "openrlhf", 2,
	      "{\"chosen\":[{\"role\":\"system\",\"content\":\"Aim: 8.5/10\\n\\nBe brief.\"},"
	      "{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"good\\n\"}],"
	      "\"rejected\":[{\"role\":\"system\",\"content\":\"Aim: 8.5/10\\n\\nBe brief.\"},"
	      "{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"\"}]}");
}

/* Several at once are the same as one by one. */
static void many_at_once(void **state)
{
	static const struct view_query own;
	const uint64_t example[VIEW_AT_ONCE] = {9, 0, 2, 3, 3, 8, 1, 4};
	struct buf one_by_one = BUF_INIT, together = BUF_INIT;
	struct err e = {0};
	struct view v;

	(void)state;
	assert_int_equal(view_make(&v, &recipe, &own, VIEW_FORMATS, &e), 0);
	for (int i = 0; i < VIEW_AT_ONCE; i++) {
		assert_int_equal(view_put(&v, snap, &example[i], 1, 0, &one_by_one, &e), 0);
		buf_byte(&one_by_one, '\n');
	}
	assert_int_equal(view_put(&v, snap, example, VIEW_AT_ONCE, '\n', &together, &e), 0);
	assert_int_equal(one_by_one.n, together.n);
	assert_memory_equal(one_by_one.p, together.p, together.n);
	buf_release(&one_by_one);
	buf_release(&together);
	view_release(&v);
}

/* --- words and numbers ----------------------------------------------------------------------- */

static void wrong_words(void **state)
{
	static const struct {
		struct view_query q;
		int formats;
		const char *pointer;
	} cases[] = {
		{{{"all", 3}, {NULL, 0}, {NULL, 0}}, VIEW_FORMATS, "?augment"},
		{{{NULL, 0}, {"assistant", 9}, {NULL, 0}}, VIEW_FORMATS, "?placement"},
		{{{NULL, 0}, {NULL, 0}, {"csv", 3}}, VIEW_FORMATS, "?format"},
		{{{NULL, 0}, {NULL, 0}, {"openrlhf", 8}}, VIEW_TRL_TEXT + 1, "?format"},
		{{{"", 0}, {NULL, 0}, {NULL, 0}}, VIEW_FORMATS, "?augment"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err e = {0};
		struct view v;

		assert_int_equal(view_make(&v, &recipe, &cases[i].q, cases[i].formats, &e), -1);
		assert_int_equal(e.problem, P_INVALID);
		assert_string_equal(e.pointer, cases[i].pointer);
	}
}

static void the_recipe_s_own_view(void **state)
{
	static const struct view_query own;
	struct err e = {0};
	struct view v;
	bool lower;

	(void)state;
	recipe.augment = AUGMENT_REJECTED;
	recipe.placement = PLACEMENT_USER;
	recipe.format = VIEW_TRL_TEXT;
	assert_int_equal(view_make(&v, &recipe, &own, VIEW_FORMATS, &e), 0);
	assert_int_equal(v.augment, AUGMENT_REJECTED);
	assert_int_equal(v.placement, PLACEMENT_USER);
	assert_int_equal(v.format, VIEW_TRL_TEXT);
	assert_int_equal(view_pair(&v, 7, &lower), 7);
	assert_true(lower);
	view_release(&v);
	recipe.augment = AUGMENT_BOTH;
	recipe.placement = PLACEMENT_SYSTEM;
	recipe.format = VIEW_TRL;
	assert_int_equal(view_examples(AUGMENT_BOTH, 5), 10);
	assert_int_equal(view_examples(AUGMENT_NONE, 5), 5);
}

/* Several goals in one template, and text that must be escaped. */
static void a_template_of_many_pieces(void **state)
{
	struct str kept = recipe.template;

	(void)state;
	recipe.template = STR("{goal}\t{min}-{max} \"{goal}\"");
	shows("chosen", "user", "trl_text", 0,
	      TEXT("chosen_goal", "p0", "8.5\\t1-10 \\\"8.5\\\"\\n\\nsay \\\"hi\\\"") BACK("8.5", "8.504", "2", "w", "l"));
	recipe.template = kept;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_gives_two_twins),
		cmocka_unit_test(one_goal_alone),
		cmocka_unit_test(without_goals),
		cmocka_unit_test(plain_pairs_stay_plain),
		cmocka_unit_test(reference_goes_along_without_goals),
		cmocka_unit_test(goals_join_what_is_there),
		cmocka_unit_test(text_form),
		cmocka_unit_test(llamafactory_form),
		cmocka_unit_test(llamafactory_wants_turns),
		cmocka_unit_test(openrlhf_form),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(wrong_words),
		cmocka_unit_test(the_recipe_s_own_view),
		cmocka_unit_test(a_template_of_many_pieces),
	};

	return cmocka_run_group_tests_name("view", tests, set_up, tear_down);
}
