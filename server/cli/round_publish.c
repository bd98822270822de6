/* prefd round publish: a rescoring's pairs as a snapshot. */
#include <stdio.h>

#include "call.h"
#include "progress.h"
#include "round_text.h"
#include "verb.h"

static const char PUBLISH_USAGE[] =
	"usage: prefd round publish ROUND [options]\n"
	"\n"
	"Makes a snapshot of a rescoring's pairs, with the round's replay or another one.\n"
	"The same inputs give the same revision.\n"
	"\n"
	"  --name SNAPSHOT      its id; else one is made up\n"
	"  --rescoring N        its number; else the latest\n"
	"  --replay SNAPSHOT    pairs to mix in, with\n"
	"  --gamma G            their share, 0 to 1\n"
	"  --replay-total N     pairs in all; else as many prompts as the snapshot has\n"
	"  --replay-seed N      which of them (0)\n"
	"  --no-replay          none, though the round has one\n"
	"  --augment WHICH      both, chosen, rejected or none (default): examples with goals\n"
	"  --wait               until it is built\n"
	"  --server URL         the daemon (PREFD_SERVER, else http://127.0.0.1:8420)\n"
	"\n"
	"Exit status: 0 done, 1 it failed or is ready without a pair, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd round publish r1 --name r1-pairs --wait\n"
	"  prefd round publish r1 --rescoring 2 --replay first --gamma 0.5\n";

static const struct part PUBLISH_PARTS[] = {
	{"name", NULL, "name", PART_TEXT},
	{"rescoring", NULL, "rescoring", PART_NUMBER},
	{"replay", "replay", "snapshot", PART_TEXT},
	{"gamma", "replay", "gamma", PART_NUMBER},
	{"replay-total", "replay", "total", PART_NUMBER},
	{"replay-seed", "replay", "seed", PART_NUMBER},
	{"augment", "view", "augment", PART_TEXT},
};

struct publish {
	struct verb_options base;
	bool wait, no_replay;
};

static const struct flag PUBLISH_FLAGS[] = {
	VERB_FLAG(publish, "wait", wait, false),
	VERB_FLAG(publish, "no-replay", no_replay, false),
};

static const struct verb PUBLISH = {"round publish", PUBLISH_USAGE, VERB_LIST(PUBLISH_FLAGS),
                                    VERB_LIST(PUBLISH_PARTS), 1, "one ROUND is wanted"};

static int publish_document(const struct publish *o, struct buf *out)
{
	bool replay = verb_value(&PUBLISH, &o->base, "replay") != NULL;
	int rc;

	if (replay != (verb_value(&PUBLISH, &o->base, "gamma") != NULL))
		return cli_misused(PUBLISH.command, "--replay and --gamma go together");
	if (replay && o->no_replay)
		return cli_misused(PUBLISH.command, "--replay and --no-replay exclude each other");
	rc = verb_document(&PUBLISH, &o->base, out);
	if (o->no_replay) {
		out->n--; /* the closing brace again behind it */
		json_put_key(out, "replay");
		buf_lit(out, "null}");
	}
	return rc;
}

static bool state_is(const struct call *c, const char *state)
{
	return str_eq(cli_text(c->answer, "state"), str_of(state));
}

static void say_building(struct progress *p, const struct call *c)
{
	char bar[PROGRESS_BAR_BYTES];

	if (!p->terminal)
		return;
	progress_bar(cli_number(c->answer, "progress", 0), bar);
	fprintf(stderr, "\r%s %.0f %%\033[K", bar, 100 * cli_number(c->answer, "progress", 0));
	p->drawn = true;
}

/* Asks for the state, each time for a second, until it is no longer building. */
static int wait_built(struct call *c)
{
	struct buf id = BUF_INIT;
	struct progress p;
	int rc = 0;

	progress_init(&p, c->command, 0);
	buf_str(&id, cli_text(c->answer, "id"));
	buf_byte(&id, '\0');
	c->stubborn = true;
	while (rc == 0 && state_is(c, "building") && !cli_interrupted()) {
		say_building(&p, c);
		call_path(c, "snapshots", id.p, NULL);
		cli_query(&c->url, "wait", "1");
		rc = call_do(c, "GET", STR_NONE);
	}
	progress_clear(&p);
	buf_release(&id);
	return rc;
}

static void say_replay(const struct json *replay)
{
	struct buf line = BUF_INIT;

	if (replay == NULL)
		return;
	buf_printf(&line, "  replay     %.0f of its own pairs and %.0f replayed, of %.0f that were wanted",
	           cli_number(replay, "generated", 0), cli_number(replay, "taken", 0), cli_number(replay, "wanted", 0));
	cli_line(stdout, &line);
}

static int say_snapshot(const struct call *c)
{
	struct str id = cli_text(c->answer, "id"), state = cli_text(c->answer, "state");
	struct str why = cli_text(json_get(c->answer, "problem"), "detail");
	struct buf line = BUF_INIT;

	buf_printf(&line, "%.*s: %.*s", STR_ARG(id), STR_ARG(state));
	if (state_is(c, "ready"))
		buf_printf(&line, ", %.0f pairs, revision %.*s", cli_number(c->answer, "pairs", 0),
		           STR_ARG(cli_text(c->answer, "revision")));
	else if (why.p)
		buf_printf(&line, ": %.*s", STR_ARG(why));
	cli_line(stdout, &line);
	say_replay(json_get(c->answer, "replay"));
	cli_warnings(c->command, c->answer);
	if (state_is(c, "ready"))
		return round_has_pairs(c->command, c->answer) ? CLI_DONE : CLI_FAILED;
	return state_is(c, "building") ? CLI_DONE : CLI_FAILED;
}

static int publish(struct call *c, const struct publish *o, struct str document)
{
	call_path(c, "rounds", o->base.argument[0], "publish", NULL);
	if (call_do(c, "POST", document) < 0 || (o->wait && wait_built(c) < 0))
		return CLI_FAILED;
	if (o->wait && state_is(c, "building")) {
		cli_complain(c->command, "interrupted; it is being built");
		return CLI_FAILED;
	}
	return say_snapshot(c);
}

int round_publish(int argc, char **argv)
{
	struct publish o = {.base = {.server = NULL}};
	struct buf document = BUF_INIT;
	struct call c;
	int rc = verb_read(&PUBLISH, argc, argv, &o.base);

	if (rc == VERB_GO && publish_document(&o, &document) != CLI_DONE)
		rc = CLI_USAGE;
	if (rc == VERB_GO) {
		cli_catch_signals();
		call_open(&c, PUBLISH.command, o.base.server);
		rc = publish(&c, &o, buf_view(&document));
		call_close(&c);
	}
	buf_release(&document);
	return rc;
}
