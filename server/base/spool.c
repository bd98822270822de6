#include "base/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/metric.h"

/* A frame is its length (u32, little-endian) and its bytes. */
enum { HEADER_BYTES = 4, READ_BYTES = 256 * 1024 };

void spool_init(struct spool *s, struct spool_budget *budget)
{
	memset(s, 0, sizeof *s);
	s->budget = budget;
	s->fd = -1;
}

void spool_release(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	buf_release(&s->mem);
	buf_release(&s->window);
	atomic_fetch_add(&s->budget->left_bytes, (int64_t)s->bytes);
	metric_add(M_SPOOL_BYTES, -(int64_t)s->bytes);
	spool_init(s, s->budget);
}

/* --- writing ---------------------------------------------------------------------- */

static int io_failed(const char *what, int code, struct err *e)
{
	if (code == ENOSPC || code == EDQUOT)
		return err_set(e, P_STORAGE_FULL, "no room for waiting rows: %s", strerror(code));
	if (code == EMFILE || code == ENFILE)
		return err_set(e, P_UNAVAILABLE, "too many open files");
	return err_set(e, P_INTERNAL, "cannot %s waiting rows: %s", what, strerror(code));
}

/* A file without a name, so that none is left behind by a crash. */
static int open_nameless(const char *dir)
{
	char path[4096];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd;
	/* Not every file system has O_TMPFILE. */
	if (snprintf(path, sizeof path, "%s/spool.XXXXXX", dir) >= (int)sizeof path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int write_all(int fd, const char *p, size_t n, struct err *e)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return io_failed("write", errno, e);
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

/* What is in memory goes to the file. */
static int spill(struct spool *s, struct err *e)
{
	if (s->fd < 0 && (s->fd = open_nameless(s->budget->dir)) < 0)
		return io_failed("keep", errno, e);
	if (write_all(s->fd, s->mem.p, s->mem.n, e) < 0)
		return -1;
	buf_clear(&s->mem);
	return 0;
}

static int take_budget(struct spool *s, size_t n, struct err *e)
{
	int64_t before = atomic_fetch_sub(&s->budget->left_bytes, (int64_t)n);

	if (before < (int64_t)n) {
		atomic_fetch_add(&s->budget->left_bytes, (int64_t)n);
		return err_set(e, P_UNAVAILABLE, "too many bytes wait to be stored");
	}
	metric_add(M_SPOOL_BYTES, (int64_t)n);
	s->bytes += n;
	return 0;
}

int spool_add(struct spool *s, struct str frame, struct err *e)
{
	unsigned char header[HEADER_BYTES];

	if (frame.n > UINT32_MAX)
		return err_set(e, P_TOO_LARGE, "a row of more than %u bytes", UINT32_MAX);
	if (take_budget(s, HEADER_BYTES + frame.n, e) < 0)
		return -1;
	for (int i = 0; i < HEADER_BYTES; i++)
		header[i] = (unsigned char)(frame.n >> (8 * i));
	buf_add(&s->mem, header, sizeof header);
	buf_str(&s->mem, frame);
	s->frames++;
	return s->mem.n > SPOOL_MEMORY_BYTES ? spill(s, e) : 0;
}

int spool_seal(struct spool *s, struct err *e)
{
	if (s->fd < 0)
		return 0;
	if (spill(s, e) < 0)
		return -1;
	buf_release(&s->mem);
	return 0;
}

/* --- reading ---------------------------------------------------------------------- */

/* Reads at least n bytes more behind the window, ahead if the file has more. */
static int read_ahead(struct spool *s, size_t n, struct err *e)
{
	uint64_t at = s->window_at + s->window.n, left = s->bytes - at;
	size_t want = n > READ_BYTES ? n : READ_BYTES;
	size_t end;

	if (want > left)
		want = (size_t)left;
	end = s->window.n + want;
	buf_room(&s->window, want);
	while (s->window.n < end) {
		ssize_t got = pread(s->fd, s->window.p + s->window.n, end - s->window.n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return io_failed("read", errno, e);
		if (got == 0)
			return err_set(e, P_INTERNAL, "the file of waiting rows is cut short");
		s->window.n += (size_t)got;
		at += (uint64_t)got;
	}
	return 0;
}

/* The n bytes at read_at, in memory. */
static const char *look(struct spool *s, size_t n, struct err *e)
{
	size_t used;

	if (n > s->bytes - s->read_at) {
		err_set(e, P_INTERNAL, "the waiting rows are damaged");
		return NULL;
	}
	if (s->fd < 0)
		return s->mem.p + s->read_at;
	used = (size_t)(s->read_at - s->window_at);
	if (s->window.n - used < n) {
		buf_shift(&s->window, used);
		s->window_at = s->read_at;
		used = 0;
		if (read_ahead(s, n - s->window.n, e) < 0)
			return NULL;
	}
	return s->window.p + used;
}

int spool_next(struct spool *s, struct str *frame, struct err *e)
{
	const unsigned char *header;
	uint32_t n = 0;
	const char *p;

	if (s->read_at == s->bytes)
		return 0;
	if ((header = (const unsigned char *)look(s, HEADER_BYTES, e)) == NULL)
		return -1;
	for (int i = 0; i < HEADER_BYTES; i++)
		n |= (uint32_t)header[i] << (8 * i);
	/* Header and frame together: the frame's place is then fixed. */
	if ((p = look(s, HEADER_BYTES + (size_t)n, e)) == NULL)
		return -1;
	*frame = (struct str){p + HEADER_BYTES, n};
	s->read_at += HEADER_BYTES + (uint64_t)n;
	return 1;
}

void spool_rewind(struct spool *s)
{
	s->read_at = 0;
	buf_clear(&s->window);
	s->window_at = 0;
}
