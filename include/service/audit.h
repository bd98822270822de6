/* audit.h - who changed what, and who was turned away: a line of JSON each.
 *
 * It is a record, not a promise: a line is handed to the system when the answer
 * is sent, never synced, and a disk that takes no line stops no request (the
 * metric prefd_audit_lost_total counts). It holds no token and no text of a
 * dataset. Any thread; several processes may append to the same file. */
#ifndef PREFD_SERVICE_AUDIT_H
#define PREFD_SERVICE_AUDIT_H

#include <stdint.h>
#include "base/err.h"

enum { AUDIT_REFUSED_PER_SECOND = 100 }; /* lines about requests without a known token, at most */

struct audit;

struct audit_entry {
	const char *request;       /* its id; NULL: none */
	struct str token, name;    /* whose; STR_NONE: nobody's that is known */
	struct str address;        /* of the connection; of the command line: "uid 0" */
	struct str method, path;   /* without the query */
	struct str about;          /* id of a token that was made; STR_NONE */
	int status;                /* 0: the client left before its answer */
	uint64_t received, sent;   /* bytes of the bodies */
};

/* where: the setting audit_log, a path (from dir on unless it begins with /) or
 * "off". P_INTERNAL: the file cannot be had. */
int audit_open(struct audit **a, const char *dir, const char *where, struct err *e);
/* The same again, for a file that was moved away; -1: the old one goes on. */
int audit_reopen(struct audit *a, const char *dir, const char *where, struct err *e);
void audit_close(struct audit *a);
void audit_write(struct audit *a, const struct audit_entry *x);

#endif
