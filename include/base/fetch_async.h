/* fetch_async.h - HTTP POSTs beside the loop's other work (libcurl's multi
 * interface on libuv).
 *
 * http and https only, no redirects, no proxy, no decompression: what comes is
 * the other side's word and is bounded in time and in bytes. How many are under
 * way is the caller's to bound. Everything on the loop's thread, but for
 * url_read, which is pure. */
#ifndef PREFD_BASE_FETCH_ASYNC_H
#define PREFD_BASE_FETCH_ASYNC_H

#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

enum { FETCH_CONNECT_MS = 10 * 1000 }; /* until connected; never more than the whole timeout */

struct fetches;

struct fetch_post {
	const char *url;
	struct str body;     /* JSON; copied */
	uint32_t timeout_ms; /* from fetches_post to the answer's last byte; at least 1 */
	size_t max_bytes;    /* of the answer's headers, and again of its body */
};

enum fetch_end {
	FETCH_ANSWERED,    /* with any status */
	FETCH_TIMED_OUT,
	FETCH_UNREACHABLE, /* no such name, no connection, no trust */
	FETCH_CUT,         /* the answer was not whole, or no HTTP */
	FETCH_TOO_LARGE,
	FETCH_BAD_URL,
};

struct fetch_answer {
	enum fetch_end end;
	int status;                  /* 0 unless answered */
	int64_t retry_after_seconds; /* -1: absent; a date is turned into seconds from now */
	struct str body;             /* lives until done returns */
	const char *why;             /* unless answered: for the log */
};

/* Called once for each post, never from within fetches_post. May post again;
 * must not free the fetches. */
typedef void fetch_done(void *ctx, const struct fetch_answer *a);

/* Connections are kept alive from post to post. */
struct fetches *fetches_new(struct loop *l);
/* Before loop_free. What is under way is dropped and its done is not called. */
void fetches_free(struct fetches *f);
void fetches_post(struct fetches *f, const struct fetch_post *q, fetch_done *done, void *ctx);

/* The host of an http or https URL as the fetches will read it, so that what is
 * checked is where they go: in lower case, an IPv6 address in brackets. Appended.
 * P_INVALID: no URL, another scheme, user or password, query or fragment. */
int url_read(struct str url, struct buf *host, struct err *e);

#endif
