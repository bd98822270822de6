/* The document of a round: defaults, what is kept exactly, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../server/service/round_spec.h"

#define MODELS "\"policy\":\"p\",\"reference\":\"r\""

static struct arena arena;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

static struct str stored(const struct round_spec *s)
{
	struct buf b = BUF_INIT;
	struct str out;

	round_spec_print(&b, s, SPEC_STORED);
	out = arena_str(&arena, buf_view(&b));
	buf_release(&b);
	return out;
}

static struct round_spec read_spec(const char *text)
{
	struct round_spec s;
	struct str posted;
	struct err e = {0};

	if (round_spec_read(&arena, str_of(text), &s, &posted, &e) < 0)
		fail_msg("%s: %s %s", text, e.pointer, e.detail);
	return s;
}

static void defaults_are_resolved(void **state)
{
	struct round_spec s = read_spec("{" MODELS "}");

	(void)state;
	assert_string_equal(
		stored(&s).p,
		"{\"alpha\":\"auto\",\"beta\":0.1,\"filters\":{\"exclude_finish_reasons\":[\"abort\",\"length\"],"
		"\"max_characters\":6699,\"min_characters\":4},\"lease_seconds\":300,\"length\":\"characters\","
		"\"min_responses\":8,\"policy\":\"p\",\"prompts\":{\"seed\":0,\"split\":\"train\"},\"reference\":\"r\","
		"\"responses\":\"sample\",\"responses_per_prompt\":16,\"sampling\":{}}");
	assert_null(s.name.p);
	assert_int_equal(s.limit, -1);
	assert_false(s.has_replay);
}

static void what_is_printed_is_read_again(void **state)
{
	static const char text[] =
		"{\"name\":\"n\", " MODELS ", \"previous\":\"r0\", \"beta\":0.05, \"alpha\":1e-3, \"length\":\"tokens\","
		" \"responses\":\"dataset\", \"responses_per_prompt\":4, \"min_responses\":2, \"lease_seconds\":1,"
		" \"engines\":{\"reference\":\"e2\",\"policy\":\"e1\"},"
		" \"filters\":{\"exclude_finish_reasons\":[\"z\",\"a\",\"z\"],\"min_characters\":0,\"max_characters\":9},"
		" \"prompts\":{\"split\":\"*\",\"limit\":7,\"seed\":3},"
		" \"sampling\":{ \"n\":12345678901234567890, \"temperature\" : 1.0 },"
		" \"replay\":{\"snapshot\":\"s\",\"gamma\":0.80000000000000000,\"total\":10,\"seed\":5}}";
	struct round_spec s = read_spec(text), again;
	struct err e = {0};

	(void)state;
	assert_string_equal(
		stored(&s).p,
		"{\"alpha\":0.001,\"beta\":0.05,\"engines\":{\"policy\":\"e1\",\"reference\":\"e2\"},\"filters\":{\"exclude_finish_reasons\":[\"a\",\"z\"],\"max_characters\":9,"
		"\"min_characters\":0},\"lease_seconds\":1,\"length\":\"tokens\",\"min_responses\":2,\"policy\":\"p\","
		"\"previous\":\"r0\",\"prompts\":{\"limit\":7,\"seed\":3,\"split\":\"*\"},\"reference\":\"r\","
		"\"replay\":{\"gamma\":0.80000000000000000,\"seed\":5,\"snapshot\":\"s\",\"total\":10},"
		"\"responses\":\"dataset\",\"responses_per_prompt\":4,"
		"\"sampling\":{\"n\":12345678901234567890,\"temperature\":1.0}}");
	assert_int_equal(s.replay.gamma.num, 4); /* 0.8 is 4/5 */
	assert_int_equal(s.replay.gamma.den, 5);
	assert_int_equal(round_spec_load(&arena, stored(&s), &again, &e), 0);
	assert_string_equal(stored(&again).p, stored(&s).p);
	assert_int_equal(again.replay.gamma.den, 5);
}

static void shown_it_leaves_room_for_the_progress(void **state)
{
	struct round_spec s = read_spec("{" MODELS "}");
	struct buf b = BUF_INIT;

	(void)state;
	buf_lit(&b, "{\"id\":1");
	round_spec_print(&b, &s, SPEC_SHOWN);
	buf_byte(&b, '\0');
	assert_non_null(strstr(b.p, "{\"id\":1,\"alpha\":"));
	assert_non_null(strstr(b.p, ",\"previous\":null,\"prompts_from\":{\"seed\":0,"));
	assert_non_null(strstr(b.p, ",\"responses_from\":\"sample\","));
	assert_null(strstr(b.p, "\"prompts\":"));
	assert_null(strstr(b.p, "\"responses\":"));
	buf_release(&b);
}

