#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/heap.h"
#include "base/log.h"
#include "base/zip.h"

enum {
	PIECE_BYTES = 64 * 1024,
	WINDOW_LOG = 23,      /* 8 MiB */
	ZLIB_GZIP = 15 + 16,  /* the largest window, with gzip's header and trailer */
	FEED_BYTES = 1 << 30, /* at once: zlib counts in unsigned int */
};

struct unzip {
	enum coding coding;
	uint64_t limit, bytes;
	unzip_fn *out;
	void *ctx;
	z_stream gzip;
	ZSTD_DStream *zstd;
	bool begun; /* a first member was seen */
	bool open;  /* inside a member or frame */
	char piece[]; /* PIECE_BYTES, unless it is the identity: that passes bytes on */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	log_error("zip", "no memory for %s", what);
	abort();
}

struct unzip *unzip_new(enum coding coding, uint64_t limit_bytes, unzip_fn *out, void *ctx)
{
	bool packed = coding == CODING_GZIP || coding == CODING_ZSTD;
	struct unzip *u = heap_alloc(sizeof *u + (packed ? PIECE_BYTES : 0));

	*u = (struct unzip){.coding = coding, .limit = limit_bytes, .out = out, .ctx = ctx};
	if (coding == CODING_GZIP)
		must(inflateInit2(&u->gzip, ZLIB_GZIP) == Z_OK, "inflate");
	if (coding == CODING_ZSTD) {
		u->zstd = ZSTD_createDStream();
		must(u->zstd != NULL, "zstd");
		ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, WINDOW_LOG);
	}
	return u;
}

void unzip_free(struct unzip *u)
{
	if (u == NULL)
		return;
	if (u->coding == CODING_GZIP)
		inflateEnd(&u->gzip);
	ZSTD_freeDStream(u->zstd);
	heap_free(u);
}

uint64_t unzip_bytes(const struct unzip *u)
{
	return u->bytes;
}

static int hand_out(struct unzip *u, const char *p, size_t n, struct err *e)
{
	if (n > u->limit - u->bytes)
		return err_set(e, P_TOO_LARGE, "the body is more than %llu bytes unpacked", (unsigned long long)u->limit);
	u->bytes += n;
	return n > 0 ? u->out(u->ctx, p, n, e) : 0;
}

static int copy(struct unzip *u, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		size_t part = n < PIECE_BYTES ? n : PIECE_BYTES;
		int rc = hand_out(u, p, part, e);

		if (rc != 0)
			return rc;
		p += part;
		n -= part;
	}
	return 0;
}

static int broken_gzip(const struct unzip *u, struct err *e)
{
	return err_set(e, P_BROKEN_BODY, "broken gzip stream after %llu unpacked bytes: %s", (unsigned long long)u->bytes,
	               u->gzip.msg ? u->gzip.msg : "damaged");
}

/* Inflates until the input is used up and the output not filled. */
static int inflate_all(struct unzip *u, const char *p, size_t n, struct err *e)
{
	z_stream *z = &u->gzip;

	z->next_in = (z_const Bytef *)p;
	z->avail_in = (uInt)n;
	do {
		int rc, done;

		if (!u->open)
			inflateReset(z); /* the next member begins */
		u->open = true;
		z->next_out = (Bytef *)u->piece;
		z->avail_out = PIECE_BYTES;
		rc = inflate(z, Z_NO_FLUSH);
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return broken_gzip(u, e);
		u->open = rc != Z_STREAM_END;
		if ((done = hand_out(u, u->piece, PIECE_BYTES - z->avail_out, e)) != 0)
			return done;
	} while (z->avail_in > 0 || (u->open && z->avail_out == 0));
	return 0;
}

static int decompress_all(struct unzip *u, const char *p, size_t n, struct err *e)
{
	ZSTD_inBuffer in = {p, n, 0};
	ZSTD_outBuffer out;

	do {
		size_t rc;
		int done;

		out = (ZSTD_outBuffer){u->piece, PIECE_BYTES, 0};
		rc = ZSTD_decompressStream(u->zstd, &out, &in);
		if (ZSTD_isError(rc))
			return err_set(e, P_BROKEN_BODY, "broken zstd stream after %llu unpacked bytes: %s",
			               (unsigned long long)u->bytes, ZSTD_getErrorName(rc));
		u->open = rc != 0; /* 0: a frame is over and all of it is out */
		if ((done = hand_out(u, u->piece, out.pos, e)) != 0)
			return done;
	} while (in.pos < in.size || (u->open && out.pos == out.size));
	return 0;
}

int unzip_feed(struct unzip *u, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		size_t part = n < FEED_BYTES ? n : FEED_BYTES;
		int rc;

		u->begun = true;
		if (u->coding == CODING_GZIP)
			rc = inflate_all(u, p, part, e);
		else if (u->coding == CODING_ZSTD)
			rc = decompress_all(u, p, part, e);
		else
			rc = copy(u, p, part, e);
		if (rc != 0)
			return rc;
		p += part;
		n -= part;
	}
	return 0;
}

int unzip_end(struct unzip *u, struct err *e)
{
	if (u->coding != CODING_GZIP && u->coding != CODING_ZSTD)
		return 0;
	if (!u->begun || u->open)
		return err_set(e, P_BROKEN_BODY, "the %s stream is cut short after %llu unpacked bytes", coding_name(u->coding),
		               (unsigned long long)u->bytes);
	return 0;
}
