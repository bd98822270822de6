#include "handlers.h"

const struct reply *reply_posting(struct request *r, reply_work *work)
{
	struct posting x = {0};
	struct err e = {0};

	if (query_wait(r, &x.wait_s, &e) != 0 || request_origin(r, &x.origin, &e) != 0)
		return reply_problem(r, &e);
	return reply_later(r, x.wait_s, work, &x);
}
