/* What is asked of engines, and answers of theirs as published: vLLM's
 * completions, its older echo form, SGLang's generate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../server/service/engine.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

/* --- ids -------------------------------------------------------------------------------- */

/* Three of the prompt's, two of the response's. */
static struct engine_ids five(void)
{
	struct engine_ids ids;

	assert_int_equal(engine_ids_read(&arena, STR("[1,22,333]"), STR("[44,5]"), &ids), FAILED_NONE);
	return ids;
}

static void ids_are_joined(void **state)
{
	struct engine_ids ids = five();
	static const int32_t want[] = {1, 22, 333, 44, 5};

	(void)state;
	assert_int_equal(ids.n, 5);
	assert_int_equal(ids.prompt, 3);
	assert_memory_equal(ids.id, want, sizeof want);
	assert_int_equal(engine_ids_read(&arena, STR("[2147483647]"), STR("[0]"), &ids), FAILED_NONE);
	assert_int_equal(ids.id[0], 2147483647);
	assert_int_equal(ids.id[1], 0);
}

static void absent_or_empty_ids_are_missing(void **state)
{
	struct engine_ids ids;

	(void)state;
	assert_int_equal(engine_ids_read(&arena, STR_NONE, STR("[1]"), &ids), FAILED_MISSING_TOKEN_IDS);
	assert_int_equal(engine_ids_read(&arena, STR("[1]"), STR_NONE, &ids), FAILED_MISSING_TOKEN_IDS);
	assert_int_equal(engine_ids_read(&arena, STR("[]"), STR("[1]"), &ids), FAILED_MISSING_TOKEN_IDS);
	assert_int_equal(engine_ids_read(&arena, STR("[1]"), STR("[]"), &ids), FAILED_MISSING_TOKEN_IDS);
}

static void ids_have_a_limit(void **state)
{
	struct buf b = BUF_INIT;
	struct engine_ids ids;

	(void)state;
	buf_lit(&b, "[1");
	for (int i = 1; i < ENGINE_TOKENS_MAX - 1; i++)
		buf_lit(&b, ",1");
	buf_byte(&b, ']');
	assert_int_equal(engine_ids_read(&arena, buf_view(&b), STR("[1]"), &ids), FAILED_NONE);
	assert_int_equal(engine_ids_read(&arena, buf_view(&b), STR("[1,2]"), &ids), FAILED_TOO_MANY_TOKENS);
	buf_release(&b);
}

/* --- asking ------------------------------------------------------------------------------ */

static void assert_ask(enum engine_form form, const char *path, const char *body)
{
	struct engine_ids ids = five();
	struct buf b = BUF_INIT;

	assert_string_equal(engine_path(form), path);
	engine_ask(&b, form, STR("org/m\"x\""), &ids);
	buf_byte(&b, '\0');
	assert_string_equal(b.p, body);
	buf_release(&b);
}

static void requests_are_the_engines(void **state)
{
	(void)state;
	assert_ask(FORM_VLLM, "/v1/completions",
	           "{\"model\":\"org/m\\\"x\\\"\",\"prompt\":[1,22,333,44,5],\"max_tokens\":1,\"temperature\":0,"
	           "\"prompt_logprobs\":0}");
	assert_ask(FORM_ECHO, "/v1/completions",
	           "{\"model\":\"org/m\\\"x\\\"\",\"prompt\":[1,22,333,44,5],\"max_tokens\":0,\"temperature\":0,"
	           "\"echo\":true,\"logprobs\":1}");
	/* The prompt has three: from its last one on. */
	assert_ask(FORM_SGLANG, "/generate",
	           "{\"input_ids\":[[1,22,333,44,5]],\"sampling_params\":{\"max_new_tokens\":1,\"temperature\":0},"
	           "\"return_logprob\":true,\"logprob_start_len\":2}");
	assert_int_equal(engine_form_of(ENGINE_VLLM), FORM_VLLM);
	assert_int_equal(engine_form_of(ENGINE_SGLANG), FORM_SGLANG);
}

