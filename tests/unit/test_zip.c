#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <string.h>
#include <sys/resource.h>
#include <zstd.h>

#include "base/zip.h"

static const enum coding packed[] = {CODING_GZIP, CODING_ZSTD};
enum { PACKED = 2 };

static int collect(void *ctx, const char *p, size_t n, struct err *e)
{
	(void)e;
	assert_in_range(n, 1, 64 * 1024);
	buf_add(ctx, p, n);
	return 0;
}

/* Unpacks `in` in pieces of `step` bytes, each a copy of its own size, so that
 * a byte read beside it is seen. 0 or the first failure. */
static int unpack(enum coding c, struct str in, size_t step, uint64_t limit, struct buf *out, struct err *e)
{
	struct unzip *u = unzip_new(c, limit, collect, out);
	int rc = 0;

	memset(e, 0, sizeof *e);
	buf_clear(out);
	for (size_t at = 0; at < in.n && rc == 0; at += step) {
		size_t n = in.n - at < step ? in.n - at : step;
		char *copy = malloc(n);

		memcpy(copy, in.p + at, n);
		rc = unzip_feed(u, copy, n, e);
		free(copy);
	}
	if (rc == 0)
		rc = unzip_end(u, e);
	assert_int_equal(unzip_bytes(u), out->n);
	unzip_free(u);
	return rc;
}

/* Text that packs, but not to nothing: words by a small generator. */
static void write_text(struct buf *b, size_t n)
{
	static const char *const words[] = {"prompt ", "chosen ", "rejected ", "goal ", "7.5 ", "\n"};
	uint32_t x = 1;

	while (b->n < n) {
		x = x * 1664525 + 1013904223;
		buf_z(b, words[(x >> 24) % 6]);
	}
	b->n = n;
}

static void there_and_back(void **state)
{
	static const size_t sizes[] = {0, 1, 100, 65535, 65536, 65537, 400000};
	struct buf text = BUF_INIT, small = BUF_INIT, out = BUF_INIT;
	struct err e;

	(void)state;
	for (int c = CODING_IDENTITY; c <= CODING_ZSTD; c++)
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			buf_clear(&text);
			write_text(&text, sizes[i]);
			/* Packing appends. */
			buf_clear(&small);
			buf_lit(&small, "front");
			zip_whole((enum coding)c, buf_view(&text), &small);
			assert_memory_equal(small.p, "front", 5);
			buf_shift(&small, 5);
			assert_int_equal(unpack((enum coding)c, buf_view(&small), 1000, sizes[i], &out, &e), 0);
			assert_true(str_eq(buf_view(&out), buf_view(&text)));
			if (c != CODING_IDENTITY && sizes[i] > 65000)
				assert_true(small.n < text.n / 3);
		}
	buf_release(&text);
	buf_release(&small);
	buf_release(&out);
}

static void every_chunking(void **state)
{
	struct buf text = BUF_INIT, small = BUF_INIT, out = BUF_INIT;
	struct err e;

	(void)state;
	write_text(&text, 1500);
	for (int i = 0; i < PACKED; i++) {
		buf_clear(&small);
		zip_whole(packed[i], buf_view(&text), &small);
		for (size_t step = 1; step <= small.n; step++) {
			assert_int_equal(unpack(packed[i], buf_view(&small), step, 1500, &out, &e), 0);
			assert_true(str_eq(buf_view(&out), buf_view(&text)));
		}
	}
	buf_release(&text);
	buf_release(&small);
	buf_release(&out);
}

/* There are HTTP clients that read the first frame and drop the others without a word. */
static void an_answer_is_one_frame(void **state)
{
	struct buf text = BUF_INIT, whole = BUF_INIT, streamed = BUF_INIT;
	struct zip *z = zip_new(CODING_ZSTD);

	(void)state;
	write_text(&text, 1000000);
	zip_whole(CODING_ZSTD, buf_view(&text), &whole);
	assert_int_equal(ZSTD_findFrameCompressedSize(whole.p, whole.n), whole.n);
	for (size_t at = 0; at < text.n; at += 50000)
		zip_feed(z, (struct str){text.p + at, 50000}, at + 50000 == text.n, &streamed);
	assert_int_equal(ZSTD_findFrameCompressedSize(streamed.p, streamed.n), streamed.n);
	zip_free(z);
	buf_release(&text);
	buf_release(&whole);
	buf_release(&streamed);
}

/* Three pieces, the middle one empty, are one stream; for zstd with a
 * skippable frame of 3 bytes between them. */
