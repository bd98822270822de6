/* prefd export: a snapshot's examples into a file or standard output. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "cli/cli.h"
#include "client.h"
#include "progress.h"
#include "round_text.h"

static const char COMMAND[] = "export";

static const char USAGE[] =
	"usage: prefd export [options] SNAPSHOT\n"
	"\n"
	"Writes a snapshot's examples as NDJSON, in stored order. A file appears under\n"
	"its name only when it is complete; until then it is called FILE.part.\n"
	"\n"
	"  --server URL       the daemon (PREFD_SERVER, else http://127.0.0.1:8420)\n"
	"  --augment WHICH    both, chosen, rejected or none (default: the recipe's)\n"
	"  --placement WHERE  of the goal: system or user\n"
	"  --format FORMAT    trl, trl_text, llamafactory or openrlhf\n"
	"  -o, --output FILE  instead of standard output\n"
	"\n"
	"A snapshot without a pair makes no file. Exit status: 0 complete, 1 it failed or\n"
	"there was nothing, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd export first -o first.ndjson\n"
	"  prefd export --augment none --format openrlhf first | zstd > plain.ndjson.zst\n";

struct export_options {
	const char *server, *augment, *placement, *format, *output, *snapshot;
	bool help;
};

enum { PATH_BYTES = 4096 };

struct exporting {
	struct export_options o;
	struct buf url;
	struct fetch *fetch;
	struct fetch_reply reply;
	char part[PATH_BYTES]; /* what is written until it is complete; "" for standard output */
	int fd;
	struct progress progress;
	struct progress_state state; /* rows are lines */
};

/* --- options ---------------------------------------------------------------------- */

enum { SERVER = 256, AUGMENT, PLACEMENT, FORMAT };

