/* target.h - the request target, taken apart once. Pure; any thread.
 *
 * `%` escapes of the path are decoded segment by segment, after the split at
 * '/', so an escaped slash never makes a segment of its own; those of the
 * query name by name and value by value, `+` there being a space. */
#ifndef PREFD_HTTP_TARGET_H
#define PREFD_HTTP_TARGET_H

#include "base/arena.h"
#include "base/err.h"

enum { TARGET_MAX_BYTES = 8192, SEGMENTS_MAX = 8, QUERIES_MAX = 32 };

struct query {
	struct str name, value;
};

struct target {
	struct str whole; /* path and query as they came */
	struct str path;  /* as it came, without the query */
	struct str segment[SEGMENTS_MAX]; /* decoded; "/" has none */
	int segments;                     /* SEGMENTS_MAX + 1: more than any route has */
	struct query query[QUERIES_MAX];  /* in order, decoded */
	int queries;
};

/* Refuses what a proxy and this daemon could read differently: control bytes,
 * spaces, bytes above 0x7E, fragments, broken escapes, %00 and other escaped
 * control bytes in the path, `.` and `..` segments (escaped ones too). Takes
 * the origin form, and the absolute form http://host/path. P_BAD_REQUEST;
 * P_INVALID for a query that is not UTF-8, P_TOO_LARGE. Everything kept lives
 * in the arena. */
int target_parse(struct arena *a, struct str raw, struct target *t, struct err *e);

/* [A-Za-z0-9][A-Za-z0-9._:-]{0,127}: ids that a client chooses. */
bool path_id_valid(struct str id);

#endif
