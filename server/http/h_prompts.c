#include "handlers.h"

const struct reply *h_unscored(struct request *r)
{
	struct unscored_query q = {0};
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	if (query_text(r, "unscored_by", &q.unscored_by, &e) != 0 || query_text(r, "attribute", &q.attribute, &e) != 0 ||
	    query_text(r, "model", &q.model, &e) != 0 || query_text(r, "round", &q.round, &e) != 0 ||
	    query_after(r, &q.after, &e) != 0 || query_limit(r, &q.limit, &e) != 0)
		return reply_problem(r, &e);
	return reply_outcome(r, browse_unscored(r->h->service, r->param[0], &q, &a, &e), &a, &e);
}

const struct reply *h_prompts_list(struct request *r)
{
	struct str after = STR_NONE, split = STR_NONE;
	struct err e = {0};
	struct answer a;
	uint32_t limit;

	answer_init(&a);
	if (query_after(r, &after, &e) != 0 || query_text(r, "split", &split, &e) != 0 ||
	    query_limit(r, &limit, &e) != 0)
		return reply_problem(r, &e);
	return reply_outcome(r, browse_prompts(r->h->service, r->param[0], after, split, limit, &a, &e), &a, &e);
}

const struct reply *h_prompt_get(struct request *r)
{
	bool ledger = false;
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	if (query_bool(r, "ledger", &ledger, &e) != 0)
		return reply_problem(r, &e);
	return reply_outcome(r, browse_prompt(r->h->service, r->param[0], r->param[1], ledger, &a, &e), &a, &e);
}

static void delete(struct request *r, struct pending *p, const void *args)
{
	(void)args;
	prompts_delete(r->h->service, r->param[0], r->param[1], p);
}

const struct reply *h_prompt_delete(struct request *r)
{
	return reply_later(r, 0, delete, NULL);
}
