/* verb.h - the command line of one verb of `prefd round`. */
#ifndef PREFD_CLI_VERB_H
#define PREFD_CLI_VERB_H

#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "client.h"

/* An option: with a value it sets a const char *, else a bool. */
struct flag {
	const char *name;
	bool has_value;
	size_t at; /* in the verb's own options */
};

/* An option whose value goes into the document that is posted: under `key`, in
 * `object` or (NULL) at the top. Parts of one object follow each other. */
enum part_value {
	PART_TEXT,
	PART_NUMBER, /* as it was written: gamma is an exact decimal */
	PART_ALPHA,  /* a number or "auto" */
	PART_OBJECT, /* JSON */
	PART_NAMES,  /* A,B,C */
};
struct part {
	const char *option, *object, *key;
	enum part_value value;
};

enum { VERB_OPTIONS_MAX = 32, VERB_GO = -1 };

struct verb {
	const char *command; /* "round show" */
	const char *usage;
	const struct flag *flag;
	size_t flags;
	const struct part *part;
	size_t parts;
	int arguments;      /* that are no options */
	const char *wanted; /* "one ROUND is wanted" */
};

/* What every verb has; first in its options. */
struct verb_options {
	const char *server;
	char **argument;
	const char *value[VERB_OPTIONS_MAX]; /* of the parts; NULL: not given */
};

/* Fills in options, which were zeroed or hold defaults. VERB_GO, or the exit
 * status: --help was printed, or it was said what is wrong. */
int verb_read(const struct verb *v, int argc, char **argv, struct verb_options *options);

/* The value that was given for a part, or NULL. */
const char *verb_value(const struct verb *v, const struct verb_options *options, const char *option);
/* The parts as a JSON object. CLI_DONE; or it was said what is wrong. */
int verb_document(const struct verb *v, const struct verb_options *options, struct buf *out);
/* Digits, at least 1. */
bool verb_count(const struct verb *v, const char *option, const char *value, uint64_t *n);

#define VERB_FLAG(type, option, member, value) {option, value, offsetof(struct type, member)}
#define VERB_LIST(list) list, sizeof(list) / sizeof *(list)

/* The verbs, each in a file of its own; argv[0] is its name. */
int round_create(int argc, char **argv);
int round_list(int argc, char **argv);
int round_show(int argc, char **argv);
int round_deliver(int argc, char **argv);
int round_work(int argc, char **argv);
int round_score(int argc, char **argv);
int round_rescore(int argc, char **argv);
int round_rewards(int argc, char **argv);
int round_publish(int argc, char **argv);
int round_close(int argc, char **argv);

#endif
