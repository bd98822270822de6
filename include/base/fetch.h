/* fetch.h - a small blocking HTTP client for the command line (libcurl).
 *
 * http and https only, no redirects, no proxy: the token in a header goes
 * where the user said and nowhere else. One fetch keeps one connection alive
 * from call to call. It belongs to one thread at a time. */
#ifndef PREFD_BASE_FETCH_H
#define PREFD_BASE_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum {
	FETCH_CONNECT_SECONDS = 10,           /* until connected */
	FETCH_STALL_SECONDS = 120,            /* without a byte either way; above any wait of the daemon's */
	FETCH_REPLY_BYTES = 64 * 1024 * 1024, /* a reply in memory at most, unpacked */
};

struct fetch;

struct fetch_request {
	const char *method;         /* "GET", "POST", … */
	const char *url;
	const char *const *headers; /* "Name: value"; ended by NULL; may be NULL itself */
	struct str body;            /* STR_NONE: none (POST and PUT then send an empty one) */
	int seconds;                /* for the whole call; 0: as long as bytes move */
	bool any_certificate;       /* of https: for asking oneself, where nothing is at stake */
};

/* What came back; owns its bytes from fetch_reply_init to fetch_reply_release.
 * An absent header is an empty buffer. */
struct fetch_reply {
	int status;
	int64_t retry_after_seconds; /* -1: absent; a date is turned into seconds from now */
	struct buf content_type, location;
	struct buf body; /* unpacked, whatever its Content-Encoding was */
};

struct fetch *fetch_new(void);
/* From now on each call carries `Authorization: Bearer <token>`; copied. A
 * token with control characters fails every call (P_BAD_REQUEST). */
void fetch_bearer(struct fetch *f, struct str token);
/* From now on https trusts the authorities of this PEM file, instead of the
 * system's. The text is the caller's, as long as f lives. */
void fetch_authorities(struct fetch *f, const char *path);
void fetch_free(struct fetch *f);
void fetch_reply_init(struct fetch_reply *r);
void fetch_reply_release(struct fetch_reply *r);

/* 0 with any status, r's former content replaced; -1 when no whole reply came:
 * P_BAD_REQUEST (URL or header), P_UNAVAILABLE (not reached, cut, stalled),
 * P_BROKEN_BODY (Content-Encoding), P_TOO_LARGE (above FETCH_REPLY_BYTES). */
int fetch_do(struct fetch *f, const struct fetch_request *q, struct fetch_reply *r, struct err *e);

/* Called with each piece of the body, unpacked; other than 0, with e filled
 * in, stops and is returned. */
typedef int fetch_body_fn(void *ctx, const char *p, size_t n, struct err *e);

/* As fetch_do, but the body of a 2xx goes to `body` as it comes, however
 * large. The body of any other status, a problem's text, goes into r. */
int fetch_stream(struct fetch *f, const struct fetch_request *q, fetch_body_fn *body, void *ctx,
                 struct fetch_reply *r, struct err *e);

#endif
