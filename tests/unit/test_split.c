/* A stream of bytes into rows, under every chunking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/json.h"
#include "base/split.h"

enum { ROW_BYTES = 40, STOP_AT_NONE = 1000 };

/* Rows go into a buffer as "<number>:<row>|", so that a run is one text. */
struct log {
	struct buf rows;
	uint64_t stop_at; /* the row for which the row function answers 7 */
};

static int log_row(void *ctx, uint64_t number, struct str row, struct err *e)
{
	struct log *l = ctx;

	(void)e;
	buf_printf(&l->rows, "%llu:", (unsigned long long)number);
	buf_str(&l->rows, row);
	buf_byte(&l->rows, '|');
	return number == l->stop_at ? 7 : 0;
}

/* Feeds pieces of the sizes that `size` gives, each in a block of its own, so
 * that the sanitizer sees a view kept too long. */
static int run(struct log *l, enum split_kind kind, struct str body, size_t (*size)(uint64_t *), uint64_t seed,
               struct err *e)
{
	struct split s;
	int rc = 0;

	memset(e, 0, sizeof *e);
	buf_clear(&l->rows);
	split_init(&s, kind, ROW_BYTES, log_row, l);
	for (size_t at = 0; at < body.n && rc == 0;) {
		size_t n = size(&seed);
		char *piece;

		n = n > body.n - at ? body.n - at : n;
		piece = heap_alloc(n + 1);
		memcpy(piece, body.p + at, n);
		rc = split_feed(&s, piece, n, e);
		heap_free(piece);
		at += n;
	}
	if (rc == 0)
		rc = split_end(&s, e);
	split_release(&s);
	return rc;
}

static size_t whole(uint64_t *seed)
{
	(void)seed;
	return SIZE_MAX;
}

static size_t single(uint64_t *seed)
{
	(void)seed;
	return 1;
}

/* 0 to 11 bytes. */
static size_t some(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % 12;
}

/* The same rows, answer and error whatever the pieces. */
static int run_all(struct log *l, enum split_kind kind, struct str body, struct err *e)
{
	struct log other = {BUF_INIT, l->stop_at};
	int rc = run(l, kind, body, whole, 0, e);

	for (uint64_t seed = 0; seed < 30; seed++) {
		struct err f;

		assert_int_equal(run(&other, kind, body, seed ? some : single, seed, &f), rc);
		assert_true(str_eq(buf_view(&l->rows), buf_view(&other.rows)));
		assert_int_equal(e->problem, f.problem);
		assert_string_equal(e->detail, f.detail);
	}
	buf_release(&other.rows);
	return rc;
}

static void rows_are(enum split_kind kind, struct str body, const char *rows)
{
	struct log l = {BUF_INIT, STOP_AT_NONE};
	struct err e;

	if (run_all(&l, kind, body, &e) != 0)
		fail_msg("%.*s: %s", STR_ARG(body), e.detail);
	if (!str_eq(buf_view(&l.rows), str_of(rows)))
		fail_msg("%.*s: %.*s", STR_ARG(body), (int)l.rows.n, l.rows.n ? l.rows.p : "");
	buf_release(&l.rows);
}

static void fails(enum split_kind kind, struct str body, const char *rows, enum problem p, const char *word)
{
	struct log l = {BUF_INIT, STOP_AT_NONE};
	struct err e;

	if (run_all(&l, kind, body, &e) != -1)
		fail_msg("taken: %.*s", STR_ARG(body));
	if (e.problem != p || strstr(e.detail, word) == NULL)
		fail_msg("%.*s: %s", STR_ARG(body), e.detail);
	assert_true(str_eq(buf_view(&l.rows), str_of(rows)));
	buf_release(&l.rows);
}

/* --- lines -------------------------------------------------------------- */

static void test_lines(void **state)
{
	(void)state;
	rows_are(SPLIT_NDJSON, STR(""), "");
	rows_are(SPLIT_NDJSON, STR("\n\r\n \t \r\n  "), "");
	rows_are(SPLIT_NDJSON, STR("{\"a\":1}\n{\"b\":2}\n"), "0:{\"a\":1}|1:{\"b\":2}|");
	rows_are(SPLIT_NDJSON, STR("a\r\nb\r\nc"), "0:a|1:b|2:c|");
	rows_are(SPLIT_NDJSON, STR("a\n\n \r\nb\r"), "0:a|1:b|");
	rows_are(SPLIT_NDJSON, STR(" a \nb\r\r\n"), "0: a |1:b\r|");
	/* Only LF ends a line. */
	rows_are(SPLIT_NDJSON, STR("a\rb\n"), "0:a\rb|");
}

