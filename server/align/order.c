#include "align/order.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/hash.h"

enum { RADIX_MIN = 32, LANES = 16 };

/* ceil(sqrt(n)), bit by bit: exact, where sqrt() of a 64-bit number is not. */
static uint64_t ceil_sqrt(uint64_t n)
{
	uint64_t root = 0, rest = n;

	for (uint64_t bit = UINT64_C(1) << 62; bit > 0; bit >>= 2) {
		if (rest >= root + bit) {
			rest -= root + bit;
			root = (root >> 1) + bit;
		} else {
			root >>= 1;
		}
	}
	return root + (rest > 0);
}

static uint64_t at_least(uint64_t x, uint64_t min)
{
	return x < min ? min : x;
}

static void take_keys(struct order *o, const uint8_t d[SHA512_BYTES])
{
	for (int i = 0; i < 8; i++) {
		o->k[i] = 0;
		for (int j = 0; j < 8; j++)
			o->k[i] |= (uint64_t)d[8 * i + j] << (8 * j);
	}
}

void order_init(struct order *o, struct str revision_hex, struct str augment,
                uint64_t seed, uint64_t epoch, uint64_t n, int shuffle)
{
	uint8_t d[SHA512_BYTES];
	struct buf text = BUF_INIT;

	buf_lit(&text, "prefd-order-1\n");
	buf_str(&text, revision_hex);
	buf_byte(&text, '\n');
	buf_str(&text, augment);
	buf_printf(&text, "\n%llu\n%llu\n", (unsigned long long)seed, (unsigned long long)epoch);
	sha512_of(text.p, text.n, d);
	buf_release(&text);
	take_keys(o, d);
	o->n = n;
	o->a = at_least(ceil_sqrt(n), RADIX_MIN);
	o->b = at_least(n / o->a + (n % o->a > 0), RADIX_MIN);
	o->shuffle = shuffle;
}

static inline uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* (x + F(k, y, m)) mod m. Both terms lie below m, so one subtraction does; by a
 * mask, because a branch would be foretold wrongly every other time. */
static inline uint64_t turn(uint64_t x, uint64_t k, uint64_t y, uint64_t m)
{
	x += (uint64_t)(((unsigned __int128)mix(y + k) * m) >> 64);
	return x - (m & -(uint64_t)(x >= m));
}

/* Steps of the network for n <= LANES numbers below a·b. Each step waits for the
 * one before it, but the numbers do not wait for each other: the processor
 * works on all of them at once. */
static void permute(const struct order *o, uint64_t *x, size_t n)
{
	uint64_t l[LANES], r[LANES];

	for (size_t j = 0; j < n; j++) {
		l[j] = x[j] / o->b;
		r[j] = x[j] % o->b;
	}
	for (int i = 0; i < 8; i += 2)
		for (size_t j = 0; j < n; j++) {
			l[j] = turn(l[j], o->k[i], r[j], o->a);
			r[j] = turn(r[j], o->k[i + 1], l[j], o->b);
		}
	for (size_t j = 0; j < n; j++)
		x[j] = l[j] * o->b + r[j];
}

static uint64_t permute_one(const struct order *o, uint64_t x)
{
	uint64_t l = x / o->b, r = x % o->b;

	for (int i = 0; i < 8; i += 2) {
		l = turn(l, o->k[i], r, o->a);
		r = turn(r, o->k[i + 1], l, o->b);
	}
	return l * o->b + r;
}

/* A walk from below n along a permutation of 0 … a·b−1 comes back below n. */
uint64_t order_at(const struct order *o, uint64_t p)
{
	if (!o->shuffle)
		return p;
	do
		p = permute_one(o, p);
	while (p >= o->n);
	return p;
}

static void walk(const struct order *o, uint64_t *x, size_t n)
{
	permute(o, x, n);
	for (size_t j = 0; j < n; j++)
		while (x[j] >= o->n)
			x[j] = permute_one(o, x[j]);
}

void order_run(const struct order *o, uint64_t *places, size_t n)
{
	if (!o->shuffle)
		return;
	for (; n > LANES; places += LANES, n -= LANES)
		walk(o, places, LANES);
	walk(o, places, n);
}

/* Under TAIL_SHORT: the i below batch_size with i·world_size + rank < left. */
static uint64_t short_count(uint64_t left, uint64_t batch_size, uint64_t rank, uint64_t world_size)
{
	uint64_t have = rank < left ? (left - rank - 1) / world_size + 1 : 0;

	return have < batch_size ? have : batch_size;
}

enum share_state share_of(struct share *s, uint64_t n, uint64_t offset, uint64_t batch_size,
                          uint64_t rank, uint64_t world_size, enum tail tail)
{
	uint64_t global = batch_size * world_size;
	uint64_t left;

	if (offset > n)
		return SHARE_BEYOND;
	left = n - offset;
	if (left == 0 || (tail == TAIL_DROP && left < global))
		return SHARE_END;
	s->count = tail == TAIL_SHORT ? short_count(left, batch_size, rank, world_size) : batch_size;
	s->next_offset = offset + (left < global ? left : global);
	s->first = offset + rank;
	s->step = world_size;
	s->n = n;
	return SHARE_SERVED;
}

uint64_t share_position(const struct share *s, uint64_t i)
{
	uint64_t p = s->first + i * s->step;

	return p < s->n ? p : p % s->n;
}
