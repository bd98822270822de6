/* heap.h - malloc for memory whose lifetime no arena fits.
 *
 * None of these returns NULL: an exhausted heap is logged and the process
 * aborts, as a daemon that promises durability must rather stop than guess. */
#ifndef PREFD_BASE_HEAP_H
#define PREFD_BASE_HEAP_H

#include <stddef.h>

void *heap_alloc(size_t n);
void *heap_zalloc(size_t count, size_t size);
void *heap_realloc(void *p, size_t n);
char *heap_strdup(const char *z);
void heap_free(void *p);
/* The same end, for a library whose failure could be taken for data. */
_Noreturn void heap_exhausted(size_t n);

#endif
