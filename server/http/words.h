/* words.h - header values, taken apart. Pure. */
#ifndef PREFD_HTTP_WORDS_H
#define PREFD_HTTP_WORDS_H

#include <stdbool.h>
#include "base/str.h"

/* Header names and media types are ASCII, compared without regard to case.
 * False when a is absent. */
bool same_word(struct str a, const char *b);

#endif
