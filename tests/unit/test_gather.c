/* Prompts put by in order of arrival and taken out by their keys; the thread beside a build. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../server/service/aside.h"
#include "../../server/service/gather.h"

static char dir[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/prefd-gather-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

/* Side files have no names, so the folder is empty at any time. */
static int tear_down(void **state)
{
	(void)state;
	return rmdir(dir);
}

/* Two answers: the first has own rewards and a log-probability, the second has
 * no reward at all; the pair prefers the second, and is plain. */
static void put(struct gathered *g, int64_t key, const char *id)
{
	struct read_logprob l = {.l = {.model = STR("m"), .logprob = -1.5}};
	struct read_response r[2] = {{.id = STR("x"), .text = STR("say \"x\"\n"), .logprob = &l, .logprobs = 1},
	                             {.id = STR("y"), .text = STR("")}};
	struct candidate c[2] = {{.id = STR("x"), .goal = STR("7"), .vector = STR("{\"a\":7}"), .reward = 7, .text_hash = {1}},
	                         {.id = STR("y"), .text_hash = {2}}};
	double own[2] = {7, 0.25}, *owns[2] = {own, NULL};
	uint32_t response[2] = {0, 1};
	struct pair pair = {1, 0, true};
	bool out[2] = {false, false};
	struct read_prompt prompt = {.key = key, .id = str_of(id), .messages = STR("[]"), .messages_hash = {9},
	                             .response = r, .responses = 2};
	struct picked picked = {.c = c, .response = response, .own = owns, .n = 2,
	                        .pairs = {.skip = PAIR_MADE, .pair = &pair, .n = 1, .out = out}};
	struct err e;

	assert_int_equal(gather_put(g, &prompt, &picked, 2, STR("m"), &e), 0);
}

static void expect(struct str got, const char *want)
{
	assert_int_equal(got.n, strlen(want));
	assert_memory_equal(got.p, want, got.n);
}

static void check(const struct read_prompt *prompt, const struct picked *p, const char *id)
{
	expect(prompt->id, id);
	expect(prompt->messages, "[]");
	assert_int_equal(prompt->messages_hash[0], 9);
	assert_int_equal(p->n, 2);
	expect(prompt->response[p->response[0]].text, "say \\\"x\\\"\\n");
	expect(prompt->response[p->response[1]].text, "");
	assert_int_equal(prompt->response[0].logprobs, 1);
	assert_true(prompt->response[0].logprob[0].l.logprob == -1.5);
	assert_int_equal(prompt->response[1].logprobs, 0);
	expect(p->c[0].goal, "7");
	expect(p->c[0].vector, "{\"a\":7}");
	assert_true(p->c[0].reward == 7);
	assert_true(p->own[0][0] == 7 && p->own[0][1] == 0.25);
	assert_null(p->c[1].goal.p);
	assert_null(p->c[1].vector.p);
	assert_null(p->own[1]);
	assert_int_equal(p->c[1].text_hash[0], 2);
	assert_int_equal(p->pairs.n, 1);
	assert_int_equal(p->pairs.pair[0].chosen, 1);
	assert_int_equal(p->pairs.pair[0].rejected, 0);
	assert_true(p->pairs.pair[0].plain);
}

static void what_was_put_is_taken_by_key(void **state)
{
	struct gathered g;
	struct arena a = {0};
	struct read_prompt prompt;
	struct picked picked;
	struct err e;

	(void)state;
	assert_int_equal(gather_open(&g, dir, &e), 0);
	put(&g, 3, "late");
	put(&g, 5, "middle");
	put(&g, 1000, "early");
	assert_int_equal(gather_seal(&g, &e), 0);
	assert_int_equal(gather_take(&g, 1000, STR("m"), &a, &prompt, &picked, &e), 1);
	check(&prompt, &picked, "early");
	assert_int_equal(gather_take(&g, 3, STR("m"), &a, &prompt, &picked, &e), 1);
	check(&prompt, &picked, "late");
	assert_int_equal(gather_take(&g, 4, STR("m"), &a, &prompt, &picked, &e), 0);
	assert_int_equal(gather_take(&g, 1001, STR("m"), &a, &prompt, &picked, &e), 0);
	assert_int_equal(g.n, 3);
	assert_int_equal(g.taken, 2);
	arena_release(&a);
	gather_close(&g);
}

static void nothing_put_is_nothing_there(void **state)
{
	struct gathered g;
	struct arena a = {0};
	struct read_prompt prompt;
	struct picked picked;
	struct err e;

	(void)state;
	assert_int_equal(gather_open(&g, dir, &e), 0);
	assert_int_equal(gather_seal(&g, &e), 0);
	assert_int_equal(gather_take(&g, 1, STR_NONE, &a, &prompt, &picked, &e), 0);
	gather_close(&g);
	gather_close(&g); /* a second time is nothing */
}

/* Far beyond the buffer of a side file: 2,000 records of some 330 bytes. */
static void many_go_through_the_file(void **state)
{
	struct gathered g;
	struct arena a = {0};
	struct read_prompt prompt;
	struct picked picked;
	struct err e;

	(void)state;
	assert_int_equal(gather_open(&g, dir, &e), 0);
	for (int64_t key = 1; key <= 2000; key++)
		put(&g, 2 * key, key % 2 ? "odd" : "an even one");
	assert_int_equal(gather_seal(&g, &e), 0);
	for (int64_t key = 2000; key > 0; key--) {
		arena_reset(&a);
		assert_int_equal(gather_take(&g, 2 * key, STR("m"), &a, &prompt, &picked, &e), 1);
		check(&prompt, &picked, key % 2 ? "odd" : "an even one");
	}
	arena_release(&a);
	gather_close(&g);
}

/* --- aside --------------------------------------------------------------------------- */

static void add_one(void *ctx)
{
	++*(int *)ctx;
}

static void work_is_seen_behind_its_end(void **state)
{
	struct aside *x = aside_new();
	int n = 0;

	(void)state;
	aside_end(x); /* idle: at once */
	for (int i = 1; i <= 1000; i++) {
		aside_begin(x, add_one, &n);
		aside_end(x);
		assert_int_equal(n, i);
	}
	aside_free(x);
	aside_free(aside_new());
	aside_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_put_is_taken_by_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nothing_put_is_nothing_there, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_go_through_the_file, set_up, tear_down),
		cmocka_unit_test(work_is_seen_behind_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
