#include "inside.h"
#include "store/read.h"

int text_put(struct store *s, struct str body, int64_t *key, struct err *e)
{
	struct query q;

	if (state_next_key(s, key, e) < 0)
		return -1;
	query_open(&q, s, SQL_TEXT_INSERT);
	bind_int(&q, *key);
	bind_text(&q, body);
	return query_run(&q, e);
}

int text_get(struct store *s, struct arena *a, int64_t key, struct str *body, struct err *e)
{
	struct query q;
	int rc;

	*body = STR_NONE;
	query_open(&q, s, SQL_TEXT_GET);
	bind_int(&q, key);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, P_GONE, "the text was deleted");
	*body = arena_str(a, column_blob(&q, 0));
	query_close(&q);
	return 0;
}

enum { TEXT_HOPS_MAX = 8 }; /* rows passed over: dearer than that is a look-up */

/* To the first text at or behind `key`. *at: where q stood (0: nowhere), and stands. */
static int text_seek(struct query *q, struct store *s, int64_t key, int64_t *at, struct err *e)
{
	int rc = 1;

	for (int hops = 0; rc == 1 && *at > 0 && *at < key; hops++) {
		rc = hops < TEXT_HOPS_MAX ? query_step(q, e) : 0;
		*at = rc == 1 ? column_int(q, 0) : 0;
	}
	if (rc < 0 || *at > 0)
		return rc < 0 ? -1 : 0;
	query_close(q);
	query_open(q, s, SQL_TEXT_FROM);
	bind_int(q, key);
	rc = query_step(q, e);
	*at = rc == 1 ? column_int(q, 0) : 0;
	return rc < 0 ? -1 : 0;
}

int store_texts(struct store *s, struct arena *a, const int64_t *key, size_t n, struct str *out, struct err *e)
{
	struct query q;
	int64_t at = 0;
	int rc = 0;

	query_open(&q, s, SQL_TEXT_FROM);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = text_seek(&q, s, key[i], &at, e);
		if (rc == 0 && at != key[i])
			rc = err_set(e, P_GONE, "the text was deleted");
		if (rc == 0)
			out[i] = arena_str(a, column_blob(&q, 1));
	}
	query_close(&q);
	return rc;
}