static const struct option LONG[] = {
	{"server", required_argument, NULL, SERVER},       {"augment", required_argument, NULL, AUGMENT},
	{"placement", required_argument, NULL, PLACEMENT}, {"format", required_argument, NULL, FORMAT},
	{"output", required_argument, NULL, 'o'},          {"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void set_option(struct export_options *o, int c)
{
	switch (c) {
	case SERVER: o->server = optarg; break;
	case AUGMENT: o->augment = optarg; break;
	case PLACEMENT: o->placement = optarg; break;
	case FORMAT: o->format = optarg; break;
	case 'o': o->output = optarg; break;
	default: o->help = true; break;
	}
}

static int read_options(struct export_options *o, int argc, char **argv)
{
	int c;

	memset(o, 0, sizeof *o);
	while (!o->help && (c = cli_option(COMMAND, argc, argv, LONG)) != -1) {
		if (c == '?')
			return CLI_USAGE;
		set_option(o, c);
	}
	if (o->help)
		return CLI_DONE;
	if (optind != argc - 1)
		return cli_misused(COMMAND, "one SNAPSHOT is wanted");
	o->snapshot = argv[optind];
	return CLI_DONE;
}

/* --- the file --------------------------------------------------------------------- */

static int open_output(struct exporting *x, struct err *e)
{
	x->fd = STDOUT_FILENO;
	if (x->o.output == NULL)
		return 0;
	if ((size_t)snprintf(x->part, sizeof x->part, "%s.part", x->o.output) >= sizeof x->part)
		return err_set(e, P_BAD_REQUEST, "the file's name is too long");
	x->fd = open(x->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	return x->fd < 0 ? err_set(e, P_BAD_REQUEST, "%s: %s", x->part, strerror(errno)) : 0;
}

static int write_all(int fd, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR && !cli_interrupted())
			continue;
		if (done < 0)
			return err_set(e, P_BAD_REQUEST, "writing: %s", strerror(errno));
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

static int on_piece(void *ctx, const char *p, size_t n, struct err *e)
{
	struct exporting *x = ctx;

	if (cli_interrupted())
		return err_set(e, P_BAD_REQUEST, "interrupted");
	for (const char *nl = memchr(p, '\n', n); nl; nl = memchr(nl + 1, '\n', (size_t)(p + n - nl - 1)))
		x->state.rows++;
	x->state.bytes += n;
	progress_show(&x->progress, &x->state);
	return write_all(x->fd, p, n, e);
}

static int finish_output(struct exporting *x, struct err *e)
{
	if (x->part[0] == '\0')
		return 0;
	if (fsync(x->fd) < 0 || rename(x->part, x->o.output) < 0)
		return err_set(e, P_BAD_REQUEST, "%s: %s", x->o.output, strerror(errno));
	return 0;
}

/* --- the call --------------------------------------------------------------------- */

static void make_url(struct exporting *x)
{
	cli_server(&x->url, x->o.server);
	buf_lit(&x->url, "/v1/snapshots");
	cli_segment(&x->url, x->o.snapshot);
	buf_lit(&x->url, "/export");
	cli_query(&x->url, "augment", x->o.augment);
	cli_query(&x->url, "placement", x->o.placement);
	cli_query(&x->url, "format", x->o.format);
	buf_byte(&x->url, '\0');
}

/* 0: all of it is written; -1: e says why, or a problem was shown (P_NONE).
 * Only a whole answer is begun again, never one that broke off. */
static int receive(struct exporting *x, struct err *e)
{
	struct fetch_request q = {.method = "GET", .url = x->url.p};
	struct patience patience = {0};

	do {
		if (fetch_stream(x->fetch, &q, on_piece, x, &x->reply, e) < 0)
			return -1;
		if (x->reply.status == 200)
			return 0;
	} while (cli_may_retry(&x->reply, NULL) && cli_wait(&patience, &x->reply));
	cli_problem(COMMAND, &x->reply, NULL);
	e->problem = P_NONE;
	return -1;
}

/* What the snapshot says of itself. -1: nothing came of it, which was explained. */
static int say_findings(struct exporting *x, struct err *e)
{
	struct call c;
	int rc = 0;

	call_open(&c, COMMAND, x->o.server);
	call_path(&c, "snapshots", x->o.snapshot, NULL);
	/* Whoever may export need not be allowed to read it. */
	if (call_try(&c, "GET", STR_NONE) == 200)
		cli_warnings(COMMAND, c.answer);
	if (x->state.rows == 0) {
		round_has_pairs(COMMAND, c.answer);
		e->problem = P_NONE;
		rc = -1;
	}
	call_close(&c);
	return rc;
}

static int run(struct exporting *x)
{
	struct err e = {P_NONE, "", ""};
	int rc = open_output(x, &e);

	progress_init(&x->progress, COMMAND, 0);
	if (rc == 0)
		rc = receive(x, &e);
	progress_clear(&x->progress);
	if (rc == 0)
		rc = say_findings(x, &e);
	if (rc == 0)
		rc = finish_output(x, &e);
	if (rc < 0) {
		if (x->fd >= 0 && x->part[0])
			unlink(x->part);
		if (e.problem != P_NONE)
			cli_complain(COMMAND, "%s", e.detail);
		return CLI_FAILED;
	}
	fprintf(stderr, "%s: %" PRIu64 " examples, %" PRIu64 " bytes\n", x->o.snapshot, x->state.rows, x->state.bytes);
	return CLI_DONE;
}

int cli_export(int argc, char **argv)
{
	struct exporting x = {.fd = -1};
	int rc = read_options(&x.o, argc, argv);

	if (x.o.help)
		fputs(USAGE, stdout);
	if (x.o.help || rc != CLI_DONE)
		return rc;
	cli_catch_signals();
	make_url(&x);
	x.fetch = cli_fetch(COMMAND);
	fetch_reply_init(&x.reply);
	rc = run(&x);
	if (x.fd > STDERR_FILENO)
		close(x.fd);
	fetch_reply_release(&x.reply);
	fetch_free(x.fetch);
	buf_release(&x.url);
	return rc;
}
