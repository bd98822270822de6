/* Strict JSON in, exact JSON out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/json.h"

/* A copy that ends where the heap block ends: reading behind it is an error. */
static struct str tight(struct str s)
{
	char *p = heap_alloc(s.n + !s.n);

	memcpy(p, s.p, s.n);
	return (struct str){p, s.n};
}

static int scan(struct str s, int depth, struct err *e)
{
	struct str t = tight(s);
	int rc;

	memset(e, 0, sizeof *e);
	rc = json_scan(t, depth, e);
	heap_free((char *)t.p);
	return rc;
}

static void good(struct str s)
{
	struct err e;

	if (scan(s, JSON_DEPTH_MAX, &e) != 0)
		fail_msg("%.*s: %s", STR_ARG(s), e.detail);
}

static void bad(struct str s, size_t byte, const char *pointer, const char *word)
{
	struct err e;
	char at[40];

	snprintf(at, sizeof at, "(byte %zu)", byte);
	if (scan(s, JSON_DEPTH_MAX, &e) != -1)
		fail_msg("taken: %.*s", STR_ARG(s));
	assert_int_equal(e.problem, P_BROKEN_JSON);
	if (!strstr(e.detail, at) || !strstr(e.detail, word) || strcmp(e.pointer, pointer) != 0)
		fail_msg("%.*s: %s at \"%s\"", STR_ARG(s), e.detail, e.pointer);
}

/* --- the scanner -------------------------------------------------------- */

static void test_scan_takes(void **state)
{
	(void)state;
	good(STR("0"));
	good(STR("-0"));
	good(STR(" \t\r\n[ ] \n"));
	good(STR("{}"));
	good(STR("\"\""));
	good(STR("true"));
	good(STR("[null,false,true]"));
	good(STR("[0.5,-1.25e+2,1E5,1e-400,10e307,1.7976931348623157e308]"));
	good(STR("{\"a\":{\"a\":{\"a\":[]}},\"b\":[{\"a\":1},{\"a\":2}]}"));
	good(STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\""));
	good(STR("\"\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\""));
	good(STR("{\"\":1,\" \":2,\"a\":3,\"A\":4}"));
}

static void test_scan_refuses_grammar(void **state)
{
	(void)state;
	bad(STR(""), 0, "", "a value, found the end of the text");
	bad(STR("  "), 2, "", "end of the text");
	bad(STR("01"), 1, "", "end of the text");
	bad(STR("-"), 1, "", "a digit");
	bad(STR("+1"), 0, "", "a value, found '+'");
	bad(STR(".5"), 0, "", "a value");
	bad(STR("1."), 2, "", "a digit behind the point");
	bad(STR("1.e5"), 2, "", "a digit behind the point");
	bad(STR("[1e]"), 3, "/0", "a digit in the exponent");
	bad(STR("[1e+]"), 4, "/0", "a digit in the exponent");
	bad(STR("NaN"), 0, "", "a value");
	bad(STR("nul"), 0, "", "a value");
	bad(STR("trueX"), 4, "", "the end of the text, found 'X'");
	bad(STR("1 2"), 2, "", "the end of the text");
	bad(STR("[1,]"), 3, "/1", "a value, found ']'");
	bad(STR("[,1]"), 1, "/0", "a value");
	bad(STR("[1 2]"), 3, "", "',' or ']'");
	bad(STR("[1}"), 2, "", "',' or ']'");
	bad(STR("[1"), 2, "", "end of the text");
	bad(STR("{\"a\":1,}"), 7, "", "a key in quotes");
	bad(STR("{\"a\" 1}"), 5, "/a", "':'");
	bad(STR("{a:1}"), 1, "", "a key in quotes");
	bad(STR("{\"a\":}"), 5, "/a", "a value");
	bad(STR("{\"a\":1 \"b\"}"), 7, "", "',' or '}'");
	bad(STR("// no\n1"), 0, "", "a value");
	bad(STR("\xEF\xBB\xBF{}"), 0, "", "the byte 0xEF");
	bad(STR("{}\0"), 2, "", "the byte 0x00");
	bad(STR("[1e400]"), 1, "/0", "too large");
	bad(STR("[1,-1.8e308]"), 3, "/1", "too large");
}

