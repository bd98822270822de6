/* work_options.h - the command line of `prefd round work`. */
#ifndef PREFD_CLI_WORK_OPTIONS_H
#define PREFD_CLI_WORK_OPTIONS_H

#include "verb.h"

#define WORK "round work"

struct work_options {
	struct verb_options base;
	const char *round, *kind, *model, *worker, *exec, *limit_text;
	uint64_t limit; /* prompts of a lease; 0: the server's default */
	bool batch, restart, score;
};

/* VERB_GO, or the exit status. */
int work_options(struct work_options *o, int argc, char **argv);

#endif
