#include <stdio.h>

#include "base/hash.h"
#include "base/heap.h"
#include "inside.h"

void snap_path(const char *dir, struct str revision, char out[SNAP_PATH_BYTES])
{
	snprintf(out, SNAP_PATH_BYTES, "%s/%.*s.snap", dir, STR_ARG(revision));
}

int snap_is_damaged(struct err *e, const char *what)
{
	return err_set(e, P_DAMAGED, "a snapshot file is damaged: %s", what);
}

bool snap_damaged(const struct snap *s)
{
	return map_damaged(&s->map);
}

int snap_intact(const struct snap *s, struct err *e)
{
	return snap_damaged(s) ? snap_is_damaged(e, "it was cut short, or its medium failed") : 0;
}

static const struct snap_header *header_of(const struct snap *s)
{
	return (const struct snap_header *)s->map.p;
}

/* Opening: the header, and where the sections lie. */

static int check_header(struct snap *s, struct str revision, struct err *e)
{
	const struct snap_header *h = header_of(s);

	if (memcmp(h->magic, SNAP_MAGIC, sizeof h->magic) != 0 || h->version != SNAP_VERSION)
		return snap_is_damaged(e, "its beginning is not that of version 1");
	if (h->sum != xxh3(h, offsetof(struct snap_header, sum)))
		return snap_is_damaged(e, "the header's sum is wrong");
	if (h->length != s->map.length)
		return snap_is_damaged(e, "its length is not what the header says");
	if (memcmp(h->revision, revision.p, SNAP_REVISION_BYTES) != 0)
		return snap_is_damaged(e, "it holds another revision");
	memcpy(s->revision, revision.p, sizeof s->revision);
	s->flags = h->flags;
	return 0;
}

/* Sections follow each other without a gap, so none can reach out of the file
 * or into another. */
static int place_sections(struct snap *s, struct err *e)
{
	uint64_t at = SNAP_HEADER_BYTES;

	for (int i = 0; i < SECTION_COUNT; i++) {
		const struct snap_section_rec *r = &header_of(s)->section[i];

		at += snap_pad(at);
		if (r->kind != (uint32_t)i || r->record != section_record((enum snap_section)i) ||
		    r->offset != at || at > s->map.length || r->length > s->map.length - at ||
		    r->length % r->record != 0)
			return snap_is_damaged(e, "a section is not where it should be");
		s->part[i] = (struct part){s->map.p + at, at, r->length};
		at += r->length;
	}
	return at == s->map.length ? 0 : snap_is_damaged(e, "there is more behind the last section");
}

static int check_counts(const struct snap *s, struct err *e)
{
	const struct snap_header *h = header_of(s);
	const struct part *sums = &s->part[SECTION_SUMS];

	if (h->messages != snap_count(s, SECTION_MESSAGES) ||
	    h->prompts != snap_count(s, SECTION_PROMPTS) ||
	    h->responses != snap_count(s, SECTION_RESPONSES) ||
	    h->pairs != snap_count(s, SECTION_PAIRS) ||
	    sums->length / 8 != snap_blocks(sums->offset - SNAP_HEADER_BYTES))
		return snap_is_damaged(e, "its counts do not agree");
	if (h->sums_sum != xxh3(sums->p, sums->length))
		return snap_is_damaged(e, "the sum of its sums is wrong");
	return 0;
}

static int check_opened(struct snap *s, struct str revision, struct err *e)
{
	if (check_header(s, revision, e) < 0 || place_sections(s, e) < 0 || check_counts(s, e) < 0)
		return -1;
	return snap_intact(s, e);
}

int snap_open(struct snap **out, const char *dir, struct str revision, struct err *e)
{
	struct snap *s = heap_zalloc(1, sizeof *s);
	uint64_t blocks;

	if (map_open(&s->map, dir, revision, e) < 0 || check_opened(s, revision, e) < 0) {
		snap_close(s);
		return -1;
	}
	blocks = snap_count(s, SECTION_SUMS);
	s->checked = heap_zalloc(blocks / 64 + 1, sizeof *s->checked);
	*out = s;
	return 0;
}

void snap_close(struct snap *s)
{
	if (s == NULL)
		return;
	map_close(&s->map);
	heap_free((void *)s->checked);
	heap_free(s);
}

int snap_check_block(struct snap *s, uint64_t block, struct err *e)
{
	uint64_t at = SNAP_HEADER_BYTES + block * SNAP_BLOCK_BYTES;
	uint64_t left = s->part[SECTION_SUMS].offset - at;
	uint64_t sum;

	memcpy(&sum, s->part[SECTION_SUMS].p + 8 * block, sizeof sum);
	if (xxh3(s->map.p + at, left < SNAP_BLOCK_BYTES ? left : SNAP_BLOCK_BYTES) != sum)
		return snap_is_damaged(e, "the sum of a block is wrong");
	atomic_fetch_or_explicit(&s->checked[block / 64], UINT64_C(1) << (block % 64),
	                         memory_order_relaxed);
	return 0;
}

uint64_t snap_pairs(const struct snap *s)
{
	return snap_count(s, SECTION_PAIRS);
}

uint64_t snap_prompts(const struct snap *s)
{
	return snap_count(s, SECTION_PROMPTS);
}

uint32_t snap_flags(const struct snap *s)
{
	return s->flags;
}

uint64_t snap_bytes(const struct snap *s)
{
	return s->map.length;
}

struct str snap_revision(const struct snap *s)
{
	return (struct str){s->revision, sizeof s->revision};
}

int snap_meta(struct snap *s, struct str *meta, struct err *e)
{
	uint64_t n = s->part[SECTION_META].length;
	const char *p = snap_span(s, SECTION_META, 0, n, e);

	*meta = (struct str){p, n};
	return p ? snap_intact(s, e) : -1;
}
