/* prefd backup: has the daemon make one, or makes it where no daemon runs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "call.h"
#include "cli/cli.h"
#include "client.h"
#include "service/backup.h"

static const char COMMAND[] = "backup";

static const char USAGE[] =
	"usage: prefd backup [NAME] [--server URL]\n"
	"       prefd backup --data DIR --to FOLDER\n"
	"\n"
	"Makes a backup: a folder with the database as at one commit, the snapshots' files,\n"
	"the tokens' file (hashes, no token) and a manifest with each file's SHA-256. It is\n"
	"there under its name only when all of it is on the disk.\n"
	"\n"
	"The first form asks a running daemon, which goes on serving and writing meanwhile,\n"
	"and makes it below its own setting `backups`; the folder is printed. The second\n"
	"form is for a data folder that no daemon holds.\n"
	"\n"
	"  NAME           default: the time, as 20260131T120000Z\n"
	"  --server URL   the daemon (PREFD_SERVER, else http://127.0.0.1:8420)\n"
	"  --data DIR     the data folder\n"
	"  --to FOLDER    a folder that is made\n"
	"\n"
	"Exit status: 0 made, 1 it failed, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd backup\n"
	"  prefd backup before-upgrade\n"
	"  prefd backup --data /var/lib/prefd --to /srv/backup/prefd-monday\n";

enum { POLL_MS = 100 };

struct options {
	const char *server, *data, *to, *name;
	bool help;
};

/* --- a daemon's ------------------------------------------------------------------------ */

/* 2026-01-31T12:00:00.000001Z without what a name cannot hold. */
static void name_by_time(char out[CLOCK_TEXT_BYTES])
{
	char text[CLOCK_TEXT_BYTES];
	size_t n = 0;

	clock_print(clock_now_us() / 1000000 * 1000000, text);
	for (const char *p = text; *p; p++)
		if (*p != '-' && *p != ':')
			out[n++] = *p;
	out[n] = '\0';
}

static void rest(void)
{
	struct timespec t = {0, POLL_MS * 1000000L};

	nanosleep(&t, NULL);
}

/* Until it is no longer running. */
static int follow(struct call *c)
{
	while (str_eq(cli_text(c->answer, "state"), STR("running"))) {
		if (cli_interrupted()) {
			cli_complain(COMMAND, "interrupted; the daemon goes on with it");
			return -1;
		}
		rest();
		if (call_do(c, "GET", STR_NONE) < 0)
			return -1;
	}
	return 0;
}

static int ask_daemon(const struct options *o)
{
	char by_time[CLOCK_TEXT_BYTES];
	struct call c;
	int rc;

	name_by_time(by_time);
	cli_catch_signals();
	call_open(&c, COMMAND, o->server);
	call_path(&c, "backups", o->name ? o->name : by_time, NULL);
	rc = call_do(&c, "PUT", STR_NONE);
	if (rc == 0)
		rc = follow(&c);
	if (rc == 0) {
		struct buf line = BUF_INIT;

		buf_str(&line, cli_text(c.answer, "folder"));
		cli_line(stdout, &line);
	}
	call_close(&c);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}

/* --- without one ------------------------------------------------------------------------- */

static int make_cold(const struct options *o)
{
	int64_t bytes;
	struct err e;

	if (backup_cold(o->data, o->to, &bytes, &e) < 0) {
		cli_complain(COMMAND, "%s", e.detail);
		return CLI_FAILED;
	}
	printf("%s: %" PRId64 " bytes\n", o->to, bytes);
	return CLI_DONE;
}

/* --- the command line ------------------------------------------------------------------------ */

enum { SERVER = 256, DATA, TO };

static const struct option LONG[] = {
	{"server", required_argument, NULL, SERVER},
	{"data", required_argument, NULL, DATA},
	{"to", required_argument, NULL, TO},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int read_options(struct options *o, int argc, char **argv)
{
	int c;

	while (!o->help && (c = cli_option(COMMAND, argc, argv, LONG)) != -1) {
		switch (c) {
		case SERVER: o->server = optarg; break;
		case DATA: o->data = optarg; break;
		case TO: o->to = optarg; break;
		case 'h': o->help = true; break;
		default: return CLI_USAGE;
		}
	}
	if (o->help)
		return CLI_DONE;
	o->name = optind < argc ? argv[optind++] : NULL;
	if (optind != argc)
		return cli_misused(COMMAND, "one NAME at most is wanted");
	if (!o->data != !o->to || (o->data && (o->name || o->server)))
		return cli_misused(COMMAND, "--data and --to go together, and without a daemon");
	return CLI_DONE;
}

int cli_backup(int argc, char **argv)
{
	struct options o = {NULL, NULL, NULL, NULL, false};
	int rc = read_options(&o, argc, argv);

	if (rc != CLI_DONE)
		return rc;
	if (o.help) {
		fputs(USAGE, stdout);
		return CLI_DONE;
	}
	return o.data ? make_cold(&o) : ask_daemon(&o);
}
