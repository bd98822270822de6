/* json_keys.h - the keys of the objects that a scan has open, as a stack.
 *
 * An object's keys are compared when it closes: a few by pairs, many sorted,
 * so that no choice of keys makes the scan slow. */
#ifndef PREFD_BASE_JSON_KEYS_H
#define PREFD_BASE_JSON_KEYS_H

#include "base/arena.h"

enum { KEYS_INLINE = 64 }; /* more than a usual row has open at once: no heap */

struct key {
	struct str name; /* without escapes */
	const char *raw; /* where it stands in the text, behind the quote */
};

struct keys {
	struct key *list;
	size_t n, cap;
	struct arena bytes; /* names that had escapes; goes with the keys */
	struct key few[KEYS_INLINE];
};

void keys_init(struct keys *k);
void keys_release(struct keys *k);
/* raw: the scanned text between the quotes; escaped: there is a backslash in it. */
void keys_push(struct keys *k, struct str raw, bool escaped);
/* Whether of the keys from `first` up two are equal. Then the second of them
 * stands last; otherwise their order is lost, as they are about to go. */
bool keys_twice(struct keys *k, size_t first);

#endif