static void test_scan_refuses_strings(void **state)
{
	(void)state;
	bad(STR("\"abc"), 4, "", "not closed");
	bad(STR("\"abcdefgh\\"), 10, "", "not closed");
	bad(STR("[\"a\nb\"]"), 3, "/0", "control character (0x0A)");
	bad(STR("\"\\x\""), 2, "", "behind the backslash");
	bad(STR("\"\\u12G4\""), 1, "", "four hex digits");
	bad(STR("\"\\u12\""), 1, "", "four hex digits");
	bad(STR("\"\\u0000\""), 1, "", "\\u0000");
	bad(STR("\"\\ud800\""), 1, "", "half of a surrogate pair");
	bad(STR("\"\\ud800\\u0041\""), 1, "", "\\uD800");
	bad(STR("\"\\udc00\\ud800\""), 1, "", "\\uDC00");
	bad(STR("\"\x80\""), 1, "", "UTF-8");
	bad(STR("\"\xC0\xAF\""), 1, "", "UTF-8");         /* overlong '/' */
	bad(STR("\"\xE0\x80\xAF\""), 1, "", "UTF-8");     /* overlong '/' */
	bad(STR("\"\xF0\x80\x80\xAF\""), 1, "", "UTF-8"); /* overlong '/' */
	bad(STR("\"\xED\xA0\x80\""), 1, "", "UTF-8");     /* U+D800 */
	bad(STR("\"\xF4\x90\x80\x80\""), 1, "", "UTF-8"); /* U+110000 */
	bad(STR("\"\xF5\x80\x80\x80\""), 1, "", "UTF-8");
	bad(STR("\"abcdefgh\xE2\x82\""), 9, "", "UTF-8");
	bad(STR("\"\xE2\x82"), 1, "", "UTF-8");
}

static void test_scan_pointer(void **state)
{
	struct buf b = BUF_INIT;
	struct err e;

	(void)state;
	bad(STR("{\"responses\":[{\"x\":1},{\"scores\":[0,1,tru]}]}"), 37, "/responses/1/scores/2", "a value");
	bad(STR("{\"a/b\":{\"m~n\":{\"\":[x]}}}"), 19, "/a~1b/m~0n//0", "a value");
	bad(STR("{\"\\u00e9\":x}"), 10, "/\xC3\xA9", "a value");
	bad(STR("[{\"k\":1},{\"k\":[{}],\"l\":2,\"k\":3}]"), 25, "/1/k", "twice");
	/* A name that does not fit: 160 bytes hold "/outer", then the mark. */
	buf_lit(&b, "{\"outer\":{\"");
	for (int i = 0; i < 200; i++)
		buf_lit(&b, "\xC3\xA9");
	buf_lit(&b, "\":x}}");
	assert_int_equal(scan(buf_view(&b), JSON_DEPTH_MAX, &e), -1);
	assert_string_equal(e.pointer, "/outer/…");
	/* Many short ones: "/k" 32 times is 64 bytes and fits whole. */
	buf_clear(&b);
	for (int i = 0; i < 32; i++)
		buf_lit(&b, "{\"k\":");
	assert_int_equal(scan(buf_view(&b), JSON_DEPTH_MAX, &e), -1);
	assert_int_equal(strlen(e.pointer), 64);
	/* "/0123456789abcd" (15 bytes): 10 of them are 150, the eleventh is cut. */
	buf_clear(&b);
	for (int i = 0; i < 32; i++)
		buf_lit(&b, "{\"0123456789abcd\":");
	assert_int_equal(scan(buf_view(&b), JSON_DEPTH_MAX, &e), -1);
	assert_int_equal(strlen(e.pointer), 150 + strlen("/…"));
	buf_release(&b);
}

