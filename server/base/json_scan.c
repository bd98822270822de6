/* The strict scanner. One pass over the text, without recursion: the open
 * arrays and objects stand on a small stack, and the keys of the open objects
 * on another; they are compared when their object closes. */
#include "json_inside.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "json_keys.h"
#include "swar.h"

enum {
	SURE_DIGITS = 308, /* below 10^308 every number is within a double */
};

enum step { FAILED = -1, VALUE_NEXT, VALUE_READ };

struct frame {
	size_t first_key; /* objects: where its keys begin on the stack of keys */
	size_t index;     /* arrays: the element being read */
	bool object;
	bool inside; /* an element or member is being read */
};

struct scan {
	const char *begin, *p, *end;
	struct err *e;
	int depth, max_depth;
	bool long_number;
	struct frame frames[JSON_DEPTH_MAX];
	struct keys keys; /* of the open objects */
};

/* --- errors ------------------------------------------------------------- */

/* "/name", escaped as RFC 6901 wants; where it does not fit "/…" and false. */
static bool pointer_add(char *out, size_t cap, struct str name)
{
	static const char cut[] = "/…";
	size_t n = strlen(out), limit = cap - sizeof cut, start = n;

	out[n++] = '/';
	for (size_t i = 0; i < name.n && n < limit; i++) {
		char c = name.p[i];

		if (c == '~' || c == '/')
			out[n++] = '~';
		out[n++] = (char)(c == '~' ? '0' : c == '/' ? '1' : c);
	}
	if (n >= limit) {
		memcpy(out + start, cut, sizeof cut);
		return false;
	}
	out[n] = '\0';
	return true;
}

static void pointer_of(const struct scan *s, char *out, size_t cap)
{
	out[0] = '\0';
	for (int i = 0; i < s->depth && s->frames[i].inside; i++) {
		const struct frame *f = &s->frames[i];
		char index[24];
		struct str name = {index, 0};

		/* The key being read is its object's last one. */
		if (f->object)
			name = s->keys.list[(i + 1 < s->depth ? f[1].first_key : s->keys.n) - 1].name;
		else
			name.n = (size_t)snprintf(index, sizeof index, "%zu", f->index);
		if (!pointer_add(out, cap, name))
			return;
	}
}

__attribute__((format(printf, 3, 4)))
static int fail(struct scan *s, const char *at, const char *fmt, ...)
{
	char pointer[sizeof s->e->pointer], reason[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	pointer_of(s, pointer, sizeof pointer);
	return err_at(s->e, P_BROKEN_JSON, pointer, "%s (byte %zu)", reason, (size_t)(at - s->begin));
}

static int expected(struct scan *s, const char *at, const char *what)
{
	unsigned char c;

	if (at == s->end)
		return fail(s, at, "Expected %s, found the end of the text", what);
	c = (unsigned char)*at;
	if (c > 0x20 && c < 0x7F)
		return fail(s, at, "Expected %s, found '%c'", what, c);
	return fail(s, at, "Expected %s, found the byte 0x%02X", what, c);
}

/* --- scalars ------------------------------------------------------------ */

/* The first byte at or behind p that is not simply itself in a string. */
static inline const char *plain_run(const char *p, const char *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t x = swar_load(p);
		uint64_t found = swar_equal(x, '"') | swar_equal(x, '\\') | swar_below(x, 0x20) |
		                 swar_not_ascii(x);

		if (found)
			return p + swar_first(found);
	}
	while (p < end && *p != '"' && *p != '\\' && (signed char)*p >= 0x20)
		p++;
	return p;
}

/* \uXXXX or a surrogate pair of them: the bytes it takes, or 0 after failing. */
static size_t scan_unicode(struct scan *s, const char *p)
{
	int code = s->end - p >= 6 ? json_hex4(p + 2) : -1, low = -1;

	if (code > 0 && (code < 0xD800 || code > 0xDFFF))
		return 6;
	if (code > 0 && code < 0xDC00 && s->end - p >= 12 && p[6] == '\\' && p[7] == 'u')
		low = json_hex4(p + 8);
	if (low >= 0xDC00 && low <= 0xDFFF)
		return 12;
	if (code < 0)
		fail(s, p, "\\u wants four hex digits");
	else if (code == 0)
		fail(s, p, "\\u0000 is not taken");
	else
		fail(s, p, "\\u%04X is half of a surrogate pair", (unsigned)code);
	return 0;
}

