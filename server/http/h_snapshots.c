#include "handlers.h"

#define SEED_MAX ((UINT64_C(1) << 63) - 1)
#define OFFSET_MAX (UINT64_C(1) << 53)
#define WORLD_MAX (UINT64_C(1) << 20)

enum { BATCH_DEFAULT = 32 };

/* --- made, watched, deleted -------------------------------------------------------------- */

static void create(struct request *r, struct pending *p, const void *args)
{
	const struct posting *x = args;

	snapshots_create(r->h->service, r->param[0], buf_view(&r->body.text), x->wait_s, &x->origin, p);
}

const struct reply *h_snapshot_create(struct request *r)
{
	return reply_posting(r, create);
}

static void get(struct request *r, struct pending *p, const void *args)
{
	snapshots_get(r->h->service, r->param[0], *(const int *)args, p);
}

const struct reply *h_snapshot_get(struct request *r)
{
	struct err e = {0};
	int wait_s = 0;

	if (query_wait(r, &wait_s, &e) != 0)
		return reply_problem(r, &e);
	return reply_later(r, wait_s, get, &wait_s);
}

static void delete(struct request *r, struct pending *p, const void *args)
{
	(void)args;
	snapshots_delete(r->h->service, r->param[0], p);
}

const struct reply *h_snapshot_delete(struct request *r)
{
	return reply_later(r, 0, delete, NULL);
}

const struct reply *h_snapshots_list(struct request *r)
{
	struct str dataset = STR_NONE, after = STR_NONE;
	struct err e = {0};
	struct answer a;
	uint32_t limit;

	answer_init(&a);
	if (query_text(r, "dataset", &dataset, &e) != 0 || query_after(r, &after, &e) != 0 ||
	    query_limit(r, &limit, &e) != 0)
		return reply_problem(r, &e);
	return reply_outcome(r, snapshots_list(r->h->service, &r->access, dataset, after, limit, &a, &e), &a, &e);
}

/* --- batches --------------------------------------------------------------------------------- */

static int read_view(struct request *r, struct view_query *v, struct err *e)
{
	return query_text(r, "augment", &v->augment, e) != 0 || query_text(r, "placement", &v->placement, e) != 0 ||
	       query_text(r, "format", &v->format, e) != 0 ? -1 : 0;
}

static int read_place(struct request *r, struct batch_query *q, struct err *e)
{
	uint64_t size = BATCH_DEFAULT, max = (uint64_t)r->h->conf->batch_size;

	if (size > max)
		size = max;
	if (query_whole(r, "seed", 0, SEED_MAX, &q->seed, e) != 0 || query_whole(r, "epoch", 0, SEED_MAX, &q->epoch, e) != 0 ||
	    query_whole(r, "offset", 0, OFFSET_MAX, &q->offset, e) != 0 ||
	    query_whole(r, "batch_size", 1, max, &size, e) != 0 ||
	    query_whole(r, "world_size", 1, WORLD_MAX, &q->world_size, e) != 0)
		return -1;
	q->batch_size = (uint32_t)size;
	return query_whole(r, "rank", 0, q->world_size - 1, &q->rank, e);
}

static int read_batch(struct request *r, struct batch_query *q, struct err *e)
{
	static const char *const tails[] = {"short", "drop", "pad", NULL}; /* enum batch_tail from 1 on */
	int tail = -1;

	q->snapshot = r->param[0];
	q->world_size = 1;
	q->shuffle = true;
	if (read_place(r, q, e) != 0 || read_view(r, &q->view, e) != 0 || query_bool(r, "shuffle", &q->shuffle, e) != 0 ||
	    query_word(r, "tail", tails, &tail, e) != 0)
		return -1;
	q->tail = (enum batch_tail)(tail + 1);
	q->ndjson = accepts_ndjson(request_header(r, "Accept"));
	q->coding = coding_accepted(request_header(r, "Accept-Encoding"));
	q->if_none_match = request_header(r, "If-None-Match");
	q->for_one = r->access.token != NULL;
	return 0;
}

static void wait_for_snapshot(struct request *r, struct pending *p, const void *args)
{
	snapshots_wait(r->h->service, r->param[0], *(const int *)args, p);
}

/* While the file is being built a client that said ?wait= waits, once; then
 * the handler is called again. */
const struct reply *h_batch(struct request *r)
{
	struct batch_query q = {0};
	struct err e = {0};
	struct answer a;
	int wait_s = 0, rc;

	answer_init(&a);
	if (read_batch(r, &q, &e) != 0 || query_wait(r, &wait_s, &e) != 0)
		return reply_problem(r, &e);
	rc = snapshots_batch(r->h->service, &q, &a, &e);
	if (rc != 0 && e.problem == P_BUILDING && wait_s > 0 && !r->again) {
		answer_release(&a);
		return reply_later(r, wait_s, wait_for_snapshot, &wait_s);
	}
	answer_header(&a, "Vary", "Accept, Accept-Encoding%s", q.for_one ? ", Authorization" : "");
	return rc != 0 ? reply_outcome(r, rc, &a, &e) : reply_packed(r, &a);
}

/* --- whole -------------------------------------------------------------------------------------- */

const struct reply *h_export(struct request *r)
{
	struct view_query view = {0};
	struct err e = {0};
	struct answer head;
	struct export *x;

	answer_init(&head);
	if (read_view(r, &view, &e) != 0)
		return reply_problem(r, &e);
	if (snapshots_export(r->h->service, r->param[0], &view, &x, &head, &e) != 0)
		return reply_outcome(r, -1, &head, &e);
	return reply_export(r, &head, x);
}

const struct reply *h_snapshot_rows(struct request *r)
{
	uint64_t offset = 0, length = ROWS_MAX_LENGTH;
	struct view_query view = {0};
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	if (query_whole(r, "offset", 0, OFFSET_MAX, &offset, &e) != 0 ||
	    query_whole(r, "length", 1, ROWS_MAX_LENGTH, &length, &e) != 0 || read_view(r, &view, &e) != 0)
		return reply_problem(r, &e);
	return reply_outcome(r, snapshots_rows(r->h->service, r->param[0], &view, offset, (uint32_t)length, &a, &e), &a, &e);
}

const struct reply *h_snapshot_statistics(struct request *r)
{
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	return reply_outcome(r, snapshots_statistics(r->h->service, r->param[0], &a, &e), &a, &e);
}
