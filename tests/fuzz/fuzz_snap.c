/* The snapshot file's reader: a good file with changed bytes and sums that fit
 * again, so that what is changed is really read. Records may lie about
 * everything; nothing outside the file is ever touched. */
#include <string.h>
#include <unistd.h>

#include "../../server/snap/layout.h"
#include "base/file.h"
#include "base/hash.h"
#include "fuzz.h"
#include "snap/read.h"

#define REVISION STR("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")

enum { PROMPTS = 5, CHANGES_MAX = 32, CHANGE_BYTES = 6, FILE_BYTES_MAX = 1 << 20 };

static char dir[] = "/dev/shm/prefd-fuzz-XXXXXX"; /* in memory: files are synced */
static struct buf good;

static void write_good(void)
{
	struct file_mark mark;
	struct snap_writer *w;
	char path[SNAP_PATH_BYTES];
	struct err e;
	uint64_t bytes;

	MUST(snap_create(&w, dir, &e) == 0);
	for (int i = 0; i < PROMPTS; i++) {
		struct snap_response responses[] = {
			{.text = STR("a better answer"), .id = STR("w"), .score = STR("9"), .goal = STR("9"), .reward = 9},
			{.text = STR("worse"), .id = STR("l"), .score = STR("2"), .goal = STR("2"), .reward = 2},
		};
		struct snap_message messages[] = {{ROLE_SYSTEM, STR("be kind")}, {ROLE_USER, STR("a question")}};
		struct snap_pair pair = {.rejected = 1};
		char id[] = {'p', (char)('0' + i)};
		struct snap_prompt p = {{id, sizeof id}, messages, 2, responses, 2, &pair, 1};

		MUST(snap_put(w, &p, &e) == 0);
	}
	MUST(snap_finish(w, REVISION, STR("{}"), 0, &bytes, &e) == 0);
	snap_path(dir, REVISION, path);
	MUST(file_read(path, FILE_BYTES_MAX, &good, &mark, &e) == 0);
	unlink(path);
}

static void remove_folder(void)
{
	rmdir(dir);
	buf_release(&good);
}

static void begin(void)
{
	if (good.n > 0)
		return;
	MUST(mkdtemp(dir) != NULL);
	write_good();
	atexit(remove_folder);
}

/* Where the sums are is itself something that may have been changed. */
static void mend_sums(char *p, size_t n)
{
	struct snap_header h;

	memcpy(&h, p, sizeof h);
	const struct snap_section_rec *s = &h.section[SECTION_SUMS];
	uint64_t blocks = s->offset > SNAP_HEADER_BYTES && s->offset <= n ? snap_blocks(s->offset - SNAP_HEADER_BYTES) : 0;

	for (uint64_t i = 0; i < blocks && s->offset + 8 * (i + 1) <= n; i++) {
		uint64_t at = SNAP_HEADER_BYTES + i * SNAP_BLOCK_BYTES, left = s->offset - at;
		uint64_t sum = xxh3(p + at, left < SNAP_BLOCK_BYTES ? left : SNAP_BLOCK_BYTES);

		memcpy(p + s->offset + 8 * i, &sum, 8);
	}
	if (blocks > 0 && s->length <= n - s->offset)
		h.sums_sum = xxh3(p + s->offset, s->length);
	h.sum = xxh3(&h, offsetof(struct snap_header, sum));
	memcpy(p, &h, sizeof h);
}

/* Every byte that a view would copy. */
static uint64_t touch(struct str s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum += (unsigned char)s.p[i];
	return sum;
}

static uint64_t touch_pair(struct snap *s, uint64_t i, struct err *e)
{
	struct snap_message m;
	struct snap_view v;
	uint64_t sum;

	if (snap_pair_at(s, i, &v, e) < 0)
		return 0;
	sum = touch(v.prompt_id) + touch(v.chosen.text) + touch(v.chosen.id) + touch(v.rejected.text) + touch(v.chosen.goal_text);
	for (uint32_t k = 0; k < v.messages && k < 64; k++)
		if (snap_message_at(s, &v, k, &m, e) == 0)
			sum += touch(m.content) + m.role;
	return sum;
}

static void read_all(void)
{
	struct snap *s;
	struct str meta;
	struct err e = {0};
	uint64_t sum = 0;

	if (snap_open(&s, dir, REVISION, &e) < 0) {
		MUST(e.problem == P_DAMAGED || e.problem == P_UNKNOWN_SNAPSHOT);
		return;
	}
	for (uint64_t i = 0; i < snap_pairs(s) && i < 64; i++)
		sum += touch_pair(s, i, &e);
	if (snap_meta(s, &meta, &e) == 0)
		sum += touch(meta);
	snap_verify(s, &e);
	snap_close(s);
	MUST(sum < UINT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf file = BUF_INIT;
	char path[SNAP_PATH_BYTES];
	struct err e;
	size_t at = 0;

	begin();
	buf_str(&file, buf_view(&good));
	/* Changes: a place (4 bytes), a value and how many times it is written. */
	for (int i = 0; i < CHANGES_MAX && size - at >= CHANGE_BYTES; i++, at += CHANGE_BYTES) {
		uint32_t place;

		memcpy(&place, data + at, 4);
		for (int k = 0; k <= data[at + 5] % 8; k++)
			file.p[(place + (uint32_t)k) % file.n] = (char)data[at + 4];
	}
	if (size - at > 0 && data[at] & 1)
		file.n = file.n * data[at] / 256; /* cut short */
	if (file.n >= SNAP_HEADER_BYTES)
		mend_sums(file.p, file.n);
	snap_path(dir, REVISION, path);
	MUST(file_replace(path, buf_view(&file), 0600, &e) == 0);
	read_all();
	unlink(path);
	buf_release(&file);
	return 0;
}
