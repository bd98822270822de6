#include "client.h"

#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/file.h"

enum {
	RETRIES_MAX = 10,
	BACKOFF_FIRST_MS = 250,
	BACKOFF_MAX_MS = 15000,
	RETRY_AFTER_MAX_SECONDS = 60,
	TOKEN_FILE_BYTES = 4096,
};

/* --- options ------------------------------------------------------------------ */

void cli_line(FILE *to, struct buf *line)
{
	for (size_t i = 0; i < line->n; i++)
		if ((unsigned char)line->p[i] < ' ' || line->p[i] == 127)
			line->p[i] = '?';
	buf_byte(line, '\n');
	fwrite(line->p, 1, line->n, to);
	buf_release(line);
}

static void say(const char *command, const char *fmt, va_list ap)
{
	struct buf line = BUF_INIT;
	char text[1024];

	vsnprintf(text, sizeof text, fmt, ap);
	buf_printf(&line, "prefd %s: %s", command, text);
	cli_line(stderr, &line);
}

void cli_complain(const char *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(command, fmt, ap);
	va_end(ap);
}

int cli_misused(const char *command, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(command, fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try: prefd %s --help\n", command);
	return CLI_USAGE;
}

int cli_option(const char *command, int argc, char **argv, const struct option *options)
{
	int at = optind, c;

	opterr = 0;
	c = getopt_long(argc, argv, ":o:h", options, NULL);
	if (c == ':')
		cli_misused(command, "%s wants a value", argv[at]);
	else if (c == '?')
		cli_misused(command, "%s is not an option", argv[at]);
	return c == ':' ? '?' : c;
}

bool cli_whole(const char *text, uint64_t *n)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 18 || text[digits] != '\0')
		return false;
	*n = strtoull(text, NULL, 10);
	return true;
}

bool cli_bytes(const char *text, uint64_t *bytes)
{
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	int shift = strcmp(unit, "") == 0 ? 0 : strcmp(unit, "KiB") == 0 ? 10 : strcmp(unit, "MiB") == 0 ? 20 : -1;

	if (digits == 0 || digits > 12 || shift < 0)
		return false;
	*bytes = strtoull(text, NULL, 10) << shift;
	return true;
}

/* --- requests ------------------------------------------------------------------- */

static void put_encoded(struct buf *url, const char *text)
{
	for (const char *p = text; *p; p++) {
		if (isalnum((unsigned char)*p) || strchr("-._~", *p))
			buf_byte(url, *p);
		else
			buf_printf(url, "%%%02X", (unsigned char)*p);
	}
}

void cli_segment(struct buf *url, const char *text)
{
	buf_byte(url, '/');
	put_encoded(url, text);
}

static void read_token_file(const char *command, const char *path, struct buf *out)
{
	struct file_mark mark;
	struct err e;

	if (file_read(path, TOKEN_FILE_BYTES, out, &mark, &e) < 0)
		cli_complain(command, "PREFD_TOKEN_FILE: %s", e.detail);
	else if (mark.inode == 0)
		cli_complain(command, "PREFD_TOKEN_FILE: there is no file %s", path);
}

struct fetch *cli_fetch(const char *command)
{
	const char *token = getenv("PREFD_TOKEN"), *path = getenv("PREFD_TOKEN_FILE");
	const char *authorities = getenv("PREFD_CA_FILE");
	struct fetch *f = fetch_new();
	struct buf text = BUF_INIT;
	struct str rest;

	if (authorities && *authorities)
		fetch_authorities(f, authorities);

	if (token && *token)
		buf_z(&text, token);
	else if (path && *path)
		read_token_file(command, path, &text);
	rest = buf_view(&text);
	if (rest.n > 0)
		fetch_bearer(f, str_cut(&rest, '\n'));
	buf_release(&text);
	return f;
}

void cli_query(struct buf *url, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_byte(url, memchr(url->p, '?', url->n) ? '&' : '?');
	buf_printf(url, "%s=", name);
	put_encoded(url, value);
}

void cli_server(struct buf *url, const char *flag)
{
	const char *server = flag ? flag : getenv("PREFD_SERVER");

	buf_z(url, server && *server ? server : "http://127.0.0.1:8420");
	while (url->n > 0 && url->p[url->n - 1] == '/')
		url->n--;
}

bool cli_may_retry(const struct fetch_reply *reply, const struct err *e)
{
	if (reply)
		return reply->status == 429 || reply->status == 503;
	return e->problem == P_UNAVAILABLE;
}

bool cli_wait(struct patience *p, const struct fetch_reply *reply)
{
	int64_t ms = BACKOFF_FIRST_MS;
	struct timespec t;

	if (p->tries == RETRIES_MAX || cli_interrupted())
		return false;
	ms <<= p->tries++;
	ms = ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms;
	if (reply && reply->retry_after_seconds >= 0)
		ms = 1000 * (reply->retry_after_seconds < RETRY_AFTER_MAX_SECONDS ? reply->retry_after_seconds
		                                                                  : RETRY_AFTER_MAX_SECONDS);
	t = (struct timespec){ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL); /* a signal ends it early */
	return !cli_interrupted();
}

