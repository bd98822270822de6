/* answer.h - what the service says, and who may say it.
 *
 * An answer is a status with a body, or a problem (err.problem != P_NONE) that
 * http/ turns into application/problem+json.
 *
 * A pending answer belongs to a request that waits, suspended, for the writer
 * or for a job. Whoever wins pending_take owns it: fills in the answer and
 * calls pending_finish, exactly once. The request's deadline competes with the
 * writer in the same way, so no request is resumed twice.
 *
 *      WAITING --take--> OWNED --finish--> resume(ctx)
 */
#ifndef PREFD_SERVICE_ANSWER_H
#define PREFD_SERVICE_ANSWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"

enum { ANSWER_HEADERS_MAX = 8, ANSWER_HEADER_BYTES = 320 };

struct answer_header {
	const char *name; /* a literal */
	char value[ANSWER_HEADER_BYTES];
};

struct answer {
	int status;       /* 0: not said yet; of a pending answer: ask again */
	const char *type; /* a literal; NULL: application/json */
	struct buf body;
	struct answer_header header[ANSWER_HEADERS_MAX];
	int headers;
	struct err err;          /* a problem instead of a body */
	struct buf problem_more; /* members added to the problem: `"errors":[…],…` */
	int retry_after_s;       /* 0: none */
};

void answer_init(struct answer *a);
void answer_release(struct answer *a);
void answer_header(struct answer *a, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Turns it into the problem; status follows the table. Returns -1. */
int answer_problem(struct answer *a, const struct err *e);

struct pending {
	_Atomic int taken;
	_Atomic int refs;
	struct answer answer;
	void (*resume)(void *ctx); /* called by pending_finish, on any thread */
	void *ctx;
	void (*drop)(void *kept); /* NULL: nothing is kept */
	void *kept;
};

/* One reference, the caller's. */
struct pending *pending_new(void (*resume)(void *ctx), void *ctx);
void pending_ref(struct pending *p);
void pending_unref(struct pending *p);
/* Goes with the last reference, on that one's thread: at most one thing. p may be
 * NULL, then it goes at once. */
void pending_keep(struct pending *p, void (*drop)(void *kept), void *kept);
/* True for exactly one caller. */
bool pending_take(struct pending *p);
/* Only after pending_take. Resumes the request; the owner's use of p ends. */
void pending_finish(struct pending *p);
/* take, answer with the problem, finish; nothing if someone else owns it. */
void pending_fail(struct pending *p, const struct err *e);

#endif
