/* Sums without rounding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>

#include "base/exact.h"

static uint64_t next_random(uint64_t *x)
{
	*x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *x >> 11;
}

/* Any finite double: every exponent, both signs, subnormals among them. */
static double any_double(uint64_t *x)
{
	double v;

	do {
		uint64_t bits = next_random(x) << 12 ^ next_random(x);

		memcpy(&v, &bits, sizeof v);
	} while (!isfinite(v));
	return v;
}

/* Like a score or a log-probability. */
static double usual_double(uint64_t *x)
{
	return (double)(int64_t)(next_random(x) % 2000001 - 1000000) / 1000.0;
}

static struct exact sum_of(const double *v, size_t n)
{
	struct exact s = {0};

	for (size_t i = 0; i < n; i++)
		exact_add(&s, v[i], 1);
	return s;
}

static void same(const struct exact *a, const struct exact *b)
{
	assert_int_equal(a->count, b->count);
	assert_memory_equal(a->sum, b->sum, sizeof a->sum);
	assert_memory_equal(a->square, b->square, sizeof a->square);
}

/* Within one unit in the last place. */
static void close_to(double got, double want)
{
	if (!(got >= nextafter(want, -INFINITY) && got <= nextafter(want, INFINITY)))
		fail_msg("%.17g is not %.17g", got, want);
}

static void test_nothing(void **state)
{
	struct exact s = {0};

	(void)state;
	assert_true(exact_is_zero(&s));
	assert_true(exact_sum(&s) == 0 && exact_mean(&s) == 0 && exact_std(&s) == 0);
	exact_add(&s, 0.0, 1);
	exact_add(&s, -0.0, 1);
	assert_false(exact_is_zero(&s));
	assert_true(exact_mean(&s) == 0 && !signbit(exact_mean(&s)) && exact_std(&s) == 0);
	/* A difference may hold fewer than no terms: it has no mean. */
	exact_add(&s, 3, -1);
	exact_add(&s, 3, -1);
	exact_add(&s, 3, -1);
	assert_int_equal(s.count, -1);
	assert_true(exact_sum(&s) == -9 && exact_mean(&s) == 0 && exact_std(&s) == 0);
}

static void test_by_hand(void **state)
{
	/* Sum 40, mean 5; deviations 9 1 1 1 0 0 4 16 sum to 32, 32/8 = 4, std 2. */
	static const double a[] = {2, 4, 4, 4, 5, 5, 7, 9};
	/* 0.5, -1.5: mean -0.5, std 1. */
	static const double b[] = {0.5, -1.5};
	/* 1, 2, 2: mean 5/3; 9/3 - 25/9 = 2/9, std sqrt(2)/3. */
	static const double c[] = {1, 2, 2};
	struct exact s = sum_of(a, 8);

	(void)state;
	assert_true(exact_sum(&s) == 40 && exact_mean(&s) == 5 && exact_std(&s) == 2);
	s = sum_of(b, 2);
	assert_true(exact_sum(&s) == -1 && exact_mean(&s) == -0.5 && exact_std(&s) == 1);
	s = sum_of(c, 3);
	assert_true(exact_sum(&s) == 5 && exact_mean(&s) == 5.0 / 3);
	close_to(exact_std(&s), 0.47140452079103168293);
}

static void test_rounding(void **state)
{
	struct exact s = {0};

	(void)state;
	/* 0.1 is 3602879701896397 / 2^55; ten of them are 1.000…0055, nearest 1. */
	for (int i = 0; i < 10; i++)
		exact_add(&s, 0.1, 1);
	assert_true(exact_sum(&s) == 1 && exact_mean(&s) == 0.1 && exact_std(&s) == 0);
	/* 2^53 + 1 lies halfway: to even, 2^53; a grain more lifts it to 2^53 + 2. */
	s = (struct exact){0};
	exact_add(&s, 0x1p53, 1);
	exact_add(&s, 1, 1);
	assert_true(exact_sum(&s) == 0x1p53);
	exact_add(&s, 0x1p-1074, 1);
	assert_true(exact_sum(&s) == 0x1p53 + 2);
	exact_add(&s, 0x1p-1074, -1);
	/* 2^53 + 3 lies halfway, too: to even, 2^53 + 4. */
	exact_add(&s, 2, 1);
	assert_true(exact_sum(&s) == 0x1p53 + 4);
	/* All 53 bits set and half a unit more: the carry makes a power of two. */
	s = (struct exact){0};
	exact_add(&s, 0x1.fffffffffffffp0, 1);
	exact_add(&s, 0x1p-53, 1);
	assert_true(exact_sum(&s) == 2);
}

