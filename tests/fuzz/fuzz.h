/* fuzz.h - what the fuzz targets share.
 *
 * A target is one function that takes any bytes, and aborts when a property
 * beyond "does not crash" is broken. Built by clang it is driven by libFuzzer
 * (`make fuzz`); built by any compiler with replay.c it runs over the corpus
 * (`make check`). */
#ifndef PREFD_FUZZ_H
#define PREFD_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* A refusal says what and why, whatever came in. */
static inline void must_explain(const struct err *e)
{
	MUST(e->problem > P_NONE && e->problem < PROBLEM_COUNT && e->problem != P_INTERNAL);
	MUST(e->detail[0] != '\0');
}

/* The bytes as a text of their own block, so that a sanitizer sees a read
 * behind its end. An arena's texts have a NUL there. */
static inline struct str text_of(const uint8_t *data, size_t size)
{
	return (struct str){size ? (const char *)data : "", size};
}

/* Steps of 1 to 16 bytes that the input itself chooses. */
static inline size_t step_of(const uint8_t *data, size_t at, size_t size)
{
	size_t n = 1 + data[at] % 16;

	return n < size - at ? n : size - at;
}

#endif
