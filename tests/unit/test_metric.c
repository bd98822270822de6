#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/metric.h"

static bool has(const struct buf *b, const char *text)
{
	return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

static void prometheus_text(void **state)
{
	struct buf b = BUF_INIT;
	int lines = 0;

	(void)state;
	metric_add(M_ROWS_ACCEPTED, 5);
	metric_add(M_ROWS_ACCEPTED, INT64_C(1) << 40);
	metric_set(M_STORE_READ_ONLY, 1);
	metric_add(M_JOBS, 2);
	metric_add(M_JOBS, -1);
	metric_print(&b);
	assert_true(has(&b, "# HELP prefd_rows_accepted_total Rows stored or found unchanged\n"
	                    "# TYPE prefd_rows_accepted_total counter\n"
	                    "prefd_rows_accepted_total 1099511627781\n"));
	assert_true(has(&b, "# TYPE prefd_store_read_only gauge\nprefd_store_read_only 1\n"));
	assert_true(has(&b, "\nprefd_jobs 1\n"));
	assert_true(has(&b, "\nprefd_batches_total 0\n"));
	for (size_t i = 0; i < b.n; i++)
		lines += b.p[i] == '\n';
	assert_int_equal(lines, 3 * METRIC_COUNT);
	buf_release(&b);
}

/* A counter is named so, and only a counter. */
static void names_tell_the_kind(void **state)
{
	static const struct {
		const char *name, *kind;
	} all[] = {
#define X(metric, kind, name, help) {name, #kind},
		METRICS(X)
#undef X
	};

	(void)state;
	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		size_t n = strlen(all[i].name);
		bool total = n > 6 && strcmp(all[i].name + n - 6, "_total") == 0;

		assert_int_equal(total, strcmp(all[i].kind, "counter") == 0);
		assert_int_equal(strncmp(all[i].name, "prefd_", 6), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prometheus_text),
		cmocka_unit_test(names_tell_the_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
