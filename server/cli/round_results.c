/* prefd round rescore and rewards: what is worked out from a round's facts. */
#include <stdio.h>

#include "call.h"
#include "round_text.h"
#include "verb.h"

static const char RESCORE_USAGE[] =
	"usage: prefd round rescore ROUND [options]\n"
	"\n"
	"Works out rewards and pairs from the log-probabilities that are there. It may be\n"
	"repeated with other values; each rescoring has its number. What is not given is\n"
	"the round's own value.\n"
	"\n"
	"  --beta B             scale of the rewards\n"
	"  --alpha A            length regularisation: auto or a number\n"
	"  --length UNIT        characters or tokens\n"
	"  --min-responses N    valid ones that a prompt needs for a pair\n"
	"  --server URL         the daemon (PREFD_SERVER, else http://127.0.0.1:8420)\n"
	"\n"
	"Exit status: 0 done, 1 it failed or there are no pairs, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd round rescore r1\n"
	"  prefd round rescore r1 --alpha 0 --min-responses 4\n";

static const char REWARDS_USAGE[] =
	"usage: prefd round rewards ROUND [options]\n"
	"\n"
	"Lists each response with its reward, its length and the log-probabilities of\n"
	"policy and reference, prompt by prompt; the chosen and the rejected one of each\n"
	"pair, and why a response was left out.\n"
	"\n"
	"  --prompt ID       only this prompt's\n"
	"  --rescoring N     its number; else the latest\n"
	"  --json            a line of JSON for each response\n"
	"  --server URL      the daemon (PREFD_SERVER, else http://127.0.0.1:8420)\n"
	"\n"
	"examples:\n"
	"  prefd round rewards r1 --prompt q1\n"
	"  prefd round rewards r1 --json | grep '\"role\":\"chosen\"'\n";

/* --- rescore --------------------------------------------------------------------------- */

static const struct part RESCORE_PARTS[] = {
	{"beta", NULL, "beta", PART_NUMBER},
	{"alpha", NULL, "alpha", PART_ALPHA},
	{"length", NULL, "length", PART_TEXT},
	{"min-responses", NULL, "min_responses", PART_NUMBER},
};

static const struct verb RESCORE = {"round rescore", RESCORE_USAGE, NULL, 0, VERB_LIST(RESCORE_PARTS), 1,
                                    "one ROUND is wanted"};

static void begin_line(struct buf *line, const char *what)
{
	buf_printf(line, "  %-10s ", what);
}

static void say_counts(const char *what, const struct json *counts)
{
	struct buf line = BUF_INIT;

	begin_line(&line, what);
	round_counts(&line, counts);
	cli_line(stdout, &line);
}

static void say_rewards(const struct json *rewards)
{
	static const char *const names[] = {"mean", "std", "min", "max"};
	struct buf line = BUF_INIT;

	begin_line(&line, "rewards");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		buf_printf(&line, "%s%s ", i ? ", " : "", names[i]);
		round_number(&line, rewards ? json_get(rewards, names[i]) : NULL);
	}
	cli_line(stdout, &line);
}

static void say_rescoring(const struct json *x)
{
	struct buf line = BUF_INIT;

	buf_printf(&line, "rescoring %.0f: ", cli_number(x, "rescoring", 0));
	rescoring_line(&line, x);
	cli_line(stdout, &line);
	say_counts("skipped", json_get(x, "skipped"));
	say_counts("dropped", json_get(x, "dropped"));
	say_rewards(json_get(x, "rewards"));
}

/* What is not delivered yet has no part in it: said, and no error. */
static int say_missing(struct call *c, const char *round)
{
	struct round_shares s;
	struct buf line = BUF_INIT;

	call_path(c, "rounds", round, NULL);
	if (call_do(c, "GET", STR_NONE) < 0)
		return -1;
	s = round_shares(c->answer);
	if (round_complete(&s))
		return 0;
	buf_printf(&line, "prefd %s: not all is there yet: ", c->command);
	round_samples(&line, c->answer);
	buf_printf(&line, ", policy %.0f of %.0f, reference %.0f of %.0f", s.policy.there, s.policy.wanted,
	           s.reference.there, s.reference.wanted);
	cli_line(stderr, &line);
	return 0;
}

