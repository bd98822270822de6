/* prefd round list, show, score and close: how far rounds are. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "call.h"
#include "round_text.h"
#include "verb.h"

enum { WATCH_MS = 500, LIST_PAGE = 100 };

static const char LIST_USAGE[] =
	"usage: prefd round list [--dataset DATASET] [--server URL]\n"
	"\n"
	"Lists rounds in the order of their ids, a line each.\n"
	"\n"
	"examples:\n"
	"  prefd round list\n"
	"  prefd round list --dataset sample\n";

static const char SHOW_USAGE[] =
	"usage: prefd round show ROUND [--watch] [--server URL]\n"
	"\n"
	"Shows what a round wants and what is there, its live leases, its rescorings and\n"
	"the snapshots that were published from it.\n"
	"\n"
	"  --watch    until all is there or the round is closed: drawn again on a\n"
	"             terminal, else a line for each change\n"
	"\n"
	"examples:\n"
	"  prefd round show r1\n"
	"  prefd round show r1 --watch\n";

static const char SCORE_USAGE[] =
	"usage: prefd round score ROUND [--wait] [--server URL]\n"
	"\n"
	"Has the daemon ask the round's engines for the log-probabilities that are missing:\n"
	"those that `prefd round create --policy-engine --reference-engine` named. They are\n"
	"asked by token ids alone, so samples must have been delivered with theirs. What\n"
	"failed is asked again by the next time.\n"
	"\n"
	"  --wait    until all were asked; shown as by `prefd round show --watch`\n"
	"\n"
	"Exit status: 0 done, 1 it failed or, with --wait, failed for some, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd round score r1 --wait\n";

static const char CLOSE_USAGE[] =
	"usage: prefd round close ROUND [--server URL]\n"
	"\n"
	"Ends a round's leases and deliveries. Rescoring and publishing stay possible.\n"
	"\n"
	"examples:\n"
	"  prefd round close r1\n";

/* --- list ----------------------------------------------------------------------------- */

struct list {
	struct verb_options base;
	const char *dataset;
};

static void print_page(const struct json *rounds)
{
	for (const struct json *r = rounds ? json_first(rounds) : NULL; r; r = json_next(r)) {
		struct buf line = BUF_INIT;

		round_line(&line, r);
		buf_printf(&line, ", dataset %.*s", STR_ARG(cli_text(r, "dataset")));
		cli_line(stdout, &line);
	}
}

static int print_list(struct call *c, const char *dataset)
{
	struct buf after = BUF_INIT;
	char limit[16];
	int rc;

	snprintf(limit, sizeof limit, "%d", LIST_PAGE);
	do {
		call_path(c, "rounds", NULL);
		cli_query(&c->url, "dataset", dataset);
		cli_query(&c->url, "limit", limit);
		cli_query(&c->url, "after", after.n ? after.p : NULL);
		rc = call_do(c, "GET", STR_NONE);
		buf_clear(&after);
		if (rc < 0)
			break;
		print_page(json_get(c->answer, "rounds"));
		buf_str(&after, cli_text(c->answer, "next"));
		if (after.n > 0)
			buf_byte(&after, '\0');
	} while (after.n > 0);
	buf_release(&after);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}

int round_list(int argc, char **argv)
{
	static const struct flag flags[] = {VERB_FLAG(list, "dataset", dataset, true)};
	static const struct verb v = {"round list", LIST_USAGE, VERB_LIST(flags), NULL, 0, 0, "it takes options only"};
	struct list o = {.base = {.server = NULL}};
	struct call c;
	int rc = verb_read(&v, argc, argv, &o.base);

	if (rc != VERB_GO)
		return rc;
	call_open(&c, v.command, o.base.server);
	rc = print_list(&c, o.dataset);
	call_close(&c);
	return rc;
}

/* --- show ----------------------------------------------------------------------------- */

struct show {
	struct verb_options base;
	bool watch;
};

/* What was drawn last, to be replaced. */
struct drawn {
	bool terminal;
	size_t lines;
	struct buf text;
};

/* A line at a time, so that control characters end up as '?'. */
static void print_lines(struct str text)
{
	while (text.n > 0) {
		const char *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) : text.n;
		struct buf line = BUF_INIT;

		buf_add(&line, text.p, n);
		cli_line(stdout, &line);
		text.p += n + (end != NULL);
		text.n -= n + (end != NULL);
	}
	fflush(stdout);
}

static size_t count_lines(struct str text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n';
	return n;
}

