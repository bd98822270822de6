#include "copies.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"

/* What is written goes to the disk in such portions: a large one at the end
 * would hold up the commits of the same disk for as long as it takes. */
enum { PIECE_BYTES = 1 << 20, PORTION_BYTES = 1 << 20 };

static int fail(struct err *e, const char *what, const char *path)
{
	enum problem p = errno == ENOSPC || errno == EDQUOT ? P_STORAGE_FULL : P_INTERNAL;

	return err_set(e, p, "cannot %s %s: %s", what, path, strerror(errno));
}

int copy_path(char out[COPY_PATH_BYTES], struct err *e, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(out, COPY_PATH_BYTES, fmt, ap);
	va_end(ap);
	return n < COPY_PATH_BYTES ? 0 : err_set(e, P_BAD_REQUEST, "the folder's name is too long");
}

/* --- files -------------------------------------------------------------------------- */

struct stream {
	const char *from, *to;
	int in, out; /* out -1: nothing is written */
	char *piece;
	size_t unsynced;
	const _Atomic bool *stop;
	struct sha256 hash;
	struct content *content;
};

static int write_piece(struct stream *s, size_t n, struct err *e)
{
	for (size_t at = 0; at < n;) {
		ssize_t done = write(s->out, s->piece + at, n - at);

		if (done < 0 && errno != EINTR)
			return fail(e, "write", s->to);
		at += done > 0 ? (size_t)done : 0;
	}
	s->unsynced += n;
	if (s->unsynced < PORTION_BYTES)
		return 0;
	s->unsynced = 0;
	return fdatasync(s->out) < 0 ? fail(e, "sync", s->to) : 0;
}

static int run_through(struct stream *s, struct err *e)
{
	ssize_t n;

	for (;;) {
		if (s->stop && atomic_load(s->stop))
			return err_set(e, P_UNAVAILABLE, "it was ended before it was whole");
		n = read(s->in, s->piece, PIECE_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? fail(e, "read", s->from) : 0;
		sha256_add(&s->hash, s->piece, (size_t)n);
		s->content->bytes += (uint64_t)n;
		if (s->out >= 0 && write_piece(s, (size_t)n, e) < 0)
			return -1;
	}
}

static int open_both(struct stream *s, struct err *e)
{
	s->in = open(s->from, O_RDONLY | O_CLOEXEC);
	if (s->in < 0)
		return errno == ENOENT ? 0 : fail(e, "open", s->from);
	posix_fadvise(s->in, 0, 0, POSIX_FADV_SEQUENTIAL);
	if (s->to && (s->out = open(s->to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
		return fail(e, "make", s->to);
	return 1;
}

static int stream(struct stream *s, bool sync, struct err *e)
{
	int rc;

	*s->content = (struct content){0};
	s->in = s->out = -1;
	rc = open_both(s, e);
	if (rc == 1) {
		s->piece = heap_alloc(PIECE_BYTES);
		sha256_init(&s->hash);
		rc = run_through(s, e) < 0 ? -1 : 1;
		sha256_end(&s->hash, s->content->hash);
		heap_free(s->piece);
	}
	if (rc == 1 && sync && fsync(s->out >= 0 ? s->out : s->in) < 0)
		rc = fail(e, "sync", s->to ? s->to : s->from);
	if (s->in >= 0)
		close(s->in);
	if (s->out >= 0)
		close(s->out);
	return rc;
}

int copy_file(const char *from, const char *to, const _Atomic bool *stop, struct content *out, struct err *e)
{
	struct stream s = {.from = from, .to = to, .stop = stop, .content = out};

	return stream(&s, true, e);
}

int copy_look(const char *path, bool sync, const _Atomic bool *stop, struct content *out, struct err *e)
{
	struct stream s = {.from = path, .stop = stop, .content = out};

	return stream(&s, sync, e);
}

/* --- folders -------------------------------------------------------------------------- */

int copy_folder(const char *path, struct err *e)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : fail(e, "make the folder", path);
}

static int sync_path(const char *path, int flags, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	int rc = fd < 0 || fsync(fd) < 0 ? fail(e, "sync", path) : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

int copy_sync_folder(const char *path, struct err *e)
{
	return sync_path(path, O_DIRECTORY, e);
}

int copy_sync(const char *path, struct err *e)
{
	return sync_path(path, 0, e);
}

static mode_t kind_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mode & S_IFMT : 0;
}

bool copy_is_file(const char *path)
{
	return kind_of(path) == S_IFREG;
}

bool copy_is_folder(const char *path)
{
	return kind_of(path) == S_IFDIR;
}

int copy_list(const char *path, int (*fn)(void *ctx, const char *name, struct err *e), void *ctx, struct err *e)
{
	DIR *d = opendir(path);
	struct dirent *entry;
	int rc = 0;

	if (d == NULL)
		return fail(e, "read the folder", path);
	while (rc == 0 && (entry = readdir(d)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = fn(ctx, entry->d_name, e);
	closedir(d);
	return rc;
}

static int drop_entry(void *ctx, const char *name, struct err *e)
{
	char path[COPY_PATH_BYTES];

	if (copy_path(path, e, "%s/%s", (const char *)ctx, name) == 0)
		copy_drop(path);
	return 0;
}

void copy_drop(const char *path)
{
	struct err e;

	if (unlink(path) == 0 || errno != EISDIR)
		return;
	copy_list(path, drop_entry, (void *)path, &e);
	rmdir(path);
}
