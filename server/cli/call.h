/* call.h - one small request of a subcommand, and its answer.
 *
 * A call waits while the daemon is busy. A POST carries an Idempotency-Key of
 * its own, so that asking again is asking once. One thread. */
#ifndef PREFD_CLI_CALL_H
#define PREFD_CLI_CALL_H

#include "client.h"

struct call {
	const char *command;
	bool stubborn; /* waits as well while the daemon is out of reach: for work that runs for hours */
	struct fetch *fetch;
	struct buf server, url;
	struct fetch_reply reply;
	struct arena arena;        /* the answer's */
	const struct json *answer; /* of the last 2xx that had a body; else NULL */
};

/* server: the flag's value or NULL. Ended by call_close. */
void call_open(struct call *c, const char *command, const char *server);
void call_close(struct call *c);
/* Begins the next url: the server, "/v1" and a segment for each text up to NULL. */
void call_path(struct call *c, const char *segment, ...) __attribute__((sentinel));
/* body STR_NONE: none. The status of a whole answer; or -1, and it was said why. */
int call_try(struct call *c, const char *method, struct str body);
/* The same, and any answer but a 2xx is said too: 0 or -1. */
int call_do(struct call *c, const char *method, struct str body);

#endif