static void test_lines_bom(void **state)
{
	(void)state;
	rows_are(SPLIT_NDJSON, STR("\xEF\xBB\xBF"), "");
	rows_are(SPLIT_NDJSON, STR("\xEF\xBB\xBF" "a\n\xEF\xBB\xBF" "b\n"), "0:a|1:\xEF\xBB\xBF" "b|");
	rows_are(SPLIT_NDJSON, STR("\xEF\xBB\xBF\xEF\xBB\xBF" "a"), "0:\xEF\xBB\xBF" "a|");
	rows_are(SPLIT_NDJSON, STR("\xEF\xBB" "a\n"), "0:\xEF\xBB" "a|");
	rows_are(SPLIT_NDJSON, STR("\xEF"), "0:\xEF|");
	rows_are(SPLIT_NDJSON, STR("\n\xEF\xBB\xBF"), "0:\xEF\xBB\xBF|");
}

/* ROW_BYTES is 40: this many digits, and one more. */
#define FORTY "0123456789012345678901234567890123456789"

static void test_lines_limit(void **state)
{
	(void)state;
	rows_are(SPLIT_NDJSON, STR(FORTY), "0:" FORTY "|");
	rows_are(SPLIT_NDJSON, STR("a\n" FORTY "\r\n" FORTY "\r"), "0:a|1:" FORTY "|2:" FORTY "|");
	fails(SPLIT_NDJSON, STR("a\n" FORTY "x\nb\n"), "0:a|", P_TOO_LARGE, "Row 1 is longer than 40 bytes");
	fails(SPLIT_NDJSON, STR(FORTY "x"), "", P_TOO_LARGE, "Row 0");
	fails(SPLIT_NDJSON, STR(FORTY "\r\r\n"), "", P_TOO_LARGE, "Row 0");
	fails(SPLIT_NDJSON, STR(FORTY FORTY), "", P_TOO_LARGE, "Row 0");
	/* A blank line is held to the limit too. */
	fails(SPLIT_NDJSON, STR("a\n                                         \nb"), "0:a|", P_TOO_LARGE, "Row 1");
}

/* --- JSON --------------------------------------------------------------- */

static void test_array(void **state)
{
	(void)state;
	rows_are(SPLIT_JSON, STR("[]"), "");
	rows_are(SPLIT_JSON, STR(" [ \n ] \r\n\t"), "");
	rows_are(SPLIT_JSON, STR("[1,2]"), "0:1|1:2|");
	rows_are(SPLIT_JSON, STR(" [ -1.5e+3 , true,null ]"), "0:-1.5e+3|1:true|2:null|");
	rows_are(SPLIT_JSON, STR("[{\"a\":[1,{}]} , {\"b\" : 2}]"), "0:{\"a\":[1,{}]}|1:{\"b\" : 2}|");
	rows_are(SPLIT_JSON, STR("[\"a,]\\\"\\\\\",\"\",[[],\"]\"]]"), "0:\"a,]\\\"\\\\\"|1:\"\"|2:[[],\"]\"]|");
	rows_are(SPLIT_JSON, STR("[{\"k}\":\"\\\"}]{[\\\\\"},{\"\\\\\":\"{\"}]"),
	         "0:{\"k}\":\"\\\"}]{[\\\\\"}|1:{\"\\\\\":\"{\"}|");
	rows_are(SPLIT_JSON, STR("\xEF\xBB\xBF [1]"), "0:1|");
	/* Whether a row is sound is not asked here. */
	rows_are(SPLIT_JSON, STR("[nope,{\"a\":1]]"), "0:nope|1:{\"a\":1]|");
}

static void test_object(void **state)
{
	(void)state;
	rows_are(SPLIT_JSON, STR("{}"), "0:{}|");
	rows_are(SPLIT_JSON, STR(" \n{\"a\":[\"}\"]}\n "), "0:{\"a\":[\"}\"]}|");
	rows_are(SPLIT_JSON, STR("\xEF\xBB\xBF{}"), "0:{}|");
	fails(SPLIT_JSON, STR("{} {}"), "0:{}|", P_BROKEN_JSON, "the end of the body, found '{'");
	fails(SPLIT_JSON, STR("{},"), "0:{}|", P_BROKEN_JSON, "the end of the body, found ','");
	fails(SPLIT_JSON, STR("{\"a\":1"), "", P_BROKEN_JSON, "inside its object");
	fails(SPLIT_JSON, STR("{\"a\":\"}"), "", P_BROKEN_JSON, "inside its object");
}

