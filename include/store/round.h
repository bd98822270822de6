/* round.h - rounds: what was asked of workers, and what they delivered.
 *
 * A round fixes a list of prompts when it is made. Workers lease tasks and
 * deliver samples and log-probabilities; both are facts: the first delivery
 * stays, a later one changes nothing, however late it comes. A lease only says
 * who is expected to deliver and until when; its end is a comparison at the
 * next lease call, not a timer. What a round makes of the facts (rewards,
 * pairs) is derived and stored nowhere: a rescoring stores its parameters, the
 * sequence number that it pinned, the α it found and a summary.
 *
 * Which response a round looks at:
 *   sample   those that were delivered to it, K a prompt
 *   dataset  those that its prompts had at the number it pinned when it was made
 *
 * It looks at them as they were delivered, or stood at that number, and at its
 * prompts likewise: what replaces a text in the dataset later, or fills in a
 * finish reason, changes nothing here.
 *
 * Counters per prompt (samples there, valid ones, log-probabilities there) are
 * kept at delivery, in the same transaction, so progress costs a sum over the
 * round's prompts. */
#ifndef PREFD_STORE_ROUND_H
#define PREFD_STORE_ROUND_H

#include "store/read.h"
#include "store/row.h"

enum round_state { ROUND_OPEN, ROUND_CLOSED };
enum round_mode { ROUND_SAMPLE, ROUND_DATASET };
/* Kinds of work; the last two are also the places of the models. */
enum round_work { WORK_SAMPLE, WORK_POLICY, WORK_REFERENCE, WORK_KINDS };

struct round_row {
	int64_t key;
	struct str id;
	struct str name;     /* STR_NONE when the client gave none */
	struct str dataset;  /* its name */
	int64_t dataset_key;
	enum round_state state;
	enum round_mode mode;
	struct str posted;   /* as posted, canonical JSON */
	struct str spec;     /* resolved, canonical JSON */
	struct str policy, reference; /* models */
	struct str previous; /* STR_NONE: the first of its chain */
	uint32_t per_prompt; /* K; 0 in dataset mode */
	int64_t lease_us;    /* how long a lease lasts */
	/* What a sample must be to be scored; the same as the spec's filters. */
	const struct str *exclude_finish_reason;
	uint32_t excludes;
	int64_t min_characters, max_characters; /* -1: no limit */
	int64_t seq;         /* pinned when it was made */
	int64_t created_at;
};

/* Progress: what is wanted and what is there; all is done when the two are
 * equal. Log-probabilities are wanted of every sample, delivered or not, that
 * the filters did not drop. Over stored responses only the valid ones count. */
struct round_progress {
	int64_t prompts;
	int64_t responses_wanted, responses_there;
	int64_t logprobs_wanted[2], logprobs_there[2]; /* policy, reference */
	int64_t leases; /* alive at now_us */
};

/* P_UNKNOWN_ROUND. */
int store_round_get(struct store *s, struct arena *a, struct str id, struct round_row *out, struct err *e);
/* In byte order of ids, after `after`; dataset_key 0: all. */
int store_round_list(struct store *s, struct arena *a, int64_t dataset_key, struct str after, uint32_t limit,
                     struct round_row **out, uint32_t *n, struct err *e);
int store_round_progress(struct store *s, const struct round_row *r, int64_t now_us,
                         struct round_progress *out, struct err *e);

/* Writer, inside a savepoint. Pins the dataset's number (row->seq is set) and
 * fixes the prompts: all of `split` (STR_NONE: of any split), or, with limit
 * >= 0, those whose SHA-256("prefd-round-1\n" seed "\n" hex(messages hash)) is
 * smallest. In dataset mode counts their valid responses and the
 * log-probabilities that are there already. P_CONFLICT if the id was ever
 * used. prompts: how many they are. */
int store_round_insert(struct store *s, struct round_row *row, struct str split, int64_t limit, uint64_t seed,
                       int64_t *prompts, struct err *e);
/* Writer: open → closed; every lease of it ends. */
int store_round_close(struct store *s, struct str id, struct err *e);

/* --- leases; writer, inside a savepoint ---------------------------------------- */

struct lease {
	struct str id;
	struct str round;
	enum round_work kind;
	struct str worker;
	int64_t until; /* microseconds since 1970 */
	bool ended;    /* given back, or the round was closed */
};

/* One prompt's tasks, which go out together. */
struct lease_task {
	int64_t prompt; /* key */
	struct str prompt_id, messages;
	struct str prompt_token_ids; /* JSON array, or STR_NONE */
	uint32_t *index; /* WORK_SAMPLE: samples that are missing */
	uint32_t indices;
	struct lease_response {
		struct str id, text;
		struct str token_ids; /* JSON array, or STR_NONE */
	} *response; /* else: valid responses without that model's log-probability */
	uint32_t responses;
};

