/* Wide fixed-point integers of 64-bit words, the lowest first. The last bit of
 * a sum is worth 2^-1074 (the least double), that of a sum of squares 2^-2148;
 * so every double and every square is a whole number, and all sums are exact. */
#include "base/exact.h"

#include <math.h>

typedef unsigned __int128 u128;

enum {
	SUM_LOW = -1074,
	SQUARE_LOW = -2148,
	MANTISSA = 53,
	/* count * square and sum * sum, without loss */
	WIDE_WORDS = 2 * EXACT_SUM_WORDS + 1,
	PACK_COUNT_BYTES = 8,
};

_Static_assert((int)WIDE_WORDS > (int)EXACT_SQUARE_WORDS, "a product with the count must fit");

/* --- words -------------------------------------------------------------- */

/* w += m * 2^bit, or -=; the carry runs as far as it must. */
static void add_at(uint64_t *w, size_t words, unsigned bit, u128 m, bool minus)
{
	uint64_t low = (uint64_t)m, high = (uint64_t)(m >> 64), carry = 0;
	unsigned r = bit % 64;
	uint64_t part[3] = {low << r, high << r, 0};
	size_t first = bit / 64;

	if (r > 0) {
		part[1] |= low >> (64 - r);
		part[2] = high >> (64 - r);
	}
	for (size_t i = first; i < words && (i < first + 3 || carry); i++) {
		u128 term = (u128)(i < first + 3 ? part[i - first] : 0) + carry;
		u128 t = minus ? (u128)w[i] - term : (u128)w[i] + term;

		w[i] = (uint64_t)t;
		carry = (uint64_t)(t >> 64) & 1;
	}
}

static void add_words(uint64_t *w, const uint64_t *from, size_t words)
{
	uint64_t carry = 0;

	for (size_t i = 0; i < words; i++) {
		u128 t = (u128)w[i] + from[i] + carry;

		w[i] = (uint64_t)t;
		carry = (uint64_t)(t >> 64);
	}
}

static void negate(uint64_t *w, size_t words)
{
	uint64_t carry = 1;

	for (size_t i = 0; i < words; i++) {
		w[i] = ~w[i] + carry;
		carry &= w[i] == 0;
	}
}

static bool is_negative(const uint64_t *w, size_t words)
{
	return w[words - 1] >> 63;
}

static bool all_zero(const uint64_t *w, size_t words)
{
	for (size_t i = 0; i < words; i++)
		if (w[i])
			return false;
	return true;
}

/* The place of the highest bit set, or -1. */
static int top_bit(const uint64_t *w, size_t words)
{
	for (size_t i = words; i-- > 0;)
		if (w[i])
			return (int)(64 * i) + 63 - __builtin_clzll(w[i]);
	return -1;
}

/* The 64 bits from `bit` up. */
static uint64_t bits_at(const uint64_t *w, size_t words, int bit)
{
	size_t i = (size_t)bit / 64;
	unsigned r = (unsigned)bit % 64;
	uint64_t v = i < words ? w[i] >> r : 0;

	if (r > 0 && i + 1 < words)
		v |= w[i + 1] << (64 - r);
	return v;
}

static bool any_below(const uint64_t *w, int bit)
{
	return !all_zero(w, (size_t)bit / 64) || (w[bit / 64] & ((UINT64_C(1) << (bit % 64)) - 1));
}

/* w * 2^low to the nearest double, ties to even; `rest`: a bit more than w. */
static double round_words(const uint64_t *w, size_t words, int low, bool rest)
{
	int top = top_bit(w, words), cut = top - (MANTISSA - 1);
	uint64_t m;

	/* The last bit of a subnormal stands at 2^-1074. */
	if (cut < SUM_LOW - low)
		cut = SUM_LOW - low;
	if (top < 0)
		return 0;
	m = bits_at(w, words, cut) & ((UINT64_C(1) << MANTISSA) - 1);
	if (cut > 0 && (bits_at(w, words, cut - 1) & 1))
		m += rest || any_below(w, cut - 1) || (m & 1);
	return ldexp((double)m, cut + low);
}

/* --- terms -------------------------------------------------------------- */

void exact_add(struct exact *s, double x, int sign)
{
	uint64_t raw, m;
	unsigned exponent;

	memcpy(&raw, &x, sizeof raw);
	m = raw & ((UINT64_C(1) << (MANTISSA - 1)) - 1);
	exponent = (raw >> (MANTISSA - 1)) & 0x7FF;
	if (exponent > 0) {
		m |= UINT64_C(1) << (MANTISSA - 1);
		exponent--; /* subnormals share the least exponent */
	}
	s->count += sign;
	if (m == 0)
		return;
	add_at(s->sum, EXACT_SUM_WORDS, exponent, m, (sign < 0) != (raw >> 63));
	add_at(s->square, EXACT_SQUARE_WORDS, 2 * exponent, (u128)m * m, sign < 0);
}

void exact_merge(struct exact *into, const struct exact *from)
{
	into->count += from->count;
	add_words(into->sum, from->sum, EXACT_SUM_WORDS);
	add_words(into->square, from->square, EXACT_SQUARE_WORDS);
}

bool exact_is_zero(const struct exact *s)
{
	return s->count == 0 && all_zero(s->sum, EXACT_SUM_WORDS) &&
	       all_zero(s->square, EXACT_SQUARE_WORDS);
}

/* --- results ------------------------------------------------------------ */

