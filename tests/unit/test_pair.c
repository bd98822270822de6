/* Which answers of a prompt are compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "align/goal.h"
#include "align/pair.h"

enum { MOST = 16 };

/* A prompt under test. Texts differ unless said otherwise. */
struct bench {
	struct arena arena;
	struct pair_rule rule;
	struct str prompt;
	struct candidate c[MOST];
	char goal[MOST][GOAL_TEXT_BYTES];
	size_t n;
	struct vote v[MOST];
	size_t votes;
	struct pairs out;
};

static int set_up(void **state)
{
	static struct bench b;

	memset(&b, 0, sizeof b);
	arena_init(&b.arena);
	b.rule = (struct pair_rule){.strategy = PAIR_BEST_RANDOM, .min_responses = 2};
	b.prompt = STR("p0");
	*state = &b;
	return 0;
}

static int tear_down(void **state)
{
	arena_release(&((struct bench *)*state)->arena);
	return 0;
}

static void add(struct bench *b, const char *id, double reward)
{
	size_t i = b->n++;

	b->c[i].id = str_of(id);
	b->c[i].reward = reward;
	b->c[i].goal = (struct str){b->goal[i], goal_print(reward, GOAL_DECIMALS, b->goal[i])};
	b->c[i].text_hash[0] = (uint8_t)(200 - i); /* against the order of ids */
}

static void add_unscored(struct bench *b, const char *id)
{
	add(b, id, 0);
	b->c[b->n - 1].goal = STR_NONE;
}

static uint32_t find(const struct bench *b, const char *id)
{
	for (uint32_t i = 0; i < b->n; i++)
		if (str_eq(b->c[i].id, str_of(id)))
			return i;
	fail();
	return 0;
}

static void vote(struct bench *b, const char *chosen, const char *rejected, double strength)
{
	b->v[b->votes++] = (struct vote){find(b, chosen), find(b, rejected), strength};
}

static void make(struct bench *b, enum strategy s)
{
	b->rule.strategy = s;
	pairs_make(&b->rule, b->prompt, b->c, b->n, b->v, b->votes, &b->arena, &b->out);
}

/* Pairs as "chosen>rejected", plain ones with a ~, in the order given. */
static void expect(struct bench *b, const char *want)
{
	char got[1024] = "";
	size_t n = 0;

	for (size_t i = 0; i < b->out.n; i++) {
		const struct pair *p = &b->out.pair[i];

		n += (size_t)snprintf(got + n, sizeof got - n, "%s%.*s%s%.*s", i ? " " : "",
		                      STR_ARG(b->c[p->chosen].id), p->plain ? "~" : ">",
		                      STR_ARG(b->c[p->rejected].id));
	}
	assert_string_equal(got, want);
}

static void expect_skip(struct bench *b, enum pair_skip skip)
{
	assert_int_equal(b->out.n, 0);
	assert_int_equal(b->out.skip, skip);
}

/* d 9, a 7, c 7, b 3 */
static void four(struct bench *b)
{
	add(b, "a", 7);
	add(b, "b", 3);
	add(b, "c", 7);
	add(b, "d", 9);
}

static void each_strategy_by_hand(void **state)
{
	struct bench *b = *state;

	four(b);
	make(b, PAIR_BEST_WORST);
	expect(b, "d>b");
	make(b, PAIR_BEST_REST);
	expect(b, "d>a d>b d>c");
	make(b, PAIR_ADJACENT);
	expect(b, "a>b d>a"); /* 9 7 3, the first of each */
	assert_int_equal(b->out.equal_rewards, 1);
	make(b, PAIR_ALL);
	expect(b, "a>b c>b d>a d>b d>c");
	assert_int_equal(b->out.equal_rewards, 1);
	assert_int_equal(b->out.skip, PAIR_MADE);
	assert_int_equal(b->out.small_margin, 0);
}

