#include "handlers.h"
#include "service/implicit.h"

static void work(struct request *r, struct pending *p, const void *args)
{
	(void)args;
	implicit_rewards(r->h->service, &r->body.text, p);
}

/* The same body always has the same answer, so a key needs no remembering. */
const struct reply *h_implicit_rewards(struct request *r)
{
	struct str key = STR_NONE;
	struct err e = {0};

	if (request_idempotency_key(r, &key, &e) != 0)
		return reply_problem(r, &e);
	return reply_later(r, 0, work, NULL);
}
