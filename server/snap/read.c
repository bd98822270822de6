#include "snap/read.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/heap.h"
#include "layout.h"
#include "map.h"

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

void snap_path(const char *dir, struct str revision, char out[SNAP_PATH_BYTES])
{
	snprintf(out, SNAP_PATH_BYTES, "%s/%.*s.snap", dir, STR_ARG(revision));
}

static int damaged(struct err *e, const char *what)
{
	return err_set(e, P_DAMAGED, "a snapshot file is damaged: %s", what);
}

bool snap_damaged(const struct snap *s)
{
	return map_damaged(&s->map);
}

/* After reading: whether it was the file that was read. */
static int intact(const struct snap *s, struct err *e)
{
	return snap_damaged(s) ? damaged(e, "it was cut short, or its medium failed") : 0;
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
		return damaged(e, "its beginning is not that of version 1");
	if (h->sum != xxh3(h, offsetof(struct snap_header, sum)))
		return damaged(e, "the header's sum is wrong");
	if (h->length != s->map.length)
		return damaged(e, "its length is not what the header says");
	if (memcmp(h->revision, revision.p, SNAP_REVISION_BYTES) != 0)
		return damaged(e, "it holds another revision");
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
			return damaged(e, "a section is not where it should be");
		s->part[i] = (struct part){s->map.p + at, at, r->length};
		at += r->length;
	}
	return at == s->map.length ? 0 : damaged(e, "there is more behind the last section");
}

static uint64_t count_of(const struct snap *s, enum snap_section section)
{
	return s->part[section].length / section_record(section);
}

static int check_counts(const struct snap *s, struct err *e)
{
	const struct snap_header *h = header_of(s);
	const struct part *sums = &s->part[SECTION_SUMS];

	if (h->messages != count_of(s, SECTION_MESSAGES) ||
	    h->prompts != count_of(s, SECTION_PROMPTS) ||
	    h->responses != count_of(s, SECTION_RESPONSES) ||
	    h->pairs != count_of(s, SECTION_PAIRS) ||
	    sums->length / 8 != snap_blocks(sums->offset - SNAP_HEADER_BYTES))
		return damaged(e, "its counts do not agree");
	if (h->sums_sum != xxh3(sums->p, sums->length))
		return damaged(e, "the sum of its sums is wrong");
	return 0;
}

static int check_opened(struct snap *s, struct str revision, struct err *e)
{
	if (check_header(s, revision, e) < 0 || place_sections(s, e) < 0 || check_counts(s, e) < 0)
		return -1;
	return intact(s, e);
}

