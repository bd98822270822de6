/* side.h - a file without a name, for what a build puts by.
 *
 * Bytes are appended through a buffer, then read back or mapped; what is
 * mapped is shared with the file, so the process's own memory does not grow
 * with it. Its bytes end with the build. One thread at a time appends; sealed,
 * it may be read by another. */
#ifndef PREFD_SERVICE_SIDE_H
#define PREFD_SERVICE_SIDE_H

#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

struct side {
	int fd; /* -1: not open */
	struct buf pending; /* appended, not yet written */
	uint64_t written;
	void *map;
};

/* All: P_STORAGE_FULL when there is no room, else P_INTERNAL. */
int side_open(struct side *s, const char *dir, struct err *e);
/* Where the next byte goes. */
static inline uint64_t side_at(const struct side *s)
{
	return s->written + s->pending.n;
}
int side_add(struct side *s, const void *p, size_t n, struct err *e);
/* Writes what waits. */
int side_seal(struct side *s, struct err *e);
/* n bytes from `at`, which are there. */
int side_read(const struct side *s, void *p, size_t n, uint64_t at, struct err *e);
/* All of a sealed one, to read and write; NULL when it is empty. */
int side_map(struct side *s, void **out, struct err *e);
/* Also of one that is closed. */
void side_close(struct side *s);

#endif
