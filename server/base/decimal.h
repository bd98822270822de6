/* decimal.h - doubles and their decimals, in exact integers.
 *
 * The usual numbers of JSON need no general algorithm: within 128 bits
 * m·5^k holds a double's digits, or its remainder, without error. Both ways
 * give what strtod and printf give, some ten times as fast; outside their
 * range they say so, and the caller asks those. Pure; any thread. */
#ifndef PREFD_BASE_DECIMAL_H
#define PREFD_BASE_DECIMAL_H

#include <stdbool.h>
#include "base/json.h"

/* number: as JSON writes it. False when it has more than 19 digits that count
 * or its last digit stands for less than 10^-27 or more than 10^27. */
bool decimal_read(struct str number, double *out);

/* The first of %.15g, %.16g and %.17g that reads back as v, 1e-4 <= |v| < 1e15.
 * Returns the length; 0 outside that range. */
size_t decimal_print(double v, char out[JSON_NUMBER_MAX_BYTES]);

#endif
