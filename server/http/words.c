#include "words.h"

#include <strings.h>

bool same_word(struct str a, const char *b)
{
	return a.p != NULL && a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}
