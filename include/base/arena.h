/* arena.h - memory by lifetime.
 *
 * An arena hands out memory that is freed all at once: one per request, one
 * per job, one per row. It belongs to one thread at a time.
 *
 * Allocation never fails halfway: when the heap is exhausted the process logs
 * and aborts (base/heap.c), so no caller checks for NULL. What a client could
 * make large is bounded before it is allocated, never here. */
#ifndef PREFD_BASE_ARENA_H
#define PREFD_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *head; /* newest block; NULL when empty */
	size_t used;              /* bytes handed out since the last reset */
};

void arena_init(struct arena *a);
/* Frees everything. The arena may be used again. */
void arena_release(struct arena *a);
/* Forgets everything but keeps one block for the next row. */
void arena_reset(struct arena *a);

/* n bytes, 16-aligned, uninitialised. */
void *arena_alloc(struct arena *a, size_t n);
/* count * size bytes, zeroed. */
void *arena_zalloc(struct arena *a, size_t count, size_t size);
/* A copy with a NUL behind it (not counted in n). STR_NONE stays STR_NONE. */
struct str arena_str(struct arena *a, struct str s);
char *arena_strdup(struct arena *a, const char *z);
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull(2)));

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), 1, sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), (n), sizeof(type)))

#endif
