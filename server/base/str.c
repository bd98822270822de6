#include "base/str.h"

struct str str_trim(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

struct str str_cut(struct str *rest, char stop)
{
	const char *at = rest->n ? memchr(rest->p, stop, rest->n) : NULL;
	struct str front = {rest->p, at ? (size_t)(at - rest->p) : rest->n};

	rest->p += front.n + (at != NULL);
	rest->n -= front.n + (at != NULL);
	return str_trim(front);
}
