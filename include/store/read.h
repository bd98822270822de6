/* read.h - reading facts, as they stood at a sequence number.
 *
 * Every call is one short read transaction; pages are at most PAGE_MAX rows
 * of their kind. What comes back lives in the caller's arena. */
#ifndef PREFD_STORE_READ_H
#define PREFD_STORE_READ_H

#include "store/dataset.h"
#include "store/row.h"

enum { PAGE_MAX = 1000 };
#define SEQ_LATEST INT64_MAX

enum read_what {
	READ_MESSAGES = 1 << 0,  /* the prompt's messages and metadata */
	READ_TEXTS = 1 << 1,     /* the responses' texts */
	READ_SCORES = 1 << 2,    /* current scores */
	READ_LEDGER = 1 << 3,    /* all values, with rationales (implies READ_SCORES) */
	READ_RATIONALES = 1 << 4,
	READ_VOTES = 1 << 5,     /* current comparisons */
	READ_LOGPROBS = 1 << 6,
};

struct read_score {
	struct score s;  /* s.at is always a time */
	bool current;
};

struct read_logprob {
	struct logprob l;
};

struct read_response {
	int64_t key, text_key;
	struct str id;
	struct str text; /* with READ_TEXTS */
	uint8_t text_hash[32];
	uint32_t characters;
	struct str model;
	struct str round; /* id of the round that sampled it; STR_NONE: none did */
	int64_t tokens;
	struct str finish_reason;
	struct read_score *score; /* in byte order of (attribute, judge); ledgers by (at, seq) within */
	uint32_t scores;
	struct read_logprob *logprob; /* in byte order of models */
	uint32_t logprobs;
};

struct read_vote {
	uint32_t chosen, rejected; /* indexes into the prompt's responses */
	struct str judge;
	double strength;
	int64_t at;
	bool current;
};

struct read_prompt {
	int64_t key, messages_key;
	struct str id;
	struct str messages; /* with READ_MESSAGES */
	uint8_t messages_hash[32];
	uint32_t characters;
	struct str split, source, metadata;
	struct read_response *response; /* in byte order of ids */
	uint32_t responses;
	struct read_vote *vote; /* in byte order of judges, then of ids */
	uint32_t votes;
};

/* Calls between these two see one moment, and each saves its own transaction
 * (a third of the cost of a text). Keep it to milliseconds: a long one holds up
 * the checkpoint. They do not nest. */
int store_read_begin(struct store *s, struct err *e);
void store_read_end(struct store *s);

/* P_UNKNOWN_PROMPT. seq: SEQ_LATEST or a number that a snapshot pinned. */
int store_prompt_get(struct store *s, struct arena *a, const struct dataset *d, struct str id, int64_t seq,
                     unsigned what, struct read_prompt *out, struct err *e);
/* Prompts in byte order of ids, those after `after`; limit <= PAGE_MAX.
 * split STR_NONE: all of them. Prompts that came after seq are not there. */
int store_prompt_page(struct store *s, struct arena *a, const struct dataset *d, struct str after,
                      struct str split, uint32_t limit, int64_t seq, unsigned what,
                      struct read_prompt **out, uint32_t *n, struct err *e);
/* The same in order of arrival, which reads the tables as they lie. Looks at
 * `limit` prompts at most, those behind *after (0: from the first), which it
 * moves; looked 0: there are no more. */
int store_prompt_arrivals(struct store *s, struct arena *a, const struct dataset *d, int64_t *after, struct str split,
                          uint32_t limit, int64_t seq, unsigned what, struct read_prompt **out, uint32_t *n,
                          uint32_t *looked, struct err *e);

struct prompt_key {
	struct str id;
	int64_t key;
};
/* Ids and keys in byte order of ids, those after `after`, whenever they came;
 * limit <= PAGE_MAX. */
int store_prompt_keys(struct store *s, struct arena *a, const struct dataset *d, struct str after, uint32_t limit,
                      struct prompt_key **out, uint32_t *n, struct err *e);

/* The texts behind text_keys and messages_keys, which rise or stay. Those that
 * came in one row lie together and cost one look-up. P_GONE: one was deleted. */
int store_texts(struct store *s, struct arena *a, const int64_t *key, size_t n, struct str *out, struct err *e);

/* A judge's queue: responses without a good or abstained current score of
 * (judge, attribute), in order of arrival by prompt. */
struct unscored {
	struct str judge, attribute;
	struct str model; /* STR_NONE: any */
	int64_t round;    /* key of the round that sampled them; 0: any */
	int64_t after_prompt, after_response; /* the cursor; 0, 0 at the start */
	uint32_t limit; /* <= PAGE_MAX */
};
struct unscored_row {
	int64_t prompt, response; /* keys: the cursor */
	struct str prompt_id, messages, response_id, text, model;
	uint32_t characters;
};
/* Looks at a bounded number of responses a call, so a page may be short, or
 * empty, while there is more: `more` says so, and the cursor to go on from. */
int store_unscored(struct store *s, struct arena *a, const struct dataset *d, const struct unscored *q,
                   struct unscored_row **out, uint32_t *n, bool *more, int64_t cursor[2], struct err *e);

#endif
