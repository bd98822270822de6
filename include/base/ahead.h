/* ahead.h - asking the memory for what is read soon. */
#ifndef PREFD_BASE_AHEAD_H
#define PREFD_BASE_AHEAD_H

#include <stddef.h>

enum { AHEAD_LINE_BYTES = 64 }; /* of the processor's cache */

/* n bytes from p on, which need not be readable. The empty statement keeps the
 * compiler from seeing a function without effect, whose calls it drops. */
static inline void ahead(const void *p, size_t n)
{
	for (size_t at = 0; at < n; at += AHEAD_LINE_BYTES) {
		__builtin_prefetch((const char *)p + at);
		__asm__ volatile("");
	}
}

#endif
