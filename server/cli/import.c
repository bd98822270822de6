/* prefd import: a file's rows to a daemon, in bodies, as often as it takes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "bodies.h"
#include "call.h"
#include "cli/cli.h"
#include "client.h"
#include "import_options.h"
#include "progress.h"
#include "resume.h"
#include "source.h"

static const char COMMAND[] = "import";

struct import {
	struct import_options o;
	struct source source;
	struct call call;
	struct buf url; /* of the rows */
	char *dataset;
	uint64_t start_row, rejected_before;
	uint64_t too_long;    /* rows that were refused here */
	struct bodies bodies;
	struct resume resume;
	struct progress progress;
};

/* --- before the rows ------------------------------------------------------------------ */

static void put_dataset(const struct import_options *o, struct buf *body)
{
	buf_lit(body, "{\"attributes\":{");
	for (int i = 0; i < o->attributes; i++) {
		const char *equals = strrchr(o->attribute[i], '=');

		json_put_key_str(body, (struct str){o->attribute[i], (size_t)(equals - o->attribute[i])});
		buf_lit(body, "{\"min\":");
		json_put_number(body, strtod(equals + 1, NULL));
		buf_lit(body, ",\"max\":");
		json_put_number(body, strtod(strchr(equals, ':') + 1, NULL));
		buf_byte(body, '}');
	}
	buf_lit(body, "}}");
}

/* Makes the dataset when asked to; else sees that it is there. created_at tells
 * a dataset from one of the same name that was deleted: progress belongs to one. */
static int prepare_dataset(struct import *im, struct buf *created_at)
{
	struct call *c = &im->call;
	struct buf body = BUF_INIT;
	int rc;

	put_dataset(&im->o, &body);
	call_path(c, "datasets", im->dataset, NULL);
	rc = im->o.create ? call_do(c, "PUT", buf_view(&body)) : call_do(c, "GET", STR_NONE);
	if (rc == 0)
		buf_str(created_at, json_raw_member(buf_view(&c->reply.body), "created_at"));
	else if (c->reply.status == 404)
		fprintf(stderr, "  (--create makes the dataset)\n");
	buf_release(&body);
	return rc;
}

static void make_url(struct import *im)
{
	const struct import_options *o = &im->o;

	call_path(&im->call, "datasets", im->dataset, o->kind, NULL);
	buf_str(&im->url, buf_view(&im->call.url));
	cli_query(&im->url, "format", o->format);
	cli_query(&im->url, "judge", o->judge);
	cli_query(&im->url, "fix_overall", o->fix_overall ? "true" : NULL);
	cli_query(&im->url, "on_error", o->on_error);
	cli_query(&im->url, "on_conflict", o->on_conflict);
	buf_byte(&im->url, '\0');
}

/* Where to begin: as asked, else where the same import was cut short. */
static void find_start(struct import *im, struct str created_at)
{
	const struct source *s = &im->source;
	/* Up to the query; then what a corrected file or another option changes. */
	struct str place = {im->url.p, strcspn(im->url.p, "?")};
	struct str parts[] = {place, str_of(s->path), buf_view(&im->url), created_at, {(const char *)&s->size_bytes, 8},
	                      {(const char *)&s->mtime_ns, 8}};
	struct resume_point at = {0, 0};

	if (s->path && s->size_bytes > 0) {
		resume_init(&im->resume, parts, 2, sizeof parts / sizeof parts[0]);
		at = resume_load(&im->resume);
	}
	if (im->o.has_start_row)
		at = (struct resume_point){im->o.start_row, 0};
	else if (at.rows > 0)
		fprintf(stderr, "prefd import: going on at row %" PRIu64 "\n", at.rows);
	im->start_row = at.rows;
	im->rejected_before = at.rejected;
}

/* --- the rows -------------------------------------------------------------------------- */

static int post(struct import *im, struct err *e)
{
	struct bodies *b = &im->bodies;
	uint64_t end = b->first_row + b->row_count;
	struct progress_state state;
	int rc;

	if (b->row_count == 0)
		return 0;
	rc = bodies_post(b, e);
	if (rc != 0)
		return rc;
	im->start_row = end;
	resume_save(&im->resume, (struct resume_point){end, im->rejected_before + b->rejected + im->too_long});
	state = (struct progress_state){b->sent_rows, b->sent_bytes, im->source.read_bytes};
	progress_show(&im->progress, &state);
	return 0;
}

/* The server would refuse the whole body for it. What came before goes out
 * first, so that a body's rows stay consecutive. */
static int refuse_row(struct import *im, uint64_t number, struct str row, struct err *e)
{
	int rc = post(im, e);
	struct buf line = BUF_INIT;

	if (rc != 0)
		return rc;
	progress_clear(&im->progress);
	buf_lit(&line, "  ");
	cli_put_row(&line, number, im->source.line);
	buf_printf(&line, ": %zu bytes, and the server takes rows of at most %" PRIu64, row.n, im->bodies.row_bytes);
	cli_line(stderr, &line);
	im->too_long++;
	im->start_row = number + (im->o.on_error ? 1 : 0);
	return im->o.on_error ? 0 : BODIES_REFUSED;
}

