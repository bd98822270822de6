/* Implicit rewards: which responses count, and which of them make the pair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "align/implicit.h"

enum { MOST = 32, MOST_GROUPS = 8 };

/* --- rewards ---------------------------------------------------------------- */

static void test_reward(void **state)
{
	(void)state;
	/* 0.5·(−10 − −14) = 2; 0.1·(−30 − −20) = −1 */
	assert_true(implicit_reward(0.5, -10, -14) == 2);
	assert_true(implicit_reward(0.1, -30, -20) == -1);
	/* 2 − 0.25·6 = 0.5 */
	assert_true(implicit_regular(2, 0.25, 6) == 0.5);
}

static void test_reward_rounding_above_zero_is_zero(void **state)
{
	double r = implicit_reward(1, 0, 0);

	(void)state;
	assert_true(implicit_reward(1, 0.0009, -3) == 3);
	assert_true(implicit_reward(1, -3, 0.001) == -3);
	assert_true(r == 0 && 1 / r > 0); /* never -0 */
	r = implicit_reward(1, 0.0004, 0.0009);
	assert_true(r == 0 && 1 / r > 0);
}

/* --- validity ----------------------------------------------------------------- */

struct bench {
	struct arena arena;
	struct implicit_rule rule;
	struct implicit_response r[MOST];
	size_t n;
	enum implicit_drop drop[MOST];
	double length[MOST];
};

static const struct str cut_off[] = {{"length", 6}, {"abort", 5}};

static int set_up(void **state)
{
	static struct bench b;

	memset(&b, 0, sizeof b);
	arena_init(&b.arena);
	b.rule = (struct implicit_rule){cut_off, 2, 4, 6699, false};
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	arena_release(&((struct bench *)*state)->arena);
	return 0;
}

/* A response with which nothing is wrong, and a text of its own. */
static struct implicit_response *add(struct bench *b, int64_t characters)
{
	struct implicit_response *r = &b->r[b->n];

	*r = (struct implicit_response){
		.characters = characters, .tokens = -1, .scored = {true, true}, .counted = {-1, -1}};
	r->text_hash[0] = (uint8_t)(200 - b->n++); /* against the order of places */
	return r;
}

static size_t check(struct bench *b)
{
	return implicit_check(&b->rule, b->r, b->n, &b->arena, b->drop, b->length);
}

/* Everything is wrong with each response but the reasons of those before it. */
static void test_first_reason_applies(void **state)
{
	struct bench *b = *state;

	b->rule.in_tokens = true;
	for (int i = 0; i < 7; i++) {
		struct implicit_response *r = add(b, i < 2 ? 3 : i < 3 ? 6700 : 10);

		memset(r->text_hash, 0, sizeof r->text_hash);
		r->finish_reason = i < 1 ? STR("length") : STR("stop");
		r->scored[IMPLICIT_REFERENCE] = i > 3;
		r->counted[IMPLICIT_POLICY] = i < 5 ? 7 : -1;
		r->counted[IMPLICIT_REFERENCE] = i < 5 ? 8 : -1;
		if (i == 6)
			r->tokens = 9;
	}
	b->r[b->n] = b->r[6];
	b->n++;
	assert_int_equal(check(b), 1);
	for (int i = 0; i < 6; i++)
		assert_int_equal(b->drop[i], LEFT_OUT_FINISH_REASON + i);
	assert_int_equal(b->drop[6], LEFT_OUT_NONE);
	assert_int_equal(b->drop[7], LEFT_OUT_DUPLICATE_TEXT);
}

static void test_words(void **state)
{
	static const char *const words[] = {"",                "finish_reason",  "too_short",      "too_long",
	                                    "missing_logprob", "token_mismatch", "missing_tokens", "duplicate_text"};

	(void)state;
	assert_int_equal(LEFT_OUT_COUNT, sizeof words / sizeof *words);
	for (int i = 0; i < LEFT_OUT_COUNT; i++)
		assert_string_equal(implicit_drop_word((enum implicit_drop)i), words[i]);
	assert_string_equal(implicit_skip_word(IMPLICIT_KEPT), "");
	assert_string_equal(implicit_skip_word(IMPLICIT_TOO_FEW), "too_few_responses");
	assert_string_equal(implicit_skip_word(IMPLICIT_TIED), "tied");
}

/* 3 < characters < 6,700 in the published script. */
static void test_limits_are_inclusive(void **state)
{
	static const int64_t characters[] = {0, 3, 4, 6699, 6700};
	struct bench *b = *state;

	for (int i = 0; i < 5; i++)
		add(b, characters[i]);
	assert_int_equal(check(b), 2);
	assert_int_equal(b->drop[0], LEFT_OUT_TOO_SHORT);
	assert_int_equal(b->drop[1], LEFT_OUT_TOO_SHORT);
	assert_int_equal(b->drop[2], LEFT_OUT_NONE);
	assert_int_equal(b->drop[3], LEFT_OUT_NONE);
	assert_int_equal(b->drop[4], LEFT_OUT_TOO_LONG);
	assert_true(b->length[2] == 4 && b->length[3] == 6699);
	assert_true(b->length[0] == 0 && b->length[4] == 0);
	b->rule.min_characters = b->rule.max_characters = -1;
	assert_int_equal(check(b), 5);
}