static void write_members(enum coding c, struct buf *b)
{
	static const char skippable[] = "\x53\x2A\x4D\x18\x03\0\0\0abc";

	zip_whole(c, STR("first, "), b);
	zip_whole(c, STR(""), b);
	if (c == CODING_ZSTD)
		buf_add(b, skippable, sizeof skippable - 1);
	zip_whole(c, STR("second"), b);
}

static void members_and_frames_are_one_stream(void **state)
{
	struct buf b = BUF_INIT, out = BUF_INIT;
	struct err e;

	(void)state;
	for (int i = 0; i < PACKED; i++) {
		buf_clear(&b);
		write_members(packed[i], &b);
		for (size_t step = 1; step <= b.n; step++) {
			assert_int_equal(unpack(packed[i], buf_view(&b), step, 13, &out, &e), 0);
			assert_true(str_eq(buf_view(&out), STR("first, second")));
		}
	}
	buf_release(&b);
	buf_release(&out);
}

/* Whether a cut at n lies between two members, where the stream may end. */
static bool may_end(enum coding c, size_t n)
{
	struct buf b = BUF_INIT;
	bool ends = false;

	zip_whole(c, STR("first, "), &b);
	ends = ends || b.n == n;
	zip_whole(c, STR(""), &b);
	ends = ends || b.n == n;
	ends = ends || (c == CODING_ZSTD && b.n + 11 == n); /* behind the skippable frame */
	buf_release(&b);
	return ends;
}

static void every_cut_is_refused(void **state)
{
	struct buf b = BUF_INIT, out = BUF_INIT;
	struct err e;
	int ends = 0;

	(void)state;
	for (int i = 0; i < PACKED; i++) {
		buf_clear(&b);
		write_members(packed[i], &b);
		for (size_t n = 0; n < b.n; n++)
			for (size_t step = 1; step <= 64; step += 63) {
				int rc = unpack(packed[i], (struct str){b.p, n}, step, 100, &out, &e);

				if (may_end(packed[i], n)) {
					assert_int_equal(rc, 0);
					ends++;
					continue;
				}
				assert_int_equal(rc, -1);
				assert_int_equal(e.problem, P_BROKEN_BODY);
				assert_non_null(strstr(e.detail, "cut short"));
			}
	}
	assert_int_equal(ends, 2 * (2 + 3));
	buf_release(&b);
	buf_release(&out);
}

static void what_stands_behind_a_member_must_be_one(void **state)
{
	static const struct str tails[] = {
		{"\0", 1}, {"\0\0\0\0\0\0\0\0", 8}, {"garbage!", 8}, {"\x1F\x8C", 2}, {"\x28\xB5\x2F\xFE", 4},
	};
	struct buf b = BUF_INIT, out = BUF_INIT;
	struct err e;

	(void)state;
	for (int i = 0; i < PACKED; i++)
		for (size_t t = 0; t < sizeof tails / sizeof tails[0]; t++) {
			buf_clear(&b);
			zip_whole(packed[i], STR("text"), &b);
			buf_str(&b, tails[t]);
			for (size_t step = 1; step <= b.n; step++) {
				assert_int_equal(unpack(packed[i], buf_view(&b), step, 100, &out, &e), -1);
				assert_int_equal(e.problem, P_BROKEN_BODY);
			}
		}
	buf_release(&b);
	buf_release(&out);
}

/* gzip's checksum and length cover every bit of the text; a flipped bit is
 * either refused or, in a header field such as the time, without effect. */
static void flipped_bits_never_change_the_text(void **state)
{
	struct buf b = BUF_INIT, out = BUF_INIT;
	struct err e;
	int refused = 0;

	(void)state;
	zip_whole(CODING_GZIP, STR("a text that is long enough to be worth packing, packing, packing"), &b);
	for (size_t bit = 0; bit < 8 * b.n; bit++) {
		b.p[bit / 8] ^= (char)(1 << bit % 8);
		if (unpack(CODING_GZIP, buf_view(&b), 7, 1000, &out, &e) < 0) {
			assert_int_equal(e.problem, P_BROKEN_BODY);
			refused++;
		} else {
			assert_true(str_eq(buf_view(&out),
			                   STR("a text that is long enough to be worth packing, packing, packing")));
		}
		b.p[bit / 8] ^= (char)(1 << bit % 8);
	}
	/* All but time, level and system: 6 of the 10 bytes of the header. */
	assert_true(refused >= (int)(8 * (b.n - 6)) - 8);
	buf_release(&b);
	buf_release(&out);
}

