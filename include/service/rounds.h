/* rounds.h - DICE rounds over HTTP (arXiv 2406.09760).
 *
 * Everything that workers deliver is a fact; everything computed can be
 * computed again. Calls with a pending finish it, on any thread. */
#ifndef PREFD_SERVICE_ROUNDS_H
#define PREFD_SERVICE_ROUNDS_H

#include "base/split.h"
#include "base/zip.h"
#include "service/service.h"

enum {
	ROUND_RESPONSES_MAX = 1024, /* samples a prompt */
	LEASE_SECONDS_MAX = 86400,
	LEASE_PROMPTS_MAX = 1000,
	LEASE_PROMPTS_DEFAULT = 32,
};

/* POST /v1/datasets/{dataset}/rounds: 201; 200 when name and document are those
 * of one that is there; P_CONFLICT when only the name is. */
void rounds_create(struct service *s, struct str dataset, struct str body,
                   const struct origin_key *origin, struct pending *p);
int rounds_list(struct service *s, const struct access *who, struct str dataset, struct str after, uint32_t limit,
                struct answer *out, struct err *e);
int rounds_get(struct service *s, struct str round, struct answer *out, struct err *e);
void rounds_close(struct service *s, struct str round, const struct origin_key *origin, struct pending *p);

/* --- leases (service/leases.c) --------------------------------------------------- */

void leases_take(struct service *s, struct str round, struct str body,
                 const struct origin_key *origin, struct pending *p);
void leases_renew(struct service *s, struct str round, struct str lease,
                  const struct origin_key *origin, struct pending *p);
void leases_end(struct service *s, struct str round, struct str lease, struct pending *p);

/* --- rescoring (service/rescore.c) ------------------------------------------------- */

/* POST …/rescore: worked out in steps on the pool, stored through the writer. */
void rounds_rescore(struct service *s, struct str round, struct str body,
                    const struct origin_key *origin, struct pending *p);
struct rewards_query {
	struct str prompt; /* STR_NONE: all */
	int64_t rescoring; /* 0: the latest */
	struct str after;
	uint32_t limit;
};
int rounds_rewards(struct service *s, struct str round, const struct rewards_query *q,
                   struct answer *out, struct err *e);
/* POST …/publish: the snapshot of a rescoring's pairs and its replay. wait_s as
 * for snapshots. */
void rounds_publish(struct service *s, struct str round, struct str body, int wait_s,
                    const struct origin_key *origin, struct pending *p);

#endif
