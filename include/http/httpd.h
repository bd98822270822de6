/* httpd.h - the daemon's HTTP face (libmicrohttpd). */
#ifndef PREFD_HTTP_HTTPD_H
#define PREFD_HTTP_HTTPD_H

#include "service/service.h"

struct httpd;

/* Whether this is an ADDRESS:PORT; whether it may be served on shows at the start. Pure. */
int httpd_check(const char *listen, struct err *e);
/* Listens and answers from its own threads. Main thread. */
int httpd_start(struct httpd **h, struct service *s, struct loop *loop, struct err *e);
/* After conf_reload: opens the audit log again, reads the certificate again. Main thread. */
void httpd_reload(struct httpd *h);
/* The port in use. */
int httpd_port(const struct httpd *h);
/* "http://ADDRESS:PORT", or https. */
const char *httpd_url(const struct httpd *h);
/* No new connections from here on; requests under way go on. Main thread. */
void httpd_quiesce(struct httpd *h);
/* Whether no request is under way. */
bool httpd_idle(const struct httpd *h);
/* Answers what still waits with 503, then ends. */
/* Ends what still waits with 503, waits for what the writer owns, stops the
 * threads. After loop_stop: the loop must not call its tick any more. */
void httpd_stop(struct httpd *h);

#endif
