/* Routes, query parameters and the words of headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../server/http/listen.h"
#include "../../server/http/request.h"

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_release(&arena);
	return 0;
}

static struct request asked(const char *target)
{
	struct request r = {0};
	struct err e = {0};

	assert_int_equal(target_parse(&arena, str_of(target), &r.target, &e), 0);
	return r;
}

/* --- routes ------------------------------------------------------------------------- */

static const struct route *find(const char *method, const char *target, struct str params[PARAMS_MAX],
                                char allow[64], struct err *e)
{
	struct request r = asked(target);

	params[0] = params[1] = STR_NONE;
	return route_find(str_of(method), &r.target, params, allow, e);
}

static void paths_find_their_routes(void **state)
{
	static const struct {
		const char *method, *target, *pattern, *first, *second;
	} cases[] = {
		{"GET", "/", "/", NULL, NULL},
		{"HEAD", "/healthz", "/healthz", NULL, NULL},
		{"PUT", "/v1/datasets/d", "/v1/datasets/{dataset}", "d", NULL},
		{"POST", "/v1/datasets/d:1/records?on_error=continue", "/v1/datasets/{dataset}/records", "d:1", NULL},
		{"DELETE", "/v1/datasets/d/prompts/p", "/v1/datasets/{dataset}/prompts/{prompt}", "d", "p"},
		{"GET", "/v1/snapshots/s/batch", "/v1/snapshots/{snapshot}/batch", "s", NULL},
		{"GET", "/v1/%64atasets/a%2Fb", "/v1/datasets/{dataset}", "a/b", NULL}, /* refused later, as an id */
	};
	struct str params[PARAMS_MAX];
	char allow[64];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct err e = {0};
		const struct route *route = find(cases[i].method, cases[i].target, params, allow, &e);

		assert_non_null(route);
		assert_string_equal(route->pattern, cases[i].pattern);
		assert_true(str_eq(params[0], str_of(cases[i].first)));
		assert_true(str_eq(params[1], str_of(cases[i].second)));
	}
}

static void other_paths_are_404(void **state)
{
	static const char *const targets[] = {
		"/healthz/", "//healthz", "/v1", "/v1/", "/v1/datasets/", "/v1/datasets//records", "/v1/datasets/d/records/",
		"/V1/datasets", "/v1/datasets/d/nothing", "/v1/snapshots/s/batch/x", "/1/2/3/4/5/6/7/8/9",
	};
	struct str params[PARAMS_MAX];
	char allow[64];

	(void)state;
	for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++) {
		struct err e = {0};

		assert_null(find("GET", targets[i], params, allow, &e));
		assert_int_equal(e.problem, P_NO_ROUTE);
	}
}

static void other_methods_are_405(void **state)
{
	struct str params[PARAMS_MAX];
	struct err e = {0};
	char allow[64];

	(void)state;
	assert_null(find("POST", "/v1/datasets/d", params, allow, &e));
	assert_int_equal(e.problem, P_METHOD);
	assert_string_equal(allow, "GET, HEAD, PUT, DELETE");
	assert_null(find("get", "/healthz", params, allow, &e)); /* methods are case-sensitive */
	assert_string_equal(allow, "GET, HEAD");
	assert_null(find("GET", "/v1/datasets/d/scores", params, allow, &e));
	assert_string_equal(allow, "POST");
}

static void unknown_and_doubled_parameters_are_named(void **state)
{
	struct str params[PARAMS_MAX];
	struct request r = asked("/v1/datasets?limit=1&after=x");
	struct err e = {0};
	char allow[64];
	const struct route *route = route_find(STR("GET"), &r.target, params, allow, &e);

	(void)state;
	assert_non_null(route);
	assert_int_equal(route_check_query(route, &r.target, &e), 0);
	r = asked("/v1/datasets?limit=1&lim=1");
	assert_int_equal(route_check_query(route, &r.target, &e), -1);
	assert_int_equal(e.problem, P_UNKNOWN_KEY);
	assert_string_equal(e.pointer, "?lim");
	r = asked("/v1/datasets?limit=1&limit=1");
	assert_int_equal(route_check_query(route, &r.target, &e), -1);
	assert_int_equal(e.problem, P_INVALID);
	assert_string_equal(e.pointer, "?limit");
}

/* --- the query ------------------------------------------------------------------------ */

