/* order.h - the order of an epoch, and one rank's share of a batch.
 *
 * Position p of an epoch over n examples holds example order_at(p): a
 * mixed-radix Feistel network with cycle walking, keyed by
 *   SHA-512("prefd-order-1\n" revision "\n" augment "\n" seed "\n" epoch "\n").
 * It is the same on every machine and in every release of version 1 of the
 * contract; golden values in tests/unit/test_order.c hold it. Pure. */
#ifndef PREFD_ALIGN_ORDER_H
#define PREFD_ALIGN_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

struct order {
	uint64_t n;     /* examples; 0 is allowed and has no positions */
	uint64_t a, b;  /* radices, a·b >= n */
	uint64_t k[8];
	int shuffle;    /* 0: position p holds example p */
};

void order_init(struct order *o, struct str revision_hex, struct str augment,
                uint64_t seed, uint64_t epoch, uint64_t n, int shuffle);
/* p < n. */
uint64_t order_at(const struct order *o, uint64_t p);
/* Puts order_at of each of n places, each below o->n, in its stead: faster than one by one. */
void order_run(const struct order *o, uint64_t *places, size_t n);

enum tail { TAIL_SHORT, TAIL_DROP, TAIL_PAD };

/* What one rank gets of the global batch at `offset`. */
struct share {
	uint64_t count;       /* examples for this rank; may be 0 under TAIL_SHORT */
	uint64_t next_offset; /* never above n */
	uint64_t first;       /* position of its first example, before wrapping */
	uint64_t step;        /* world_size */
	uint64_t n;
};

enum share_state { SHARE_SERVED, SHARE_END, SHARE_BEYOND };

/* rank < world_size <= 2^32, 1 <= batch_size <= 65536, n <= 2^63. SHARE_END:
 * the epoch is over (204): at its end, or, under TAIL_DROP, wherever no full
 * global batch is left.
 * SHARE_BEYOND: offset > n (422). n = 0 is SHARE_END at offset 0. */
enum share_state share_of(struct share *s, uint64_t n, uint64_t offset, uint64_t batch_size,
                          uint64_t rank, uint64_t world_size, enum tail tail);
/* Position of the i-th example of the share, i < count: first + i·step,
 * wrapped to the epoch's beginning under TAIL_PAD. */
uint64_t share_position(const struct share *s, uint64_t i);

#endif
