/* inside.h - what the store's files share; no other room includes it. */
#ifndef PREFD_STORE_INSIDE_H
#define PREFD_STORE_INSIDE_H

#include "base/buf.h"
#include "store/record.h"
#include "sqlite.h"
#include "store/store.h"
#include "sums.h"

/* Names as this connection last saw them: two direct-mapped caches, so their
 * size is fixed. A name that is rolled back must not stay (names_drop). */
enum { NAME_SLOTS = 1024 };

/* Series that are there, or that the group admitted: direct-mapped as well. */
/* Hashes of series, in a table of open addresses. */
struct series_seen {
	uint64_t *slot; /* 0: free */
	size_t slots, n;
};
enum { SERIES_SEEN_MAX = 1 << 16 }; /* before a group begins */

struct name_slot {
	int64_t key; /* 0: free */
	struct str name;
};

/* A dataset that the group writes to: read once, written at commit. */
struct state {
	int64_t key;
	struct str name;
	int64_t seq, clock;
	bool going;
	bool fresh; /* came in with the running savepoint */
	struct {
		int64_t seq, clock;
		bool going;
	} saved; /* as at the savepoint */
	int64_t stored_seq; /* as in the database */
	struct range *range;
	uint32_t ranges;
	bool ranges_known;
	int64_t series; /* of scores and votes, with those that the group admitted; 0: not counted yet */
	struct state *next;
};

struct store {
	sqlite3 *db;
	bool writer;
	bool failed;       /* a failed fsync is final */
	bool in_group, in_savepoint;
	bool deleting;     /* the group deletes texts for good */
	bool erasing;      /* a committed group did, and the log still has them */
	bool stepping;     /* the savepoint is a step: SQLite knows nothing of it */
	int64_t step_changes; /* rows changed by the connection before the step */
	bool reading;      /* between store_read_begin and store_read_end */
	int lock_fd;
	sqlite3_stmt *stmt[SQL_COUNT];

	struct name_slot by_name[NAME_SLOTS], by_key[NAME_SLOTS];
	bool names_new;    /* since the savepoint */

	struct state *states;
	struct round_known *rounds; /* that the group has to do with */
	struct arena rounds_arena;
	int64_t next_key, saved_next_key, stored_next_key;
	struct sums group, request; /* sums of the group and of the running savepoint */

	int64_t log_frames, log_done; /* of the WAL: written, of them checkpointed */
	struct series_seen series;    /* that are there, or that the group admitted */
	struct arena scratch;         /* of the running call */
	struct buf rows, more;        /* gathered rows of the running call */
};

/* --- tx.c ------------------------------------------------------------------------ */

/* Every call that writes asks first: a statement outside its group would
 * commit by itself. */
int tx_writing(struct store *s, struct err *e);
/* A read of several statements sees one moment. Inside a group both do nothing. */
int tx_read_begin(struct store *s, bool *begun, struct err *e);
void tx_read_end(struct store *s, bool begun);
int store_on_commit(void *store, sqlite3 *db, const char *schema, int frames);

/* --- schema.c ---------------------------------------------------------------------- */

int schema_open(struct store *s, struct err *e);

/* --- name.c ------------------------------------------------------------------------ */

/* key 0: absent. name_find gives -1 for a name that is nowhere, which equals no key. */
int name_find(struct store *s, struct str name, int64_t *key, struct err *e);
int name_intern(struct store *s, struct str name, int64_t *key, struct err *e);
/* A copy in the arena; STR_NONE for key 0. */
int name_text(struct store *s, struct arena *a, int64_t key, struct str *name, struct err *e);
void names_drop(struct store *s);

/* --- state.c ----------------------------------------------------------------------- */

/* P_UNKNOWN_DATASET. */
int state_get(struct store *s, struct str name, struct state **st, struct err *e);
/* The cached one, or NULL. */
struct state *state_by_key(struct store *s, int64_t key);
/* Its ranges have changed. */
void state_ranges_changed(struct store *s, int64_t key);
/* NULL in *range when none is declared. */
int state_range(struct store *s, struct state *st, int64_t attribute, const struct range **range, struct err *e);
int state_next_key(struct store *s, int64_t *key, struct err *e);
/* now, or as little later as makes it rise. */
int64_t state_arrival(struct state *st, int64_t now_us);
void states_save(struct store *s);
void states_restore(struct store *s);
int states_flush(struct store *s, struct err *e);
void states_drop(struct store *s);

/* --- text.c ------------------------------------------------------------------------ */

