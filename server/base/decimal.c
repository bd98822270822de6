#include "decimal.h"

#include <math.h>

#include "json_inside.h"

enum {
	POWER_MAX = 27,   /* 5^27 is the last below 2^63 */
	DIGITS_MAX = 19,  /* below 10^19 every whole number fits 64 bits */
	PRINT_DIGITS = 17, /* tell any double */
	DOUBLE_BITS = 53,
	DOUBLE_BIAS = 1023,
};

typedef unsigned __int128 wide;

static const uint64_t five[POWER_MAX + 1] = {
	UINT64_C(1),
	UINT64_C(5),
	UINT64_C(25),
	UINT64_C(125),
	UINT64_C(625),
	UINT64_C(3125),
	UINT64_C(15625),
	UINT64_C(78125),
	UINT64_C(390625),
	UINT64_C(1953125),
	UINT64_C(9765625),
	UINT64_C(48828125),
	UINT64_C(244140625),
	UINT64_C(1220703125),
	UINT64_C(6103515625),
	UINT64_C(30517578125),
	UINT64_C(152587890625),
	UINT64_C(762939453125),
	UINT64_C(3814697265625),
	UINT64_C(19073486328125),
	UINT64_C(95367431640625),
	UINT64_C(476837158203125),
	UINT64_C(2384185791015625),
	UINT64_C(11920928955078125),
	UINT64_C(59604644775390625),
	UINT64_C(298023223876953125),
	UINT64_C(1490116119384765625),
	UINT64_C(7450580596923828125),
};

/* --- reading ------------------------------------------------------------------- */

/* A decimal as it is read: digits · 10^power. */
struct decimal {
	uint64_t digits;
	int count; /* of the digits that count */
	long power;
};

static const char *read_digits(struct decimal *d, const char *p, const char *end)
{
	uint64_t digits = d->digits;
	int count = d->count;

	for (; p < end && json_is_digit(*p) && count <= DIGITS_MAX; p++) {
		digits = digits * 10 + (uint64_t)(*p - '0');
		count += count > 0 || *p != '0';
	}
	*d = (struct decimal){digits, count, d->power};
	return p;
}

/* p: behind the e. Kept from overflowing. */
static void read_exponent(struct decimal *d, const char *p, const char *end)
{
	bool minus = p < end && *p == '-';
	long x = 0;

	for (p += p < end && (*p == '-' || *p == '+'); p < end; p++)
		x = x < 100 * 1000 ? x * 10 + (*p - '0') : x;
	d->power += minus ? -x : x;
}

/* x·2^e; nothing here comes near the ends of a double's range. */
static inline double times_two(double x, int e)
{
	uint64_t bits = (uint64_t)(DOUBLE_BIAS + e) << (DOUBLE_BITS - 1);
	double power;

	memcpy(&power, &bits, sizeof power);
	return x * power;
}

/* digits / 10^k to the nearest double. The quotient has 62 bits or more; that
 * something was left of it is one more bit below them, so that the conversion
 * rounds as it would the whole. */
static double divided(uint64_t digits, int k)
{
	int up = __builtin_clzll(digits), over = __builtin_clzll(five[k]);
	uint64_t divisor = five[k] << over;
	wide dividend = (wide)(digits << up) << 63;
	uint64_t quotient = (uint64_t)(dividend / divisor);

	quotient |= (wide)quotient * divisor != dividend;
	return times_two((double)quotient, over - up - 63 - k);
}

bool decimal_read(struct str number, double *out)
{
	const char *p = number.p, *end = p + number.n;
	bool minus = number.n > 0 && *p == '-';
	struct decimal d = {0, 0, 0};
	double x;

	p = read_digits(&d, p + minus, end);
	if (p < end && *p == '.') {
		const char *fraction = p + 1;

		p = read_digits(&d, fraction, end);
		d.power -= p - fraction;
	}
	if (d.count > DIGITS_MAX)
		return false;
	if (p < end)
		read_exponent(&d, p + 1, end);
	if (d.power < -POWER_MAX || d.power > POWER_MAX)
		return false;
	if (d.digits == 0)
		x = 0;
	else if (d.power < 0)
		x = divided(d.digits, (int)-d.power);
	else
		x = times_two((double)((wide)d.digits * five[d.power]), (int)d.power);
	*out = minus ? -x : x;
	return true;
}

