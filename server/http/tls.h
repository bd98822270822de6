/* tls.h - the certificate that the library shows (GnuTLS).
 *
 * Two PEM files: the chain, the server's own first, and its private key. They
 * are looked at now and then; when one is another file, both are read again,
 * and new handshakes get the new certificate. Connections go on as they are. A
 * pair that cannot be used changes nothing, and the log says why. */
#ifndef PREFD_HTTP_TLS_H
#define PREFD_HTTP_TLS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

/* TLS 1.2 and 1.3, what GnuTLS holds to be good today. */
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"

struct tls;

/* *t NULL: neither is set ("off"). P_BAD_REQUEST: one of them is missing, or
 * they cannot be used. One a process: the library's callback knows no other.
 * keep_s: how long a handshake may take, so how long an old pair is kept. */
int tls_open(struct tls **t, const char *cert, const char *key, int keep_s, struct err *e);
/* After the library's threads. */
void tls_close(struct tls *t);
/* For MHD_OPTION_HTTPS_CERT_CALLBACK. */
void *tls_callback(void);
/* Reads the files again if they changed, or if `now` is wished. Main thread. */
void tls_look(struct tls *t, bool wished, int64_t now_us);

#endif
