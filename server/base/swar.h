/* swar.h - eight bytes looked at in one word.
 *
 * Each test gives a word with the top bit of a byte set where it holds. Bits
 * above the lowest one may be false (a borrow runs upward), the lowest never
 * is: so ask only for the first, unless the test says that it is exact. Little-endian, as everything here. */
#ifndef PREFD_BASE_SWAR_H
#define PREFD_BASE_SWAR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte must be the lowest");

#define SWAR_ALL(c) (UINT64_C(0x0101010101010101) * (uint8_t)(c))

static inline uint64_t swar_load(const char *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof x);
	return x;
}

/* Bytes below c (c <= 0x80). */
static inline uint64_t swar_below(uint64_t x, uint8_t c)
{
	return (x - SWAR_ALL(c)) & ~x & SWAR_ALL(0x80);
}

static inline uint64_t swar_equal(uint64_t x, char c)
{
	return swar_below(x ^ SWAR_ALL(c), 1);
}

static inline uint64_t swar_not_ascii(uint64_t x)
{
	return x & SWAR_ALL(0x80);
}

/* Bytes 10xxxxxx, the tails of UTF-8: exact in every byte. */
static inline uint64_t swar_tails(uint64_t x)
{
	return x & ~(x << 1) & SWAR_ALL(0x80);
}

/* The sum of the eight bytes. */
static inline uint64_t swar_sum(uint64_t x)
{
	const uint64_t even = UINT64_C(0x00FF00FF00FF00FF);

	x = (x & even) + (x >> 8 & even);
	return x * UINT64_C(0x0001000100010001) >> 48;
}

/* The place of the first byte found; found must not be 0. */
static inline size_t swar_first(uint64_t found)
{
	return (size_t)__builtin_ctzll(found) / 8;
}

/* The first quote or backslash at or behind p, or end: a step inside a string. */
static inline const char *swar_quote(const char *p, const char *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t x = swar_load(p);
		uint64_t found = swar_equal(x, '"') | swar_equal(x, '\\');

		if (found)
			return p + swar_first(found);
	}
	while (p < end && *p != '"' && *p != '\\')
		p++;
	return p;
}

#endif