static void test_scan_duplicates(void **state)
{
	(void)state;
	bad(STR("{\"a\":1,\"a\":2}"), 7, "/a", "twice");
	bad(STR("{\"a\":1,\"b\":3,\"\\u0061\":2}"), 13, "/a", "twice");
	bad(STR("{\"\":1,\"\":2}"), 6, "/", "twice");
	bad(STR("{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":2}"), 18, "/\xF0\x9F\x98\x80", "twice");
	good(STR("{\"a\":{\"b\":1},\"b\":{\"a\":1}}"));
	good(STR("{\"\\\\u0061\":1,\"a\":2}"));
}

/* {"key0":0, …} of n members; `twice` repeats the key of that number at the end. */
static void put_members(struct buf *b, int n, int twice)
{
	buf_byte(b, '{');
	for (int i = 0; i < n; i++)
		buf_printf(b, "%s\"key%d\":0", i ? "," : "", i);
	if (twice >= 0)
		buf_printf(b, ",\"\\u006bey%d\":0", twice);
	buf_byte(b, '}');
}

static void test_scan_many_members(void **state)
{
	static const int sizes[] = {1, 2, 15, 16, 17, 63, 64, 65, 200, 5000};
	struct buf b = BUF_INIT;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char pointer[32];
		int n = sizes[i], twice = n / 2;

		buf_clear(&b);
		put_members(&b, n, -1);
		good(buf_view(&b));
		buf_clear(&b);
		buf_lit(&b, "[");
		put_members(&b, n, twice);
		buf_lit(&b, "]");
		assert_int_equal(scan(buf_view(&b), JSON_DEPTH_MAX, &e), -1);
		snprintf(pointer, sizeof pointer, "/0/key%d", twice);
		assert_string_equal(e.pointer, pointer);
	}
	buf_clear(&b);
	put_members(&b, JSON_MEMBERS_MAX, -1);
	good(buf_view(&b));
	buf_clear(&b);
	put_members(&b, JSON_MEMBERS_MAX + 1, -1);
	assert_int_equal(scan(buf_view(&b), JSON_DEPTH_MAX, &e), -1);
	assert_non_null(strstr(e.detail, "more than 65536 members"));
	buf_release(&b);
}

static void test_scan_depth(void **state)
{
	struct buf b = BUF_INIT;
	struct err e;

	(void)state;
	assert_int_equal(scan(STR("1"), 0, &e), 0);
	assert_int_equal(scan(STR("[]"), 0, &e), -1);
	assert_int_equal(scan(STR("[{}]"), 2, &e), 0);
	assert_int_equal(scan(STR("[[],[[]]]"), 2, &e), -1);
	assert_string_equal(e.pointer, "/1/0");
	assert_non_null(strstr(e.detail, "deeper than 2"));
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		buf_byte(&b, '[');
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		buf_byte(&b, ']');
	assert_int_equal(scan(buf_view(&b), 1000, &e), 0);
	for (int i = 0; i < 1000 * 1000; i++)
		buf_byte(&b, '[');
	assert_int_equal(scan((struct str){b.p + 64, b.n - 64}, 1000, &e), -1);
	assert_non_null(strstr(e.detail, "deeper than 32"));
	buf_release(&b);
}

/* Every place where eight bytes are looked at together, and around it. */
static void test_scan_at_every_offset(void **state)
{
	static const char *const wrong[] = {"\n", "\x80", "\\q", "\x1F", "\xE2\x82"};
	char text[64];

	(void)state;
	for (size_t before = 0; before < 20; before++)
		for (size_t after = 0; after < 20; after++)
			for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
				struct err e;
				int n = snprintf(text, sizeof text, "\"%.*s%s%.*s\"", (int)before,
				                 "aaaaaaaaaaaaaaaaaaaa", wrong[i], (int)after,
				                 "bbbbbbbbbbbbbbbbbbbb");
				char byte[32];

				snprintf(byte, sizeof byte, "(byte %zu)", before + 1 + (i == 2));
				assert_int_equal(scan((struct str){text, (size_t)n}, 1, &e), -1);
				assert_non_null(strstr(e.detail, byte));
			}
}

/* --- the tree ----------------------------------------------------------- */

static const struct json *parse(struct arena *a, struct str s)
{
	struct err e;
	struct str t = tight(s);
	const struct json *v = json_parse(a, t, JSON_DEPTH_MAX, &e);

	heap_free((char *)t.p);
	if (v == NULL)
		fail_msg("%.*s: %s", STR_ARG(s), e.detail);
	return v;
}

static void check_str(struct str s, const char *z)
{
	assert_true(str_eq(s, str_of(z)));
}

