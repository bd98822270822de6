/* tasks.h - a lease's tasks, and which of them have their result.
 *
 * A result row answers one thing that was asked for: a sample's (prompt,
 * index), or a response to be scored. */
#ifndef PREFD_CLI_TASKS_H
#define PREFD_CLI_TASKS_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct task_key {
	struct str id; /* of the prompt; or of the response */
	double index;  /* of the sample; or -1 */
	bool done;
};

struct tasks {
	bool score;
	struct arena arena;
	struct buf keys; /* struct task_key, sorted by id and index */
	size_t n, left;
};

void tasks_init(struct tasks *t, bool score);
void tasks_release(struct tasks *t);
/* The array of a lease's answer, JSON that was scanned; each task goes to
 * `lines` as a line of its own. P_INTERNAL: it is not that. */
int tasks_load(struct tasks *t, struct str array, struct buf *lines, struct err *e);
/* Takes a row. P_BAD_REQUEST: it is no JSON object, answers nothing that was
 * asked for, or answers it again. */
int tasks_done(struct tasks *t, struct str row, struct err *e);

#endif
