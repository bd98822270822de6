#include "fields.h"

#include <math.h>

#include "base/clock.h"

enum { ID_BYTES_MAX = 128, NAME_BYTES_MAX = 256 };
#define COUNT_MAX 2147483647.0
#define SEED_MAX 9007199254740991.0 /* 2^53 - 1: beyond it a reader of JSON may round */

int want_type(const struct json *v, enum json_type type, struct err *e)
{
	static const char *const name[] = {
		[JSON_NULL] = "null",      [JSON_BOOL] = "true or false", [JSON_NUMBER] = "a number",
		[JSON_STRING] = "a string", [JSON_ARRAY] = "an array",     [JSON_OBJECT] = "an object",
	};

	if (json_type(v) == type)
		return 0;
	return err_set(e, P_INVALID, "must be %s, not %s", name[type], json_type_name(v));
}

int under_key(struct err *e, struct str key)
{
	char safe[130];
	size_t n = 0;

	for (size_t i = 0; i < key.n && n + 3 < sizeof safe; i++) {
		if (key.p[i] == '~' || key.p[i] == '/') {
			safe[n++] = '~';
			safe[n++] = key.p[i] == '~' ? '0' : '1';
		} else {
			safe[n++] = key.p[i];
		}
	}
	return err_under(e, "/%.*s", (int)n, safe);
}

static const struct field *field_named(const struct field *field, size_t n, struct str key)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(key, str_of(field[i].name)))
			return &field[i];
	return NULL;
}

int fields_read(struct reading *r, const struct json *object, const struct field *field, size_t n,
                void *into, struct err *e)
{
	uint64_t seen = 0;

	if (want_type(object, JSON_OBJECT, e) < 0)
		return -1;
	for (const struct json *m = json_first(object); m; m = json_next(m)) {
		const struct field *f = field_named(field, n, json_key(m));

		if (f == NULL) {
			err_set(e, P_UNKNOWN_KEY, "there is no such key here");
			return under_key(e, json_key(m));
		}
		e->pointer[0] = '\0';
		if (f->read(r, m, (char *)into + f->offset, e) < 0)
			return under_key(e, json_key(m));
		seen |= 1ull << (f - field);
	}
	for (size_t i = 0; i < n; i++)
		if (field[i].required && !(seen >> i & 1)) {
			err_set(e, P_INVALID, "is required");
			return under_key(e, str_of(field[i].name));
		}
	return 0;
}

bool id_valid(struct str s)
{
	if (s.n == 0 || s.n > ID_BYTES_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

		if (!letter && (i == 0 || (c != '.' && c != '_' && c != ':' && c != '-')))
			return false;
	}
	return true;
}

bool name_valid(struct str s)
{
	if (s.n == 0 || s.n > NAME_BYTES_MAX || !utf8_valid(s))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7F)
			return false;
		/* U+0080 … U+009F, the other control characters */
		if (c == 0xC2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xA0)
			return false;
	}
	return true;
}

int read_text(struct reading *r, const struct json *v, void *to, struct err *e)
{
	(void)r;
	if (want_type(v, JSON_STRING, e) < 0)
		return -1;
	*(struct str *)to = json_string(v);
	return 0;
}

int read_id(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_text(r, v, to, e) < 0)
		return -1;
	if (!id_valid(*(struct str *)to))
		return err_set(e, P_INVALID, "an id is 1 to %d of A-Z a-z 0-9 . _ : - and begins with a letter or digit",
		               ID_BYTES_MAX);
	return 0;
}

int read_name(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_text(r, v, to, e) < 0)
		return -1;
	if (!name_valid(*(struct str *)to))
		return err_set(e, P_INVALID, "a name is 1 to %d bytes without control characters", NAME_BYTES_MAX);
	return 0;
}

int read_number(struct reading *r, const struct json *v, void *to, struct err *e)
{
	(void)r;
	if (want_type(v, JSON_NUMBER, e) < 0)
		return -1;
	*(double *)to = json_number(v);
	return 0;
}

static int whole(const struct json *v, double max, double *to, struct err *e)
{
	if (want_type(v, JSON_NUMBER, e) < 0)
		return -1;
	*to = json_number(v);
	if (*to != floor(*to) || *to < 0 || *to > max)
		return err_set(e, P_INVALID, "must be a whole number from 0 to %.0f", max);
	return 0;
}

int read_count(struct reading *r, const struct json *v, void *to, struct err *e)
{
	double x;

	(void)r;
	if (whole(v, COUNT_MAX, &x, e) < 0)
		return -1;
	*(int64_t *)to = (int64_t)x;
	return 0;
}

int read_seed(struct reading *r, const struct json *v, void *to, struct err *e)
{
	double x;

	(void)r;
	if (whole(v, SEED_MAX, &x, e) < 0)
		return -1;
	*(uint64_t *)to = (uint64_t)x;
	return 0;
}

int read_time(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct str s;

	if (read_text(r, v, &s, e) < 0)
		return -1;
	if (clock_parse(s, to) < 0)
		return err_set(e, P_INVALID, "must be a time as RFC 3339 writes it, such as 2026-01-31T12:00:00Z");
	return 0;
}

int read_bool(struct reading *r, const struct json *v, void *to, struct err *e)
{
	(void)r;
	if (want_type(v, JSON_BOOL, e) < 0)
		return -1;
	*(bool *)to = json_bool(v);
	return 0;
}
