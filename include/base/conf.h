/* conf.h - settings, as a table: flag, then PREFD_… variable, then file, then
 * default. The man page's list is checked against this table. */
#ifndef PREFD_BASE_CONF_H
#define PREFD_BASE_CONF_H

#include <stdint.h>
#include "base/err.h"

/* X(member, kind, default, min, max, when, help) ; flag --member (with '-' for '_'),
 * variable PREFD_MEMBER, file `member = value`. Kinds: text, whole (int64_t).
 * when: what takes a changed value over, a reload (SIGHUP) or only a restart. */
#define SETTINGS(X) \
	X(listen, text, "127.0.0.1:8420", 0, 0, restart, "ADDRESS:PORT to serve on; port 0 takes a free one") \
	X(data, text, "prefd-data", 0, 0, restart, "folder of the database, the snapshots and the spools") \
	X(store, text, "sqlite", 0, 0, restart, "where rows are kept: sqlite (in the data folder)") \
	X(backups, text, "prefd-backups", 0, 0, restart, "folder that backups are made in") \
	X(log_level, text, "info", 0, 0, reload, "error, warn, info or debug") \
	X(tls_cert, text, "off", 0, 0, restart, "PEM file of the certificate and its chain, for https; read again when it changes") \
	X(tls_key, text, "off", 0, 0, restart, "PEM file of its private key") \
	X(audit_log, text, "audit.log", 0, 0, reload, "file of who changed what and who was refused, in the data folder unless a whole path; or off") \
	X(http_threads, whole, "2", 1, 64, restart, "threads that receive and answer") \
	X(http_connections, whole, "1024", 8, 65536, restart, "open connections at most") \
	X(address_connections, whole, "512", 1, 65536, restart, "of these from one address at most") \
	X(suspended_requests, whole, "2048", 1, 65536, restart, "requests that may wait for the writer or a job") \
	X(suspend_seconds, whole, "60", 1, 600, reload, "how long such a request waits at most") \
	X(header_seconds, whole, "10", 1, 600, restart, "how long a client may take for its headers") \
	X(idle_seconds, whole, "75", 1, 3600, restart, "how long an idle connection stays open") \
	X(body_bytes, whole, "67108864", 4096, 1073741824, reload, "a body at most, unpacked") \
	X(document_bytes, whole, "33554432", 4096, 1073741824, reload, "a document (recipe, ...) at most") \
	X(documents_bytes, whole, "134217728", 4096, 17179869184, restart, "all documents in memory together") \
	X(answers_bytes, whole, "536870912", 1048576, 1099511627776, restart, "all answers on their way to slow readers together") \
	X(row_bytes, whole, "8388608", 1024, 67108864, reload, "one row at most") \
	X(rows, whole, "1000000", 1, 100000000, reload, "rows of one body at most") \
	X(spool_bytes, whole, "2147483648", 1048576, 1099511627776, restart, "all waiting bodies together") \
	X(batch_size, whole, "4096", 1, 65536, reload, "examples of one batch at most") \
	X(batch_bytes, whole, "268435456", 65536, 4294967296, reload, "bytes of one batch at most") \
	X(open_snapshots, whole, "64", 1, 65536, restart, "snapshot files kept mapped") \
	X(engine_hosts, text, "127.0.0.1 localhost [::1]", 0, 0, reload, "hosts that serving engines may have") \
	X(engine_seconds, whole, "120", 1, 3600, reload, "how long an engine may take for one answer")

/* Read by any thread while a reload writes: each member for itself is atomic,
 * so a request may meet one setting's old and another's new value. A text that
 * was replaced stays in memory: somebody may hold it. */
struct conf {
#define text _Atomic(const char *)
#define whole _Atomic int64_t
#define X(member, kind, def, min, max, when, help) kind member;
	SETTINGS(X)
#undef X
#undef text
#undef whole
};

/* Fills in defaults, then the file (NULL: none), then the environment, then
 * flags: argv[first…]; `--config FILE` names the file. Strings live as long as
 * the process. P_BAD_REQUEST names the source (file:line, variable or flag). */
int conf_load(struct conf *c, int argc, char **argv, int first, struct err *e);
/* Loads them again from the same sources. What a reload takes over is in c when
 * it returns, what only a restart does stays; both are named in the log. -1, as
 * from conf_load: nothing has changed. One thread at a time. */
int conf_reload(struct conf *c, int argc, char **argv, int first, struct err *e);
/* The table as text for --help. */
void conf_usage(void);

#endif