static void the_posted_form_is_canonical(void **state)
{
	struct round_spec s;
	struct str one, two;
	struct err e = {0};

	(void)state;
	assert_int_equal(round_spec_read(&arena, STR("{ \"beta\" : 1e-1, " MODELS " }"), &s, &one, &e), 0);
	assert_int_equal(round_spec_read(&arena, STR("{" MODELS ",\"beta\":0.1}"), &s, &two, &e), 0);
	assert_true(str_eq(one, two));
	assert_int_equal(round_spec_read(&arena, STR("{" MODELS "}"), &s, &two, &e), 0);
	assert_false(str_eq(one, two)); /* as posted: a default said is not a default left out */
}

static void bad_documents_are_refused(void **state)
{
	static const struct {
		const char *text, *pointer;
		enum problem problem;
	} bad[] = {
		{"{", "", P_BROKEN_JSON},
		{"[]", "", P_INVALID},
		{"{\"policy\":\"p\"}", "/reference", P_INVALID},
		{"{\"policy\":\"p\",\"reference\":\"p\"}", "/reference", P_INVALID},
		{"{" MODELS ",\"colour\":1}", "/colour", P_UNKNOWN_KEY},
		{"{" MODELS ",\"name\":\"a b\"}", "/name", P_INVALID},
		{"{" MODELS ",\"beta\":0}", "/beta", P_INVALID},
		{"{" MODELS ",\"alpha\":\"grid\"}", "/alpha", P_INVALID},
		{"{" MODELS ",\"alpha\":-1}", "/alpha", P_INVALID},
		{"{" MODELS ",\"alpha\":null}", "/alpha", P_INVALID},
		{"{" MODELS ",\"responses\":\"both\"}", "/responses", P_INVALID},
		{"{" MODELS ",\"length\":\"bytes\"}", "/length", P_INVALID},
		{"{" MODELS ",\"responses_per_prompt\":0}", "/responses_per_prompt", P_INVALID},
		{"{" MODELS ",\"responses_per_prompt\":1025}", "/responses_per_prompt", P_INVALID},
		{"{" MODELS ",\"min_responses\":0}", "/min_responses", P_INVALID},
		{"{" MODELS ",\"lease_seconds\":0}", "/lease_seconds", P_INVALID},
		{"{" MODELS ",\"lease_seconds\":1.5}", "/lease_seconds", P_INVALID},
		{"{" MODELS ",\"filters\":{\"min_characters\":7000}}", "/filters/max_characters", P_INVALID},
		{"{" MODELS ",\"filters\":{\"exclude_finish_reasons\":[\"a\",\"\"]}}", "/filters/exclude_finish_reasons/1",
		 P_INVALID},
		{"{" MODELS ",\"prompts\":{\"limit\":0}}", "/prompts/limit", P_INVALID},
		{"{" MODELS ",\"prompts\":{\"part\":1}}", "/prompts/part", P_UNKNOWN_KEY},
		{"{" MODELS ",\"sampling\":[]}", "/sampling", P_INVALID},
		{"{" MODELS ",\"replay\":{\"gamma\":0.5}}", "/replay/snapshot", P_INVALID},
		{"{" MODELS ",\"replay\":{\"snapshot\":\"s\"}}", "/replay/gamma", P_INVALID},
		{"{" MODELS ",\"replay\":{\"snapshot\":\"s\",\"gamma\":1.5}}", "/replay/gamma", P_INVALID},
		{"{" MODELS ",\"replay\":{\"snapshot\":\"s\",\"gamma\":\"0.5\"}}", "/replay/gamma", P_INVALID},
		{"{" MODELS ",\"engines\":{\"policy\":\"\"}}", "/engines/policy", P_INVALID},
		{"{" MODELS ",\"engines\":{\"judge\":\"v\"}}", "/engines/judge", P_UNKNOWN_KEY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct round_spec s;
		struct str posted;
		struct err e = {0};

		if (round_spec_read(&arena, str_of(bad[i].text), &s, &posted, &e) == 0)
			fail_msg("taken: %s", bad[i].text);
		if (e.problem != bad[i].problem || (e.problem != P_BROKEN_JSON && strcmp(e.pointer, bad[i].pointer) != 0))
			fail_msg("%s: %s %s %s", bad[i].text, problem_slug(e.problem), e.pointer, e.detail);
	}
}

static void a_stored_text_that_is_none_is_internal(void **state)
{
	struct round_spec s;
	struct err e = {0};

	(void)state;
	assert_int_equal(round_spec_load(&arena, STR("{\"name\":\"n\"," MODELS "}"), &s, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
	assert_int_equal(round_spec_load(&arena, STR("x"), &s, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(defaults_are_resolved),
		TEST(what_is_printed_is_read_again),
		TEST(shown_it_leaves_room_for_the_progress),
		TEST(the_posted_form_is_canonical),
		TEST(bad_documents_are_refused),
		TEST(a_stored_text_that_is_none_is_internal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
