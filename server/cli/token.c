/* prefd token: writes the data folder's tokens.json; a daemon beside it looks
 * at each request whether that file is another one. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "cli/cli.h"
#include "client.h"
#include "service/audit.h"
#include "service/tokens.h"

static const char USAGE[] =
	"usage: prefd token create --name NAME --scope SCOPE[,SCOPE...] [options]\n"
	"       prefd token list [--data DIR]\n"
	"       prefd token revoke ID|NAME [--data DIR]\n"
	"\n"
	"Makes, shows and ends tokens, with the daemon running or not; at once in force.\n"
	"With the first token the daemon closes to everybody who has none, for good.\n"
	"create prints the token on standard output, once: only its hash is kept.\n"
	"\n"
	"  --name NAME               whose it is, for the list and the audit log\n"
	"  --scope SCOPE,...         read (browse, statistics), ingest (records, scores),\n"
	"                            train (batches, rounds' work), admin (everything)\n"
	"  --dataset NAME            only this dataset; may be given several times\n"
	"  --expires 30d             or 12h, 15m, 90s, or a time as in RFC 3339\n"
	"  --requests-per-second N   more are refused with 429\n"
	"  --bytes-per-second N      of bodies and answers together\n"
	"  --data DIR                the data folder (default: the setting `data`)\n"
	"  --config FILE             the file of settings that names it\n"
	"\n"
	"examples:\n"
	"  prefd token create --name root --scope admin\n"
	"  prefd token create --name judge-1 --scope ingest --dataset chat --expires 30d\n"
	"  prefd token revoke judge-1\n";

static const char COMMAND[] = "token";

struct options {
	const char *name, *scope, *expires, *requests, *bytes;
	const char *argument;
	struct str dataset[TOKEN_DATASETS_MAX];
	size_t datasets;
	char *settings[8]; /* --data and --config, for conf_load */
	int n_settings;
	const char *data, *audit_log;
};

/* --- the command line ------------------------------------------------------------------------ */

enum { O_NAME = 256, O_SCOPE, O_DATASET, O_EXPIRES, O_REQUESTS, O_BYTES, O_DATA, O_CONFIG };