static void an_answers_bytes_are_bounded(void **state)
{
	struct engine_ids ids = {.n = 5};

	(void)state;
	assert_int_equal(engine_answer_bytes(&ids), 65536 + 5 * 1024);
	ids.n = ENGINE_TOKENS_MAX;
	assert_int_equal(engine_answer_bytes(&ids), 64 << 20);
}

/* --- reading ------------------------------------------------------------------------------ */

static void reads(enum engine_form form, const char *body, double want)
{
	struct engine_ids ids = five();
	double got = 1;

	assert_string_equal(score_failure_word(engine_read(&arena, form, str_of(body), &ids, &got)), "none");
	assert_true(got == want);
}

static void fails(enum engine_form form, const char *body, enum score_failure why)
{
	struct engine_ids ids = five();
	double got = 1;

	assert_string_equal(score_failure_word(engine_read(&arena, form, str_of(body), &ids, &got)),
	                    score_failure_word(why));
	assert_true(got == 0);
}

/* What both of vLLM's answers have around the list. */
#define VLLM(list) \
	"{\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0," \
	"\"text\":\" a\",\"logprobs\":null,\"finish_reason\":\"length\",\"stop_reason\":null,\"prompt_logprobs\":" list \
	"}],\"usage\":{\"prompt_tokens\":5,\"total_tokens\":6,\"completion_tokens\":1}}"
#define ENTRY(id, x) "{\"" id "\":{\"logprob\":" x ",\"rank\":3,\"decoded_token\":\" t\"}}"
#define HEAD "null," ENTRY("22", "-9") "," ENTRY("333", "-8") ","

static void vllm_is_read_at_the_prompts_own_id(void **state)
{
	(void)state;
	/* -1.5 - 0.25, both exact in doubles; the prompt's own values are not in it. */
	reads(FORM_VLLM, VLLM("[" HEAD ENTRY("44", "-1.5") "," ENTRY("5", "-0.25") "]"), -1.75);
	/* The likeliest token stands first; the prompt's own comes behind it. */
	reads(FORM_VLLM,
	      VLLM("[" HEAD "{\"7\":{\"logprob\":-0.125,\"rank\":1,\"decoded_token\":\"x\"},"
	           "\"44\":{\"logprob\":-1.5,\"rank\":9,\"decoded_token\":\"y\"}}," ENTRY("5", "-0.25") "]"), -1.75);
	/* "4" and "444" are other ids. */
	fails(FORM_VLLM, VLLM("[" HEAD "{\"4\":{\"logprob\":-1},\"444\":{\"logprob\":-1}}," ENTRY("5", "-0.25") "]"),
	      FAILED_TOKEN_ID_MISMATCH);
	/* Within the prompt a value may lack, an id may not be another. */
	reads(FORM_VLLM, VLLM("[null,null,null," ENTRY("44", "-1.5") "," ENTRY("5", "-0.25") "]"), -1.75);
	fails(FORM_VLLM, VLLM("[null," ENTRY("23", "-9") "," ENTRY("333", "-8") "," ENTRY("44", "-1.5") ","
	                      ENTRY("5", "-0.25") "]"), FAILED_TOKEN_ID_MISMATCH);
}

static void vllm_lengths_must_match(void **state)
{
	(void)state;
	fails(FORM_VLLM, VLLM("[]"), FAILED_LENGTH_MISMATCH);
	fails(FORM_VLLM, VLLM("[" HEAD ENTRY("44", "-1.5") "]"), FAILED_LENGTH_MISMATCH);
	/* A BOS of the engine's own in front. */
	fails(FORM_VLLM, VLLM("[null," ENTRY("1", "-9") "," ENTRY("22", "-9") "," ENTRY("333", "-8") ","
	                      ENTRY("44", "-1.5") "," ENTRY("5", "-0.25") "]"), FAILED_LENGTH_MISMATCH);
	fails(FORM_VLLM, VLLM("null"), FAILED_WRONG_FORM);
}

