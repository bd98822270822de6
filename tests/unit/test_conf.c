#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/conf.h"

static char path[] = "/tmp/prefd_conf_XXXXXX";

static void write_file(const char *text, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* argv from the arguments, NULL at the end; they begin at 2, as behind `prefd serve`. */
static int load(struct conf *c, struct err *e, ...)
{
	char *argv[16] = {(char *)"prefd", (char *)"serve"};
	int argc = 2;
	va_list ap;

	va_start(ap, e);
	while ((argv[argc] = va_arg(ap, char *)) != NULL)
		argc++;
	va_end(ap);
	memset(e, 0, sizeof *e);
	return conf_load(c, argc, argv, 2, e);
}

#define REFUSED(said, ...) \
	do { \
		struct conf c_; \
		struct err e_; \
		assert_int_equal(load(&c_, &e_, __VA_ARGS__, NULL), -1); \
		assert_int_equal(e_.problem, P_BAD_REQUEST); \
		assert_string_equal(e_.detail, said); \
	} while (0)

/* What a file with this one text is refused for; `said` follows "PATH". */
static void file_refused(const char *text, size_t n, const char *said)
{
	char whole[400];
	struct conf c;
	struct err e;

	write_file(text, n);
	snprintf(whole, sizeof whole, "%s%s", path, said);
	assert_int_equal(load(&c, &e, "--config", path, NULL), -1);
	assert_int_equal(e.problem, P_BAD_REQUEST);
	assert_string_equal(e.detail, whole);
}

#define FILE_REFUSED(text, said) file_refused("" text, sizeof(text) - 1, said)

static void the_defaults_are_the_tables(void **state)
{
	struct conf c;
	struct err e;

	(void)state;
	assert_int_equal(load(&c, &e, NULL), 0);
	assert_string_equal(c.listen, "127.0.0.1:8420");
	assert_string_equal(c.log_level, "info");
	assert_int_equal(c.http_threads, 2);
	assert_int_equal(c.body_bytes, 67108864);
	assert_int_equal(c.batch_size, 4096);
	assert_int_equal(c.spool_bytes, 2147483648);
}

static void flags_over_environment_over_file(void **state)
{
	static const char text[] = "rows = 1\nbatch_size = 1\nopen_snapshots = 1\ndata = /f\n";
	struct conf c;
	struct err e;

	(void)state;
	write_file(text, sizeof text - 1);
	setenv("PREFD_BATCH_SIZE", "2", 1);
	setenv("PREFD_OPEN_SNAPSHOTS", "2", 1);
	setenv("PREFD_LOG_LEVEL", "debug", 1);
	setenv("PREFD_OTHER_TOOL", "is not ours", 1);
	assert_int_equal(load(&c, &e, "--open-snapshots", "3", "--config", path, "--store=sqlite", NULL), 0);
	assert_int_equal(c.rows, 1);
	assert_int_equal(c.batch_size, 2);
	assert_int_equal(c.open_snapshots, 3);
	assert_int_equal(c.http_threads, 2);
	assert_string_equal(c.data, "/f");
	assert_string_equal(c.log_level, "debug");
	unsetenv("PREFD_BATCH_SIZE");
	unsetenv("PREFD_OPEN_SNAPSHOTS");
	unsetenv("PREFD_LOG_LEVEL");
	unsetenv("PREFD_OTHER_TOOL");
}

static void both_ways_to_write_a_flag(void **state)
{
	struct conf c;
	struct err e;

	(void)state;
	assert_int_equal(load(&c, &e, "--listen=[::1]:0", "--data", "a=b", "--batch-bytes=4294967296", NULL), 0);
	assert_string_equal(c.listen, "[::1]:0");
	assert_string_equal(c.data, "a=b");
	assert_int_equal(c.batch_bytes, 4294967296);
	/* The last of two counts, as in other tools. */
	assert_int_equal(load(&c, &e, "--rows=5", "--rows", "6", NULL), 0);
	assert_int_equal(c.rows, 6);
}

static void a_files_grammar(void **state)
{
	static const char text[] = "# prefd\r\n"
	                           "\n"
	                           "   \t\n"
	                           "listen=0.0.0.0:80   # everywhere\n"
	                           "\tdata =  /srv/my data#1  \r\n"
	                           "#rows = 0\n"
	                           "suspend_seconds = 007";
	struct conf c;
	struct err e;

	(void)state;
	write_file(text, sizeof text - 1);
	assert_int_equal(load(&c, &e, "--config", path, NULL), 0);
	assert_string_equal(c.listen, "0.0.0.0:80");
	assert_string_equal(c.data, "/srv/my data#1");
	assert_int_equal(c.suspend_seconds, 7);
	assert_int_equal(c.rows, 1000000);
	write_file("", 0);
	assert_int_equal(load(&c, &e, "--config", path, NULL), 0);
}

static void bad_flags(void **state)
{
	(void)state;
	REFUSED("there is no flag '--port'", "--port", "80");
	REFUSED("there is no flag '--http_threads'", "--http_threads", "2");
	REFUSED("there is no flag '--'", "--", "x");
	REFUSED("'serve' is not a flag", "serve");
	REFUSED("'-v' is not a flag", "-v");
	REFUSED("--data: the value is missing", "--data");
	REFUSED("--config: the value is missing", "--config");
	REFUSED("--data: data must not be empty", "--data=");
	REFUSED("--http-threads: http_threads is a whole number from 1 to 64, not '0'", "--http-threads=0");
	REFUSED("--http-threads: http_threads is a whole number from 1 to 64, not '65'", "--http-threads", "65");
	REFUSED("--http-threads: http_threads is a whole number from 1 to 64, not '-1'", "--http-threads", "-1");
	REFUSED("--http-threads: http_threads is a whole number from 1 to 64, not ' 2'", "--http-threads", " 2");
	REFUSED("--http-threads: http_threads is a whole number from 1 to 64, not '2k'", "--http-threads", "2k");
	REFUSED("--http-threads: http_threads is a whole number from 1 to 64, not ''", "--http-threads=");
	REFUSED("--rows: rows is a whole number from 1 to 100000000, not '18446744073709551617'", "--rows",
	        "18446744073709551617");
	REFUSED("--store: store is one of sqlite, not 'postgres'", "--store", "postgres");
	REFUSED("--log-level: log_level is one of error, warn, info, debug, not 'Info'", "--log-level", "Info");
}

static void bad_variables(void **state)
{
	(void)state;
	setenv("PREFD_HTTP_THREADS", "many", 1);
	REFUSED("PREFD_HTTP_THREADS: http_threads is a whole number from 1 to 64, not 'many'", "--rows=5");
	/* Even where a flag stands above it. */
	REFUSED("PREFD_HTTP_THREADS: http_threads is a whole number from 1 to 64, not 'many'", "--http-threads=5");
	unsetenv("PREFD_HTTP_THREADS");
	setenv("PREFD_DATA", "", 1);
	REFUSED("PREFD_DATA: data must not be empty", "--rows=5");
	unsetenv("PREFD_DATA");
}

static void bad_files(void **state)
{
	(void)state;
	FILE_REFUSED("# one\n\nport = 80\n", ":3: there is no setting 'port'");
	FILE_REFUSED("http-threads = 2\n", ":1: there is no setting 'http-threads'");
	FILE_REFUSED("rows = 1\nlisten\n", ":2: expected 'name = value', not 'listen'");
	FILE_REFUSED("rows = 1\nrows = 1\n", ":2: rows is set twice in this file");
	FILE_REFUSED("rows = 0", ":1: rows is a whole number from 1 to 100000000, not '0'");
	FILE_REFUSED("rows = # 5", ":1: rows is a whole number from 1 to 100000000, not ''");
	FILE_REFUSED("= 5", ":1: there is no setting ''");
	FILE_REFUSED("data = a\0b\n", ":1: a NUL byte");
}

static void files_that_cannot_be_read(void **state)
{
	size_t n = 1024 * 1024 + 1;
	char *big = malloc(n);

	(void)state;
	REFUSED("/nonexistent/prefd.conf: No such file or directory", "--config=/nonexistent/prefd.conf");
	REFUSED("/: Is a directory", "--config", "/");
	memset(big, '\n', n);
	file_refused(big, n, ": more than 1048576 bytes");
	write_file(big, n - 1);
	assert_int_equal(load(&(struct conf){0}, &(struct err){0}, "--config", path, NULL), 0);
	free(big);
}

/* --- again ---------------------------------------------------------------------------- */

static int reload(struct conf *c, struct err *e)
{
	char *argv[] = {(char *)"prefd", (char *)"serve", (char *)"--config", path, (char *)"--batch-size=7", NULL};

	memset(e, 0, sizeof *e);
	return conf_reload(c, 5, argv, 2, e);
}

static void write_text(const char *text)
{
	write_file(text, strlen(text));
}

static void a_reload_takes_over_what_may_change(void **state)
{
	const char *before;
	struct conf c;
	struct err e;

	(void)state;
	write_text("rows = 5\nhttp_threads = 3\nlog_level = warn\ndata = /a\nengine_hosts = one\n");
	assert_int_equal(load(&c, &e, "--config", path, "--batch-size=7", NULL), 0);
	before = c.engine_hosts;
	write_text("rows = 6\nhttp_threads = 4\nlog_level = debug\ndata = /b\nengine_hosts = one two\nbatch_size = 9\n");
	assert_int_equal(reload(&c, &e), 0);
	assert_int_equal(c.rows, 6);
	assert_string_equal(c.log_level, "debug");
	assert_string_equal(c.engine_hosts, "one two");
	assert_string_equal(before, "one"); /* for who still holds it */
	/* These need a restart. */
	assert_int_equal(c.http_threads, 3);
	assert_string_equal(c.data, "/a");
	/* A flag stands above the file, as at the start. */
	assert_int_equal(c.batch_size, 7);
	/* A line that is gone is the default again. */
	write_text("data = /a\n");
	assert_int_equal(reload(&c, &e), 0);
	assert_int_equal(c.rows, 1000000);
	assert_string_equal(c.log_level, "info");
	assert_string_equal(c.engine_hosts, "127.0.0.1 localhost [::1]");
}

static void a_broken_file_changes_nothing(void **state)
{
	char said[400];
	struct conf c;
	struct err e;

	(void)state;
	write_text("rows = 5\n");
	assert_int_equal(load(&c, &e, "--config", path, NULL), 0);
	write_text("rows = 6\nbody_bytes = 5\n"); /* the second line is wrong, the first is not taken either */
	assert_int_equal(reload(&c, &e), -1);
	snprintf(said, sizeof said, "%s:2: body_bytes is a whole number from 4096 to 1073741824, not '5'", path);
	assert_string_equal(e.detail, said);
	assert_int_equal(c.rows, 5);
	remove(path);
	assert_int_equal(reload(&c, &e), -1);
	assert_int_equal(c.rows, 5);
}

/* conf_usage into the file instead of standard output. */
static char *usage_text(void)
{
	static char text[16384];
	int saved, n;
	FILE *f;

	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	assert_non_null(f = fopen(path, "w+"));
	dup2(fileno(f), STDOUT_FILENO);
	conf_usage();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(f);
	n = (int)fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	return text;
}

static void the_usage_lists_every_setting(void **state)
{
	const char *text = usage_text();
	int lines = 0, settings = 0;

	(void)state;
#define X(member, kind, def, min, max, when, help) \
	settings++; \
	assert_non_null(strstr(text, help)); \
	assert_non_null(strstr(text, "(default " def));
	SETTINGS(X)
#undef X
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	assert_int_equal(lines, settings + 1); /* and --config */
	assert_non_null(strstr(text, "  --http-threads "));
	assert_non_null(strstr(text, "; 1 to 64)"));
	assert_non_null(strstr(text, "  --config "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_defaults_are_the_tables),
		cmocka_unit_test(flags_over_environment_over_file),
		cmocka_unit_test(both_ways_to_write_a_flag),
		cmocka_unit_test(a_files_grammar),
		cmocka_unit_test(bad_flags),
		cmocka_unit_test(bad_variables),
		cmocka_unit_test(bad_files),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(a_reload_takes_over_what_may_change),
		cmocka_unit_test(a_broken_file_changes_nothing),
		cmocka_unit_test(the_usage_lists_every_setting),
	};
	int fd = mkstemp(path), rc;

	if (fd < 0)
		return 1;
	close(fd);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return rc;
}
