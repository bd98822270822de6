/* Decimals in exact integers against strtod and printf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <cmocka.h>

#include "../../server/base/decimal.h"

static uint64_t random_state;

static uint64_t random_bits(void)
{
	uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static int set_up(void **state)
{
	(void)state;
	random_state = 1;
	return 0;
}

/* --- reading ------------------------------------------------------------------- */

/* Taken or not; and if it is, to the bit what strtod reads. */
static bool check_read(const char *z)
{
	double x = 7, y = strtod(z, NULL);

	if (!decimal_read(str_of(z), &x))
		return false;
	if (memcmp(&x, &y, sizeof x) != 0)
		fail_msg("%s is %a, not %a", z, x, y);
	return true;
}

static void test_read(void **state)
{
	static const char *const taken[] = {
		"0", "-0", "0.0", "1", "-1", "0.1", "0.30000000000000004", "-574.4469828447995", "1e3", "1E+3", "12e-3",
		"9007199254740993",       /* 2^53 + 1: between two doubles, the even one below */
		"9007199254740995",       /* the even one above */
		"9007199254740993.001",  /* just above the middle */
		"9007199254740992.999",
		"4503599627370497.5", "4503599627370498.5",
		"9999999999999999999",    /* 19 digits */
		"0.000000000000000000000000001", "1e27", "1e-27", "9999999999999999999e-27", "9999999999999999999e27",
		"0000000000000000000000.5", "0.00000000000000000012345",
		"3.141592653589793238",   /* 19 digits */
	};
	static const char *const left[] = {
		"18446744073709551616", /* 2^64: 20 digits that would wrap to 0 */
		"36893488147419103232", "12345678901234567890", "0.12345678901234567890", "1e28", "1e-28",
		"1e999999999999999999999", "1e-999999999999999999999",
		"0.0000000000000000000000000001",
	};

	(void)state;
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		if (!check_read(taken[i]))
			fail_msg("%s was not taken", taken[i]);
	for (size_t i = 0; i < sizeof left / sizeof *left; i++)
		if (check_read(left[i]))
			fail_msg("%s was taken", left[i]);
}

static void test_read_random(void **state)
{
	char z[128];
	int taken = 0, n = 0;

	(void)state;
	for (int i = 0; i < 60000; i++) {
		double v = ldexp((double)random_bits(), (int)(random_bits() % 130) - 100);

		for (int digits = 1; digits <= 21; digits += 4, n++) {
			snprintf(z, sizeof z, random_bits() & 1 ? "%.*g" : "%.*e", digits, v);
			taken += check_read(z);
		}
	}
	assert_true(taken > n / 2);
}

/* Halfway between two doubles, and a little to either side. */
static void test_read_halves(void **state)
{
	char z[128];

	(void)state;
	for (int i = 0; i < 60000; i++) {
		uint64_t m = random_bits() >> 10 | UINT64_C(1) << 53 | 1;
		int k = (int)(random_bits() % 4);

		snprintf(z, sizeof z, "%.*Lf", k, ldexpl((long double)m, -k));
		assert_true(check_read(z));
		strcat(z, k ? "1" : ".1");
		check_read(z);
		snprintf(z, sizeof z, "%.*Lf", k, ldexpl((long double)m, -k));
		z[strlen(z) - 1]--; /* the last digit is odd: a 1 or a 5 at least */
		assert_true(check_read(z));
	}
}

/* --- printing -------------------------------------------------------------------- */

/* As slowly as it goes. */
static size_t print_slowly(double v, char out[JSON_NUMBER_MAX_BYTES])
{
	int length = 0;

	for (int digits = 15; digits <= 17; digits++) {
		length = snprintf(out, JSON_NUMBER_MAX_BYTES, "%.*g", digits, v);
		if (strtod(out, NULL) == v)
			break;
	}
	return (size_t)length;
}

static void check_print(double v)
{
	char fast[JSON_NUMBER_MAX_BYTES], slow[JSON_NUMBER_MAX_BYTES];
	size_t n = decimal_print(v, fast), wanted = print_slowly(v, slow);

	if (n != wanted || memcmp(fast, slow, n) != 0)
		fail_msg("%a is %.*s, not %.*s", v, (int)n, fast, (int)wanted, slow);
}

static void test_print(void **state)
{
	char out[JSON_NUMBER_MAX_BYTES];

	(void)state;
	check_print(0.30000000000000004);
	check_print(1.0 / 3);
	check_print(-2.0 / 3);
	check_print(100);
	check_print(0.1);
	check_print(1e-4);
	check_print(nextafter(1e15, 0));
	check_print(nextafter(1, 0));
	check_print(nextafter(10, 0));
	check_print(123456789012345.67);
	assert_int_equal(decimal_print(1e15, out), 0);
	assert_int_equal(decimal_print(nextafter(1e-4, 0), out), 0);
	assert_int_equal(decimal_print(0, out), 0);
}

static void test_print_random(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++) {
		double v = ldexp((double)(random_bits() >> 11 | UINT64_C(1) << 52), -52 + (int)(random_bits() % 62) - 13);

		check_print(random_bits() & 1 ? v : -v);
		check_print((double)(random_bits() % 1000000000 + 1) / 1000);
	}
}

/* Around powers of two, where doubles below lie closer; and of ten. */
static void test_print_around_powers(void **state)
{
	(void)state;
	for (int e = -13; e < 50; e++) {
		double v = ldexp(1, e);

		check_print(v);
		check_print(nextafter(v, 0));
		check_print(nextafter(v, INFINITY));
	}
	for (int e = -3; e < 15; e++) {
		double v = pow(10, e);

		for (int i = 0; i < 20; i++, v = nextafter(v, 0))
			check_print(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, set_up)
		T(test_read),  T(test_read_random),  T(test_read_halves),
		T(test_print), T(test_print_random), T(test_print_around_powers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
