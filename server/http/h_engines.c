#include "handlers.h"
#include "service/engines.h"

static void put(struct request *r, struct pending *p, const void *args)
{
	(void)args;
	engines_put(r->h->service, r->param[0], buf_view(&r->body.text), p);
}

const struct reply *h_engine_put(struct request *r)
{
	return reply_later(r, 0, put, NULL);
}

static void delete(struct request *r, struct pending *p, const void *args)
{
	(void)args;
	engines_delete(r->h->service, r->param[0], p);
}

const struct reply *h_engine_delete(struct request *r)
{
	return reply_later(r, 0, delete, NULL);
}

const struct reply *h_engine_get(struct request *r)
{
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	return reply_outcome(r, engines_get(r->h->service, r->param[0], &a, &e), &a, &e);
}

const struct reply *h_engines_list(struct request *r)
{
	struct str after = STR_NONE;
	struct err e = {0};
	struct answer a;
	uint32_t limit;

	answer_init(&a);
	if (query_after(r, &after, &e) != 0 || query_limit(r, &limit, &e) != 0)
		return reply_problem(r, &e);
	return reply_outcome(r, engines_list(r->h->service, after, limit, &a, &e), &a, &e);
}

static void score(struct request *r, struct pending *p, const void *args)
{
	const struct posting *x = args;

	engines_score(r->h->service, r->param[0], &x->origin, p);
}

const struct reply *h_round_score(struct request *r)
{
	return reply_posting(r, score);
}
