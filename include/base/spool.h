/* spool.h - rows that wait for the writer.
 *
 * A spool takes frames of bytes: in memory up to SPOOL_MEMORY_BYTES, then in
 * an unlinked file in the data folder. All spools share a budget; when it is
 * spent, adding fails with P_UNAVAILABLE. Written by one thread, then read by
 * another, never both at once. */
#ifndef PREFD_BASE_SPOOL_H
#define PREFD_BASE_SPOOL_H

#include <stdatomic.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum { SPOOL_MEMORY_BYTES = 256 * 1024 };

struct spool_budget {
	const char *dir;          /* where the files go; outlives all spools */
	_Atomic int64_t left_bytes;
};

struct spool {
	struct spool_budget *budget;
	struct buf mem;    /* all of it, or the part not yet written to fd */
	int fd;            /* -1 while memory suffices */
	uint64_t bytes;    /* of all frames, headers included */
	uint64_t frames;
	uint64_t read_at;  /* reading: offset of the next frame */
	struct buf window; /* reading from fd: bytes around read_at */
	uint64_t window_at;
};

void spool_init(struct spool *s, struct spool_budget *budget);
/* P_UNAVAILABLE: the budget is spent, and nothing was added; P_STORAGE_FULL:
 * the disk is full. After any other than a spent budget only spool_release. */
int spool_add(struct spool *s, struct str frame, struct err *e);
/* Ends writing. From here on only spool_next. */
int spool_seal(struct spool *s, struct err *e);
/* 1 and the next frame (valid until the next call), 0 at the end, -1 on an
 * I/O error. */
int spool_next(struct spool *s, struct str *frame, struct err *e);
/* Reads again from the beginning. */
void spool_rewind(struct spool *s);
/* Gives memory, file and budget back. Idempotent. */
void spool_release(struct spool *s);

#endif
