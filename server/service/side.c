#include "side.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PENDING_BYTES = 256 * 1024, SIDE_PATH_BYTES = 4200 };

static int failed(struct err *e, const char *what)
{
	bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

	return err_set(e, full ? P_STORAGE_FULL : P_INTERNAL, "%s a side file of a build: %s", what, strerror(errno));
}

int side_open(struct side *s, const char *dir, struct err *e)
{
	char path[SIDE_PATH_BYTES];

	*s = (struct side){.fd = -1};
	snprintf(path, sizeof path, "%s/tmp-side-XXXXXX", dir);
	s->fd = mkostemp(path, O_CLOEXEC);
	if (s->fd < 0)
		return failed(e, "making");
	unlink(path);
	return 0;
}

int side_seal(struct side *s, struct err *e)
{
	size_t done = 0;

	while (done < s->pending.n) {
		ssize_t n = write(s->fd, s->pending.p + done, s->pending.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(e, "writing");
		done += (size_t)n;
	}
	s->written += done;
	buf_clear(&s->pending);
	return 0;
}

int side_add(struct side *s, const void *p, size_t n, struct err *e)
{
	buf_add(&s->pending, p, n);
	return s->pending.n >= PENDING_BYTES ? side_seal(s, e) : 0;
}

int side_read(const struct side *s, void *p, size_t n, uint64_t at, struct err *e)
{
	char *to = p;

	while (n > 0) {
		ssize_t got = pread(s->fd, to, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return failed(e, "reading");
		if (got == 0)
			return err_set(e, P_INTERNAL, "a side file of a build is too short");
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int side_map(struct side *s, void **out, struct err *e)
{
	*out = NULL;
	if (s->written == 0)
		return 0;
	s->map = mmap(NULL, s->written, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->map == MAP_FAILED) {
		s->map = NULL;
		return failed(e, "mapping");
	}
	*out = s->map;
	return 0;
}

void side_close(struct side *s)
{
	if (s->map)
		munmap(s->map, s->written);
	if (s->fd > 0)
		close(s->fd);
	buf_release(&s->pending);
	*s = (struct side){.fd = -1};
}
