#include "base/json.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"
#include "decimal.h"
#include "swar.h"

/* --- strings ------------------------------------------------------------ */

/* The first byte at or behind p that JSON wants escaped, or end. */
static const char *clean_run(const char *p, const char *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t x = swar_load(p);
		uint64_t found = swar_equal(x, '"') | swar_equal(x, '\\') | swar_below(x, 0x20);

		if (found)
			return p + swar_first(found);
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

static void put_escape(struct buf *b, char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *known = c ? strchr(from, c) : NULL;

	if (known) {
		buf_byte(b, '\\');
		buf_byte(b, to[known - from]);
	} else {
		buf_printf(b, "\\u%04x", (unsigned)(unsigned char)c);
	}
}

void json_put_escaped(struct buf *b, struct str s)
{
	const char *p = s.p, *end = s.n ? s.p + s.n : s.p;

	while (p < end) {
		const char *stop = clean_run(p, end);

		buf_add(b, p, (size_t)(stop - p));
		if (stop < end)
			put_escape(b, *stop++);
		p = stop;
	}
}

void json_put_string(struct buf *b, struct str s)
{
	buf_byte(b, '"');
	json_put_escaped(b, s);
	buf_byte(b, '"');
}

/* --- numbers ------------------------------------------------------------ */

size_t json_print_number(double v, char out[JSON_NUMBER_MAX_BYTES])
{
	/* 15 digits tell any normal number of few digits; below, fewer are enough. */
	int digits = fabs(v) < DBL_MIN ? 1 : 15;
	size_t n;

	if (v == 0) {
		out[0] = '0';
		return 1;
	}
	n = decimal_print(v, out);
	for (; n == 0 && digits <= 17; digits++) {
		int length = snprintf(out, JSON_NUMBER_MAX_BYTES, "%.*g", digits, v);

		if (digits == 17 || strtod(out, NULL) == v)
			n = (size_t)length;
	}
	return n;
}

void json_put_number(struct buf *b, double v)
{
	b->n += json_print_number(v, buf_room(b, JSON_NUMBER_MAX_BYTES));
}

/* --- structure ---------------------------------------------------------- */

void json_put_comma(struct buf *b)
{
	char last = b->n ? b->p[b->n - 1] : '[';

	if (last != '[' && last != '{' && last != ',' && last != ':')
		buf_byte(b, ',');
}

void json_put_key_str(struct buf *b, struct str key)
{
	json_put_comma(b);
	json_put_string(b, key);
	buf_byte(b, ':');
}

void json_put_key(struct buf *b, const char *key)
{
	json_put_key_str(b, str_of(key));
}

static int member_order(const void *a, const void *b)
{
	const struct json *const *m = a, *const *n = b;

	return str_cmp(json_key(*m), json_key(*n));
}

static void put_members(struct buf *b, const struct json *object)
{
	size_t n = json_size(object), i = 0;
	const struct json **members = heap_alloc((n + 1) * sizeof *members);

	for (const struct json *m = json_first(object); m; m = json_next(m))
		members[i++] = m;
	qsort(members, n, sizeof *members, member_order);
	buf_byte(b, '{');
	for (i = 0; i < n; i++) {
		json_put_key_str(b, json_key(members[i]));
		json_put_canonical(b, members[i]);
	}
	buf_byte(b, '}');
	heap_free(members);
}

static void put_elements(struct buf *b, const struct json *array)
{
	buf_byte(b, '[');
	for (const struct json *v = json_first(array); v; v = json_next(v)) {
		json_put_comma(b);
		json_put_canonical(b, v);
	}
	buf_byte(b, ']');
}

/* Recursive, no deeper than the parser let the tree become. */
void json_put_canonical(struct buf *b, const struct json *v)
{
	switch (json_type(v)) {
	case JSON_NULL:
		buf_lit(b, "null");
		break;
	case JSON_BOOL:
		buf_z(b, json_bool(v) ? "true" : "false");
		break;
	case JSON_NUMBER:
		json_put_number(b, json_number(v));
		break;
	case JSON_STRING:
		json_put_string(b, json_string(v));
		break;
	case JSON_ARRAY:
		put_elements(b, v);
		break;
	case JSON_OBJECT:
		put_members(b, v);
		break;
	}
}
