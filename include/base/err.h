/* err.h - what can go wrong, as a table.
 *
 * A function that can fail returns 0, or -1 with `struct err` filled in. Each
 * problem has a stable slug (`/problems/<slug>` on the wire, RFC 9457), an
 * HTTP status and a title; the table is the only place where they are named,
 * and the documentation and the OpenAPI description are checked against it. */
#ifndef PREFD_BASE_ERR_H
#define PREFD_BASE_ERR_H

#include "base/str.h"

/* X(name, status, slug, title) */
#define PROBLEMS(X) \
	X(NONE, 200, "none", "No problem") \
	X(BAD_REQUEST, 400, "bad-request", "The request was not understood") \
	X(BROKEN_JSON, 400, "broken-json", "The text is not JSON as prefd takes it") \
	X(BROKEN_BODY, 400, "broken-body", "The body could not be unpacked") \
	X(UNAUTHORIZED, 401, "unauthorized", "A token is wanted") \
	X(FORBIDDEN, 403, "forbidden", "This is not allowed") \
	X(NO_ROUTE, 404, "not-found", "There is nothing at this path") \
	X(UNKNOWN_DATASET, 404, "unknown-dataset", "No such dataset") \
	X(UNKNOWN_PROMPT, 404, "unknown-prompt", "No such prompt") \
	X(UNKNOWN_SNAPSHOT, 404, "unknown-snapshot", "No such snapshot") \
	X(UNKNOWN_ROUND, 404, "unknown-round", "No such round") \
	X(UNKNOWN_LEASE, 404, "unknown-lease", "No such lease") \
	X(UNKNOWN_RESCORING, 404, "unknown-rescoring", "No such rescoring") \
	X(UNKNOWN_ENGINE, 404, "unknown-engine", "No such engine") \
	X(UNKNOWN_TOKEN, 404, "unknown-token", "No such token") \
	X(UNKNOWN_BACKUP, 404, "unknown-backup", "No such backup") \
	X(METHOD, 405, "method-not-allowed", "The path does not take this method") \
	X(CONFLICT, 409, "conflict", "The same id stands for something else") \
	X(RANGE_FIXED, 409, "range-fixed", "The range of a scored attribute cannot change") \
	X(BUSY_BUILDING, 409, "still-building", "The snapshot is still being built") \
	X(GONE, 410, "gone", "It was there and is gone") \
	X(TOO_LARGE, 413, "too-large", "More than the published limit") \
	X(MEDIA_TYPE, 415, "unsupported-media-type", "The type or coding of the body is not taken") \
	X(INVALID, 422, "invalid-value", "A value is wrong") \
	X(UNKNOWN_KEY, 422, "unknown-key", "A key or word is not known") \
	X(UNKNOWN_ID, 422, "unknown-id", "An id is not known") \
	X(GOAL_SCALE, 422, "outside-goal-scale", "A reward lies outside the goal scale") \
	X(VIEW, 422, "impossible-view", "The snapshot cannot be shown in this view") \
	X(KEY_REUSED, 422, "idempotency-key-reused", "The idempotency key came with another body") \
	X(TOO_MANY, 429, "too-many-requests", "Too many requests") \
	X(INTERNAL, 500, "internal", "prefd failed") \
	X(UNAVAILABLE, 503, "unavailable", "Not now") \
	X(BUILDING, 503, "building", "The snapshot is still being built") \
	X(DAMAGED, 503, "rebuilding", "A damaged file is being rebuilt") \
	X(STORAGE_FULL, 507, "storage-full", "No room on disk")

enum problem {
#define X(name, status, slug, title) P_##name,
	PROBLEMS(X)
#undef X
	PROBLEM_COUNT
};

struct err {
	enum problem problem;
	char pointer[160]; /* JSON Pointer into the row or document; "" is the whole of it */
	char detail[400];  /* one sentence for a person, UTF-8, cut at a code point */
};

int problem_status(enum problem p);
const char *problem_slug(enum problem p);
const char *problem_title(enum problem p);
/* P_NONE when no problem has this slug. */
enum problem problem_by_slug(struct str slug);

/* All return -1, so that `return err_set(e, …)` reads well. e must not be NULL. */
int err_set(struct err *e, enum problem p, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_at(struct err *e, enum problem p, const char *pointer, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Puts a prefix ("/responses/3") in front of the pointer. */
int err_under(struct err *e, const char *prefix, ...) __attribute__((format(printf, 2, 3)));

#endif
