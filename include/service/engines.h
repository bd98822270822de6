/* engines.h - serving engines that are asked for log-probabilities.
 *
 * An engine is configuration: it may be put anew and deleted at any time. A
 * round names engines by their ids and looks them up whenever its scoring
 * begins. Calls with a pending finish it, on any thread. */
#ifndef PREFD_SERVICE_ENGINES_H
#define PREFD_SERVICE_ENGINES_H

#include "service/service.h"

enum {
	ENGINE_IN_FLIGHT_MAX = 1024, /* requests */
	ENGINE_IN_FLIGHT_DEFAULT = 64,
	ENGINE_URL_BYTES_MAX = 1024,
	ENGINE_TOKENS_MAX = 1 << 20, /* of a prompt and its response */
};

/* PUT /v1/engines/{engine}: 201, or 200 when it was there; P_INVALID at /url
 * when its host is not among the setting engine_hosts. */
void engines_put(struct service *s, struct str id, struct str body, struct pending *p);
void engines_delete(struct service *s, struct str id, struct pending *p);
int engines_get(struct service *s, struct str id, struct answer *out, struct err *e);
int engines_list(struct service *s, struct str after, uint32_t limit, struct answer *out, struct err *e);

/* POST /v1/rounds/{round}/score: 202 with the round; its run goes on when it
 * was there. P_INVALID: the round names no engine; P_UNKNOWN_ID: one that is
 * gone; P_CONFLICT: the round is closed. */
void engines_score(struct service *s, struct str round, const struct origin_key *origin, struct pending *p);

#endif
