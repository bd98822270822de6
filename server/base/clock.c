#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/hash.h"

enum { SECOND = 1000000, DAY_SECONDS = 86400, RANDOM_BYTES = 256 };

static _Atomic int64_t shift_us;

static int64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
	return read_clock(CLOCK_REALTIME) + atomic_load(&shift_us);
}

int64_t clock_steady_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

void clock_shift_us(int64_t us)
{
	atomic_fetch_add(&shift_us, us);
}

/* --- the calendar ------------------------------------------------------------
 * Proleptic Gregorian. Years run from March, so that the leap day comes last:
 * day d of the year from March begins month (5d + 2) / 153. An era is 400
 * years, 146097 days; 719468 days lie between 0000-03-01 and 1970-01-01. */

struct date {
	int64_t year;
	unsigned month, day; /* 1 … 12, 1 … 31 */
};

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t days_of(struct date d)
{
	int64_t y = d.year - (d.month <= 2), era = floor_div(y, 400);
	int64_t year = y - era * 400;
	int64_t day = (153 * ((d.month + 9) % 12) + 2) / 5 + d.day - 1;

	return era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
}

static struct date date_of(int64_t days)
{
	int64_t era = floor_div(days + 719468, 146097), n = days + 719468 - era * 146097;
	int64_t year = (n - n / 1460 + n / 36524 - n / 146096) / 365;
	int64_t day = n - (365 * year + year / 4 - year / 100), month = (5 * day + 2) / 153;
	struct date d;

	d.month = (unsigned)(month < 10 ? month + 3 : month - 9);
	d.day = (unsigned)(day - (153 * month + 2) / 5 + 1);
	d.year = year + era * 400 + (d.month <= 2);
	return d;
}

static unsigned month_days(int64_t year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

void clock_print(int64_t us, char out[CLOCK_TEXT_BYTES])
{
	int64_t seconds = floor_div(us, SECOND), days = floor_div(seconds, DAY_SECONDS);
	int fraction = (int)(us - seconds * SECOND), s = (int)(seconds - days * DAY_SECONDS);
	struct date d = date_of(days);
	int n = snprintf(out, CLOCK_TEXT_BYTES, "%04d-%02u-%02uT%02d:%02d:%02d", (int)d.year, d.month, d.day,
	                 s / 3600, s / 60 % 60, s % 60);

	if (fraction != 0)
		n += snprintf(out + n, CLOCK_TEXT_BYTES - (size_t)n, ".%06d", fraction);
	snprintf(out + n, CLOCK_TEXT_BYTES - (size_t)n, "Z");
}

/* --- reading RFC 3339 --------------------------------------------------------- */

/* The next n digits as a number from min to max; -1 else. */
static int take_digits(struct str *t, int n, int min, int max)
{
	int v = 0;

	if (t->n < (size_t)n)
		return -1;
	for (int i = 0; i < n; i++) {
		if (t->p[i] < '0' || t->p[i] > '9')
			return -1;
		v = 10 * v + (t->p[i] - '0');
	}
	t->p += n;
	t->n -= (size_t)n;
	return v < min || v > max ? -1 : v;
}

static bool take_any(struct str *t, const char *set)
{
	if (t->n == 0 || t->p[0] == '\0' || strchr(set, t->p[0]) == NULL)
		return false;
	t->p++;
	t->n--;
	return true;
}

static int take_date(struct str *t, struct date *d)
{
	int year, month, day;

	if ((year = take_digits(t, 4, 1, 9999)) < 0 || !take_any(t, "-") ||
	    (month = take_digits(t, 2, 1, 12)) < 0 || !take_any(t, "-") ||
	    (day = take_digits(t, 2, 1, 31)) < 0)
		return -1;
	*d = (struct date){year, (unsigned)month, (unsigned)day};
	return d->day <= month_days(year, d->month) ? 0 : -1;
}

/* Seconds of the day; 60 may stand in the place of the seconds. */
static int take_time(struct str *t, int *seconds, bool *leap)
{
	int h, m, s;

	if ((h = take_digits(t, 2, 0, 23)) < 0 || !take_any(t, ":") ||
	    (m = take_digits(t, 2, 0, 59)) < 0 || !take_any(t, ":") || (s = take_digits(t, 2, 0, 60)) < 0)
		return -1;
	*seconds = h * 3600 + m * 60 + s;
	*leap = s == 60;
	return 0;
}

/* Microseconds; digits after the sixth count for nothing. */
static int take_fraction(struct str *t, int *us)
{
	int digit, unit = SECOND / 10;

	*us = 0;
	if (!take_any(t, "."))
		return 0;
	if ((digit = take_digits(t, 1, 0, 9)) < 0)
		return -1;
	do {
		*us += digit * unit;
		unit /= 10;
	} while (t->n > 0 && (digit = take_digits(t, 1, 0, 9)) >= 0);
	return 0;
}

/* Seconds east of UTC. */
static int take_offset(struct str *t, int *seconds)
{
	int h, m, sign;

	*seconds = 0;
	if (take_any(t, "Zz"))
		return 0;
	sign = t->n > 0 && t->p[0] == '-' ? -1 : 1;
	if (!take_any(t, "+-") || (h = take_digits(t, 2, 0, 23)) < 0 || !take_any(t, ":") ||
	    (m = take_digits(t, 2, 0, 59)) < 0)
		return -1;
	*seconds = sign * (h * 3600 + m * 60);
	return 0;
}

int clock_parse(struct str text, int64_t *us)
{
	static const struct date first = {1, 1, 1}, beyond = {10000, 1, 1};
	struct str t = text;
	struct date d;
	int time, fraction, offset;
	bool leap;
	int64_t seconds;

	if (take_date(&t, &d) < 0 || !take_any(&t, "Tt ") || take_time(&t, &time, &leap) < 0 ||
	    take_fraction(&t, &fraction) < 0 || take_offset(&t, &offset) < 0 || t.n > 0)
		return -1;
	seconds = days_of(d) * DAY_SECONDS + time - offset;
	/* Leap seconds end a day of UTC; the clock here knows none, so :60 with
	 * any fraction is the beginning of the next day. */
	if (leap && seconds % DAY_SECONDS != 0)
		return -1;
	if (leap)
		fraction = 0;
	if (seconds < days_of(first) * DAY_SECONDS || seconds >= days_of(beyond) * DAY_SECONDS)
		return -1;
	*us = seconds * SECOND + fraction;
	return 0;
}

/* Up to 256 bytes come whole; without randomness ids would collide. */
static size_t random_fill(uint8_t bytes[RANDOM_BYTES])
{
	if (getrandom(bytes, RANDOM_BYTES, 0) != RANDOM_BYTES) {
		perror("prefd: getrandom");
		abort();
	}
	return RANDOM_BYTES;
}

void random_hex(char *out, size_t n)
{
	/* A call of the system each would cost more than all else of an id. */
	static _Thread_local uint8_t bytes[RANDOM_BYTES];
	static _Thread_local size_t left;

	while (n > 0) {
		size_t part;

		if (left == 0)
			left = random_fill(bytes);
		part = n < left ? n : left;
		hex_of(bytes + RANDOM_BYTES - left, part, out);
		left -= part;
		out += 2 * part;
		n -= part;
	}
	*out = '\0';
}