/* --- printing -------------------------------------------------------------------- */

/* decimal / 10^places without zeros at the end of the fraction. */
static size_t put(bool minus, uint64_t decimal, int places, char *out)
{
	char back[JSON_NUMBER_MAX_BYTES];
	size_t n = 0, length = 0;

	for (; places > 0 && decimal % 10 == 0; places--)
		decimal /= 10;
	for (; decimal > 0 || places >= 0; decimal /= 10) {
		back[n++] = (char)('0' + decimal % 10);
		if (--places == 0)
			back[n++] = '.';
	}
	if (minus)
		back[n++] = '-';
	while (n > 0)
		out[length++] = back[--n];
	return length;
}

/* Numbers of few digits, a few times faster than the rest. A decimal m/10^k of
 * at most 15 digits that reads back as v is the very one that %.15g prints, and
 * the division (of two doubles without error) is how it reads back. 0: none. */
static size_t print_short(double v, char *out)
{
	static const double power[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
	int most = sizeof power / sizeof *power - 1;
	double size = fabs(v);

	while (most >= 0 && size * power[most] + 0.5 >= 1e15)
		most--;
	if (most < 0)
		return 0;
	/* What fits no decimal of the most places fits none of fewer. */
	if ((double)(uint64_t)(size * power[most] + 0.5) / power[most] != size)
		return 0;
	for (int k = 0; k <= most; k++) {
		uint64_t m = (uint64_t)(size * power[k] + 0.5);

		if ((double)m / power[k] == size)
			return put(v < 0, m, k, out);
	}
	return 0;
}

/* v·10^places, exactly: scaled / 2^shift, and a whole number of 17 digits. */
struct scaled {
	uint64_t m; /* v is m·2^e */
	int places, shift;
	wide value;
};

static wide power_of_ten(int k)
{
	return (wide)five[k] << k;
}

/* size: 1e-4 … 1e15, so that 10^places is 10^2 … 10^20 and shift is above 0. */
static struct scaled scale(double size)
{
	struct scaled s;
	int e;

	s.m = (uint64_t)ldexp(frexp(size, &e), DOUBLE_BITS);
	e -= DOUBLE_BITS;
	/* size < 2^(e + DOUBLE_BITS): so never a place too many, at most one too few. */
	s.places = PRINT_DIGITS - 1 - (int)floor((e + DOUBLE_BITS) * 0.30103);
	for (;; s.places++) {
		s.shift = -(e + s.places);
		s.value = (wide)s.m * five[s.places];
		if (s.value >> s.shift >= power_of_ten(PRINT_DIGITS - 1))
			return s;
	}
}

/* The nearest multiple of `unit`, of two equally near the even one. */
static uint64_t nearest(const struct scaled *s, uint64_t unit)
{
	wide step = (wide)unit << s->shift;
	uint64_t whole = (uint64_t)(s->value >> s->shift) / unit;
	wide rest = s->value - whole * step;

	if (rest > step / 2 || (rest == step / 2 && whole % 2 == 1))
		whole++;
	return whole * unit;
}

/* Whether it lies less than half a step of doubles from v; a step is 5^places
 * here, and below a power of two half of that. */
static bool reads_back(const struct scaled *s, uint64_t decimal)
{
	wide there = (wide)decimal << s->shift;

	if (there >= s->value)
		return 2 * (there - s->value) < five[s->places];
	return (s->m == UINT64_C(1) << (DOUBLE_BITS - 1) ? 4 : 2) * (s->value - there) < five[s->places];
}

size_t decimal_print(double v, char out[JSON_NUMBER_MAX_BYTES])
{
	double size = fabs(v);
	uint64_t decimal = 0;
	struct scaled s;
	size_t n;

	if (!(size >= 1e-4 && size < 1e15))
		return 0; /* %g prints an exponent there */
	n = print_short(v, out);
	if (n > 0)
		return n;
	s = scale(size);
	for (uint64_t unit = 100; unit > 0; unit /= 10) {
		decimal = nearest(&s, unit);
		if (reads_back(&s, decimal))
			break;
	}
	return put(v < 0, decimal, s.places, out);
}
