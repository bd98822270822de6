/* Unpacking: the same under every chunking, and never more than its limit. */
#include "base/zip.h"
#include "fuzz.h"

enum { LIMIT_BYTES = 1 << 18 };

static int take(void *ctx, const char *p, size_t n, struct err *e)
{
	struct buf *out = ctx;

	(void)e;
	buf_add(out, p, n);
	MUST(out->n <= LIMIT_BYTES);
	return 0;
}

static int run(enum coding coding, const uint8_t *data, size_t size, bool in_steps, struct buf *out, struct err *e)
{
	struct unzip *u = unzip_new(coding, LIMIT_BYTES, take, out);
	int rc = 0;

	for (size_t at = 0, n; at < size && rc == 0; at += n) {
		n = in_steps ? step_of(data, at, size) : size;
		rc = unzip_feed(u, (const char *)data + at, n, e);
	}
	if (rc == 0)
		rc = unzip_end(u, e);
	if (rc == 0)
		MUST(unzip_bytes(u) == out->n);
	unzip_free(u);
	return rc;
}

/* What was packed comes out again. */
static void round_trip(enum coding coding, struct str text)
{
	struct buf packed = BUF_INIT, out = BUF_INIT;
	struct err e = {0};

	zip_whole(coding, text, &packed);
	MUST(run(coding, (const uint8_t *)packed.p, packed.n, true, &out, &e) == 0);
	MUST(str_eq(buf_view(&out), text));
	buf_release(&packed);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out[2] = {BUF_INIT, BUF_INIT};
	struct err e[2] = {{0}, {0}};
	enum coding coding;
	int rc[2];

	if (size == 0)
		return 0;
	coding = data[0] & 1 ? CODING_ZSTD : CODING_GZIP;
	for (int i = 0; i < 2; i++)
		rc[i] = run(coding, data + 1, size - 1, i == 1, &out[i], &e[i]);
	MUST(rc[0] == rc[1]);
	if (rc[0] == 0)
		MUST(str_eq(buf_view(&out[0]), buf_view(&out[1])));
	else
		must_explain(&e[0]);
	if (data[0] & 2 && size < LIMIT_BYTES)
		round_trip(coding, text_of(data + 1, size - 1));
	buf_release(&out[0]);
	buf_release(&out[1]);
	return 0;
}