static void test_finish_reasons(void **state)
{
	static const char *const reasons[] = {"stop", "length", "abort", "Length", ""};
	struct bench *b = *state;

	for (int i = 0; i < 5; i++)
		add(b, 10)->finish_reason = str_of(reasons[i]);
	add(b, 10); /* none */
	assert_int_equal(check(b), 4);
	assert_int_equal(b->drop[1], LEFT_OUT_FINISH_REASON);
	assert_int_equal(b->drop[2], LEFT_OUT_FINISH_REASON);
	b->rule.excludes = 0;
	assert_int_equal(check(b), 6);
}

/* Each of the two models must have scored it. */
static void test_log_probabilities(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 4; i++) {
		struct implicit_response *r = add(b, 10);

		r->scored[IMPLICIT_POLICY] = i & 1;
		r->scored[IMPLICIT_REFERENCE] = i & 2;
	}
	assert_int_equal(check(b), 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(b->drop[i], LEFT_OUT_MISSING_LOGPROB);
}

/* As delivered with the response, else with a log-probability. */
static void test_tokens(void **state)
{
	/* delivered, policy's, reference's */
	static const int64_t tokens[][3] = {
		{12, -1, -1}, {12, 13, 13}, {-1, 13, 13}, {-1, 13, -1}, {-1, -1, 14}, {-1, -1, -1}, {12, 13, 14}, {0, -1, -1}};
	static const double length[] = {12, 12, 13, 13, 14, 0, 0, 0};
	struct bench *b = *state;

	b->rule.in_tokens = true;
	b->rule.min_characters = 4;
	for (int i = 0; i < 8; i++) {
		struct implicit_response *r = add(b, 50);

		r->tokens = tokens[i][0];
		r->counted[IMPLICIT_POLICY] = tokens[i][1];
		r->counted[IMPLICIT_REFERENCE] = tokens[i][2];
	}
	assert_int_equal(check(b), 6);
	for (int i = 0; i < 8; i++)
		assert_true(b->length[i] == length[i]);
	assert_int_equal(b->drop[5], LEFT_OUT_MISSING_TOKENS);
	assert_int_equal(b->drop[6], LEFT_OUT_TOKEN_MISMATCH);
	assert_int_equal(b->drop[7], LEFT_OUT_NONE);
	/* In characters nobody needs to count tokens, but the counts must agree. */
	b->rule.in_tokens = false;
	assert_int_equal(check(b), 7);
	assert_true(b->length[5] == 50);
	assert_int_equal(b->drop[6], LEFT_OUT_TOKEN_MISMATCH);
}

/* A, (A, cut off), B, A, B: of the valid ones the first of each stays. */
static void test_duplicate_texts(void **state)
{
	static const uint8_t text[] = {9, 7, 9, 7, 9};
	struct bench *b = *state;

	for (int i = 0; i < 5; i++)
		memset(add(b, 10)->text_hash, text[i], SHA256_BYTES);
	b->r[0].finish_reason = STR("length");
	assert_int_equal(check(b), 2);
	assert_int_equal(b->drop[0], LEFT_OUT_FINISH_REASON);
	assert_int_equal(b->drop[1], LEFT_OUT_NONE);
	assert_int_equal(b->drop[2], LEFT_OUT_NONE);
	assert_int_equal(b->drop[3], LEFT_OUT_DUPLICATE_TEXT);
	assert_int_equal(b->drop[4], LEFT_OUT_DUPLICATE_TEXT);
}

static void test_no_responses(void **state)
{
	struct bench *b = *state;

	assert_int_equal(check(b), 0);
}

/* --- pairs --------------------------------------------------------------------- */

struct prompts {
	uint32_t first[MOST_GROUPS + 1];
	double reward[MOST], length[MOST];
	enum implicit_skip skip[MOST_GROUPS];
	struct implicit_groups g;
};

static void prompts_init(struct prompts *p)
{
	memset(p, 0, sizeof *p);
	p->g = (struct implicit_groups){0, p->first, p->reward, p->length, p->skip, 0};
}

static void add_group(struct prompts *p)
{
	p->g.n++;
	p->first[p->g.n] = p->first[p->g.n - 1];
}

static void put(struct prompts *p, double reward, double length)
{
	uint32_t i = p->first[p->g.n]++;

	p->reward[i] = reward;
	p->length[i] = length;
}

static void assert_pair(const struct prompts *p, size_t group, double alpha, uint32_t chosen, uint32_t rejected)
{
	struct implicit_pair pair = implicit_pair(&p->g, group, alpha);

	assert_int_equal(pair.chosen - p->first[group], chosen);
	assert_int_equal(pair.rejected - p->first[group], rejected);
}

