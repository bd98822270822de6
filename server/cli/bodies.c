#include "bodies.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/zip.h"

enum { HEADER_BYTES = 128, KEY_RANDOM_BYTES = 12 };

void bodies_init(struct bodies *b, const char *command, struct fetch *fetch, struct progress *progress)
{
	memset(b, 0, sizeof *b);
	b->command = command;
	b->fetch = fetch;
	b->progress = progress;
	b->errors_left = CLI_ERRORS_SHOWN_MAX;
	fetch_reply_init(&b->reply);
	random_hex(b->key, KEY_RANDOM_BYTES);
}

void bodies_release(struct bodies *b)
{
	fetch_reply_release(&b->reply);
	buf_release(&b->rows);
	buf_release(&b->packed);
	buf_release(&b->lines);
}

static uint64_t limit_of(const struct json *limits, const char *name, uint64_t otherwise)
{
	double n = cli_number(limits, name, 0);

	return n >= 1 ? (uint64_t)n : otherwise;
}

int bodies_limits(struct bodies *b, struct call *c, uint64_t body_bytes)
{
	uint64_t most;

	call_path(c, "limits", NULL);
	if (call_do(c, "GET", STR_NONE) < 0)
		return -1;
	most = limit_of(c->answer, "body_bytes", body_bytes);
	b->body_bytes = body_bytes < most ? body_bytes : most;
	b->body_rows = limit_of(c->answer, "rows", UINT64_MAX);
	b->row_bytes = limit_of(c->answer, "row_bytes", BODIES_ROW_BYTES_HELD);
	/* The newline of a body's only row must fit as well. */
	if (b->row_bytes >= most)
		b->row_bytes = most - 1;
	return 0;
}

/* --- filling -------------------------------------------------------------------- */

bool bodies_take(const struct bodies *b, size_t n)
{
	return b->row_count == 0 || (b->row_count < b->body_rows && b->rows.n + n + 1 <= b->body_bytes);
}

void bodies_add(struct bodies *b, uint64_t number, uint64_t line, struct str row)
{
	size_t at = b->rows.n;

	if (b->row_count++ == 0)
		b->first_row = number;
	buf_add(&b->lines, &line, sizeof line);
	buf_str(&b->rows, row);
	/* An array's rows may hold line breaks between tokens, where a tab says
	 * the same; inside a string both are as wrong. */
	for (; at < b->rows.n; at++)
		if (b->rows.p[at] == '\n' || b->rows.p[at] == '\r')
			b->rows.p[at] = '\t';
	buf_byte(&b->rows, '\n');
}

/* --- answers -------------------------------------------------------------------- */

static void name_of(char out[TALLY_NAME_BYTES], struct str s)
{
	snprintf(out, TALLY_NAME_BYTES, "%.*s", STR_ARG(s));
}

static void add_count(struct bodies *b, struct str group, const struct json *member)
{
	char in[TALLY_NAME_BYTES], name[TALLY_NAME_BYTES];
	int i = 0;

	if (json_type(member) != JSON_NUMBER || json_number(member) < 0)
		return;
	name_of(in, group);
	name_of(name, json_key(member));
	while (i < b->tallies && (strcmp(b->tally[i].group, in) != 0 || strcmp(b->tally[i].name, name) != 0))
		i++;
	if (i == TALLIES_MAX)
		return;
	if (i == b->tallies) {
		memcpy(b->tally[i].group, in, sizeof in);
		memcpy(b->tally[i].name, name, sizeof name);
		b->tallies++;
	}
	b->tally[i].n += (uint64_t)json_number(member);
}

static struct cli_rows rows_of(const struct bodies *b)
{
	return (struct cli_rows){b->first_row, (const uint64_t *)(const void *)b->lines.p, b->lines.n / sizeof(uint64_t)};
}

static void say_errors(struct bodies *b, const struct json *answer)
{
	const struct json *errors = json_get(answer, "errors");
	const struct cli_rows rows = rows_of(b);

	if (errors == NULL || json_size(errors) == 0)
		return;
	progress_clear(b->progress);
	cli_errors(answer, &rows, &b->errors_left);
}

