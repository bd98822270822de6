/* inside.h - what the service's files share; no other room includes it. */
#ifndef PREFD_SERVICE_INSIDE_H
#define PREFD_SERVICE_INSIDE_H

#include "base/queue.h"
#include "base/spool.h"
#include "service/service.h"
#include "store/dataset.h"

struct snapshots; /* snapshots.c: jobs, waiters, open files */
struct writer;
struct readers;

struct service {
	const struct conf *conf;
	struct loop *loop;
	struct writer *writer;
	struct readers *readers;
	struct known *known;
	struct spool_budget spools;
	struct snapshots *snapshots;
	struct tokens *tokens;
	char snap_dir[4096]; /* <data>/snapshots */
	unsigned ticks;      /* of one second, since the start */
	_Atomic int rescores; /* under way (rescore.c) */
	_Atomic bool probing; /* an empty write is on its way (probe.c) */
	struct backups *backups;
	struct scores *scores; /* score.c: rounds that engines score */
};

/* --- readers.c: read-only connections, as many as threads that read -------- */

struct readers;
struct readers *readers_new(const char *dir);
void readers_free(struct readers *r);
/* Lends a connection; give it back with reader_put on the same thread. */
int reader_get(struct service *s, struct store **out, struct err *e);
void reader_put(struct service *s, struct store *r);

/* --- known.c: datasets that rows are checked against. Any thread ------------- */

struct known *known_new(void);
void known_free(struct known *k);
/* As of the last change; its seq is not kept up. P_UNKNOWN_DATASET. */
int known_dataset(struct service *s, struct arena *a, struct str name, struct dataset *out, struct err *e);
/* A dataset was made, changed or deleted: after the commit, before the answer. */
void known_changed(struct service *s);

/* --- writer.c: the one thread that writes ----------------------------------- */

struct work {
	struct queue_node node;  /* node.weight: bytes this work stands for */
	struct pending *pending; /* NULL for the service's own work */
	/* On the writer's thread, in a savepoint. 0 keeps what it did and
	 * `out` is the answer (if the group commits); -1 undoes it. */
	int (*apply)(struct work *w, struct store *db, struct answer *out, struct err *e);
	/* On the writer's thread, once, when the outcome is durable or the work
	 * was refused or cancelled; frees the work. Called before the pending
	 * finishes; may set *keep to go on owning the taken pending itself
	 * (a request that now waits for a job). NULL: heap_free. */
	void (*settled)(struct work *w, bool committed, const struct answer *out, bool *keep);
	struct origin_key origin; /* key: memory that lives as long as the work */
	/* apply finds what could refuse it before it writes: no savepoint. Should
	 * it fail behind its first write after all, the group falls with it. */
	bool checks_first;
};

/* The key of a request, copied; origin may be NULL, or hold none. */
static inline void work_origin(struct work *w, struct arena *a, const struct origin_key *origin)
{
	if (origin == NULL || origin->key.p == NULL)
		return;
	w->origin = *origin;
	w->origin.key = arena_str(a, origin->key);
}

int writer_start(struct writer **w, const struct conf *conf, struct err *e);
/* Finishes what is queued, then ends the thread and closes the connection. */
void writer_stop(struct writer *w);
/* Takes a reference of the pending. When the queue is full the pending is
 * finished with P_UNAVAILABLE and the work is settled as not committed. */
void writer_submit(struct service *s, struct work *w);
bool writer_failed(struct writer *w);
/* Housekeeping, from the loop's tick: old answers go, deletions continue. */
void writer_tick(struct service *s);

/* --- snapshots.c -------------------------------------------------------------- */

int snapshots_start(struct service *s, struct err *e);
void snapshots_stop(struct service *s);
void snapshots_tick(struct service *s); /* deadlines of waiters; loop's thread */
/* Loop's thread, before the loop ends: builds stop between two steps, and
 * nobody waits for a snapshot any longer. */
void snapshots_drain(struct service *s);
/* Writer, inside a savepoint: revokes what holds the prompt (see prompts_delete).
 * What cannot be read is made anew after the commit, which decides. */
int snapshots_revoke_prompt(struct service *s, struct store *db, struct str dataset, struct str prompt, struct err *e);
/* Any thread, after the commit: builds of the dataset begin again, files that no
 * ready row uses are closed and unlinked. */
void snapshots_after_deletion(struct service *s, struct str dataset);

#endif
