#include "handlers.h"

/* ?on_error= and ?on_conflict=, of all rows. */
static int policies(struct request *r, struct ingest_options *o, struct err *e)
{
	static const char *const on_error[] = {"continue", NULL};
	static const char *const on_conflict[] = {"keep", "replace", NULL};
	int error = -1, conflict = -1;

	if (query_word(r, "on_error", on_error, &error, e) != 0 ||
	    query_word(r, "on_conflict", on_conflict, &conflict, e) != 0)
		return -1;
	o->on_error_continue = error == 0;
	o->on_conflict = conflict < 0 ? CONFLICT_REFUSE : conflict == 0 ? CONFLICT_KEEP : CONFLICT_REPLACE;
	return 0;
}

int rows_records(struct request *r, struct ingest_options *o, struct err *e)
{
	struct str format = STR_NONE;

	o->kind = ROW_RECORD;
	o->format = FORMAT_RECORDS;
	if (query_text(r, "format", &format, e) != 0 || query_text(r, "judge", &o->judge, e) != 0)
		return -1;
	if (format.p)
		o->format = format_of(format);
	if (o->format == FORMAT_COUNT)
		return err_at(e, P_UNKNOWN_KEY, "?format", "the format %.*s is not known", STR_ARG(format));
	return query_bool(r, "fix_overall", &o->fix_overall, e) != 0 ? -1 : policies(r, o, e);
}

int rows_scores(struct request *r, struct ingest_options *o, struct err *e)
{
	o->kind = ROW_SCORE;
	return policies(r, o, e);
}

int rows_comparisons(struct request *r, struct ingest_options *o, struct err *e)
{
	o->kind = ROW_COMPARISON;
	return policies(r, o, e);
}

static void submit(struct request *r, struct pending *p, const void *args)
{
	struct ingest *in = r->body.ingest;

	(void)args;
	r->body.ingest = NULL; /* ended by the call */
	ingest_submit(in, p);
}

const struct reply *h_rows(struct request *r)
{
	return reply_later(r, 0, submit, NULL);
}
