/* prefd round create: options into a round's document. */
#include "call.h"
#include "verb.h"

static const char USAGE[] =
	"usage: prefd round create DATASET --policy MODEL --reference MODEL [options]\n"
	"\n"
	"Opens a round: its prompts are fixed now, and workers may begin. With --name the\n"
	"same command may be repeated; without one there is a new round each time.\n"
	"\n"
	"  --policy MODEL          whose answers are sampled and rewarded\n"
	"  --reference MODEL       the model that the policy's training started from\n"
	"  --name ROUND            its id; else one is made up\n"
	"  --previous ROUND        the round before this one\n"
	"  --responses FROM        sample (default), or dataset: rescore stored answers\n"
	"  --per-prompt K          samples of each prompt (16)\n"
	"  --min-responses N       valid ones that a prompt needs for a pair (8)\n"
	"  --split SPLIT           which prompts (train); '*': all of them\n"
	"  --limit N               only so many of them, drawn by --seed N (0)\n"
	"  --beta B                scale of the rewards (0.1)\n"
	"  --alpha A               length regularisation: auto (default) or a number\n"
	"  --length UNIT           characters (default) or tokens\n"
	"  --min-characters N      shorter samples are left out (4)\n"
	"  --max-characters N      longer ones as well (6699)\n"
	"  --exclude-finish-reasons A,B\n"
	"                          and those that ended so (abort,length)\n"
	"  --sampling JSON         an object that is handed to workers as it is\n"
	"  --lease-seconds N       how long a worker may be silent (300)\n"
	"  --replay SNAPSHOT       pairs to mix in when it is published, with\n"
	"  --gamma G               their share, 0 to 1\n"
	"  --replay-total N        pairs in all; else as many prompts as the snapshot has\n"
	"  --replay-seed N         which of them (0)\n"
	"  --policy-engine ENGINE  that `prefd round score` asks for the policy's\n"
	"  --reference-engine ENGINE\n"
	"                          and for the reference's log-probabilities\n"
	"  --server URL            the daemon (PREFD_SERVER, else http://127.0.0.1:8420)\n"
	"\n"
	"examples:\n"
	"  prefd round create sample --policy my-dpo --reference my-sft --name r1\n"
	"  prefd round create sample --policy my-dpo-2 --reference my-dpo --previous r1 \\\n"
	"      --replay first --gamma 0.5 --sampling '{\"temperature\": 0.7}'\n";

static const struct part PARTS[] = {
	{"name", NULL, "name", PART_TEXT},
	{"policy", NULL, "policy", PART_TEXT},
	{"reference", NULL, "reference", PART_TEXT},
	{"previous", NULL, "previous", PART_TEXT},
	{"responses", NULL, "responses", PART_TEXT},
	{"per-prompt", NULL, "responses_per_prompt", PART_NUMBER},
	{"min-responses", NULL, "min_responses", PART_NUMBER},
	{"beta", NULL, "beta", PART_NUMBER},
	{"alpha", NULL, "alpha", PART_ALPHA},
	{"length", NULL, "length", PART_TEXT},
	{"lease-seconds", NULL, "lease_seconds", PART_NUMBER},
	{"sampling", NULL, "sampling", PART_OBJECT},
	{"split", "prompts", "split", PART_TEXT},
	{"limit", "prompts", "limit", PART_NUMBER},
	{"seed", "prompts", "seed", PART_NUMBER},
	{"min-characters", "filters", "min_characters", PART_NUMBER},
	{"max-characters", "filters", "max_characters", PART_NUMBER},
	{"exclude-finish-reasons", "filters", "exclude_finish_reasons", PART_NAMES},
	{"replay", "replay", "snapshot", PART_TEXT},
	{"gamma", "replay", "gamma", PART_NUMBER},
	{"replay-total", "replay", "total", PART_NUMBER},
	{"replay-seed", "replay", "seed", PART_NUMBER},
	{"policy-engine", "engines", "policy", PART_TEXT},
	{"reference-engine", "engines", "reference", PART_TEXT},
};

static const struct verb CREATE = {"round create", USAGE, NULL, 0, VERB_LIST(PARTS), 1, "one DATASET is wanted"};

/* --- the call -------------------------------------------------------------------------- */

static void say_created(const struct call *c)
{
	const struct json *responses = json_get(c->answer, "responses");
	struct str from = cli_text(c->answer, "responses_from");
	struct buf line = BUF_INIT;

	buf_printf(&line, "%.*s: %s, %.0f prompts, %.0f %s", STR_ARG(cli_text(c->answer, "id")),
	           c->reply.status == 201 ? "created" : "was there already", cli_number(c->answer, "prompts", 0),
	           cli_number(responses, "wanted", 0), str_eq(from, STR("dataset")) ? "stored responses" : "samples to come");
	cli_line(stdout, &line);
}

static int post(const struct verb_options *o, struct str document)
{
	struct call c;
	int rc;

	call_open(&c, CREATE.command, o->server);
	call_path(&c, "datasets", o->argument[0], "rounds", NULL);
	rc = call_do(&c, "POST", document);
	if (rc == 0)
		say_created(&c);
	call_close(&c);
	return rc == 0 ? CLI_DONE : CLI_FAILED;
}

static bool given(const struct verb_options *o, const char *option)
{
	return verb_value(&CREATE, o, option) != NULL;
}

int round_create(int argc, char **argv)
{
	struct verb_options o = {.server = NULL};
	struct buf document = BUF_INIT;
	int rc = verb_read(&CREATE, argc, argv, &o);

	if (rc != VERB_GO)
		return rc;
	if (!given(&o, "policy") || !given(&o, "reference"))
		return cli_misused(CREATE.command, "--policy and --reference are needed");
	if (given(&o, "replay") != given(&o, "gamma"))
		return cli_misused(CREATE.command, "--replay and --gamma go together");
	rc = verb_document(&CREATE, &o, &document);
	if (rc == CLI_DONE)
		rc = post(&o, buf_view(&document));
	buf_release(&document);
	return rc;
}