int snap_open(struct snap **out, const char *dir, struct str revision, struct err *e)
{
	struct snap *s = heap_zalloc(1, sizeof *s);
	uint64_t blocks;

	if (map_open(&s->map, dir, revision, e) < 0 || check_opened(s, revision, e) < 0) {
		snap_close(s);
		return -1;
	}
	blocks = count_of(s, SECTION_SUMS);
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

/* Touching: nothing is read from the mapping before its block was checked. */

static bool block_checked(const struct snap *s, uint64_t block)
{
	return atomic_load_explicit(&s->checked[block / 64], memory_order_relaxed) >>
	       (block % 64) & 1;
}

static int check_block(struct snap *s, uint64_t block, struct err *e)
{
	uint64_t at = SNAP_HEADER_BYTES + block * SNAP_BLOCK_BYTES;
	uint64_t left = s->part[SECTION_SUMS].offset - at;
	uint64_t sum;

	memcpy(&sum, s->part[SECTION_SUMS].p + 8 * block, sizeof sum);
	if (xxh3(s->map.p + at, left < SNAP_BLOCK_BYTES ? left : SNAP_BLOCK_BYTES) != sum)
		return damaged(e, "the sum of a block is wrong");
	atomic_fetch_or_explicit(&s->checked[block / 64], UINT64_C(1) << (block % 64),
	                         memory_order_relaxed);
	return 0;
}

static int check_blocks(struct snap *s, uint64_t first, uint64_t last, struct err *e)
{
	for (uint64_t block = first; block <= last; block++)
		if (!block_checked(s, block) && check_block(s, block, e) < 0)
			return -1;
	return 0;
}

/* n bytes at `at` of a section, in bounds and checked; NULL with e set else. */
static inline const void *span(struct snap *s, enum snap_section section, uint64_t at, uint64_t n,
                               struct err *e)
{
	const struct part *part = &s->part[section];
	uint64_t from;

	if (at > part->length || n > part->length - at) {
		damaged(e, "an offset leads out of its section");
		return NULL;
	}
	from = part->offset - SNAP_HEADER_BYTES + at;
	if (n > 0 && check_blocks(s, from / SNAP_BLOCK_BYTES, (from + n - 1) / SNAP_BLOCK_BYTES, e) < 0)
		return NULL;
	return part->p + at;
}

/* A record by its number, which may be any: it is checked before it is scaled. */
static inline const void *record(struct snap *s, enum snap_section section, uint64_t number,
                                 struct err *e)
{
	uint64_t size = section_record(section);

	if (number >= s->part[section].length / size) {
		damaged(e, "a number leads out of its table");
		return NULL;
	}
	return span(s, section, number * size, size, e);
}

static int text_at(struct snap *s, uint64_t at, uint32_t length, struct str *out, struct err *e)
{
	const char *p = span(s, SECTION_POOL, at, length, e);

	*out = (struct str){p, length};
	return p ? 0 : -1;
}

static int response_at(struct snap *s, uint32_t number, struct snap_response *out, uint32_t *prompt,
                       struct err *e)
{
	const struct snap_response_rec *rec = record(s, SECTION_RESPONSES, number, e);
	struct str piece[PIECE_COUNT];
	uint64_t total = 0;
	const char *p;

	if (rec == NULL)
		return -1;
	for (int i = 0; i < PIECE_COUNT; i++)
		total += rec->length[i];
	p = span(s, SECTION_POOL, rec->offset, total, e);
	if (p == NULL)
		return -1;
	for (int i = 0; i < PIECE_COUNT; i++) {
		bool absent = i > PIECE_ID && rec->absent >> i & 1;

		piece[i] = absent ? STR_NONE : (struct str){p, rec->length[i]};
		p += rec->length[i];
	}
	*out = (struct snap_response){
		.text = piece[PIECE_TEXT],
		.id = piece[PIECE_ID],
		.score = piece[PIECE_SCORE],
		.goal = piece[PIECE_GOAL],
		.goal_text = piece[PIECE_GOAL_TEXT],
		.ref_logp = piece[PIECE_REF_LOGP],
		.reward = rec->reward,
	};
	*prompt = rec->prompt;
	return 0;
}

static int prompt_at(struct snap *s, uint32_t number, struct snap_view *out, struct err *e)
{
	const struct snap_prompt_rec *rec = record(s, SECTION_PROMPTS, number, e);

	if (rec == NULL)
		return -1;
	out->messages = rec->messages;
	out->first_message = rec->first_message;
	return text_at(s, rec->id, rec->id_length, &out->prompt_id, e);
}

int snap_pair_at(struct snap *s, uint64_t i, struct snap_view *out, struct err *e)
{
	const struct snap_pair_rec *rec;
	uint32_t of_chosen, of_rejected;

	if (i >= snap_pairs(s))
		return err_set(e, P_INTERNAL, "a pair beyond the last was asked for");
	rec = record(s, SECTION_PAIRS, i, e);
	if (rec == NULL)
		return -1;
	if (rec->origin >= ORIGIN_COUNT || rec->plain > 1)
		return damaged(e, "a pair is of no known kind");
	memcpy(out->id, rec->id, sizeof out->id);
	out->origin = (enum origin)rec->origin;
	out->plain = rec->plain;
	out->lineage = rec->lineage;
	if (response_at(s, rec->chosen, &out->chosen, &of_chosen, e) < 0 ||
	    response_at(s, rec->rejected, &out->rejected, &of_rejected, e) < 0)
		return -1;
	if (of_chosen != of_rejected)
		return damaged(e, "the answers of a pair belong to two prompts");
	return prompt_at(s, of_chosen, out, e) < 0 ? -1 : intact(s, e);
}

int snap_message_at(struct snap *s, const struct snap_view *view, uint32_t m,
                    struct snap_message *out, struct err *e)
{
	const struct snap_message_rec *rec;
	uint64_t count = count_of(s, SECTION_MESSAGES);

	if (m >= view->messages)
		return err_set(e, P_INTERNAL, "a message beyond the last was asked for");
	if (view->first_message > count) /* so that the sum below cannot wrap */
		return damaged(e, "a number leads out of its table");
	rec = record(s, SECTION_MESSAGES, view->first_message + m, e);
	if (rec == NULL)
		return -1;
	if (rec->role >= ROLE_COUNT)
		return damaged(e, "a message is of no known role");
	out->role = (enum role)rec->role;
	return text_at(s, rec->offset, rec->length, &out->content, e) < 0 ? -1 : intact(s, e);
}

uint64_t snap_pairs(const struct snap *s)
{
	return count_of(s, SECTION_PAIRS);
}

uint64_t snap_prompts(const struct snap *s)
{
	return count_of(s, SECTION_PROMPTS);
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
	const char *p = span(s, SECTION_META, 0, n, e);

	*meta = (struct str){p, n};
	return p ? intact(s, e) : -1;
}

/* Verifying: every block, and then that the tables fit together. */

struct tally {
	uint64_t message, pair; /* first ones of the next prompt */
	struct str last_id;
};

/* Ids ascend strictly, so that equal ids mean the same prompt. */
static int verify_pairs(struct snap *s, struct str prompt_id, const struct snap_prompt_rec *rec,
                        struct err *e)
{
	struct snap_view view;

	for (uint32_t i = 0; i < rec->pairs; i++) {
		if (snap_pair_at(s, rec->first_pair + i, &view, e) < 0)
			return -1;
		if (!str_eq(view.prompt_id, prompt_id))
			return damaged(e, "a pair stands under another prompt");
	}
	return 0;
}

static int verify_prompt(struct snap *s, uint64_t number, struct tally *t, struct err *e)
{
	const struct snap_prompt_rec *rec = record(s, SECTION_PROMPTS, number, e);
	struct snap_view view;
	struct snap_message message;

	if (rec == NULL || prompt_at(s, (uint32_t)number, &view, e) < 0)
		return -1;
	if (number > 0 && str_cmp(t->last_id, view.prompt_id) >= 0)
		return damaged(e, "its prompts are out of order");
	if (rec->first_message != t->message || rec->first_pair != t->pair ||
	    rec->pairs > snap_pairs(s) - t->pair)
		return damaged(e, "its prompts do not follow each other");
	for (uint32_t m = 0; m < rec->messages; m++)
		if (snap_message_at(s, &view, m, &message, e) < 0)
			return -1;
	t->message += rec->messages;
	t->pair += rec->pairs;
	t->last_id = view.prompt_id;
	return verify_pairs(s, view.prompt_id, rec, e);
}

int snap_verify(struct snap *s, struct err *e)
{
	uint64_t blocks = count_of(s, SECTION_SUMS);
	struct tally t = {0};

	for (uint64_t block = 0; block < blocks; block++)
		if (check_block(s, block, e) < 0)
			return -1;
	for (uint64_t p = 0; p < snap_prompts(s); p++)
		if (verify_prompt(s, p, &t, e) < 0)
			return -1;
	if (t.message != count_of(s, SECTION_MESSAGES) || t.pair != snap_pairs(s))
		return damaged(e, "records are left over");
	return intact(s, e);
}