/* Sums every object of numbers, whatever its name: new counts need no change here. */
static int add_counts(struct bodies *b, struct err *e)
{
	struct arena a;
	const struct json *v, *rejected;

	arena_init(&a);
	v = json_parse(&a, buf_view(&b->reply.body), JSON_DEPTH_MAX, e);
	if (v) {
		rejected = json_get(v, "rejected");
		if (rejected && json_type(rejected) == JSON_NUMBER)
			b->rejected += (uint64_t)json_number(rejected);
		for (const struct json *group = json_first(v); group; group = json_next(group))
			if (json_type(group) == JSON_OBJECT)
				for (const struct json *c = json_first(group); c; c = json_next(c))
					add_count(b, json_key(group), c);
		say_errors(b, v);
	}
	arena_release(&a);
	if (v == NULL)
		err_set(e, P_INTERNAL, "the server answered %d, and not as prefd does", b->reply.status);
	return v ? 0 : BODIES_FAILED;
}

/* --- posting -------------------------------------------------------------------- */

/* Posts until there is an answer that stands. */
static int post_patiently(struct bodies *b, const struct fetch_request *q, struct err *e)
{
	struct patience patience = {0};

	for (;;) {
		int rc = fetch_do(b->fetch, q, &b->reply, e);
		const struct fetch_reply *reply = rc == 0 ? &b->reply : NULL;

		if (!cli_may_retry(reply, e))
			return rc < 0 ? BODIES_FAILED : 0;
		if (!cli_wait(&patience, reply))
			return cli_interrupted() ? BODIES_INTERRUPTED : rc < 0 ? BODIES_FAILED : 0;
	}
}

static void next_body(struct bodies *b)
{
	b->posts++;
	b->sent_rows += b->row_count;
	b->sent_bytes += b->rows.n;
	b->row_count = 0;
	buf_clear(&b->rows);
	buf_clear(&b->lines);
}

int bodies_post(struct bodies *b, struct err *e)
{
	char key[HEADER_BYTES];
	const char *headers[] = {"Content-Type: application/x-ndjson", "Content-Encoding: zstd", key, NULL};
	struct fetch_request q = {.method = "POST", .url = b->url, .headers = headers};
	int rc;

	if (b->row_count == 0)
		return 0;
	snprintf(key, sizeof key, "Idempotency-Key: prefd-%s-%" PRIu64, b->key, b->posts);
	buf_clear(&b->packed);
	zip_whole(CODING_ZSTD, buf_view(&b->rows), &b->packed);
	q.body = buf_view(&b->packed);
	rc = post_patiently(b, &q, e);
	if (rc != 0)
		return rc;
	if (b->reply.status != 200 && b->reply.status != 207) {
		const struct cli_rows rows = rows_of(b);

		progress_clear(b->progress);
		b->refusal = cli_problem(b->command, &b->reply, &rows);
		return BODIES_REFUSED;
	}
	rc = add_counts(b, e);
	if (rc == 0)
		next_body(b);
	return rc;
}

bool bodies_say_refused(const struct bodies *b, bool on_error)
{
	if (b->refusal == CLI_REFUSED)
		return false;
	if (b->refusal == CLI_REFUSED_BROKEN)
		cli_complain(b->command, "other rows were not checked further");
	cli_complain(b->command, "nothing of this body is stored; correct the rows%s",
	             on_error ? "" : ", or use --on-error continue");
	return true;
}

/* --- the sums -------------------------------------------------------------------- */

static bool is_first_of_group(const struct bodies *b, int i)
{
	for (int j = 0; j < i; j++)
		if (strcmp(b->tally[j].group, b->tally[i].group) == 0)
			return false;
	return true;
}

/* What is zero is left out, and so is a group of zeros. */
static void print_group(const struct bodies *b, const char *group)
{
	const char *glue = "";

	for (int i = 0; i < b->tallies; i++) {
		const struct tally *t = &b->tally[i];

		if (strcmp(t->group, group) != 0 || t->n == 0)
			continue;
		if (*glue == '\0')
			printf("  %-12s ", group);
		printf("%s%" PRIu64 " %s", glue, t->n, t->name);
		glue = ", ";
	}
	if (*glue)
		putchar('\n');
}

void bodies_print(const struct bodies *b)
{
	for (int i = 0; i < b->tallies; i++)
		if (is_first_of_group(b, i))
			print_group(b, b->tally[i].group);
}