/* Draws of 0 … 2 among a, c, b (d is the best), from SHA-256 worked out apart:
 * h("prefd-draw-1\n<seed>\n<prompt>"). */
static void draws_are_frozen(void **state)
{
	static const char *const ids[] = {"a", "c", "b"};
	static const int seed0[] = {1, 1, 1, 2, 0, 0, 1, 1}, seed7[] = {2, 1, 0, 1, 2, 1, 0, 0};
	struct bench *b = *state;

	four(b);
	for (int i = 0; i < 16; i++) {
		char prompt[16], want[8];

		snprintf(prompt, sizeof prompt, "p%d", i % 8);
		snprintf(want, sizeof want, "d>%s", ids[i < 8 ? seed0[i] : seed7[i % 8]]);
		b->prompt = str_of(prompt);
		b->rule.seed = i < 8 ? 0 : 7;
		make(b, PAIR_BEST_RANDOM);
		expect(b, want);
	}
}

/* Among two under the greatest seed. x prints like the best and y lies within
 * the margin: neither is drawn from. */
static void only_what_makes_a_pair_is_drawn(void **state)
{
	static const int draw[] = {1, 0, 0, 1, 0, 1, 0, 0};
	struct bench *b = *state;

	add(b, "a", 9);
	add(b, "k", 3);
	add(b, "l", 2);
	add(b, "x", 8.998);
	add(b, "y", 8.5);
	b->rule.seed = UINT64_MAX;
	b->rule.min_margin = 1;
	for (int i = 0; i < 8; i++) {
		char prompt[16];

		snprintf(prompt, sizeof prompt, "p%d", i);
		b->prompt = str_of(prompt);
		make(b, PAIR_BEST_RANDOM);
		expect(b, draw[i] ? "a>l" : "a>k");
		assert_int_equal(b->out.small_margin, 0);
		assert_int_equal(b->out.equal_rewards, 0);
	}
}

static void arrival_order_never_shows(void **state)
{
	static const char *const ids[] = {"a", "b", "c", "d"};
	static const double reward[] = {7, 3, 7, 9};
	struct bench *b = *state;

	for (int turn = 0; turn < 24; turn++) {
		int left[4] = {0, 1, 2, 3}, code = turn;

		b->n = 0;
		for (int k = 4; k > 0; k--) {
			int pick = code % k;

			code /= k;
			add(b, ids[left[pick]], reward[left[pick]]);
			for (int j = pick; j + 1 < k; j++)
				left[j] = left[j + 1];
		}
		make(b, PAIR_ALL);
		expect(b, "a>b c>b d>a d>b d>c");
		make(b, PAIR_BEST_RANDOM);
		expect(b, "d>c"); /* p0 draws 1 of a, c, b */
	}
}

/* Of equals the smallest id comes first, bytewise: "B" before "a", "a" before "a0". */
static void ids_order_by_bytes(void **state)
{
	struct bench *b = *state;

	add(b, "a0", 5);
	add(b, "a", 5);
	add(b, "B", 5);
	add(b, "z", 1);
	make(b, PAIR_BEST_WORST);
	expect(b, "B>z");
	make(b, PAIR_ALL);
	expect(b, "B>z a>z a0>z");
}

static void of_equal_texts_the_smallest_id_stays(void **state)
{
	struct bench *b = *state;

	add(b, "c", 9);
	add(b, "a", 8);
	add(b, "b", 9);
	add(b, "d", 2);
	memset(b->c[0].text_hash, 5, SHA256_BYTES);
	memset(b->c[1].text_hash, 5, SHA256_BYTES);
	memset(b->c[2].text_hash, 5, SHA256_BYTES);
	make(b, PAIR_ALL);
	expect(b, "a>d");
	assert_int_equal(b->out.duplicate_text, 2);
	assert_true(b->out.out[0] && b->out.out[2]);
	assert_false(b->out.out[1] || b->out.out[3]);
	/* A hash that differs in its last byte is another text. */
	b->c[0].text_hash[31] = 6;
	make(b, PAIR_ALL);
	expect(b, "a>d c>a c>d");
	assert_int_equal(b->out.duplicate_text, 1);
}