static void test_edges(void **state)
{
	static const double tiny[] = {0x1p-1074, 0x1p-1074, 0x1p-1073};
	struct exact s = sum_of(tiny, 3);

	(void)state;
	/* Mean 4/3 of the least double: 1 of it. std = sqrt(6/3 - 16/9) = 0.47 of it: 0. */
	assert_true(exact_sum(&s) == 0x1p-1072);
	assert_true(exact_mean(&s) == 0x1p-1074);
	assert_true(exact_std(&s) == 0);
	/* 2.5 of the least: a tie, to even. */
	s = (struct exact){0};
	exact_add(&s, 2 * 0x1p-1074, 1);
	exact_add(&s, 3 * 0x1p-1074, 1);
	assert_true(exact_mean(&s) == 2 * 0x1p-1074);
	/* 1.5 of it: to even as well, 2. */
	s = (struct exact){0};
	exact_add(&s, -0x1p-1074, 1);
	exact_add(&s, -2 * 0x1p-1074, 1);
	assert_true(exact_mean(&s) == -2 * 0x1p-1074);
	/* Sums beyond a double do no harm to mean and deviation. */
	s = (struct exact){0};
	for (int i = 0; i < 1000; i++) {
		exact_add(&s, 1e308, 1);
		exact_add(&s, i % 2 ? DBL_MAX : -DBL_MAX, 1);
	}
	assert_true(isinf(exact_sum(&s)));
	assert_true(exact_mean(&s) == 5e307);
	assert_true(isfinite(exact_std(&s)) && exact_std(&s) > 1e308);
	s = (struct exact){0};
	exact_add(&s, DBL_MAX, 1);
	exact_add(&s, -DBL_MAX, 1);
	assert_true(exact_sum(&s) == 0 && exact_mean(&s) == 0 && exact_std(&s) == DBL_MAX);
	assert_false(exact_is_zero(&s));
	s = (struct exact){0};
	exact_add(&s, -DBL_MAX, 1);
	exact_add(&s, -DBL_MAX, 1);
	assert_true(exact_mean(&s) == -DBL_MAX && exact_std(&s) == 0);
}

/* Where Σx²/n − mean² in doubles has no digit left: 10^8 ± 2^-26. */
static void test_cancellation(void **state)
{
	struct exact s = {0};

	(void)state;
	exact_add(&s, 1e8 + 0x1p-26, 1);
	exact_add(&s, 1e8 - 0x1p-26, 1);
	assert_true(exact_mean(&s) == 1e8);
	assert_true(exact_std(&s) == 0x1p-26);
	/* The sum of 1, 1e100, 1, -1e100 in any order is 2. */
	s = (struct exact){0};
	exact_add(&s, 1, 1);
	exact_add(&s, 1e100, 1);
	exact_add(&s, 1, 1);
	exact_add(&s, -1e100, 1);
	assert_true(exact_sum(&s) == 2 && exact_mean(&s) == 0.5);
}

static void test_any_order(void **state)
{
	double v[300];
	uint64_t x = 3;
	struct exact s, shuffled;

	(void)state;
	for (size_t i = 0; i < 300; i++)
		v[i] = i % 2 ? any_double(&x) : usual_double(&x);
	s = sum_of(v, 300);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 299; i > 0; i--) {
			size_t j = next_random(&x) % (i + 1);
			double t = v[i];

			v[i] = v[j];
			v[j] = t;
		}
		shuffled = sum_of(v, 300);
		same(&s, &shuffled);
	}
}

static void test_taking_back_leaves_nothing(void **state)
{
	double v[300];
	uint64_t x = 5;
	struct exact s, before;

	(void)state;
	for (size_t i = 0; i < 300; i++)
		v[i] = i % 2 ? any_double(&x) : usual_double(&x);
	before = s = sum_of(v, 10);
	for (size_t i = 10; i < 300; i++)
		exact_add(&s, v[i], 1);
	for (size_t i = 299; i >= 10; i--)
		exact_add(&s, v[i], -1);
	same(&s, &before);
	for (size_t i = 0; i < 10; i++)
		exact_add(&s, v[i], -1);
	assert_true(exact_is_zero(&s));
	/* Back below zero and up again. */
	exact_add(&s, 1e308, -1);
	exact_add(&s, -1e-308, -1);
	assert_false(exact_is_zero(&s));
	exact_add(&s, -1e-308, 1);
	exact_add(&s, 1e308, 1);
	assert_true(exact_is_zero(&s));
}

