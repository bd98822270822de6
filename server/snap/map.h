/* map.h - a snapshot file, mapped. Reading may run on many threads at once. */
#ifndef PREFD_SNAP_MAP_H
#define PREFD_SNAP_MAP_H

#include <stdint.h>

#include "base/err.h"
#include "fault.h"

struct map {
	const uint8_t *p; /* NULL: not mapped */
	uint64_t length;  /* bytes, at least SNAP_HEADER_BYTES */
	uint64_t tail;    /* the last eight of them, as they were at first */
	struct fault_watch *watch;
};

/* P_UNKNOWN_SNAPSHOT: there is no such file; P_DAMAGED: none of this format is
 * that long; P_UNAVAILABLE: FAULT_MAPPINGS_MAX are mapped; else P_INTERNAL. */
int map_open(struct map *m, const char *dir, struct str revision, struct err *e);
/* What was never opened may be closed. */
void map_close(struct map *m);
/* Whether something that was read may not be what the file held. */
bool map_damaged(const struct map *m);

#endif
