/* row.h - facts as they arrive: validated, hashed, ready to bind.
 *
 * Built by service/ on a connection's thread, packed into the spool, unpacked
 * and applied by the writer. strs point into the caller's memory. */
#ifndef PREFD_STORE_ROW_H
#define PREFD_STORE_ROW_H

#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define TIME_NONE INT64_MIN

/* The order is the order of preference at equal `at`: a good value is never
 * displaced by another status. */
enum score_status { SCORE_FAILED, SCORE_ABSTAINED, SCORE_OK };

struct score {
	struct str judge, attribute; /* 1-256 bytes */
	double value;                /* finite; meaningless unless status is SCORE_OK */
	enum score_status status;
	int64_t at;                  /* microseconds since 1970, or TIME_NONE: on arrival */
	struct str rationale;        /* may be STR_NONE */
};

struct logprob {
	struct str model;
	double logprob; /* natural log, summed over tokens, <= 0 */
	int64_t tokens; /* -1: not said */
};

struct response {
	struct str id;
	struct str text;         /* may be empty, is never absent */
	uint8_t text_hash[32];   /* SHA-256 of text */
	uint32_t characters;     /* code points */
	struct str model;        /* may be STR_NONE */
	int64_t tokens;          /* -1: not said */
	struct str finish_reason; /* may be STR_NONE */
	const struct score *score;
	uint32_t scores;
	const struct logprob *logprob;
	uint32_t logprobs;
};

struct comparison {
	struct str judge;
	struct str chosen, rejected; /* response ids, different */
	double strength;             /* finite, > 0 */
	int64_t at;
};

struct record {
	struct str id;
	struct str messages;       /* canonical JSON: [{"role":…,"content":…},…] */
	uint8_t messages_hash[32]; /* SHA-256 of messages */
	uint32_t characters;       /* code points of all contents */
	struct str split;          /* "train" when the client said none */
	struct str source;         /* may be STR_NONE */
	struct str metadata;       /* compact JSON, may be STR_NONE */
	const struct response *response;
	uint32_t responses;
	const struct comparison *comparison;
	uint32_t comparisons;
};

/* What a worker delivered to a round. */
struct sample {
	struct str prompt; /* id */
	uint32_t index;    /* 0 … K−1 */
	struct str text;
	uint8_t text_hash[32];
	uint32_t characters;
	int64_t tokens;           /* -1: not said */
	struct str finish_reason; /* may be STR_NONE */
	struct str prompt_token_ids, token_ids; /* compact JSON arrays, or STR_NONE */
	const struct logprob *logprob; /* only of the round's two models */
	uint32_t logprobs;
};

enum row_kind { ROW_RECORD, ROW_SCORE, ROW_COMPARISON, ROW_SAMPLE, ROW_LOGPROB };

struct row {
	enum row_kind kind;
	uint64_t number; /* of the row in its body, from 0 */
	union {
		struct record record;
		struct {
			struct str response;
			struct score score;
		} score;
		struct comparison comparison;
		struct sample sample;
		struct {
			struct str response;
			struct logprob logprob;
		} logprob;
	};
};

void row_pack(struct buf *b, const struct row *r);
/* Arrays from the arena, strs point into `packed`. P_INTERNAL if it is not
 * what row_pack wrote. */
int row_unpack(struct arena *a, struct str packed, struct row *r, struct err *e);

#endif
