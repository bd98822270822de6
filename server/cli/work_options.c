#include "work_options.h"

static const char USAGE[] =
	"usage: prefd round work ROUND --kind KIND --worker NAME --exec COMMAND [options]\n"
	"\n"
	"A worker: leases tasks of a round, writes each as one line of JSON to COMMAND's\n"
	"standard input, reads result rows from its standard output and delivers them,\n"
	"until the round has no more work of the kind. COMMAND is started once and goes on\n"
	"with the next lease, so that a model is loaded once; it must flush what it writes.\n"
	"\n"
	"  kind     a task                                       its rows\n"
	"  sample   {\"prompt\": {\"id\", \"messages\"},               one for each index:\n"
	"            \"indices\": [0, 1, …], \"sampling\": {…}}       {\"prompt\", \"index\", \"text\", …}\n"
	"  score    {\"model\", \"prompt\": {\"id\", \"messages\", …},  one:\n"
	"            \"response\": {\"id\", \"text\", …}}             {\"response\", \"model\", \"logprob\", …}\n"
	"\n"
	"  --kind KIND      sample or score\n"
	"  --model MODEL    to score: the round's policy or reference\n"
	"  --worker NAME    who it is, for the others to see\n"
	"  --exec COMMAND   run by sh\n"
	"  --limit N        prompts of one lease (32)\n"
	"  --batch          an empty line behind each lease's tasks, for a command that\n"
	"                   works on them together\n"
	"  --restart        start COMMAND anew for each lease and end its input behind the\n"
	"                   tasks, for a command that answers at the end\n"
	"  --server URL     the daemon (PREFD_SERVER, else http://127.0.0.1:8420)\n"
	"\n"
	"SIGINT and SIGTERM end it: what there is is delivered and the lease given back.\n"
	"Exit status: 0 nothing is left to do, 1 it failed or was ended, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd round work r1 --kind sample --worker gpu-0 --exec './sample.py --model my-dpo'\n"
	"  prefd round work r1 --kind score --model my-sft --worker gpu-1 --limit 64 \\\n"
	"      --batch --exec './score.py --model my-sft'\n";

static const struct flag FLAGS[] = {
	VERB_FLAG(work_options, "kind", kind, true),        VERB_FLAG(work_options, "model", model, true),
	VERB_FLAG(work_options, "worker", worker, true),    VERB_FLAG(work_options, "exec", exec, true),
	VERB_FLAG(work_options, "limit", limit_text, true), VERB_FLAG(work_options, "batch", batch, false),
	VERB_FLAG(work_options, "restart", restart, false),
};
static const struct verb VERB = {WORK, USAGE, VERB_LIST(FLAGS), NULL, 0, 1, "one ROUND is wanted"};

static int check(struct work_options *o)
{
	if (o->kind == NULL || o->worker == NULL || o->exec == NULL)
		return cli_misused(WORK, "--kind, --worker and --exec are needed");
	o->score = strcmp(o->kind, "score") == 0;
	if (!o->score && strcmp(o->kind, "sample") != 0)
		return cli_misused(WORK, "--kind is sample or score, not '%s'", o->kind);
	if (o->score != (o->model != NULL))
		return cli_misused(WORK, o->score ? "--model is needed to score" : "--model goes with --kind score");
	if (o->batch && o->restart)
		return cli_misused(WORK, "--batch and --restart exclude each other");
	return o->limit_text && !verb_count(&VERB, "limit", o->limit_text, &o->limit) ? CLI_USAGE : VERB_GO;
}

int work_options(struct work_options *o, int argc, char **argv)
{
	int rc = verb_read(&VERB, argc, argv, &o->base);

	if (rc != VERB_GO)
		return rc;
	o->round = o->base.argument[0];
	return check(o);
}
