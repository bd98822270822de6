#include "handlers.h"

const struct reply *h_datasets_list(struct request *r)
{
	struct str after = STR_NONE;
	struct err e = {0};
	struct answer a;
	uint32_t limit;

	answer_init(&a);
	if (query_after(r, &after, &e) != 0 || query_limit(r, &limit, &e) != 0)
		return reply_problem(r, &e);
	return reply_outcome(r, browse_datasets(r->h->service, &r->access, after, limit, &a, &e), &a, &e);
}

const struct reply *h_dataset_get(struct request *r)
{
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	return reply_outcome(r, browse_dataset(r->h->service, r->param[0], &a, &e), &a, &e);
}

const struct reply *h_dataset_stats(struct request *r)
{
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	return reply_outcome(r, browse_stats(r->h->service, r->param[0], &a, &e), &a, &e);
}

static void put(struct request *r, struct pending *p, const void *args)
{
	(void)args;
	datasets_put(r->h->service, r->param[0], buf_view(&r->body.text), p);
}

const struct reply *h_dataset_put(struct request *r)
{
	return reply_later(r, 0, put, NULL);
}

static void delete(struct request *r, struct pending *p, const void *args)
{
	datasets_delete(r->h->service, r->param[0], *(const struct str *)args, p);
}

const struct reply *h_dataset_delete(struct request *r)
{
	struct str confirm = STR_NONE;
	struct err e = {0};

	if (query_text(r, "confirm", &confirm, &e) != 0)
		return reply_problem(r, &e);
	return reply_later(r, 0, delete, &confirm);
}