static void numbers_that_are_none_are_refused(void **state)
{
#define LAST(x) VLLM("[" HEAD ENTRY("44", "-1.5") "," ENTRY("5", x) "]")
	(void)state;
	fails(FORM_VLLM, LAST("null"), FAILED_NULL_LOGPROB);
	fails(FORM_VLLM, LAST("-9999"), FAILED_MASKED_LOGPROB);
	fails(FORM_VLLM, LAST("-9999.0"), FAILED_MASKED_LOGPROB);
	fails(FORM_VLLM, LAST("-1e300"), FAILED_MASKED_LOGPROB);
	fails(FORM_VLLM, LAST("NaN"), FAILED_BROKEN_JSON);
	fails(FORM_VLLM, LAST("-Infinity"), FAILED_BROKEN_JSON);
	fails(FORM_VLLM, LAST("1e400"), FAILED_BROKEN_JSON);
	fails(FORM_VLLM, LAST("\"-1\""), FAILED_WRONG_FORM);
	fails(FORM_VLLM, LAST("0.5"), FAILED_POSITIVE_LOGPROB);
	fails(FORM_VLLM, LAST("0.0011"), FAILED_POSITIVE_LOGPROB);
	reads(FORM_VLLM, LAST("0.001"), -1.5 + 0.001);
	reads(FORM_VLLM, LAST("-9998.9"), -1.5 + -9998.9);
	fails(FORM_VLLM, VLLM("[" HEAD ENTRY("44", "-1.5") ",null]"), FAILED_NULL_LOGPROB);
	fails(FORM_VLLM, VLLM("[" HEAD ENTRY("44", "-1.5") ",{\"5\":null}]"), FAILED_NULL_LOGPROB);
	fails(FORM_VLLM, VLLM("[" HEAD ENTRY("44", "-1.5") ",{\"5\":-1}]"), FAILED_WRONG_FORM);
	fails(FORM_VLLM, VLLM("[" HEAD ENTRY("44", "-1.5") ",{\"5\":{\"rank\":1}}]"), FAILED_WRONG_FORM);
	fails(FORM_VLLM, VLLM("[" HEAD ENTRY("44", "-1.5") ",-1]"), FAILED_WRONG_FORM);
}

static void a_sum_above_zero_is_rounding_up_to_a_point(void **state)
{
	(void)state;
	reads(FORM_VLLM, VLLM("[" HEAD ENTRY("44", "0.0004") "," ENTRY("5", "0.0004") "]"), 0);
	fails(FORM_VLLM, VLLM("[" HEAD ENTRY("44", "0.0009") "," ENTRY("5", "0.0009") "]"), FAILED_POSITIVE_LOGPROB);
}

static void what_is_no_completion_is_refused(void **state)
{
	static const char *const wrong[] = {
		"{}", "[]", "null", "1", "\"\"", "{\"choices\":null}", "{\"choices\":[]}", "{\"choices\":[1]}",
		"{\"choices\":[{}]}", "{\"choices\":{\"0\":{}}}", "{\"choices\":[{\"prompt_logprobs\":{}}]}",
		"{\"choices\":[{},{}]}", "{\"error\":\"overloaded\"}", "{\"choices\":[{\"logprobs\":[]}]}",
		"{\"meta_info\":[]}", "{\"meta_info\":{}}", "{\"meta_info\":{\"input_token_logprobs\":null}}", "[{},{}]",
		"[[]]",
	};
	static const char *const broken[] = {"", " ", "<html>502</html>", "{", "{}{}", "{\"a\":1,\"a\":2}", "{'a':1}", "\xFF"};

	(void)state;
	for (int form = FORM_VLLM; form <= FORM_SGLANG; form++) {
		for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
			fails((enum engine_form)form, wrong[i], FAILED_WRONG_FORM);
		for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
			fails((enum engine_form)form, broken[i], FAILED_BROKEN_JSON);
	}
}

#define ECHOED(list) \
	"{\"choices\":[{\"index\":0,\"text\":\"abcde\",\"logprobs\":{\"text_offset\":[0,1,2,3,4]," \
	"\"token_logprobs\":" list ",\"tokens\":[\"a\",\"b\",\"c\",\"d\",\"e\"],\"top_logprobs\":[null,{},{},{},{}]}," \
	"\"finish_reason\":\"length\"}]}"

