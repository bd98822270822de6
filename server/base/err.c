#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
	int status;
	const char *slug, *title;
} table[PROBLEM_COUNT] = {
#define X(name, status, slug, title) [P_##name] = {status, slug, title},
	PROBLEMS(X)
#undef X
};

int problem_status(enum problem p)
{
	return table[p].status;
}

const char *problem_slug(enum problem p)
{
	return table[p].slug;
}

const char *problem_title(enum problem p)
{
	return table[p].title;
}

enum problem problem_by_slug(struct str slug)
{
	for (int p = 0; p < PROBLEM_COUNT; p++)
		if (str_eq(slug, str_of(table[p].slug)))
			return (enum problem)p;
	return P_NONE;
}

/* A detail may quote a client's text: never leave half a code point behind. */
static void trim_utf8(char *z, size_t cap)
{
	size_t n = strlen(z);

	if (n + 1 < cap)
		return;
	while (n > 0 && ((unsigned char)z[n - 1] & 0xC0) == 0x80)
		n--;
	if (n > 0 && (unsigned char)z[n - 1] >= 0xC0)
		n--;
	z[n] = '\0';
}

static int fill(struct err *e, enum problem p, const char *pointer, const char *fmt, va_list ap)
{
	e->problem = p;
	snprintf(e->pointer, sizeof e->pointer, "%s", pointer);
	trim_utf8(e->pointer, sizeof e->pointer);
	vsnprintf(e->detail, sizeof e->detail, fmt, ap);
	trim_utf8(e->detail, sizeof e->detail);
	return -1;
}

int err_set(struct err *e, enum problem p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, p, "", fmt, ap);
	va_end(ap);
	return -1;
}

int err_at(struct err *e, enum problem p, const char *pointer, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fill(e, p, pointer, fmt, ap);
	va_end(ap);
	return -1;
}

int err_under(struct err *e, const char *prefix, ...)
{
	char front[sizeof e->pointer], whole[2 * sizeof e->pointer];
	va_list ap;

	va_start(ap, prefix);
	vsnprintf(front, sizeof front, prefix, ap);
	va_end(ap);
	snprintf(whole, sizeof whole, "%s%s", front, e->pointer);
	whole[sizeof e->pointer - 1] = '\0';
	memcpy(e->pointer, whole, sizeof e->pointer);
	trim_utf8(e->pointer, sizeof e->pointer);
	return -1;
}