/* What stands at p in a string and is not plain, an escape or a run of UTF-8:
 * its bytes, or 0 after failing. */
static size_t scan_special(struct scan *s, const char *p)
{
	unsigned char c = (unsigned char)*p;
	size_t n = c < 0x80 ? 0 : (size_t)(utf8_run(p, s->end) - p);

	if (n > 0)
		return n;
	if (c < 0x20)
		fail(s, p, "A control character (0x%02X) stands in a string; write it as \\u%04X", c, c);
	else if (c >= 0x80)
		fail(s, p, "A string is not valid UTF-8: byte 0x%02X", c);
	else if (s->end - p < 2)
		fail(s, s->end, "The string is not closed");
	else if (p[1] == 'u')
		return scan_unicode(s, p);
	else if (p[1] != '\0' && strchr("\"\\/bfnrt", p[1]))
		return 2;
	else
		expected(s, p + 1, "one of \"\\/bfnrtu behind the backslash");
	return 0;
}

/* s->p is at the opening quote, afterwards behind the closing one. */
static int scan_string(struct scan *s, bool *escaped)
{
	const char *p = s->p + 1;

	*escaped = false;
	for (;;) {
		size_t n;

		p = plain_run(p, s->end);
		if (p == s->end)
			return fail(s, p, "The string is not closed");
		if (*p == '"')
			break;
		*escaped |= *p == '\\';
		n = scan_special(s, p);
		if (n == 0)
			return FAILED;
		p += n;
	}
	s->p = p + 1;
	return VALUE_READ;
}

static const char *digits(const char *p, const char *end)
{
	while (p < end && json_is_digit(*p))
		p++;
	return p;
}

/* p is behind the e; *exponent is kept from overflowing. */
static const char *scan_exponent(const char *p, const char *end, long *exponent)
{
	bool minus = p < end && *p == '-';

	if (p < end && (*p == '+' || *p == '-'))
		p++;
	for (; p < end && json_is_digit(*p); p++)
		if (*exponent < 100 * 1000 * 1000)
			*exponent = *exponent * 10 + (*p - '0');
	if (minus)
		*exponent = -*exponent;
	return p;
}

static int scan_number(struct scan *s)
{
	const char *start = s->p, *whole = start + (*start == '-'), *p = whole;
	long exponent = 0, whole_digits;

	p = p < s->end && *p == '0' ? p + 1 : digits(p, s->end);
	whole_digits = p - whole;
	if (whole_digits == 0)
		return expected(s, p, "a digit");
	if (p < s->end && *p == '.') {
		p = digits(p + 1, s->end);
		if (!json_is_digit(p[-1]))
			return expected(s, p, "a digit behind the point");
	}
	if (p < s->end && (*p == 'e' || *p == 'E')) {
		p = scan_exponent(p + 1, s->end, &exponent);
		if (!json_is_digit(p[-1]))
			return expected(s, p, "a digit in the exponent");
	}
	if (whole_digits + exponent > SURE_DIGITS) {
		/* strtod wants a NUL behind the digits. */
		struct str z = arena_str(&s->keys.bytes, (struct str){start, (size_t)(p - start)});

		if (isinf(strtod(z.p, NULL)))
			return fail(s, start, "The number is too large for a double");
	}
	s->long_number |= p - start > CJSON_NUMBER_BYTES;
	s->p = p;
	return VALUE_READ;
}

static int scan_word(struct scan *s, struct str word)
{
	if ((size_t)(s->end - s->p) < word.n || memcmp(s->p, word.p, word.n) != 0)
		return expected(s, s->p, "a value");
	s->p += word.n;
	return VALUE_READ;
}

/* --- arrays and objects ------------------------------------------------- */

static void skip_space(struct scan *s)
{
	while (s->p < s->end && json_is_space(*s->p))
		s->p++;
}

