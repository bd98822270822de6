/* answer.c - answers of POSTs that came with an Idempotency-Key. */
#include "inside.h"

int store_answer_get(struct store *s, struct arena *a, struct str key, struct store_answer *out, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_ANSWER_GET);
	bind_text(&q, key);
	rc = query_step(&q, e);
	if (rc == 1) {
		column_bytes(&q, 0, out->request_hash, sizeof out->request_hash);
		out->status = (int)column_int(&q, 1);
		out->location = arena_str(a, column_text(&q, 2));
		out->body = arena_str(a, column_text(&q, 3));
		query_close(&q);
	}
	return rc;
}

int store_answer_put(struct store *s, struct str key, const struct store_answer *answer, int64_t now_us, struct err *e)
{
	struct query q;

	if (tx_writing(s, e) < 0)
		return -1;
	query_open(&q, s, SQL_ANSWER_PUT);
	bind_text(&q, key);
	bind_int(&q, now_us);
	bind_blob(&q, answer->request_hash, sizeof answer->request_hash);
	bind_int(&q, answer->status);
	bind_text(&q, answer->location);
	bind_text(&q, answer->body.p ? answer->body : STR(""));
	return query_run(&q, e);
}

int store_answer_purge(struct store *s, int64_t before_us, int limit, struct err *e)
{
	struct query q;

	if (tx_writing(s, e) < 0)
		return -1;
	query_open(&q, s, SQL_ANSWER_PURGE);
	bind_int(&q, before_us);
	bind_int(&q, limit);
	return query_run(&q, e) < 0 ? -1 : sqlite3_changes(s->db);
}
