/* prefd round: a round from the shell. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "client.h"
#include "verb.h"

static const char USAGE[] =
	"usage: prefd round VERB [options]\n"
	"\n"
	"Shows and drives a round of DICE on a running daemon: samples of a policy, the\n"
	"log-probabilities that two models give them, rewards from these, and preference\n"
	"pairs from the rewards.\n"
	"\n"
	"  create   open a round over a dataset's prompts\n"
	"  list     list rounds\n"
	"  show     show a round and how far it is\n"
	"  work     lease tasks and have a command do them\n"
	"  deliver  send a file of samples or log-probabilities\n"
	"  score    have engines give the log-probabilities\n"
	"  rescore  work out rewards and pairs from what is there\n"
	"  rewards  list what a rescoring made of each response\n"
	"  publish  make a snapshot of a rescoring's pairs\n"
	"  close    end leases and deliveries\n"
	"\n"
	"`prefd round VERB --help` tells more. Every verb takes --server URL (PREFD_SERVER,\n"
	"else http://127.0.0.1:8420). Exit status: 0 done, 1 it failed, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd round create sample --policy my-dpo --reference my-sft --name r1\n"
	"  prefd round work r1 --kind sample --worker gpu-0 --exec './sample.py'\n"
	"  prefd round work r1 --kind score --model my-dpo --worker gpu-0 --exec './score.py'\n"
	"  prefd round show r1 --watch\n"
	"  prefd round rescore r1\n"
	"  prefd round publish r1 --name r1-pairs --wait\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} VERBS[] = {
	{"create", round_create},   {"list", round_list},       {"show", round_show},
	{"work", round_work},       {"deliver", round_deliver}, {"score", round_score},
	{"rescore", round_rescore}, {"rewards", round_rewards}, {"publish", round_publish}, {"close", round_close},
};

int cli_round(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++)
		if (strcmp(verb, VERBS[i].name) == 0)
			return VERBS[i].run(argc - 1, argv + 1);
	if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
		fputs(USAGE, stdout);
		return CLI_DONE;
	}
	if (*verb == '\0')
		return cli_misused("round", "a verb is wanted: create, list, show, work, deliver, score, rescore, rewards, "
		                            "publish or close");
	return cli_misused("round", "'%s' is not a verb of it", verb);
}
