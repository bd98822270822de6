/* Goals: how they print, and quantiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "align/goal.h"

static void check_print(double g, int decimals, const char *want)
{
	char out[GOAL_TEXT_BYTES];

	assert_int_equal(goal_print(g, decimals, out), strlen(want));
	assert_string_equal(out, want);
}

static void a_goal_prints_short(void **state)
{
	(void)state;
	check_print(8.5, GOAL_DECIMALS, "8.5");
	check_print(7, GOAL_DECIMALS, "7");
	check_print(10, GOAL_DECIMALS, "10");
	check_print(100, GOAL_DECIMALS, "100");
	check_print(0, GOAL_DECIMALS, "0");
	check_print(8.25, GOAL_DECIMALS, "8.25");
	check_print(8.126, GOAL_DECIMALS, "8.13");
	check_print(9.999, GOAL_DECIMALS, "10");
	check_print(-2.5, GOAL_DECIMALS, "-2.5");
	check_print(-100, GOAL_DECIMALS, "-100");
	check_print(20, 0, "20"); /* no point, so its zeros stay */
}

/* 0.125 and 0.375 are doubles exactly: C rounds halves to even. 2.675 lies
 * just below the half. */
static void halves_round_as_in_c(void **state)
{
	(void)state;
	check_print(0.125, GOAL_DECIMALS, "0.12");
	check_print(0.375, GOAL_DECIMALS, "0.38");
	check_print(2.675, GOAL_DECIMALS, "2.67");
}

static void zero_has_no_sign(void **state)
{
	(void)state;
	check_print(-0.0, GOAL_DECIMALS, "0");
	check_print(-0.001, GOAL_DECIMALS, "0");
	check_print(-0.00004, QUANTILE_DECIMALS, "0");
	check_print(-0.4, 0, "0");
	check_print(-0.01, GOAL_DECIMALS, "-0.01");
}

static void quantiles_print_with_four_decimals(void **state)
{
	(void)state;
	check_print(3.25, QUANTILE_DECIMALS, "3.25");
	check_print(1 + 9 * 1.0 / 3, QUANTILE_DECIMALS, "4");
	check_print(1 + 9 * 2.0 / 7, QUANTILE_DECIMALS, "3.5714");
}

/* The longest there is: 309 digits with their sign fit, the zeros behind them go. */
static void the_greatest_double_fits(void **state)
{
	char out[GOAL_TEXT_BYTES];

	(void)state;
	assert_int_equal(goal_print(-DBL_MAX, QUANTILE_DECIMALS, out), 310);
	assert_memory_equal(out, "-17976931348623157", 18);
	assert_true(strtod(out, NULL) == -DBL_MAX);
}

/* Mean of 1, 2, 6 is 3. */
static void centring_takes_the_mean(void **state)
{
	const double r[] = {1, 2, 6};
	double x[3];

	(void)state;
	goal_centre(r, 3, x);
	assert_true(x[0] == -2 && x[1] == -1 && x[2] == 3);
	goal_centre(r + 1, 1, x);
	assert_true(x[0] == 0 && !signbit(x[0]));
}

/* In doubles 1.3 − 1.2 and 20.3 − 20.2 differ in their last digits; to twelve
 * digits both are 0.1. */
static void rounding_makes_ties_ties(void **state)
{
	const double a[] = {1.1, 1.2, 1.3}, b[] = {20.1, 20.2, 20.3};
	double x[3], y[3];

	(void)state;
	assert_true(a[2] - a[1] != b[2] - b[1]);
	goal_centre(a, 3, x);
	goal_centre(b, 3, y);
	assert_true(x[0] == y[0] && x[0] == -0.1);
	assert_true(x[2] == y[2] && x[2] == 0.1);
}

/* Twelve digits and no more: mean of ±1.23456789012345 is 0. */
static void rounding_keeps_twelve_digits(void **state)
{
	const double r[] = {-1.23456789012345, 1.23456789012345};
	const double s[] = {-1234567890123.45, 1234567890123.45};
	double x[2];

	(void)state;
	goal_centre(r, 2, x);
	assert_true(x[0] == -1.23456789012 && x[1] == 1.23456789012);
	goal_centre(s, 2, x);
	assert_true(x[0] == -1234567890120.0 && x[1] == 1234567890120.0);
}

/* 1, 2, 2, 5 on 1 … 10: ranks 1, 2.5, 2.5, 4; goals 1 + 9·(k−1)/3. */
static void quantiles_by_hand(void **state)
{
	double x[] = {2, 5, 1, 2};

	(void)state;
	goal_sort(x, 4);
	assert_true(x[0] == 1 && x[1] == 2 && x[2] == 2 && x[3] == 5);
	assert_true(goal_quantile(x, 4, 1, 1, 10) == 1);
	assert_true(goal_quantile(x, 4, 2, 1, 10) == 5.5);
	assert_true(goal_quantile(x, 4, 5, 1, 10) == 10);
}

static void a_single_one_is_the_best(void **state)
{
	double x[] = {-3};

	(void)state;
	assert_true(goal_quantile(x, 1, -3, 1, 10) == 10);
}

/* All equal: rank (1 + n)/2, the middle of the scale. */
static void all_equal_is_the_middle(void **state)
{
	double x[] = {7, 7, 7, 7, 7, 7};

	(void)state;
	assert_true(goal_quantile(x, 6, 7, 0, 1) == 0.5);
}

/* Order is kept and no goal leaves the scale, whatever its ends. */
static void quantiles_stay_on_the_scale(void **state)
{
	enum { N = 997 };
	static double x[N];

	(void)state;
	for (int i = 0; i < N; i++)
		x[i] = (double)(i * 631 % N) / 3 - 100;
	goal_sort(x, N);
	for (int i = 0; i < N; i++) {
		double g = goal_quantile(x, N, x[i], 0.1, 0.7);

		assert_true(g >= 0.1 && g <= 0.7);
		if (i > 0)
			assert_true(g > goal_quantile(x, N, x[i - 1], 0.1, 0.7));
	}
	assert_true(goal_quantile(x, N, x[N - 1], 0.1, 0.7) == 0.7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_goal_prints_short),
		cmocka_unit_test(halves_round_as_in_c),
		cmocka_unit_test(zero_has_no_sign),
		cmocka_unit_test(quantiles_print_with_four_decimals),
		cmocka_unit_test(the_greatest_double_fits),
		cmocka_unit_test(centring_takes_the_mean),
		cmocka_unit_test(rounding_makes_ties_ties),
		cmocka_unit_test(rounding_keeps_twelve_digits),
		cmocka_unit_test(quantiles_by_hand),
		cmocka_unit_test(a_single_one_is_the_best),
		cmocka_unit_test(all_equal_is_the_middle),
		cmocka_unit_test(quantiles_stay_on_the_scale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
