#include "json_keys.h"

#include <stdlib.h>

#include "base/heap.h"
#include "json_inside.h"

enum { PAIRWISE_MAX = 16 };

void keys_init(struct keys *k)
{
	k->list = k->few;
	k->n = 0;
	k->cap = KEYS_INLINE;
	arena_init(&k->bytes);
}

void keys_release(struct keys *k)
{
	if (k->list != k->few)
		heap_free(k->list);
	arena_release(&k->bytes);
}

static void grow(struct keys *k)
{
	struct key *more = heap_realloc(k->list == k->few ? NULL : k->list, 2 * k->cap * sizeof *more);

	if (k->list == k->few)
		memcpy(more, k->few, sizeof k->few);
	k->list = more;
	k->cap *= 2;
}

void keys_push(struct keys *k, struct str raw, bool escaped)
{
	struct str name = raw;

	if (escaped) {
		char *out = arena_alloc(&k->bytes, raw.n);

		name = (struct str){out, json_unescape(raw, out)};
	}
	if (k->n == k->cap)
		grow(k);
	k->list[k->n++] = (struct key){name, raw.p};
}

/* By length and bytes, of equals the earlier first. */
static int order(const void *a, const void *b)
{
	const struct key *k = a, *l = b;
	int c;

	if (k->name.n != l->name.n)
		return k->name.n < l->name.n ? -1 : 1;
	c = memcmp(k->name.p, l->name.p, k->name.n);
	return c ? c : (k->raw > l->raw) - (k->raw < l->raw);
}

static const struct key *find_twice(struct key *list, size_t n)
{
	if (n > PAIRWISE_MAX) {
		qsort(list, n, sizeof *list, order);
		for (size_t i = 1; i < n; i++)
			if (str_eq(list[i - 1].name, list[i].name))
				return &list[i];
		return NULL;
	}
	for (size_t i = 1; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (str_eq(list[i].name, list[j].name))
				return &list[i];
	return NULL;
}

bool keys_twice(struct keys *k, size_t first)
{
	const struct key *twice = find_twice(k->list + first, k->n - first);

	if (twice)
		k->list[k->n - 1] = *twice;
	return twice != NULL;
}
