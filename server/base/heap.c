#include "base/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void heap_exhausted(size_t n)
{
	fprintf(stderr, "prefd: out of memory (%zu bytes)\n", n);
	abort();
}

static void *must(void *p, size_t n)
{
	if (p == NULL && n > 0)
		heap_exhausted(n);
	return p;
}

void *heap_alloc(size_t n)
{
	return must(malloc(n), n);
}

void *heap_zalloc(size_t count, size_t size)
{
	return must(calloc(count, size), count * size);
}

void *heap_realloc(void *p, size_t n)
{
	return must(realloc(p, n), n);
}

char *heap_strdup(const char *z)
{
	return must(strdup(z), 1);
}

void heap_free(void *p)
{
	free(p);
}
