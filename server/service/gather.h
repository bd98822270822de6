/* gather.h - prompts put by in order of arrival, taken out in another.
 *
 * The database holds texts in order of arrival, a snapshot's file wants its
 * prompts in order of their ids, and looking each text up costs more than all
 * the rest of a build. So a build reads the tables as they lie, puts every
 * prompt that has a pair into a side file, with all that compiling needs, and
 * takes them out again by their keys. Of disk that needs as much as the texts;
 * of memory nothing. First one thread puts, then one takes. */
#ifndef PREFD_SERVICE_GATHER_H
#define PREFD_SERVICE_GATHER_H

#include "pick.h"
#include "side.h"

struct gathered {
	struct side prompts; /* one record each */
	struct side places;  /* where: struct place, in order of keys */
	const struct place *place; /* once sealed */
	uint64_t n, taken;
	int64_t last; /* key */
};

int gather_open(struct gathered *g, const char *dir, struct err *e);
/* The messages and the texts of what the pairs use are there; model: whose
 * log-probabilities are wanted, STR_NONE: nobody's. Keys rise. */
int gather_put(struct gathered *g, const struct read_prompt *prompt, const struct picked *picked, uint32_t attributes,
               struct str model, struct err *e);
int gather_seal(struct gathered *g, struct err *e);
/* The prompt of that key as compile_prompt wants it, texts escaped: 1, 0: it is not there, -1. */
int gather_take(struct gathered *g, int64_t key, struct str model, struct arena *a, struct read_prompt *prompt,
                struct picked *picked, struct err *e);
/* Also of one that is closed. */
void gather_close(struct gathered *g);

#endif
