/* Replay: exact counts, and which prompts are drawn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "align/replay.h"

/* --- γ ------------------------------------------------------------------------- */

static struct gamma gamma_of(const char *text)
{
	struct gamma g = {7, 0};
	struct err e = {0};

	if (gamma_read(str_of(text), &g, &e) < 0)
		fail_msg("%s: %s", text, e.detail);
	return g;
}

static void test_gamma(void **state)
{
	static const struct {
		const char *text;
		uint64_t num, den;
	} cases[] = {
		{"0", 0, 1},
		{"0.0", 0, 1},
		{"0e5", 0, 1},
		{"0.000000000000000000000000000000", 0, 1},
		{"0e-400", 0, 1},
		{"1", 1, 1},
		{"1.0", 1, 1},
		{"1.000000000000000000000000000", 1, 1},
		{"10e-1", 1, 1},
		{"100E-2", 1, 1},
		{"0.1e1", 1, 1},
		{"0.5", 1, 2},
		{"0.50", 1, 2},
		{"5e-1", 1, 2},
		{"0.25", 1, 4},
		{"0.8", 4, 5},
		{"0.75", 3, 4},
		{"0.125e+0", 1, 8},
		{"0.505", 101, 200},
		{"0.1", 1, 10},
		{"0.05e1", 1, 2},
		{"0.30000000000000004", 7500000000000001, 25000000000000000},
		{"0.000000000000000001", 1, 1000000000000000000},
		{"1e-18", 1, 1000000000000000000},
		{"0.999999999999999999", 999999999999999999, 1000000000000000000},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct gamma g = gamma_of(cases[i].text);

		if (g.num != cases[i].num || g.den != cases[i].den)
			fail_msg("%s is %llu/%llu", cases[i].text, (unsigned long long)g.num, (unsigned long long)g.den);
	}
}

static void test_gamma_refused(void **state)
{
	static const char *const texts[] = {
		"",     "-0.5", "-0",  "1.1",  "1.000000000000000001", "2",     "10",  "1e1", "1e99999999999999999999",
		"0.",   ".5",   "0.5 ", "0.5x", "0.5e",                "0.5e+", "\"0.5\"", "true", "null",
		"1e-19", "1e-99999999999999999999", "0.1234567890123456789", "123456789012345678901e-21", "0.5e-0x"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct gamma g;
		struct err e = {0};

		if (gamma_read(str_of(texts[i]), &g, &e) == 0)
			fail_msg("%s was taken", texts[i]);
		assert_int_equal(e.problem, P_INVALID);
	}
}

/* --- counts --------------------------------------------------------------------- */

static void assert_counts(const char *gamma, uint64_t total, uint64_t there, uint64_t generated, uint64_t offline)
{
	struct replay_counts c = replay_counts(gamma_of(gamma), total, there);

	if (c.generated != generated || c.offline != offline)
		fail_msg("gamma %s of %llu with %llu: %llu + %llu", gamma, (unsigned long long)total,
		         (unsigned long long)there, (unsigned long long)c.generated, (unsigned long long)c.offline);
}

static void test_counts(void **state)
{
	(void)state;
	assert_counts("0", 10000, 20000, 10000, 0);
	assert_counts("0.25", 10000, 20000, 7500, 2500);
	assert_counts("0.5", 10000, 20000, 5000, 5000);
	assert_counts("0.8", 10000, 20000, 2000, 8000); /* 1,999 and 7,996 in doubles */
	assert_counts("1", 10000, 20000, 0, 10000);
	/* ⌊7·0.5⌋ = 3; ⌊7·0.75⌋ = 5, ⌊5/3⌋ = 1; ⌊10·0.7⌋ = 7, ⌊0.3·7/0.7⌋ = 3 */
	assert_counts("0.5", 7, 100, 3, 3);
	assert_counts("0.25", 7, 100, 5, 1);
	assert_counts("0.3", 10, 100, 7, 3);
	assert_counts("0.5", 0, 100, 0, 0);
	assert_counts("0.5", 1, 100, 0, 0);
}

