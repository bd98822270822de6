/* Instants worked by hand: day numbers from 1970-01-01 times 86400. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"

#define S INT64_C(1000000)

struct instant {
	const char *text;
	int64_t us;
};

static const struct instant printed[] = {
	{"1970-01-01T00:00:00Z", 0},
	{"1970-01-01T00:00:00.000001Z", 1},
	{"1969-12-31T23:59:59.999999Z", -1},
	{"1969-12-31T00:00:00Z", -86400 * S},
	/* 30 years of 365 days and 7 leap days (72 … 96): 10957 days; to the end
	 * of February of a leap year another 31 + 29 = 60, so 03-01 is 11017. */
	{"2000-01-01T00:00:00Z", 946684800 * S},
	{"2000-02-29T12:30:45Z", (INT64_C(11016) * 86400 + 45045) * S},
	{"2000-03-01T00:00:00Z", INT64_C(11017) * 86400 * S},
	/* 2026: 56 years, 14 leap days (72 … 24): 20454 days, and 30 of January. */
	{"2026-01-31T12:00:00.000001Z", (INT64_C(20484) * 86400 + 43200) * S + 1},
	/* 1900 was no leap year: 70 years back are 25567 days, 17 leap days (04 … 68). */
	{"1900-03-01T00:00:00Z", (INT64_C(-25567) + 59) * 86400 * S},
	{"0001-01-01T00:00:00Z", INT64_C(-62135596800) * S},
	{"9999-12-31T23:59:59.999999Z", INT64_C(253402300800) * S - 1},
};

static void print_and_parse_are_inverse(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof printed / sizeof printed[0]; i++) {
		char out[CLOCK_TEXT_BYTES];
		int64_t us = 42;

		clock_print(printed[i].us, out);
		assert_string_equal(out, printed[i].text);
		assert_int_equal(clock_parse(str_of(out), &us), 0);
		assert_int_equal(us, printed[i].us);
	}
}

static void every_day_of_400_years_goes_both_ways(void **state)
{
	char last[CLOCK_TEXT_BYTES] = "", out[CLOCK_TEXT_BYTES];

	(void)state;
	/* An era is 146097 days; printed days rise, one after the other. */
	for (int64_t day = -73000; day < -73000 + 146097; day++) {
		int64_t us, noon = (day * 86400 + 43200) * S;

		clock_print(noon, out);
		assert_true(strcmp(last, out) < 0);
		assert_int_equal(clock_parse(str_of(out), &us), 0);
		assert_int_equal(us, noon);
		strcpy(last, out);
	}
}

static void other_spellings(void **state)
{
	static const struct instant cases[] = {
		{"1970-01-01t00:00:00z", 0},
		{"1970-01-01 00:00:00Z", 0},
		{"1970-01-01T01:00:00+01:00", 0},
		{"1969-12-31T18:30:00-05:30", 0},
		{"1970-01-01T00:00:00-00:00", 0},
		{"1970-01-01T23:59:00+23:59", 0},
		{"1970-01-01T00:00:00.5Z", 500000},
		{"1970-01-01T00:00:00.000010Z", 10},
		{"1970-01-01T00:00:00.1234569999Z", 123456},
		{"1969-12-31T23:59:59.25Z", -750000},
		{"2024-02-29T00:00:00Z", INT64_C(19782) * 86400 * S},
		/* A leap second is the next day's beginning; 17166 days to 2017. */
		{"2016-12-31T23:59:60Z", INT64_C(17167) * 86400 * S},
		{"2016-12-31T23:59:60.75Z", INT64_C(17167) * 86400 * S},
		{"2017-01-01T00:59:60+01:00", INT64_C(17167) * 86400 * S},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t us = 42;

		assert_int_equal(clock_parse(str_of(cases[i].text), &us), 0);
		assert_int_equal(us, cases[i].us);
	}
}

static void what_is_no_instant(void **state)
{
	static const char *const cases[] = {
		"", "2026", "2026-01-31", "2026-01-31T12:00:00", "2026-01-31T12:00Z", "2026-1-31T12:00:00Z",
		"2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
		"2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
		"2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T12:00:60Z",
		"2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00+1:00",
		"2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+01:60", "2026-01-01T00:00:00Z ", " 2026-01-01T00:00:00Z",
		"2026-01-01T00:00:00ZZ", "2026/01/01T00:00:00Z", "2026-01-01_00:00:00Z", "+026-01-01T00:00:00Z",
		"0000-12-31T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:00-00:01", "9999-12-31T23:59:60Z",
		"2026-01-01T00:00:00\xE2\x88\x92" "01:00",
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int64_t us = 42;

		assert_int_equal(clock_parse(str_of(cases[i]), &us), -1);
		assert_int_equal(us, 42);
	}
	assert_int_equal(clock_parse((struct str){"1970-01-01\0" "00:00:00Z", 20}, &(int64_t){0}), -1);
	assert_int_equal(clock_parse(STR_NONE, &(int64_t){0}), -1);
}

static void every_cut_is_refused(void **state)
{
	struct str whole = STR("2026-01-31T12:00:00.000001+01:30");

	(void)state;
	for (size_t n = 0; n < whole.n; n++) {
		/* A copy of just this size, so that a byte read behind it is seen. */
		char *copy = malloc(n ? n : 1);
		int64_t us;

		memcpy(copy, whole.p, n);
		assert_int_equal(clock_parse((struct str){copy, n}, &us), -1);
		free(copy);
	}
}

static void the_shift_is_added(void **state)
{
	int64_t before = clock_now_us(), after;

	(void)state;
	assert_true(before > INT64_C(1600000000) * S);
	clock_shift_us(3600 * S);
	after = clock_now_us();
	clock_shift_us(-3600 * S);
	assert_in_range(after - before, 3600 * S, 3660 * S);
	assert_true(clock_steady_us() <= clock_steady_us());
}

static void random_hex_is_hex_and_differs(void **state)
{
	char a[2 * 100 + 1], b[2 * 100 + 1];

	(void)state;
	random_hex(a, 100);
	random_hex(b, 100);
	assert_int_equal(strlen(a), 200);
	assert_int_equal(strspn(a, "0123456789abcdef"), 200);
	assert_string_not_equal(a, b);
	/* Not one block over and over. */
	assert_memory_not_equal(a, a + 128, 72);
	random_hex(a, 0);
	assert_string_equal(a, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(print_and_parse_are_inverse),
		cmocka_unit_test(every_day_of_400_years_goes_both_ways),
		cmocka_unit_test(other_spellings),
		cmocka_unit_test(what_is_no_instant),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(the_shift_is_added),
		cmocka_unit_test(random_hex_is_hex_and_differs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
