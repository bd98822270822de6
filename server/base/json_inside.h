/* json_inside.h - what the files behind base/json.h share. */
#ifndef PREFD_BASE_JSON_INSIDE_H
#define PREFD_BASE_JSON_INSIDE_H

#include "base/json.h"

/* cJSON reads a number through a fixed buffer of 64 bytes and would take a
 * longer one for broken text. */
enum { CJSON_NUMBER_BYTES = 63 };

/* json_scan; *long_number tells whether a number is longer than that. */
int json_scan_numbers(struct str text, int max_depth, bool *long_number, struct err *e);
/* json_compact with every such number replaced by the double it stands for. */
void json_shorten_numbers(struct buf *out, struct str scanned);

/* Passes over valid UTF-8 that is not ASCII; stops at the first other byte. */
const char *utf8_run(const char *p, const char *end);
/* The value of four hex digits, or -1. p has four bytes. */
int json_hex4(const char *p);
/* Undoes the escapes of a scanned string (without its quotes). out has raw.n
 * bytes, for an escape is never shorter than what it stands for; returns the
 * bytes written. */
size_t json_unescape(struct str raw, char *out);

static inline bool json_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool json_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

#endif