static void the_older_form_is_a_list(void **state)
{
	(void)state;
	reads(FORM_ECHO, ECHOED("[null,-9,-8,-1.5,-0.25]"), -1.75);
	reads(FORM_ECHO, ECHOED("[null,null,7,-1.5,-0.25]"), -1.75);
	fails(FORM_ECHO, ECHOED("[null,-9,-8,-1.5]"), FAILED_LENGTH_MISMATCH);
	/* The token that it made came along. */
	fails(FORM_ECHO, ECHOED("[null,-9,-8,-1.5,-0.25,-3]"), FAILED_LENGTH_MISMATCH);
	fails(FORM_ECHO, ECHOED("[null,-9,-8,-1.5,null]"), FAILED_NULL_LOGPROB);
	fails(FORM_ECHO, ECHOED("[null,-9,-8,-9999.0,-1]"), FAILED_MASKED_LOGPROB);
	fails(FORM_ECHO, ECHOED("[null,-9,-8,1,-1]"), FAILED_POSITIVE_LOGPROB);
	fails(FORM_ECHO, ECHOED("[null,-9,-8,NaN,-1]"), FAILED_BROKEN_JSON);
	fails(FORM_ECHO, ECHOED("[null,-9,-8,{},-1]"), FAILED_WRONG_FORM);
	fails(FORM_ECHO, ECHOED("{}"), FAILED_WRONG_FORM);
	fails(FORM_ECHO, "{\"choices\":[{\"logprobs\":null}]}", FAILED_WRONG_FORM);
	/* Each form's answer is none of the other's. */
	fails(FORM_VLLM, ECHOED("[null,-9,-8,-1.5,-0.25]"), FAILED_WRONG_FORM);
	fails(FORM_ECHO, VLLM("[" HEAD ENTRY("44", "-1.5") "," ENTRY("5", "-0.25") "]"), FAILED_WRONG_FORM);
}

#define SGLANG(list) \
	"[{\"text\":\" a\",\"meta_info\":{\"id\":\"1\",\"finish_reason\":{\"type\":\"length\",\"length\":1}," \
	"\"prompt_tokens\":5,\"input_token_logprobs\":" list ",\"output_token_logprobs\":[[-0.1,9,null]]," \
	"\"completion_tokens\":1}}]"

static void sglang_begins_one_before_the_response(void **state)
{
	(void)state;
	reads(FORM_SGLANG, SGLANG("[[null,333,null],[-1.5,44,null],[-0.25,5,null]]"), -1.75);
	reads(FORM_SGLANG, SGLANG("[[-3,333,\"x\"],[-1.5,44,\"y\"],[-0.25,5,\"z\"]]"), -1.75);
	reads(FORM_SGLANG, SGLANG("[[null,333],[-1.5,44],[-0.25,5]]"), -1.75);
	/* One element may come without its list. */
	reads(FORM_SGLANG, "{\"meta_info\":{\"input_token_logprobs\":[[null,333,null],[-1.5,44,null],[-0.25,5,null]]}}",
	      -1.75);
	fails(FORM_SGLANG, SGLANG("[[-1.5,44,null],[-0.25,5,null]]"), FAILED_LENGTH_MISMATCH);
	fails(FORM_SGLANG, SGLANG("[[null,1,null],[-9,22,null],[-8,333,null],[-1.5,44,null],[-0.25,5,null]]"),
	      FAILED_LENGTH_MISMATCH);
	fails(FORM_SGLANG, SGLANG("[[null,334,null],[-1.5,44,null],[-0.25,5,null]]"), FAILED_TOKEN_ID_MISMATCH);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],[-1.5,5,null],[-0.25,44,null]]"), FAILED_TOKEN_ID_MISMATCH);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],[-1.5,44.5,null],[-0.25,5,null]]"), FAILED_TOKEN_ID_MISMATCH);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],[null,44,null],[-0.25,5,null]]"), FAILED_NULL_LOGPROB);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],[-9999.0,44,null],[-0.25,5,null]]"), FAILED_MASKED_LOGPROB);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],[NaN,44,null],[-0.25,5,null]]"), FAILED_BROKEN_JSON);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],[2,44,null],[-0.25,5,null]]"), FAILED_POSITIVE_LOGPROB);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],-1.5,[-0.25,5,null]]"), FAILED_WRONG_FORM);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],[-1.5],[-0.25,5,null]]"), FAILED_WRONG_FORM);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],[-1.5,\"44\",null],[-0.25,5,null]]"), FAILED_WRONG_FORM);
	fails(FORM_SGLANG, SGLANG("[[null,333,null],[\"x\",44,null],[-0.25,5,null]]"), FAILED_WRONG_FORM);
}

