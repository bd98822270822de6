/* Engines as rows, and the responses of a round that no one has scored yet. */
#include "round_kit.h"
#include "store/engine.h"

static int put(struct kit *k, const char *id, enum engine_kind kind, const char *url, uint32_t max)
{
	struct engine_row row = {str_of(id), kind, str_of(url), STR("m/x"), max};
	bool created;

	kit_begin(k);
	kit_ok(k, store_engine_put(k->w, &row, &created, &k->e));
	kit_commit(k);
	return created;
}

static void an_engine_is_put_and_put_anew(void **state)
{
	struct kit *k = *state;
	struct engine_row row;

	assert_int_equal(put(k, "a", ENGINE_VLLM, "http://localhost:1", 64), true);
	assert_int_equal(put(k, "a", ENGINE_SGLANG, "http://localhost:2/x", 1024), false);
	kit_ok(k, store_engine_get(k->r, &k->a, STR("a"), &row, &k->e));
	assert_str(row.id, "a");
	assert_int_equal(row.kind, ENGINE_SGLANG);
	assert_str(row.url, "http://localhost:2/x");
	assert_str(row.model, "m/x");
	assert_int_equal(row.max_in_flight, 1024);
	kit_fails(k, store_engine_get(k->r, &k->a, STR("b"), &row, &k->e), P_UNKNOWN_ENGINE, "");
}

static void engines_are_listed_in_byte_order(void **state)
{
	struct kit *k = *state;
	struct engine_row *row;
	uint32_t n;

	put(k, "b", ENGINE_VLLM, "http://b", 1);
	put(k, "a", ENGINE_VLLM, "http://a", 1);
	put(k, "B", ENGINE_VLLM, "http://B", 1);
	kit_ok(k, store_engine_list(k->r, &k->a, STR_NONE, 2, &row, &n, &k->e));
	assert_int_equal(n, 2);
	assert_str(row[0].id, "B");
	assert_str(row[1].id, "a");
	kit_ok(k, store_engine_list(k->r, &k->a, row[1].id, 2, &row, &n, &k->e));
	assert_int_equal(n, 1);
	assert_str(row[0].id, "b");
}

static void a_deleted_engine_is_gone(void **state)
{
	struct kit *k = *state;
	struct engine_row row;

	put(k, "a", ENGINE_VLLM, "http://a", 1);
	kit_begin(k);
	kit_ok(k, store_engine_delete(k->w, STR("a"), &k->e));
	kit_commit(k);
	kit_fails(k, store_engine_get(k->r, &k->a, STR("a"), &row, &k->e), P_UNKNOWN_ENGINE, "");
	kit_begin(k);
	kit_fails(k, store_engine_delete(k->w, STR("a"), &k->e), P_UNKNOWN_ENGINE, "");
	kit_undo(k);
	assert_int_equal(put(k, "a", ENGINE_VLLM, "http://a", 1), true);
}

/* --- what a round wants scored ------------------------------------------------------ */

static void deliver(struct kit *k, const char *prompt, uint32_t index, const char *text, const char *ids)
{
	struct sample x = sample_of(prompt, index, text);
	struct delivery_counts c = {0};

	x.prompt_token_ids = STR("[1,2]");
	x.token_ids = str_of(ids);
	kit_ok(k, kit_sample(k, "r", &x, &c));
	assert_int_equal(c.responses_created, 1);
}

/* All that is unscored of one model in pages of that many prompts, as
 * "ids|ids", a "/" at each page's end. */
static const char *unscored(struct kit *k, int model, uint32_t prompts)
{
	struct str after = STR_NONE, s = STR(""), last;
	struct unscored_response *u;
	struct round_row r;
	uint32_t n;

	kit_ok(k, store_round_get(k->r, &k->a, STR("r"), &r, &k->e));
	for (int pages = 0; pages < 20; pages++) {
		kit_ok(k, store_round_unscored(k->r, &k->a, &r, model, after, prompts, &u, &n, &last, &k->e));
		if (last.p == NULL)
			return s.p;
		for (uint32_t i = 0; i < n; i++)
			s = arena_printf(&k->a, "%.*s%s%.*s", STR_ARG(s), i ? "|" : "",
			                 STR_ARG(u[i].token_ids.p ? u[i].token_ids : STR("none")));
		s = arena_printf(&k->a, "%.*s/", STR_ARG(s));
		after = last;
	}
	fail_msg("the pages do not end");
	return NULL;
}

