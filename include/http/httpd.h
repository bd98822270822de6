/* httpd.h - the daemon's HTTP face (libmicrohttpd). */
#ifndef PREFD_HTTP_HTTPD_H
#define PREFD_HTTP_HTTPD_H

#include "service/service.h"

struct httpd;

/* Listens and answers from its own threads. Main thread. */
int httpd_start(struct httpd **h, struct service *s, struct loop *loop, struct err *e);
/* The port in use. */
int httpd_port(const struct httpd *h);
/* "http://ADDRESS:PORT". */
const char *httpd_url(const struct httpd *h);
/* No new connections; requests under way are answered (at most `seconds`). */
void httpd_drain(struct httpd *h, int seconds);
void httpd_stop(struct httpd *h);

#endif
