#include "base/zip.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/heap.h"
#include "base/log.h"

enum {
	ZSTD_LEVEL = 1, /* level 3: 4 % fewer bytes of a batch for a third more CPU */
	GZIP_LEVEL = 1,
	ZLIB_GZIP = 15 + 16, /* the largest window, with gzip's header and trailer */
	ZLIB_MEMORY = 8,     /* zlib's own default */
	ROOM_BYTES = 16 * 1024,
	FEED_BYTES = 1 << 30, /* at once: zlib counts in unsigned int */
};

struct zip {
	enum coding coding;
	z_stream gzip;
	ZSTD_CCtx *zstd;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	log_error("zip", "packing failed: %s", what);
	abort();
}

struct zip *zip_new(enum coding coding)
{
	struct zip *z = heap_zalloc(1, sizeof *z);

	z->coding = coding;
	if (coding == CODING_GZIP)
		must(deflateInit2(&z->gzip, GZIP_LEVEL, Z_DEFLATED, ZLIB_GZIP, ZLIB_MEMORY, Z_DEFAULT_STRATEGY) == Z_OK,
		     "no memory for deflate");
	if (coding == CODING_ZSTD) {
		z->zstd = ZSTD_createCCtx();
		must(z->zstd != NULL, "no memory for zstd");
		ZSTD_CCtx_setParameter(z->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	}
	return z;
}

void zip_free(struct zip *z)
{
	if (z == NULL)
		return;
	if (z->coding == CODING_GZIP)
		deflateEnd(&z->gzip);
	ZSTD_freeCCtx(z->zstd);
	heap_free(z);
}

/* Deflates until the input is used up and the output not filled. */
static void deflate_part(z_stream *z, const char *p, size_t n, bool end, struct buf *out)
{
	z->next_in = (z_const Bytef *)p;
	z->avail_in = (uInt)n;
	do {
		z->next_out = (Bytef *)buf_room(out, ROOM_BYTES);
		z->avail_out = ROOM_BYTES;
		must(deflate(z, end ? Z_FINISH : Z_NO_FLUSH) != Z_STREAM_ERROR, "deflate");
		out->n += ROOM_BYTES - z->avail_out;
	} while (z->avail_out == 0);
}

static void deflate_all(z_stream *z, struct str in, bool end, struct buf *out)
{
	while (in.n > FEED_BYTES) {
		deflate_part(z, in.p, FEED_BYTES, false, out);
		in.p += FEED_BYTES;
		in.n -= FEED_BYTES;
	}
	deflate_part(z, in.p, in.n, end, out);
}

static void compress_all(ZSTD_CCtx *c, struct str s, bool end, struct buf *out)
{
	ZSTD_inBuffer in = {s.p, s.n, 0};
	size_t left;

	do {
		ZSTD_outBuffer o;

		buf_room(out, ROOM_BYTES);
		o = (ZSTD_outBuffer){out->p + out->n, out->cap - out->n, 0};
		left = ZSTD_compressStream2(c, &o, &in, end ? ZSTD_e_end : ZSTD_e_continue);
		must(!ZSTD_isError(left), ZSTD_getErrorName(left));
		out->n += o.pos;
	} while (end ? left > 0 : in.pos < in.size);
}

void zip_feed(struct zip *z, struct str in, bool end, struct buf *out)
{
	if (z->coding == CODING_GZIP)
		deflate_all(&z->gzip, in, end, out);
	else if (z->coding == CODING_ZSTD)
		compress_all(z->zstd, in, end, out);
	else
		buf_str(out, in);
}

void zip_whole(enum coding coding, struct str in, struct buf *out)
{
	struct zip *z = zip_new(coding);

	if (coding == CODING_ZSTD) {
		/* Told the size, zstd fits its tables to it; given room for all, it
		 * packs in one pass without buffers of its own. */
		ZSTD_CCtx_setPledgedSrcSize(z->zstd, in.n);
		buf_room(out, ZSTD_compressBound(in.n));
	}
	zip_feed(z, in, true, out);
	zip_free(z);
}
