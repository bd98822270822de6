/* prefd check: looks at a data folder and changes nothing. It reads beside a
 * running daemon as any reader does. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/conf.h"
#include "cli/cli.h"
#include "client.h"
#include "service/backup.h"
#include "snap/read.h"
#include "store/read.h"
#include "store/snapshot.h"

static const char COMMAND[] = "check";

static const char USAGE[] =
	"usage: prefd check [--data DIR] [--config FILE]\n"
	"       prefd check --backup FOLDER\n"
	"\n"
	"Checks, without changing anything: that the settings are valid; the database's\n"
	"integrity, and that the kept statistics agree with the rows; every block and\n"
	"record of the ready snapshots' files. May run beside the daemon. A file that is\n"
	"not there is no finding: it is rebuilt from the database when it is asked for.\n"
	"\n"
	"  --backup FOLDER   the same of a backup, and every file against its manifest\n"
	"\n"
	"Exit status: 0 ok, 1 findings, or it could not be checked.\n"
	"\n"
	"examples:\n"
	"  prefd check\n"
	"  prefd check --data /var/lib/prefd\n"
	"  prefd check --backup /srv/backup/prefd-monday\n";

struct check {
	uint64_t findings, files;
};

static void found(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void found(struct check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	c->findings++;
}

static void on_finding(void *ctx, const char *finding)
{
	found(ctx, "database: %s", finding);
}

/* Between the list and the look it may have been deleted, with its file. */
static bool still_ready(struct store *s, struct arena *a, struct str id)
{
	struct snapshot_row row;
	struct err e;

	return store_snapshot_get(s, a, id, &row, &e) == 0 && row.state == SNAPSHOT_READY;
}

static void check_file(struct check *c, struct store *s, struct arena *a, const char *dir,
                       const struct snapshot_row *row)
{
	struct snap *snap = NULL;
	struct err e;
	int rc = snap_open(&snap, dir, row->revision, &e);

	if (rc == 0) {
		c->files++;
		rc = snap_verify(snap, &e);
		snap_close(snap);
	}
	if (rc == 0 || !still_ready(s, a, row->id))
		return;
	if (e.problem == P_UNKNOWN_SNAPSHOT)
		printf("snapshot %.*s: its file is not there; will be rebuilt\n", STR_ARG(row->id));
	else
		found(c, "snapshot %.*s: %s; will be rebuilt", STR_ARG(row->id), e.detail);
}

static int check_snapshots(struct check *c, struct store *s, const char *dir, struct err *e)
{
	struct snapshot_row *row;
	struct buf after = BUF_INIT;
	struct arena a;
	uint32_t n = 0;
	int rc;

	arena_init(&a);
	do {
		arena_reset(&a);
		rc = store_snapshot_list(s, &a, 0, after.n ? buf_view(&after) : STR_NONE, PAGE_MAX, &row, &n, e);
		for (uint32_t i = 0; rc == 0 && i < n; i++)
			if (row[i].state == SNAPSHOT_READY)
				check_file(c, s, &a, dir, &row[i]);
		if (rc == 0 && n > 0) {
			buf_clear(&after);
			buf_str(&after, row[n - 1].id);
		}
	} while (rc == 0 && n == PAGE_MAX);
	arena_release(&a);
	buf_release(&after);
	return rc;
}

static int check_folder(struct check *c, const char *data, struct err *e)
{
	struct store_options options = {.dir = data};
	struct store *s;
	char dir[SNAP_PATH_BYTES];
	int rc;

	if ((size_t)snprintf(dir, sizeof dir, "%s/snapshots", data) >= sizeof dir)
		return err_set(e, P_BAD_REQUEST, "the folder's name is too long");
	if (store_open(&s, &options, e) < 0)
		return -1;
	rc = store_check(s, on_finding, c, e);
	if (rc >= 0)
		rc = check_snapshots(c, s, dir, e);
	store_close(s);
	return rc;
}

static void on_file(void *ctx, const char *finding)
{
	found(ctx, "backup: %s", finding);
}

static int check_backup(struct check *c, const char *from, struct err *e)
{
	uint64_t files;
	int rc = backup_check(from, on_file, c, &files, e);

	if (rc < 0)
		return -1;
	printf("%s: %" PRIu64 " files compared with the manifest\n", from, files);
	return rc > 0 ? 0 : check_folder(c, from, e); /* a damaged one is looked at no further */
}

static int tell(const struct check *c, const char *folder, int rc, const struct err *e)
{
	if (rc < 0) {
		cli_complain(COMMAND, "%s: %s", folder, e->detail);
		return CLI_FAILED;
	}
	printf("%s: %" PRIu64 " snapshot files read\n", folder, c->files);
	if (c->findings > 0)
		printf("%" PRIu64 " findings\n", c->findings);
	else
		printf("ok\n");
	return c->findings > 0 ? CLI_FAILED : CLI_DONE;
}

int cli_check(int argc, char **argv)
{
	struct check c = {0, 0};
	struct conf conf;
	struct err e;
	int rc;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(USAGE, stdout);
			return CLI_DONE;
		}
	}
	if (argc == 3 && strcmp(argv[1], "--backup") == 0) {
		rc = check_backup(&c, argv[2], &e);
		return tell(&c, argv[2], rc, &e);
	}
	if (conf_load(&conf, argc, argv, 1, &e) < 0) {
		cli_complain(COMMAND, "%s", e.detail);
		return CLI_FAILED;
	}
	rc = check_folder(&c, conf.data, &e);
	return tell(&c, conf.data, rc, &e);
}