static void test_parse(void **state)
{
	struct arena a;
	const struct json *v, *c;

	(void)state;
	arena_init(&a);
	v = parse(&a, STR(" {\"id\":\"p\\n\\u00e91\",\"ok\":true,\"no\":false,\"nil\":null,"
	                  "\"n\":[1,-0,2.5,-1e-3],\"ID\":{}} "));
	assert_int_equal(json_type(v), JSON_OBJECT);
	assert_int_equal(json_size(v), 6);
	check_str(json_string(json_get(v, "id")), "p\n\xC3\xA9"
	                                          "1");
	assert_int_equal(json_type(json_get(v, "ID")), JSON_OBJECT);
	assert_int_equal(json_size(json_get(v, "ID")), 0);
	assert_null(json_first(json_get(v, "ID")));
	assert_null(json_get(v, "Id"));
	assert_true(json_bool(json_get(v, "ok")));
	assert_false(json_bool(json_get(v, "no")));
	assert_int_equal(json_type(json_get(v, "no")), JSON_BOOL);
	assert_int_equal(json_type(json_get(v, "nil")), JSON_NULL);
	check_str(json_key(json_first(v)), "id");
	check_str(json_key(json_next(json_first(v))), "ok");
	c = json_first(json_get(v, "n"));
	assert_int_equal(json_size(json_get(v, "n")), 4);
	assert_true(json_number(c) == 1);
	c = json_next(c);
	assert_true(json_number(c) == 0 && !signbit(json_number(c)));
	c = json_next(c);
	assert_true(json_number(c) == 2.5);
	c = json_next(c);
	assert_true(json_number(c) == -0.001);
	assert_null(json_next(c));
	assert_string_equal(json_type_name(v), "an object");
	assert_string_equal(json_type_name(c), "a number");
	assert_string_equal(json_type_name(json_get(v, "nil")), "null");
	arena_release(&a);
}

static void test_parse_scalars_and_errors(void **state)
{
	struct arena a;
	struct err e;

	(void)state;
	arena_init(&a);
	assert_true(json_number(parse(&a, STR("7"))) == 7);
	check_str(json_string(parse(&a, STR("\"\""))), "");
	assert_int_equal(json_type(parse(&a, STR("null"))), JSON_NULL);
	assert_int_equal(json_size(parse(&a, STR("\"abc\""))), 0);
	assert_null(json_get(parse(&a, STR("[1,{\"a\":2}]")), "a"));
	assert_null(json_parse(&a, STR("[1,"), 32, &e));
	assert_int_equal(e.problem, P_BROKEN_JSON);
	assert_null(json_parse(&a, STR_NONE, 32, &e));
	assert_null(json_parse(&a, STR("[[1]]"), 1, &e));
	arena_release(&a);
}

/* Returns how many trees were not what was written. */
static void *parse_many(void *arg)
{
	struct arena a;
	uintptr_t wrong = 0;

	arena_init(&a);
	for (int i = 0; i < 2000; i++) {
		struct err e;
		char id[24];
		const struct json *v;

		snprintf(id, sizeof id, "%s-%d", (const char *)arg, i);
		v = json_parse(&a, arena_printf(&a, "{\"ids\":[\"%s\",%d]}", id, i), 32, &e);
		v = v ? json_first(json_get(v, "ids")) : NULL;
		wrong += v == NULL || !str_eq(json_string(v), str_of(id)) || json_number(json_next(v)) != i;
		if (i % 10 == 0)
			arena_reset(&a);
	}
	arena_release(&a);
	return (void *)wrong;
}

/* The hooks are the process's, the arena is the thread's. */
static void test_parse_in_threads(void **state)
{
	static char names[4][2] = {"a", "b", "c", "d"};
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, parse_many, names[i]), 0);
	for (int i = 0; i < 4; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
}

/* cJSON takes 63 bytes of a number; ours may be any length. */
static void test_parse_long_numbers(void **state)
{
	static const int lengths[] = {60, 62, 63, 64, 65, 100, 308};
	struct arena a;
	struct buf b = BUF_INIT;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		char whole[400];
		const struct json *v;

		memset(whole, '7', (size_t)lengths[i]);
		whole[lengths[i]] = '\0';
		buf_clear(&b);
		buf_printf(&b, "{\"s\" : \"x \\\" %s\", \"n\":[ -%s ,0.%s, %s ]}", whole, whole, whole, whole);
		v = parse(&a, buf_view(&b));
		assert_int_equal(json_string(json_get(v, "s")).n, 4 + lengths[i]);
		v = json_first(json_get(v, "n"));
		assert_true(json_number(v) == -strtod(whole, NULL));
		assert_true(json_number(json_next(v)) == 7.0 / 9);
		assert_true(json_number(json_next(json_next(v))) == strtod(whole, NULL));
	}
	buf_clear(&b);
	for (int i = 0; i < 309; i++)
		buf_byte(&b, '9');
	bad(buf_view(&b), 0, "", "too large");
	/* 0.000…01e400, the one at place 400, is 1. */
	buf_clear(&b);
	buf_lit(&b, "0.");
	for (int i = 1; i < 400; i++)
		buf_byte(&b, '0');
	buf_lit(&b, "1e400");
	assert_true(json_number(parse(&a, buf_view(&b))) == 1);
	bad(STR("1e99999999999999999999"), 0, "", "too large");
	assert_true(json_number(parse(&a, STR("1e-99999999999999999999"))) == 0);
	assert_true(json_number(parse(&a, STR("0e99999999999999999999"))) == 0);
	buf_release(&b);
	arena_release(&a);
}

