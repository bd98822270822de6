/* backups.h - the daemon's backups; see service/backup.h. */
#ifndef PREFD_SERVICE_BACKUPS_H
#define PREFD_SERVICE_BACKUPS_H

#include "base/err.h"

struct service;
struct backups;

struct backups *backups_new(struct service *s);
/* Ends the one under way, which leaves nothing behind, and waits for that.
 * Before the writer stops. NULL is allowed. */
void backups_free(struct backups *b);
/* The same without waiting. Any thread. */
void backups_drain(struct backups *b);

#endif
