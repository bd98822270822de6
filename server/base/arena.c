#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>

#include "base/heap.h"

/* The first block with its header is one that malloc keeps at hand (up to 1032
 * bytes): most requests need no other. */
enum { FIRST_BYTES = 992, BLOCK_BYTES = 16 * 1024 };

struct arena_block {
	struct arena_block *next;
	size_t size; /* bytes behind this header */
	size_t used;
	size_t pad;
};
_Static_assert(sizeof(struct arena_block) % 16 == 0, "data behind the header must stay 16-aligned");

static size_t round16(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

static char *block_data(struct arena_block *b)
{
	return (char *)(b + 1);
}

static struct arena_block *block_new(size_t size, struct arena_block *next)
{
	struct arena_block *b = heap_alloc(sizeof *b + size);

	b->next = next;
	b->size = size;
	b->used = 0;
	return b;
}

void arena_init(struct arena *a)
{
	a->head = NULL;
	a->used = 0;
}

void arena_release(struct arena *a)
{
	while (a->head) {
		struct arena_block *next = a->head->next;

		heap_free(a->head);
		a->head = next;
	}
	a->used = 0;
}

void arena_reset(struct arena *a)
{
	/* Keep an ordinary block, rather than the small first one; a block made
	 * for one large piece goes. */
	struct arena_block *kept = NULL;

	while (a->head) {
		struct arena_block *next = a->head->next;

		if (kept == NULL && a->head->size == BLOCK_BYTES)
			kept = a->head;
		else
			heap_free(a->head);
		a->head = next;
	}
	if (kept) {
		kept->next = NULL;
		kept->used = 0;
	}
	a->head = kept;
	a->used = 0;
}

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;
	size_t need = round16(n ? n : 1);
	void *p;

	if (b == NULL || b->size - b->used < need) {
		if (need > BLOCK_BYTES / 4 && b != NULL) {
			/* A large piece gets a block behind the head, so that the
			 * head's room is not wasted. */
			b->next = block_new(need, b->next);
			b = b->next;
		} else {
			size_t ordinary = b == NULL ? FIRST_BYTES : BLOCK_BYTES;

			b = block_new(need > ordinary ? need : ordinary, b);
			a->head = b;
		}
	}
	p = block_data(b) + b->used;
	b->used += need;
	a->used += need;
	return p;
}

void *arena_zalloc(struct arena *a, size_t count, size_t size)
{
	void *p = arena_alloc(a, count * size);

	memset(p, 0, count * size);
	return p;
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p;

	if (s.p == NULL)
		return STR_NONE;
	p = arena_alloc(a, s.n + 1);
	memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct str){p, s.n};
}

char *arena_strdup(struct arena *a, const char *z)
{
	return (char *)arena_str(a, str_of(z)).p;
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = arena_alloc(a, (size_t)n + 1);
	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return (struct str){p, (size_t)n};
}
