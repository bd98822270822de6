/* Rows as they go through the spool. */
#include "store_kit.h"

static struct row full_record(void)
{
	static struct score score[2];
	static struct logprob logprob[1];
	static struct response response[2];
	static struct comparison comparison[1];
	struct row row;

	score[0] = score_of("gpt-4", "overall", 0.1, 1700000000000000);
	score[0].rationale = STR("because");
	score[1] = status_of("gpt-4", "honesty", SCORE_FAILED, TIME_NONE);
	logprob[0] = (struct logprob){STR("m"), -12.5, -1};
	response[0] = response_of("r1", "", NULL);
	response[1] = response_of("r2", "text", "m");
	response[1].tokens = 7;
	response[1].finish_reason = STR("stop");
	response[1].score = score;
	response[1].scores = 2;
	response[1].logprob = logprob;
	response[1].logprobs = 1;
	comparison[0] = vote_of("ann", "r1", "r2", 0.5, -1);
	row = record_of("p", "[]", response, 2);
	row.number = 300;
	row.record.source = STR("web");
	row.record.comparison = comparison;
	row.record.comparisons = 1;
	return row;
}

static void a_record_comes_back(void **state)
{
	struct row in = full_record(), out;
	struct buf b = BUF_INIT;
	struct arena a;
	struct err e;

	(void)state;
	arena_init(&a);
	row_pack(&b, &in);
	assert_int_equal(row_unpack(&a, buf_view(&b), &out, &e), 0);
	assert_int_equal(out.kind, ROW_RECORD);
	assert_int_equal(out.number, 300);
	assert_str(out.record.id, "p");
	assert_str(out.record.messages, "[]");
	assert_memory_equal(out.record.messages_hash, in.record.messages_hash, 32);
	assert_str(out.record.split, "train");
	assert_str(out.record.source, "web");
	assert_null(out.record.metadata.p);
	assert_int_equal(out.record.responses, 2);
	assert_str(out.record.response[0].text, ""); /* empty is not absent */
	assert_null(out.record.response[0].model.p);
	assert_int_equal(out.record.response[0].tokens, -1);
	assert_str(out.record.response[1].model, "m");
	assert_int_equal(out.record.response[1].tokens, 7);
	assert_str(out.record.response[1].finish_reason, "stop");
	assert_memory_equal(out.record.response[1].text_hash, in.record.response[1].text_hash, 32);
	assert_int_equal(out.record.response[1].scores, 2);
	assert_true(out.record.response[1].score[0].value == 0.1);
	assert_int_equal(out.record.response[1].score[0].at, 1700000000000000);
	assert_str(out.record.response[1].score[0].rationale, "because");
	assert_int_equal(out.record.response[1].score[1].status, SCORE_FAILED);
	assert_true(out.record.response[1].score[1].at == TIME_NONE);
	assert_null(out.record.response[1].score[1].rationale.p);
	assert_true(out.record.response[1].logprob[0].logprob == -12.5);
	assert_int_equal(out.record.comparisons, 1);
	assert_str(out.record.comparison[0].rejected, "r2");
	assert_int_equal(out.record.comparison[0].at, -1);
	buf_release(&b);
	arena_release(&a);
}

static void scores_and_comparisons_come_back(void **state)
{
	struct row in[2] = {{.kind = ROW_SCORE, .number = 1}, {.kind = ROW_COMPARISON, .number = 2}}, out;
	struct arena a;
	struct err e;

	(void)state;
	arena_init(&a);
	in[0].score.response = STR("r");
	in[0].score.score = score_of("j", "overall", -3, 5);
	in[1].comparison = vote_of("j", "x", "y", 2, TIME_NONE);
	for (int i = 0; i < 2; i++) {
		struct buf b = BUF_INIT;

		row_pack(&b, &in[i]);
		assert_int_equal(row_unpack(&a, buf_view(&b), &out, &e), 0);
		assert_int_equal(out.kind, in[i].kind);
		assert_int_equal(out.number, in[i].number);
		if (i == 0) {
			assert_str(out.score.response, "r");
			assert_true(out.score.score.value == -3);
		} else {
			assert_str(out.comparison.chosen, "x");
			assert_true(out.comparison.strength == 2);
		}
		buf_release(&b);
	}
	arena_release(&a);
}