static int on_row(void *ctx, uint64_t number, struct str row, struct err *e)
{
	struct import *im = ctx;
	int rc = 0;

	if (cli_interrupted())
		return BODIES_INTERRUPTED;
	if (number < im->start_row)
		return 0;
	if (im->bodies.posts == 0 && im->bodies.row_count == 0)
		progress_begin(&im->progress, im->source.read_bytes);
	if (row.n > im->bodies.row_bytes)
		return refuse_row(im, number, row, e);
	if (!bodies_take(&im->bodies, row.n))
		rc = post(im, e);
	if (rc == 0)
		bodies_add(&im->bodies, number, im->source.line, row);
	return rc;
}

static int send_rows(struct import *im, struct err *e)
{
	int rc = source_rows(&im->source, BODIES_ROW_BYTES_HELD, on_row, im, e);

	struct err last;

	if (rc == 0)
		return post(im, e);
	/* Good rows in front of a broken end are rows too. */
	if (rc == -1)
		post(im, &last);
	return rc;
}

/* --- the end --------------------------------------------------------------------------- */

static void print_sums(const struct import *im, uint64_t rejected)
{
	const struct bodies *b = &im->bodies;

	printf("%s: %" PRIu64 " rows in %.1f s\n", im->dataset, b->sent_rows, progress_seconds(&im->progress));
	bodies_print(b);
	if (rejected > 0)
		printf("  %-12s %" PRIu64 "\n", "rejected", rejected);
}

/* What the user can do about an end that came early. */
static void say_end(const struct import *im, int rc)
{
	const char *how = rc == BODIES_INTERRUPTED ? "interrupted" : "ended";
	bool rows = rc == BODIES_REFUSED && bodies_say_refused(&im->bodies, im->o.on_error != NULL);

	if (rc == BODIES_REFUSED && !rows && im->too_long > 0 && im->o.on_error == NULL) {
		cli_complain(COMMAND, "it and the rows behind it are not stored; shorten it, or use --on-error continue");
		rows = true;
	}
	if (im->resume.path[0] == '\0' && (!rows || im->start_row > 0))
		cli_complain(COMMAND, "%s before row %" PRIu64 "; --start-row %" PRIu64 " goes on there", how, im->start_row,
		             im->start_row);
	else if (!rows)
		cli_complain(COMMAND, "%s before row %" PRIu64 "; the same command goes on there", how, im->start_row);
}

static int finish(struct import *im, int rc, const struct err *e)
{
	uint64_t rejected = im->rejected_before + im->bodies.rejected + im->too_long;

	progress_clear(&im->progress);
	if (rc == -1 || rc == BODIES_FAILED)
		cli_complain(COMMAND, "%s", e->detail);
	if (rc == 0 || im->bodies.sent_rows > 0)
		print_sums(im, rejected);
	if (rc == 0) {
		resume_forget(&im->resume);
		return rejected > 0 ? CLI_FAILED : CLI_DONE;
	}
	say_end(im, rc);
	return CLI_FAILED;
}

static int run(struct import *im)
{
	struct buf created_at = BUF_INIT;
	struct err e = {P_NONE, "", ""};
	int rc = source_open(&im->source, im->o.file, &e);

	if (rc < 0) {
		cli_complain(COMMAND, "%s", e.detail);
		return CLI_FAILED;
	}
	rc = bodies_limits(&im->bodies, &im->call, im->o.body_bytes);
	if (rc == 0)
		rc = prepare_dataset(im, &created_at);
	if (rc < 0) {
		buf_release(&created_at);
		return CLI_FAILED;
	}
	make_url(im);
	im->bodies.url = im->url.p;
	find_start(im, buf_view(&created_at));
	buf_release(&created_at);
	progress_init(&im->progress, COMMAND, im->source.size_bytes);
	return finish(im, send_rows(im, &e), &e);
}

/* justeval.ndjson.gz is justeval. */
static char *dataset_name(const struct import_options *o)
{
	const char *slash = strrchr(o->file, '/'), *base = slash ? slash + 1 : o->file;
	char *name = heap_strdup(o->dataset ? o->dataset : base);

	if (o->dataset == NULL)
		name[strcspn(name, ".")] = '\0';
	return name;
}

int cli_import(int argc, char **argv)
{
	struct import im = {.source = {.fd = -1}};
	int rc = import_options(&im.o, argc, argv);

	if (im.o.help)
		import_usage();
	if (im.o.help || rc != CLI_DONE)
		return rc;
	cli_catch_signals();
	call_open(&im.call, COMMAND, im.o.server);
	im.dataset = dataset_name(&im.o);
	bodies_init(&im.bodies, COMMAND, im.call.fetch, &im.progress);
	rc = run(&im);
	bodies_release(&im.bodies);
	source_close(&im.source);
	call_close(&im.call);
	buf_release(&im.url);
	heap_free(im.dataset);
	return rc;
}
