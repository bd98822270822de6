/* inside.h - what the files of http/ share; no other room includes it. */
#ifndef PREFD_HTTP_INSIDE_H
#define PREFD_HTTP_INSIDE_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "listen.h"
#include "reaper.h"
#include "service/service.h"
#include "waiting.h"

struct httpd {
	struct service *service;
	const struct conf *conf;
	struct MHD_Daemon *daemon;
	int listen_fd, port;
	int passed_fd; /* the service manager's socket, which is the library's listen_fd; -1: none */
	char url[URL_BYTES];
	struct reaper reaper;
	struct waiting waiting;
	struct audit *audit;
	struct rates *rates;
	struct tls *tls; /* NULL: plain HTTP */
	_Atomic int64_t documents_left; /* bytes that documents may still take */
	_Atomic int64_t answers_left;   /* bytes that answers may still take */
	_Atomic int active;             /* requests that are not done */
	_Atomic bool draining;          /* answers close their connections */
	_Atomic int64_t library_second; /* of the last line that the library logged */
	_Atomic int library_lines;      /* in that second */
	char page_policy[320];          /* Content-Security-Policy of the dashboard */
};

#endif
