#include "base/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINES_BYTES = 1001, FIRST_FD = 3 }; /* the protocol's first descriptor */

/* A path, or behind an @ a name in Linux' abstract space (its first byte is 0). */
static int address_of(const char *name, struct sockaddr_un *a, socklen_t *n)
{
	size_t len = strlen(name);

	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof a->sun_path) {
		errno = EINVAL;
		return -1;
	}
	memcpy(a->sun_path, name, len);
	if (name[0] == '@')
		a->sun_path[0] = '\0';
	*n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (name[0] == '/'));
	return 0;
}

static int send_to(const char *name, const char *lines, size_t n)
{
	struct sockaddr_un to;
	socklen_t to_n;
	ssize_t sent;
	int fd, saved;

	if (address_of(name, &to, &to_n) < 0 || (fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return -1;
	do
		sent = sendto(fd, lines, n, MSG_NOSIGNAL, (const struct sockaddr *)&to, to_n);
	while (sent < 0 && errno == EINTR);
	saved = errno;
	close(fd);
	errno = saved;
	return sent == (ssize_t)n ? 1 : -1;
}

int notify_send(const char *fmt, ...)
{
	const char *name = getenv("NOTIFY_SOCKET");
	char lines[LINES_BYTES];
	va_list ap;
	int n;

	if (name == NULL || *name == '\0')
		return 0;
	va_start(ap, fmt);
	n = vsnprintf(lines, sizeof lines, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof lines) {
		errno = EMSGSIZE;
		return -1;
	}
	return send_to(name, lines, (size_t)n);
}

/* A variable that holds a whole number above 0; else 0. */
static int64_t whole_variable(const char *name)
{
	const char *z = getenv(name);
	char *end;
	long long v;

	if (z == NULL || *z < '0' || *z > '9')
		return 0;
	errno = 0;
	v = strtoll(z, &end, 10);
	return errno == 0 && *end == '\0' ? v : 0;
}

int64_t notify_watchdog_us(void)
{
	if (getenv("WATCHDOG_PID") && whole_variable("WATCHDOG_PID") != getpid())
		return 0;
	return whole_variable("WATCHDOG_USEC");
}

static int option(int fd, int name)
{
	socklen_t n = sizeof(int);
	int v = -1;

	return getsockopt(fd, SOL_SOCKET, name, &v, &n) < 0 ? -1 : v;
}

static bool listens(int fd)
{
	int family = option(fd, SO_DOMAIN);

	return option(fd, SO_ACCEPTCONN) == 1 && option(fd, SO_TYPE) == SOCK_STREAM &&
	       (family == AF_INET || family == AF_INET6);
}

int notify_socket(int *fd, struct err *e)
{
	bool ours = whole_variable("LISTEN_PID") == getpid();
	int64_t n = ours ? whole_variable("LISTEN_FDS") : 0;

	*fd = -1;
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (!ours)
		return 0;
	if (n != 1)
		return err_set(e, P_BAD_REQUEST, "the service manager passed %lld sockets; prefd takes one", (long long)n);
	if (!listens(FIRST_FD))
		return err_set(e, P_BAD_REQUEST, "the service manager passed no listening TCP socket");
	if (fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(FIRST_FD, F_SETFL, fcntl(FIRST_FD, F_GETFL) | O_NONBLOCK) < 0)
		return err_set(e, P_UNAVAILABLE, "the passed socket cannot be used: %s", strerror(errno));
	*fd = FIRST_FD;
	return 0;
}