static void test_merge(void **state)
{
	double v[200];
	uint64_t x = 9;
	struct exact all, part, difference = {0};

	(void)state;
	for (size_t i = 0; i < 200; i++)
		v[i] = i % 3 ? usual_double(&x) : any_double(&x);
	all = sum_of(v, 200);
	part = sum_of(v, 120);
	/* The last 80 come, the first 100 go, and come again. */
	for (size_t i = 0; i < 100; i++)
		exact_add(&difference, v[i], -1);
	for (size_t i = 120; i < 200; i++)
		exact_add(&difference, v[i], 1);
	assert_int_equal(difference.count, -20);
	exact_merge(&part, &difference);
	assert_int_equal(part.count, 100);
	difference = sum_of(v, 100);
	exact_merge(&part, &difference);
	same(&part, &all);
}

static void test_against_quad(void **state)
{
	uint64_t x = 11;

	(void)state;
	/* Thousandths and their squares keep 113 bits far from full: |x| < 1000. */
	for (int round = 0; round < 200; round++) {
		size_t n = 1 + next_random(&x) % 400;
		struct exact s = {0};
		__float128 sum = 0, squares = 0, variance;

		for (size_t i = 0; i < n; i++) {
			double v = usual_double(&x);

			exact_add(&s, v, 1);
			sum += v;
			squares += (__float128)v * v;
		}
		variance = squares / n - sum / n * (sum / n);
		close_to(exact_sum(&s), (double)sum);
		close_to(exact_mean(&s), (double)(sum / n));
		assert_true(fabs(exact_std(&s) - sqrt((double)variance)) <= 4 * DBL_EPSILON * exact_std(&s));
	}
}

/* The carry from word to word, at every place a double can have. */
static void test_every_exponent(void **state)
{
	(void)state;
	for (int e = -1074; e <= 1023; e++) {
		struct exact s = {0};
		double v = ldexp(1, e), m = e > -1022 ? v * 0x1.fffffffffffffp0 : v;

		exact_add(&s, m, 1);
		assert_true(exact_sum(&s) == m && exact_mean(&s) == m && exact_std(&s) == 0);
		exact_add(&s, -v, 1);
		assert_true(exact_sum(&s) == m - v);
		exact_add(&s, m, -1);
		assert_true(exact_sum(&s) == -v && exact_mean(&s) == -v && exact_std(&s) == 0);
		exact_add(&s, v, 1);
		/* v and -v: the deviation is v. */
		assert_true(exact_sum(&s) == 0 && exact_std(&s) == v);
	}
}

static void round_trip(const struct exact *s)
{
	struct buf b = BUF_INIT;
	struct exact back;

	memset(&back, 0x5A, sizeof back);
	exact_pack(&b, s);
	assert_int_equal(exact_unpack(&back, buf_view(&b)), 0);
	same(s, &back);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(exact_unpack(&back, (struct str){b.p, n}), -1);
	buf_byte(&b, 0);
	assert_int_equal(exact_unpack(&back, buf_view(&b)), -1);
	buf_release(&b);
}

static void test_pack(void **state)
{
	struct exact s = {0};
	struct buf b = BUF_INIT;
	uint64_t x = 13;

	(void)state;
	round_trip(&s);
	/* Nothing: the count and two empty runs of words. */
	exact_pack(&b, &s);
	assert_int_equal(b.n, 8 + 2 + 2);
	/* A usual sum takes a few words, not a hundred. */
	for (int i = 0; i < 1000; i++)
		exact_add(&s, usual_double(&x), 1);
	buf_clear(&b);
	exact_pack(&b, &s);
	assert_in_range(b.n, 8 + 2 + 2 + 2 * 8, 80);
	for (int i = 0; i < 200; i++) {
		exact_add(&s, any_double(&x), i % 3 ? 1 : -1);
		round_trip(&s);
	}
	for (int e = -1074; e <= 1023; e++) {
		struct exact t = {0};

		exact_add(&t, ldexp(1, e), 1);
		round_trip(&t);
		exact_add(&t, ldexp(1, e), -1);
		exact_add(&t, ldexp(1, e), -1);
		round_trip(&t);
	}
	buf_release(&b);
}

static void test_unpack_refuses(void **state)
{
	/* Count 1, then a run of one word behind the last place: 36 + 1 > 36. */
	static const char far[] = "\1\0\0\0\0\0\0\0" "\x24\1" "\1\0\0\0\0\0\0\0" "\0\0";
	static const char last[] = "\1\0\0\0\0\0\0\0" "\x23\1" "\1\0\0\0\0\0\0\0" "\0\0";
	struct exact s;

	(void)state;
	assert_int_equal(exact_unpack(&s, (struct str){far, sizeof far - 1}), -1);
	assert_int_equal(exact_unpack(&s, (struct str){last, sizeof last - 1}), 0);
	assert_int_equal(s.sum[EXACT_SUM_WORDS - 1], 1);
	assert_int_equal(exact_unpack(&s, STR("")), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_by_hand),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_cancellation),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_taking_back_leaves_nothing),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_against_quad),
		cmocka_unit_test(test_every_exponent),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_unpack_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