/* r − α·L:         α = 0    1/4    1/2     1
 *  0: r 5, L 16      5       1     −3    −11
 *  1: r 3, L 4       3       2      1     −1
 *  2: r 1, L 12      1      −2     −5    −11
 *  3: r 0, L 2       0    −1/2     −1     −2   */
static void test_best_and_worst(void **state)
{
	struct prompts p;

	(void)state;
	prompts_init(&p);
	add_group(&p);
	put(&p, 5, 16);
	put(&p, 3, 4);
	put(&p, 1, 12);
	put(&p, 0, 2);
	implicit_skips(&p.g, 2);
	assert_pair(&p, 0, 0, 0, 3);
	assert_pair(&p, 0, 0.25, 1, 2);
	assert_pair(&p, 0, 0.5, 1, 2);
	/* −11 twice: the longer one is the worse. */
	assert_pair(&p, 0, 1, 1, 0);
	assert_true(implicit_gap(&p.g, 0) == 14);
	assert_true(implicit_gap(&p.g, 0.5) == -8);
	assert_true(implicit_gap(&p.g, 1) == -12);
}

/* Places are in order of ids. */
static void test_ties(void **state)
{
	struct prompts p;

	(void)state;
	prompts_init(&p);
	add_group(&p); /* at α = 1 all are 0: shortest with smallest id, longest with greatest */
	put(&p, 3, 3);
	put(&p, 1, 1);
	put(&p, 3, 3);
	put(&p, 1, 1);
	add_group(&p); /* equal lengths: the smaller id is the better */
	put(&p, 2, 5);
	put(&p, 2, 5);
	put(&p, 1, 5);
	put(&p, 1, 5);
	implicit_skips(&p.g, 2);
	assert_pair(&p, 0, 1, 1, 2);
	assert_pair(&p, 0, 0, 0, 3);
	assert_pair(&p, 0, 2, 1, 2);
	assert_pair(&p, 1, 0, 0, 3);
	assert_pair(&p, 1, 7, 0, 3);
}

static void test_skips(void **state)
{
	struct prompts p;

	(void)state;
	prompts_init(&p);
	add_group(&p); /* none */
	add_group(&p); /* one */
	put(&p, 1, 1);
	add_group(&p); /* all alike */
	put(&p, 2, 7);
	put(&p, 2, 7);
	put(&p, 2, 7);
	add_group(&p); /* equal rewards, unequal lengths */
	put(&p, 2, 9);
	put(&p, 2, 5);
	add_group(&p); /* equal lengths, unequal rewards */
	put(&p, 4, 7);
	put(&p, 3, 7);
	put(&p, 3, 7);
	implicit_skips(&p.g, 1);
	assert_int_equal(p.skip[0], IMPLICIT_TOO_FEW);
	assert_int_equal(p.skip[1], IMPLICIT_TIED);
	assert_int_equal(p.skip[2], IMPLICIT_TIED);
	assert_int_equal(p.skip[3], IMPLICIT_KEPT);
	assert_int_equal(p.skip[4], IMPLICIT_KEPT);
	assert_int_equal(p.g.kept, 2);
	assert_pair(&p, 3, 0, 1, 0);
	assert_true(implicit_gap(&p.g, 0) == -2); /* (5 − 9 + 7 − 7) / 2 */
	implicit_skips(&p.g, 3);
	assert_int_equal(p.skip[1], IMPLICIT_TOO_FEW);
	assert_int_equal(p.skip[2], IMPLICIT_TIED);
	assert_int_equal(p.skip[3], IMPLICIT_TOO_FEW);
	assert_int_equal(p.g.kept, 1);
	implicit_skips(&p.g, 4);
	assert_int_equal(p.g.kept, 0);
	assert_true(implicit_gap(&p.g, 0) == 0);
}

/* 0.1, a thousand million millions and back: nothing is lost on the way. */
static void test_gap_is_rounded_once(void **state)
{
	struct prompts p;

	(void)state;
	prompts_init(&p);
	add_group(&p);
	put(&p, 1, 0.1);
	put(&p, 0, 0);
	add_group(&p);
	put(&p, 1, 1e15);
	put(&p, 0, 0);
	add_group(&p);
	put(&p, 1, 0);
	put(&p, 0, 1e15);
	implicit_skips(&p.g, 2);
	assert_true(implicit_gap(&p.g, 0) == 0.1 / 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reward),
		cmocka_unit_test(test_reward_rounding_above_zero_is_zero),
		cmocka_unit_test_setup_teardown(test_first_reason_applies, set_up, tear_down),
		cmocka_unit_test(test_words),
		cmocka_unit_test_setup_teardown(test_limits_are_inclusive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_finish_reasons, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_log_probabilities, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tokens, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_duplicate_texts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_responses, set_up, tear_down),
		cmocka_unit_test(test_best_and_worst),
		cmocka_unit_test(test_ties),
		cmocka_unit_test(test_skips),
		cmocka_unit_test(test_gap_is_rounded_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
