/* lease.h - a worker's lease: taken, renewed at half its time, given back. */
#ifndef PREFD_CLI_LEASE_H
#define PREFD_CLI_LEASE_H

#include "call.h"

struct lease {
	struct call *call;
	const char *round;
	struct buf id;       /* with a NUL; empty: none is held */
	int64_t lasts_us;    /* the round's to say */
	int64_t renew_at_us; /* on the steady clock; 0: not at all */
};

/* Asks the round how long its leases last. 0; -1: it was said what is wrong. */
int lease_init(struct lease *l, struct call *call, const char *round);
void lease_release(struct lease *l);

enum lease_taken {
	LEASE_TAKEN,  /* its tasks are the answer's */
	LEASE_LATER,  /* nothing is to be handed out now: ask again after retry_s */
	LEASE_OVER,   /* nothing of the kind will come any more */
	LEASE_FAILED, /* it was said why */
};
enum lease_taken lease_take(struct lease *l, struct str wish, int64_t *retry_s);
/* When it is time to. A lease that ended is no error: what was worked on can be
 * delivered all the same. 0; -1: it was said what is wrong. */
int lease_keep(struct lease *l);
/* If one is held; whatever comes of it, for it runs out in the end. */
void lease_give_back(struct lease *l);

#endif