enum lease_found {
	LEASE_TASKS,   /* here they are */
	LEASE_NOT_NOW, /* others hold them, or samples are still to come */
	LEASE_NO_MORE, /* nothing of this kind will come any more */
};

/* Takes up to `limit` prompts that have work of this kind and no live lease of
 * it; fewer when their tasks print long (8 MiB), and of the first prompt, if it
 * is longer by itself, only a part. Score work of a prompt is there once its K
 * samples are. lease->id is given by the caller and never used again
 * (P_CONFLICT); it is stored only with LEASE_TASKS. P_GONE: the round is closed. */
int store_lease_take(struct store *s, struct arena *a, const struct round_row *r, const struct lease *lease,
                     uint32_t limit, int64_t now_us, enum lease_found *found,
                     struct lease_task **tasks, uint32_t *n, struct err *e);
/* P_UNKNOWN_ROUND, P_UNKNOWN_LEASE; P_GONE when it ended, ran out, or its round is closed. */
int store_lease_renew(struct store *s, struct str round, struct str lease, int64_t until, int64_t now_us, struct err *e);
/* Gives it back; what it held may go out again at once. Twice is once. */
int store_lease_end(struct store *s, struct str round, struct str lease, struct err *e);

/* --- deliveries; writer, inside a savepoint -------------------------------------- */

struct delivery_counts {
	uint64_t responses_created, responses_unchanged;
	uint64_t logprobs_created, logprobs_kept;
};

/* The sample becomes a response of the dataset, its id the first 32 hex digits
 * of SHA-256("prefd-sample-1\n" round id "\n" prompt id "\n" index), its model
 * the policy, its round this one. P_UNKNOWN_ID: a prompt that is not of the
 * round; P_INVALID: an index not below K, another model, or a round over
 * stored responses, or a prompt with all the responses it may have; P_CONFLICT:
 * the round is closed, or another response has the id. Of a delivery that was
 * there only the log-probabilities are taken, and only when its text is the same. */
int store_sample_put(struct store *s, struct str round, const struct sample *x, int64_t now_us,
                     struct delivery_counts *counts, struct err *e);
/* P_UNKNOWN_ID: a response that is not of the round; P_INVALID: another model;
 * P_CONFLICT: the round is closed. */
int store_logprob_put(struct store *s, struct str round, struct str response, const struct logprob *l,
                      struct delivery_counts *counts, struct err *e);

/* --- what rescoring reads ---------------------------------------------------------- */

struct round_response {
	int64_t key, text_key;
	struct str id;
	uint32_t index; /* sample mode; else 0 */
	uint8_t text_hash[32];
	uint32_t characters;
	int64_t tokens;
	struct str finish_reason;
	bool scored[2];      /* policy, reference */
	double logprob[2];
	int64_t counted[2];  /* tokens delivered with it; -1: not said */
};

struct round_prompt {
	int64_t key;
	struct str id;
	uint8_t messages_hash[32];
	struct str messages;             /* with READ_MESSAGES */
	struct round_response *response; /* in byte order of ids (dataset) or of indexes (sample) */
	uint32_t responses;
};

/* The round's prompts in byte order of ids, after `after`, as the facts stood
 * at seq; limit <= PAGE_MAX. In dataset mode only responses that were there at
 * the round's own number. what: READ_MESSAGES or 0. Prompts that were deleted
 * are not there. */
int store_round_page(struct store *s, struct arena *a, const struct round_row *r, struct str after,
                     uint32_t limit, int64_t seq, unsigned what,
                     struct round_prompt **out, uint32_t *n, struct err *e);

/* --- rescorings --------------------------------------------------------------------- */

struct rescoring_row {
	int64_t number;     /* from 1, per round */
	int64_t seq;        /* the facts it looks at */
	struct str params;  /* canonical JSON: beta, alpha as asked, length, min_responses */
	double alpha, beta; /* as they hold */
	struct str result;  /* JSON members of the answer: prompts, pairs, skipped, length_gap, rewards */
	int64_t created_at;
};

/* Writer: sets row->number. P_UNKNOWN_ROUND. */
int store_rescoring_insert(struct store *s, struct str round, struct rescoring_row *row, struct err *e);
/* number 0: the latest. P_UNKNOWN_RESCORING. */
int store_rescoring_get(struct store *s, struct arena *a, struct str round, int64_t number,
                        struct rescoring_row *out, struct err *e);
/* In order of numbers; the last PAGE_MAX of them. */
int store_rescoring_list(struct store *s, struct arena *a, struct str round,
                         struct rescoring_row **out, uint32_t *n, struct err *e);

#endif
