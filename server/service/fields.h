/* fields.h - JSON objects into structs, by tables of fields.
 *
 * A table says which keys an object may have, who reads each value and where
 * it goes. An unknown key, a missing one and a wrong type are all refused with
 * the JSON Pointer of the place. null is a wrong type unless a reader takes it. */
#ifndef PREFD_SERVICE_FIELDS_H
#define PREFD_SERVICE_FIELDS_H

#include <stddef.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

/* What the readers of a document share. */
struct reading {
	struct arena *arena; /* everything that is read lives here */
	struct str text;     /* the document, for raw members */
	const void *rules;   /* for readers of one kind of document */
};

typedef int field_fn(struct reading *r, const struct json *v, void *to, struct err *e);

struct field {
	const char *name;
	field_fn *read;
	size_t offset; /* of the destination in the struct */
	bool required;
};

#define FIELD_COUNT(table) (sizeof(table) / sizeof((table)[0]))

int fields_read(struct reading *r, const struct json *object, const struct field *field, size_t n,
                void *into, struct err *e);

/* Readers, and what `to` points at. */
field_fn read_id;     /* struct str: [A-Za-z0-9][A-Za-z0-9._:-]{0,127} */
field_fn read_name;   /* struct str: 1-256 bytes without control characters */
field_fn read_text;   /* struct str: any string, also "" */
field_fn read_number; /* double, finite */
field_fn read_count;  /* int64_t: a whole number, 0 … 2^31-1 */
field_fn read_seed;   /* uint64_t: a whole number, 0 … 2^53 − 1 */
field_fn read_time;   /* int64_t: RFC 3339, microseconds since 1970 */
field_fn read_bool;   /* bool */

/* err_under with one key as a step of a JSON Pointer: its ~ and / are escaped. */
int under_key(struct err *e, struct str key);
/* 0, or P_INVALID "must be an array, not a string". */
int want_type(const struct json *v, enum json_type type, struct err *e);
/* The field grammar of ids, for paths as well. */
bool id_valid(struct str s);
bool name_valid(struct str s);

/* A limit= of a page: 1 … 1000. */
enum { PAGE_LIMIT_MAX = 1000 };

#endif
