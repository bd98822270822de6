/* pulse.h - tells the service manager's watchdog that the daemon works, and only
 * while it does. Loop's thread.
 *
 * A beat is sent when the loop turns and, since the last one, the writer has
 * finished a group (whatever came of it) and an answer has gone out over HTTP.
 * So that both can be asked for on an idle daemon, a pulse puts an empty write
 * through the writer's queue and asks its own /healthz. With all connections
 * taken nobody can ask; the writer alone decides then. */
#ifndef PREFD_HTTP_PULSE_H
#define PREFD_HTTP_PULSE_H

#include "http/httpd.h"

struct pulse;

/* Beats four times in the interval that the manager set; NULL when it watches
 * nobody. What it is given outlives the loop's last turn. */
struct pulse *pulse_start(const struct httpd *h, struct service *s, struct loop *loop);
/* After loop_run. */
void pulse_free(struct pulse *p);

#endif
