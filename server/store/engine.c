/* engine.c - engines as rows; a round's responses that none has scored yet. */
#include "store/engine.h"

#include "round_inside.h"

static int unknown(struct str id, struct err *e)
{
	return err_set(e, P_UNKNOWN_ENGINE, "there is no engine \"%.*s\"", STR_ARG(id));
}

/* A row of ENGINE_COLUMNS. */
static void read_row(struct arena *a, struct query *q, struct engine_row *r)
{
	*r = (struct engine_row){
		.id = arena_str(a, column_text(q, 0)),
		.kind = (enum engine_kind)column_int(q, 1),
		.url = arena_str(a, column_text(q, 2)),
		.model = arena_str(a, column_text(q, 3)),
		.max_in_flight = (uint32_t)column_int(q, 4),
	};
}

int store_engine_get(struct store *s, struct arena *a, struct str id, struct engine_row *out, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_ENGINE_GET);
	bind_text(&q, id);
	rc = query_step(&q, e);
	if (rc <= 0)
		return rc < 0 ? -1 : unknown(id, e);
	read_row(a, &q, out);
	query_close(&q);
	return 0;
}

int store_engine_list(struct store *s, struct arena *a, struct str after, uint32_t limit,
                      struct engine_row **out, uint32_t *n, struct err *e)
{
	struct query q;
	int rc;

	if (limit > PAGE_MAX)
		limit = PAGE_MAX;
	*n = 0;
	*out = ARENA_ARRAY(a, struct engine_row, limit);
	query_open(&q, s, SQL_ENGINE_LIST);
	bind_text(&q, after.p ? after : STR(""));
	bind_int(&q, limit);
	while ((rc = query_step(&q, e)) == 1)
		read_row(a, &q, &(*out)[(*n)++]);
	return rc;
}

/* 1 found, 0 not, -1. */
static int is_there(struct store *s, struct str id, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_ENGINE_GET);
	bind_text(&q, id);
	rc = query_step(&q, e);
	query_close(&q);
	return rc;
}

int store_engine_put(struct store *s, const struct engine_row *row, bool *created, struct err *e)
{
	struct query q;
	int rc = tx_writing(s, e) < 0 ? -1 : is_there(s, row->id, e);

	if (rc < 0)
		return -1;
	*created = rc == 0;
	query_open(&q, s, SQL_ENGINE_PUT);
	bind_text(&q, row->id);
	bind_int(&q, row->kind);
	bind_text(&q, row->url);
	bind_text(&q, row->model);
	bind_int(&q, row->max_in_flight);
	return query_run(&q, e);
}

int store_engine_delete(struct store *s, struct str id, struct err *e)
{
	struct query q;
	int rc = tx_writing(s, e) < 0 ? -1 : is_there(s, id, e);

	if (rc <= 0)
		return rc < 0 ? -1 : unknown(id, e);
	query_open(&q, s, SQL_ENGINE_DELETE);
	bind_text(&q, id);
	return query_run(&q, e);
}

/* --- what a round wants scored ------------------------------------------------------ */

/* Key 0: STR_NONE. */
static int get_ids(struct store *s, struct arena *a, int64_t key, struct str *out, struct err *e)
{
	*out = STR_NONE;
	return key ? text_get(s, a, key, out, e) : 0;
}

static int add_prompt(struct store *s, struct arena *a, const struct round_known *k, int model, int64_t prompt,
                      int64_t token_ids, struct buf *found, size_t *bytes, struct err *e)
{
	struct unscored_response u = {.id = STR_NONE};
	struct seen *seen;
	uint32_t n;

	if (round_see(s, a, k, prompt, SEQ_LATEST, &seen, &n, e) < 0 ||
	    get_ids(s, a, token_ids, &u.prompt_token_ids, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		if (!seen[i].valid || seen[i].r.scored[model])
			continue;
		u.id = seen[i].r.id;
		if (get_ids(s, a, seen[i].token_ids, &u.token_ids, e) < 0)
			return -1;
		buf_add(found, &u, sizeof u);
		*bytes += u.prompt_token_ids.n + u.token_ids.n;
	}
	return 0;
}

static int read_page(struct store *s, struct arena *a, const struct round_known *k, int model, struct str after,
                     uint32_t prompts, struct buf *found, struct str *last, struct err *e)
{
	size_t bytes = 0;
	struct query q;
	int rc;

	query_open(&q, s, SQL_ROUND_UNSCORED);
	bind_int(&q, k->row.key);
	bind_text(&q, after.p ? after : STR(""));
	bind_int(&q, model);
	bind_int(&q, prompts);
	while ((rc = query_step(&q, e)) == 1) {
		*last = arena_str(a, column_text(&q, 0));
		rc = add_prompt(s, a, k, model, column_int(&q, 1), column_null(&q, 2) ? 0 : column_int(&q, 2), found,
		                &bytes, e);
		if (rc < 0 || bytes >= UNSCORED_PAGE_BYTES) {
			query_close(&q);
			return rc;
		}
	}
	return rc;
}

int store_round_unscored(struct store *s, struct arena *a, const struct round_row *r, int model, struct str after,
                         uint32_t prompts, struct unscored_response **out, uint32_t *n, struct str *last,
                         struct err *e)
{
	struct round_known k = {.row = *r};
	struct buf found = BUF_INIT;
	bool begun;
	int rc;

	*last = STR_NONE;
	*out = NULL;
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	rc = name_find(s, r->policy, &k.model[0], e);
	if (rc == 0)
		rc = name_find(s, r->reference, &k.model[1], e);
	if (rc == 0)
		rc = read_page(s, a, &k, model, after, prompts, &found, last, e);
	tx_read_end(s, begun);
	*n = (uint32_t)(found.n / sizeof **out);
	if (*n > 0) {
		*out = arena_alloc(a, found.n);
		memcpy(*out, found.p, found.n);
	}
	buf_release(&found);
	return rc;
}