static void test_raw_member(void **state)
{
	struct str t = tight(STR(" { \"a\" : 1.50 ,\"m\\u0065ta\":{\"x\":\"}\\\"]\\\\\",\"y\":[[{}],12345678901234567890]}"
	                         ",\"meta2\":\"s,}\" , \"t\":true}"));

	(void)state;
	check_str(json_raw_member(t, "a"), "1.50");
	check_str(json_raw_member(t, "meta"), "{\"x\":\"}\\\"]\\\\\",\"y\":[[{}],12345678901234567890]}");
	check_str(json_raw_member(t, "meta2"), "\"s,}\"");
	check_str(json_raw_member(t, "t"), "true");
	assert_null(json_raw_member(t, "x").p);
	assert_null(json_raw_member(t, "").p);
	assert_null(json_raw_member(STR("[1]"), "a").p);
	assert_null(json_raw_member(STR("{}"), "a").p);
	assert_null(json_raw_member(STR(" 7 "), "a").p);
	heap_free((char *)t.p);
}

static void test_compact(void **state)
{
	struct buf b = BUF_INIT;
	struct str t = tight(STR(" { \"a b\" : [ 1.50 , true,\tnull ] ,\n\"c\\\" \" : \" \\\\\" , \"n\":"
	                         " 123456789012345678901234567890123456789012345678901234567890123456789 } "));

	(void)state;
	json_compact(&b, t);
	check_str(buf_view(&b), "{\"a b\":[1.50,true,null],\"c\\\" \":\" \\\\\",\"n\":"
	                        "123456789012345678901234567890123456789012345678901234567890123456789}");
	heap_free((char *)t.p);
	buf_release(&b);
}

/* --- the writer --------------------------------------------------------- */

static void test_put_string(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	json_put_string(&b, STR("plain text, \xC3\xA9/\x7F"));
	json_put_string(&b, STR(""));
	json_put_escaped(&b, STR("a long run before\"\\\b\f\n\r\t\x01\x1F\0behind it"));
	check_str(buf_view(&b), "\"plain text, \xC3\xA9/\x7F\"\"\"a long run before"
	                        "\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000behind it");
	buf_release(&b);
}

static void check_number(double v, const char *z)
{
	char out[JSON_NUMBER_MAX_BYTES];
	size_t n = json_print_number(v, out);

	check_str((struct str){out, n}, z);
}

static void test_print_number(void **state)
{
	(void)state;
	check_number(0, "0");
	check_number(-0.0, "0");
	check_number(5, "5");
	check_number(-17, "-17");
	check_number(7.5, "7.5");
	check_number(8.25, "8.25");
	check_number(-0.125, "-0.125");
	check_number(0.1, "0.1");
	check_number(0.30000000000000004, "0.30000000000000004");
	check_number(1.0 / 3, "0.3333333333333333");
	check_number(0.0001, "0.0001");
	check_number(0.00001, "1e-05");
	check_number(-0.0000001, "-1e-07");
	check_number(999999999999999, "999999999999999");
	check_number(1e15, "1e+15");
	check_number(1e22, "1e+22");
	check_number(9007199254740992, "9007199254740992");
	check_number(123456789.125, "123456789.125");
	check_number(DBL_MAX, "1.7976931348623157e+308");
	check_number(DBL_MIN, "2.2250738585072014e-308");
	check_number(5e-324, "5e-324");
	check_number(1.5e-323, "1.5e-323");
}

/* What the fast path prints is what the slow one would. */
static void same_as_printf(double v)
{
	char want[64], out[JSON_NUMBER_MAX_BYTES + 1];
	size_t n = json_print_number(v, out);

	for (int digits = fabs(v) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
		snprintf(want, sizeof want, "%.*g", digits, v);
		if (strtod(want, NULL) == v)
			break;
	}
	out[n] = '\0';
	assert_string_equal(out, v == 0 ? "0" : want);
	assert_true(strtod(out, NULL) == v);
}

static uint64_t next_random(uint64_t *x)
{
	*x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *x >> 11;
}