/* --- answers -------------------------------------------------------------------- */

struct str cli_text(const struct json *object, const char *key)
{
	const struct json *v = object ? json_get(object, key) : NULL;

	return v && json_type(v) == JSON_STRING ? json_string(v) : STR_NONE;
}

double cli_number(const struct json *object, const char *key, double otherwise)
{
	const struct json *v = object ? json_get(object, key) : NULL;

	return v && json_type(v) == JSON_NUMBER ? json_number(v) : otherwise;
}

void cli_put_row(struct buf *out, uint64_t row, uint64_t line)
{
	if (line > 0)
		buf_printf(out, "line %" PRIu64 " (row %" PRIu64 ")", line, row);
	else
		buf_printf(out, "row %" PRIu64, row);
}

static void put_row_error(const struct json *error, const struct cli_rows *rows)
{
	struct str pointer = cli_text(error, "pointer");
	double row = cli_number(error, "row", -1);
	struct buf line = BUF_INIT;

	buf_z(&line, "  ");
	if (row >= 0)
		cli_put_row(&line, rows->first + (uint64_t)row, row < (double)rows->lines ? rows->line[(size_t)row] : 0);
	if (pointer.n > 0)
		buf_printf(&line, "%s%.*s", row >= 0 ? ", " : "", STR_ARG(pointer));
	buf_printf(&line, ": %.*s", STR_ARG(cli_text(error, "detail")));
	cli_line(stderr, &line);
}

uint64_t cli_errors(const struct json *answer, const struct cli_rows *rows, uint64_t *left)
{
	const struct json *errors = json_get(answer, "errors");
	const struct cli_rows uncounted = {0, NULL, 0};
	uint64_t shown = 0, total;

	if (errors == NULL || json_type(errors) != JSON_ARRAY)
		return 0;
	total = (uint64_t)cli_number(answer, "errors_total", (double)json_size(errors));
	for (const struct json *c = json_first(errors); c && shown < *left; c = json_next(c), shown++)
		put_row_error(c, rows ? rows : &uncounted);
	if (shown < total && shown < *left)
		fprintf(stderr, "  and %" PRIu64 " more\n", total - shown);
	*left -= shown;
	return total;
}

void cli_warnings(const char *command, const struct json *answer)
{
	const struct json *list = answer ? json_get(answer, "warnings") : NULL;

	if (list == NULL || json_type(list) != JSON_ARRAY)
		return;
	for (const struct json *w = json_first(list); w; w = json_next(w))
		if (json_type(w) == JSON_STRING)
			cli_complain(command, "warning: %.*s", STR_ARG(json_string(w)));
}

/* The server's sentence goes on with its first row, by its own count; the list
 * below it has that row as well. */
static struct str without_row(struct str detail)
{
	const char *at = detail.n ? memmem(detail.p, detail.n, "; row ", 6) : NULL;

	return at ? (struct str){detail.p, (size_t)(at - detail.p)} : detail;
}

static void say_problem(const char *command, int status, const struct json *v, bool of_rows)
{
	struct str detail = cli_text(v, "detail"), pointer = cli_text(v, "pointer");

	if (of_rows) {
		detail = without_row(detail);
		pointer = STR_NONE; /* rows have their own */
	}
	cli_complain(command, "%.*s (%d)%s%.*s%s%.*s", STR_ARG(cli_text(v, "title")), status, pointer.n ? ": " : "",
	             STR_ARG(pointer), detail.n ? ": " : "", STR_ARG(detail));
}

enum cli_refusal cli_problem(const char *command, const struct fetch_reply *reply, const struct cli_rows *rows)
{
	uint64_t left = CLI_ERRORS_SHOWN_MAX;
	enum cli_refusal what = CLI_REFUSED;
	const struct json *v;
	struct arena a;
	struct err e;

	arena_init(&a);
	v = json_parse(&a, buf_view(&reply->body), JSON_DEPTH_MAX, &e);
	if (cli_text(v, "title").p == NULL) {
		cli_complain(command, "the server answered %d, and not as prefd does", reply->status);
	} else {
		say_problem(command, reply->status, v, json_get(v, "errors") != NULL);
		if (cli_errors(v, rows, &left) > 0)
			what = str_eq(cli_text(v, "type"), STR("/problems/broken-json")) ? CLI_REFUSED_BROKEN : CLI_REFUSED_ROWS;
	}
	arena_release(&a);
	return what;
}

/* --- signals -------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

void cli_catch_signals(void)
{
	/* Without SA_RESTART a read or a sleep ends; reset, a second signal kills. */
	struct sigaction s = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&s.sa_mask);
	sigaction(SIGINT, &s, NULL);
	sigaction(SIGTERM, &s, NULL);
	signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write */
}

bool cli_interrupted(void)
{
	return interrupted != 0;
}
