/* The scanner against a plain reference, over mutations of valid texts: both
 * take the same texts, and what is taken parses, compacts and prints back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/json.h"

/* --- the reference: slow, recursive, by the letter of RFC 8259 ------------- */

enum { REF_DEPTH = 6, REF_KEYS = 64, REF_KEY_BYTES = 128 };

struct ref {
	const unsigned char *p, *end;
};

static int peek(const struct ref *r)
{
	return r->p < r->end ? *r->p : -1;
}

static void space(struct ref *r)
{
	while (peek(r) == ' ' || peek(r) == '\t' || peek(r) == '\n' || peek(r) == '\r')
		r->p++;
}

static bool eat(struct ref *r, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
		return false;
	r->p += n;
	return true;
}

/* A code point of UTF-8, by decoding it and asking whether it was needed; -1. */
static long code_point(struct ref *r)
{
	static const long least[] = {0, 0x80, 0x800, 0x10000};
	int c = *r->p++, more = c < 0x80 ? 0 : c >> 5 == 6 ? 1 : c >> 4 == 14 ? 2 : c >> 3 == 30 ? 3 : -1;
	long v = more == 0 ? c : more < 0 ? -1 : c & (0x3F >> more);

	if (more < 0)
		return -1;
	for (int i = 0; i < more; i++) {
		if (peek(r) < 0 || peek(r) >> 6 != 2)
			return -1;
		v = v << 6 | (*r->p++ & 0x3F);
	}
	return v < least[more] || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000) ? -1 : v;
}

static long hex4(struct ref *r)
{
	char z[5] = "";

	for (int i = 0; i < 4; i++) {
		if (peek(r) < 0 || !strchr("0123456789abcdefABCDEF", peek(r)) || peek(r) == 0)
			return -1;
		z[i] = (char)*r->p++;
	}
	return strtol(z, NULL, 16);
}

/* One character of a string as the code point that it means; -1. */
static long character(struct ref *r)
{
	long v, low;

	if (peek(r) < 0x20)
		return -1;
	if (!eat(r, "\\"))
		return code_point(r);
	switch (r->p < r->end ? *r->p++ : 0) {
	case '"': return '"';
	case '\\': return '\\';
	case '/': return '/';
	case 'b': return 8;
	case 'f': return 12;
	case 'n': return 10;
	case 'r': return 13;
	case 't': return 9;
	case 'u': break;
	default: return -1;
	}
	v = hex4(r);
	if (v <= 0 || (v >= 0xDC00 && v < 0xE000))
		return -1;
	if (v < 0xD800 || v > 0xDFFF)
		return v;
	low = eat(r, "\\u") ? hex4(r) : -1;
	return low >= 0xDC00 && low < 0xE000 ? 0x10000 + (v - 0xD800) * 1024 + (low - 0xDC00) : -1;
}

/* out takes the code points; at most REF_KEY_BYTES, which the texts keep to. */
static bool string(struct ref *r, long *out, size_t *n)
{
	*n = 0;
	if (!eat(r, "\""))
		return false;
	while (peek(r) != '"') {
		long c = character(r);

		if (c < 0)
			return false;
		if (*n < REF_KEY_BYTES)
			out[(*n)++] = c;
	}
	r->p++;
	return true;
}

static bool some_digits(struct ref *r)
{
	const unsigned char *start = r->p;

	while (peek(r) >= '0' && peek(r) <= '9')
		r->p++;
	return r->p > start;
}

static bool number(struct ref *r)
{
	const unsigned char *start = r->p;
	char z[512] = "";

	eat(r, "-");
	if (!eat(r, "0") && !some_digits(r))
		return false;
	if (eat(r, ".") && !some_digits(r))
		return false;
	if (eat(r, "e") || eat(r, "E")) {
		if (!eat(r, "+"))
			eat(r, "-");
		if (!some_digits(r))
			return false;
	}
	assert_true((size_t)(r->p - start) < sizeof z);
	memcpy(z, start, (size_t)(r->p - start));
	return isfinite(strtod(z, NULL));
}

static bool value(struct ref *r, int depth);

static bool object(struct ref *r, int depth)
{
	static long keys[REF_DEPTH + 1][REF_KEYS][REF_KEY_BYTES];
	size_t lengths[REF_KEYS], n = 0;

	space(r);
	if (eat(r, "}"))
		return true;
	do {
		space(r);
		assert_true(n < REF_KEYS);
		if (!string(r, keys[depth][n], &lengths[n]))
			return false;
		for (size_t i = 0; i < n; i++)
			if (lengths[i] == lengths[n] && !memcmp(keys[depth][i], keys[depth][n], sizeof(long) * lengths[n]))
				return false;
		n++;
		space(r);
		if (!eat(r, ":") || !value(r, depth))
			return false;
		space(r);
	} while (eat(r, ","));
	return eat(r, "}");
}

static bool array(struct ref *r, int depth)
{
	space(r);
	if (eat(r, "]"))
		return true;
	do {
		if (!value(r, depth))
			return false;
		space(r);
	} while (eat(r, ","));
	return eat(r, "]");
}

/* depth: how many more arrays and objects may open. */
static bool value(struct ref *r, int depth)
{
	long text[REF_KEY_BYTES];
	size_t n;

	space(r);
	if (peek(r) == '{' || peek(r) == '[') {
		bool is_object = *r->p++ == '{';

		return depth > 0 && (is_object ? object(r, depth - 1) : array(r, depth - 1));
	}
	if (peek(r) == '"')
		return string(r, text, &n);
	return eat(r, "true") || eat(r, "false") || eat(r, "null") || number(r);
}

