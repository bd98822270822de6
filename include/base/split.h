/* split.h - a stream of bytes into rows.
 *
 * NDJSON: a row is a line; CRLF is taken, blank lines are skipped, the last
 * line needs no newline. JSON: the body is one object (one row) or an array
 * of rows. A UTF-8 byte order mark at the very start is skipped in both.
 *
 * Rows come out the same under every chunking of the input. The splitter does
 * not validate rows (json_scan does); for JSON it checks the array around
 * them: a broken array is an error for the whole body, while a broken line of
 * NDJSON is only one bad row. Memory: one row at most (row_bytes). */
#ifndef PREFD_BASE_SPLIT_H
#define PREFD_BASE_SPLIT_H

#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum split_kind { SPLIT_NDJSON, SPLIT_JSON };

/* Called for every row, in order; `row` is valid during the call only.
 * A return other than 0 stops the split, which returns the same. */
typedef int split_row_fn(void *ctx, uint64_t number, struct str row, struct err *e);

struct split {
	enum split_kind kind;
	size_t row_bytes; /* the longest row taken */
	split_row_fn *row;
	void *ctx;
	uint64_t rows; /* rows handed out so far; their numbers run from 0 */
	/* inside */
	struct buf held; /* the row that is not complete yet */
	int state, depth;
	uint32_t bom;
	bool in_string, escaped, single;
};

void split_init(struct split *s, enum split_kind kind, size_t row_bytes, split_row_fn *row, void *ctx);
/* 0; or -1: P_BROKEN_JSON (array), P_TOO_LARGE (row longer than row_bytes; for
 * NDJSON without its CRLF). After anything but 0 only split_release may follow. */
int split_feed(struct split *s, const char *p, size_t n, struct err *e);
/* The body is over: hands out the last line, or reports an array cut short. */
int split_end(struct split *s, struct err *e);
void split_release(struct split *s);

#endif
