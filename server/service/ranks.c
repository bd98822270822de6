#include "ranks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "align/goal.h"

enum { PENDING_BYTES = 64 * 1024, RANKS_PATH_BYTES = 4200 };

static int failed(struct err *e, const char *what)
{
	bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

	return err_set(e, full ? P_STORAGE_FULL : P_INTERNAL, "%s a file of ranks: %s", what, strerror(errno));
}

int ranks_open(struct ranks *r, const char *dir, struct err *e)
{
	char path[RANKS_PATH_BYTES];

	*r = (struct ranks){.fd = -1};
	snprintf(path, sizeof path, "%s/tmp-ranks-XXXXXX", dir);
	r->fd = mkostemp(path, O_CLOEXEC);
	if (r->fd < 0)
		return failed(e, "making");
	unlink(path);
	return 0;
}

static int flush(struct ranks *r, struct err *e)
{
	size_t done = 0;

	while (done < r->pending.n) {
		ssize_t n = write(r->fd, r->pending.p + done, r->pending.n - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(e, "writing");
		done += (size_t)n;
	}
	buf_clear(&r->pending);
	return 0;
}

int ranks_add(struct ranks *r, const double *x, size_t n, struct err *e)
{
	buf_add(&r->pending, x, n * sizeof *x);
	r->n += n;
	return r->pending.n >= PENDING_BYTES ? flush(r, e) : 0;
}

int ranks_seal(struct ranks *r, struct err *e)
{
	void *p;

	if (flush(r, e) < 0)
		return -1;
	if (r->n == 0)
		return 0;
	p = mmap(NULL, r->n * sizeof *r->sorted, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (p == MAP_FAILED)
		return failed(e, "mapping");
	r->sorted = p;
	goal_sort(r->sorted, r->n);
	return 0;
}

void ranks_release(struct ranks *r)
{
	if (r->sorted)
		munmap(r->sorted, r->n * sizeof *r->sorted);
	if (r->fd > 0)
		close(r->fd);
	buf_release(&r->pending);
	*r = (struct ranks){.fd = -1};
}