static void whole_numbers_are_read_to_their_edges(void **state)
{
	struct request r = asked("/?a=0&b=9223372036854775807&c=9223372036854775808&d=18446744073709551616"
	                         "&e=-1&f=1.0&g=%2B1&h=&i=0x1&j=99999999999999999999999&k=5");
	const uint64_t max = (UINT64_C(1) << 63) - 1;
	uint64_t v = 77;
	struct err e = {0};

	(void)state;
	assert_int_equal(query_whole(&r, "a", 0, max, &v, &e), 0);
	assert_int_equal(v, 0);
	assert_int_equal(query_whole(&r, "b", 0, max, &v, &e), 0);
	assert_true(v == max);
	v = 77;
	for (const char *name = "cdefghij"; *name; name++) {
		const char z[2] = {*name, '\0'}, pointer[3] = {'?', *name, '\0'};

		assert_int_equal(query_whole(&r, z, 0, max, &v, &e), -1);
		assert_int_equal(e.problem, P_INVALID);
		assert_string_equal(e.pointer, pointer);
	}
	assert_int_equal(query_whole(&r, "none", 0, max, &v, &e), 0); /* an absent one says nothing */
	assert_int_equal(v, 77);
	assert_int_equal(query_whole(&r, "k", 6, 9, &v, &e), -1);
	assert_int_equal(query_whole(&r, "k", 1, 4, &v, &e), -1);
	assert_int_equal(query_whole(&r, "k", 5, 5, &v, &e), 0);
	assert_int_equal(v, 5);
}

static void words_and_flags_are_strict(void **state)
{
	static const char *const words[] = {"short", "drop", NULL};
	struct request r = asked("/?a=drop&b=Drop&c=true&d=1&e=&f=false");
	bool flag = true;
	struct err e = {0};
	int word = 9;

	(void)state;
	assert_int_equal(query_word(&r, "none", words, &word, &e), 0);
	assert_int_equal(word, 9);
	assert_int_equal(query_word(&r, "a", words, &word, &e), 0);
	assert_int_equal(word, 1);
	assert_int_equal(query_word(&r, "e", words, &word, &e), -1); /* empty is a word of its own */
	assert_int_equal(query_bool(&r, "e", &flag, &e), -1);
	assert_int_equal(query_word(&r, "b", words, &word, &e), -1);
	assert_int_equal(e.problem, P_UNKNOWN_KEY);
	assert_int_equal(query_bool(&r, "d", &flag, &e), -1);
	assert_int_equal(query_bool(&r, "f", &flag, &e), 0);
	assert_false(flag);
	assert_int_equal(query_bool(&r, "c", &flag, &e), 0);
	assert_true(flag);
}

static void texts_have_a_length(void **state)
{
	char target[400] = "/?a=";
	struct request r;
	struct str s = STR_NONE;
	struct err e = {0};

	(void)state;
	memset(target + 4, 'x', 256);
	r = asked(target);
	assert_int_equal(query_text(&r, "a", &s, &e), 0);
	assert_int_equal(s.n, 256);
	target[4 + 256] = 'x';
	r = asked(target);
	assert_int_equal(query_text(&r, "a", &s, &e), -1);
	r = asked("/?a=&after=");
	assert_int_equal(query_text(&r, "a", &s, &e), -1);
	s = STR_NONE;
	assert_int_equal(query_after(&r, &s, &e), 0); /* an empty cursor is the beginning */
	assert_null(s.p);
	r = asked("/?a=x%0ay");
	assert_int_equal(query_text(&r, "a", &s, &e), -1);
	assert_string_equal(e.pointer, "?a");
	r = asked("/?a=meta-llama/Llama-3-8B");
	assert_int_equal(query_text(&r, "a", &s, &e), 0);
	assert_true(str_eq(s, STR("meta-llama/Llama-3-8B")));
}

static void waits_and_limits_have_bounds(void **state)
{
	struct request r = asked("/?wait=60&limit=1000");
	struct err e = {0};
	uint32_t limit = 0;
	int wait = -1;

	(void)state;
	assert_int_equal(query_wait(&r, &wait, &e), 0);
	assert_int_equal(wait, 60);
	assert_int_equal(query_limit(&r, &limit, &e), 0);
	assert_int_equal(limit, 1000);
	r = asked("/?wait=61&limit=0");
	assert_int_equal(query_wait(&r, &wait, &e), -1);
	assert_int_equal(query_limit(&r, &limit, &e), -1);
	r = asked("/");
	assert_int_equal(query_wait(&r, &wait, &e), 0);
	assert_int_equal(wait, 0);
	assert_int_equal(query_limit(&r, &limit, &e), 0);
	assert_int_equal(limit, 100);
}

/* --- ids and header words --------------------------------------------------------------- */

