/* backup.h - backups: made beside the writes, looked through, brought back.
 *
 * A backup is a folder (server/service/backup_folder.h shows it): the database
 * as at one commit, the snapshots' files, the tokens' file (hashes), and a
 * manifest with each file's length and SHA-256. The daemon makes them below
 * its setting `backups` and nowhere else. */
#ifndef PREFD_SERVICE_BACKUP_H
#define PREFD_SERVICE_BACKUP_H

#include "service/service.h"

/* --- the daemon's: any thread ---------------------------------------------------- */

/* PUT /v1/backups/{backup}: begins one, 202, or says how far it is; 200 when it
 * is there. P_CONFLICT while another is made. One that failed begins anew. */
int backups_put(struct service *s, struct str name, struct answer *out, struct err *e);
/* GET: 200. P_UNKNOWN_BACKUP; why the last one failed is known until the next. */
int backups_get(struct service *s, struct str name, struct answer *out, struct err *e);
/* Those that are whole, in byte order of their names. */
int backups_list(struct service *s, struct str after, uint32_t limit, struct answer *out, struct err *e);

/* --- without a daemon --------------------------------------------------------------- */

/* Of the data folder, which no daemon holds (else P_CONFLICT) and which has this
 * program's schema, into the new folder `to`. *bytes: what it holds. */
int backup_cold(const char *data, const char *to, int64_t *bytes, struct err *e);
/* Reads every file of a backup through. report: what is wrong, a line each.
 * *files: that were read. 0 sound, 1 not, -1: there is no backup, or a newer
 * prefd made it. */
int backup_check(const char *from, void (*report)(void *ctx, const char *finding), void *ctx, uint64_t *files,
                 struct err *e);
/* Into a data folder that is new or empty, or that an unfinished restore left.
 * The backup is checked first; nothing is made unless it is sound. *files:
 * that were copied. P_CONFLICT, P_INVALID: it is not sound. */
int backup_restore(const char *from, const char *data, uint64_t *files, struct err *e);

#endif
