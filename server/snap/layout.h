/* layout.h - the bytes of a snapshot file, version 1.
 *
 *   header     SNAP_HEADER_BYTES
 *   pool       per prompt: id, contents of its messages, its responses' pieces
 *   messages   struct snap_message_rec
 *   prompts    struct snap_prompt_rec, ascending by id, bytewise
 *   responses  struct snap_response_rec
 *   pairs      struct snap_pair_rec, prompt after prompt
 *   meta       canonical JSON
 *   sums       XXH3-64 of each SNAP_BLOCK_BYTES between header and sums
 *
 * Little-endian. Sections follow each other in this order, each aligned to 8
 * with zeros in front, so that every byte of the file is covered: the header
 * by `sum`, the sums by `sums_sum`, the rest by the sums. Equal input gives
 * equal bytes: no name, no time, no id of a snapshot or a dataset stands here.
 * Offsets into the pool count from the pool's beginning. */
#ifndef PREFD_SNAP_LAYOUT_H
#define PREFD_SNAP_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "snapshot files are little-endian");

#define SNAP_MAGIC "prefdsn1"

enum {
	SNAP_VERSION = 1,
	SNAP_HEADER_BYTES = 4096,
	SNAP_BLOCK_BYTES = 64 * 1024,
	SNAP_REVISION_BYTES = 64,
	SNAP_ALIGN = 8,
};

enum snap_section {
	SECTION_POOL,
	SECTION_MESSAGES,
	SECTION_PROMPTS,
	SECTION_RESPONSES,
	SECTION_PAIRS,
	SECTION_META,
	SECTION_SUMS,
	SECTION_COUNT,
};

struct snap_section_rec {
	uint32_t kind;   /* enum snap_section */
	uint32_t record; /* bytes of one record; 1 for bytes */
	uint64_t offset; /* from the file's beginning */
	uint64_t length; /* bytes, without what aligns the next one */
};

struct snap_header {
	char magic[8];
	uint32_t version;
	uint32_t flags; /* enum snap_flag */
	uint64_t length; /* of the file */
	char revision[SNAP_REVISION_BYTES];
	uint64_t messages, prompts, responses, pairs;
	struct snap_section_rec section[SECTION_COUNT];
	uint64_t sums_sum; /* XXH3 of the sums */
	uint8_t zero[SNAP_HEADER_BYTES - 304];
	uint64_t sum; /* XXH3 of the header up to here */
};
_Static_assert(sizeof(struct snap_header) == SNAP_HEADER_BYTES, "header");
_Static_assert(offsetof(struct snap_header, sum) == SNAP_HEADER_BYTES - 8, "the header's sum is last");

struct snap_message_rec {
	uint64_t offset; /* of the content */
	uint32_t length;
	uint32_t role; /* enum role */
};
_Static_assert(sizeof(struct snap_message_rec) == 16, "message record");

struct snap_prompt_rec {
	uint64_t id; /* offset */
	uint32_t id_length;
	uint32_t messages;
	uint64_t first_message;
	uint64_t first_pair;
	uint32_t pairs;
	uint32_t flags; /* 0 */
};
_Static_assert(sizeof(struct snap_prompt_rec) == 40, "prompt record");

/* A response's pieces lie one behind the other, in this order. */
enum snap_piece {
	PIECE_TEXT,
	PIECE_ID,
	PIECE_SCORE,
	PIECE_GOAL,
	PIECE_GOAL_TEXT,
	PIECE_REF_LOGP,
	PIECE_COUNT,
};

struct snap_response_rec {
	uint64_t offset; /* of the first piece */
	double reward;   /* one fixed NaN when there is none */
	uint32_t length[PIECE_COUNT];
	uint32_t prompt;
	uint32_t absent; /* bit 1 << piece: STR_NONE, not empty; never text or id */
};
_Static_assert(sizeof(struct snap_response_rec) == 48, "response record");

struct snap_pair_rec {
	uint8_t id[16];
	uint32_t chosen, rejected; /* records of responses, both of one prompt */
	uint32_t lineage;
	uint8_t origin; /* enum origin */
	uint8_t plain;  /* 0 or 1 */
	uint16_t zero;
};
_Static_assert(sizeof(struct snap_pair_rec) == 32, "pair record");

/* Bytes of one record of a section. */
static inline uint32_t section_record(enum snap_section s)
{
	static const uint32_t bytes[SECTION_COUNT] = {
		[SECTION_POOL] = 1,
		[SECTION_MESSAGES] = sizeof(struct snap_message_rec),
		[SECTION_PROMPTS] = sizeof(struct snap_prompt_rec),
		[SECTION_RESPONSES] = sizeof(struct snap_response_rec),
		[SECTION_PAIRS] = sizeof(struct snap_pair_rec),
		[SECTION_META] = 1,
		[SECTION_SUMS] = 8,
	};

	return bytes[s];
}

/* What is missing to the next multiple of SNAP_ALIGN. */
static inline uint64_t snap_pad(uint64_t at)
{
	return (SNAP_ALIGN - at % SNAP_ALIGN) % SNAP_ALIGN;
}

/* Blocks of SNAP_BLOCK_BYTES, the last one maybe shorter. */
static inline uint64_t snap_blocks(uint64_t bytes)
{
	return bytes / SNAP_BLOCK_BYTES + (bytes % SNAP_BLOCK_BYTES > 0);
}

/* 64 lower-case hex digits: nothing else ever becomes a file's name. */
static inline bool snap_is_revision(struct str s)
{
	if (s.p == NULL || s.n != SNAP_REVISION_BYTES)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= '0' && s.p[i] <= '9') && !(s.p[i] >= 'a' && s.p[i] <= 'f'))
			return false;
	return true;
}

#endif