static void test_broken_array(void **state)
{
	(void)state;
	fails(SPLIT_JSON, STR(""), "", P_BROKEN_JSON, "empty");
	fails(SPLIT_JSON, STR(" \n"), "", P_BROKEN_JSON, "empty");
	fails(SPLIT_JSON, STR("\xEF\xBB\xBF"), "", P_BROKEN_JSON, "empty");
	fails(SPLIT_JSON, STR("\xEF\xBB"), "", P_BROKEN_JSON, "the byte 0xEF");
	fails(SPLIT_JSON, STR("7"), "", P_BROKEN_JSON, "an object or an array, found '7'");
	fails(SPLIT_JSON, STR("\"a\""), "", P_BROKEN_JSON, "an object or an array");
	fails(SPLIT_JSON, STR("null"), "", P_BROKEN_JSON, "an object or an array");
	fails(SPLIT_JSON, STR("]"), "", P_BROKEN_JSON, "an object or an array");
	fails(SPLIT_JSON, STR("["), "", P_BROKEN_JSON, "inside its array (rows before: 0)");
	fails(SPLIT_JSON, STR("[1"), "", P_BROKEN_JSON, "inside its array (rows before: 0)");
	fails(SPLIT_JSON, STR("[{}"), "0:{}|", P_BROKEN_JSON, "inside its array (rows before: 1)");
	fails(SPLIT_JSON, STR("[{},"), "0:{}|", P_BROKEN_JSON, "inside its array");
	fails(SPLIT_JSON, STR("[{},{\"a"), "0:{}|", P_BROKEN_JSON, "inside its array");
	fails(SPLIT_JSON, STR("[{}{}]"), "0:{}|", P_BROKEN_JSON, "',' or ']' behind a row, found '{'");
	fails(SPLIT_JSON, STR("[1 2]"), "0:1|", P_BROKEN_JSON, "',' or ']' behind a row, found '2'");
	fails(SPLIT_JSON, STR("[1\"a\"]"), "0:1|", P_BROKEN_JSON, "',' or ']' behind a row");
	fails(SPLIT_JSON, STR("[1,]"), "0:1|", P_BROKEN_JSON, "a row behind the comma, found ']'");
	fails(SPLIT_JSON, STR("[,1]"), "", P_BROKEN_JSON, "a row or ']', found ','");
	fails(SPLIT_JSON, STR("[1,,2]"), "0:1|", P_BROKEN_JSON, "a row behind the comma");
	fails(SPLIT_JSON, STR("[}"), "", P_BROKEN_JSON, "a row or ']'");
	fails(SPLIT_JSON, STR("[]]"), "", P_BROKEN_JSON, "the end of the body");
	fails(SPLIT_JSON, STR("[] x"), "", P_BROKEN_JSON, "the end of the body, found 'x'");
	fails(SPLIT_JSON, STR("[]\0"), "", P_BROKEN_JSON, "0x00");
}

static void test_array_limit(void **state)
{
	(void)state;
	rows_are(SPLIT_JSON, STR("[" FORTY "," FORTY "]"), "0:" FORTY "|1:" FORTY "|");
	fails(SPLIT_JSON, STR("[1," FORTY "0]"), "0:1|", P_TOO_LARGE, "Row 1 is longer than 40 bytes");
	fails(SPLIT_JSON, STR("[1,\"" FORTY), "0:1|", P_TOO_LARGE, "Row 1");
	fails(SPLIT_JSON, STR("{\"a\":\"" FORTY "\"}"), "", P_TOO_LARGE, "Row 0");
	/* White space between rows belongs to none and may be any length. */
	rows_are(SPLIT_JSON, STR("[                                                  1  "
	                         "                                                   ]"), "0:1|");
}

