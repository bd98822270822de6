/* body.h - the request's body as it arrives. Connection's thread.
 *
 * Every piece is consumed whole. A body that was refused is read on and thrown
 * away, as a client that is cut off while it sends rarely reads the answer;
 * but only up to a bound (body_discard_bytes). */
#ifndef PREFD_HTTP_BODY_H
#define PREFD_HTTP_BODY_H

#include <stdatomic.h>
#include "base/zip.h"
#include "route.h"

struct body {
	bool expected;        /* the headers announce one */
	uint64_t declared;    /* Content-Length; UINT64_MAX: chunked */
	uint64_t received;    /* bytes on the wire */
	struct unzip *unzip;  /* of a document */
	struct buf text;      /* the document, unpacked */
	struct ingest *ingest; /* of rows */
	_Atomic int64_t *budget; /* what is left for all documents together, bytes */
	int64_t reserved;     /* taken from it */
};

/* After the headers: type, coding and length, and the ingest of rows. */
int body_begin(struct request *r, struct err *e);
/* A piece. Trouble goes into r->refused. False: longer than anything that is
 * still read; the connection must break. */
bool body_feed(struct request *r, const char *p, size_t n);
/* The end of the body. */
int body_end(struct request *r, struct err *e);
/* Gives memory and budget back, and drops unfinished rows. Idempotent. */
void body_release(struct body *b);
/* The most that is read of a body that is refused. */
uint64_t body_discard_bytes(const struct request *r);

/* Content-Type into a kind of rows. P_MEDIA_TYPE. Pure. */
int media_type(struct str header, enum body_kind body, enum split_kind *split, struct err *e);

#endif
