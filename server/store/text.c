#include "inside.h"

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
	*body = arena_str(a, column_text(&q, 0));
	query_close(&q);
	return 0;
}