/* One id each: the shortest that there is. */
static void a_prompt_of_one_token_is_enough(void **state)
{
	struct engine_ids ids;
	double got;

	(void)state;
	assert_int_equal(engine_ids_read(&arena, STR("[1]"), STR("[2]"), &ids), FAILED_NONE);
	assert_int_equal(engine_read(&arena, FORM_VLLM, STR(VLLM("[null," ENTRY("2", "-0.5") "]")), &ids, &got), FAILED_NONE);
	assert_true(got == -0.5);
	assert_int_equal(engine_read(&arena, FORM_SGLANG, STR(SGLANG("[[null,1,null],[-0.5,2,null]]")), &ids, &got),
	                 FAILED_NONE);
	assert_true(got == -0.5);
}

/* Every cut of a good answer is refused, and nothing is read beyond it. */
static void a_cut_answer_is_never_read(void **state)
{
	static const char whole[] = VLLM("[" HEAD ENTRY("44", "-1.5") "," ENTRY("5", "-0.25") "]");
	struct engine_ids ids = five();
	double got;

	(void)state;
	for (size_t n = 0; n < sizeof whole - 1; n++) {
		char *cut = malloc(n + 1);

		memcpy(cut, whole, n);
		assert_int_equal(engine_read(&arena, FORM_VLLM, (struct str){cut, n}, &ids, &got), FAILED_BROKEN_JSON);
		free(cut);
	}
}

/* --- what an answer calls for ------------------------------------------------------------ */

static void judged(enum fetch_end end, int status, enum engine_form form, int tries, enum engine_next want,
                   enum score_failure why)
{
	struct fetch_answer a = {.end = end, .status = status, .retry_after_seconds = -1, .body = STR("")};
	enum score_failure got = FAILED_UNKNOWN_RESPONSE;

	assert_int_equal(engine_judge(&a, form, tries, &got), want);
	if (want == NEXT_FAIL)
		assert_string_equal(score_failure_word(got), score_failure_word(why));
}

static void only_what_passes_by_itself_is_tried_again(void **state)
{
	static const int again[] = {429, 500, 502, 503, 504, 599}, never[] = {100, 401, 403, 405, 408, 413, 418};

	(void)state;
	judged(FETCH_ANSWERED, 200, FORM_VLLM, 1, NEXT_READ, FAILED_NONE);
	for (size_t i = 0; i < sizeof again / sizeof *again; i++)
		for (int tries = 1; tries <= ENGINE_TRIES_MAX; tries++)
			judged(FETCH_ANSWERED, again[i], FORM_SGLANG, tries, tries < ENGINE_TRIES_MAX ? NEXT_RETRY : NEXT_FAIL,
			       again[i] == 429 ? FAILED_TOO_MANY_REQUESTS : FAILED_ENGINE_ERROR);
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		judged(FETCH_ANSWERED, never[i], FORM_VLLM, 1, NEXT_FAIL, FAILED_ENGINE_REFUSED);
	judged(FETCH_ANSWERED, 302, FORM_VLLM, 1, NEXT_FAIL, FAILED_REDIRECTED);
	judged(FETCH_ANSWERED, 307, FORM_SGLANG, 1, NEXT_FAIL, FAILED_REDIRECTED);
	judged(FETCH_TIMED_OUT, 0, FORM_VLLM, 4, NEXT_RETRY, FAILED_NONE);
	judged(FETCH_TIMED_OUT, 0, FORM_VLLM, 5, NEXT_FAIL, FAILED_TIMEOUT);
	judged(FETCH_UNREACHABLE, 0, FORM_VLLM, 1, NEXT_FAIL, FAILED_UNREACHABLE);
	judged(FETCH_BAD_URL, 0, FORM_VLLM, 1, NEXT_FAIL, FAILED_UNREACHABLE);
	judged(FETCH_CUT, 0, FORM_VLLM, 1, NEXT_FAIL, FAILED_NO_ANSWER);
	judged(FETCH_TOO_LARGE, 0, FORM_VLLM, 1, NEXT_FAIL, FAILED_ANSWER_TOO_LARGE);
}