static int rescore(struct call *c, const char *round, struct str document)
{
	if (say_missing(c, round) < 0)
		return CLI_FAILED;
	call_path(c, "rounds", round, "rescore", NULL);
	if (call_do(c, "POST", document) < 0)
		return CLI_FAILED;
	say_rescoring(c->answer);
	cli_warnings(c->command, c->answer);
	return round_has_pairs(c->command, c->answer) ? CLI_DONE : CLI_FAILED;
}

int round_rescore(int argc, char **argv)
{
	struct verb_options o = {.server = NULL};
	struct buf document = BUF_INIT;
	struct call c;
	int rc = verb_read(&RESCORE, argc, argv, &o);

	if (rc == VERB_GO)
		rc = verb_document(&RESCORE, &o, &document) == CLI_DONE ? VERB_GO : CLI_USAGE;
	if (rc == VERB_GO) {
		call_open(&c, RESCORE.command, o.server);
		rc = rescore(&c, o.argument[0], buf_view(&document));
		call_close(&c);
	}
	buf_release(&document);
	return rc;
}

/* --- rewards ---------------------------------------------------------------------------- */

struct rewards {
	struct verb_options base;
	const char *prompt, *rescoring;
	bool json;
};

static void put_cell(struct buf *line, const struct json *reward, const char *key, int width)
{
	struct buf cell = BUF_INIT;

	round_number(&cell, json_get(reward, key));
	buf_printf(line, " %*.*s", width, STR_ARG(buf_view(&cell)));
	buf_release(&cell);
}

/* A prompt's id stands alone above its responses. */
static void say_reward(const struct json *reward, struct buf *prompt)
{
	struct str id = cli_text(reward, "prompt"), role = cli_text(reward, "role");
	struct buf line = BUF_INIT;

	if (!str_eq(id, buf_view(prompt))) {
		buf_clear(prompt);
		buf_str(prompt, id);
		buf_str(&line, id);
		cli_line(stdout, &line);
	}
	if (role.p == NULL)
		role = cli_text(reward, "left_out");
	buf_printf(&line, "  %-14.*s", STR_ARG(role));
	put_cell(&line, reward, "reward", 10);
	put_cell(&line, reward, "length", 7);
	put_cell(&line, reward, "policy_logprob", 10);
	put_cell(&line, reward, "reference_logprob", 10);
	buf_printf(&line, "  %.*s", STR_ARG(cli_text(reward, "response")));
	cli_line(stdout, &line);
}

static void say_page(const struct rewards *o, const struct json *rewards, struct buf *prompt)
{
	for (const struct json *r = rewards ? json_first(rewards) : NULL; r; r = json_next(r)) {
		struct buf line = BUF_INIT;

		if (!o->json) {
			say_reward(r, prompt);
			continue;
		}
		json_put_canonical(&line, r);
		cli_line(stdout, &line);
	}
}

static int list_rewards(struct call *c, const struct rewards *o)
{
	struct buf after = BUF_INIT, prompt = BUF_INIT;
	int rc;

	if (!o->json)
		printf("  %-14s %10s %7s %10s %10s  %s\n", "", "reward", "length", "policy", "reference", "response");
	do {
		call_path(c, "rounds", o->base.argument[0], "rewards", NULL);
		cli_query(&c->url, "prompt", o->prompt);
		cli_query(&c->url, "rescoring", o->rescoring);
		cli_query(&c->url, "after", after.n ? after.p : NULL);
		rc = call_do(c, "GET", STR_NONE);
		buf_clear(&after);
		if (rc < 0)
			break;
		say_page(o, json_get(c->answer, "rewards"), &prompt);
		buf_str(&after, cli_text(c->answer, "next"));
		if (after.n > 0)
			buf_byte(&after, '\0');
	} while (after.n > 0);
	buf_release(&after);
	buf_release(&prompt);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}

int round_rewards(int argc, char **argv)
{
	static const struct flag flags[] = {
		VERB_FLAG(rewards, "prompt", prompt, true),
		VERB_FLAG(rewards, "rescoring", rescoring, true),
		VERB_FLAG(rewards, "json", json, false),
	};
	static const struct verb v = {"round rewards", REWARDS_USAGE, VERB_LIST(flags), NULL, 0, 1, "one ROUND is wanted"};
	struct rewards o = {.base = {.server = NULL}};
	struct call c;
	int rc = verb_read(&v, argc, argv, &o.base);

	if (rc != VERB_GO)
		return rc;
	call_open(&c, v.command, o.base.server);
	rc = list_rewards(&c, &o);
	call_close(&c);
	return rc;
}
