#include "align/replay.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* --- γ ------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A decimal as it is read: digits · 10^power. Zeros are held back until another
 * digit follows, so that digits never ends in one. */
struct decimal {
	uint64_t digits;
	int64_t power, zeros;
	bool too_long; /* more digits than fit */
};

#define DIGITS_END UINT64_C(1000000000000000000) /* 10^GAMMA_DECIMALS_MAX */

static void shift(struct decimal *d, int digit)
{
	if (d->digits >= DIGITS_END / 10)
		d->too_long = true;
	else
		d->digits = d->digits * 10 + (uint64_t)digit;
}

static void add_digit(struct decimal *d, char c)
{
	d->zeros++;
	if (c == '0')
		return;
	for (; d->zeros > 1 && d->digits > 0 && !d->too_long; d->zeros--)
		shift(d, 0);
	shift(d, c - '0');
	d->zeros = 0;
}

/* A run of digits, at least one. NULL when there is none. */
static const char *read_digits(struct decimal *d, const char *p, const char *end)
{
	if (p == end || !is_digit(*p))
		return NULL;
	for (; p < end && is_digit(*p); p++)
		add_digit(d, *p);
	return p;
}

static const char *read_exponent(struct decimal *d, const char *p, const char *end)
{
	bool minus = p < end && *p == '-';
	int64_t x = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end || !is_digit(*p))
		return NULL;
	for (; p < end && is_digit(*p); p++)
		x = x < 100 * 1000 ? x * 10 + (*p - '0') : x; /* kept from overflowing */
	d->power += minus ? -x : x;
	return p;
}

/* False unless the text is a number without a sign. */
static bool read_decimal(struct str text, struct decimal *d)
{
	const char *end = text.p + text.n, *p = read_digits(d, text.p, end), *point = p;

	if (p && p < end && *p == '.') {
		p = read_digits(d, p + 1, end);
		d->power -= p ? p - point - 1 : 0;
	}
	if (p && p < end && (*p == 'e' || *p == 'E'))
		p = read_exponent(d, p + 1, end);
	d->power += d->zeros;
	return p && p == end;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	while (b > 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

int gamma_read(struct str text, struct gamma *g, struct err *e)
{
	struct decimal d = {0};
	uint64_t common;

	if (!read_decimal(text, &d))
		return err_set(e, P_INVALID, "must be a number from 0 to 1");
	*g = (struct gamma){d.digits, 1};
	if (d.digits == 0)
		return 0;
	if (d.power > 0)
		return err_set(e, P_INVALID, "must lie between 0 and 1");
	if (d.too_long || d.power < -GAMMA_DECIMALS_MAX)
		return err_set(e, P_INVALID, "must have at most %d decimals", GAMMA_DECIMALS_MAX);
	for (; d.power < 0; d.power++)
		g->den *= 10;
	if (g->num > g->den)
		return err_set(e, P_INVALID, "must lie between 0 and 1");
	common = common_divisor(g->num, g->den);
	g->num /= common;
	g->den /= common;
	return 0;
}

/* --- how many -------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ⌊x·num/den⌋: the product of two 64-bit numbers has 128 bits. */
static uint64_t scaled(uint64_t x, uint64_t num, uint64_t den)
{
	return (uint64_t)((unsigned __int128)x * num / den);
}

struct replay_counts replay_counts(struct gamma g, uint64_t total, uint64_t generated)
{
	struct replay_counts c = {0, total};

	if (g.num == g.den)
		return c;
	c.generated = least(scaled(total, g.den - g.num, g.den), generated);
	c.offline = scaled(c.generated, g.num, g.den - g.num);
	return c;
}

/* --- which ------------------------------------------------------------------------ */

struct ticket {
	uint8_t key[SHA256_BYTES];
	uint32_t at;
};

static int by_key(const void *pa, const void *pb)
{
	const struct ticket *a = pa, *b = pb;
	int d = memcmp(a->key, b->key, SHA256_BYTES);

	return d ? d : (a->at > b->at) - (a->at < b->at);
}

static int by_place(const void *pa, const void *pb)
{
	uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

	return (a > b) - (a < b);
}

/* A ticket for each prompt of the pool, in order of keys. Equal messages have
 * equal keys: of them the first ticket stays. */
static size_t tickets(struct replay_pool pool, struct str seed, struct arena *a, struct ticket **out)
{
	struct ticket *t = ARENA_ARRAY(a, struct ticket, pool.n);
	char hex[2 * SHA256_BYTES + 1];
	struct str parts[2] = {seed, {hex, 2 * SHA256_BYTES}};
	size_t n = 0;

	for (size_t i = 0; i < pool.n; i++) {
		hex_of(pool.hash[i], SHA256_BYTES, hex);
		hash_keyed(t[i].key, "prefd-replay-1", parts, 2);
		t[i].at = (uint32_t)i;
	}
	if (pool.n > 1)
		qsort(t, pool.n, sizeof *t, by_key);
	for (size_t i = 0; i < pool.n; i++)
		if (n == 0 || memcmp(t[n - 1].key, t[i].key, SHA256_BYTES) != 0)
			t[n++] = t[i];
	*out = t;
	return n;
}

static struct replay_part part_of(const struct ticket *t, size_t n, struct arena *a)
{
	struct replay_part part = {ARENA_ARRAY(a, uint32_t, n), n};

	for (size_t i = 0; i < n; i++)
		part.at[i] = t[i].at;
	if (n > 1)
		qsort(part.at, n, sizeof *part.at, by_place);
	return part;
}

/* Takes from t[n] those whose key is among taken[m]; both are in order. */
static size_t without(struct ticket *t, size_t n, const struct ticket *taken, size_t m)
{
	size_t left = 0, j = 0;

	for (size_t i = 0; i < n; i++) {
		while (j < m && memcmp(taken[j].key, t[i].key, SHA256_BYTES) < 0)
			j++;
		if (j == m || memcmp(taken[j].key, t[i].key, SHA256_BYTES) != 0)
			t[left++] = t[i];
	}
	return left;
}

void replay_draw(const struct replay_rule *rule, struct replay_pool generated, struct replay_pool offline,
                 struct arena *a, struct replay_draw *out)
{
	struct ticket *gen, *off;
	char text[24];
	struct str seed = {text, 0};
	struct replay_counts c;
	size_t gens, offs;

	seed.n = (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)rule->seed);
	gens = tickets(generated, seed, a, &gen);
	offs = tickets(offline, seed, a, &off);
	c = replay_counts(rule->gamma, rule->total, gens);
	offs = without(off, offs, gen, c.generated);
	out->generated = part_of(gen, c.generated, a);
	out->offline = part_of(off, least(c.offline, offs), a);
	out->wanted = c.offline;
}
