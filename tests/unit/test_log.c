#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static FILE *file;
static int saved;

/* Standard error into a file, until logged() reads it. */
static void begin_logging(void)
{
	assert_non_null(file = tmpfile());
	saved = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
}

static char *logged(void)
{
	static char text[1 << 20];
	size_t n;

	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	n = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	text[n] = '\0';
	return text;
}

static void a_line(void **state)
{
	char *line, time[CLOCK_TEXT_BYTES];
	int64_t us, before = clock_now_us();

	(void)state;
	begin_logging();
	log_info("writer", "commit requests=%d", 3);
	line = logged();
	assert_int_equal(strncmp(line, "time=", 5), 0);
	assert_string_equal(strchr(line, ' '), " level=info room=writer commit requests=3\n");
	snprintf(time, sizeof time, "%.*s", (int)strcspn(line + 5, " "), line + 5);
	assert_int_equal(clock_parse(str_of(time), &us), 0);
	assert_in_range(us - before, 0, 10000000);
}

static void the_level_filters(void **state)
{
	char *text;

	(void)state;
	begin_logging();
	log_set_level(LOG_WARN);
	log_info("a", "not seen");
	log_warn("a", "one");
	log_error("a", "two");
	log_set_level(LOG_DEBUG);
	log_debug("a", "three");
	log_set_level(LOG_INFO);
	log_debug("a", "not seen");
	text = logged();
	assert_null(strstr(text, "not seen"));
	assert_non_null(strstr(text, "level=warn room=a one\n"));
	assert_non_null(strstr(text, "level=error room=a two\n"));
	assert_non_null(strstr(text, "level=debug room=a three\n"));
}

static void one_event_is_one_line(void **state)
{
	char large[5000], *text;

	(void)state;
	memset(large, 'x', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	begin_logging();
	log_info("a", "%s", "b\nlevel=error\r\x1B[0m\x7F" "c");
	log_info("a", "%s", large);
	log_info("a", "last");
	text = logged();
	assert_non_null(strstr(text, "room=a b level=error  [0m c\n"));
	/* 2048 bytes a line at most, the newline among them. */
	text = strchr(text, '\n') + 1;
	assert_int_equal(strcspn(text, "\n"), 2047);
	assert_non_null(strstr(text + 2048, "room=a last\n"));
}

enum { THREADS = 4, LINES = 500 };

static void *log_often(void *ctx)
{
	for (int i = 0; i < LINES; i++)
		log_info("a", "thread=%d end", *(int *)ctx);
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	pthread_t threads[THREADS];
	int ids[THREADS] = {1, 2, 3, 4}, lines = 0;

	(void)state;
	begin_logging();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, log_often, &ids[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (char *p = logged(), *nl; (nl = strchr(p, '\n')); p = nl + 1, lines++) {
		assert_int_equal(strncmp(p, "time=", 5), 0);
		assert_memory_equal(nl - 4, " end", 4);
	}
	assert_int_equal(lines, THREADS * LINES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line),
		cmocka_unit_test(the_level_filters),
		cmocka_unit_test(one_event_is_one_line),
		cmocka_unit_test(lines_of_threads_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