static bool at(const struct scan *s, char c)
{
	return s->p < s->end && *s->p == c;
}

static struct frame *top(struct scan *s)
{
	return &s->frames[s->depth - 1];
}

/* `"key":`, after which a value follows. */
static int scan_key(struct scan *s)
{
	struct frame *f = top(s);
	const char *start;
	bool escaped;

	skip_space(s);
	if (!at(s, '"'))
		return expected(s, s->p, "a key in quotes");
	if (s->keys.n - f->first_key == JSON_MEMBERS_MAX)
		return fail(s, s->p, "An object has more than %d members", JSON_MEMBERS_MAX);
	start = s->p + 1;
	if (scan_string(s, &escaped) < 0)
		return FAILED;
	keys_push(&s->keys, (struct str){start, (size_t)(s->p - 1 - start)}, escaped);
	f->inside = true;
	skip_space(s);
	if (!at(s, ':'))
		return expected(s, s->p, "':'");
	s->p++;
	return VALUE_NEXT;
}

/* s->p is at the bracket. */
static int close_top(struct scan *s)
{
	struct frame *f = top(s);

	if (f->object && keys_twice(&s->keys, f->first_key)) {
		f->inside = true; /* so that the pointer names the key */
		return fail(s, s->keys.list[s->keys.n - 1].raw - 1, "The key stands twice in its object");
	}
	s->p++;
	s->keys.n = f->first_key;
	s->depth--;
	return VALUE_READ;
}

static int open_frame(struct scan *s, bool object)
{
	if (s->depth == s->max_depth)
		return fail(s, s->p, "The text is nested deeper than %d", s->max_depth);
	s->frames[s->depth++] = (struct frame){s->keys.n, 0, object, false};
	s->p++;
	skip_space(s);
	if (at(s, object ? '}' : ']'))
		return close_top(s);
	if (object)
		return scan_key(s);
	top(s)->inside = true;
	return VALUE_NEXT;
}

/* A value inside an array or object was read: a comma and the next one, or the end. */
static int scan_behind(struct scan *s)
{
	struct frame *f = top(s);

	f->inside = false;
	skip_space(s);
	if (at(s, f->object ? '}' : ']'))
		return close_top(s);
	if (!at(s, ','))
		return expected(s, s->p, f->object ? "',' or '}'" : "',' or ']'");
	s->p++;
	if (f->object)
		return scan_key(s);
	f->index++;
	f->inside = true;
	return VALUE_NEXT;
}

static int scan_value(struct scan *s)
{
	bool escaped;

	skip_space(s);
	switch (s->p < s->end ? *s->p : '\0') {
	case '{':
		return open_frame(s, true);
	case '[':
		return open_frame(s, false);
	case '"':
		return scan_string(s, &escaped);
	case 't':
		return scan_word(s, STR("true"));
	case 'f':
		return scan_word(s, STR("false"));
	case 'n':
		return scan_word(s, STR("null"));
	case '-':
	case '0' ... '9':
		return scan_number(s);
	default:
		return expected(s, s->p, "a value");
	}
}

static int scan_text(struct scan *s)
{
	int step = VALUE_NEXT;

	while (step == VALUE_NEXT || (step == VALUE_READ && s->depth > 0))
		step = step == VALUE_NEXT ? scan_value(s) : scan_behind(s);
	if (step == FAILED)
		return -1;
	skip_space(s);
	return s->p == s->end ? 0 : expected(s, s->p, "the end of the text");
}

int json_scan_numbers(struct str text, int max_depth, bool *long_number, struct err *e)
{
	struct scan s;
	int rc;

	s.begin = s.p = text.p ? text.p : "";
	s.end = s.begin + text.n;
	s.e = e;
	s.depth = 0;
	s.max_depth = max_depth < JSON_DEPTH_MAX ? max_depth : JSON_DEPTH_MAX;
	s.long_number = false;
	keys_init(&s.keys);
	rc = scan_text(&s);
	keys_release(&s.keys);
	*long_number = s.long_number;
	return rc;
}

int json_scan(struct str text, int max_depth, struct err *e)
{
	bool long_number;

	return json_scan_numbers(text, max_depth, &long_number, e);
}
