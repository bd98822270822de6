/* main.c - opens the rooms bottom-up, closes them top-down. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/notify.h"
#include "cli/cli.h"
#include "http/httpd.h"
#include "http/pulse.h"
#include "http/routes.h"
#include "service/service.h"
#include "service/tokens.h"

enum { DRAIN_SECONDS = 20, DRAIN_POLL_MS = 50, OPEN_FILES = 65536 };

struct daemon {
	struct loop *loop;
	struct service *service;
	struct httpd *httpd;
	struct pulse *pulse;
	int64_t drain_until_us; /* 0: not draining */
	struct conf conf;
	int argc; /* the command line behind `serve`, for a reload */
	char **argv;
};

/* The loop turns until the last request has its answer: some wait for jobs. */
static void drained(void *ctx)
{
	struct daemon *d = ctx;

	if (httpd_idle(d->httpd) || clock_steady_us() > d->drain_until_us)
		loop_stop(d->loop);
}

static void on_stop(void *ctx)
{
	struct daemon *d = ctx;

	if (d->drain_until_us) {
		loop_stop(d->loop); /* asked twice: now */
		return;
	}
	notify_send("STOPPING=1\nSTATUS=draining for at most %d s", DRAIN_SECONDS);
	log_info("main", "draining seconds=%d", DRAIN_SECONDS);
	d->drain_until_us = clock_steady_us() + DRAIN_SECONDS * INT64_C(1000000);
	httpd_quiesce(d->httpd);
	service_drain(d->service);
	loop_every(d->loop, DRAIN_POLL_MS, drained, d);
}

static int report(const struct err *e)
{
	fprintf(stderr, "prefd: %s\n", e->detail);
	return 1;
}

static enum log_level level_of(const char *name)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			return (enum log_level)i;
	return LOG_INFO;
}

static void tell_ready(const struct daemon *d)
{
	notify_send("READY=1\nSTATUS=listening on %s", httpd_url(d->httpd));
}

/* The manager waits for READY=1 behind RELOADING=1, however the reload went. */
static void on_hangup(void *ctx)
{
	struct daemon *d = ctx;
	struct err e = {0};
	int rc;

	notify_send("RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_steady_us());
	rc = conf_reload(&d->conf, d->argc, d->argv, 1, &e);
	httpd_reload(d->httpd);
	if (rc < 0)
		log_error("main", "not reloaded, the settings stay as they are: %s", e.detail);
	else
		log_info("main", "settings reloaded");
	log_set_level(level_of(d->conf.log_level));
	tell_ready(d);
}

static int run(struct daemon *d)
{
	struct err e = {0};

	/* Before anybody gets an answer; they are heard when the loop turns. */
	loop_on_signal(d->loop, SIGTERM, on_stop, d);
	loop_on_signal(d->loop, SIGINT, on_stop, d);
	loop_on_signal(d->loop, SIGHUP, on_hangup, d);
	if (httpd_start(&d->httpd, d->service, d->loop, &e) < 0)
		return report(&e);
	fprintf(stderr, "prefd %s listening on %s\n", PREFD_VERSION, httpd_url(d->httpd));
	fprintf(stderr, "%s; data in %s\n",
	        tokens_closed(service_tokens(d->service)) ? "tokens are asked for" : "no token exists: serving loopback only",
	        d->conf.data);
	tell_ready(d);
	d->pulse = pulse_start(d->httpd, d->service, d->loop);
	loop_run(d->loop);
	httpd_stop(d->httpd);
	pulse_free(d->pulse);
	return 0;
}

/* Clients' connections, engines' and files share one limit, whose soft value
 * is often kept low for the sake of select(2), which nothing here calls. */
static void raise_open_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= OPEN_FILES)
		return;
	r.rlim_cur = r.rlim_max < OPEN_FILES ? r.rlim_max : OPEN_FILES;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		log_warn("main", "open files cannot be raised");
}

static int serve(int argc, char **argv)
{
	struct daemon d = {.argc = argc, .argv = argv};
	struct err e = {0};
	int status;

	if (conf_load(&d.conf, argc, argv, 1, &e) < 0) {
		report(&e);
		return 2;
	}
	log_set_level(level_of(d.conf.log_level));
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN); /* until there is somebody to hear it */
	raise_open_files();
	d.loop = loop_new();
	if (service_open(&d.service, &d.conf, d.loop, &e) < 0) {
		loop_free(d.loop);
		return report(&e);
	}
	status = run(&d);
	service_close(d.service);
	loop_free(d.loop);
	log_info("main", "stopped");
	return status;
}

/* The settings as `serve` would take them; nothing else is looked at. */
static int serve_check(int argc, char **argv)
{
	struct conf conf;
	struct err e = {0};

	if (conf_load(&conf, argc, argv, 1, &e) < 0 || httpd_check(conf.listen, &e) < 0) {
		report(&e);
		return 2;
	}
	printf("the settings are good\n");
	return 0;
}

static int serve_help(void)
{
	printf("usage: prefd serve [--check] [--config FILE] [--NAME VALUE ...]\n\n"
	       "Serves until SIGTERM or SIGINT, then drains and exits 0. SIGHUP reads the settings\n"
	       "again and takes over those marked reload. With --check it says whether the settings\n"
	       "are good, and does nothing else. Settings, each a flag, a PREFD_NAME variable or a\n"
	       "line `name = value` of the file:\n\n");
	conf_usage();
	return 0;
}

static int usage(FILE *to, int status)
{
	fprintf(to,
	        "usage: prefd COMMAND [OPTIONS]\n\n"
	        "  serve     run the daemon\n"
	        "  import    send a file of scored responses to a running daemon\n"
	        "  export    fetch a snapshot's examples as lines of JSON\n"
	        "  round     show and drive a round: samples, rewards, pairs\n"
	        "  token     make, list and revoke the tokens that let clients in\n"
	        "  check     check the settings, the database and the snapshot files\n"
	        "  backup    make a backup, while the daemon serves\n"
	        "  restore   make a data folder of a backup\n"
	        "  routes    list what the daemon answers to\n\n"
	        "`prefd COMMAND --help` tells more. Version %s.\n",
	        PREFD_VERSION);
	return status;
}

static int routes(bool help)
{
	if (help)
		printf("usage: prefd routes\n\n"
		       "Lists what the daemon answers to, a line each: method, path and the scope that\n"
		       "a token needs for it (open: none).\n");
	else
		routes_print();
	return 0;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	bool help = argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
	bool check = argc > 2 && strcmp(argv[2], "--check") == 0;

	if (strcmp(command, "serve") == 0)
		return help    ? serve_help()
		       : check ? serve_check(argc - 2, argv + 2)
		               : serve(argc - 1, argv + 1);
	if (strcmp(command, "import") == 0)
		return cli_import(argc - 1, argv + 1);
	if (strcmp(command, "export") == 0)
		return cli_export(argc - 1, argv + 1);
	if (strcmp(command, "round") == 0)
		return cli_round(argc - 1, argv + 1);
	if (strcmp(command, "token") == 0)
		return cli_token(argc - 1, argv + 1);
	if (strcmp(command, "check") == 0)
		return cli_check(argc - 1, argv + 1);
	if (strcmp(command, "backup") == 0)
		return cli_backup(argc - 1, argv + 1);
	if (strcmp(command, "restore") == 0)
		return cli_restore(argc - 1, argv + 1);
	if (strcmp(command, "routes") == 0)
		return routes(help);
	if (strcmp(command, "--version") == 0)
		return printf("prefd %s\n", PREFD_VERSION), 0;
	if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0)
		return usage(stdout, 0);
	return usage(stderr, 2);
}
