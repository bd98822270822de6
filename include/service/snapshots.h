/* snapshots.h - snapshots: made, watched, served.
 *
 * Making one is a write (the row, its pinned number, its closed recipe) and
 * then a job (the file). Serving reads a mapped file and nothing else: no SQL,
 * no allocation in proportion to the batch beyond the answer itself. */
#ifndef PREFD_SERVICE_SNAPSHOTS_H
#define PREFD_SERVICE_SNAPSHOTS_H

#include "base/zip.h"
#include "service/service.h"

/* `all` makes n(n - 1)/2 pairs of n responses: at most so many for one prompt,
 * else the snapshot fails with P_INVALID. */
enum { PAIRS_PER_PROMPT_MAX = 1 << 20 };

/* POST /v1/datasets/{dataset}/snapshots. wait_s 0 answers 202 at once; else
 * 201 when ready within that time (0 … 60), the problem when failed, 202 else. */
void snapshots_create(struct service *s, struct str dataset, struct str body, int wait_s,
                      const struct origin_key *origin, struct pending *p);
/* GET /v1/snapshots/{id}; wait_s: until it is no longer building. */
void snapshots_get(struct service *s, struct str id, int wait_s, struct pending *p);
int snapshots_list(struct service *s, const struct access *who, struct str dataset, struct str after, uint32_t limit,
                   struct answer *out, struct err *e);
void snapshots_delete(struct service *s, struct str id, struct pending *p);
/* Finishes p with status 0 (ask again) when the snapshot is no longer building
 * or wait_s is over. */
void snapshots_wait(struct service *s, struct str id, int wait_s, struct pending *p);

/* Overrides of the snapshot's own view; STR_NONE: its own. */
struct view_query {
	struct str augment, placement, format;
};

enum batch_tail { BATCH_TAIL_DEFAULT, BATCH_TAIL_SHORT, BATCH_TAIL_DROP, BATCH_TAIL_PAD };

struct batch_query {
	struct str snapshot;
	struct view_query view;
	uint64_t seed, epoch, offset;
	uint32_t batch_size;
	uint64_t rank, world_size;
	enum batch_tail tail;
	bool shuffle;
	bool ndjson;                /* examples alone, one a line */
	enum coding coding;         /* of the answer's body; the body comes packed */
	struct str if_none_match;   /* STR_NONE: none */
	bool for_one;               /* asked with a token: caches on the way may not share it */
};

/* 200, 204 at the epoch's end, 304; P_BUILDING (the caller may wait), P_VIEW,
 * P_INVALID, P_GONE, P_DAMAGED (rebuilt meanwhile). */
int snapshots_batch(struct service *s, const struct batch_query *q, struct answer *out, struct err *e);

/* The view's examples as NDJSON in stored order, in pieces. */
struct export;
int snapshots_export(struct service *s, struct str snapshot, const struct view_query *view,
                     struct export **x, struct answer *head, struct err *e);
/* Appends the next pieces (some 64 KiB) to out. 1: there is more, 0: the end,
 * -1: the file is damaged; the connection must then break, not end. */
int export_next(struct export *x, struct buf *out, struct err *e);
void export_close(struct export *x);

/* Shapes of the Hugging Face dataset viewer. length <= 100. */
int snapshots_rows(struct service *s, struct str snapshot, const struct view_query *view,
                   uint64_t offset, uint32_t length, struct answer *out, struct err *e);
int snapshots_statistics(struct service *s, struct str snapshot, struct answer *out, struct err *e);

#endif
