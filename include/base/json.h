/* json.h - strict JSON in, exact JSON out (cJSON between).
 *
 * In: json_scan checks a text before anything reads it; json_parse scans and
 * then builds a cJSON tree in an arena. Out: a writer of our own, because
 * printing numbers through cJSON loses digits.
 *
 * Strict means: UTF-8 (no overlong form, no surrogate), RFC 8259 grammar, one
 * value and nothing behind it, depth <= max_depth (<= JSON_DEPTH_MAX), at most
 * JSON_MEMBERS_MAX members in an object, no duplicate keys in one (compared
 * unescaped), no \u0000, no lone surrogate escape, numbers within the range of
 * a double (1e400 is refused; 1e-400 is 0). Any thread. */
#ifndef PREFD_BASE_JSON_H
#define PREFD_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum { JSON_DEPTH_MAX = 32, JSON_MEMBERS_MAX = 65536 };

/* P_BROKEN_JSON with the byte offset and the reason; `pointer` names the place
 * as far as the text could be read. */
int json_scan(struct str text, int max_depth, struct err *e);

/* A value of a parsed tree. Opaque: only base/json.c sees cJSON. */
struct json;

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Scans, then parses into the arena (the tree lives as long as it). */
const struct json *json_parse(struct arena *a, struct str text, int max_depth, struct err *e);

enum json_type json_type(const struct json *v);
/* "a string", "an object", … for error messages. */
const char *json_type_name(const struct json *v);
bool json_bool(const struct json *v);
/* -0 comes out as 0: equal numbers must be equal bytes everywhere. */
double json_number(const struct json *v);
struct str json_string(const struct json *v);
/* Elements of an array or members of an object; 0 for anything else. */
size_t json_size(const struct json *v);
/* Iteration: for (c = json_first(v); c; c = json_next(c)). */
const struct json *json_first(const struct json *v);
const struct json *json_next(const struct json *v);
/* The key of a member of an object. */
struct str json_key(const struct json *member);
/* Case-sensitive; NULL when absent. */
const struct json *json_get(const struct json *object, const char *key);

/* The raw bytes of a top-level member of an object text that was scanned, or
 * STR_NONE: for metadata, whose numbers must not pass through a double. */
struct str json_raw_member(struct str text, const char *key);
/* The same value without white space between tokens. */
void json_compact(struct buf *out, struct str scanned);

/* --- out ----------------------------------------------------------------- */

/* "text" with quotes and escapes: only what JSON demands (", \, controls),
 * everything else as it is; so equal texts are equal bytes. */
void json_put_string(struct buf *b, struct str s);
/* The same without the quotes: pieces of snapshot files. */
void json_put_escaped(struct buf *b, struct str s);
/* The shortest among the decimals nearest to v that reads back as v; 5 rather
 * than 5.0, -0 as 0, 1e+22 with an exponent. v must be finite. */
void json_put_number(struct buf *b, double v);
enum { JSON_NUMBER_MAX_BYTES = 32 };
/* json_put_number into out; returns the length. */
size_t json_print_number(double v, char out[JSON_NUMBER_MAX_BYTES]);
/* `,"key":` or, first in its object (behind '{' or at the start), `"key":`. */
void json_put_key(struct buf *b, const char *key);
void json_put_key_str(struct buf *b, struct str key);
/* A comma unless the buffer is empty or ends in '[', '{', ',' or ':'. */
void json_put_comma(struct buf *b);
/* A parsed tree, keys sorted bytewise, numbers by json_put_number: canonical. */
void json_put_canonical(struct buf *b, const struct json *v);

/* Code points of valid UTF-8. */
uint32_t utf8_length(struct str s);
bool utf8_valid(struct str s);

#endif
