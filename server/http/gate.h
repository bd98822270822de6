/* gate.h - what keeps two requests from hiding in one.
 *
 * libmicrohttpd 0.9.75 lets through what a proxy before it may read otherwise:
 * both Content-Length and Transfer-Encoding, two Content-Lengths, an unknown
 * coding, a space before the colon, two Hosts. The gate sees every header line
 * before a byte of the body is read; after a refusal the connection closes.
 *
 * Not seen here, as the library folds them away before: obs-fold, a bare LF as
 * the end of a line, NUL inside a value. They need a proxy in front. */
#ifndef PREFD_HTTP_GATE_H
#define PREFD_HTTP_GATE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct gate {
	int lengths, codings, hosts, authorizations; /* header lines seen */
	uint64_t length;             /* of Content-Length */
	struct err err;              /* the first thing that was wrong */
};

void gate_init(struct gate *g);
void gate_header(struct gate *g, struct str name, struct str value);
/* version: "HTTP/1.1". 0, or -1: P_BAD_REQUEST. */
int gate_end(struct gate *g, struct str version, struct err *e);
/* Chunked, or a Content-Length above 0. Only after gate_end said 0. */
bool gate_has_body(const struct gate *g);

#endif
