#include "words.h"

#include <strings.h>

bool same_word(struct str a, const char *b)
{
	return a.p != NULL && a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}

struct str words_trim(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

struct str words_cut(struct str *rest, char stop)
{
	const char *at = rest->n ? memchr(rest->p, stop, rest->n) : NULL;
	struct str front = {rest->p, at ? (size_t)(at - rest->p) : rest->n};

	rest->p += front.n + (at != NULL);
	rest->n -= front.n + (at != NULL);
	return words_trim(front);
}