int text_put(struct store *s, struct str body, int64_t *key, struct err *e);
int text_get(struct store *s, struct arena *a, int64_t key, struct str *body, struct err *e);

/* --- score.c, vote.c: ledgers ------------------------------------------------------- */

struct score_key {
	int64_t prompt, response, attribute, judge;
};
struct score_value {
	double value;
	int status; /* enum score_status */
	int64_t at, seq;
};
/* a displaces b. */
bool score_before(const struct score_value *a, const struct score_value *b);
/* 1 found, 0 no value at all, -1. */
int score_current(struct store *s, const struct score_key *k, struct score_value *out, struct err *e);
/* n = +1, -1: the current value of a key comes into the sums, or leaves. */
void score_sum(struct store *s, int64_t dataset, const struct score_key *k, const struct score_value *v, int64_t n);
/* fresh: the response has no score of this key yet. *good: the key got its first good value. */
int score_put(struct store *s, struct state *st, int64_t prompt, int64_t response, const struct score *sc,
              bool fresh, int64_t now_us, bool *good, struct counts *counts, struct err *e);
/* The value against its attribute's declared range. */
int score_check(struct store *s, struct state *st, const struct score *sc, struct err *e);

/* --- series.c ---------------------------------------------------------------------- */

/* Before anything is written: P_INVALID at /judge when a score (or a vote:
 * attribute STR_NONE) would be the dataset's first of a judge and attribute,
 * and it has SERIES_MAX of them. */
int series_admit(struct store *s, struct state *st, struct str judge, struct str attribute, struct err *e);
/* What was admitted may be undone. */
void series_forget(struct store *s);
/* A group begins: what was seen may be forgotten when it is much. */
void series_begin(struct store *s);

struct vote_key {
	int64_t prompt, low, high, judge;
};
struct vote_value {
	int64_t chosen;
	double strength;
	int64_t at, seq;
};
/* smaller: the response with the smaller id. */
bool vote_before(const struct vote_value *a, const struct vote_value *b, int64_t smaller);
void vote_sum(struct store *s, int64_t dataset, const struct vote_key *k, const struct vote_value *v, int64_t n);
/* chosen, rejected: keys; the comparison gives ids, judge, strength, at. */
int vote_put(struct store *s, struct state *st, int64_t prompt, int64_t chosen, int64_t rejected,
             const struct comparison *c, int64_t now_us, struct counts *counts, struct err *e);
/* 1 found, 0 none, -1. */
int vote_current(struct store *s, const struct vote_key *k, int64_t smaller, struct vote_value *out, struct err *e);

/* --- prompt.c ------------------------------------------------------------------------ */

struct prompt_sum {
	int64_t responses;
	bool scored;
};
int prompt_sum_get(struct store *s, int64_t dataset, int64_t prompt, struct prompt_sum *out, struct err *e);
int prompt_sum_put(struct store *s, int64_t dataset, int64_t prompt, const struct prompt_sum *sum, struct err *e);
/* The prompt has a good score now. */
int prompt_scored(struct store *s, int64_t dataset, int64_t prompt, struct err *e);
/* 1 found, 0 not, -1. */
int prompt_find(struct store *s, int64_t dataset, struct str id, int64_t *prompt, struct err *e);
int response_find(struct store *s, int64_t dataset, struct str id, int64_t *prompt, int64_t *response, struct err *e);
/* Its version at seq. 1: q stands on the row of SQL_PROMPT_AT, theirs to close; 0 none, -1. */
int prompt_at(struct query *q, struct store *s, int64_t prompt, int64_t seq, struct err *e);

/* --- record.c -------------------------------------------------------------------------- */

int record_put(struct store *s, struct state *st, const struct record *r, enum on_conflict policy,
               int64_t now_us, struct counts *counts, struct err *e);

/* --- logprob.c --------------------------------------------------------------------------- */

/* The first of a model stays; created: this was it. Rounds that look at the
 * response count it. */
int logprob_put(struct store *s, struct state *st, int64_t prompt, int64_t response, const struct logprob *l,
                bool *created, struct err *e);

/* --- round.c ------------------------------------------------------------------------------ */

/* What the group knows of rounds may be undone. */
void rounds_forget(struct store *s);
/* The dataset goes: its rounds close. */
int rounds_close_dataset(struct store *s, int64_t dataset, struct err *e);

/* --- delete.c -------------------------------------------------------------------------- */

/* See store_prompt_delete. *left: rows that may still go in this slice. */
int prompt_sweep(struct store *s, int64_t dataset, int64_t prompt, int64_t *left, struct err *e);

#endif