static void too_few_is_counted_after_duplicates(void **state)
{
	struct bench *b = *state;

	four(b);
	b->rule.min_responses = 4;
	make(b, PAIR_BEST_WORST);
	expect(b, "d>b");
	memcpy(b->c[1].text_hash, b->c[2].text_hash, SHA256_BYTES);
	make(b, PAIR_BEST_WORST);
	expect_skip(b, PAIR_TOO_FEW);
	assert_int_equal(b->out.duplicate_text, 1);
	assert_true(b->out.out[2]);
}

static void one_alone_makes_no_pair(void **state)
{
	struct bench *b = *state;

	b->rule.min_responses = 1;
	for (int s = PAIR_BEST_RANDOM; s <= PAIR_COMPARISONS; s++) {
		b->n = 0;
		make(b, (enum strategy)s);
		expect_skip(b, PAIR_TOO_FEW);
		add(b, "a", 5);
		make(b, (enum strategy)s);
		expect_skip(b, PAIR_TOO_FEW);
	}
}

/* 8.004 and 7.996 both print 8. */
static void equal_is_what_prints_alike(void **state)
{
	struct bench *b = *state;

	add(b, "a", 8.004);
	add(b, "b", 7.996);
	for (int s = PAIR_BEST_RANDOM; s <= PAIR_ALL; s++) {
		make(b, (enum strategy)s);
		expect_skip(b, PAIR_EQUAL);
	}
	add(b, "c", 7.98);
	make(b, PAIR_BEST_WORST);
	expect(b, "a>c");
	make(b, PAIR_ADJACENT);
	expect(b, "a>c");
	make(b, PAIR_ALL);
	expect(b, "a>c b>c");
	assert_int_equal(b->out.equal_rewards, 1);
}

/* 9, 8.5, 8, 5 with a margin of 1: 9−8.5 and 8.5−8 fall, 9−8 just holds. */
static void margins_by_hand(void **state)
{
	struct bench *b = *state;

	add(b, "a", 9);
	add(b, "b", 8.5);
	add(b, "c", 8);
	add(b, "d", 5);
	b->rule.min_margin = 1;
	make(b, PAIR_ALL);
	expect(b, "a>c a>d b>d c>d");
	assert_int_equal(b->out.small_margin, 2);
	make(b, PAIR_ADJACENT);
	expect(b, "c>d");
	assert_int_equal(b->out.small_margin, 2);
	make(b, PAIR_BEST_REST);
	expect(b, "a>c a>d");
	assert_int_equal(b->out.small_margin, 1);
	b->rule.min_margin = 4.5;
	for (int s = PAIR_BEST_RANDOM; s <= PAIR_ALL; s++) {
		make(b, (enum strategy)s);
		expect_skip(b, PAIR_SMALL_MARGIN);
	}
	assert_int_equal(b->out.small_margin, 6);
}

/* a and b print alike, c falls to the margin: small_margin, because a pair fell
 * only to that. Without c nothing but equals is left. */
static void a_margin_goes_before_equality(void **state)
{
	struct bench *b = *state;

	add(b, "a", 9);
	add(b, "b", 9);
	add(b, "c", 8.5);
	b->rule.min_margin = 1;
	for (int s = PAIR_BEST_RANDOM; s <= PAIR_ALL; s++) {
		make(b, (enum strategy)s);
		expect_skip(b, PAIR_SMALL_MARGIN);
	}
	b->n = 2;
	for (int s = PAIR_BEST_RANDOM; s <= PAIR_ALL; s++) {
		make(b, (enum strategy)s);
		expect_skip(b, PAIR_EQUAL);
	}
}

