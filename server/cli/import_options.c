#include "import_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bodies.h"
#include "client.h"

static const char COMMAND[] = "import";

static const char USAGE[] =
	"usage: prefd import [options] FILE|-\n"
	"\n"
	"Posts the rows of FILE (or of standard input) to a running daemon. FILE is\n"
	"NDJSON or one JSON array, plain or packed with gzip or zstd. Rows that are\n"
	"there already count as unchanged, so an import may be repeated at any time.\n"
	"\n"
	"  --server URL          the daemon (PREFD_SERVER, else http://127.0.0.1:8420)\n"
	"  --dataset NAME        default: FILE's name up to its first dot\n"
	"  --create              make the dataset if it is not there\n"
	"  --attribute NAME=MIN:MAX\n"
	"                        declare an attribute's range, as often as needed;\n"
	"                        implies --create\n"
	"  --kind KIND           records (default), scores or comparisons\n"
	"  --format FORMAT       records as others publish them: ultrafeedback,\n"
	"                        ultrafeedback_binarized or trl\n"
	"  --judge JUDGE         the judge's name instead of the format's own\n"
	"  --fix-overall         ultrafeedback: an overall score of 10 beside ratings\n"
	"                        of 2 or less was meant as 1\n"
	"  --on-error continue   store the good rows and report the others\n"
	"  --on-conflict WHAT    where an id stands for something else: keep or replace\n"
	"  --start-row N         leave out the rows before N (rows count from 0)\n"
	"  --body-bytes SIZE     of one request, as 4MiB (default) or 512KiB\n"
	"\n"
	"An import that was cut short goes on where it was when it is started again;\n"
	"from standard input with the --start-row that it printed. Exit status: 0 done,\n"
	"1 rows were refused or it failed, 2 usage.\n"
	"\n"
	"examples:\n"
	"  prefd import --create --attribute overall=1:10 ultrafeedback.ndjson.gz\n"
	"  zcat rows.gz | prefd import --dataset demo --create --on-error continue -\n"
	"  prefd import --dataset demo --kind scores judged.ndjson\n";

static bool one_of(const char *word, const char *words)
{
	const char *at = words;
	size_t n = strlen(word);

	while (n > 0 && (at = strstr(at, word))) {
		if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
			return true;
		at++;
	}
	return false;
}

static int bad_value(const char *option, const char *value, const char *wanted)
{
	return cli_misused(COMMAND, "%s is %s, not '%s'", option, wanted, value);
}

static int set_attribute(struct import_options *o, const char *value)
{
	const char *equals = strrchr(value, '='), *colon = equals ? strchr(equals, ':') : NULL;
	char *low_end, *high_end;

	if (colon == NULL || equals == value)
		return bad_value("--attribute", value, "NAME=MIN:MAX");
	if (!(strtod(equals + 1, &low_end) < strtod(colon + 1, &high_end)) || low_end != colon || *high_end ||
	    high_end == colon + 1)
		return bad_value("--attribute", value, "NAME=MIN:MAX with two numbers, the smaller first");
	if (o->attributes == IMPORT_ATTRIBUTES_MAX)
		return cli_misused(COMMAND, "more than %d attributes", IMPORT_ATTRIBUTES_MAX);
	o->attribute[o->attributes++] = value;
	o->create = true;
	return CLI_DONE;
}

static int check_words(const struct import_options *o)
{
	if (!one_of(o->kind, "records scores comparisons"))
		return bad_value("--kind", o->kind, "records, scores or comparisons");
	if (o->on_error && strcmp(o->on_error, "continue") != 0)
		return bad_value("--on-error", o->on_error, "continue");
	if (o->on_conflict && !one_of(o->on_conflict, "keep replace"))
		return bad_value("--on-conflict", o->on_conflict, "keep or replace");
	if ((o->format || o->judge || o->fix_overall) && strcmp(o->kind, "records") != 0)
		return cli_misused(COMMAND, "--format, --judge and --fix-overall go with --kind records");
	if (strcmp(o->file, "-") == 0 && o->dataset == NULL)
		return cli_misused(COMMAND, "--dataset is needed with standard input");
	return CLI_DONE;
}

enum { SERVER = 256, DATASET, CREATE, ATTRIBUTE, KIND, FORMAT, JUDGE, FIX, ON_ERROR, ON_CONFLICT, START, BODY };

static const struct option LONG[] = {
	{"server", required_argument, NULL, SERVER},         {"dataset", required_argument, NULL, DATASET},
	{"create", no_argument, NULL, CREATE},               {"attribute", required_argument, NULL, ATTRIBUTE},
	{"kind", required_argument, NULL, KIND},             {"format", required_argument, NULL, FORMAT},
	{"judge", required_argument, NULL, JUDGE},           {"fix-overall", no_argument, NULL, FIX},
	{"on-error", required_argument, NULL, ON_ERROR},     {"on-conflict", required_argument, NULL, ON_CONFLICT},
	{"start-row", required_argument, NULL, START},       {"body-bytes", required_argument, NULL, BODY},
	{"help", no_argument, NULL, 'h'},                    {NULL, 0, NULL, 0},
};

static int set_number(struct import_options *o, int c, const char *value)
{
	if (c == START) {
		o->has_start_row = true;
		return cli_whole(value, &o->start_row) ? CLI_DONE : bad_value("--start-row", value, "a whole number");
	}
	if (!cli_bytes(value, &o->body_bytes) || o->body_bytes < BODIES_BYTES_MIN)
		return bad_value("--body-bytes", value, "a size from 1KiB on, as 4MiB");
	return CLI_DONE;
}

static int set_option(struct import_options *o, int c, const char *value)
{
	switch (c) {
	case SERVER: o->server = value; break;
	case DATASET: o->dataset = value; break;
	case CREATE: o->create = true; break;
	case ATTRIBUTE: return set_attribute(o, value);
	case KIND: o->kind = value; break;
	case FORMAT: o->format = value; break;
	case JUDGE: o->judge = value; break;
	case FIX: o->fix_overall = true; break;
	case ON_ERROR: o->on_error = value; break;
	case ON_CONFLICT: o->on_conflict = value; break;
	case START:
	case BODY: return set_number(o, c, value);
	default: return cli_misused(COMMAND, "-%c is not an option", c);
	}
	return CLI_DONE;
}

int import_options(struct import_options *o, int argc, char **argv)
{
	int c, rc = CLI_DONE;

	*o = (struct import_options){.kind = "records", .body_bytes = BODIES_BYTES_DEFAULT};
	while (rc == CLI_DONE && (c = cli_option(COMMAND, argc, argv, LONG)) != -1) {
		if (c == 'h') {
			o->help = true;
			return CLI_DONE;
		}
		rc = c == '?' ? CLI_USAGE : set_option(o, c, optarg);
	}
	if (rc != CLI_DONE)
		return rc;
	if (optind != argc - 1)
		return cli_misused(COMMAND, "one FILE is wanted, or - for standard input");
	o->file = argv[optind];
	return check_words(o);
}

void import_usage(void)
{
	fputs(USAGE, stdout);
}
