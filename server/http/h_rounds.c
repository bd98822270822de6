#include "handlers.h"
#include "service/rounds.h"

/* --- made, watched, closed ------------------------------------------------------------ */

static void create(struct request *r, struct pending *p, const void *args)
{
	const struct posting *x = args;

	rounds_create(r->h->service, r->param[0], buf_view(&r->body.text), &x->origin, p);
}

static void close_round(struct request *r, struct pending *p, const void *args)
{
	const struct posting *x = args;

	rounds_close(r->h->service, r->param[0], &x->origin, p);
}

const struct reply *h_round_create(struct request *r)
{
	return reply_posting(r, create);
}

const struct reply *h_round_close(struct request *r)
{
	return reply_posting(r, close_round);
}

const struct reply *h_round_get(struct request *r)
{
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	return reply_outcome(r, rounds_get(r->h->service, r->param[0], &a, &e), &a, &e);
}

const struct reply *h_rounds_list(struct request *r)
{
	struct str dataset = STR_NONE, after = STR_NONE;
	struct err e = {0};
	struct answer a;
	uint32_t limit;

	answer_init(&a);
	if (query_text(r, "dataset", &dataset, &e) != 0 || query_after(r, &after, &e) != 0 ||
	    query_limit(r, &limit, &e) != 0)
		return reply_problem(r, &e);
	return reply_outcome(r, rounds_list(r->h->service, &r->access, dataset, after, limit, &a, &e), &a, &e);
}

/* --- rescored --------------------------------------------------------------------------- */

static void rescore(struct request *r, struct pending *p, const void *args)
{
	const struct posting *x = args;

	rounds_rescore(r->h->service, r->param[0], buf_view(&r->body.text), &x->origin, p);
}

const struct reply *h_round_rescore(struct request *r)
{
	return reply_posting(r, rescore);
}

const struct reply *h_round_rewards(struct request *r)
{
	struct rewards_query q = {0};
	uint64_t rescoring = 0;
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	if (query_text(r, "prompt", &q.prompt, &e) != 0 ||
	    query_whole(r, "rescoring", 1, INT64_MAX, &rescoring, &e) != 0 || query_after(r, &q.after, &e) != 0 ||
	    query_limit(r, &q.limit, &e) != 0)
		return reply_problem(r, &e);
	q.rescoring = (int64_t)rescoring;
	return reply_outcome(r, rounds_rewards(r->h->service, r->param[0], &q, &a, &e), &a, &e);
}

static void publish(struct request *r, struct pending *p, const void *args)
{
	const struct posting *x = args;

	rounds_publish(r->h->service, r->param[0], buf_view(&r->body.text), x->wait_s, &x->origin, p);
}

const struct reply *h_round_publish(struct request *r)
{
	return reply_posting(r, publish);
}

/* --- leases ---------------------------------------------------------------------------- */

static void take(struct request *r, struct pending *p, const void *args)
{
	const struct posting *x = args;

	leases_take(r->h->service, r->param[0], buf_view(&r->body.text), &x->origin, p);
}

static void renew(struct request *r, struct pending *p, const void *args)
{
	const struct posting *x = args;

	leases_renew(r->h->service, r->param[0], r->param[1], &x->origin, p);
}

static void end(struct request *r, struct pending *p, const void *args)
{
	(void)args;
	leases_end(r->h->service, r->param[0], r->param[1], p);
}

const struct reply *h_lease_take(struct request *r)
{
	return reply_posting(r, take);
}

const struct reply *h_lease_renew(struct request *r)
{
	return reply_posting(r, renew);
}

const struct reply *h_lease_end(struct request *r)
{
	return reply_later(r, 0, end, NULL);
}

/* --- deliveries: rows whose path names a round ------------------------------------------ */

static int delivery(struct request *r, struct ingest_options *o, enum row_kind kind, struct err *e)
{
	static const char *const on_error[] = {"continue", NULL};
	int word = -1;

	o->kind = kind;
	o->round = r->param[0];
	o->dataset = STR_NONE;
	if (query_word(r, "on_error", on_error, &word, e) != 0)
		return -1;
	o->on_error_continue = word == 0;
	return 0;
}

int rows_samples(struct request *r, struct ingest_options *o, struct err *e)
{
	return delivery(r, o, ROW_SAMPLE, e);
}

int rows_logprobs(struct request *r, struct ingest_options *o, struct err *e)
{
	return delivery(r, o, ROW_LOGPROB, e);
}