/* |Σx| into out; true where the sum is negative. */
static bool sum_size(const struct exact *s, uint64_t out[EXACT_SUM_WORDS])
{
	bool minus = is_negative(s->sum, EXACT_SUM_WORDS);

	memcpy(out, s->sum, sizeof s->sum);
	if (minus)
		negate(out, EXACT_SUM_WORDS);
	return minus;
}

double exact_sum(const struct exact *s)
{
	uint64_t w[EXACT_SUM_WORDS];
	bool minus = sum_size(s, w);
	double v = s->count == 0 ? 0 : round_words(w, EXACT_SUM_WORDS, SUM_LOW, false);

	return minus ? -v : v;
}

double exact_mean(const struct exact *s)
{
	/* One word below the sum takes the fraction's first 64 bits. */
	uint64_t w[EXACT_SUM_WORDS + 1] = {0}, n = (uint64_t)s->count, left = 0;
	bool minus = sum_size(s, w + 1);
	double v;

	if (s->count <= 0)
		return 0;
	for (size_t i = EXACT_SUM_WORDS + 1; i-- > 0;) {
		u128 t = (u128)left << 64 | w[i];

		w[i] = (uint64_t)(t / n);
		left = (uint64_t)(t % n);
	}
	v = round_words(w, EXACT_SUM_WORDS + 1, SUM_LOW - 64, left > 0);
	return minus && v > 0 ? -v : v;
}

/* n·Σx² − (Σx)², an integer in units of 2^-2148. */
static void spread(const struct exact *s, uint64_t d[WIDE_WORDS])
{
	uint64_t w[EXACT_SUM_WORDS];

	memset(d, 0, WIDE_WORDS * sizeof *d);
	sum_size(s, w);
	for (unsigned i = 0; i < EXACT_SQUARE_WORDS; i++)
		if (s->square[i])
			add_at(d, WIDE_WORDS, 64 * i, (u128)s->square[i] * (uint64_t)s->count, false);
	for (unsigned i = 0; i < EXACT_SUM_WORDS; i++)
		for (unsigned j = 0; w[i] && j < EXACT_SUM_WORDS; j++)
			if (w[j])
				add_at(d, WIDE_WORDS, 64 * (i + j), (u128)w[i] * w[j], true);
}

/* std = sqrt(n·Σx² − (Σx)²) / n: the difference is taken exactly, so that
 * nothing cancels; only root and quotient round, in 113 bits. */
double exact_std(const struct exact *s)
{
	uint64_t d[WIDE_WORDS];
	__float128 m, root;
	int cut;

	if (s->count <= 0)
		return 0;
	spread(s, d);
	cut = top_bit(d, WIDE_WORDS) - 126;
	/* Negative only where terms were taken back that had not been added. */
	if (cut == -127 || is_negative(d, WIDE_WORDS))
		return 0;
	cut = cut < 0 ? 0 : cut + (cut & 1); /* even, to be halved by the root */
	m = (__float128)((u128)bits_at(d, WIDE_WORDS, cut + 64) << 64 | bits_at(d, WIDE_WORDS, cut));
	root = sqrt((double)m);
	root = (root + m / root) / 2; /* one step of Newton doubles the digits */
	return ldexp((double)(root / s->count), cut / 2 + SUM_LOW);
}

_Static_assert(SQUARE_LOW == 2 * SUM_LOW, "the root halves the unit");

/* --- for the store ------------------------------------------------------ */

static void pack_word(struct buf *b, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		buf_byte(b, (char)(v >> (8 * i)));
}

static uint64_t unpack_word(const char *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return v;
}

/* Two bytes, the first word kept and the number of words, then these. Words of
 * zeros below go, and words above that only repeat the sign. */
static void pack_words(struct buf *b, const uint64_t *w, size_t words)
{
	size_t first = 0, end = words;

	while (first < words && w[first] == 0)
		first++;
	while (end > first + 1 && w[end - 1] == (is_negative(w, end - 1) ? UINT64_MAX : 0))
		end--;
	buf_byte(b, (char)(first < words ? first : 0));
	buf_byte(b, (char)(end - first));
	for (size_t i = first; i < end; i++)
		pack_word(b, w[i]);
}

static int unpack_words(uint64_t *w, size_t words, struct str *p)
{
	size_t first, n;

	if (p->n < 2)
		return -1;
	first = (unsigned char)p->p[0];
	n = (unsigned char)p->p[1];
	if (first + n > words || p->n < 2 + 8 * n)
		return -1;
	memset(w, 0, words * sizeof *w);
	for (size_t i = 0; i < n; i++)
		w[first + i] = unpack_word(p->p + 2 + 8 * i);
	if (n > 0 && is_negative(w, first + n))
		memset(w + first + n, 0xFF, (words - first - n) * sizeof *w);
	p->p += 2 + 8 * n;
	p->n -= 2 + 8 * n;
	return 0;
}

void exact_pack(struct buf *b, const struct exact *s)
{
	pack_word(b, (uint64_t)s->count);
	pack_words(b, s->sum, EXACT_SUM_WORDS);
	pack_words(b, s->square, EXACT_SQUARE_WORDS);
}

int exact_unpack(struct exact *s, struct str packed)
{
	if (packed.n < PACK_COUNT_BYTES)
		return -1;
	s->count = (int64_t)unpack_word(packed.p);
	packed.p += PACK_COUNT_BYTES;
	packed.n -= PACK_COUNT_BYTES;
	if (unpack_words(s->sum, EXACT_SUM_WORDS, &packed) < 0 ||
	    unpack_words(s->square, EXACT_SQUARE_WORDS, &packed) < 0)
		return -1;
	return packed.n == 0 ? 0 : -1;
}
