/* read_inside.h - one reading call, shared by the files that do it. */
#ifndef PREFD_STORE_READ_INSIDE_H
#define PREFD_STORE_READ_INSIDE_H

#include "inside.h"
#include "store/read.h"

enum { MEMO_SLOTS = 64, ROUND_SLOTS = 8 };

/* A table whose key begins with the prompt, read for prompts one after the
 * other: where the next one is near, its rows are stepped on to instead of
 * looked up. */
struct sweep {
	enum sql sql;   /* columns 0 and 1: prompt, seq; parameter: the least prompt */
	struct query q;
	int64_t prompt; /* of the row that q stands on; 0: on none */
	bool over;      /* there is no row behind */
};

struct reading {
	struct store *s;
	struct arena *a;
	int64_t seq;
	unsigned what;
	struct name_slot memo[MEMO_SLOTS]; /* names already copied into the arena */
	struct name_slot round[ROUND_SLOTS]; /* and rounds' ids */
	struct sweep prompts, responses, scores, votes, logprobs;
};

void reading_init(struct reading *r, struct store *s, struct arena *a, int64_t seq, unsigned what);
/* Closes the sweeps: ends every reading that was initialised, and stands
 * between two prompts whose keys do not rise. */
void reading_end(struct reading *r);
/* Whether w->q stands on the first, or the next, row of the prompt as of the
 * reading's number: 1, 0: there are no more, -1. */
int sweep_first(struct reading *r, struct sweep *w, int64_t prompt, struct err *e);
int sweep_next(struct reading *r, struct sweep *w, struct err *e);

/* STR_NONE for key 0. */
int reading_name(struct reading *r, int64_t key, struct str *name, struct err *e);
/* Both take responses in order of keys. */
int read_scores(struct reading *r, struct read_prompt *p, struct err *e);
int reading_logprobs(struct reading *r, struct read_prompt *p, struct err *e);
/* Takes responses in order of ids. */
int read_votes(struct reading *r, struct read_prompt *p, struct err *e);

#endif
