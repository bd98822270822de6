/* Rows of bodies into facts: what is taken, what is refused, and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "../../server/service/rows.h"

static struct arena arena;
static struct attribute declared[1] = {{{"helpfulness", 11}, 1, 5}};
static struct dataset dataset = {.attribute = declared, .attributes = 1};
static struct round_row round_of = {
	.mode = ROUND_SAMPLE, .policy = {"p", 1}, .reference = {"a/r", 3}, .per_prompt = 4};

static int read_as(enum row_kind kind, enum rows_format format, const char *text, struct row *out, struct err *e)
{
	struct row_rules rules = {.kind = kind, .format = format, .dataset = &dataset, .round = &round_of};

	memset(e, 0, sizeof *e);
	memset(out, 0, sizeof *out);
	return row_read(&arena, &rules, str_of(text), out, e);
}

static const struct record *record_of(enum rows_format format, const char *text)
{
	static struct row row;
	struct err e;

	if (read_as(ROW_RECORD, format, text, &row, &e) < 0)
		fail_msg("%s: %s %s", text, e.pointer, e.detail);
	return &row.record;
}

static void refused(enum row_kind kind, enum rows_format format, const char *text, enum problem p, const char *pointer)
{
	struct row row;
	struct err e;

	if (read_as(kind, format, text, &row, &e) == 0)
		fail_msg("taken: %s", text);
	if (e.problem != p || strcmp(e.pointer, pointer) != 0)
		fail_msg("%s: %s at '%s', not at '%s': %s", text, problem_slug(e.problem), e.pointer, pointer, e.detail);
}

static void is(struct str s, const char *z)
{
	assert_non_null(s.p);
	assert_int_equal(s.n, strlen(z));
	assert_memory_equal(s.p, z, s.n);
}

/* Derived ids, worked out apart with another SHA-256. */
static void test_derived_ids(void **state)
{
	const struct record *r = record_of(FORMAT_RECORDS,
		"{\"prompt\":\"Hi\",\"responses\":[{\"text\":\"Hello\",\"model\":\"m/1\"},{\"text\":\"Hello\"}]}");

	(void)state;
	is(r->messages, "[{\"role\":\"user\",\"content\":\"Hi\"}]");
	is(r->id, "9f75a83c938a915975ef1caf02fecc96");
	is(r->response[0].id, "0fc4b6e32b0e1434c48115d6af8ce86d");
	is(r->response[1].id, "ff56bbcfbe0fc41c13f02cc4a2018d62");
	is(r->split, "train");
	assert_int_equal(r->responses, 2);
	assert_null(r->source.p);
}

static void test_characters_are_code_points(void **state)
{
	const struct record *r = record_of(FORMAT_RECORDS,
		"{\"prompt\":\"\\u65e5\\ud83d\\ude00a\",\"responses\":[{\"text\":\"日本\"},{\"text\":\"\"}]}");

	(void)state;
	assert_int_equal(r->characters, 3);
	assert_int_equal(r->response[0].characters, 2);
	assert_int_equal(r->response[1].characters, 0);
	assert_non_null(r->response[1].text.p); /* empty is not missing */
}

/* Twins of one row: one response, the last score wins, absent facts filled in. */
static void test_twins_are_folded(void **state)
{
	const struct record *r = record_of(FORMAT_RECORDS,
		"{\"prompt\":\"p\",\"responses\":["
		"{\"text\":\"t\",\"scores\":[{\"judge\":\"j\",\"value\":3},{\"judge\":\"k\",\"value\":1}]},"
		"{\"text\":\"u\"},"
		"{\"text\":\"t\",\"tokens\":7,\"scores\":[{\"judge\":\"j\",\"value\":-0.0},"
		"{\"judge\":\"j\",\"value\":9,\"at\":\"2026-01-01T00:00:00Z\"}]}]}");
	const struct response *t = &r->response[0];

	(void)state;
	assert_int_equal(r->responses, 2);
	assert_int_equal(t->tokens, 7);
	assert_int_equal(t->scores, 3);
	for (uint32_t i = 0; i < t->scores; i++) {
		if (str_eq(t->score[i].judge, STR("k")))
			assert_true(t->score[i].value == 1);
		else if (t->score[i].at == TIME_NONE)
			assert_true(t->score[i].value == 0 && 1 / t->score[i].value > 0); /* never -0 */
		else
			assert_true(t->score[i].value == 9 && t->score[i].at == 1767225600000000);
	}
}