/* What is generated bounds both parts, but at γ = 1. */
static void test_counts_of_few_generated(void **state)
{
	(void)state;
	assert_counts("0", 10000, 300, 300, 0);
	assert_counts("0.25", 10000, 300, 300, 100);
	assert_counts("0.5", 10000, 300, 300, 300);
	assert_counts("0.8", 10000, 300, 300, 1200);
	assert_counts("1", 10000, 300, 0, 10000);
	assert_counts("1", 10000, 0, 0, 10000);
	assert_counts("0.8", 10000, 0, 0, 0);
}

/* 2^63 − 1 at 1 − 1e-18: the products need 123 bits. ⌊(2^63 − 1)·1e-18⌋ = 9. */
static void test_counts_do_not_overflow(void **state)
{
	uint64_t most = (UINT64_C(1) << 63) - 1;

	(void)state;
	assert_counts("0.999999999999999999", most, most, 9, UINT64_C(8999999999999999991));
	assert_counts("0.000000000000000001", most, most, most - 10, 9);
	assert_counts("1", most, most, 0, most);
}

/* --- the draw ------------------------------------------------------------------- */

enum { MOST = 20000 };

struct pools {
	struct arena arena;
	uint8_t generated[MOST][SHA256_BYTES], offline[MOST][SHA256_BYTES];
	struct replay_pool g, o;
	struct replay_draw out;
};

static int set_up(void **state)
{
	static struct pools p;

	memset(&p, 0, sizeof p);
	arena_init(&p.arena);
	p.g.hash = (const uint8_t(*)[SHA256_BYTES])p.generated;
	p.o.hash = (const uint8_t(*)[SHA256_BYTES])p.offline;
	*state = &p;
	return 0;
}

static int tear_down(void **state)
{
	arena_release(&((struct pools *)*state)->arena);
	return 0;
}

static void hash_number(uint32_t x, uint8_t out[SHA256_BYTES])
{
	sha256_of(&x, sizeof x, out);
}

/* Prompts `from` … from + n − 1. */
static void fill(uint8_t (*hash)[SHA256_BYTES], struct replay_pool *pool, uint32_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		hash_number(from + (uint32_t)i, hash[i]);
	pool->n = n;
}

static void draw(struct pools *p, const char *gamma, uint64_t total, uint64_t seed)
{
	struct replay_rule rule = {gamma_of(gamma), total, seed};

	replay_draw(&rule, p->g, p->o, &p->arena, &p->out);
}

static bool in_part(const struct replay_part *part, const uint8_t (*pool)[SHA256_BYTES], const uint8_t *hash)
{
	for (size_t i = 0; i < part->n; i++)
		if (memcmp(pool[part->at[i]], hash, SHA256_BYTES) == 0)
			return true;
	return false;
}

static void assert_sound(const struct pools *p)
{
	for (size_t i = 1; i < p->out.generated.n; i++)
		assert_true(p->out.generated.at[i - 1] < p->out.generated.at[i]);
	for (size_t i = 1; i < p->out.offline.n; i++)
		assert_true(p->out.offline.at[i - 1] < p->out.offline.at[i]);
	for (size_t i = 0; i < p->out.offline.n; i++)
		assert_false(in_part(&p->out.generated, p->g.hash, p->o.hash[p->out.offline.at[i]]));
}

static void test_draw_counts(void **state)
{
	struct pools *p = *state;

	fill(p->generated, &p->g, 0, 12000);
	fill(p->offline, &p->o, 12000, 10000);
	draw(p, "0.8", 10000, 1);
	assert_int_equal(p->out.generated.n, 2000);
	assert_int_equal(p->out.offline.n, 8000);
	assert_int_equal(p->out.wanted, 8000);
	assert_sound(p);
	draw(p, "0", 10000, 1);
	assert_int_equal(p->out.generated.n, 10000);
	assert_int_equal(p->out.offline.n, 0);
	draw(p, "1", 10000, 1);
	assert_int_equal(p->out.generated.n, 0);
	assert_int_equal(p->out.offline.n, 10000);
	assert_sound(p);
}

