/* source.h - a file or standard input as rows.
 *
 * Plain, gzip or zstd by the first bytes; a JSON array if the text begins
 * with '[', else NDJSON. Memory: one row. */
#ifndef PREFD_CLI_SOURCE_H
#define PREFD_CLI_SOURCE_H

#include "base/split.h"
#include "base/zip.h"

/* What source_rows returns when a signal ended the reading. */
enum { SOURCE_INTERRUPTED = 1 };

struct source {
	int fd;
	uint64_t size_bytes; /* of a regular file; 0: not known */
	int64_t mtime_ns;    /* the same */
	uint64_t read_bytes; /* so far, packed */
	uint64_t line;       /* of the row that is handed out, from 1; 0: the rows are an array's */
	char *path;          /* absolute; NULL: standard input */
};

/* path "-" is standard input. P_BAD_REQUEST: it cannot be read. */
int source_open(struct source *s, const char *path, struct err *e);
void source_close(struct source *s);
/* Calls row for each, in order; ends early with what it returned other than 0.
 * P_BROKEN_BODY, P_BROKEN_JSON, P_TOO_LARGE, or what reading said. Once. */
int source_rows(struct source *s, size_t row_bytes, split_row_fn *row, void *ctx, struct err *e);

#endif
