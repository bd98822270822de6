/* A scanned text read in place says what its tree says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <cmocka.h>

#include "base/walk.h"

static void walk_value(struct walk *w, struct arena *a, const struct json *v);

static void walk_members(struct walk *w, struct arena *a, const struct json *v, bool object)
{
	const struct json *m = json_first(v);

	for (bool more = walk_into(w); more; more = walk_more(w), m = json_next(m)) {
		assert_non_null(m);
		if (object)
			assert_true(str_eq(walk_key(w, a), json_key(m)));
		walk_value(w, a, m);
	}
	assert_null(m);
}

/* Bytes of a word that has no value to be taken. */
static void walk_word(struct walk *w, const char *word)
{
	assert_memory_equal(w->p, word, strlen(word));
	w->p += strlen(word);
}

static void walk_value(struct walk *w, struct arena *a, const struct json *v)
{
	assert_int_equal(walk_type(w), json_type(v));
	switch (json_type(v)) {
	case JSON_NULL:
		walk_word(w, "null");
		break;
	case JSON_BOOL:
		walk_word(w, json_bool(v) ? "true" : "false");
		break;
	case JSON_NUMBER:
		assert_true(walk_number(w) == json_number(v));
		break;
	case JSON_STRING:
		assert_true(str_eq(walk_string(w, a), json_string(v)));
		break;
	case JSON_ARRAY:
	case JSON_OBJECT:
		walk_members(w, a, v, json_type(v) == JSON_OBJECT);
	}
}

/* In memory of exactly its length, so that a sanitizer sees a step too far. */
static void check(struct str text)
{
	struct arena a = {0};
	struct err e = {0};
	struct walk w;
	char *exact = malloc(text.n);
	const struct json *v;

	memcpy(exact, text.p, text.n);
	text.p = exact;
	v = json_parse(&a, text, JSON_DEPTH_MAX, &e);
	if (v == NULL)
		fail_msg("%.*s: %s", STR_ARG(text), e.detail);
	walk_init(&w, text);
	walk_value(&w, &a, v);
	assert_true(w.p <= w.end);
	arena_release(&a);
	free(exact);
}

static void test_texts(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		" [ ] ",
		"{ }",
		"0",
		"-0",
		"12.5e1",
		"null",
		"\"\"",
		"\"a\\n\\u00e4\\ud83d\\ude00\\\"\\\\\"",
		"[1,2,3]",
		"[ 1 , 2\n,\t3 ]",
		"[[],{},[[]],\"\",0]",
		"{\"a\":1,\"b\":[true,false,null],\"c\":{\"d\":\"e\"}}",
		"{ \"a\" : 1 , \"b\" : { \"c\" : [ ] } }",
		"{\"k\\u0041\\\\\":\"\\\\\\\\\",\"\":\"\\\"\"}",
		"[\"12345678\",\"1234567\\\"9\",\"1234567890123456\\\\\"]",
		"[-0,0.1,1e-400,1E5,-12.25,5e-324,1.7976931348623157e308,0.000000000000000000000000000001]",
		"[12345678901234567890123456789012345678901234567890123456789012345678901234567890]",
		"1234567890123456789012345678901234567890",
		"1e300",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		check(str_of(texts[i]));
}

static void test_minus_zero_is_zero(void **state)
{
	struct walk w;

	(void)state;
	walk_init(&w, STR("-0.0"));
	assert_false(signbit(walk_number(&w)));
	walk_init(&w, STR("-1e-400"));
	assert_false(signbit(walk_number(&w)));
}

/* Strings without escapes are pieces of the text. */
static void test_strings_in_place(void **state)
{
	struct str text = STR("\"abc\"");
	struct arena a = {0};
	struct walk w;

	(void)state;
	walk_init(&w, text);
	assert_ptr_equal(walk_string(&w, &a).p, text.p + 1);
	assert_int_equal(a.used, 0);
}

static uint64_t random_state = 1;

static uint32_t below(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)((random_state >> 33) % n);
}

static void add_space(struct buf *b)
{
	static const char spaces[] = " \n\t\r";

	for (uint32_t n = below(4); n > 2; n--)
		buf_byte(b, spaces[below(4)]);
}

static void add_string(struct buf *b)
{
	static const char *const pieces[] = {"a", "word", "\\n", "\\\"", "\\\\", "\\u20ac", "ä", "eight by"};

	buf_byte(b, '"');
	for (uint32_t n = below(6); n > 0; n--)
		buf_z(b, pieces[below(8)]);
	buf_byte(b, '"');
}

static void add_value(struct buf *b, int depth)
{
	uint32_t kind = below(depth > 0 ? 7 : 5), n = below(5);

	add_space(b);
	if (kind < 2) {
		buf_printf(b, "%.*g", 1 + (int)below(17), ldexp((double)below(1u << 31), (int)below(120) - 60));
	} else if (kind < 4) {
		add_string(b);
	} else if (kind == 4) {
		buf_z(b, n == 0 ? "null" : n == 1 ? "true" : "false");
	} else {
		buf_byte(b, kind == 5 ? '[' : '{');
		for (uint32_t i = 0; i < n; i++) {
			if (i > 0)
				buf_byte(b, ',');
			add_space(b);
			if (kind == 6)
				buf_printf(b, "\"%s%u\":", i % 2 ? "\\u006b" : "key", i);
			add_value(b, depth - 1);
		}
		add_space(b);
		buf_byte(b, kind == 5 ? ']' : '}');
	}
	add_space(b);
}

static void test_random_texts(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		buf_clear(&b);
		add_value(&b, 5);
		check(buf_view(&b));
	}
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_minus_zero_is_zero),
		cmocka_unit_test(test_strings_in_place),
		cmocka_unit_test(test_random_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
