/* rates.h - what a token may ask for in a second. Any thread.
 *
 * Two buckets for each token that has limits: requests, and bytes of bodies and
 * answers. Each holds one second's worth, fills up evenly and starts full.
 * Bytes are charged when they have passed: below zero the next request is
 * refused, so a long answer is followed by a pause and never cut. In memory. */
#ifndef PREFD_HTTP_RATES_H
#define PREFD_HTTP_RATES_H

#include <stdint.h>
#include "service/tokens.h"

struct rates;

/* As a request found it, for its answer's headers. */
struct rate_left {
	int64_t requests, bytes; /* that are left in this second */
	int64_t requests_s, bytes_s; /* seconds until more may be asked */
};

struct rates *rates_new(void);
void rates_free(struct rates *r);
/* Takes one request. P_TOO_MANY; *retry_s is then when to come again. A token
 * without limits always passes. now_us: of clock_steady_us. */
int rates_enter(struct rates *r, const struct token *t, int64_t now_us, struct rate_left *left, int *retry_s,
                struct err *e);
void rates_charge(struct rates *r, const struct token *t, uint64_t bytes, int64_t now_us);

#endif
