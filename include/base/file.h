/* file.h - small files, read whole and replaced whole. Any thread. */
#ifndef PREFD_BASE_FILE_H
#define PREFD_BASE_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

/* What tells one version of a file from the next: a replaced file is another
 * one. All zero: there is no file. */
struct file_mark {
	uint64_t device, inode, bytes;
	int64_t changed_ns;
};

/* -1: it could not be looked at (P_INTERNAL); a file that is not there is 0. */
int file_look(const char *path, struct file_mark *mark, struct err *e);
bool file_same(const struct file_mark *a, const struct file_mark *b);

/* The whole file, and what marked it while it was read. P_TOO_LARGE above
 * most_bytes; a file that is not there gives no bytes and a mark of zeros. */
int file_read(const char *path, size_t most_bytes, struct buf *out, struct file_mark *mark, struct err *e);

/* Either the old file or the new one is there, whole, also after a power cut:
 * write beside it, fsync, rename, fsync of the folder. P_STORAGE_FULL, P_INTERNAL. */
int file_replace(const char *path, struct str bytes, mode_t mode, struct err *e);

/* A lock that other processes see too, on a file that may be made for it.
 * Waits; -1: it could not be had. file_unlock closes it. */
int file_lock(const char *path, int *fd, struct err *e);
void file_unlock(int fd);

#endif
