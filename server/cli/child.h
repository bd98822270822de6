/* child.h - a command that is given lines and writes lines.
 *
 * `sh -c COMMAND` in a process group of its own, so that a signal from the
 * terminal reaches prefd alone, which then ends the command in order. Both
 * pipes are non-blocking here. Should prefd die, the command sees the end of
 * its input. */
#ifndef PREFD_CLI_CHILD_H
#define PREFD_CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

struct child {
	pid_t pid;   /* 0: none */
	int in, out; /* its standard input and output; -1: closed */
};

#define CHILD_NONE ((struct child){0, -1, -1})

/* P_INTERNAL: the system refused. */
int child_start(struct child *c, const char *command, struct err *e);
/* Waits until something can be read, or (with `more`) written, or ms are over,
 * or a signal came. */
void child_wait(const struct child *c, bool more, int ms);
/* How many bytes it took, perhaps 0; closes `in` when it takes no more. */
size_t child_write(struct child *c, const char *p, size_t n);
/* Reads what is there into out; closes `out` at its end. */
void child_read(struct child *c, struct buf *out);
void child_close_input(struct child *c);
/* Closes both pipes, waits a while, or (at_once) signals it, then kills it.
 * Writes "status 3" or "signal 9" into how, or "" for status 0. */
enum { CHILD_HOW_BYTES = 32 };
void child_end(struct child *c, bool at_once, char how[CHILD_HOW_BYTES]);

#endif
