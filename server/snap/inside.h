/* inside.h - an open snapshot file, as the files that read it share it. */
#ifndef PREFD_SNAP_INSIDE_H
#define PREFD_SNAP_INSIDE_H

#include <stdatomic.h>

#include "layout.h"
#include "map.h"
#include "snap/read.h"

struct part {
	const uint8_t *p; /* aligned to SNAP_ALIGN */
	uint64_t offset;  /* from the file's beginning */
	uint64_t length;  /* bytes */
};

struct snap {
	struct map map;
	struct part part[SECTION_COUNT];
	char revision[SNAP_REVISION_BYTES];
	uint32_t flags; /* as in the header, which may become unreadable */
	/* One bit a block: its sum was right. Two threads that meet at a block both
	 * check it, which is harmless; the bit guards no memory, so relaxed
	 * accesses are enough. */
	_Atomic uint64_t *checked;
};

/* -1 with P_DAMAGED. */
int snap_is_damaged(struct err *e, const char *what);
/* After reading: whether it was the file that was read. */
int snap_intact(const struct snap *s, struct err *e);
/* A block against its sum; marks it as checked. */
int snap_check_block(struct snap *s, uint64_t block, struct err *e);

/* The prompt's part of a view. */
int snap_prompt_at(struct snap *s, uint32_t number, struct snap_view *out, struct err *e);

static inline uint64_t snap_count(const struct snap *s, enum snap_section section)
{
	return s->part[section].length / section_record(section);
}

/* Touching: nothing is read from the mapping before its block was checked. */

static inline bool snap_block_checked(const struct snap *s, uint64_t block)
{
	return atomic_load_explicit(&s->checked[block / 64], memory_order_relaxed) >> (block % 64) & 1;
}

/* n bytes at `at` of a section, in bounds and checked; NULL with e set else. */
static inline const void *snap_span(struct snap *s, enum snap_section section, uint64_t at, uint64_t n,
                                    struct err *e)
{
	const struct part *part = &s->part[section];
	uint64_t from;

	if (at > part->length || n > part->length - at) {
		snap_is_damaged(e, "an offset leads out of its section");
		return NULL;
	}
	from = part->offset - SNAP_HEADER_BYTES + at;
	if (n > 0)
		for (uint64_t block = from / SNAP_BLOCK_BYTES; block <= (from + n - 1) / SNAP_BLOCK_BYTES; block++)
			if (!snap_block_checked(s, block) && snap_check_block(s, block, e) < 0)
				return NULL;
	return part->p + at;
}

/* A record by its number, which may be any: it is checked before it is scaled. */
static inline const void *snap_record(struct snap *s, enum snap_section section, uint64_t number, struct err *e)
{
	uint64_t size = section_record(section);

	if (number >= s->part[section].length / size) {
		snap_is_damaged(e, "a number leads out of its table");
		return NULL;
	}
	return snap_span(s, section, number * size, size, e);
}

#endif
