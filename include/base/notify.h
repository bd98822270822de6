/* notify.h - the daemon and its service manager: systemd's notification and
 * socket protocols, which are two environment variables each. Main thread.
 *
 * Without a manager (no NOTIFY_SOCKET, no LISTEN_PID) nothing happens. */
#ifndef PREFD_BASE_NOTIFY_H
#define PREFD_BASE_NOTIFY_H

#include <stdint.h>
#include "base/err.h"

/* Sends lines of VARIABLE=VALUE, as in "READY=1\nSTATUS=…"; at most 1,000 bytes.
 * 1: sent; 0: nobody listens; -1: it could not be sent, errno says why. */
int notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* How often the manager wants to hear WATCHDOG=1, in microseconds; 0: it does
 * not watch this process. */
int64_t notify_watchdog_us(void);

/* The listening socket that the manager passed: *fd, the caller's from here on
 * and closed on exec; -1 when it passed none. The variables are taken away, so
 * that no child believes they are its own. P_BAD_REQUEST: not exactly one
 * socket, or not a TCP one that listens. */
int notify_socket(int *fd, struct err *e);

#endif
