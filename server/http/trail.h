/* trail.h - what a request leaves behind when it is done: its line of the audit
 * log, and its bytes charged to its token. Connection's thread. */
#ifndef PREFD_HTTP_TRAIL_H
#define PREFD_HTTP_TRAIL_H

#include "request.h"

void trail_leave(struct request *r);
/* The path as it was sent, but cut behind the id of a token that somebody put there. */
struct str trail_path(struct request *r);
/* RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), for
 * tokens that have limits. */
void trail_headers(const struct request *r, struct MHD_Response *m);

#endif