static struct row full_sample(void)
{
	static struct logprob logprob[2];
	struct row row = {.kind = ROW_SAMPLE, .number = 77};

	logprob[0] = (struct logprob){STR("policy"), -12.5, -1};
	logprob[1] = (struct logprob){STR("reference"), 0, -1};
	row.sample = (struct sample){
		.prompt = STR("p"),
		.index = 15,
		.text = STR(""),
		.characters = 0,
		.tokens = 3,
		.prompt_token_ids = STR("[1,2147483647]"),
		.token_ids = STR("[]"),
		.logprob = logprob,
		.logprobs = 2,
	};
	memset(row.sample.text_hash, 0xAB, sizeof row.sample.text_hash);
	return row;
}

static void deliveries_come_back(void **state)
{
	struct row in = full_sample(), out;
	struct buf b = BUF_INIT;
	struct arena a;
	struct err e;

	(void)state;
	arena_init(&a);
	row_pack(&b, &in);
	assert_int_equal(row_unpack(&a, buf_view(&b), &out, &e), 0);
	assert_int_equal(out.kind, ROW_SAMPLE);
	assert_int_equal(out.number, 77);
	assert_str(out.sample.prompt, "p");
	assert_int_equal(out.sample.index, 15);
	assert_str(out.sample.text, "");
	assert_memory_equal(out.sample.text_hash, in.sample.text_hash, 32);
	assert_int_equal(out.sample.tokens, 3);
	assert_null(out.sample.finish_reason.p);
	assert_str(out.sample.prompt_token_ids, "[1,2147483647]");
	assert_str(out.sample.token_ids, "[]");
	assert_int_equal(out.sample.logprobs, 2);
	assert_str(out.sample.logprob[0].model, "policy");
	assert_true(out.sample.logprob[0].logprob == -12.5);
	assert_str(out.sample.logprob[1].model, "reference");
	buf_clear(&b);
	in = (struct row){.kind = ROW_LOGPROB, .number = 1};
	in.logprob.response = STR("r");
	in.logprob.logprob = (struct logprob){STR("policy"), -0.25, 9};
	row_pack(&b, &in);
	assert_int_equal(row_unpack(&a, buf_view(&b), &out, &e), 0);
	assert_int_equal(out.kind, ROW_LOGPROB);
	assert_str(out.logprob.response, "r");
	assert_str(out.logprob.logprob.model, "policy");
	assert_true(out.logprob.logprob.logprob == -0.25);
	assert_int_equal(out.logprob.logprob.tokens, 9);
	buf_release(&b);
	arena_release(&a);
}

/* Every beginning of a packed row, and every single flipped byte, is refused or
 * read within its bounds (the sanitizers watch), never a crash. */
static void break_row(struct row in)
{
	struct row out;
	struct buf b = BUF_INIT;
	struct arena a;
	struct err e;

	arena_init(&a);
	row_pack(&b, &in);
	for (size_t n = 0; n < b.n; n++) {
		char *cut = malloc(n ? n : 1);

		memcpy(cut, b.p, n);
		assert_int_equal(row_unpack(&a, (struct str){cut, n}, &out, &e), -1);
		assert_int_equal(e.problem, P_INTERNAL);
		free(cut);
		arena_reset(&a);
	}
	for (size_t i = 0; i < b.n; i++)
		for (int bit = 0; bit < 8; bit++) {
			b.p[i] = (char)(b.p[i] ^ (1 << bit));
			row_unpack(&a, buf_view(&b), &out, &e);
			b.p[i] = (char)(b.p[i] ^ (1 << bit));
			arena_reset(&a);
		}
	buf_byte(&b, 0);
	assert_int_equal(row_unpack(&a, buf_view(&b), &out, &e), -1); /* something behind the row */
	buf_release(&b);
	arena_release(&a);
}

static void broken_bytes_are_bounded(void **state)
{
	(void)state;
	break_row(full_record());
	break_row(full_sample());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_comes_back),
		cmocka_unit_test(scores_and_comparisons_come_back),
		cmocka_unit_test(deliveries_come_back),
		cmocka_unit_test(broken_bytes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
