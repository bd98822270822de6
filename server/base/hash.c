/* Nettle uses the processor's own SHA instructions where there are any. */
#include "base/hash.h"

#include <nettle/memops.h>
#include <nettle/sha2.h>
#undef sha256_init /* Nettle's short name for nettle_sha256_init is ours */
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(struct sha256), "Nettle's state must fit");

static struct sha256_ctx *context(struct sha256 *h)
{
	return (struct sha256_ctx *)h->state;
}

void sha256_init(struct sha256 *h)
{
	nettle_sha256_init(context(h));
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
	nettle_sha256_update(context(h), n, p);
}

static void put_u64(uint8_t out[8], uint64_t v)
{
	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> (8 * i));
}

void sha256_field(struct sha256 *h, struct str s)
{
	uint8_t n[8];

	put_u64(n, s.n);
	sha256_add(h, n, sizeof n);
	sha256_add(h, s.p, s.n);
}

void sha256_end(struct sha256 *h, uint8_t out[SHA256_BYTES])
{
	nettle_sha256_digest(context(h), SHA256_BYTES, out);
}

void sha256_of(const void *p, size_t n, uint8_t out[SHA256_BYTES])
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, p, n);
	sha256_end(&h, out);
}

void sha512_of(const void *p, size_t n, uint8_t out[SHA512_BYTES])
{
	struct sha512_ctx h;

	nettle_sha512_init(&h);
	nettle_sha512_update(&h, n, p);
	nettle_sha512_digest(&h, SHA512_BYTES, out);
}

void hash_keyed(uint8_t out[SHA256_BYTES], const char *tag, const struct str *parts, size_t n)
{
	struct sha256 h;

	sha256_init(&h);
	sha256_add(&h, tag, strlen(tag));
	for (size_t i = 0; i < n; i++) {
		sha256_add(&h, "\n", 1);
		sha256_add(&h, parts[i].p, parts[i].n);
	}
	sha256_end(&h, out);
}

uint64_t hash_draw(const uint8_t h[SHA256_BYTES], uint64_t n)
{
	uint64_t w = 0;

	for (int i = 0; i < 8; i++)
		w |= (uint64_t)h[i] << (8 * i);
	return (uint64_t)(((unsigned __int128)w * n) >> 64);
}

uint64_t xxh3(const void *p, size_t n)
{
	return XXH3_64bits(p, n);
}

void hex_of(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

bool hash_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES])
{
	return memeql_sec(a, b, SHA256_BYTES) != 0;
}
