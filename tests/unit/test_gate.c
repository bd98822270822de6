/* The gate: what may stand in a request's head. Each refused head is one of
 * those that libmicrohttpd lets through, or its neighbour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../server/http/gate.h"
#include "../../server/http/target.h"

enum { LINES = 4 };

struct head {
	const char *version;
	const char *line[LINES][2]; /* name, value; up to the first NULL */
};

static int pass(const struct head *h, struct gate *g, struct err *e)
{
	gate_init(g);
	for (int i = 0; i < LINES && h->line[i][0]; i++)
		gate_header(g, str_of(h->line[i][0]), str_of(h->line[i][1]));
	return gate_end(g, str_of(h->version), e);
}

static void ordinary_heads_pass(void **state)
{
	static const struct head good[] = {
		{"HTTP/1.1", {{"Host", "a"}}},
		{"HTTP/1.1", {{"host", "127.0.0.1:8420 "}, {"Content-Length", "0"}}},
		{"HTTP/1.1", {{"Host", "[::1]:8420"}, {"content-length", "67108864"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Transfer-Encoding", "Chunked"}}},
		{"HTTP/1.1", {{"Host", ""}, {"X-Odd!#$%&'*+-.^_`|~9", "tab\there, \xC3\xA9"}}},
		{"HTTP/1.0", {{NULL, NULL}}},
		{"HTTP/1.0", {{"Host", "a"}, {"Content-Length", "999999999999999999"}}},
	};
	struct gate g;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		memset(&e, 0, sizeof e);
		if (pass(&good[i], &g, &e) != 0)
			fail_msg("head %zu: %s", i, e.detail);
	}
}

static void smuggling_heads_are_refused(void **state)
{
	static const struct head bad[] = {
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Content-Length", "0"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "5"}, {"Content-Length", "6"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "5"}, {"content-length", "5"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "5, 5"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "+5"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "-1"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "0x5"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "5 "}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", ""}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "1000000000000000000"}}}, /* 19 digits */
		{"HTTP/1.1", {{"Host", "a"}, {"Transfer-Encoding", "xchunked"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Transfer-Encoding", "chunked "}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Transfer-Encoding", "gzip, chunked"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Transfer-Encoding", "identity"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}},
		{"HTTP/1.0", {{"Transfer-Encoding", "chunked"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length ", "5"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Content-Length\t", "5"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"", "5"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"X(Y)", "5"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"X", "a\rb"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"X", "a\x7F"}}},
		{"HTTP/1.1", {{"Host", "a"}, {"Host", "a"}}},
		{"HTTP/1.1", {{"Host", "a b"}}},
		{"HTTP/1.1", {{"Host", "a/b"}}},
		{"HTTP/1.1", {{"X", "no host"}}},
		{"HTTP/1.2", {{"Host", "a"}}},
		{"HTTP/2.0", {{"Host", "a"}}},
		{"", {{NULL, NULL}}},
	};
	struct gate g;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		memset(&e, 0, sizeof e);
		if (pass(&bad[i], &g, &e) != -1 || e.problem != P_BAD_REQUEST || e.detail[0] == '\0')
			fail_msg("head %zu passed", i);
	}
}

