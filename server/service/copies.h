/* copies.h - files that are copied, read through and put on the disk. Any thread.
 *
 * Everything here can take long: where `stop` is given and becomes true, the
 * call ends with P_UNAVAILABLE. */
#ifndef PREFD_SERVICE_COPIES_H
#define PREFD_SERVICE_COPIES_H

#include <stdatomic.h>
#include <stdbool.h>
#include "base/err.h"
#include "base/hash.h"

enum { COPY_PATH_BYTES = 4096 };

/* What a file holds. */
struct content {
	uint64_t bytes;
	uint8_t hash[SHA256_BYTES]; /* SHA-256 */
};

/* P_BAD_REQUEST when the path is too long for out. */
int copy_path(char out[COPY_PATH_BYTES], struct err *e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A new file with the same bytes, synced. 1: it is there, 0: there is no file
 * `from`, -1. What it left half done goes with the folder. */
int copy_file(const char *from, const char *to, const _Atomic bool *stop, struct content *out, struct err *e);
/* Reads the whole file; sync: and has the disk keep it. 1, 0 (no file), -1. */
int copy_look(const char *path, bool sync, const _Atomic bool *stop, struct content *out, struct err *e);

/* Has the disk keep what was written to the file so far. */
int copy_sync(const char *path, struct err *e);

bool copy_is_file(const char *path);
bool copy_is_folder(const char *path);
/* 0, also when it is there already. */
int copy_folder(const char *path, struct err *e);
int copy_sync_folder(const char *path, struct err *e);
/* Removes a file, or a folder with what is in it, as far as it can. */
void copy_drop(const char *path);
/* Calls fn with the name of each entry but . and .. until it gives other than 0,
 * which is returned; 0 at the end; -1: the folder cannot be read. */
int copy_list(const char *path, int (*fn)(void *ctx, const char *name, struct err *e), void *ctx, struct err *e);

#endif
