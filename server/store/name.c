/* name.c - judges, models and attributes as numbers. */
#include "base/hash.h"
#include "base/heap.h"
#include "inside.h"

static struct name_slot *slot_by_name(struct store *s, struct str name)
{
	return &s->by_name[xxh3(name.p, name.n) % NAME_SLOTS];
}

static struct name_slot *slot_by_key(struct store *s, int64_t key)
{
	return &s->by_key[(uint64_t)key % NAME_SLOTS];
}

static void slot_set(struct name_slot *slot, int64_t key, struct str name)
{
	char *p = heap_alloc(name.n + 1);

	memcpy(p, name.p, name.n);
	p[name.n] = '\0';
	heap_free((char *)slot->name.p);
	*slot = (struct name_slot){key, {p, name.n}};
}

static void slot_clear(struct name_slot *slot)
{
	heap_free((char *)slot->name.p);
	*slot = (struct name_slot){0, STR_NONE};
}

void names_drop(struct store *s)
{
	for (int i = 0; i < NAME_SLOTS; i++) {
		slot_clear(&s->by_name[i]);
		slot_clear(&s->by_key[i]);
	}
}

int name_find(struct store *s, struct str name, int64_t *key, struct err *e)
{
	struct name_slot *slot;
	struct query q;
	int rc;

	*key = 0;
	if (name.p == NULL)
		return 0;
	slot = slot_by_name(s, name);
	if (slot->key && str_eq(slot->name, name)) {
		*key = slot->key;
		return 0;
	}
	query_open(&q, s, SQL_NAME_KEY);
	bind_text(&q, name);
	rc = query_step(&q, e);
	if (rc <= 0) {
		*key = -1;
		return rc;
	}
	*key = column_int(&q, 0);
	query_close(&q);
	slot_set(slot, *key, name);
	return 0;
}

int name_intern(struct store *s, struct str name, int64_t *key, struct err *e)
{
	struct query q;

	if (name_find(s, name, key, e) < 0)
		return -1;
	if (*key >= 0)
		return 0;
	query_open(&q, s, SQL_NAME_INSERT);
	bind_text(&q, name);
	if (query_run(&q, e) < 0)
		return -1;
	*key = sqlite3_last_insert_rowid(s->db);
	s->names_new = true;
	slot_set(slot_by_name(s, name), *key, name);
	return 0;
}

int name_text(struct store *s, struct arena *a, int64_t key, struct str *name, struct err *e)
{
	struct name_slot *slot = slot_by_key(s, key);
	struct query q;
	int rc;

	*name = STR_NONE;
	if (key == 0)
		return 0;
	if (slot->key != key) {
		query_open(&q, s, SQL_NAME_TEXT);
		bind_int(&q, key);
		rc = query_step(&q, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			return err_set(e, P_INTERNAL, "the database has lost a name");
		slot_set(slot, key, column_text(&q, 0));
		query_close(&q);
	}
	*name = arena_str(a, slot->name);
	return 0;
}
