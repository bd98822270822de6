/* A lease's tasks: which rows answer them, and which answer nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../server/cli/tasks.h"

static const char SAMPLES[] = "[{\"prompt\":{\"id\":\"q2\",\"messages\":[]},\"indices\":[0,3],\"sampling\":{\"n\":12345678901234567890}},"
                              " {\"prompt\":{\"id\":\"q1\",\"messages\":[]},\"indices\":[1], \"sampling\":{}}]";
static const char SCORES[] = "[{\"model\":\"m\",\"prompt\":{\"id\":\"q1\"},\"response\":{\"id\":\"b\",\"text\":\"x]\\n\"}},"
                             "{\"model\":\"m\",\"prompt\":{\"id\":\"q1\"},\"response\":{\"id\":\"a\",\"text\":\"\"}}]";

static void load(struct tasks *t, bool score, const char *array, struct buf *lines)
{
	struct err e;

	tasks_init(t, score);
	assert_int_equal(tasks_load(t, str_of(array), lines, &e), 0);
}

static void refused(struct tasks *t, const char *row, const char *why)
{
	struct err e = {P_NONE, "", ""};
	size_t left = t->left;

	assert_int_equal(tasks_done(t, str_of(row), &e), -1);
	assert_int_equal(e.problem, P_BAD_REQUEST);
	assert_non_null(strstr(e.detail, why));
	assert_int_equal(t->left, left);
}

static void done(struct tasks *t, const char *row)
{
	struct err e;
	size_t left = t->left;

	assert_int_equal(tasks_done(t, str_of(row), &e), 0);
	assert_int_equal(t->left, left - 1);
}

static void test_samples_are_told_apart_by_prompt_and_index(void **state)
{
	struct buf lines = BUF_INIT;
	struct tasks t;

	(void)state;
	load(&t, false, SAMPLES, &lines);
	assert_int_equal(t.n, 3);
	/* Digits beyond a double survive: sampling goes through as it is. */
	assert_true(str_eq(buf_view(&lines),
	                   STR("{\"prompt\":{\"id\":\"q2\",\"messages\":[]},\"indices\":[0,3],\"sampling\":{\"n\":12345678901234567890}}\n"
	                       "{\"prompt\":{\"id\":\"q1\",\"messages\":[]},\"indices\":[1],\"sampling\":{}}\n")));
	done(&t, "{\"prompt\":\"q2\",\"index\":3,\"text\":\"\"}");
	refused(&t, "{\"prompt\":\"q2\",\"index\":3,\"text\":\"\"}", "prompt q2, index 3 has its result already");
	refused(&t, "{\"prompt\":\"q2\",\"index\":1,\"text\":\"\"}", "prompt q2, index 1 was not asked for");
	refused(&t, "{\"prompt\":\"q2\",\"text\":\"\"}", "names no prompt and index");
	refused(&t, "{\"index\":0}", "names no prompt and index");
	done(&t, "{\"prompt\":\"q1\",\"index\":1}");
	done(&t, "{\"prompt\":\"q2\",\"index\":0}");
	assert_int_equal(t.left, 0);
	refused(&t, "{\"prompt\":\"q2\",\"index\":0}", "already");
	tasks_release(&t);
	buf_release(&lines);
}

static void test_scores_are_told_apart_by_response(void **state)
{
	struct buf lines = BUF_INIT;
	struct tasks t;
	struct err e;

	(void)state;
	load(&t, true, SCORES, &lines);
	assert_int_equal(t.n, 2);
	done(&t, "{\"response\":\"a\",\"model\":\"m\",\"logprob\":-1}");
	refused(&t, "{\"response\":\"a\"}", "response a has its result already");
	refused(&t, "{\"response\":\"c\"}", "response c was not asked for");
	refused(&t, "{\"prompt\":\"q1\"}", "names no response");
	/* The next lease forgets the last one. */
	buf_clear(&lines);
	assert_int_equal(tasks_load(&t, STR("[{\"response\":{\"id\":\"c\"}}]"), &lines, &e), 0);
	assert_int_equal(t.left, 1);
	refused(&t, "{\"response\":\"b\"}", "was not asked for");
	done(&t, "{\"response\":\"c\"}");
	tasks_release(&t);
	buf_release(&lines);
}

static void test_what_is_no_row(void **state)
{
	struct buf lines = BUF_INIT;
	struct tasks t;

	(void)state;
	load(&t, true, SCORES, &lines);
	refused(&t, "loading the model …", "no JSON object: loading the model …");
	refused(&t, "{\"response\":\"a\"", "no JSON object");
	refused(&t, "[\"a\"]", "no JSON object");
	refused(&t, "7", "no JSON object");
	refused(&t, "{\"response\":7}", "names no response");
	tasks_release(&t);
	buf_release(&lines);
}

static void test_answers_that_are_no_tasks(void **state)
{
	static const char *const arrays[] = {"[7]", "[{}]", "[{\"response\":{}}]", "[{\"response\":{\"id\":7}}]"};
	struct buf lines = BUF_INIT;
	struct tasks t;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
		tasks_init(&t, true);
		assert_int_equal(tasks_load(&t, str_of(arrays[i]), &lines, &e), -1);
		tasks_release(&t);
	}
	tasks_init(&t, false);
	assert_int_equal(tasks_load(&t, STR("[{\"prompt\":{\"id\":\"q\"}}]"), &lines, &e), -1);
	tasks_release(&t);
	buf_release(&lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples_are_told_apart_by_prompt_and_index),
		cmocka_unit_test(test_scores_are_told_apart_by_response),
		cmocka_unit_test(test_what_is_no_row),
		cmocka_unit_test(test_answers_that_are_no_tasks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
