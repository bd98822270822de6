#include "service/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "print.h"

enum { PATH_BYTES = 4096 };

struct audit {
	pthread_mutex_t mutex; /* guards all of it */
	int fd;                /* -1: off */
	bool failing;          /* the last line was lost: told once */
	int64_t second;        /* of the last refusal */
	int64_t refused;       /* refusals without a known token in that second */
	int64_t unwritten;     /* of them, not written and not told yet */
};

/* *fd -1: off. */
static int open_file(const char *dir, const char *where, int *fd, struct err *e)
{
	char path[PATH_BYTES];
	int n;

	*fd = -1;
	if (strcmp(where, "off") == 0)
		return 0;
	n = where[0] == '/' ? snprintf(path, sizeof path, "%s", where) : snprintf(path, sizeof path, "%s/%s", dir, where);
	if (n >= PATH_BYTES)
		return err_set(e, P_BAD_REQUEST, "audit_log: the path is too long");
	*fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return err_set(e, P_INTERNAL, "audit_log: cannot open %s: %s", path, strerror(errno));
	return 0;
}

int audit_open(struct audit **out, const char *dir, const char *where, struct err *e)
{
	struct audit *a;
	int fd;

	if (open_file(dir, where, &fd, e) < 0)
		return -1;
	a = heap_zalloc(1, sizeof *a);
	a->fd = fd;
	pthread_mutex_init(&a->mutex, NULL);
	*out = a;
	return 0;
}

int audit_reopen(struct audit *a, const char *dir, const char *where, struct err *e)
{
	int fd, old;

	if (open_file(dir, where, &fd, e) < 0)
		return -1;
	pthread_mutex_lock(&a->mutex);
	old = a->fd;
	a->fd = fd;
	pthread_mutex_unlock(&a->mutex);
	if (old >= 0)
		close(old);
	return 0;
}

void audit_close(struct audit *a)
{
	if (a == NULL)
		return;
	if (a->fd >= 0)
		close(a->fd);
	pthread_mutex_destroy(&a->mutex);
	heap_free(a);
}

/* --- lines -------------------------------------------------------------------------------- */

/* Strangers cannot fill the disk with their refusals. Under the mutex. */
static bool too_many(struct audit *a, const struct audit_entry *x, int64_t now_us)
{
	if (x->status != 401 && x->status != 403)
		return false;
	if (x->token.p)
		return false;
	if (a->second != now_us / 1000000)
		a->refused = 0;
	a->second = now_us / 1000000;
	if (a->refused++ < AUDIT_REFUSED_PER_SECOND)
		return false;
	a->unwritten++;
	return true;
}

static void print_line(struct buf *b, const struct audit *a, const struct audit_entry *x, int64_t now_us)
{
	char now[CLOCK_TEXT_BYTES];

	clock_print(now_us, now);
	buf_printf(b, "{\"time\":\"%s\"", now);
	print_member(b, "request", str_of(x->request));
	print_member(b, "token", x->token);
	print_member(b, "name", x->name);
	print_member(b, "address", x->address);
	print_member(b, "method", x->method);
	print_member(b, "path", x->path);
	if (x->about.p)
		print_member(b, "about", x->about);
	print_count_member(b, "status", x->status);
	print_count_member(b, "received", (int64_t)x->received);
	print_count_member(b, "sent", (int64_t)x->sent);
	if (a->unwritten)
		print_count_member(b, "refused_unwritten", a->unwritten);
	buf_lit(b, "}\n");
}

/* Under the mutex. One write: lines of several processes do not mix. */
static void put(struct audit *a, struct str line)
{
	ssize_t n;

	do
		n = write(a->fd, line.p, line.n);
	while (n < 0 && errno == EINTR);
	if (n == (ssize_t)line.n) {
		a->failing = false;
		a->unwritten = 0;
		return;
	}
	metric_add(M_AUDIT_LOST, 1);
	if (!a->failing)
		log_error("audit", "lines are lost: %s", n < 0 ? strerror(errno) : "the disk took a part");
	a->failing = true;
}

void audit_write(struct audit *a, const struct audit_entry *x)
{
	struct buf b = BUF_INIT;
	int64_t now_us = clock_now_us();

	pthread_mutex_lock(&a->mutex);
	if (a->fd >= 0 && !too_many(a, x, now_us)) {
		print_line(&b, a, x, now_us);
		put(a, buf_view(&b));
	}
	pthread_mutex_unlock(&a->mutex);
	buf_release(&b);
}
