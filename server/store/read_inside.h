/* read_inside.h - one reading call, shared by the files that do it. */
#ifndef PREFD_STORE_READ_INSIDE_H
#define PREFD_STORE_READ_INSIDE_H

#include "inside.h"
#include "store/read.h"

enum { MEMO_SLOTS = 64, ROUND_SLOTS = 8 };

struct reading {
	struct store *s;
	struct arena *a;
	int64_t seq;
	unsigned what;
	struct name_slot memo[MEMO_SLOTS]; /* names already copied into the arena */
	struct name_slot round[ROUND_SLOTS]; /* and rounds' ids */
};

/* STR_NONE for key 0. */
int reading_name(struct reading *r, int64_t key, struct str *name, struct err *e);
/* Both take responses in order of keys. */
int read_scores(struct reading *r, struct read_prompt *p, struct err *e);
int reading_logprobs(struct reading *r, struct read_prompt *p, struct err *e);
/* Takes responses in order of ids. */
int read_votes(struct reading *r, struct read_prompt *p, struct err *e);

#endif