static bool reference(struct str s)
{
	struct ref r = {(const unsigned char *)s.p, (const unsigned char *)s.p + s.n};

	if (!value(&r, REF_DEPTH))
		return false;
	space(&r);
	return r.p == r.end;
}

/* --- texts and their mutations ------------------------------------------ */

static const char *const seeds[] = {
	"{\"id\":\"p-1\",\"prompt\":\"What is 2+2?\",\"responses\":[{\"id\":\"a\",\"text\":\"4\","
	"\"scores\":[{\"judge\":\"j\",\"attribute\":\"helpful\",\"value\":7.5}]}]}",
	"[0,-0,1.5,-2.25e-3,1E+5,true,false,null,\"\",{},[],[[[]]]]",
	"{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":10,\"k\":11,\"l\":12,"
	"\"m\":13,\"n\":14,\"o\":15,\"p\":16,\"q\":17,\"r\":18,\"s\":19}",
	"{\"caf\xC3\xA9\":\"\xE2\x82\xAC \xF0\x9F\x98\x80\",\"\\u0061\\ud83d\\ude00\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
	" [ 1e308 , 17976931348623157e292 , 123456789012345678901234567890123456789012345678901234567890"
	"1234567890 , 1e-400 ] ",
};

/* Pieces that make a text interesting rather than noise. */
static const char *const pieces[] = {
	"\"", "\\", "{", "}", "[", "]", ",", ":", "0", "e", ".", "-", " ", "\n", "\\u", "\\u0061", "\\ud800",
	"\\udc00", "\xC3\xA9", "\xED\xA0\x80", "\xF4\x90", "\x80", "\x1F", "null", "\"a\":", "1e9", "99", "/*",
};

static uint64_t next_random(uint64_t *x)
{
	*x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *x >> 33;
}

/* Takes out, puts in or overwrites a piece; keeps text within cap bytes. */
static size_t mutate(char *text, size_t n, size_t cap, uint64_t *x)
{
	size_t at = next_random(x) % (n + 1), take = next_random(x) % 4, put;
	const char *piece = pieces[next_random(x) % (sizeof pieces / sizeof *pieces)];
	char byte[2] = {(char)next_random(x), '\0'};

	if (next_random(x) % 4 == 0)
		piece = byte;
	else if (next_random(x) % 4 == 0)
		piece = "";
	put = piece == byte ? 1 : strlen(piece);
	if (next_random(x) % 2 == 0)
		take = 0;
	if (take > n - at)
		take = n - at;
	if (n - take + put > cap)
		put = 0;
	memmove(text + at + put, text + at + take, n - at - take);
	memcpy(text + at, piece, put);
	return n - take + put;
}

/* What was taken goes the whole way, and printing is a fixed point. */
static void check_taken(struct str s)
{
	struct arena a;
	struct buf tight = BUF_INIT, once = BUF_INIT, twice = BUF_INIT;
	struct err e;
	const struct json *v;

	arena_init(&a);
	v = json_parse(&a, s, REF_DEPTH, &e);
	assert_non_null(v);
	json_put_canonical(&once, v);
	json_compact(&tight, s);
	assert_true(tight.n <= s.n);
	assert_true(reference(buf_view(&tight)));
	v = json_parse(&a, buf_view(&tight), REF_DEPTH, &e);
	assert_non_null(v);
	json_put_canonical(&twice, v);
	assert_true(str_eq(buf_view(&once), buf_view(&twice)));
	for (const struct json *m = json_first(v); json_type(v) == JSON_OBJECT && m; m = json_next(m))
		assert_true(json_raw_member(s, json_key(m).p).n > 0);
	buf_release(&tight);
	buf_release(&once);
	buf_release(&twice);
	arena_release(&a);
}

static bool check_one(const char *text, size_t n)
{
	/* Its own block: the sanitizer sees a read behind the end. */
	char *p = heap_alloc(n + !n);
	struct str s = {p, n};
	struct err e;
	bool taken;

	memcpy(p, text, n);
	taken = json_scan(s, REF_DEPTH, &e) == 0;
	if (taken != reference(s))
		fail_msg("%s: %.*s", taken ? "taken" : e.detail, STR_ARG(s));
	if (taken)
		check_taken(s);
	else
		assert_true(utf8_valid(str_of(e.pointer)) && utf8_valid(str_of(e.detail)));
	heap_free(p);
	return taken;
}

static void test_mutations(void **state)
{
	int taken = 0, refused = 0;
	uint64_t x = 42;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		const char *seed = seeds[round % (int)(sizeof seeds / sizeof *seeds)];
		char text[400];
		size_t n = strlen(seed);

		memcpy(text, seed, n);
		for (uint64_t steps = 1 + next_random(&x) % 3; steps > 0; steps--)
			n = mutate(text, n, sizeof text, &x);
		if (check_one(text, n))
			taken++;
		else
			refused++;
	}
	/* Both sides must have been tried, or the test says nothing. */
	assert_true(taken > 1000);
	assert_true(refused > 1000);
}

/* Every beginning of a valid text is read without going behind it. */
static void test_every_beginning(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++)
		for (size_t n = 0; n <= strlen(seeds[i]); n++)
			check_one(seeds[i], n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_every_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
