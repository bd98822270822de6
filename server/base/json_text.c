/* Text itself: UTF-8, escapes, and walks over JSON that was scanned before,
 * which therefore check nothing but the end. */
#include "json_inside.h"

#include <stdlib.h>

#include "swar.h"

/* --- UTF-8 -------------------------------------------------------------- */

static bool is_tail(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

/* The bytes of the valid sequence at p (not ASCII), or 0. */
static inline size_t utf8_step(const char *p, const char *end)
{
	unsigned char c = (unsigned char)p[0], second;
	size_t n = c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;

	if (n == 0 || (size_t)(end - p) < n)
		return 0;
	second = (unsigned char)p[1];
	if (!is_tail(p[1]) || (n > 2 && !is_tail(p[2])) || (n > 3 && !is_tail(p[3])))
		return 0;
	/* Overlong forms, surrogates, and what lies above U+10FFFF. */
	if ((c == 0xE0 && second < 0xA0) || (c == 0xED && second > 0x9F) ||
	    (c == 0xF0 && second < 0x90) || (c == 0xF4 && second > 0x8F))
		return 0;
	return n;
}

const char *utf8_run(const char *p, const char *end)
{
	while (p < end && (unsigned char)*p >= 0x80) {
		size_t n = utf8_step(p, end);

		if (n == 0)
			break;
		p += n;
	}
	return p;
}

bool utf8_valid(struct str s)
{
	const char *p = s.p, *end = s.n ? s.p + s.n : s.p;

	while (p < end) {
		const char *start = p;

		while (end - p >= 8 && !swar_not_ascii(swar_load(p)))
			p += 8;
		while (p < end && (unsigned char)*p < 0x80)
			p++;
		p = utf8_run(p, end);
		if (p == start)
			return false;
	}
	return true;
}

uint32_t utf8_length(struct str s)
{
	size_t i = 0;
	uint64_t tails = 0;

	while (s.n - i >= 8) {
		uint64_t lanes = 0; /* a count in each byte, so at most 255 words at a time */

		for (int words = 0; words < 255 && s.n - i >= 8; words++, i += 8)
			lanes += swar_tails(swar_load(s.p + i)) >> 7;
		tails += swar_sum(lanes);
	}
	for (; i < s.n; i++)
		tails += is_tail(s.p[i]);
	return (uint32_t)(s.n - tails);
}

/* --- escapes ------------------------------------------------------------ */

int json_hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		int c = p[i], low = c | 0x20;

		if (c >= '0' && c <= '9')
			v = v * 16 + (c - '0');
		else if (low >= 'a' && low <= 'f')
			v = v * 16 + (low - 'a' + 10);
		else
			return -1;
	}
	return v;
}

static size_t put_utf8(uint32_t c, char *out)
{
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};

	for (size_t i = n - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (c & 0x3F));
		c >>= 6;
	}
	out[0] = (char)(lead[n] | c);
	return n;
}

/* p is at the backslash; moves it behind the escape. */
static size_t put_unescaped(const char **p, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	uint32_t c;

	if ((*p)[1] != 'u') {
		out[0] = to[strchr(from, (*p)[1]) - from];
		*p += 2;
		return 1;
	}
	c = (uint32_t)json_hex4(*p + 2);
	*p += 6;
	if (c >= 0xD800 && c <= 0xDFFF) {
		c = 0x10000 + ((c - 0xD800) << 10) + ((uint32_t)json_hex4(*p + 2) - 0xDC00);
		*p += 6;
	}
	return put_utf8(c, out);
}

size_t json_unescape(struct str raw, char *out)
{
	const char *p = raw.p, *end = raw.p + raw.n;
	size_t n = 0;

	while (p < end) {
		if (*p == '\\')
			n += put_unescaped(&p, out + n);
		else
			out[n++] = *p++;
	}
	return n;
}

/* --- walks over scanned text -------------------------------------------- */

static const char *skip_space(const char *p, const char *end)
{
	while (p < end && json_is_space(*p))
		p++;
	return p;
}

/* From the opening quote to behind the closing one. */
static const char *skip_string(const char *p, const char *end)
{
	p = swar_quote(p + 1, end);
	while (*p == '\\')
		p = swar_quote(p + 2, end);
	return p + 1;
}

/* Numbers, true, false and null: what runs up to a bracket, comma, colon or space. */
static const char *skip_word(const char *p, const char *end)
{
	while (p < end && !json_is_space(*p) && *p != ',' && *p != ']' && *p != '}')
		p++;
	return p;
}

static const char *skip_value(const char *p, const char *end)
{
	size_t depth = 0;

	if (*p != '{' && *p != '[')
		return *p == '"' ? skip_string(p, end) : skip_word(p, end);
	do {
		if (*p == '"') {
			p = skip_string(p, end);
			continue;
		}
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		p++;
	} while (depth > 0);
	return p;
}

/* raw: a key's text between its quotes. */
static bool key_is(struct str raw, struct str key)
{
	struct buf b = BUF_INIT;
	char *out;
	bool same;

	if (raw.n == 0 || memchr(raw.p, '\\', raw.n) == NULL)
		return str_eq(raw, key);
	/* At most six bytes stand for one: anything longer is another key. */
	if (raw.n > 6 * key.n)
		return false;
	out = buf_room(&b, raw.n);
	same = str_eq((struct str){out, json_unescape(raw, out)}, key);
	buf_release(&b);
	return same;
}

struct str json_raw_member(struct str text, const char *key)
{
	const char *end = text.p + text.n, *p = skip_space(text.p, end);
	struct str wanted = str_of(key);

	if (p == end || *p != '{')
		return STR_NONE;
	p = skip_space(p + 1, end);
	while (*p != '}') {
		struct str name = {p + 1, 0}, value;

		p = skip_string(p, end);
		name.n = (size_t)(p - 1 - name.p);
		p = skip_space(p, end);
		value.p = skip_space(p + 1, end); /* behind the colon */
		p = skip_value(value.p, end);
		value.n = (size_t)(p - value.p);
		if (key_is(name, wanted))
			return value;
		p = skip_space(p, end);
		if (*p == ',')
			p = skip_space(p + 1, end);
	}
	return STR_NONE;
}

static void put_shortened(struct buf *out, struct str number)
{
	struct arena a;

	arena_init(&a);
	json_put_number(out, strtod(arena_str(&a, number).p, NULL));
	arena_release(&a);
}

static void compact(struct buf *out, struct str s, size_t number_bytes)
{
	const char *p = s.p, *end = s.n ? s.p + s.n : s.p;

	buf_room(out, s.n);
	for (p = skip_space(p, end); p < end; p = skip_space(p, end)) {
		struct str token = {p, 1};

		if (*p == '"')
			token.n = (size_t)(skip_string(p, end) - p);
		else if (*p == '-' || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z'))
			token.n = (size_t)(skip_word(p, end) - p);
		if (*p != '"' && token.n > number_bytes)
			put_shortened(out, token);
		else
			buf_str(out, token);
		p += token.n;
	}
}

void json_compact(struct buf *out, struct str scanned)
{
	compact(out, scanned, SIZE_MAX);
}

void json_shorten_numbers(struct buf *out, struct str scanned)
{
	compact(out, scanned, CJSON_NUMBER_BYTES);
}