static void a_body_is_known_by_its_head(void **state)
{
	static const struct head none = {"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "0"}}};
	static const struct head seven = {"HTTP/1.1", {{"Host", "a"}, {"Content-Length", "007"}}};
	static const struct head chunked = {"HTTP/1.1", {{"Host", "a"}, {"Transfer-Encoding", "chunked"}}};
	struct gate g;
	struct err e = {0};

	(void)state;
	assert_int_equal(pass(&none, &g, &e), 0);
	assert_false(gate_has_body(&g));
	assert_int_equal(pass(&seven, &g, &e), 0);
	assert_true(gate_has_body(&g));
	assert_int_equal(g.length, 7);
	assert_int_equal(pass(&chunked, &g, &e), 0);
	assert_true(gate_has_body(&g));
}

/* --- targets ------------------------------------------------------------------------ */

static void targets_come_apart(void **state)
{
	struct target t;
	struct arena a;
	struct err e = {0};

	(void)state;
	arena_init(&a);
	assert_int_equal(target_parse(&a, STR("/v1/datasets/a%2Fb/%252e?x=1+2%2B3&&y&z==&%C3%A9=%20"), &t, &e), 0);
	assert_int_equal(t.segments, 4);
	assert_true(str_eq(t.segment[0], STR("v1")));
	assert_true(str_eq(t.segment[2], STR("a/b")));  /* an escaped slash stays in its segment */
	assert_true(str_eq(t.segment[3], STR("%2e")));  /* decoded once */
	assert_true(str_eq(t.path, STR("/v1/datasets/a%2Fb/%252e")));
	assert_int_equal(t.queries, 4);
	assert_true(str_eq(t.query[0].name, STR("x")));
	assert_true(str_eq(t.query[0].value, STR("1 2+3")));
	assert_true(str_eq(t.query[1].name, STR("y")));
	assert_int_equal(t.query[1].value.n, 0);
	assert_true(str_eq(t.query[2].value, STR("=")));
	assert_true(str_eq(t.query[3].name, STR("\xC3\xA9")));
	assert_true(str_eq(t.query[3].value, STR(" ")));
	arena_release(&a);
}

static void segments_are_counted_exactly(void **state)
{
	static const struct {
		const char *target;
		int segments;
	} cases[] = {
		{"/", 0}, {"/a", 1}, {"/a/", 2}, {"//", 2}, {"/?q", 0}, {"/a?b/c", 1},
		{"http://host:1/a/b?c", 2}, {"HTTP://host", 0},
		{"/1/2/3/4/5/6/7/8", 8}, {"/1/2/3/4/5/6/7/8/9", SEGMENTS_MAX + 1}, {"/1/2/3/4/5/6/7/8/9/10", SEGMENTS_MAX + 1},
	};
	struct target t;
	struct arena a;
	struct err e = {0};

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_int_equal(target_parse(&a, str_of(cases[i].target), &t, &e), 0);
		assert_int_equal(t.segments, cases[i].segments);
	}
	arena_release(&a);
}

static void dangerous_targets_are_refused(void **state)
{
	static const struct str bad[] = {
		{"", 0}, {"*", 1}, {"a", 1}, {"host:80", 7}, {"https://a/b", 11},
		{"/a b", 4}, {"/a\tb", 4}, {"/a\0b", 4}, {"/a\x7F", 3}, {"/\xC3\xA9", 3}, {"/a#b", 4}, {"/a\\b", 4},
		{"/%", 2}, {"/%4", 3}, {"/%4g", 4}, {"/%00", 4}, {"/a?b=%00", 8}, {"/a?b=%", 6},
		{"/..", 3}, {"/a/../b", 7}, {"/%2e%2E/a", 9}, {"/.", 2}, {"/a/.", 4}, {"/.%2e", 5},
		{"/%0a", 4}, {"/%7f", 4}, {"/%1F/a", 6},
	};
	struct target t;
	struct arena a;

	(void)state;
	arena_init(&a);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e = {0};

		if (target_parse(&a, bad[i], &t, &e) != -1 || e.problem != P_BAD_REQUEST)
			fail_msg("target %zu passed: %.*s", i, STR_ARG(bad[i]));
	}
	arena_release(&a);
}

static void target_limits_hold(void **state)
{
	char raw[TARGET_MAX_BYTES + 2];
	struct target t;
	struct arena a;
	struct err e = {0};
	size_t n = 2;

	(void)state;
	arena_init(&a);
	memset(raw, 'a', sizeof raw);
	raw[0] = '/';
	assert_int_equal(target_parse(&a, (struct str){raw, TARGET_MAX_BYTES}, &t, &e), 0);
	assert_int_equal(target_parse(&a, (struct str){raw, TARGET_MAX_BYTES + 1}, &t, &e), -1);
	assert_int_equal(e.problem, P_TOO_LARGE);
	raw[1] = '?';
	for (int i = 0; i < QUERIES_MAX; i++, n += 2)
		memcpy(raw + n, "q&", 2);
	assert_int_equal(target_parse(&a, (struct str){raw, n}, &t, &e), 0);
	assert_int_equal(t.queries, QUERIES_MAX);
	assert_int_equal(target_parse(&a, (struct str){raw, n + 1}, &t, &e), -1); /* one 'a' more */
	assert_int_equal(e.problem, P_BAD_REQUEST);
	assert_int_equal(target_parse(&a, STR("/a?b=%ff"), &t, &e), -1);
	assert_int_equal(e.problem, P_INVALID);
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_heads_pass),
		cmocka_unit_test(smuggling_heads_are_refused),
		cmocka_unit_test(a_body_is_known_by_its_head),
		cmocka_unit_test(targets_come_apart),
		cmocka_unit_test(segments_are_counted_exactly),
		cmocka_unit_test(dangerous_targets_are_refused),
		cmocka_unit_test(target_limits_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
