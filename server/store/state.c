/* state.c - datasets as the running group sees them.
 *
 * A dataset's sequence number and clock live here from the group's first
 * write to its commit; a savepoint remembers where they stood. */
#include "base/heap.h"
#include "inside.h"

static struct state *state_new(struct store *s, struct str name)
{
	struct state *st = heap_zalloc(1, sizeof *st);
	char *p = heap_alloc(name.n + 1);

	memcpy(p, name.p, name.n);
	st->name = (struct str){p, name.n};
	st->fresh = s->in_savepoint;
	st->next = s->states;
	s->states = st;
	return st;
}

static void state_free(struct state *st)
{
	heap_free((char *)st->name.p);
	heap_free(st->range);
	heap_free(st);
}

static int state_load(struct store *s, struct str name, struct state **out, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_DATASET_STATE);
	bind_text(&q, name);
	rc = query_step(&q, e);
	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(e, P_UNKNOWN_DATASET, "there is no dataset \"%.*s\"", STR_ARG(name));
	*out = state_new(s, name);
	(*out)->key = column_int(&q, 0);
	(*out)->seq = (*out)->stored_seq = column_int(&q, 1);
	(*out)->clock = column_int(&q, 2);
	query_close(&q);
	return 0;
}

int state_get(struct store *s, struct str name, struct state **out, struct err *e)
{
	for (struct state *st = s->states; st; st = st->next)
		if (!st->going && str_eq(st->name, name)) {
			*out = st;
			return 0;
		}
	return state_load(s, name, out, e);
}

struct state *state_by_key(struct store *s, int64_t key)
{
	struct state *st = s->states;

	while (st && st->key != key)
		st = st->next;
	return st;
}

void state_ranges_changed(struct store *s, int64_t key)
{
	struct state *st = state_by_key(s, key);

	if (st)
		st->ranges_known = false;
}

static int load_ranges(struct store *s, struct state *st, struct err *e)
{
	struct query q;
	struct buf *b = &s->more;
	int rc;

	buf_clear(b);
	query_open(&q, s, SQL_ATTRIBUTE_LIST);
	bind_int(&q, st->key);
	while ((rc = query_step(&q, e)) == 1) {
		struct range r = {column_int(&q, 0), column_real(&q, 1), column_real(&q, 2)};

		buf_add(b, &r, sizeof r);
	}
	if (rc < 0)
		return -1;
	heap_free(st->range);
	st->range = heap_alloc(b->n + 1);
	memcpy(st->range, buf_view(b).p, b->n);
	st->ranges = (uint32_t)(b->n / sizeof(struct range));
	st->ranges_known = true;
	return 0;
}

int state_range(struct store *s, struct state *st, int64_t attribute, const struct range **range, struct err *e)
{
	*range = NULL;
	if (!st->ranges_known && load_ranges(s, st, e) < 0)
		return -1;
	for (uint32_t i = 0; i < st->ranges; i++)
		if (st->range[i].attribute == attribute)
			*range = &st->range[i];
	return 0;
}

int state_next_key(struct store *s, int64_t *key, struct err *e)
{
	if (s->next_key == INT64_MAX)
		return err_set(e, P_STORAGE_FULL, "there are no keys left");
	*key = s->next_key++;
	return 0;
}

int64_t state_arrival(struct state *st, int64_t now_us)
{
	st->clock = now_us > st->clock ? now_us : st->clock + 1;
	return st->clock;
}

void states_save(struct store *s)
{
	for (struct state *st = s->states; st; st = st->next) {
		st->fresh = false;
		st->saved.seq = st->seq;
		st->saved.clock = st->clock;
		st->saved.going = st->going;
	}
}

void states_restore(struct store *s)
{
	for (struct state **at = &s->states; *at;) {
		struct state *st = *at;

		if (st->fresh) {
			*at = st->next;
			state_free(st);
			continue;
		}
		st->seq = st->saved.seq;
		st->clock = st->saved.clock;
		st->going = st->saved.going;
		st->ranges_known = false; /* they may have been declared in the savepoint */
		at = &st->next;
	}
}

int states_flush(struct store *s, struct err *e)
{
	struct query q;

	for (struct state *st = s->states; st; st = st->next) {
		if (st->seq == st->stored_seq)
			continue;
		query_open(&q, s, SQL_DATASET_SET_STATE);
		bind_int(&q, st->seq);
		bind_int(&q, st->clock);
		bind_int(&q, st->key);
		if (query_run(&q, e) < 0)
			return -1;
	}
	return 0;
}

void states_drop(struct store *s)
{
	while (s->states) {
		struct state *next = s->states->next;

		state_free(s->states);
		s->states = next;
	}
}
