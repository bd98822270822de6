/* prefd restore: a backup becomes a data folder. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "client.h"
#include "service/backup.h"

static const char COMMAND[] = "restore";

static const char USAGE[] =
	"usage: prefd restore --from BACKUP --data DIR\n"
	"\n"
	"Makes a data folder of a backup: checks every file of it against its manifest,\n"
	"then copies them. DIR is new or empty, or what an unfinished restore left there.\n"
	"`prefd serve --data DIR` then gives the same revisions, byte for byte.\n"
	"\n"
	"  --from BACKUP   a folder that `prefd backup` made\n"
	"  --data DIR      the data folder\n"
	"\n"
	"Exit status: 0 restored, 1 it was refused or failed, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd restore --from /srv/backup/prefd-monday --data /var/lib/prefd\n";

enum { FROM = 256, DATA };

static const struct option LONG[] = {
	{"from", required_argument, NULL, FROM},
	{"data", required_argument, NULL, DATA},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int restore(const char *from, const char *data)
{
	uint64_t files;
	struct err e;

	if (backup_restore(from, data, &files, &e) < 0) {
		cli_complain(COMMAND, "%s", e.detail);
		return CLI_FAILED;
	}
	printf("%s: %" PRIu64 " files restored\n", data, files);
	return CLI_DONE;
}

int cli_restore(int argc, char **argv)
{
	const char *from = NULL, *data = NULL;
	int c;

	while ((c = cli_option(COMMAND, argc, argv, LONG)) != -1) {
		switch (c) {
		case FROM: from = optarg; break;
		case DATA: data = optarg; break;
		case 'h': fputs(USAGE, stdout); return CLI_DONE;
		default: return CLI_USAGE;
		}
	}
	if (optind != argc || from == NULL || data == NULL)
		return cli_misused(COMMAND, "--from and --data are wanted, and nothing else");
	return restore(from, data);
}