static void the_limit_is_exact(void **state)
{
	struct buf text = BUF_INIT, b = BUF_INIT, out = BUF_INIT;
	struct err e;

	(void)state;
	write_text(&text, 100000);
	for (int c = CODING_IDENTITY; c <= CODING_ZSTD; c++) {
		buf_clear(&b);
		zip_whole((enum coding)c, buf_view(&text), &b);
		assert_int_equal(unpack((enum coding)c, buf_view(&b), 4096, 100000, &out, &e), 0);
		assert_int_equal(unpack((enum coding)c, buf_view(&b), 4096, 99999, &out, &e), -1);
		assert_int_equal(e.problem, P_TOO_LARGE);
		assert_string_equal(e.detail, "the body is more than 99999 bytes unpacked");
		assert_true(out.n <= 99999);
	}
	buf_release(&text);
	buf_release(&b);
	buf_release(&out);
}

static int count(void *ctx, const char *p, size_t n, struct err *e)
{
	(void)p;
	(void)e;
	*(uint64_t *)ctx += n;
	return 0;
}

static long peak_kib(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_maxrss;
}

/* 256 MiB of zeros in a few KiB: stopped at 16 MiB, without growing by it. */
static void bombs_stop_at_the_limit(void **state)
{
	static const char zeros[65536];
	uint64_t limit = 16 << 20;

	(void)state;
	for (int i = 0; i < PACKED; i++) {
		struct zip *z = zip_new(packed[i]);
		struct buf bomb = BUF_INIT;
		uint64_t seen = 0;
		struct unzip *u;
		struct err e;
		long before;

		for (int k = 0; k < 4096; k++)
			zip_feed(z, (struct str){zeros, sizeof zeros}, k == 4095, &bomb);
		zip_free(z);
		assert_true(bomb.n < 2 << 20);
		before = peak_kib();
		u = unzip_new(packed[i], limit, count, &seen);
		assert_int_equal(unzip_feed(u, bomb.p, bomb.n, &e), -1);
		assert_int_equal(e.problem, P_TOO_LARGE);
		assert_in_range(seen, limit - 65536, limit);
		assert_int_equal(unzip_bytes(u), seen);
		unzip_free(u);
		assert_true(peak_kib() - before < 12 * 1024);
		buf_release(&bomb);
	}
}

/* A frame header that asks for a window of 16 MiB: magic, descriptor 0 (no
 * single segment, no content size), window byte (24 - 10) << 3; then an empty
 * last block. With 8 MiB it is an empty stream. */
static void wide_windows_are_refused(void **state)
{
	char frame[] = "\x28\xB5\x2F\xFD\0\x70\x01\0\0";
	struct buf out = BUF_INIT;
	struct err e;

	(void)state;
	assert_int_equal(unpack(CODING_ZSTD, (struct str){frame, 9}, 9, 100, &out, &e), -1);
	assert_int_equal(e.problem, P_BROKEN_BODY);
	frame[5] = 0x68;
	assert_int_equal(unpack(CODING_ZSTD, (struct str){frame, 9}, 9, 100, &out, &e), 0);
	assert_int_equal(out.n, 0);
	buf_release(&out);
}

static int stop_at_third(void *ctx, const char *p, size_t n, struct err *e)
{
	(void)p;
	(void)n;
	return ++*(int *)ctx == 3 ? err_set(e, P_INVALID, "enough") * 7 : 0;
}

static void the_callback_stops_it(void **state)
{
	struct buf text = BUF_INIT, b = BUF_INIT;

	(void)state;
	write_text(&text, 1000000);
	for (int c = CODING_IDENTITY; c <= CODING_ZSTD; c++) {
		struct err e;
		int pieces = 0;
		struct unzip *u = unzip_new((enum coding)c, UINT64_MAX, stop_at_third, &pieces);

		buf_clear(&b);
		zip_whole((enum coding)c, buf_view(&text), &b);
		assert_int_equal(unzip_feed(u, b.p, b.n, &e), -7);
		assert_string_equal(e.detail, "enough");
		assert_int_equal(pieces, 3);
		unzip_free(u);
	}
	buf_release(&text);
	buf_release(&b);
}

static void streamed_packing(void **state)
{
	struct buf text = BUF_INIT, b = BUF_INIT, out = BUF_INIT;
	struct err e;

	(void)state;
	write_text(&text, 300000);
	for (int c = CODING_IDENTITY; c <= CODING_ZSTD; c++)
		for (size_t step = 1777; step < 400000; step *= 13) {
			struct zip *z = zip_new((enum coding)c);

			buf_clear(&b);
			for (size_t at = 0; at < text.n; at += step) {
				size_t n = text.n - at < step ? text.n - at : step;

				zip_feed(z, (struct str){text.p + at, n}, false, &b);
			}
			zip_feed(z, STR(""), true, &b);
			zip_free(z);
			assert_int_equal(unpack((enum coding)c, buf_view(&b), 5000, 300000, &out, &e), 0);
			assert_true(str_eq(buf_view(&out), buf_view(&text)));
		}
	buf_release(&text);
	buf_release(&b);
	buf_release(&out);
}

