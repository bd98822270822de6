#include "target.h"

#include <stdint.h>
#include <strings.h>

#include "base/json.h"

enum { ID_MAX_BYTES = 128 };

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7F;
}

/* Bytes that may stand in a request line at all, and whole escapes. */
static int check_bytes(struct str raw, struct err *e)
{
	for (size_t i = 0; i < raw.n; i++) {
		unsigned char c = (unsigned char)raw.p[i];

		if (c <= 0x20 || c >= 0x7F || c == '#' || c == '\\')
			return err_set(e, P_BAD_REQUEST, "the request target holds byte 0x%02X, which must be escaped", c);
		if (c != '%')
			continue;
		if (raw.n - i < 3 || hex_digit(raw.p[i + 1]) < 0 || hex_digit(raw.p[i + 2]) < 0)
			return err_set(e, P_BAD_REQUEST, "the request target holds a %% without two hexadecimal digits");
		if (raw.p[i + 1] == '0' && raw.p[i + 2] == '0')
			return err_set(e, P_BAD_REQUEST, "the request target holds %%00");
	}
	return 0;
}

/* Once, never twice: %252e stays %2e. */
static struct str decode(struct arena *a, struct str s, bool plus_is_space)
{
	char *out = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%') {
			out[n++] = (char)(hex_digit(s.p[i + 1]) << 4 | hex_digit(s.p[i + 2]));
			i += 2;
		} else {
			out[n++] = plus_is_space && s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	out[n] = '\0';
	return (struct str){out, n};
}

/* Cuts up to the next `stop` off the front; *more says whether one was there. */
static struct str cut(struct str *rest, char stop, bool *more)
{
	const char *at = memchr(rest->p, stop, rest->n);
	struct str front = {rest->p, at ? (size_t)(at - rest->p) : rest->n};

	*more = at != NULL;
	rest->p += front.n + (at != NULL);
	rest->n -= front.n + (at != NULL);
	return front;
}

static int add_segment(struct target *t, struct str s, struct err *e)
{
	if (str_eq(s, STR(".")) || str_eq(s, STR("..")))
		return err_set(e, P_BAD_REQUEST, "the path holds a segment . or ..");
	for (size_t i = 0; i < s.n; i++)
		if (is_control(s.p[i]))
			return err_set(e, P_BAD_REQUEST, "the path holds a control byte");
	if (t->segments < SEGMENTS_MAX)
		t->segment[t->segments++] = s;
	else
		t->segments = SEGMENTS_MAX + 1;
	return 0;
}

static int split_path(struct arena *a, struct target *t, struct err *e)
{
	struct str rest = {t->path.p + 1, t->path.n - 1};
	bool more = rest.n > 0;

	while (more) {
		struct str s = cut(&rest, '/', &more);

		if (add_segment(t, decode(a, s, false), e) != 0)
			return -1;
	}
	return 0;
}

static int add_query(struct target *t, struct str name, struct str value, struct err *e)
{
	if (!utf8_valid(name) || !utf8_valid(value))
		return err_set(e, P_INVALID, "the query is not UTF-8");
	if (t->queries == QUERIES_MAX)
		return err_set(e, P_BAD_REQUEST, "more than %d query parameters", QUERIES_MAX);
	t->query[t->queries++] = (struct query){name, value};
	return 0;
}

static int split_query(struct arena *a, struct str rest, struct target *t, struct err *e)
{
	bool more = rest.n > 0, ignored;

	while (more) {
		struct str value = cut(&rest, '&', &more);
		struct str name;

		if (value.n == 0)
			continue;
		name = cut(&value, '=', &ignored);
		if (add_query(t, decode(a, name, true), decode(a, value, true), e) != 0)
			return -1;
	}
	return 0;
}

/* "http://host:port/path" becomes "/path"; the Host header stays what counts. */
static struct str origin_form(struct str raw)
{
	size_t scheme = sizeof "http://" - 1;
	const char *slash;

	if (raw.n < scheme || strncasecmp(raw.p, "http://", scheme) != 0)
		return raw;
	slash = memchr(raw.p + scheme, '/', raw.n - scheme);
	if (slash == NULL)
		return STR("/");
	return (struct str){slash, raw.n - (size_t)(slash - raw.p)};
}

int target_parse(struct arena *a, struct str raw, struct target *t, struct err *e)
{
	struct str rest;
	bool ignored;

	memset(t, 0, sizeof *t);
	if (raw.n > TARGET_MAX_BYTES)
		return err_set(e, P_TOO_LARGE, "the request target is longer than %d bytes", TARGET_MAX_BYTES);
	if (check_bytes(raw, e) != 0)
		return -1;
	rest = arena_str(a, origin_form(raw));
	if (rest.n == 0 || rest.p[0] != '/')
		return err_set(e, P_BAD_REQUEST, "the request target is not a path");
	t->whole = rest;
	t->path = cut(&rest, '?', &ignored);
	if (split_path(a, t, e) != 0)
		return -1;
	return split_query(a, rest, t, e);
}

static bool id_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
	       c == ':' || c == '-';
}

bool path_id_valid(struct str id)
{
	if (id.n == 0 || id.n > ID_MAX_BYTES || memchr("._:-", id.p[0], 4) != NULL)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (!id_byte(id.p[i]))
			return false;
	return true;
}
