#include "tasks.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/split.h"
#include "client.h"

void tasks_init(struct tasks *t, bool score)
{
	memset(t, 0, sizeof *t);
	t->score = score;
	arena_init(&t->arena);
}

void tasks_release(struct tasks *t)
{
	arena_release(&t->arena);
	buf_release(&t->keys);
}

/* --- what is asked for ------------------------------------------------------------- */

struct loading {
	struct tasks *tasks;
	struct buf *lines;
};

static void add_key(struct tasks *t, struct str id, double index)
{
	const struct task_key key = {arena_str(&t->arena, id), index, false};

	buf_add(&t->keys, &key, sizeof key);
	t->n++;
}

static int on_task(void *ctx, uint64_t number, struct str row, struct err *e)
{
	struct loading *l = ctx;
	struct tasks *t = l->tasks;
	const struct json *v = json_parse(&t->arena, row, JSON_DEPTH_MAX, e);
	const struct json *about = v ? json_get(v, t->score ? "response" : "prompt") : NULL;
	const struct json *indices = v ? json_get(v, "indices") : NULL;
	struct str id = cli_text(about, "id");

	(void)number;
	if (id.p == NULL || (!t->score && indices == NULL))
		return err_set(e, P_INTERNAL, "the server's tasks are not as prefd's");
	if (t->score)
		add_key(t, id, -1);
	else
		for (const struct json *i = json_first(indices); i; i = json_next(i))
			add_key(t, id, json_number(i));
	json_compact(l->lines, row);
	buf_byte(l->lines, '\n');
	return 0;
}

static int key_order(const void *a, const void *b)
{
	const struct task_key *x = a, *y = b;
	int c = str_cmp(x->id, y->id);

	return c ? c : (x->index > y->index) - (x->index < y->index);
}

int tasks_load(struct tasks *t, struct str array, struct buf *lines, struct err *e)
{
	struct loading l = {t, lines};
	struct split split;
	int rc;

	arena_reset(&t->arena);
	buf_clear(&t->keys);
	t->n = t->left = 0;
	split_init(&split, SPLIT_JSON, array.n, on_task, &l);
	rc = split_feed(&split, array.p, array.n, e);
	if (rc == 0)
		rc = split_end(&split, e);
	split_release(&split);
	if (t->n > 0)
		qsort(t->keys.p, t->n, sizeof(struct task_key), key_order);
	t->left = t->n;
	return rc;
}

/* --- what is answered ----------------------------------------------------------------- */

static int no_task(const struct task_key *key, bool score, const char *what, struct err *e)
{
	if (score)
		return err_set(e, P_BAD_REQUEST, "response %.*s %s", STR_ARG(key->id), what);
	return err_set(e, P_BAD_REQUEST, "prompt %.*s, index %g %s", STR_ARG(key->id), key->index, what);
}

static int mark(struct tasks *t, const struct json *row, struct err *e)
{
	struct task_key key = {cli_text(row, t->score ? "response" : "prompt"), -1, false};
	struct task_key *found = NULL;

	if (!t->score)
		key.index = cli_number(row, "index", -1);
	if (key.id.p == NULL || (!t->score && key.index < 0))
		return err_set(e, P_BAD_REQUEST, t->score ? "it names no response" : "it names no prompt and index");
	if (t->n > 0)
		found = bsearch(&key, t->keys.p, t->n, sizeof key, key_order);
	if (found == NULL || found->done)
		return no_task(&key, t->score, found ? "has its result already" : "was not asked for", e);
	found->done = true;
	t->left--;
	return 0;
}

int tasks_done(struct tasks *t, struct str row, struct err *e)
{
	struct arena a;
	const struct json *v;
	int rc;

	arena_init(&a);
	v = json_parse(&a, row, JSON_DEPTH_MAX, e);
	if (v == NULL || json_type(v) != JSON_OBJECT)
		rc = err_set(e, P_BAD_REQUEST, "it is no JSON object: %.60s", row.n ? arena_str(&a, row).p : "");
	else
		rc = mark(t, v, e);
	arena_release(&a);
	return rc;
}
