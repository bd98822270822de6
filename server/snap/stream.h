/* stream.h - appending to a file through a buffer of its own.
 *
 * A stream either writes a file that it was given, or makes a side file: one
 * without a name in `dir`, made only when the buffer is full for the first
 * time. One thread at a time. After an error a stream takes nothing more than
 * stream_release. */
#ifndef PREFD_SNAP_STREAM_H
#define PREFD_SNAP_STREAM_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "layout.h"

enum {
	/* A multiple of SNAP_BLOCK_BYTES, so that sums are taken of whole blocks. */
	STREAM_BUFFER_BYTES = 4 * SNAP_BLOCK_BYTES,
	STREAM_PATH_BYTES = 4096,
};

struct stream {
	int fd;          /* -1: none yet */
	const char *dir; /* where a side file goes; borrowed */
	char *p;
	size_t n;        /* bytes waiting in p */
	uint64_t total;  /* bytes appended */
	struct buf *sums; /* where the sum of each block goes; NULL: nowhere */
};

void stream_init(struct stream *s, int fd, const char *dir, struct buf *sums);
/* Frees the buffer and closes the file. */
void stream_release(struct stream *s);
int stream_add(struct stream *s, const void *p, size_t n, struct err *e);
/* Writes what waits. Under sums only at the end: the last block may be short. */
int stream_flush(struct stream *s, struct err *e);
/* Appends all of a side file to `to`. */
int stream_copy(struct stream *from, struct stream *to, struct err *e);

/* A new file <dir>/tmp-XXXXXX; its path goes to `path`. -1 with e set. */
int temp_open(const char *dir, char path[STREAM_PATH_BYTES], struct err *e);
int write_at(int fd, const void *p, size_t n, uint64_t at, struct err *e);
/* -1, e from errno: P_STORAGE_FULL when there is no room, else P_INTERNAL. */
int storage_err(struct err *e, const char *doing);

#endif
