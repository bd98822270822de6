/* words.h - header values, taken apart. Pure. */
#ifndef PREFD_HTTP_WORDS_H
#define PREFD_HTTP_WORDS_H

#include <stdbool.h>
#include "base/str.h"

/* Header names and media types are ASCII, compared without regard to case.
 * False when a is absent. */
bool same_word(struct str a, const char *b);
/* Without blanks and tabs at both ends. */
struct str words_trim(struct str s);
/* What stands before the next `stop`, trimmed; the rest keeps what is behind
 * it. For `while (rest.n > 0)`. */
struct str words_cut(struct str *rest, char stop);

#endif