static const struct option longs[] = {
	{"name", required_argument, NULL, O_NAME},
	{"scope", required_argument, NULL, O_SCOPE},
	{"dataset", required_argument, NULL, O_DATASET},
	{"expires", required_argument, NULL, O_EXPIRES},
	{"requests-per-second", required_argument, NULL, O_REQUESTS},
	{"bytes-per-second", required_argument, NULL, O_BYTES},
	{"data", required_argument, NULL, O_DATA},
	{"config", required_argument, NULL, O_CONFIG},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void keep_setting(struct options *o, const char *flag)
{
	if (o->n_settings + 2 > (int)(sizeof o->settings / sizeof *o->settings))
		return;
	o->settings[o->n_settings++] = (char *)flag;
	o->settings[o->n_settings++] = optarg;
}

static int take(struct options *o, int c)
{
	switch (c) {
	case O_NAME:
		o->name = optarg;
		return 0;
	case O_SCOPE:
		o->scope = optarg;
		return 0;
	case O_EXPIRES:
		o->expires = optarg;
		return 0;
	case O_REQUESTS:
		o->requests = optarg;
		return 0;
	case O_BYTES:
		o->bytes = optarg;
		return 0;
	case O_DATASET:
		if (o->datasets == TOKEN_DATASETS_MAX)
			return cli_misused(COMMAND, "a token is limited to at most %d datasets", TOKEN_DATASETS_MAX);
		o->dataset[o->datasets++] = str_of(optarg);
		return 0;
	default:
		keep_setting(o, c == O_DATA ? "--data" : "--config");
		return 0;
	}
}

/* 0, or an exit status. The folder is what the daemon's own settings say. */
static int find_folder(struct options *o)
{
	static struct conf conf;
	struct err e;

	if (conf_load(&conf, o->n_settings, o->settings, 0, &e) < 0) {
		cli_complain(COMMAND, "%s", e.detail);
		return CLI_FAILED;
	}
	o->data = conf.data;
	o->audit_log = conf.audit_log;
	return 0;
}

/* -1: go on; else the exit status. */
static int read_options(struct options *o, int argc, char **argv)
{
	int c, status;

	while ((c = cli_option(COMMAND, argc, argv, longs)) != -1) {
		if (c == 'h') {
			fputs(USAGE, stdout);
			return CLI_DONE;
		}
		if (c == '?')
			return CLI_USAGE;
		status = take(o, c);
		if (status)
			return status;
	}
	if (optind < argc)
		o->argument = argv[optind++];
	if (optind < argc)
		return cli_misused(COMMAND, "'%s' is too much", argv[optind]);
	status = find_folder(o);
	return status ? status : -1;
}

/* --- the verbs ---------------------------------------------------------------------------------- */

static int failed(const struct err *e)
{
	cli_complain(COMMAND, "%s", e->detail);
	return CLI_FAILED;
}

static int rate(const char *option, const char *text, int64_t *to)
{
	uint64_t n;

	if (text == NULL)
		return 0;
	if (!cli_whole(text, &n) || n < 1 || n > TOKEN_RATE_MAX)
		return cli_misused(COMMAND, "%s is a whole number from 1 to %d", option, TOKEN_RATE_MAX);
	*to = (int64_t)n;
	return 0;
}

static int make_wish(struct options *o, struct token_wish *w)
{
	struct err e;
	int status;

	if (o->name == NULL || o->scope == NULL || o->argument)
		return cli_misused(COMMAND, "create wants --name and --scope, and nothing else beside options");
	w->name = str_of(o->name);
	w->datasets = (struct token_datasets){o->datasets > 0, o->dataset, o->datasets};
	if (token_scopes(str_of(o->scope), &w->scopes, &e) < 0 ||
	    (o->expires && token_expiry(str_of(o->expires), clock_now_us(), &w->expires_us, &e) < 0) ||
	    token_check_names(w, &e) < 0)
		return cli_misused(COMMAND, "%s", e.detail);
	status = rate("--requests-per-second", o->requests, &w->requests_per_second);
	return status ? status : rate("--bytes-per-second", o->bytes, &w->bytes_per_second);
}

/* Before the act: what cannot be written down is not done. */
static int open_audit(const struct options *o, struct audit **audit)
{
	struct err e;

	return audit_open(audit, o->data, o->audit_log, &e) < 0 ? failed(&e) : CLI_DONE;
}

static void close_audit(struct audit *audit, const char *what, struct str id, bool done)
{
	char user[32];
	struct audit_entry x = {.method = str_of(what), .path = STR("tokens.json"), .about = id, .status = done ? 200 : 400};

	snprintf(user, sizeof user, "uid %ld", (long)getuid());
	x.address = str_of(user);
	audit_write(audit, &x);
	audit_close(audit);
}

static int create(struct options *o, struct arena *a)
{
	char secret[TOKEN_TEXT_BYTES];
	struct token_wish wish = {.expires_us = 0};
	struct token made = {.id = STR_NONE};
	struct audit *audit;
	struct err e;
	int status = make_wish(o, &wish);

	if (status != CLI_DONE)
		return status;
	mkdir(o->data, 0700); /* what went wrong, the next line says */
	status = open_audit(o, &audit);
	if (status != CLI_DONE)
		return status;
	status = tokens_create(o->data, &wish, a, &made, secret, &e) < 0 ? failed(&e) : CLI_DONE;
	close_audit(audit, "prefd token create", made.id, status == CLI_DONE);
	if (status != CLI_DONE)
		return status;
	fprintf(stderr, "token %.*s; it is shown this once:\n", STR_ARG(made.id));
	printf("%s\n", secret);
	return CLI_DONE;
}

static int list(struct options *o, struct arena *a)
{
	struct token *token;
	struct err e;
	size_t n;

	if (o->argument)
		return cli_misused(COMMAND, "list takes no '%s'", o->argument);
	if (tokens_list(o->data, a, &token, &n, &e) < 0)
		return failed(&e);
	for (size_t i = 0; i < n; i++) {
		struct buf line = BUF_INIT;

		token_print(&line, &token[i]);
		cli_line(stdout, &line);
	}
	return CLI_DONE;
}

static int end(struct options *o, struct arena *a)
{
	struct token was = {.id = str_of(o->argument)};
	struct audit *audit;
	struct err e;
	int status;

	if (o->argument == NULL)
		return cli_misused(COMMAND, "revoke wants the token's ID or NAME");
	status = open_audit(o, &audit);
	if (status != CLI_DONE)
		return status;
	status = tokens_revoke(o->data, str_of(o->argument), a, &was, &e) < 0 ? failed(&e) : CLI_DONE;
	close_audit(audit, "prefd token revoke", was.id, status == CLI_DONE);
	if (status != CLI_DONE)
		return status;
	fprintf(stderr, "token %.*s (%.*s) is revoked\n", STR_ARG(was.id), STR_ARG(was.name));
	return CLI_DONE;
}

int cli_token(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct options *o, struct arena *a);
	} verbs[] = {{"create", create}, {"list", list}, {"revoke", end}};
	const char *verb = argc > 1 ? argv[1] : "";
	struct options o = {0};
	struct arena a;
	int status;

	arena_init(&a);
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0)
		return fputs(USAGE, stdout), CLI_DONE;
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verb, verbs[i].name) == 0) {
			status = read_options(&o, argc - 1, argv + 1);
			status = status < 0 ? verbs[i].run(&o, &a) : status;
			arena_release(&a);
			return status;
		}
	return cli_misused(COMMAND, verb[0] ? "there is no verb '%s'" : "a verb is wanted: create, list or revoke", verb);
}
