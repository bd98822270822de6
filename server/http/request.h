/* request.h - one request, from its first line to its last byte.
 *
 * Made when the request line is there, freed when the library is done with it,
 * both on its connection's thread, which is the only one that touches it; the
 * resuming thread sees `waiter` and `connection` alone. */
#ifndef PREFD_HTTP_REQUEST_H
#define PREFD_HTTP_REQUEST_H

#include "base/arena.h"
#include "body.h"
#include "gate.h"
#include "inside.h"
#include "rates.h"
#include "route.h"
#include "service/tokens.h"
#include "waiting.h"

enum { REQUEST_ID_BYTES = 128, WAIT_MAX_SECONDS = 60, LIST_MAX_LENGTH = 1000, ROWS_MAX_LENGTH = 100 };

enum request_state {
	REQUEST_LINE,    /* headers are still coming */
	REQUEST_BODY,    /* the body is coming, or there is none */
	REQUEST_WAITING, /* suspended */
	REQUEST_DONE     /* answered */
};

struct request {
	struct httpd *h;
	struct MHD_Connection *connection;
	struct watch *watch;
	struct arena arena;
	enum request_state state;
	int64_t began_us;
	struct str method;    /* a HEAD's is HEAD */
	struct target target; /* path.p NULL: it could not be read */
	const struct route *route; /* NULL: refused before one was found */
	struct str param[PARAMS_MAX];
	struct access access;      /* whose it is (auth.h) */
	struct rate_left left;     /* of what its token may */
	int retry_after_s;         /* of a 429 */
	struct str about;          /* id of the token that it made */
	char id[REQUEST_ID_BYTES + 1]; /* X-Request-Id */
	char allow[64];                /* of a 405 */
	struct err refused;            /* P_NONE while all is well; the first trouble stays */
	bool close;                    /* the connection ends with this answer */
	bool again;                    /* the handler was called before and waited */
	struct body body;
	struct pending *pending;
	struct waiter waiter;
	int status; /* of the answer, for the log */
	uint64_t sent; /* bytes of the answer's body */
	int64_t answer_bytes; /* of the common budget, until the answer is sent */
};

/* raw: the request target; copied. */
struct request *request_new(struct httpd *h, struct MHD_Connection *c, struct str raw);
/* The headers are there: gate, route, query, body. Sets refused. */
void request_head(struct request *r, struct str method, struct str version);
/* Everything is there: the handler's turn, or the refusal's. */
const struct reply *request_finish(struct request *r);
void request_free(struct request *r);
void request_refuse(struct request *r, const struct err *e);

/* STR_NONE when absent; of several the first. Lives as long as the request. */
struct str request_header(const struct request *r, const char *name);
/* P_INVALID unless 1 to 128 printable ASCII bytes; absent: STR_NONE. */
int request_idempotency_key(struct request *r, struct str *key, struct err *e);
/* "POST /v1/…", without the query: a retry may wait longer. */
struct str request_line(struct request *r);
/* The key with the hash of method, path and unpacked body. */
int request_origin(struct request *r, struct origin_key *o, struct err *e);
/* True when Accept ranks application/x-ndjson over JSON. Pure. */
bool accepts_ndjson(struct str accept);
/* [A-Za-z0-9._:-]{1,128} */
bool request_id_valid(struct str id);

/* --- query parameters: an absent one leaves *out as it is --------------------- */

/* 1 to 256 bytes without control characters. */
int query_text(const struct request *r, const char *name, struct str *out, struct err *e);
/* ?after=, a cursor: up to 1024 bytes; an empty one is the beginning. */
int query_after(const struct request *r, struct str *out, struct err *e);
int query_whole(const struct request *r, const char *name, uint64_t min, uint64_t max, uint64_t *out, struct err *e);
int query_bool(const struct request *r, const char *name, bool *out, struct err *e);
/* *out becomes the word's place in `words` (NULL at their end). P_UNKNOWN_KEY. */
int query_word(const struct request *r, const char *name, const char *const *words, int *out, struct err *e);
/* ?wait=, 0 … 60 seconds. */
int query_wait(const struct request *r, int *out, struct err *e);
/* ?limit= of lists: 1 … 1000, 100 unless said. */
int query_limit(const struct request *r, uint32_t *out, struct err *e);

#endif
