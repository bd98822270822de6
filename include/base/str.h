/* str.h - a borrowed piece of bytes.
 *
 * A `struct str` never owns what it points to: the arena, the buffer or the
 * mapped file does. Bytes are not NUL-terminated and may be any length that
 * fits memory. `p == NULL` means absent, which is not the same as empty. */
#ifndef PREFD_BASE_STR_H
#define PREFD_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
	const char *p; /* NULL: absent */
	size_t n;      /* bytes */
};

#define STR_NONE ((struct str){NULL, 0})
/* A string literal as a str. */
#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
/* For printf's "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *z)
{
	return (struct str){z, z ? strlen(z) : 0};
}

/* Byte order, the only order prefd knows: a shorter prefix comes first. */
static inline int str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Without blanks and tabs at both ends. */
struct str str_trim(struct str s);
/* What stands before the next `stop`, trimmed; the rest keeps what is behind
 * it. For `while (rest.n > 0)`. */
struct str str_cut(struct str *rest, char stop);

#endif
