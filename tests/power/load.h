/* load.h - what is done to a store before the power fails, and its content as
 * one number. A call that must work and does not ends the program. */
#ifndef POWER_LOAD_H
#define POWER_LOAD_H

#include "base/arena.h"
#include "store/store.h"

enum { LOAD_GROUPS = 48 };

struct load {
	struct store *w; /* the writer */
	struct err e;    /* of the last call that failed */
};

void load_must(struct load *l, int rc, const char *what);

/* Dataset "d"; again: nothing changes. A transaction of its own. */
void load_dataset(struct load *l);
/* The g-th group, g = 0 … LOAD_GROUPS - 1, in order: requests that are kept,
 * one that is undone; what is replaced, deleted, delivered to rounds. */
void load_group(struct load *l, struct arena *a, int g);

/* All that a reader can see. */
int content_hash(struct store *s, uint64_t *out, struct err *e);

/* Makes a database of schema version 1 with the first two groups in it, as
 * that version's program had it, with the VFS `vfs`. scratch: a folder that
 * does not exist. */
void old_make(struct load *l, const char *dir, const char *vfs, const char *scratch);

/* Removes the folder and a database in it. */
void remove_files(const char *folder);

#endif