/* 0.5 of 100: 50 generated, and 50 wanted of a pool of 20. */
static void test_pool_too_small(void **state)
{
	struct pools *p = *state;

	fill(p->generated, &p->g, 0, 60);
	fill(p->offline, &p->o, 1000, 20);
	draw(p, "0.5", 100, 1);
	assert_int_equal(p->out.generated.n, 50);
	assert_int_equal(p->out.offline.n, 20);
	assert_int_equal(p->out.wanted, 50);
	draw(p, "1", 100, 1);
	assert_int_equal(p->out.generated.n, 0);
	assert_int_equal(p->out.offline.n, 20);
	assert_int_equal(p->out.wanted, 100);
	p->o.n = 0;
	draw(p, "0.5", 100, 1);
	assert_int_equal(p->out.generated.n, 50);
	assert_int_equal(p->out.offline.n, 0);
	p->g.n = 0;
	draw(p, "0.5", 100, 1);
	assert_int_equal(p->out.generated.n, 0);
	assert_int_equal(p->out.wanted, 0);
}

/* Both pools hold the same 100 prompts: 50 are generated, the other 50 replayed. */
static void test_disjoint(void **state)
{
	struct pools *p = *state;

	fill(p->generated, &p->g, 0, 100);
	fill(p->offline, &p->o, 0, 100);
	for (uint64_t seed = 0; seed < 20; seed++) {
		draw(p, "0.5", 100, seed);
		assert_int_equal(p->out.generated.n, 50);
		assert_int_equal(p->out.offline.n, 50);
		assert_sound(p);
	}
	/* 80 generated leave 20 for the 20 that 0.2 wants; of 40 shared ones fewer. */
	draw(p, "0.2", 100, 3);
	assert_int_equal(p->out.generated.n, 80);
	assert_int_equal(p->out.offline.n, 20);
	assert_sound(p);
}

/* Of twins the first stands for them. */
static void test_twins(void **state)
{
	struct pools *p = *state;

	for (size_t i = 0; i < 30; i++)
		hash_number((uint32_t)i / 3, p->generated[i]);
	p->g.n = 30;
	fill(p->offline, &p->o, 100, 10);
	memcpy(p->offline[9], p->offline[2], SHA256_BYTES);
	draw(p, "0.5", 40, 5);
	assert_int_equal(p->out.generated.n, 10);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(p->out.generated.at[i], 3 * i);
	assert_int_equal(p->out.offline.n, 9);
	assert_int_equal(p->out.wanted, 10);
	for (size_t i = 0; i < 9; i++)
		assert_int_equal(p->out.offline.at[i], i);
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_BYTES);
}

/* The rule itself, worked out beside: 3 of 10 with the smallest keys. */
static void test_smallest_keys_are_drawn(void **state)
{
	struct pools *p = *state;
	uint8_t key[10][SHA256_BYTES], sorted[10][SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];
	struct str parts[2] = {STR("42"), {hex, 2 * SHA256_BYTES}};

	fill(p->generated, &p->g, 0, 10);
	for (size_t i = 0; i < 10; i++) {
		hex_of(p->generated[i], SHA256_BYTES, hex);
		hash_keyed(key[i], "prefd-replay-1", parts, 2);
		memcpy(sorted[i], key[i], SHA256_BYTES);
	}
	qsort(sorted, 10, SHA256_BYTES, by_bytes);
	draw(p, "0", 3, 42);
	assert_int_equal(p->out.generated.n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(memcmp(key[p->out.generated.at[i]], sorted[2], SHA256_BYTES) <= 0);
}

/* Frozen: prompts are the SHA-256 of the four bytes 0 … 9, little-endian. */
static void test_golden(void **state)
{
	struct pools *p = *state;

	fill(p->generated, &p->g, 0, 10);
	fill(p->offline, &p->o, 5, 10);
	draw(p, "0.5", 8, 42);
	assert_int_equal(p->out.generated.n, 4);
	assert_int_equal(p->out.offline.n, 4);
	assert_int_equal(p->out.generated.at[0], 1);
	assert_int_equal(p->out.generated.at[1], 2);
	assert_int_equal(p->out.generated.at[2], 4);
	assert_int_equal(p->out.generated.at[3], 6);
	assert_int_equal(p->out.offline.at[0], 5);
	assert_int_equal(p->out.offline.at[1], 6);
	assert_int_equal(p->out.offline.at[2], 8);
	assert_int_equal(p->out.offline.at[3], 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gamma),
		cmocka_unit_test(test_gamma_refused),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_counts_of_few_generated),
		cmocka_unit_test(test_counts_do_not_overflow),
		cmocka_unit_test_setup_teardown(test_draw_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pool_too_small, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_disjoint, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_twins, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_smallest_keys_are_drawn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_golden, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
