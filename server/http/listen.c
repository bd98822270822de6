#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

enum { PORT_MAX = 65535 };

static int parse_port(const char *z, uint16_t *port)
{
	unsigned v = 0;

	if (*z == '\0' || strlen(z) > 5)
		return -1;
	for (; *z; z++) {
		if (*z < '0' || *z > '9')
			return -1;
		v = v * 10 + (unsigned)(*z - '0');
	}
	*port = (uint16_t)v;
	return v <= PORT_MAX ? 0 : -1;
}

static int parse_v6(const char *host, uint16_t port, struct address *a)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->addr;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	a->n = sizeof *in6;
	if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
		return -1;
	a->loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	return 0;
}

static int parse_v4(const char *host, uint16_t port, struct address *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->addr;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	a->n = sizeof *in;
	if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &in->sin_addr) != 1)
		return -1;
	a->loopback = ntohl(in->sin_addr.s_addr) >> 24 == 127;
	return 0;
}

int address_parse(const char *text, struct address *a, struct err *e)
{
	const char *colon = strrchr(text, ':');
	char host[INET6_ADDRSTRLEN + 2] = "";
	size_t n = colon ? (size_t)(colon - text) : 0;
	uint16_t port;
	int rc;

	memset(a, 0, sizeof *a);
	if (colon == NULL || n == 0 || n >= sizeof host || parse_port(colon + 1, &port) != 0)
		return err_set(e, P_BAD_REQUEST, "listen: %s is not ADDRESS:PORT", text);
	memcpy(host, text, n);
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		rc = parse_v6(host + 1, port, a);
	} else {
		rc = parse_v4(host, port, a);
	}
	if (rc != 0)
		err_set(e, P_BAD_REQUEST, "listen: %s is neither an IPv4 address nor an IPv6 one in brackets", host);
	return rc;
}

void address_of(int fd, struct address *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->addr;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->addr;

	memset(a, 0, sizeof *a);
	a->n = sizeof a->addr;
	getsockname(fd, (struct sockaddr *)&a->addr, &a->n);
	if (a->addr.ss_family == AF_INET6)
		a->loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	else
		a->loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

int listen_name(int fd, bool tls, char url[URL_BYTES])
{
	struct sockaddr_storage got = {0};
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&got;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&got;
	bool six;
	socklen_t n = sizeof got;
	char host[INET6_ADDRSTRLEN] = "";
	int port;

	getsockname(fd, (struct sockaddr *)&got, &n);
	six = got.ss_family == AF_INET6;
	inet_ntop(got.ss_family, six ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr, host, sizeof host);
	port = ntohs(six ? v6->sin6_port : v4->sin_port);
	snprintf(url, URL_BYTES, six ? "http%s://[%s]:%d" : "http%s://%s:%d", tls ? "s" : "", host, port);
	return port;
}

int listen_open(const struct address *a, int *fd, struct err *e)
{
	int one = 1, rc;

	*fd = socket(a->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return err_set(e, P_UNAVAILABLE, "no socket: %s", strerror(errno));
	setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (a->addr.ss_family == AF_INET6)
		setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	rc = bind(*fd, (const struct sockaddr *)&a->addr, a->n);
	if (rc == 0)
		rc = listen(*fd, SOMAXCONN);
	if (rc == 0)
		return 0;
	err_set(e, P_UNAVAILABLE, "cannot listen: %s", strerror(errno));
	close(*fd);
	*fd = -1;
	return -1;
}

void listen_let_go(int fd)
{
	/* The family alone: the system finds a name of its own. */
	struct sockaddr_un none = {.sun_family = AF_UNIX};
	int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (other < 0)
		return;
	if (bind(other, (const struct sockaddr *)&none, sizeof none.sun_family) == 0 && listen(other, 1) == 0)
		dup3(other, fd, O_CLOEXEC);
	close(other);
}