static void a_refused_new_form_is_asked_in_the_old(void **state)
{
	static const int refused[] = {400, 404, 422};

	(void)state;
	for (int i = 0; i < 3; i++) {
		judged(FETCH_ANSWERED, refused[i], FORM_VLLM, 1, NEXT_ECHO, FAILED_NONE);
		judged(FETCH_ANSWERED, refused[i], FORM_ECHO, 1, NEXT_FAIL, FAILED_ENGINE_REFUSED);
		judged(FETCH_ANSWERED, refused[i], FORM_SGLANG, 1, NEXT_FAIL, FAILED_ENGINE_REFUSED);
	}
}

static void waits_double_and_heed_retry_after(void **state)
{
	(void)state;
	assert_int_equal(engine_wait_ms(1, -1), 250);
	assert_int_equal(engine_wait_ms(2, -1), 500);
	assert_int_equal(engine_wait_ms(4, -1), 2000);
	assert_int_equal(engine_wait_ms(1, 0), 250);
	assert_int_equal(engine_wait_ms(1, 1), 1000);
	assert_int_equal(engine_wait_ms(4, 1), 2000);
	assert_int_equal(engine_wait_ms(1, 300), 300000);
	assert_int_equal(engine_wait_ms(1, INT64_MAX), 300000);
}

/* --- hosts ---------------------------------------------------------------------------------- */

static void taken(const char *hosts, const char *url, const char *kept)
{
	struct err e = {0};
	struct str s;

	if (engine_url_check(hosts, str_of(url), &s, &e) < 0)
		fail_msg("%s: %s", url, e.detail);
	assert_int_equal(s.n, strlen(kept));
	assert_memory_equal(s.p, kept, s.n);
}

static void refused(const char *hosts, const char *url)
{
	struct err e = {0};
	struct str s;

	assert_int_equal(engine_url_check(hosts, str_of(url), &s, &e), -1);
	assert_int_equal(e.problem, P_INVALID);
}

static void hosts_are_by_allow_list(void **state)
{
	static const char loopback[] = "127.0.0.1 localhost [::1]";

	(void)state;
	taken(loopback, "http://127.0.0.1:8000", "http://127.0.0.1:8000");
	taken(loopback, "http://LocalHost:8000///", "http://LocalHost:8000");
	taken(loopback, "https://[::1]:30000/proxy/", "https://[::1]:30000/proxy");
	taken("  gpu-1.example   GPU-2.example ", "http://gpu-2.EXAMPLE/", "http://gpu-2.EXAMPLE");
	refused(loopback, "http://127.0.0.2/");
	refused(loopback, "http://localhost.example/");
	refused(loopback, "http://127.0.0.1.example/");
	refused(loopback, "http://127.0.0.1@example/");
	refused(loopback, "http://169.254.169.254/latest/meta-data");
	refused(loopback, "http://[::ffff:127.0.0.1]/");
	refused(loopback, "http://0.0.0.0/");
	refused(loopback, "file://localhost/etc/passwd");
	refused("local", "http://localhost/");
	refused("localhosts", "http://localhost/");
	refused("", "http://localhost/");
	refused(" ", "http://localhost/");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(ids_are_joined),
		T(absent_or_empty_ids_are_missing),
		T(ids_have_a_limit),
		T(requests_are_the_engines),
		T(an_answers_bytes_are_bounded),
		T(vllm_is_read_at_the_prompts_own_id),
		T(vllm_lengths_must_match),
		T(numbers_that_are_none_are_refused),
		T(a_sum_above_zero_is_rounding_up_to_a_point),
		T(what_is_no_completion_is_refused),
		T(the_older_form_is_a_list),
		T(sglang_begins_one_before_the_response),
		T(a_prompt_of_one_token_is_enough),
		T(a_cut_answer_is_never_read),
		T(only_what_passes_by_itself_is_tried_again),
		T(a_refused_new_form_is_asked_in_the_old),
		T(waits_double_and_heed_retry_after),
		T(hosts_are_by_allow_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