static void ids_follow_the_grammar(void **state)
{
	char longest[130];

	(void)state;
	memset(longest, 'a', sizeof longest);
	assert_true(path_id_valid(STR("a")));
	assert_true(path_id_valid(STR("0.A_b:c-")));
	assert_true(path_id_valid((struct str){longest, 128}));
	assert_false(path_id_valid((struct str){longest, 129}));
	assert_false(path_id_valid(STR("")));
	for (const char *c = "._:-"; *c; c++)
		assert_false(path_id_valid((struct str){c, 1})); /* not at the front */
	assert_false(path_id_valid(STR("a/b")));
	assert_false(path_id_valid(STR("a b")));
	assert_false(path_id_valid(STR("\xC3\xA9")));
	assert_true(request_id_valid(STR(".:-_a")));
	assert_false(request_id_valid(STR("a b")));
	assert_false(request_id_valid(STR_NONE));
	assert_false(request_id_valid((struct str){longest, 129}));
}

static void accept_chooses_ndjson_only_by_name(void **state)
{
	static const struct {
		const char *accept;
		bool ndjson;
	} cases[] = {
		{"application/x-ndjson", true},
		{"APPLICATION/X-NDJSON", true},
		{"application/x-ndjson, */*", true},
		{"application/json, application/x-ndjson", false},
		{"application/json;q=0.5, application/x-ndjson;q=0.9", true},
		{"application/json;q=0.9,application/x-ndjson ; charset=utf-8 ; q=0.85", false},
		{"application/x-ndjson;q=0", false},
		{"application/x-ndjson;q=0.0", false},
		{"application/x-ndjson;q=0.001", true},
		{"application/x-ndjson;q=nonsense", true},
		{"*/*", false},
		{"application/*", false},
		{"text/html,,;", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (accepts_ndjson(str_of(cases[i].accept)) != cases[i].ndjson)
			fail_msg("%s", cases[i].accept);
	assert_false(accepts_ndjson(STR_NONE));
}

static void content_types_are_told_apart(void **state)
{
	static const struct {
		const char *type;
		int rows, document; /* the kind of split, or -1 */
	} cases[] = {
		{"application/json", SPLIT_JSON, SPLIT_JSON},
		{"Application/JSON; charset=UTF-8", SPLIT_JSON, SPLIT_JSON},
		{"application/json;charset=\"utf-8\"; profile=x", SPLIT_JSON, SPLIT_JSON},
		{"application/json; charset=latin1", -1, -1},
		{"application/x-ndjson", SPLIT_NDJSON, -1},
		{"application/ndjson ;x", SPLIT_NDJSON, -1},
		{"application/jsonl", SPLIT_NDJSON, -1},
		{"application/x-ndjson; charset=utf-16", -1, -1},
		{"application/x-www-form-urlencoded", -1, -1},
		{"application/jsonx", -1, -1},
		{"", -1, -1},
		{NULL, -1, -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const enum body_kind kinds[2] = {BODY_ROWS, BODY_DOCUMENT};
		const int wanted[2] = {cases[i].rows, cases[i].document};

		for (int k = 0; k < 2; k++) {
			enum split_kind split = SPLIT_NDJSON;
			struct err e = {0};
			int rc = media_type(str_of(cases[i].type), kinds[k], &split, &e);

			assert_int_equal(rc == 0 ? (int)split : -1, wanted[k]);
			assert_int_equal(e.problem, rc == 0 ? P_NONE : P_MEDIA_TYPE);
		}
	}
}

static void listen_addresses_are_read(void **state)
{
	static const struct {
		const char *text;
		int loopback; /* -1: refused */
	} cases[] = {
		{"127.0.0.1:8420", 1}, {"127.8.9.1:0", 1}, {"localhost:65535", 1}, {"[::1]:8420", 1},
		{"0.0.0.0:8420", 0}, {"[::]:1", 0}, {"192.168.1.1:1", 0}, {"[::ffff:127.0.0.1]:1", 0},
		{"127.0.0.1", -1}, {":8420", -1}, {"127.0.0.1:", -1}, {"127.0.0.1:65536", -1}, {"127.0.0.1:x", -1},
		{"::1:80", -1}, {"[::1:80", -1}, {"host:80", -1}, {"127.0.0.1:123456", -1}, {"", -1}, {"[]:1", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct address a;
		struct err e = {0};
		int rc = address_parse(cases[i].text, &a, &e);

		if ((rc == 0 ? (int)a.loopback : -1) != cases[i].loopback)
			fail_msg("%s", cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_find_their_routes),
		cmocka_unit_test(other_paths_are_404),
		cmocka_unit_test(other_methods_are_405),
		cmocka_unit_test(unknown_and_doubled_parameters_are_named),
		cmocka_unit_test(whole_numbers_are_read_to_their_edges),
		cmocka_unit_test(words_and_flags_are_strict),
		cmocka_unit_test(texts_have_a_length),
		cmocka_unit_test(waits_and_limits_have_bounds),
		cmocka_unit_test(ids_follow_the_grammar),
		cmocka_unit_test(accept_chooses_ndjson_only_by_name),
		cmocka_unit_test(content_types_are_told_apart),
		cmocka_unit_test(listen_addresses_are_read),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
