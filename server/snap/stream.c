#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/heap.h"

int storage_err(struct err *e, const char *doing)
{
	int code = errno;

	if (code == ENOSPC || code == EDQUOT || code == EFBIG)
		return err_set(e, P_STORAGE_FULL, "no room for a snapshot file");
	return err_set(e, P_INTERNAL, "%s a snapshot file: %s", doing, strerror(code));
}

int temp_open(const char *dir, char path[STREAM_PATH_BYTES], struct err *e)
{
	int n = snprintf(path, STREAM_PATH_BYTES, "%s/tmp-XXXXXX", dir);
	int fd;

	if (n < 0 || n >= STREAM_PATH_BYTES)
		return err_set(e, P_INTERNAL, "the snapshot folder's path is too long");
	fd = mkostemp(path, O_CLOEXEC);
	return fd < 0 ? storage_err(e, "opening") : fd;
}

int write_at(int fd, const void *p, size_t n, uint64_t at, struct err *e)
{
	const char *from = p;

	while (n > 0) {
		ssize_t done = pwrite(fd, from, n, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return storage_err(e, "writing");
		from += done;
		at += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

void stream_init(struct stream *s, int fd, const char *dir, struct buf *sums)
{
	*s = (struct stream){.fd = fd, .dir = dir, .p = heap_alloc(STREAM_BUFFER_BYTES), .sums = sums};
}

void stream_release(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	heap_free(s->p);
	*s = (struct stream){.fd = -1};
}

/* The name goes at once: whatever happens, nothing is left behind. */
static int side_file(struct stream *s, struct err *e)
{
	char path[STREAM_PATH_BYTES];

	s->fd = temp_open(s->dir, path, e);
	if (s->fd < 0)
		return -1;
	unlink(path);
	return 0;
}

static void sum_blocks(struct stream *s)
{
	for (size_t at = 0; at < s->n; at += SNAP_BLOCK_BYTES) {
		size_t n = s->n - at < SNAP_BLOCK_BYTES ? s->n - at : SNAP_BLOCK_BYTES;
		uint64_t sum = xxh3(s->p + at, n);

		buf_add(s->sums, &sum, sizeof sum);
	}
}

/* The file that carries sums has its header in front of what is streamed. */
static uint64_t start_of(const struct stream *s)
{
	return s->sums ? SNAP_HEADER_BYTES : 0;
}

int stream_flush(struct stream *s, struct err *e)
{
	if (s->n == 0)
		return 0;
	if (s->fd < 0 && side_file(s, e) < 0)
		return -1;
	if (s->sums)
		sum_blocks(s);
	if (write_at(s->fd, s->p, s->n, start_of(s) + s->total - s->n, e) < 0)
		return -1;
	s->n = 0;
	return 0;
}

int stream_add(struct stream *s, const void *p, size_t n, struct err *e)
{
	const char *from = p;

	while (n > 0) {
		size_t room = STREAM_BUFFER_BYTES - s->n, take = n < room ? n : room;

		memcpy(s->p + s->n, from, take);
		s->n += take;
		s->total += take;
		from += take;
		n -= take;
		if (s->n == STREAM_BUFFER_BYTES && stream_flush(s, e) < 0)
			return -1;
	}
	return 0;
}

static int read_at(int fd, char *p, size_t n, uint64_t at, struct err *e)
{
	while (n > 0) {
		ssize_t got = pread(fd, p, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return storage_err(e, "reading back");
		if (got == 0)
			return err_set(e, P_INTERNAL, "a side file of a snapshot is too short");
		p += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int stream_copy(struct stream *from, struct stream *to, struct err *e)
{
	if (from->fd < 0) /* it never left its buffer */
		return stream_add(to, from->p, from->n, e);
	if (stream_flush(from, e) < 0)
		return -1;
	for (uint64_t at = 0; at < from->total;) {
		uint64_t left = from->total - at;
		size_t n = left < STREAM_BUFFER_BYTES ? (size_t)left : STREAM_BUFFER_BYTES;

		if (read_at(from->fd, from->p, n, at, e) < 0 || stream_add(to, from->p, n, e) < 0)
			return -1;
		at += n;
	}
	return 0;
}
