/* bodies.h - rows into bodies, bodies to the daemon, answers into sums.
 *
 * A body is NDJSON of about body_bytes, packed with zstd. It is posted again
 * while the daemon is busy or out of reach, under one Idempotency-Key. */
#ifndef PREFD_CLI_BODIES_H
#define PREFD_CLI_BODIES_H

#include "call.h"
#include "progress.h"

/* What posting returns beside 0: a signal came (SOURCE_INTERRUPTED too);
 * refused, and the user was told; failed, and e says why. */
enum { BODIES_INTERRUPTED = 1, BODIES_REFUSED = 2, BODIES_FAILED = 3 };

enum { TALLY_NAME_BYTES = 32, TALLIES_MAX = 32 };

/* One count of the answers, as "prompts" "created". */
struct tally {
	char group[TALLY_NAME_BYTES], name[TALLY_NAME_BYTES];
	uint64_t n;
};

struct bodies {
	const char *command, *url;
	uint64_t body_bytes, body_rows; /* of a body at most */
	uint64_t row_bytes;             /* of a row at most; a longer one is the caller's to refuse */
	struct fetch *fetch;
	struct progress *progress; /* taken off the terminal before anything is said */
	struct fetch_reply reply;
	struct buf rows, packed;
	struct buf lines;    /* uint64_t, of each row in the body */
	uint64_t first_row;  /* the row number, in the source, of the body's first */
	uint64_t row_count;  /* in the body */
	uint64_t sent_rows, sent_bytes, posts;
	uint64_t rejected;
	enum cli_refusal refusal; /* behind BODIES_REFUSED: of what kind */
	uint64_t errors_left; /* still to be shown */
	char key[64];        /* what the idempotency keys begin with */
	struct tally tally[TALLIES_MAX];
	int tallies;
};

enum {
	BODIES_BYTES_DEFAULT = 4 * 1024 * 1024, /* of a body */
	BODIES_BYTES_MIN = 1024,
	BODIES_ROW_BYTES_HELD = 64 * 1024 * 1024, /* a row longer than this ends the reading */
};

/* What it points to outlives it; the caller fills in url. */
void bodies_init(struct bodies *b, const char *command, struct fetch *fetch, struct progress *progress);
void bodies_release(struct bodies *b);
/* What the server takes bounds what is sent: asks it once. body_bytes is what
 * was wished for. 0; -1: it was said what is wrong. */
int bodies_limits(struct bodies *b, struct call *c, uint64_t body_bytes);
/* Whether a row of n bytes still goes into the body that is being filled. */
bool bodies_take(const struct bodies *b, size_t n);
/* line: in the source, from 1; 0: it has none. */
void bodies_add(struct bodies *b, uint64_t number, uint64_t line, struct str row);
/* What BODIES_REFUSED leaves, on standard error, for rows that were refused;
 * on_error: the option was given. false: it was not for rows, nothing said. */
bool bodies_say_refused(const struct bodies *b, bool on_error);
/* Posts what there is; the body is empty afterwards. */
int bodies_post(struct bodies *b, struct err *e);
/* Standard output: the sums, a line a group. */
void bodies_print(const struct bodies *b);

#endif