static void test_print_number_fast_and_slow(void **state)
{
	static const double power[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e12, 1e18};
	uint64_t x = 1;

	(void)state;
	for (int i = -1000; i <= 1000; i++)
		for (int k = 0; k < 5; k++)
			same_as_printf(i / power[k]);
	for (int i = 0; i < 30000; i++) {
		double whole = (double)(next_random(&x) >> (next_random(&x) % 53));
		double v = whole / power[next_random(&x) % 13];

		same_as_printf(v);
		same_as_printf(-v);
		same_as_printf(nextafter(v, 1e300));
		same_as_printf(whole * power[next_random(&x) % 13]);
	}
	for (int i = 0; i < 10000; i++) {
		uint64_t bits = next_random(&x) << 11 ^ next_random(&x);
		double v;

		memcpy(&v, &bits, sizeof v);
		if (isfinite(v) && fabs(v) >= DBL_MIN)
			same_as_printf(v);
	}
}

static void test_keys_and_commas(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_lit(&b, "{");
	json_put_key(&b, "a");
	json_put_number(&b, 1);
	json_put_key(&b, "l");
	buf_lit(&b, "[");
	for (int i = 0; i < 3; i++) {
		json_put_comma(&b);
		json_put_number(&b, i / 2.0);
	}
	buf_lit(&b, "]");
	json_put_key_str(&b, STR("\"q\""));
	json_put_string(&b, STR("v"));
	buf_lit(&b, "}");
	check_str(buf_view(&b), "{\"a\":1,\"l\":[0,0.5,1],\"\\\"q\\\"\":\"v\"}");
	buf_clear(&b);
	json_put_key(&b, "first");
	check_str(buf_view(&b), "\"first\":");
	buf_release(&b);
}

static void test_canonical(void **state)
{
	struct arena a;
	struct buf b = BUF_INIT;

	(void)state;
	arena_init(&a);
	json_put_canonical(&b, parse(&a, STR("{\"b\":[1.0,-0.0,1e2,\"\\u00e9\\/\"],\"\xC3\xA9\":{},\"B\":null,"
	                                     "\"aa\":{\"z\":true,\"y\":false},\"a\":[]}")));
	check_str(buf_view(&b), "{\"B\":null,\"a\":[],\"aa\":{\"y\":false,\"z\":true},"
	                        "\"b\":[1,0,100,\"\xC3\xA9/\"],\"\xC3\xA9\":{}}");
	buf_release(&b);
	arena_release(&a);
}

/* 3,000 times two bytes make a code point each; of one cut at a place, both
 * halves count only heads. The counting takes 8 bytes and 2,040 at a time. */
static void test_long_lengths(void)
{
	enum { POINTS = 3000 };
	char text[2 * POINTS];

	for (int i = 0; i < POINTS; i++)
		memcpy(text + 2 * i, "\xC3\xA9", 2);
	for (size_t n = 0; n <= 2 * POINTS; n++) {
		assert_int_equal(utf8_length((struct str){text, n}), (n + 1) / 2);
		assert_int_equal(utf8_length((struct str){text + 2 * POINTS - n, n}), n / 2);
	}
}

static void test_utf8(void **state)
{
	(void)state;
	assert_int_equal(utf8_length(STR("")), 0);
	assert_int_equal(utf8_length(STR_NONE), 0);
	assert_int_equal(utf8_length(STR("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")), 4);
	test_long_lengths();
	assert_true(utf8_valid(STR("")));
	assert_true(utf8_valid(STR_NONE));
	assert_true(utf8_valid(STR("0123456789\xF0\x9F\x98\x80 and more ascii \0\n")));
	assert_false(utf8_valid(STR("0123456789\xF0\x9F\x98")));
	assert_false(utf8_valid(STR("\xC1\x81 is overlong")));
	assert_false(utf8_valid(STR("12345678\xFF")));
	assert_false(utf8_valid(STR("\xED\xBF\xBF")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_takes),
		cmocka_unit_test(test_scan_refuses_grammar),
		cmocka_unit_test(test_scan_refuses_strings),
		cmocka_unit_test(test_scan_pointer),
		cmocka_unit_test(test_scan_duplicates),
		cmocka_unit_test(test_scan_many_members),
		cmocka_unit_test(test_scan_depth),
		cmocka_unit_test(test_scan_at_every_offset),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_scalars_and_errors),
		cmocka_unit_test(test_parse_in_threads),
		cmocka_unit_test(test_parse_long_numbers),
		cmocka_unit_test(test_raw_member),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_put_string),
		cmocka_unit_test(test_print_number),
		cmocka_unit_test(test_print_number_fast_and_slow),
		cmocka_unit_test(test_keys_and_commas),
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
