#include "store/snapshot.h"

#include "inside.h"
#include "store/read.h"

static void read_row(struct query *q, struct arena *a, struct snapshot_row *r)
{
	*r = (struct snapshot_row){
		.id = arena_str(a, column_text(q, 0)),
		.name = arena_str(a, column_text(q, 1)),
		.dataset = arena_str(a, column_text(q, 2)),
		.dataset_key = column_int(q, 3),
		.seq = column_int(q, 4),
		.state = (enum snapshot_state)column_int(q, 5),
		.posted = arena_str(a, column_text(q, 6)),
		.recipe = arena_str(a, column_text(q, 7)),
		.revision = arena_str(a, column_text(q, 8)),
		.result = arena_str(a, column_text(q, 9)),
		.problem = arena_str(a, column_text(q, 10)),
		.bytes = column_int(q, 11),
		.created_at = column_int(q, 12),
		.round = arena_str(a, column_text(q, 13)),
	};
}

/* 1 found, 0 not, -1. */
static int find(struct store *s, struct arena *a, struct str id, struct snapshot_row *out, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_SNAPSHOT_GET);
	bind_text(&q, id);
	rc = query_step(&q, e);
	if (rc == 1) {
		read_row(&q, a, out);
		query_close(&q);
	}
	return rc;
}

int store_snapshot_get(struct store *s, struct arena *a, struct str id, struct snapshot_row *out, struct err *e)
{
	int rc = find(s, a, id, out, e);

	if (rc == 0)
		return err_set(e, P_UNKNOWN_SNAPSHOT, "there is no snapshot \"%.*s\"", STR_ARG(id));
	return rc < 0 ? -1 : 0;
}

/* Everything is bound but the limit, which comes last. */
static int read_rows(struct query *q, struct arena *a, uint32_t limit, struct snapshot_row **out, uint32_t *n,
                     struct err *e)
{
	int rc;

	*n = 0;
	*out = ARENA_ARRAY(a, struct snapshot_row, limit);
	bind_int(q, limit);
	while ((rc = query_step(q, e)) == 1)
		read_row(q, a, &(*out)[(*n)++]);
	return rc;
}

int store_snapshot_list(struct store *s, struct arena *a, int64_t dataset_key, struct str after, uint32_t limit,
                        struct snapshot_row **out, uint32_t *n, struct err *e)
{
	struct query q;

	query_open(&q, s, dataset_key ? SQL_SNAPSHOT_LIST_DATASET : SQL_SNAPSHOT_LIST);
	if (dataset_key)
		bind_int(&q, dataset_key);
	bind_text(&q, after.p ? after : STR(""));
	return read_rows(&q, a, limit > PAGE_MAX ? PAGE_MAX : limit, out, n, e);
}

int store_snapshot_in_state(struct store *s, struct arena *a, enum snapshot_state state, struct str after,
                            struct snapshot_row **out, uint32_t *n, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_SNAPSHOT_IN_STATE);
	bind_int(&q, state);
	bind_text(&q, after.p ? after : STR(""));
	return read_rows(&q, a, PAGE_MAX, out, n, e);
}

int store_snapshot_of_round(struct store *s, struct arena *a, struct str round, struct str **out, uint32_t *n,
                            struct err *e)
{
	struct buf found = BUF_INIT;
	struct query q;
	int rc;

	query_open(&q, s, SQL_SNAPSHOT_OF_ROUND);
	bind_text(&q, round);
	while ((rc = query_step(&q, e)) == 1) {
		struct str id = arena_str(a, column_text(&q, 0));

		buf_add(&found, &id, sizeof id);
	}
	*n = (uint32_t)(found.n / sizeof **out);
	*out = ARENA_ARRAY(a, struct str, *n);
	if (*n > 0)
		memcpy(*out, found.p, found.n);
	buf_release(&found);
	return rc;
}

int store_snapshot_users(struct store *s, struct str revision, int64_t *n, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_SNAPSHOT_USERS);
	bind_text(&q, revision);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	*n = column_int(&q, 0);
	query_close(&q);
	return 0;
}

/* Inside a transaction: there lives until the next such call. 1 found, 0 not, -1. */
static int find_to_write(struct store *s, struct str id, struct snapshot_row *there, struct err *e)
{
	if (tx_writing(s, e) < 0)
		return -1;
	arena_reset(&s->scratch);
	return find(s, &s->scratch, id, there, e);
}

int store_snapshot_insert(struct store *s, const struct snapshot_row *row, struct err *e)
{
	struct snapshot_row there;
	struct query q;
	int rc = find_to_write(s, row->id, &there, e);

	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, P_CONFLICT, "the id \"%.*s\" was used before", STR_ARG(row->id));
	query_open(&q, s, SQL_SNAPSHOT_INSERT);
	bind_text(&q, row->id);
	bind_text(&q, row->name);
	bind_text(&q, row->dataset);
	bind_int(&q, row->dataset_key);
	bind_int(&q, row->seq);
	bind_int(&q, row->state);
	bind_text(&q, row->posted);
	bind_text(&q, row->recipe);
	bind_text(&q, row->revision);
	bind_text(&q, row->result);
	bind_text(&q, row->problem);
	bind_int(&q, row->bytes);
	bind_int(&q, row->created_at);
	bind_text(&q, row->round);
	return query_run(&q, e);
}

static bool may_become(enum snapshot_state from, enum snapshot_state to)
{
	switch (to) {
	case SNAPSHOT_READY:
	case SNAPSHOT_FAILED:
		return from == SNAPSHOT_BUILDING;
	case SNAPSHOT_REVOKED:
		return from != SNAPSHOT_REVOKED && from != SNAPSHOT_DELETED;
	case SNAPSHOT_DELETED:
		return from != SNAPSHOT_DELETED;
	case SNAPSHOT_BUILDING:
		break;
	}
	return false;
}

int store_snapshot_settle(struct store *s, const struct snapshot_row *row, struct err *e)
{
	struct snapshot_row there;
	struct query q;
	int rc = find_to_write(s, row->id, &there, e);

	if (rc <= 0)
		return rc;
	if (!may_become(there.state, row->state))
		return 0;
	query_open(&q, s, SQL_SNAPSHOT_SETTLE);
	bind_int(&q, row->state);
	bind_text(&q, row->revision);
	bind_text(&q, row->result);
	bind_text(&q, row->problem);
	bind_int(&q, row->bytes);
	bind_text(&q, row->id);
	return query_run(&q, e) < 0 ? -1 : 1;
}
