/* clock.h - time, randomness and their test doubles. Any thread. */
#ifndef PREFD_BASE_CLOCK_H
#define PREFD_BASE_CLOCK_H

#include <stdint.h>
#include "base/str.h"

/* Microseconds since 1970, UTC. */
int64_t clock_now_us(void);
/* Microseconds, never set back; for waiting and measuring. */
int64_t clock_steady_us(void);
/* For tests: adds to clock_now_us. */
void clock_shift_us(int64_t us);

enum { CLOCK_TEXT_BYTES = 32 };
/* 2026-01-31T12:00:00.000001Z; the fraction is left out when it is 0. */
void clock_print(int64_t us, char out[CLOCK_TEXT_BYTES]);
/* RFC 3339 with offset or Z, up to 6 fraction digits (more are cut off);
 * years 1 to 9999. 0, or -1 when the text is none. */
int clock_parse(struct str text, int64_t *us);

/* n random bytes from the system, as 2n hex digits and a NUL. */
void random_hex(char *out, size_t n);

#endif