static void draw(struct drawn *d, const struct json *round)
{
	struct buf text = BUF_INIT;

	if (d->terminal)
		round_block(&text, round);
	else
		round_line(&text, round);
	if (str_eq(buf_view(&text), buf_view(&d->text))) {
		buf_release(&text);
		return;
	}
	if (d->lines > 0)
		printf("\033[%zuF\033[J", d->lines); /* up to the first line, and all below it away */
	print_lines(buf_view(&text));
	d->lines = d->terminal ? count_lines(buf_view(&text)) : 0;
	buf_release(&d->text);
	d->text = text;
}

/* Whether there is nothing more to wait for, and how that is to be called. */
typedef bool over_fn(const struct json *round, int *status);

static bool all_is_there(const struct json *round, int *status)
{
	struct round_shares s = round_shares(round);

	*status = CLI_DONE;
	return s.closed || round_complete(&s);
}

static bool all_is_asked(const struct json *round, int *status)
{
	bool failed, running = round_scoring(round, &failed);

	*status = failed ? CLI_FAILED : CLI_DONE;
	return !running;
}

static int watch(struct call *c, const char *round, over_fn *over)
{
	struct drawn d = {.terminal = isatty(STDOUT_FILENO)};
	const struct timespec pause = {WATCH_MS / 1000, WATCH_MS % 1000 * 1000000};
	int status = CLI_FAILED;

	c->stubborn = true;
	while (!cli_interrupted()) {
		call_path(c, "rounds", round, NULL);
		if (call_do(c, "GET", STR_NONE) < 0)
			break;
		draw(&d, c->answer);
		if (over(c->answer, &status))
			break;
		status = CLI_FAILED;
		nanosleep(&pause, NULL);
	}
	buf_release(&d.text);
	return status;
}

static int show_once(struct call *c, const char *method)
{
	struct buf text = BUF_INIT;

	if (call_do(c, method, STR_NONE) < 0)
		return CLI_FAILED;
	round_block(&text, c->answer);
	print_lines(buf_view(&text));
	buf_release(&text);
	return CLI_DONE;
}

int round_show(int argc, char **argv)
{
	static const struct flag flags[] = {VERB_FLAG(show, "watch", watch, false)};
	static const struct verb v = {"round show", SHOW_USAGE, VERB_LIST(flags), NULL, 0, 1, "one ROUND is wanted"};
	struct show o = {.base = {.server = NULL}};
	struct call c;
	int rc = verb_read(&v, argc, argv, &o.base);

	if (rc != VERB_GO)
		return rc;
	call_open(&c, v.command, o.base.server);
	if (o.watch) {
		cli_catch_signals();
		rc = watch(&c, o.base.argument[0], all_is_there);
	} else {
		call_path(&c, "rounds", o.base.argument[0], NULL);
		rc = show_once(&c, "GET");
	}
	call_close(&c);
	return rc;
}

/* --- score ---------------------------------------------------------------------------- */

struct score {
	struct verb_options base;
	bool wait;
};

int round_score(int argc, char **argv)
{
	static const struct flag flags[] = {VERB_FLAG(score, "wait", wait, false)};
	static const struct verb v = {"round score", SCORE_USAGE, VERB_LIST(flags), NULL, 0, 1, "one ROUND is wanted"};
	struct score o = {.base = {.server = NULL}};
	struct call c;
	int rc = verb_read(&v, argc, argv, &o.base);

	if (rc != VERB_GO)
		return rc;
	cli_catch_signals();
	call_open(&c, v.command, o.base.server);
	call_path(&c, "rounds", o.base.argument[0], "score", NULL);
	if (!o.wait)
		rc = show_once(&c, "POST");
	else if (call_do(&c, "POST", STR_NONE) < 0)
		rc = CLI_FAILED;
	else
		rc = watch(&c, o.base.argument[0], all_is_asked);
	call_close(&c);
	return rc;
}

/* --- close ---------------------------------------------------------------------------- */

int round_close(int argc, char **argv)
{
	static const struct verb v = {"round close", CLOSE_USAGE, NULL, 0, NULL, 0, 1, "one ROUND is wanted"};
	struct verb_options o = {.server = NULL};
	struct call c;
	int rc = verb_read(&v, argc, argv, &o);

	if (rc != VERB_GO)
		return rc;
	call_open(&c, v.command, o.server);
	call_path(&c, "rounds", o.argument[0], "close", NULL);
	rc = show_once(&c, "POST");
	call_close(&c);
	return rc;
}