static void names_and_first_bytes(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(coding_of(STR_NONE), CODING_IDENTITY);
	assert_int_equal(coding_of(STR("Identity")), CODING_IDENTITY);
	assert_int_equal(coding_of(STR("GZIP")), CODING_GZIP);
	assert_int_equal(coding_of(STR("x-gzip")), CODING_GZIP);
	assert_int_equal(coding_of(STR("zStd")), CODING_ZSTD);
	assert_int_equal(coding_of(STR("br")), CODING_UNKNOWN);
	assert_int_equal(coding_of(STR("gzip, zstd")), CODING_UNKNOWN);
	assert_string_equal(coding_name(CODING_ZSTD), "zstd");
	for (int i = 0; i < PACKED; i++) {
		buf_clear(&b);
		zip_whole(packed[i], STR("x"), &b);
		assert_int_equal(coding_sniff(b.p, b.n), packed[i]);
		assert_int_equal(coding_sniff(b.p, 3), CODING_IDENTITY);
	}
	assert_int_equal(coding_sniff("\x5F\x2A\x4D\x18", 4), CODING_ZSTD);
	assert_int_equal(coding_sniff("\x60\x2A\x4D\x18", 4), CODING_IDENTITY);
	assert_int_equal(coding_sniff("{\"id\"", 5), CODING_IDENTITY);
	buf_release(&b);
}

static void accept_encoding(void **state)
{
	static const struct {
		const char *header;
		enum coding want;
	} cases[] = {
		{NULL, CODING_IDENTITY},
		{"", CODING_IDENTITY},
		{"gzip", CODING_GZIP},
		{"gzip, deflate, br, zstd", CODING_ZSTD},
		{"gzip;q=1.0,zstd;q=0.999", CODING_GZIP},
		{"GZIP;Q=0.5 , Zstd ; q=0.5", CODING_ZSTD},
		{"x-gzip", CODING_GZIP},
		{"br", CODING_IDENTITY},
		{"*", CODING_ZSTD},
		{"*, zstd;q=0", CODING_GZIP},
		{"*;q=0", CODING_IDENTITY},
		{"identity, gzip;q=0.9", CODING_IDENTITY},
		{"identity;q=0.5, gzip", CODING_GZIP},
		{"identity, gzip", CODING_GZIP},
		{"identity, *;q=0.3", CODING_IDENTITY},
		{"gzip;q=0.001", CODING_GZIP},
		{"gzip;q=0", CODING_IDENTITY},
		{"gzip;q=0.000, zstd;q=0.", CODING_IDENTITY},
		{"identity;q=0", CODING_IDENTITY},
		{"identity;q=0, gzip;q=0.1", CODING_GZIP},
		{"identity;q=0, br", CODING_IDENTITY},
		/* Elements that are none are passed over. */
		{"zstd;q=2, gzip", CODING_GZIP},
		{"zstd;q=1.001, gzip", CODING_GZIP},
		{"zstd;q=0.1234, gzip;q=0.1", CODING_GZIP},
		{"zstd;q=, gzip;q=0.1", CODING_GZIP},
		{"zstd;q=-1, gzip;q=0.1", CODING_GZIP},
		{"zstd;level=3, gzip;q=0.1", CODING_GZIP},
		{",, ,gzip,", CODING_GZIP},
		{"\tgzip\t", CODING_GZIP},
		{"gzi", CODING_IDENTITY},
		{"gzipp", CODING_IDENTITY},
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		if (coding_accepted(str_of(cases[i].header)) != cases[i].want)
			fail_msg("%s", cases[i].header);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(every_chunking),
		cmocka_unit_test(an_answer_is_one_frame),
		cmocka_unit_test(members_and_frames_are_one_stream),
		cmocka_unit_test(every_cut_is_refused),
		cmocka_unit_test(what_stands_behind_a_member_must_be_one),
		cmocka_unit_test(flipped_bits_never_change_the_text),
		cmocka_unit_test(the_limit_is_exact),
		cmocka_unit_test(bombs_stop_at_the_limit),
		cmocka_unit_test(wide_windows_are_refused),
		cmocka_unit_test(the_callback_stops_it),
		cmocka_unit_test(streamed_packing),
		cmocka_unit_test(names_and_first_bytes),
		cmocka_unit_test(accept_encoding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
