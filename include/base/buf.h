/* buf.h - bytes that grow.
 *
 * A buffer owns its bytes from buf_init to buf_release. It belongs to one
 * thread at a time. Like all heap memory here it never fails to grow. */
#ifndef PREFD_BASE_BUF_H
#define PREFD_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

struct buf {
	char *p;    /* NULL while nothing was written */
	size_t n;   /* bytes in use */
	size_t cap; /* bytes owned */
};

#define BUF_INIT ((struct buf){NULL, 0, 0})

void buf_init(struct buf *b);
void buf_release(struct buf *b);
/* Empty, but keeps the memory. */
static inline void buf_clear(struct buf *b)
{
	b->n = 0;
}
/* Room for n more bytes; returns where they go. The caller adds to b->n. */
char *buf_room(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *p, size_t n);
static inline void buf_str(struct buf *b, struct str s)
{
	buf_add(b, s.p, s.n);
}
#define buf_lit(b, lit) buf_add((b), "" lit, sizeof(lit) - 1)
void buf_z(struct buf *b, const char *z);
void buf_byte(struct buf *b, char c);
void buf_uint(struct buf *b, uint64_t v); /* in decimal */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3), nonnull(2)));
/* Drops the first n bytes; the rest moves to the front. */
void buf_shift(struct buf *b, size_t n);
static inline struct str buf_view(const struct buf *b)
{
	return (struct str){b->p ? b->p : "", b->n};
}

#endif
