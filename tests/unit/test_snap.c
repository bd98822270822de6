/* Snapshot files: written once, read anywhere, and no wrong byte ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../server/snap/layout.h"
#include "base/hash.h"
#include "base/heap.h"
#include "folder_kit.h"
#include "snap/read.h"
#include "snap/write.h"

#define REVISION STR("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
#define OTHER STR("f0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
#define META STR("{\"recipe\":{},\"lineage\":[null]}")

static char dir[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/prefd-snap-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	return folder_remove(dir);
}

static int files_in_dir(void)
{
	DIR *d = opendir(dir);
	int n = 0;

	for (struct dirent *entry; (entry = readdir(d)) != NULL;)
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

static char *file_path(struct str revision)
{
	static char path[SNAP_PATH_BYTES];

	snap_path(dir, revision, path);
	return path;
}

/* A file in memory. */
struct bytes {
	uint8_t *p;
	size_t n;
};

static struct bytes load(void)
{
	FILE *f = fopen(file_path(REVISION), "rb");
	struct bytes b;
	struct stat st;

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	b.n = (size_t)st.st_size;
	b.p = heap_alloc(b.n + 1);
	assert_int_equal(fread(b.p, 1, b.n, f), b.n);
	fclose(f);
	return b;
}

/* Anew each time, so that an older mapping is never shortened in place. */
static void store(const uint8_t *p, size_t n)
{
	FILE *f;

	unlink(file_path(REVISION));
	f = fopen(file_path(REVISION), "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	fclose(f);
}

/* The small file: two prompts, every piece absent and empty somewhere. */

static const struct snap_message small_messages[] = {
	{ROLE_SYSTEM, {"", 0}},
	{ROLE_USER, {"two\\nlines", 10}},
	{ROLE_ASSISTANT, {"\xc3\xa4", 2}},
	{ROLE_TOOL, {"x", 1}},
};

static const struct snap_response small_responses[] = {
	{{"", 0}, {"r1", 2}, {"8.5", 3}, {"8.5", 3}, {"8.5", 3}, {"-12.25", 6}, 8.5},
	{{"no", 2}, {"r2", 2}, {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, NAN},
	{{"yes", 3}, {"r3", 2}, {"1", 1}, {"", 0}, {"", 0}, {"-1", 2}, 1},
};

static const struct snap_pair small_pairs[] = {
	{"ABCDEFGHIJKLMNO", 0, 2, 7, ORIGIN_ON_POLICY, 0},
	{"abcdefghijklmno", 1, 0, 0, ORIGIN_REPLAY, 1},
};

static const struct snap_pair small_pair[] = {{"0123456789abcde", 1, 0, 1, ORIGIN_RESCORED, 0}};

static const struct snap_prompt small[] = {
	{{"p", 1}, small_messages, 4, small_responses, 3, small_pairs, 2},
	{{"p0", 2}, small_messages + 1, 1, small_responses, 2, small_pair, 1},
};

static uint64_t write_file(const struct snap_prompt *p, size_t n, uint32_t flags)
{
	struct snap_writer *w;
	struct err e;
	uint64_t bytes;

	assert_int_equal(snap_create(&w, dir, &e), 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(snap_put(w, &p[i], &e), 0);
	assert_int_equal(snap_finish(w, REVISION, META, flags, &bytes, &e), 0);
	return bytes;
}

static struct snap *open_file(void)
{
	struct snap *s;
	struct err e;

	if (snap_open(&s, dir, REVISION, &e) < 0)
		fail_msg("%s", e.detail);
	return s;
}

static void check_str(struct str got, struct str want)
{
	assert_int_equal(got.p == NULL, want.p == NULL);
	assert_true(str_eq(got, want));
}

static void check_response(const struct snap_response *got, const struct snap_response *want)
{
	check_str(got->text, want->text);
	check_str(got->id, want->id);
	check_str(got->score, want->score);
	check_str(got->goal, want->goal);
	check_str(got->goal_text, want->goal_text);
	check_str(got->ref_logp, want->ref_logp);
	assert_true(isnan(want->reward) ? isnan(got->reward) : got->reward == want->reward);
}

static void check_pair(struct snap *s, uint64_t i, const struct snap_prompt *p,
                       const struct snap_pair *pair)
{
	struct snap_view view;
	struct snap_message message;
	struct err e;

	assert_int_equal(snap_pair_at(s, i, &view, &e), 0);
	assert_memory_equal(view.id, pair->id, 16);
	assert_int_equal(view.origin, pair->origin);
	assert_int_equal(view.plain, pair->plain);
	assert_int_equal(view.lineage, pair->lineage);
	check_str(view.prompt_id, p->id);
	check_response(&view.chosen, &p->response[pair->chosen]);
	check_response(&view.rejected, &p->response[pair->rejected]);
	assert_int_equal(view.messages, p->messages);
	for (uint32_t m = 0; m < view.messages; m++) {
		assert_int_equal(snap_message_at(s, &view, m, &message, &e), 0);
		assert_int_equal(message.role, p->message[m].role);
		check_str(message.content, p->message[m].content);
	}
	assert_int_equal(snap_message_at(s, &view, view.messages, &message, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
}

static void check_all(struct snap *s, const struct snap_prompt *p, size_t n)
{
	uint64_t i = 0;

	for (size_t k = 0; k < n; k++)
		for (uint32_t j = 0; j < p[k].pairs; j++)
			check_pair(s, i++, &p[k], &p[k].pair[j]);
	assert_int_equal(snap_pairs(s), i);
	assert_int_equal(snap_prompts(s), n);
}

static void what_was_put_comes_back(void **state)
{
	uint64_t bytes = write_file(small, 2, SNAP_NOT_TEXT);
	struct snap *s = open_file();
	struct snap_view view;
	struct str meta;
	struct err e;

	(void)state;
	check_all(s, small, 2);
	assert_int_equal(snap_flags(s), SNAP_NOT_TEXT);
	assert_int_equal(snap_bytes(s), bytes);
	check_str(snap_revision(s), REVISION);
	assert_int_equal(snap_meta(s, &meta, &e), 0);
	check_str(meta, META);
	assert_int_equal(snap_verify(s, &e), 0);
	assert_int_equal(snap_pair_at(s, 3, &view, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
	assert_int_equal(snap_pair_at(s, UINT64_MAX, &view, &e), -1);
	assert_int_equal(snap_pairs_at(s, (uint64_t[]){0, 3, 1}, 3, (struct snap_view[3]){{.lineage = 0}}, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
	snap_close(s);
	assert_int_equal(files_in_dir(), 1);
}

static void nothing_at_all_is_a_file(void **state)
{
	struct snap *s;
	struct str meta;
	struct err e;

	(void)state;
	write_file(NULL, 0, 0);
	s = open_file();
	assert_int_equal(snap_pairs(s), 0);
	assert_int_equal(snap_prompts(s), 0);
	assert_int_equal(snap_meta(s, &meta, &e), 0);
	check_str(meta, META);
	assert_int_equal(snap_verify(s, &e), 0);
	snap_close(s);
}

/* The bytes of version 1, frozen: another layout must be another version. The
 * hash is that of a file put together apart, in Python, from layout.h alone. */
static void the_layout_is_frozen(void **state)
{
	struct bytes b;
	uint8_t hash[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	(void)state;
	write_file(small, 2, SNAP_NOT_TEXT);
	b = load();
	sha256_of(b.p, b.n, hash);
	hex_of(hash, sizeof hash, hex);
	assert_string_equal(hex, "feecacf9a5e3fb2010037f9a542210b1"
	                        "32f3e58fc79dd16e75d8348127a16d39");
	heap_free(b.p);
}

/* A made-up prompt, the same whenever it is asked for. Its texts lie anywhere:
 * lengths are odd and even, some longer than a block. */
struct made {
	char id[16];
	struct snap_message message[2];
	struct snap_response response[3];
	struct snap_pair pair[2];
	struct snap_prompt prompt;
};

enum { LONG_BYTES = 200 * 1000 };

static void make(struct made *m, uint32_t i, size_t unit)
{
	static char text[LONG_BYTES];
	size_t n = i % 97 == 5 ? LONG_BYTES : unit + i % 7;

	if (text[0] == 0)
		for (size_t k = 0; k < LONG_BYTES; k++)
			text[k] = (char)('a' + k * 7 % 26);
	snprintf(m->id, sizeof m->id, "p%08u", i);
	m->message[0] = (struct snap_message){ROLE_SYSTEM, {text + i % 26, i % 5}};
	m->message[1] = (struct snap_message){ROLE_USER, {text + i % 25, unit}};
	for (uint32_t r = 0; r < 3; r++)
		m->response[r] = (struct snap_response){
			.text = {text, r == 1 ? n : n / 2},
			.id = {text + r, 1 + i % 11},
			.score = {text + i % 10, 3},
			.goal = r == 2 ? STR_NONE : (struct str){text + 3, 2},
			.goal_text = r == 2 ? STR_NONE : (struct str){text + 4, 2},
			.ref_logp = i % 2 ? STR_NONE : (struct str){text + 9, 8},
			.reward = i + r / 4.0,
		};
	for (uint32_t k = 0; k < 2; k++) {
		m->pair[k] = (struct snap_pair){.chosen = k, .rejected = 2, .lineage = i,
		                                .origin = (enum origin)(i % ORIGIN_COUNT),
		                                .plain = (int)(i & 1)};
		memcpy(m->pair[k].id, &i, sizeof i);
	}
	m->prompt = (struct snap_prompt){{m->id, 9}, m->message, 1 + i % 2,
	                                 m->response, 3, m->pair, 1 + i % 2};
}

static uint64_t write_made(uint32_t n, size_t unit)
{
	struct snap_writer *w;
	struct made m;
	struct err e;
	uint64_t bytes;

	assert_int_equal(snap_create(&w, dir, &e), 0);
	for (uint32_t i = 0; i < n; i++) {
		make(&m, i, unit);
		assert_int_equal(snap_put(w, &m.prompt, &e), 0);
	}
	assert_int_equal(snap_finish(w, REVISION, META, 0, &bytes, &e), 0);
	return bytes;
}

static void check_made(struct snap *s, uint32_t n, size_t unit)
{
	struct made m;
	uint64_t pair = 0;

	for (uint32_t i = 0; i < n; i++) {
		make(&m, i, unit);
		for (uint32_t k = 0; k < m.prompt.pairs; k++)
			check_pair(s, pair++, &m.prompt, &m.pair[k]);
	}
	assert_int_equal(snap_pairs(s), pair);
}

/* From a part of a block to many buffers; tables of 3,000 × 3 × 48 bytes
 * leave their buffer as well. */
static void files_of_any_size(void **state)
{
	static const struct {
		uint32_t prompts;
		size_t unit;
		uint64_t above, below;
	} size[] = {
		{4, 10, 4096, 64 * 1024},
		{40, 1000, 64 * 1024, 1024 * 1024},
		{300, 1500, 1024 * 1024, 8 << 20},
		{3000, 100, 4 << 20, 64 << 20},
	};

	(void)state;
	for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
		uint64_t bytes = write_made(size[i].prompts, size[i].unit);
		struct snap *s = open_file();
		struct err e;

		assert_in_range(bytes, size[i].above, size[i].below);
		check_made(s, size[i].prompts, size[i].unit);
		assert_int_equal(snap_verify(s, &e), 0);
		snap_close(s);
	}
}

/* A content that ends on a block's last byte, and around it. */
static void ends_at_a_block(void **state)
{
	static char text[SNAP_BLOCK_BYTES + 64];

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t n = SNAP_BLOCK_BYTES - 64; n <= sizeof text; n++) {
		struct snap_message message = {ROLE_USER, {text, n}};
		struct snap_prompt p = {{"p", 1}, &message, 1, small_responses, 3, small_pairs, 2};
		struct snap *s;
		struct err e;

		write_file(&p, 1, 0);
		s = open_file();
		check_all(s, &p, 1);
		assert_int_equal(snap_verify(s, &e), 0);
		snap_close(s);
	}
}

static void the_same_data_is_the_same_bytes(void **state)
{
	struct bytes a, b;

	(void)state;
	write_made(300, 1500);
	a = load();
	write_made(300, 1500);
	b = load();
	assert_int_equal(a.n, b.n);
	assert_memory_equal(a.p, b.p, a.n);
	assert_int_equal(files_in_dir(), 1);
	heap_free(a.p);
	heap_free(b.p);
}

static void one_nan_is_like_another(void **state)
{
	struct snap_response response[3];
	struct snap_prompt p = small[0];
	struct bytes a, b;

	(void)state;
	memcpy(response, small_responses, sizeof response);
	p.response = response;
	response[1].reward = NAN;
	write_file(&p, 1, 0);
	a = load();
	response[1].reward = -NAN;
	write_file(&p, 1, 0);
	b = load();
	assert_memory_equal(a.p, b.p, a.n);
	heap_free(a.p);
	heap_free(b.p);
}

/* Reads all there is, as far as it goes; -1 at the first error, which must be
 * P_DAMAGED. The sum keeps the reads from being left out. */
static _Thread_local volatile uint64_t all_bytes;

static void touch(struct str s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s.n && s.p; i++)
		sum += (uint8_t)s.p[i];
	all_bytes += sum;
}

static void touch_response(const struct snap_response *r)
{
	touch(r->text);
	touch(r->id);
	touch(r->score);
	touch(r->goal);
	touch(r->goal_text);
	touch(r->ref_logp);
}

static int read_pair(struct snap *s, uint64_t i, struct err *e)
{
	struct snap_view view;
	struct snap_message message;

	if (snap_pair_at(s, i, &view, e) < 0)
		return -1;
	touch(view.prompt_id);
	touch_response(&view.chosen);
	touch_response(&view.rejected);
	for (uint32_t m = 0; m < view.messages; m++) {
		if (snap_message_at(s, &view, m, &message, e) < 0)
			return -1;
		touch(message.content);
	}
	return 0;
}

/* Groups of every size from 1 to SNAP_AT_ONCE: as far as all of one are sound,
 * it is what they are one by one; -1 when any is refused. */
static int read_together(struct snap *s, struct err *e)
{
	struct snap_view together[SNAP_AT_ONCE], alone;
	uint64_t pairs = snap_pairs(s), number[SNAP_AT_ONCE];
	int rc = 0;

	for (size_t n = 1; n <= SNAP_AT_ONCE && pairs > 0; n++) {
		for (size_t k = 0; k < n; k++)
			number[k] = (k * 7 + n) % pairs;
		if (snap_pairs_at(s, number, n, together, e) < 0) {
			assert_int_equal(e->problem, P_DAMAGED);
			rc = -1;
			continue;
		}
		for (size_t k = 0; k < n; k++) {
			assert_int_equal(snap_pair_at(s, number[k], &alone, e), 0);
			assert_memory_equal(together[k].id, alone.id, sizeof alone.id);
			assert_ptr_equal(together[k].prompt_id.p, alone.prompt_id.p);
			assert_ptr_equal(together[k].chosen.text.p, alone.chosen.text.p);
			assert_ptr_equal(together[k].rejected.goal_text.p, alone.rejected.goal_text.p);
			assert_int_equal(together[k].first_message, alone.first_message);
			touch_response(&together[k].chosen);
			touch_response(&together[k].rejected);
		}
	}
	return rc;
}

static int read_all(struct snap *s, struct err *e)
{
	struct str meta;
	int rc = snap_meta(s, &meta, e);

	if (rc == 0)
		touch(meta);
	if (read_together(s, e) < 0)
		rc = -1;
	for (uint64_t i = 0; i < snap_pairs(s); i++)
		if (read_pair(s, i, e) < 0) {
			assert_int_equal(e->problem, P_DAMAGED);
			rc = -1;
		}
	return rc;
}

/* True when opening, reading or verifying the file finds fault with it. */
static bool is_found_damaged(void)
{
	struct snap *s;
	struct err e = {.problem = P_NONE};
	int rc = snap_open(&s, dir, REVISION, &e);

	if (rc == 0) {
		read_all(s, &e);
		rc = snap_verify(s, &e);
		snap_close(s);
	}
	if (rc < 0)
		assert_int_equal(e.problem, P_DAMAGED);
	return rc < 0;
}

static void every_flipped_byte_is_found(void **state)
{
	struct bytes b;

	(void)state;
	write_file(small, 2, 0);
	b = load();
	assert_false(is_found_damaged());
	for (size_t i = 0; i < b.n; i++) {
		uint8_t was = b.p[i];

		b.p[i] ^= (uint8_t)(1 << i % 8);
		store(b.p, b.n);
		assert_true(is_found_damaged());
		b.p[i] = was;
	}
	heap_free(b.p);
}

static void every_other_length_is_found(void **state)
{
	struct bytes b;

	(void)state;
	write_file(small, 2, 0);
	b = load();
	b.p[b.n] = 0;
	for (size_t n = 0; n <= b.n + 1; n++) {
		store(b.p, n);
		assert_int_equal(is_found_damaged(), n != b.n);
	}
	heap_free(b.p);
}

/* Only the block that is touched is checked, and only then. */
static void damage_shows_where_it_is_touched(void **state)
{
	struct bytes b;
	struct snap *s;
	struct err e;

	(void)state;
	write_made(400, 1500);
	b = load();
	b.p[SNAP_HEADER_BYTES + 100] ^= 1; /* in the pool, under the first prompt */
	store(b.p, b.n);
	heap_free(b.p);
	s = open_file();
	assert_int_equal(read_pair(s, snap_pairs(s) - 1, &e), 0);
	assert_int_equal(snap_pairs_at(s, (uint64_t[]){snap_pairs(s) - 1, 0}, 2, (struct snap_view[2]){{.lineage = 0}}, &e), -1);
	assert_int_equal(e.problem, P_DAMAGED);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(read_pair(s, 0, &e), -1);
		assert_int_equal(e.problem, P_DAMAGED);
	}
	assert_int_equal(read_pair(s, snap_pairs(s) - 1, &e), 0);
	assert_int_equal(snap_verify(s, &e), -1);
	assert_int_equal(e.problem, P_DAMAGED);
	snap_close(s);
}

static uint64_t random_state = 1;

static uint64_t roll(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return random_state >> 31;
}

static void garbage_is_refused(void **state)
{
	enum { MOST = 3 * SNAP_HEADER_BYTES };
	static uint8_t p[MOST];

	(void)state;
	for (int i = 0; i < 300; i++) {
		size_t n = roll() % MOST;

		for (size_t k = 0; k < n; k++)
			p[k] = (uint8_t)roll();
		if (i % 2 && n > 8)
			memcpy(p, SNAP_MAGIC, 8);
		store(p, n);
		assert_true(is_found_damaged());
	}
}

/* Makes all sums right again, as one would who means harm. */
static void reseal(struct bytes b)
{
	struct snap_header *h = (struct snap_header *)(void *)b.p;
	uint64_t end = h->section[SECTION_SUMS].offset;

	if (end <= b.n && end >= SNAP_HEADER_BYTES) {
		uint64_t at = SNAP_HEADER_BYTES, sums = end;

		for (; at < end && sums + 8 <= b.n; at += SNAP_BLOCK_BYTES, sums += 8) {
			uint64_t n = end - at < SNAP_BLOCK_BYTES ? end - at : SNAP_BLOCK_BYTES;
			uint64_t sum = xxh3(b.p + at, n);

			memcpy(b.p + sums, &sum, 8);
		}
		h->sums_sum = xxh3(b.p + end, b.n - end);
	}
	h->sum = xxh3(h, offsetof(struct snap_header, sum));
}

static uint64_t wild_number(size_t file)
{
	switch (roll() % 6) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX - roll() % 64;
	case 2:
		return UINT32_MAX - roll() % 64;
	case 3:
		return file - roll() % 64;
	case 4:
		return UINT64_C(1) << roll() % 64;
	default:
		return roll() % 64;
	}
}

/* Tables that point anywhere behind sums that hold: never a byte from outside
 * the file (the address sanitizer and the page behind the mapping watch), and
 * never another problem than P_DAMAGED. */
static void hostile_files_do_no_harm(void **state)
{
	struct bytes b, c;
	int found = 0;

	(void)state;
	write_file(small, 2, 0);
	b = load();
	c.p = heap_alloc(b.n);
	c.n = b.n;
	for (int i = 0; i < 6000; i++) {
		/* A third each: the header's numbers, the tables, anywhere. */
		size_t from = i % 3 == 0 ? 8 : i % 3 == 1 ? SNAP_HEADER_BYTES : 0;
		size_t to = i % 3 == 0 ? 296 : b.n - 8;

		memcpy(c.p, b.p, b.n);
		for (uint64_t k = roll() % 3 + 1; k > 0; k--) {
			size_t width = roll() % 2 ? 8 : 4;
			size_t at = (from + roll() % (to - from)) / 4 * 4;
			uint64_t number = wild_number(b.n);

			memcpy(c.p + at, &number, width);
		}
		reseal(c);
		store(c.p, c.n);
		found += is_found_damaged();
	}
	assert_in_range(found, 2000, 5999);
	heap_free(b.p);
	heap_free(c.p);
}

/* Faults that only a hostile file can have, one by one. */

static struct snap_section_rec section_of(struct bytes b, enum snap_section s)
{
	return ((struct snap_header *)(void *)b.p)->section[s];
}

static void poke(struct bytes b, enum snap_section s, size_t at, uint32_t value)
{
	memcpy(b.p + section_of(b, s).offset + at, &value, sizeof value);
}

static void each_crossed_table_is_found(void **state)
{
	static const struct {
		enum snap_section section;
		size_t at;
		uint32_t value;
	} cross[] = {
		{SECTION_PAIRS, offsetof(struct snap_pair_rec, chosen), 3},   /* another prompt's */
		{SECTION_PAIRS, offsetof(struct snap_pair_rec, chosen), 5},   /* beyond the table */
		{SECTION_PAIRS, offsetof(struct snap_pair_rec, rejected), UINT32_MAX},
		{SECTION_PAIRS, offsetof(struct snap_pair_rec, origin), ORIGIN_COUNT},
		{SECTION_PAIRS, offsetof(struct snap_pair_rec, origin), 0x200}, /* plain 2 */
		{SECTION_RESPONSES, offsetof(struct snap_response_rec, prompt), 1},
		{SECTION_RESPONSES, offsetof(struct snap_response_rec, offset), UINT32_MAX},
		{SECTION_RESPONSES, offsetof(struct snap_response_rec, length), UINT32_MAX},
		{SECTION_MESSAGES, offsetof(struct snap_message_rec, role), ROLE_COUNT},
		{SECTION_MESSAGES, offsetof(struct snap_message_rec, length), 100000},
		{SECTION_PROMPTS, offsetof(struct snap_prompt_rec, messages), 3},
		{SECTION_PROMPTS, offsetof(struct snap_prompt_rec, messages), UINT32_MAX},
		{SECTION_PROMPTS, offsetof(struct snap_prompt_rec, first_message), 1},
		{SECTION_PROMPTS, offsetof(struct snap_prompt_rec, first_message) + 4, UINT32_MAX},
		{SECTION_PROMPTS, offsetof(struct snap_prompt_rec, pairs), 1},
		{SECTION_PROMPTS, offsetof(struct snap_prompt_rec, pairs), UINT32_MAX},
		{SECTION_PROMPTS, offsetof(struct snap_prompt_rec, id_length), 3}, /* order */
		{SECTION_PROMPTS, offsetof(struct snap_prompt_rec, id) + 4, 1},
	};
	struct bytes b;

	(void)state;
	for (size_t i = 0; i < sizeof cross / sizeof *cross; i++) {
		write_file(small, 2, 0);
		b = load();
		poke(b, cross[i].section, cross[i].at, cross[i].value);
		reseal(b);
		store(b.p, b.n);
		if (!is_found_damaged())
			fail_msg("fault %zu was not found", i);
		heap_free(b.p);
	}
}

static void open_files_outlive_their_names(void **state)
{
	struct snap *s, *t;

	(void)state;
	write_file(small, 2, 0);
	s = open_file();
	write_file(small, 1, 0); /* replaced */
	t = open_file();
	unlink(file_path(REVISION));
	check_all(s, small, 2);
	check_all(t, small, 1);
	snap_close(s);
	snap_close(t);
}

static void expect_no_open(struct str revision, enum problem p)
{
	struct snap *s;
	struct err e;

	assert_int_equal(snap_open(&s, dir, revision, &e), -1);
	assert_int_equal(e.problem, p);
}

static void opening_what_is_not_there(void **state)
{
	(void)state;
	expect_no_open(REVISION, P_UNKNOWN_SNAPSHOT);
	expect_no_open(STR_NONE, P_UNKNOWN_SNAPSHOT);
	expect_no_open(STR("../00112233445566778899aabbccddeeff00112233445566778899aabbccdd/"),
	               P_UNKNOWN_SNAPSHOT);
	expect_no_open(STR("00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff"),
	               P_UNKNOWN_SNAPSHOT);
	assert_int_equal(mkdir(file_path(REVISION), 0700), 0);
	expect_no_open(REVISION, P_DAMAGED);
}

static void a_file_under_another_name(void **state)
{
	char was[SNAP_PATH_BYTES];

	(void)state;
	write_file(small, 2, 0);
	snap_path(dir, REVISION, was);
	assert_int_equal(rename(was, file_path(OTHER)), 0);
	expect_no_open(OTHER, P_DAMAGED);
}

/* A writer that was refused once ends without a file. */
static void expect_refused(const struct snap_prompt *p, size_t n, enum problem problem)
{
	struct snap_writer *w;
	struct err e;
	uint64_t bytes;

	assert_int_equal(snap_create(&w, dir, &e), 0);
	for (size_t i = 0; i + 1 < n; i++)
		assert_int_equal(snap_put(w, &p[i], &e), 0);
	assert_int_equal(snap_put(w, &p[n - 1], &e), -1);
	assert_int_equal(e.problem, problem);
	assert_int_equal(snap_finish(w, REVISION, META, 0, &bytes, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
	assert_int_equal(files_in_dir(), 0);
}

static void what_breaks_the_contract_is_refused(void **state)
{
	struct snap_prompt p[2] = {small[1], small[0]};
	struct snap_pair pair = small_pairs[0];
	struct snap_message message = small_messages[0];
	struct snap_response response[3];

	(void)state;
	expect_refused(p, 2, P_INTERNAL); /* out of order */
	p[1] = p[0];
	expect_refused(p, 2, P_INTERNAL); /* twice the same */
	p[0] = small[0];
	p[0].pair = &pair;
	p[0].pairs = 1;
	pair.rejected = 3;
	expect_refused(p, 1, P_INTERNAL);
	pair.rejected = 2;
	pair.origin = ORIGIN_COUNT;
	expect_refused(p, 1, P_INTERNAL);
	p[0] = small[0];
	p[0].message = &message;
	p[0].messages = 1;
	message.role = ROLE_COUNT;
	expect_refused(p, 1, P_INTERNAL);
	p[0] = small[0];
	memcpy(response, small_responses, sizeof response);
	p[0].response = response;
	response[2].text = STR_NONE;
	expect_refused(p, 1, P_INTERNAL);
}

/* 32 bits name responses and lengths; the check comes before any reading. */
static void what_32_bits_cannot_name_is_refused(void **state)
{
	struct snap_prompt p[2] = {small[0], small[1]};
	struct snap_message message = {ROLE_USER, {"x", (size_t)UINT32_MAX + 1}};

	(void)state;
	p[1].responses = UINT32_MAX - 2;
	expect_refused(p, 2, P_TOO_LARGE);
	p[0].message = &message;
	p[0].messages = 1;
	expect_refused(p, 1, P_TOO_LARGE);
}

static void an_end_without_a_name_is_refused(void **state)
{
	struct snap_writer *w;
	struct err e;
	uint64_t bytes;

	(void)state;
	assert_int_equal(snap_create(&w, dir, &e), 0);
	assert_int_equal(snap_finish(w, STR("../x"), META, 0, &bytes, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
	assert_int_equal(files_in_dir(), 0);
	assert_int_equal(snap_create(&w, "/nonexistent/folder", &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
}

static void abandoning_leaves_nothing(void **state)
{
	struct snap_writer *w;
	struct made m;
	struct err e;

	(void)state;
	snap_abandon(NULL);
	assert_int_equal(snap_create(&w, dir, &e), 0);
	for (uint32_t i = 0; i < 3000; i++) {
		make(&m, i, 100);
		assert_int_equal(snap_put(w, &m.prompt, &e), 0);
	}
	assert_int_equal(files_in_dir(), 1); /* side files have no names */
	snap_abandon(w);
	assert_int_equal(files_in_dir(), 0);
}

/* The process may write files of so many bytes and no more: like a full disk.
 * The limit strikes at every stage: the pool, the tables, the sums. */
static int write_within(rlim_t limit, struct err *e)
{
	struct rlimit was, now;
	struct snap_writer *w;
	struct made m;
	uint64_t bytes;
	int rc;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	now = was;
	now.rlim_cur = limit;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	rc = snap_create(&w, dir, e);
	for (uint32_t i = 0; rc == 0 && i < 40; i++) {
		make(&m, i, 1000);
		rc = snap_put(w, &m.prompt, e);
	}
	if (rc == 0)
		rc = snap_finish(w, REVISION, META, 0, &bytes, e);
	else
		snap_abandon(w);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	return rc;
}

static void a_full_disk_leaves_nothing(void **state)
{
	uint64_t whole = write_made(40, 1000);
	struct err e;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	unlink(file_path(REVISION));
	for (uint64_t limit = 0; limit < whole; limit += whole / 40) {
		assert_int_equal(write_within((rlim_t)limit, &e), -1);
		assert_int_equal(e.problem, P_STORAGE_FULL);
		assert_int_equal(files_in_dir(), 0);
	}
	assert_int_equal(write_within((rlim_t)whole - 1, &e), -1);
	assert_int_equal(files_in_dir(), 0);
	assert_int_equal(write_within((rlim_t)whole, &e), 0);
	assert_int_equal(files_in_dir(), 1);
}

static void sweeping_takes_only_what_was_cut_short(void **state)
{
	struct snap_writer *w;
	struct err e;
	struct snap *s;

	(void)state;
	write_file(small, 2, 0);
	assert_int_equal(snap_create(&w, dir, &e), 0);
	assert_int_equal(files_in_dir(), 2);
	snap_sweep(dir);
	assert_int_equal(files_in_dir(), 1);
	s = open_file();
	check_all(s, small, 2);
	snap_close(s);
	snap_abandon(w);
	snap_sweep("/nonexistent/folder"); /* nothing to do */
}

static void *read_in_thread(void *p)
{
	struct err e;

	return (void *)(intptr_t)read_all(p, &e);
}

static void many_threads_read_at_once(void **state)
{
	enum { THREADS = 4 };
	pthread_t thread[THREADS];
	struct snap *s;

	(void)state;
	write_made(300, 1500);
	s = open_file();
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, read_in_thread, s), 0);
	for (int i = 0; i < THREADS; i++) {
		void *rc;

		assert_int_equal(pthread_join(thread[i], &rc), 0);
		assert_null(rc);
	}
	check_made(s, 300, 1500);
	snap_close(s);
}

static void roles_and_origins_have_names(void **state)
{
	static const char *const role[] = {"system", "user", "assistant", "tool"};
	static const char *const origin[] = {"judged", "on_policy", "rescored", "replay"};

	(void)state;
	for (int i = 0; i < 4; i++) {
		check_str(role_name((enum role)i), str_of(role[i]));
		assert_int_equal(role_of(str_of(role[i])), i);
		check_str(origin_name((enum origin)i), str_of(origin[i]));
	}
	assert_int_equal(role_of(STR("System")), ROLE_COUNT);
	assert_int_equal(role_of(STR("")), ROLE_COUNT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_put_comes_back),
		TEST(nothing_at_all_is_a_file),
		TEST(the_layout_is_frozen),
		TEST(files_of_any_size),
		TEST(ends_at_a_block),
		TEST(the_same_data_is_the_same_bytes),
		TEST(one_nan_is_like_another),
		TEST(every_flipped_byte_is_found),
		TEST(every_other_length_is_found),
		TEST(damage_shows_where_it_is_touched),
		TEST(garbage_is_refused),
		TEST(hostile_files_do_no_harm),
		TEST(each_crossed_table_is_found),
		TEST(open_files_outlive_their_names),
		TEST(opening_what_is_not_there),
		TEST(a_file_under_another_name),
		TEST(what_breaks_the_contract_is_refused),
		TEST(what_32_bits_cannot_name_is_refused),
		TEST(an_end_without_a_name_is_refused),
		TEST(abandoning_leaves_nothing),
		TEST(a_full_disk_leaves_nothing),
		TEST(sweeping_takes_only_what_was_cut_short),
		TEST(many_threads_read_at_once),
		cmocka_unit_test(roles_and_origins_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
