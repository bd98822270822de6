/* import_options.h - the command line of `prefd import`. */
#ifndef PREFD_CLI_IMPORT_OPTIONS_H
#define PREFD_CLI_IMPORT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { IMPORT_ATTRIBUTES_MAX = 64 };

/* Strings are argv's; NULL: not given. */
struct import_options {
	const char *server, *dataset, *kind, *format, *judge, *on_error, *on_conflict, *file;
	bool help, create, fix_overall, has_start_row;
	uint64_t start_row, body_bytes;
	const char *attribute[IMPORT_ATTRIBUTES_MAX]; /* NAME=MIN:MAX, checked */
	int attributes;
};

/* CLI_DONE, or CLI_USAGE when it has said what is wrong. */
int import_options(struct import_options *o, int argc, char **argv);
void import_usage(void);

#endif
