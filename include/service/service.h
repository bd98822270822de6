/* service.h - the three verbs' common ground: the writer, readers, jobs, limits.
 *
 * Opened by main.c on the loop's thread before http/, closed after it. */
#ifndef PREFD_SERVICE_SERVICE_H
#define PREFD_SERVICE_SERVICE_H

#include <stdbool.h>
#include "base/arena.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/loop.h"
#include "service/answer.h"

struct service;
struct access;
struct tokens;

/* Opens the store, starts the writer, sweeps leftovers, takes up unfinished
 * builds. conf and loop outlive the service. */
int service_open(struct service **s, const struct conf *conf, struct loop *loop, struct err *e);
/* Loop's thread, before the loop ends: jobs stop between two steps, requests
 * that wait for one are answered with what there is. */
void service_drain(struct service *s);
/* After the last request: finishes the queue, stops jobs between two steps. */
void service_close(struct service *s);
const struct conf *service_conf(const struct service *s);
struct tokens *service_tokens(struct service *s);
/* The dataset of a snapshot or a round. P_UNKNOWN_SNAPSHOT, P_UNKNOWN_ROUND,
 * with the words that every call has for them. */
int service_snapshot_owner(struct service *s, struct str id, struct arena *a, struct str *dataset, struct err *e);
int service_round_owner(struct service *s, struct str id, struct arena *a, struct str *dataset, struct err *e);
/* 0 when writes are possible; else the problem (the store failed, disk full). */
int service_ready(struct service *s, struct err *e);
/* Any thread: puts an empty write through the writer's queue, unless one is on
 * its way. The writer counts the group that it came in, done or failed. */
void service_probe(struct service *s);

/* Where a write comes from: the idempotency key (STR_NONE: none), and the
 * hash of method, path and unpacked body that it stands for. */
struct origin_key {
	struct str key;
	uint8_t hash[32];
};

/* --- datasets (service/datasets.c); writes finish `p` ------------------------ */

/* body: the document of PUT /v1/datasets/{dataset}; "" is {}. */
void datasets_put(struct service *s, struct str name, struct str body, struct pending *p);
void datasets_delete(struct service *s, struct str name, struct str confirm, struct pending *p);
void prompts_delete(struct service *s, struct str dataset, struct str prompt, struct pending *p);

/* --- browsing (service/browse.c); any thread, answered at once --------------- */

/* Lists show what `who` may see. */
int browse_datasets(struct service *s, const struct access *who, struct str after, uint32_t limit,
                    struct answer *out, struct err *e);
int browse_dataset(struct service *s, struct str name, struct answer *out, struct err *e);
int browse_prompts(struct service *s, struct str dataset, struct str after, struct str split,
                   uint32_t limit, struct answer *out, struct err *e);
int browse_prompt(struct service *s, struct str dataset, struct str prompt, bool ledger,
                  struct answer *out, struct err *e);
/* unscored_by is required: P_INVALID without it. after: an opaque cursor. */
struct unscored_query {
	struct str unscored_by, attribute, model, round, after;
	uint32_t limit;
};
int browse_unscored(struct service *s, struct str dataset, const struct unscored_query *q,
                    struct answer *out, struct err *e);
int browse_stats(struct service *s, struct str dataset, struct answer *out, struct err *e);

#endif