/* a over b 1 + 0.5 against 1: a. c over b by one, the other way round in the
 * array. a and c are level: contradictory. */
static void votes_are_summed(void **state)
{
	struct bench *b = *state;

	add(b, "c", 4);
	add(b, "a", 8);
	add(b, "b", 3);
	vote(b, "a", "b", 1);
	vote(b, "c", "b", 2);
	vote(b, "b", "a", 1);
	vote(b, "a", "c", 2);
	vote(b, "a", "b", 0.5);
	vote(b, "c", "a", 2);
	make(b, PAIR_COMPARISONS);
	expect(b, "a>b c>b");
	assert_int_equal(b->out.contradictory, 1);
	assert_int_equal(b->out.skip, PAIR_MADE);
}

/* 0.1 + 0.2 − 0.3 is 5.6e-17 in doubles, 0.3 − 0.2 − 0.1 is −2.8e-17: the sum
 * in the order given decides, on every machine alike. */
static void votes_are_summed_in_the_order_given(void **state)
{
	struct bench *b = *state;

	add_unscored(b, "a");
	add_unscored(b, "b");
	vote(b, "a", "b", 0.1);
	vote(b, "a", "b", 0.2);
	vote(b, "b", "a", 0.3);
	make(b, PAIR_COMPARISONS);
	expect(b, "a~b");
	b->votes = 0;
	vote(b, "a", "b", 0.3);
	vote(b, "b", "a", 0.2);
	vote(b, "b", "a", 0.1);
	make(b, PAIR_COMPARISONS);
	expect(b, "b~a");
}

static void a_vote_is_plain_unless_rewards_agree(void **state)
{
	struct bench *b = *state;

	add(b, "a", 8);
	add(b, "b", 3);
	add(b, "c", 8.001);
	add_unscored(b, "d");
	vote(b, "a", "b", 1); /* rewards agree */
	vote(b, "b", "c", 1); /* the other way */
	vote(b, "c", "a", 1); /* agree, but print alike */
	vote(b, "a", "d", 1); /* one has none */
	vote(b, "d", "b", 1);
	make(b, PAIR_COMPARISONS);
	expect(b, "a>b a~d b~c c~a d~b");
}

/* The margin is asked of pairs with goals alone. */
static void margins_and_votes(void **state)
{
	struct bench *b = *state;

	add(b, "a", 8);
	add(b, "b", 7.5);
	add_unscored(b, "c");
	b->rule.min_margin = 1;
	vote(b, "a", "b", 1);
	make(b, PAIR_COMPARISONS);
	expect_skip(b, PAIR_SMALL_MARGIN);
	assert_int_equal(b->out.small_margin, 1);
	vote(b, "a", "c", 1);
	make(b, PAIR_COMPARISONS);
	expect(b, "a~c");
	assert_int_equal(b->out.small_margin, 1);
	b->rule.min_margin = 0.5;
	make(b, PAIR_COMPARISONS);
	expect(b, "a>b a~c");
}

static void votes_that_decide_nothing(void **state)
{
	struct bench *b = *state;

	add(b, "a", 8);
	add(b, "b", 3);
	add(b, "c", 8);
	make(b, PAIR_COMPARISONS);
	expect_skip(b, PAIR_NO_VOTES);
	vote(b, "a", "b", 1);
	vote(b, "b", "a", 1);
	make(b, PAIR_COMPARISONS);
	expect_skip(b, PAIR_CONTRADICTORY);
	assert_int_equal(b->out.contradictory, 1);
}

/* b repeats a's text: its votes do not count, and a takes none of them over. */
static void votes_for_duplicates_do_not_count(void **state)
{
	struct bench *b = *state;

	add(b, "a", 8);
	add(b, "b", 3);
	add(b, "c", 5);
	memcpy(b->c[1].text_hash, b->c[0].text_hash, SHA256_BYTES);
	vote(b, "c", "b", 3);
	make(b, PAIR_COMPARISONS);
	expect_skip(b, PAIR_NO_VOTES);
	assert_int_equal(b->out.duplicate_text, 1);
	vote(b, "a", "c", 1);
	make(b, PAIR_COMPARISONS);
	expect(b, "a>c");
}