static void test_metadata_keeps_its_digits(void **state)
{
	const struct record *r = record_of(FORMAT_RECORDS,
		"{\"prompt\":\"p\", \"metadata\" : { \"n\" : 12345678901234567890, \"x\": 0.30000000000000004 } }");

	(void)state;
	is(r->metadata, "{\"n\":12345678901234567890,\"x\":0.30000000000000004}");
}

static void test_refused_records(void **state)
{
	static const struct {
		const char *text;
		enum problem problem;
		const char *pointer;
	} bad[] = {
		{"[1]", P_INVALID, ""},
		{"{}", P_INVALID, "/prompt"},
		{"{\"prompt\":7}", P_INVALID, "/prompt"},
		{"{\"prompt\":[]}", P_INVALID, "/prompt"},
		{"{\"prompt\":[{\"role\":\"bot\",\"content\":\"x\"}]}", P_INVALID, "/prompt/0/role"},
		{"{\"prompt\":[{\"role\":\"user\"}]}", P_INVALID, "/prompt/0/content"},
		{"{\"prompt\":[{\"role\":\"user\",\"content\":\"x\",\"name\":\"y\"}]}", P_UNKNOWN_KEY, "/prompt/0/name"},
		{"{\"prompt\":\"p\",\"promt\":1}", P_UNKNOWN_KEY, "/promt"},
		{"{\"prompt\":\"p\",\"a/b~c\":1}", P_UNKNOWN_KEY, "/a~1b~0c"},
		{"{\"prompt\":\"p\",\"id\":\"-x\"}", P_INVALID, "/id"},
		{"{\"prompt\":\"p\",\"id\":null}", P_INVALID, "/id"},
		{"{\"prompt\":\"p\",\"split\":\"a\\u0007b\"}", P_INVALID, "/split"},
		{"{\"prompt\":\"p\",\"metadata\":[]}", P_INVALID, "/metadata"},
		{"{\"prompt\":\"p\",\"responses\":{}}", P_INVALID, "/responses"},
		{"{\"prompt\":\"p\",\"responses\":[{}]}", P_INVALID, "/responses/0/text"},
		{"{\"prompt\":\"p\",\"responses\":[{\"text\":\"t\"},{\"text\":\"u\",\"tokens\":1.5}]}", P_INVALID, "/responses/1/tokens"},
		{"{\"prompt\":\"p\",\"responses\":[{\"text\":\"t\",\"logprobs\":{\"m\":0.5}}]}", P_INVALID, "/responses/0/logprobs/m"},
		{"{\"prompt\":\"p\",\"responses\":[{\"text\":\"t\",\"logprobs\":{\"m\":-3.4e38}}]}", P_INVALID, "/responses/0/logprobs/m"},
		{"{\"prompt\":\"p\",\"responses\":[{\"text\":\"t\",\"scores\":[{\"judge\":\"j\",\"value\":1},{\"judge\":\"j\"}]}]}",
		 P_INVALID, "/responses/0/scores/1/value"},
		{"{\"prompt\":\"p\",\"responses\":[{\"text\":\"t\",\"scores\":[{\"judge\":\"j\",\"value\":null}]}]}",
		 P_INVALID, "/responses/0/scores/0/value"},
		{"{\"prompt\":\"p\",\"responses\":[{\"text\":\"t\",\"scores\":[{\"judge\":\"j\",\"value\":1,\"status\":\"failed\"}]}]}",
		 P_INVALID, "/responses/0/scores/0/value"},
		{"{\"prompt\":\"p\",\"responses\":[{\"text\":\"t\",\"scores\":[{\"judge\":\"j\",\"value\":1,\"response\":\"x\"}]}]}",
		 P_UNKNOWN_KEY, "/responses/0/scores/0/response"},
		{"{\"prompt\":\"p\",\"responses\":[{\"text\":\"t\",\"scores\":[{\"judge\":\"j\",\"attribute\":\"helpfulness\",\"value\":5.01}]}]}",
		 P_INVALID, "/responses/0/scores/0/value"},
		{"{\"prompt\":\"p\",\"responses\":[{\"id\":\"a\",\"text\":\"t\"},{\"id\":\"a\",\"text\":\"u\"}]}", P_INVALID, "/responses/1/id"},
		{"{\"prompt\":\"p\",\"comparisons\":[{\"judge\":\"j\",\"chosen\":\"a\",\"rejected\":\"a\"}]}", P_INVALID, "/comparisons/0/rejected"},
		{"{\"prompt\":\"p\",\"comparisons\":[{\"judge\":\"j\",\"chosen\":\"a\",\"rejected\":\"b\",\"strength\":0}]}",
		 P_INVALID, "/comparisons/0/strength"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(ROW_RECORD, FORMAT_RECORDS, bad[i].text, bad[i].problem, bad[i].pointer);
}

static void test_score_rows(void **state)
{
	struct row row;
	struct err e;

	(void)state;
	assert_int_equal(read_as(ROW_SCORE, FORMAT_RECORDS,
		"{\"response\":\"r\",\"judge\":\"j\",\"value\":null,\"status\":\"abstained\",\"rationale\":\"\"}", &row, &e), 0);
	is(row.score.response, "r");
	is(row.score.score.attribute, "overall");
	is(row.score.score.rationale, "");
	assert_int_equal(row.score.score.status, SCORE_ABSTAINED);
	assert_true(row.score.score.at == TIME_NONE);
	refused(ROW_SCORE, FORMAT_RECORDS, "{\"judge\":\"j\",\"value\":1}", P_INVALID, "/response");
	refused(ROW_SCORE, FORMAT_RECORDS, "{\"response\":\"r\",\"judge\":\"j\",\"value\":1,\"at\":\"yesterday\"}", P_INVALID, "/at");
	refused(ROW_SCORE, FORMAT_RECORDS, "{\"response\":\"r\",\"judge\":\"\",\"value\":1}", P_INVALID, "/judge");
}

static void test_ultrafeedback(void **state)
{
	const struct record *r = record_of(FORMAT_ULTRAFEEDBACK,
		"{\"source\":\"s\",\"instruction\":\"do\",\"models\":[],\"completions\":[{\"model\":\"m\",\"response\":\"x\","
		"\"overall_score\":7.5,\"critique\":\"ok\",\"annotations\":{\"helpfulness\":{\"Rating\":\"4\",\"Rationale\":\"why\"},"
		"\"honesty\":{\"Rating\":\"N/A\"}}}]}");
	const struct response *x = &r->response[0];

	(void)state;
	is(r->source, "s");
	assert_int_equal(x->scores, 3); /* in byte order of attributes */
	is(x->score[0].attribute, "helpfulness");
	assert_true(x->score[0].value == 4);
	is(x->score[0].rationale, "why");
	assert_int_equal(x->score[1].status, SCORE_FAILED);
	is(x->score[2].attribute, "overall");
	is(x->score[2].judge, "gpt-4");
	assert_true(x->score[2].value == 7.5);
}

static void test_fix_overall(void **state)
{
	static const char text[] =
		"{\"instruction\":\"do\",\"completions\":[{\"response\":\"x\",\"overall_score\":10,\"annotations\":{"
		"\"helpfulness\":{\"Rating\":\"2\"},\"honesty\":{\"Rating\":\"2\"}}}]}";
	struct row_rules rules = {.kind = ROW_RECORD, .format = FORMAT_ULTRAFEEDBACK, .fix_overall = true, .dataset = &dataset};
	struct err e = {0};
	struct row row;

	(void)state;
	assert_int_equal(row_read(&arena, &rules, str_of(text), &row, &e), 0);
	assert_true(row.record.response[0].score[2].value == 1);
	assert_true(record_of(FORMAT_ULTRAFEEDBACK, text)->response[0].score[2].value == 10);
}

static void test_binarized(void **state)
{
	const struct record *r = record_of(FORMAT_ULTRAFEEDBACK_BINARIZED,
		"{\"prompt\":\"q\",\"prompt_id\":\"abc\",\"score_chosen\":8,\"score_rejected\":\"6.5\","
		"\"chosen\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}],"
		"\"rejected\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"b\"}]}");

	(void)state;
	is(r->id, "abc");
	is(r->messages, "[{\"role\":\"user\",\"content\":\"q\"}]");
	is(r->response[1].text, "b");
	assert_true(r->response[0].score[0].value == 8);
	assert_true(r->response[1].score[0].value == 6.5);
	refused(ROW_RECORD, FORMAT_ULTRAFEEDBACK_BINARIZED,
		"{\"chosen\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}],"
		"\"rejected\":[{\"role\":\"user\",\"content\":\"other\"},{\"role\":\"assistant\",\"content\":\"b\"}]}",
		P_INVALID, "/chosen");
}

static void test_trl_forms(void **state)
{
	static const char *const same[] = {
		"{\"prompt\":\"The sky is\",\"chosen\":\" blue.\",\"rejected\":\" green.\"}",
		"{\"chosen\":\"The sky is blue.\",\"rejected\":\"The sky is green.\"}",
	};
	static const char *const talk[] = {
		"{\"prompt\":[{\"role\":\"user\",\"content\":\"q\"}],\"chosen\":[{\"role\":\"assistant\",\"content\":\"a\"}],"
		"\"rejected\":[{\"role\":\"assistant\",\"content\":\"b\"}]}",
		"{\"chosen\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}],"
		"\"rejected\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"b\"}]}",
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		const struct record *r = record_of(FORMAT_TRL, same[i]);

		is(r->messages, "[{\"role\":\"user\",\"content\":\"The sky is\"}]");
		is(r->response[0].text, " blue.");
		is(r->response[1].text, " green.");
		assert_int_equal(r->comparisons, 1);
		is(r->comparison[0].judge, "trl");
		assert_true(str_eq(r->comparison[0].chosen, r->response[0].id));
	}
	for (int i = 0; i < 2; i++) {
		const struct record *r = record_of(FORMAT_TRL, talk[i]);

		is(r->messages, "[{\"role\":\"user\",\"content\":\"q\"}]");
		is(r->response[0].text, "a");
		is(r->response[1].text, "b");
	}
	refused(ROW_RECORD, FORMAT_TRL, "{\"prompt\":\"q\",\"chosen\":\"a\",\"rejected\":\"a\"}", P_INVALID, "/rejected");
	refused(ROW_RECORD, FORMAT_TRL, "{\"prompt\":\"q\",\"chosen\":\"a\"}", P_INVALID, "/rejected");
}

/* The shared beginning ends before a code point that differs, not inside it. */
static void test_trl_never_cuts_a_code_point(void **state)
{
	const struct record *r = record_of(FORMAT_TRL, "{\"chosen\":\"xあ\",\"rejected\":\"xい\"}");

	(void)state;
	is(r->messages, "[{\"role\":\"user\",\"content\":\"x\"}]");
	is(r->response[0].text, "あ");
}

static void test_samples(void **state)
{
	struct row row;
	const struct sample *s = &row.sample;
	struct err e;

	(void)state;
	assert_int_equal(read_as(ROW_SAMPLE, FORMAT_RECORDS,
	                         "{\"prompt\":\"q\",\"index\":3,\"text\":\"日本\",\"tokens\":2,\"finish_reason\":\"stop\","
	                         "\"prompt_token_ids\":[ 1e3, 0 ],\"token_ids\":[2147483647],"
	                         "\"logprobs\":{\"a/r\":-1.5,\"p\":0.001}}",
	                         &row, &e),
	                 0);
	is(s->prompt, "q");
	assert_int_equal(s->index, 3);
	assert_int_equal(s->characters, 2);
	assert_int_equal(s->tokens, 2);
	is(s->finish_reason, "stop");
	is(s->prompt_token_ids, "[1000,0]");
	is(s->token_ids, "[2147483647]");
	assert_int_equal(s->logprobs, 2);
	is(s->logprob[0].model, "a/r");
	assert_true(s->logprob[0].logprob == -1.5);
	assert_true(s->logprob[1].logprob == 0); /* 0.001 is rounding */
	assert_int_equal(read_as(ROW_SAMPLE, FORMAT_RECORDS, "{\"prompt\":\"q\",\"index\":0,\"text\":\"\"}", &row, &e), 0);
	is(s->text, "");
	assert_int_equal(s->tokens, -1);
	assert_null(s->token_ids.p);
	assert_int_equal(s->logprobs, 0);
}

static void test_refused_deliveries(void **state)
{
#define S(more) "{\"prompt\":\"q\",\"index\":0,\"text\":\"t\"" more "}"
#define L(model, logprob, more) "{\"response\":\"r\",\"model\":\"" model "\",\"logprob\":" logprob more "}"
	static const struct {
		enum row_kind kind;
		const char *text;
		enum problem problem;
		const char *pointer;
	} bad[] = {
		{ROW_SAMPLE, "[]", P_INVALID, ""},
		{ROW_SAMPLE, "{\"prompt\":\"q\",\"index\":0}", P_INVALID, "/text"},
		{ROW_SAMPLE, "{\"index\":0,\"text\":\"t\"}", P_INVALID, "/prompt"},
		{ROW_SAMPLE, "{\"prompt\":\"q\",\"text\":\"t\"}", P_INVALID, "/index"},
		{ROW_SAMPLE, "{\"prompt\":\"q\",\"index\":4,\"text\":\"t\"}", P_INVALID, "/index"},
		{ROW_SAMPLE, "{\"prompt\":\"q\",\"index\":0.5,\"text\":\"t\"}", P_INVALID, "/index"},
		{ROW_SAMPLE, "{\"prompt\":\"q\",\"index\":-1,\"text\":\"t\"}", P_INVALID, "/index"},
		{ROW_SAMPLE, "{\"prompt\":\"q\",\"index\":0,\"text\":null}", P_INVALID, "/text"},
		{ROW_SAMPLE, S(",\"model\":\"p\""), P_UNKNOWN_KEY, "/model"},
		{ROW_SAMPLE, S(",\"token_ids\":[1,2147483648]"), P_INVALID, "/token_ids/1"},
		{ROW_SAMPLE, S(",\"token_ids\":[1.5]"), P_INVALID, "/token_ids/0"},
		{ROW_SAMPLE, S(",\"token_ids\":\"1\""), P_INVALID, "/token_ids"},
		{ROW_SAMPLE, S(",\"prompt_token_ids\":[-1]"), P_INVALID, "/prompt_token_ids/0"},
		{ROW_SAMPLE, S(",\"logprobs\":{\"other/m\":-1}"), P_INVALID, "/logprobs/other~1m"},
		{ROW_SAMPLE, S(",\"logprobs\":{\"p\":0.0011}"), P_INVALID, "/logprobs/p"},
		{ROW_SAMPLE, S(",\"tokens\":-1"), P_INVALID, "/tokens"},
		{ROW_LOGPROB, L("q", "-1", ""), P_INVALID, "/model"},
		{ROW_LOGPROB, L("p", "0.01", ""), P_INVALID, "/logprob"},
		{ROW_LOGPROB, L("p", "null", ""), P_INVALID, "/logprob"},
		{ROW_LOGPROB, L("p", "-1", ",\"tokens\":1.5"), P_INVALID, "/tokens"},
		{ROW_LOGPROB, L("p", "-1", ",\"at\":1"), P_UNKNOWN_KEY, "/at"},
		{ROW_LOGPROB, "{\"model\":\"p\",\"logprob\":-1}", P_INVALID, "/response"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		refused(bad[i].kind, FORMAT_RECORDS, bad[i].text, bad[i].problem, bad[i].pointer);
	round_of.mode = ROUND_DATASET; /* takes log-probabilities alone */
	refused(ROW_SAMPLE, FORMAT_RECORDS, S(""), P_INVALID, "");
	round_of.mode = ROUND_SAMPLE;
}

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_derived_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_characters_are_code_points, setup, teardown),
		cmocka_unit_test_setup_teardown(test_twins_are_folded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metadata_keeps_its_digits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_records, setup, teardown),
		cmocka_unit_test_setup_teardown(test_score_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_samples, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_deliveries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ultrafeedback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fix_overall, setup, teardown),
		cmocka_unit_test_setup_teardown(test_binarized, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trl_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trl_never_cuts_a_code_point, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
