/* ingest.h - rows in, as a stream.
 *
 * One ingest a request, on the connection's thread: bytes in pieces → unpacked
 * → rows → scanned, parsed, checked, hashed, packed → spool. Only a finished
 * and valid spool goes to the writer. Errors are kept inside: feeding always
 * consumes everything, and the answer tells. */
#ifndef PREFD_SERVICE_INGEST_H
#define PREFD_SERVICE_INGEST_H

#include "base/split.h"
#include "base/zip.h"
#include "service/service.h"
#include "store/record.h"

/* ?format= of records. */
enum rows_format {
	FORMAT_RECORDS,
	FORMAT_ULTRAFEEDBACK,
	FORMAT_ULTRAFEEDBACK_BINARIZED,
	FORMAT_TRL,
	FORMAT_COUNT
};
/* FORMAT_COUNT when it is none. */
enum rows_format format_of(struct str name);

struct ingest_options {
	struct str dataset;      /* STR_NONE for deliveries: the round's */
	struct str round;        /* of ROW_SAMPLE and ROW_LOGPROB */
	enum row_kind kind;
	enum rows_format format; /* of ROW_RECORD */
	struct str judge;        /* STR_NONE: the format's own */
	bool fix_overall;        /* ultrafeedback: an overall_score of 10 with a mean rating <= 2 was meant as 1 */
	enum coding coding;
	enum split_kind split;
	bool on_error_continue;
	enum on_conflict on_conflict;
	struct str idempotency_key; /* STR_NONE: none */
	struct str target;          /* "POST /v1/…", goes into the key's hash */
};

struct ingest;

/* P_UNKNOWN_DATASET, P_UNKNOWN_ROUND, P_UNAVAILABLE (too many waiting bodies). */
int ingest_open(struct ingest **in, struct service *s, const struct ingest_options *o, struct err *e);
void ingest_feed(struct ingest *in, const char *p, size_t n);
/* True once the body is refused for its size or damage, whatever follows: the
 * caller may stop reading early. */
bool ingest_refused(const struct ingest *in);
/* The body is over: hands the rows to the writer, which finishes p; or
 * finishes p at once when the body was refused. Ends the ingest. */
void ingest_submit(struct ingest *in, struct pending *p);
/* The client went away: nothing is stored. Ends the ingest. */
void ingest_abort(struct ingest *in);

#endif
