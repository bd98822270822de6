/* listen.h - the address to serve on, and its socket. */
#ifndef PREFD_HTTP_LISTEN_H
#define PREFD_HTTP_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>
#include "base/err.h"

struct address {
	struct sockaddr_storage addr;
	socklen_t n;
	bool loopback;
};

/* "127.0.0.1:8420", "[::1]:0" or "localhost:8420". P_BAD_REQUEST. Pure. */
int address_parse(const char *text, struct address *a, struct err *e);
enum { URL_BYTES = 80 };

/* Of a socket that is bound already. */
void address_of(int fd, struct address *a);
/* A listening socket; P_UNAVAILABLE when it cannot be had. */
int listen_open(const struct address *a, int *fd, struct err *e);
/* Puts a socket that nobody can reach in the place of fd, whose socket goes on
 * listening for whoever else holds it. Any thread may be in accept(2) on it. */
void listen_let_go(int fd);
/* The port that it got, and "http://ADDRESS:PORT" (or https). */
int listen_name(int fd, bool tls, char url[URL_BYTES]);

#endif