static void test_stop(void **state)
{
	struct log l = {BUF_INIT, 1};
	struct err e;

	(void)state;
	assert_int_equal(run_all(&l, SPLIT_NDJSON, STR("a\nb\nc\n"), &e), 7);
	assert_true(str_eq(buf_view(&l.rows), STR("0:a|1:b|")));
	assert_int_equal(run_all(&l, SPLIT_NDJSON, STR("a\nb"), &e), 7);
	assert_int_equal(run_all(&l, SPLIT_JSON, STR("[1,2,3]"), &e), 7);
	assert_true(str_eq(buf_view(&l.rows), STR("0:1|1:2|")));
	buf_release(&l.rows);
}

/* --- larger ------------------------------------------------------------- */

static int count_bytes(void *ctx, uint64_t number, struct str row, struct err *e)
{
	(void)number;
	(void)e;
	*(size_t *)ctx += row.n;
	return 0;
}

/* Far deeper than any row may be: the splitter counts, it does not recurse. */
static void test_deep(void **state)
{
	enum { DEEP = 1000 * 1000 };
	struct split s;
	struct buf b = BUF_INIT;
	struct err e;
	size_t bytes = 0;

	(void)state;
	buf_byte(&b, '[');
	memset(buf_room(&b, 2 * DEEP), '[', DEEP);
	memset(b.p + b.n + DEEP, ']', DEEP);
	b.n += 2 * DEEP;
	buf_lit(&b, ",7]");
	split_init(&s, SPLIT_JSON, 2 * DEEP, count_bytes, &bytes);
	for (size_t at = 0; at < b.n; at += 4099)
		assert_int_equal(split_feed(&s, b.p + at, b.n - at < 4099 ? b.n - at : 4099, &e), 0);
	assert_int_equal(split_end(&s, &e), 0);
	assert_int_equal(s.rows, 2);
	assert_int_equal(bytes, 2 * DEEP + 1);
	split_release(&s);
	buf_release(&b);
}

static int keep_view(void *ctx, uint64_t number, struct str row, struct err *e)
{
	(void)number;
	(void)e;
	*(struct str *)ctx = row;
	return 0;
}

/* A row that lies in one piece is a view into it. */
static void test_no_copy(void **state)
{
	static const char line[] = "{\"a\":1}\n", array[] = "[{\"a\":1}]";
	struct split s;
	struct str row;
	struct err e;

	(void)state;
	split_init(&s, SPLIT_NDJSON, ROW_BYTES, keep_view, &row);
	assert_int_equal(split_feed(&s, line, sizeof line - 1, &e), 0);
	assert_ptr_equal(row.p, line);
	split_release(&s);
	split_init(&s, SPLIT_JSON, ROW_BYTES, keep_view, &row);
	assert_int_equal(split_feed(&s, array, sizeof array - 1, &e), 0);
	assert_ptr_equal(row.p, array + 1);
	split_release(&s);
}

/* Broken bodies of every kind: the same outcome under every chunking, and a
 * body that is JSON gives exactly its elements. */
static void test_mutations(void **state)
{
	static const char seed_text[] = "[{\"a\":\"x\\\"]\"},[1,{}],\"q\\\\\",-1e5 , null]";
	static const char bytes[] = "[]{},:\"\\ \n\r1a\xEF\xBB\xBF";
	uint64_t x = 7;
	int split_ok = 0;

	(void)state;
	for (int i = 0; i < 1500; i++) {
		struct log l = {BUF_INIT, STOP_AT_NONE};
		char text[sizeof seed_text];
		struct str s = {text, sizeof seed_text - 1};
		struct err e, scanned;
		int rc;

		memcpy(text, seed_text, sizeof text);
		for (size_t n = some(&x) % 3; n > 0; n--)
			text[(some(&x) * 12 + some(&x)) % s.n] = bytes[some(&x) * 2 % (sizeof bytes - 1)];
		rc = run_all(&l, SPLIT_JSON, s, &e);
		split_ok += rc == 0;
		if (json_scan(s, JSON_DEPTH_MAX, &scanned) == 0 && (text[0] == '[' || text[0] == '{'))
			assert_int_equal(rc, 0);
		run_all(&l, SPLIT_NDJSON, s, &e);
		buf_release(&l.rows);
	}
	assert_in_range(split_ok, 100, 1400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_lines_bom),
		cmocka_unit_test(test_lines_limit),
		cmocka_unit_test(test_array),
		cmocka_unit_test(test_object),
		cmocka_unit_test(test_broken_array),
		cmocka_unit_test(test_array_limit),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_no_copy),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
