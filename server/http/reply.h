/* reply.h - the only makers of a reply.
 *
 * A handler returns a `const struct reply *`, and only these functions have
 * one to give: so a handler cannot forget to answer, nor answer twice without
 * it showing. All are called on the connection's thread, inside its handler. */
#ifndef PREFD_HTTP_REPLY_H
#define PREFD_HTTP_REPLY_H

#include "service/answer.h"
#include "service/snapshots.h"

struct reply;
struct request;

/* Answers with `a`, which is used up: its body goes to the library uncopied. */
const struct reply *reply_answer(struct request *r, struct answer *a);
/* The same, for a body that is coded already as its headers say. */
const struct reply *reply_packed(struct request *r, struct answer *a);
const struct reply *reply_problem(struct request *r, const struct err *e);
/* What a call of the service returned: `a` when rc is 0, else the problem. */
const struct reply *reply_outcome(struct request *r, int rc, struct answer *a, const struct err *e);
/* Streams an export as NDJSON; `head` and x are used up. */
const struct reply *reply_export(struct request *r, struct answer *head, struct export *x);
/* Suspends the request, then hands it over: `work` passes p on to whoever will
 * finish it (possibly before it returns). After wait_s and the setting
 * suspend_seconds it is answered 503; at the cap of such requests it is
 * answered so at once, and `work` is not called. args are for `work`, which
 * runs before reply_later returns. */
typedef void reply_work(struct request *r, struct pending *p, const void *args);
const struct reply *reply_later(struct request *r, int wait_s, reply_work *work, const void *args);

/* False: the reply could not be made; the connection must close. */
bool reply_ok(const struct reply *reply);

#endif
