/* prefd round deliver: a file of samples or log-probabilities. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bodies.h"
#include "call.h"
#include "progress.h"
#include "source.h"
#include "verb.h"

static const char USAGE[] =
	"usage: prefd round deliver ROUND responses|logprobs FILE|- [options]\n"
	"\n"
	"Posts the rows of FILE (or of standard input) to a round. FILE is NDJSON or one\n"
	"JSON array, plain or packed with gzip or zstd:\n"
	"\n"
	"  responses    {\"prompt\": \"q1\", \"index\": 0, \"text\": \"42\", \"finish_reason\": \"stop\"}\n"
	"  logprobs     {\"response\": \"4c3b…\", \"model\": \"my-dpo\", \"logprob\": -12.5, \"tokens\": 9}\n"
	"\n"
	"The first delivery of a row stays and a later one changes nothing, so a file that\n"
	"was cut short is sent again as it is.\n"
	"\n"
	"  --on-error continue    store the good rows and report the others\n"
	"  --body-bytes SIZE      of one request, as 4MiB (default) or 512KiB\n"
	"  --server URL           the daemon (PREFD_SERVER, else http://127.0.0.1:8420)\n"
	"\n"
	"Exit status: 0 done, 1 rows were refused or it failed, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd round deliver r1 responses samples.ndjson.zst\n"
	"  ./score.py < responses.ndjson | prefd round deliver r1 logprobs -\n";

struct deliver {
	struct verb_options base;
	const char *on_error, *body_bytes;
};

struct delivery {
	struct deliver o;
	struct call call;
	struct buf url;
	struct source source;
	struct bodies bodies;
	struct progress progress;
	uint64_t too_long;
};

static const struct flag FLAGS[] = {
	VERB_FLAG(deliver, "on-error", on_error, true),
	VERB_FLAG(deliver, "body-bytes", body_bytes, true),
};
static const struct verb DELIVER = {"round deliver", USAGE, VERB_LIST(FLAGS), NULL, 0, 3,
                                    "ROUND, responses or logprobs, and a FILE are wanted"};

/* --- the rows ---------------------------------------------------------------------- */

static int post(struct delivery *d, struct err *e)
{
	struct bodies *b = &d->bodies;
	struct progress_state state;
	int rc = bodies_post(b, e);

	if (rc != 0)
		return rc;
	state = (struct progress_state){b->sent_rows, b->sent_bytes, d->source.read_bytes};
	progress_show(&d->progress, &state);
	return 0;
}

static int refuse_row(struct delivery *d, uint64_t number, struct str row)
{
	struct buf line = BUF_INIT;

	progress_clear(&d->progress);
	buf_lit(&line, "  ");
	cli_put_row(&line, number, d->source.line);
	buf_printf(&line, ": %zu bytes, and the server takes rows of at most %" PRIu64, row.n, d->bodies.row_bytes);
	cli_line(stderr, &line);
	d->too_long++;
	return d->o.on_error ? 0 : BODIES_REFUSED;
}

static int on_row(void *ctx, uint64_t number, struct str row, struct err *e)
{
	struct delivery *d = ctx;
	bool too_long = row.n > d->bodies.row_bytes;
	int rc = 0;

	if (cli_interrupted())
		return BODIES_INTERRUPTED;
	/* A body's rows stay consecutive, so that its errors name the file's rows. */
	if (too_long || !bodies_take(&d->bodies, row.n))
		rc = post(d, e);
	if (rc != 0)
		return rc;
	if (too_long)
		return refuse_row(d, number, row);
	bodies_add(&d->bodies, number, d->source.line, row);
	return 0;
}

static int send_rows(struct delivery *d, struct err *e)
{
	int rc = source_rows(&d->source, BODIES_ROW_BYTES_HELD, on_row, d, e);
	struct err last;

	if (rc == 0)
		return post(d, e);
	/* Good rows in front of a broken end are rows too. */
	if (rc == -1)
		post(d, &last);
	return rc;
}

/* --- around them ---------------------------------------------------------------------- */

static void print_sums(const struct delivery *d, uint64_t rejected)
{
	printf("%s: %" PRIu64 " rows in %.1f s\n", d->o.base.argument[0], d->bodies.sent_rows,
	       progress_seconds(&d->progress));
	bodies_print(&d->bodies);
	if (rejected > 0)
		printf("  %-12s %" PRIu64 "\n", "rejected", rejected);
}

static int finish(struct delivery *d, int rc, const struct err *e)
{
	uint64_t rejected = d->bodies.rejected + d->too_long;

	progress_clear(&d->progress);
	if (rc == -1 || rc == BODIES_FAILED)
		cli_complain(DELIVER.command, "%s", e->detail);
	if (rc == 0 || d->bodies.sent_rows > 0)
		print_sums(d, rejected);
	if (rc == BODIES_REFUSED)
		bodies_say_refused(&d->bodies, d->o.on_error != NULL);
	if (rc == BODIES_INTERRUPTED)
		cli_complain(DELIVER.command, "interrupted; the same rows may be sent again");
	return rc == 0 && rejected == 0 ? CLI_DONE : CLI_FAILED;
}

static int run(struct delivery *d, uint64_t body_bytes)
{
	struct err e = {P_NONE, "", ""};

	if (source_open(&d->source, d->o.base.argument[2], &e) < 0) {
		cli_complain(DELIVER.command, "%s", e.detail);
		return CLI_FAILED;
	}
	if (bodies_limits(&d->bodies, &d->call, body_bytes) < 0)
		return CLI_FAILED;
	call_path(&d->call, "rounds", d->o.base.argument[0], d->o.base.argument[1], NULL);
	cli_query(&d->call.url, "on_error", d->o.on_error);
	buf_str(&d->url, buf_view(&d->call.url));
	buf_byte(&d->url, '\0');
	d->bodies.url = d->url.p;
	progress_init(&d->progress, DELIVER.command, d->source.size_bytes);
	return finish(d, send_rows(d, &e), &e);
}

static int check(const struct deliver *o, uint64_t *body_bytes)
{
	const char *kind = o->base.argument[1];

	if (strcmp(kind, "responses") != 0 && strcmp(kind, "logprobs") != 0)
		return cli_misused(DELIVER.command, "responses or logprobs are delivered, not '%s'", kind);
	if (o->on_error && strcmp(o->on_error, "continue") != 0)
		return cli_misused(DELIVER.command, "--on-error is continue, not '%s'", o->on_error);
	*body_bytes = BODIES_BYTES_DEFAULT;
	if (o->body_bytes && (!cli_bytes(o->body_bytes, body_bytes) || *body_bytes < BODIES_BYTES_MIN))
		return cli_misused(DELIVER.command, "--body-bytes is a size from %d on, as 4MiB or 512KiB, not '%s'",
		                   BODIES_BYTES_MIN, o->body_bytes);
	return VERB_GO;
}

int round_deliver(int argc, char **argv)
{
	struct delivery d = {.o = {.base = {.server = NULL}}, .source = {.fd = -1}};
	uint64_t body_bytes;
	int rc = verb_read(&DELIVER, argc, argv, &d.o.base);

	if (rc == VERB_GO)
		rc = check(&d.o, &body_bytes);
	if (rc != VERB_GO)
		return rc;
	cli_catch_signals();
	call_open(&d.call, DELIVER.command, d.o.base.server);
	bodies_init(&d.bodies, DELIVER.command, d.call.fetch, &d.progress);
	rc = run(&d, body_bytes);
	bodies_release(&d.bodies);
	source_close(&d.source);
	call_close(&d.call);
	buf_release(&d.url);
	return rc;
}