static void only_valid_unscored_responses_are_wanted(void **state)
{
	struct kit *k = *state;
	struct round_row row = round_of("r", 2);

	kit_questions(k, 3);
	assert_int_equal(kit_round_of(k, &row, STR_NONE, -1, 0), 3);
	assert_string_equal(unscored(k, 0, 10), "");
	deliver(k, "p0", 0, "an answer", "[10]");
	deliver(k, "p0", 1, "xy", "[11]"); /* under four characters */
	deliver(k, "p1", 0, "an answer", NULL);
	deliver(k, "p2", 0, "an answer", "[30]");
	deliver(k, "p2", 1, "another", "[31]");
	assert_string_equal(unscored(k, 0, 10), "[10]|none|[30]|[31]/");
	assert_string_equal(unscored(k, 1, 1), "[10]/none/[30]|[31]/");
	assert_int_equal(kit_scored(k, "r", kit_sample_id(k, "r", "p0", 0), "pi", -1), 1);
	assert_int_equal(kit_scored(k, "r", kit_sample_id(k, "r", "p2", 0), "pi", -1), 1);
	assert_string_equal(unscored(k, 0, 1), "none/[31]/");
	assert_string_equal(unscored(k, 1, 2), "[10]|none/[30]|[31]/");
}

static void ids_of_the_prompt_come_along(void **state)
{
	struct kit *k = *state;
	struct round_row row = round_of("r", 1), r;
	struct unscored_response *u;
	struct str last;
	uint32_t n;

	kit_questions(k, 1);
	kit_round_of(k, &row, STR_NONE, -1, 0);
	deliver(k, "p0", 0, "an answer", "[7,8,9]");
	kit_ok(k, store_round_get(k->r, &k->a, STR("r"), &r, &k->e));
	kit_ok(k, store_round_unscored(k->r, &k->a, &r, 1, STR_NONE, 5, &u, &n, &last, &k->e));
	assert_int_equal(n, 1);
	assert_str(last, "p0");
	assert_true(str_eq(u[0].id, kit_sample_id(k, "r", "p0", 0)));
	assert_str(u[0].prompt_token_ids, "[1,2]");
	assert_str(u[0].token_ids, "[7,8,9]");
}

/* 900,000 ids of two bytes ("1,") are 1.8 MB: three prompts fill 4 MiB. */
static void long_ids_make_short_pages(void **state)
{
	struct kit *k = *state;
	struct round_row row = round_of("r", 1), r;
	struct buf ids = BUF_INIT;
	struct unscored_response *u;
	struct str last;
	uint32_t n;

	buf_lit(&ids, "[1");
	for (int i = 1; i < 900000; i++)
		buf_lit(&ids, ",1");
	buf_add(&ids, "]", 2);
	kit_questions(k, 5);
	kit_round_of(k, &row, STR_NONE, -1, 0);
	for (int i = 0; i < 5; i++) {
		char prompt[16];

		snprintf(prompt, sizeof prompt, "p%d", i);
		deliver(k, prompt, 0, "an answer", ids.p);
	}
	buf_release(&ids);
	kit_ok(k, store_round_get(k->r, &k->a, STR("r"), &r, &k->e));
	kit_ok(k, store_round_unscored(k->r, &k->a, &r, 0, STR_NONE, 100, &u, &n, &last, &k->e));
	assert_int_equal(n, 3);
	assert_str(last, "p2");
	kit_ok(k, store_round_unscored(k->r, &k->a, &r, 0, last, 100, &u, &n, &last, &k->e));
	assert_int_equal(n, 2);
	assert_str(last, "p4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(an_engine_is_put_and_put_anew),
		KIT_TEST(engines_are_listed_in_byte_order),
		KIT_TEST(a_deleted_engine_is_gone),
		KIT_TEST(only_valid_unscored_responses_are_wanted),
		KIT_TEST(ids_of_the_prompt_come_along),
		KIT_TEST(long_ids_make_short_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
