/* hash.h - the hashes prefd uses (Nettle, xxHash).
 *
 * SHA-256 names content and makes keyed choices, frozen by golden values;
 * SHA-512 keys the order of an epoch; XXH3-64 guards blocks of a snapshot
 * file against bit rot and is never a name. Pure; any thread. */
#ifndef PREFD_BASE_HASH_H
#define PREFD_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

enum { SHA256_BYTES = 32, SHA512_BYTES = 64 };

/* Nettle's own state, which hash.c alone looks into. */
struct sha256 {
	uint64_t state[14];
};

void sha256_init(struct sha256 *h);
void sha256_add(struct sha256 *h, const void *p, size_t n);
/* A length in front keeps neighbouring fields apart: u64 little-endian, then the bytes. */
void sha256_field(struct sha256 *h, struct str s);
void sha256_end(struct sha256 *h, uint8_t out[SHA256_BYTES]);
void sha256_of(const void *p, size_t n, uint8_t out[SHA256_BYTES]);
void sha512_of(const void *p, size_t n, uint8_t out[SHA512_BYTES]);

/* SHA-256 of tag, then each part, joined by newlines (no newline at the end).
 * A part that could hold a newline goes last or goes in as hex. */
void hash_keyed(uint8_t out[SHA256_BYTES], const char *tag, const struct str *parts, size_t n);
/* (first 8 bytes, little-endian, times n) >> 64: a draw among 0 … n-1. */
uint64_t hash_draw(const uint8_t h[SHA256_BYTES], uint64_t n);

uint64_t xxh3(const void *p, size_t n);

/* Takes the same time wherever they differ: for hashes of secrets. */
bool hash_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES]);

/* Lower-case hex; out holds 2n+1 bytes. */
void hex_of(const uint8_t *p, size_t n, char *out);

#endif
