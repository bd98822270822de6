#include "making.h"

#include "base/clock.h"
#include "base/heap.h"
#include "jobs.h"
#include "report.h"
#include "store/record.h"
#include "store/round.h"

enum { ID_RANDOM_BYTES = 16 };
/* Heavier than any group: a work of this weight goes alone, because the sums
 * that it reads are those of the last commit. */
#define WEIGHT_ALONE ((size_t)1 << 40)

/* A name that was there: the same document is the same snapshot. */
static int answer_existing(struct making *m, const struct snapshot_row *row, const struct dataset *d,
                           struct answer *out, struct err *e)
{
	if (row->state == SNAPSHOT_DELETED)
		return err_at(e, P_CONFLICT, "/name", "%.*s was deleted, and ids are never used again", STR_ARG(row->id));
	if (row->dataset_key != d->key || !str_eq(row->posted, m->posted))
		return err_at(e, P_CONFLICT, "/name", "%.*s is a snapshot of another recipe or dataset", STR_ARG(row->id));
	m->row.id = row->id;
	out->status = 200;
	return report_snapshot(&out->body, row, jobs_progress(m->service->snapshots, row->id), e);
}

static int fill_row(struct making *m, struct store *db, const struct dataset *d, struct err *e)
{
	char id[2 * ID_RANDOM_BYTES + 1];
	struct buf recipe = BUF_INIT;
	int64_t seq = d->seq;

	if (m->close(m, db, d, &seq, e) < 0)
		return -1;
	random_hex(id, ID_RANDOM_BYTES);
	recipe_print(&recipe, &m->recipe, RECIPE_WHOLE);
	m->row = (struct snapshot_row){
		.id = m->name.p ? m->name : arena_str(&m->arena, str_of(id)),
		.name = m->name,
		.dataset = m->dataset,
		.dataset_key = d->key,
		.seq = seq,
		.state = SNAPSHOT_BUILDING,
		.posted = m->posted,
		.recipe = arena_str(&m->arena, buf_view(&recipe)),
		.round = m->recipe.made_from.round,
		.created_at = clock_now_us(),
	};
	buf_release(&recipe);
	return 0;
}

static int apply(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct making *m = (struct making *)work;
	struct snapshot_row there;
	struct dataset d;

	if (store_dataset_get(db, &m->arena, m->dataset, &d, e) < 0)
		return -1;
	if (m->name.p) {
		if (store_snapshot_get(db, &m->arena, m->name, &there, e) == 0)
			return answer_existing(m, &there, &d, out, e);
		if (e->problem != P_UNKNOWN_SNAPSHOT)
			return -1;
	}
	if (fill_row(m, db, &d, e) < 0 || store_snapshot_insert(db, &m->row, e) < 0)
		return -1;
	m->inserted = true;
	out->status = 202;
	answer_header(out, "Location", "/v1/snapshots/%.*s", STR_ARG(m->row.id));
	return report_snapshot(&out->body, &m->row, 0, e);
}

/* The id that an answer tells of: our own, or that of an answer repeated for
 * its idempotency key. */
static struct str answered_id(const struct making *m, const struct answer *out)
{
	static const char front[] = "/v1/snapshots/";

	if (m->row.id.p)
		return m->row.id;
	for (int i = 0; i < out->headers; i++)
		if (strcmp(out->header[i].name, "Location") == 0)
			return str_of(out->header[i].value + strlen(front));
	return STR_NONE;
}

static void making_free(struct making *m)
{
	arena_release(&m->arena);
	heap_free(m);
}

static void settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct making *m = (struct making *)work;
	struct snapshots *sn = m->service->snapshots;
	struct str id = STR_NONE;

	if (committed && m->inserted)
		jobs_build(sn, &m->row);
	if (committed && m->wait_s > 0 && (out->status == 200 || out->status == 202))
		id = answered_id(m, out);
	if (id.p) {
		*keep = true;
		jobs_wait(sn, work->pending, true, id, out->status == 202 ? WAIT_CREATED : WAIT_TOLD, m->wait_s);
	}
	making_free(m);
}

void *making_new(size_t size, struct service *s, struct str dataset, int wait_s, const struct origin_key *origin,
                 struct pending *p)
{
	struct making *m = heap_zalloc(1, size);

	m->service = s;
	m->wait_s = wait_s;
	m->dataset = arena_str(&m->arena, dataset);
	m->work.node.weight = WEIGHT_ALONE;
	m->work.pending = p;
	m->work.apply = apply;
	m->work.settled = settled;
	work_origin(&m->work, &m->arena, origin);
	return m;
}

void making_submit(struct making *m)
{
	writer_submit(m->service, &m->work);
}

void making_refuse(struct making *m, const struct err *e)
{
	pending_fail(m->work.pending, e);
	making_free(m);
}
