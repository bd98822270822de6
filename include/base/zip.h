/* zip.h - gzip and zstd, both ways, in pieces (zlib, libzstd).
 *
 * Unpacking: concatenated gzip members and zstd frames are one stream, as
 * their standards say; anything else behind a member is an error; so is a
 * stream cut short. zstd windows of at most 8 MiB. The unpacked size is
 * bounded by the caller's limit as it grows, so a bomb costs no memory. */
#ifndef PREFD_BASE_ZIP_H
#define PREFD_BASE_ZIP_H

#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_ZSTD, CODING_UNKNOWN };

/* "gzip", "x-gzip", "zstd", "identity" or absent; case-insensitive. */
enum coding coding_of(struct str name);
const char *coding_name(enum coding c);
/* The best coding that an Accept-Encoding header allows (q-values heeded,
 * zstd before gzip before identity at equal q; absent: identity). */
enum coding coding_accepted(struct str accept_encoding);
/* By the first bytes of a file; needs 4. */
enum coding coding_sniff(const void *p, size_t n);

/* Called with each unpacked piece (<= 64 KiB); other than 0 stops and is returned. */
typedef int unzip_fn(void *ctx, const char *p, size_t n, struct err *e);

struct unzip;
/* limit_bytes: unpacked; beyond it P_TOO_LARGE. */
struct unzip *unzip_new(enum coding coding, uint64_t limit_bytes, unzip_fn *out, void *ctx);
/* P_BROKEN_BODY for a damaged stream. */
int unzip_feed(struct unzip *u, const char *p, size_t n, struct err *e);
int unzip_end(struct unzip *u, struct err *e);
uint64_t unzip_bytes(const struct unzip *u); /* unpacked so far */
void unzip_free(struct unzip *u);

/* Packing, whole: appends to out. zstd level 1, gzip level 1; one frame or one
 * member, since there are HTTP clients that stop behind the first. */
void zip_whole(enum coding coding, struct str in, struct buf *out);
/* Packing, streamed. */
struct zip;
struct zip *zip_new(enum coding coding);
/* Appends what is ready to out; `end` finishes the stream. */
void zip_feed(struct zip *z, struct str in, bool end, struct buf *out);
void zip_free(struct zip *z);

#endif
