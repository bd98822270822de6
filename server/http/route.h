/* route.h - every path that prefd answers, as one table. */
#ifndef PREFD_HTTP_ROUTE_H
#define PREFD_HTTP_ROUTE_H

#include "base/err.h"
#include "reply.h"
#include "service/ingest.h"
#include "service/tokens.h"
#include "target.h"

enum { PARAMS_MAX = 2 };



/* NONE: a body is refused. DOCUMENT: the handler gets it whole. ROWS: streamed
 * into an ingest, as the body arrives. */
enum body_kind { BODY_NONE, BODY_DOCUMENT, BODY_ROWS };

struct request;

struct route {
	const char *method, *pattern; /* {name} stands for one id */
	enum scope scope;
	enum body_kind body;
	const char *queries; /* the names it takes, separated by spaces */
	const struct reply *(*handler)(struct request *r);
	/* Of ROWS: fills in what the query says, before the body. 0 or -1. */
	int (*rows)(struct request *r, struct ingest_options *o, struct err *e);
};

/* The route of a method and a path; its ids into params. A HEAD is a GET.
 * NULL with P_NO_ROUTE; or with P_METHOD, and `allow` then names the methods
 * that the path takes. */
const struct route *route_find(struct str method, const struct target *t, struct str params[PARAMS_MAX],
                               char allow[64], struct err *e);
/* P_UNKNOWN_KEY for a query parameter that the route does not take, P_INVALID
 * for one given twice. */
int route_check_query(const struct route *route, const struct target *t, struct err *e);

#endif
