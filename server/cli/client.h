/* client.h - what the subcommands that talk to a daemon share. */
#ifndef PREFD_CLI_CLIENT_H
#define PREFD_CLI_CLIENT_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/buf.h"
#include "base/fetch.h"
#include "base/json.h"

/* Exit statuses of the subcommands. */
enum { CLI_DONE, CLI_FAILED, CLI_USAGE };

/* --- options ---------------------------------------------------------------- */

/* The next option's `val`, -1 behind the last, '?' when it said what is wrong. */
int cli_option(const char *command, int argc, char **argv, const struct option *options);
/* "prefd COMMAND: …" on standard error; control characters show as '?'. */
void cli_complain(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same and a hint at --help; returns CLI_USAGE. */
int cli_misused(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints and releases it; control characters show as '?', because what a server
 * or a file says must not steer the terminal. */
void cli_line(FILE *to, struct buf *line);
/* "4MiB", "512KiB", "1000000": bytes; false when it is none. */
bool cli_bytes(const char *text, uint64_t *bytes);
/* Digits only. */
bool cli_whole(const char *text, uint64_t *n);

/* --- requests --------------------------------------------------------------- */

/* Ends url with the path's next segment, percent-encoded: "/" and the text. */
void cli_segment(struct buf *url, const char *text);
/* "?name=value" or "&name=value", encoded; nothing when value is NULL. */
void cli_query(struct buf *url, const char *name, const char *value);
/* The server to ask: the flag, else PREFD_SERVER, else http://127.0.0.1:8420;
 * without slashes at the end. */
void cli_server(struct buf *url, const char *flag);

/* A new one that carries the token of PREFD_TOKEN, or of the file that
 * PREFD_TOKEN_FILE names (its first line); a file that cannot be read is said.
 * Never an option: other users see command lines. */
struct fetch *cli_fetch(const char *command);

/* Waiting for a daemon that is busy: as long as Retry-After says, else twice
 * as long each time; a bounded number of times. All zero is a fresh start. */
struct patience {
	int tries;
};
/* Whether this answer, or a failed call (reply NULL), may be tried again. */
bool cli_may_retry(const struct fetch_reply *reply, const struct err *e);
/* Waits. false: the patience is at its end, or a signal came. */
bool cli_wait(struct patience *p, const struct fetch_reply *reply);

/* --- answers ---------------------------------------------------------------- */

/* A member of an object (NULL: nothing has members) when it is of that type. */
struct str cli_text(const struct json *object, const char *key);
double cli_number(const struct json *object, const char *key, double otherwise);

/* Where a body's rows stand in the source: rows count from 0, lines from 1. */
struct cli_rows {
	uint64_t first;       /* the row of the body's first */
	const uint64_t *line; /* of each row; 0: the source has no lines. NULL: none has */
	size_t lines;
};
/* "line 8 (row 6)", since blank lines are no rows; "row 6" where line is 0. */
void cli_put_row(struct buf *out, uint64_t row, uint64_t line);

/* What a refusal means for what was sent. */
enum cli_refusal {
	CLI_REFUSED,        /* the request as a whole */
	CLI_REFUSED_ROWS,   /* for some of its rows, which were named */
	CLI_REFUSED_BROKEN, /* the same, for broken JSON: it was not looked further */
};
/* A problem+json in plain words; rows NULL: as the server counts them. */
enum cli_refusal cli_problem(const char *command, const struct fetch_reply *reply, const struct cli_rows *rows);
/* The answer's `errors`, a line each, at most *left of them (counted down);
 * returns how many there are. rows NULL: as the server counts them. */
enum { CLI_ERRORS_SHOWN_MAX = 100 };
uint64_t cli_errors(const struct json *answer, const struct cli_rows *rows, uint64_t *left);
/* The answer's `warnings`, a line each on standard error. */
void cli_warnings(const char *command, const struct json *answer);

/* --- signals ---------------------------------------------------------------- */

/* SIGINT and SIGTERM set a flag once; a second one ends the process. */
void cli_catch_signals(void);
bool cli_interrupted(void);

#endif
