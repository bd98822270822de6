#include <strings.h>

#include "base/zip.h"

static bool same_word(struct str a, struct str b)
{
	return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

enum coding coding_of(struct str name)
{
	if (name.n == 0 || same_word(name, STR("identity")))
		return CODING_IDENTITY;
	if (same_word(name, STR("gzip")) || same_word(name, STR("x-gzip")))
		return CODING_GZIP;
	return same_word(name, STR("zstd")) ? CODING_ZSTD : CODING_UNKNOWN;
}

const char *coding_name(enum coding c)
{
	static const char *const names[] = {"identity", "gzip", "zstd", "unknown"};

	return names[c];
}

enum coding coding_sniff(const void *p, size_t n)
{
	static const unsigned char gzip[] = {0x1F, 0x8B}, zstd[] = {0x28, 0xB5, 0x2F, 0xFD};
	static const unsigned char skippable[] = {0x2A, 0x4D, 0x18}; /* behind 0x50 … 0x5F */
	const unsigned char *b = p;

	if (n < 4)
		return CODING_IDENTITY;
	if (memcmp(b, gzip, sizeof gzip) == 0)
		return CODING_GZIP;
	if (memcmp(b, zstd, sizeof zstd) == 0)
		return CODING_ZSTD;
	return (b[0] & 0xF0) == 0x50 && memcmp(b + 1, skippable, sizeof skippable) == 0 ? CODING_ZSTD : CODING_IDENTITY;
}

/* --- Accept-Encoding (RFC 9110, 12.5.3) ----------------------------------------------
 *
 *   element = coding [ ";" "q=" ( 0[.d{0,3}] | 1[.0{0,3}] ) ], blanks around any part
 *
 * An element that is not written so is passed over: no answer fails for it. */

/* Thousandths; -1 when it is no q-value. */
static int q_of(struct str weight)
{
	int q, unit = 100;

	if (weight.n < 3 || strncasecmp(weight.p, "q=", 2) != 0)
		return -1;
	weight.p += 2;
	weight.n -= 2;
	if ((weight.p[0] != '0' && weight.p[0] != '1') || weight.n > 5 || (weight.n > 1 && weight.p[1] != '.'))
		return -1;
	q = 1000 * (weight.p[0] - '0');
	for (size_t i = 2; i < weight.n; i++, unit /= 10) {
		if (weight.p[i] < '0' || weight.p[i] > '9')
			return -1;
		q += unit * (weight.p[i] - '0');
	}
	return q <= 1000 ? q : -1;
}

enum { STAR = CODING_UNKNOWN, ABSENT = -1 };

/* One element: what it weighs goes into q, by coding; the last word counts. */
static void weigh(struct str element, int q[STAR + 1])
{
	struct str name = str_cut(&element, ';');
	int weight = element.n > 0 ? q_of(str_trim(element)) : 1000;
	bool star = str_eq(name, STR("*"));
	enum coding c = coding_of(name);

	if (name.n > 0 && weight >= 0 && (star || c != CODING_UNKNOWN))
		q[star ? STAR : (int)c] = weight;
}

enum coding coding_accepted(struct str accept_encoding)
{
	static const enum coding order[] = {CODING_ZSTD, CODING_GZIP, CODING_IDENTITY};
	int q[STAR + 1] = {ABSENT, ABSENT, ABSENT, ABSENT}, best_q = 0;
	enum coding best = CODING_IDENTITY;

	while (accept_encoding.n > 0)
		weigh(str_cut(&accept_encoding, ','), q);
	for (int i = 0; i < 3; i++) {
		int own = q[order[i]] != ABSENT ? q[order[i]] : q[STAR];

		if (own > best_q) {
			best_q = own;
			best = order[i];
		}
	}
	/* Nothing fits, even with identity;q=0: plain bytes are what all can read. */
	return best;
}
