/* replaying.h - pairs of another snapshot among those of a round.
 *
 *      told of the round's prompts --> drawing --> giving
 *
 * The other snapshot is read from its file, whose pieces are escaped and
 * printed already. What is drawn is align/replay.h's; a replayed pair keeps its
 * answers and scores, gets goals of its own rank, and is plain if it was. One
 * thread at a time. */
#ifndef PREFD_SERVICE_REPLAYING_H
#define PREFD_SERVICE_REPLAYING_H

#include "compile.h"

struct replaying;

/* P_DAMAGED: the file of that revision is missing or damaged. r outlives it. */
int replaying_open(struct replaying **out, const struct recipe *r, const char *dir, struct err *e);
/* NULL is allowed. */
void replaying_free(struct replaying *x);

/* A prompt of the round that has a pair; in byte order of ids. */
void replaying_tell(struct replaying *x, struct str id, const uint8_t messages_hash[SHA256_BYTES]);
/* After the last one. Reads some of the file; 1: there is more, 0: it is drawn, -1. */
int replaying_draw(struct replaying *x, int64_t until_us, struct err *e);

/* Whether the next of the prompts told of was drawn; once for each, in order. */
bool replaying_takes(struct replaying *x);
/* Writes the replayed prompts before `id`, STR_NONE: all that are left. 1: the
 * time is over and there is more (never when an id is given), 0: done, -1. */
int replaying_put(struct replaying *x, struct compiler *c, struct str id, int64_t until_us, struct err *e);

struct replay_result {
	bool there;
	uint64_t wanted, taken, generated; /* of the replay; taken of the round's */
};
/* After the draw. */
struct replay_result replaying_result(const struct replaying *x);

#endif