/* SHA-256("prefd-pair-1\np1\na\nb") and the like, worked out apart. */
static void pair_ids_are_frozen(void **state)
{
	static const struct {
		const char *prompt, *a, *b, *hex;
	} want[] = {
		{"p1", "a", "b", "8f5776f1c1c66a5647ad5be2093c649b"},
		{"p1", "a", "a0", "cc9cb0e3a6dd4e5c83b5766f329d0506"},
		{"π", "", "x", "9f1131fafbf95d6b0d7591a1ee12336b"},
	};
	uint8_t id[16];
	char hex[33];

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		struct str p = str_of(want[i].prompt), x = str_of(want[i].a), y = str_of(want[i].b);

		pair_id(p, x, y, id);
		hex_of(id, 16, hex);
		assert_string_equal(hex, want[i].hex);
		pair_id(p, y, x, id); /* whoever is chosen */
		hex_of(id, 16, hex);
		assert_string_equal(hex, want[i].hex);
	}
}

/* The messages hash is SHA-256 of one letter; fractions of 2^64 worked out
 * apart: seed 0: a 0.8162…, d 0.1044…; seed 42: a 0.2298…, c 0.4244…. */
static void holdout_is_frozen(void **state)
{
	static const struct {
		const char *text;
		uint64_t seed;
		double draw;
	} want[] = {
		{"a", 0, 0.8162232241859632}, {"b", 0, 0.8145337642842714},
		{"c", 0, 0.4198255306650843}, {"d", 0, 0.10442064921783517},
		{"a", 42, 0.22989533437432205}, {"b", 42, 0.29508838878072335},
		{"c", 42, 0.42447424638699827}, {"d", 42, 0.21568528815879234},
	};
	uint8_t hash[SHA256_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		sha256_of(want[i].text, 1, hash);
		assert_false(pair_held_out(hash, want[i].seed, 0));
		assert_false(pair_held_out(hash, want[i].seed, 1e-30));
		assert_false(pair_held_out(hash, want[i].seed, want[i].draw - 1e-15));
		assert_true(pair_held_out(hash, want[i].seed, want[i].draw + 1e-15));
		assert_true(pair_held_out(hash, want[i].seed, 1));
	}
}

/* 10,000 prompts at 0.1: 1,000 with a deviation of 30; five of them allowed. */
static void holdout_takes_its_share(void **state)
{
	uint8_t hash[SHA256_BYTES];
	int held = 0;

	(void)state;
	for (int i = 0; i < 10000; i++) {
		sha256_of(&i, sizeof i, hash);
		held += pair_held_out(hash, 3, 0.1);
	}
	assert_in_range(held, 850, 1150);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_strategy_by_hand),
		TEST(draws_are_frozen),
		TEST(only_what_makes_a_pair_is_drawn),
		TEST(arrival_order_never_shows),
		TEST(ids_order_by_bytes),
		TEST(of_equal_texts_the_smallest_id_stays),
		TEST(too_few_is_counted_after_duplicates),
		TEST(one_alone_makes_no_pair),
		TEST(equal_is_what_prints_alike),
		TEST(margins_by_hand),
		TEST(a_margin_goes_before_equality),
		TEST(votes_are_summed),
		TEST(votes_are_summed_in_the_order_given),
		TEST(a_vote_is_plain_unless_rewards_agree),
		TEST(margins_and_votes),
		TEST(votes_that_decide_nothing),
		TEST(votes_for_duplicates_do_not_count),
		TEST(pair_ids_are_frozen),
		TEST(holdout_is_frozen),
		TEST(holdout_takes_its_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
