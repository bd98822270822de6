#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/heap.h"

enum { FIRST_BYTES = 256 };

void buf_init(struct buf *b)
{
	*b = BUF_INIT;
}

void buf_release(struct buf *b)
{
	heap_free(b->p);
	*b = BUF_INIT;
}

char *buf_room(struct buf *b, size_t n)
{
	if (b->cap - b->n < n) {
		size_t cap = b->cap ? b->cap : FIRST_BYTES;

		while (cap - b->n < n)
			cap *= 2;
		b->p = heap_realloc(b->p, cap);
		b->cap = cap;
	}
	return b->p + b->n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(buf_room(b, n), p, n);
	b->n += n;
}

void buf_z(struct buf *b, const char *z)
{
	buf_add(b, z, strlen(z));
}

void buf_byte(struct buf *b, char c)
{
	*buf_room(b, 1) = c;
	b->n++;
}

void buf_uint(struct buf *b, uint64_t v)
{
	char digits[20], *p = digits + sizeof digits;

	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	buf_add(b, p, (size_t)(digits + sizeof digits - p));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	vsnprintf(buf_room(b, (size_t)n + 1), (size_t)n + 1, fmt, again);
	va_end(again);
	b->n += (size_t)n;
}

void buf_shift(struct buf *b, size_t n)
{
	b->n -= n;
	if (b->n > 0)
		memmove(b->p, b->p + n, b->n);
}
