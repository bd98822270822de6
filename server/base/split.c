#include "base/split.h"

#include "json_inside.h"
#include "swar.h"

/* Where a JSON body stands:
 *
 *   BODY --'['--> FIRST --value--> BEHIND --','--> NEXT --value--> BEHIND
 *     \             \--']'--> OVER <--']'--/
 *      \--'{'--> a row, then OVER
 *
 * A value runs through CONTAINER ({ or [), STRING or WORD (the rest). A body
 * of NDJSON stays in LINE. */
enum state { LINE, BODY, FIRST, NEXT, BEHIND, OVER, CONTAINER, STRING, WORD };

enum { BOM_BYTES = 3, BOM_SETTLED };
static const char bom[BOM_BYTES] = "\xEF\xBB\xBF";

void split_init(struct split *s, enum split_kind kind, size_t row_bytes, split_row_fn *row, void *ctx)
{
	*s = (struct split){
		.kind = kind,
		.row_bytes = row_bytes,
		.row = row,
		.ctx = ctx,
		.state = kind == SPLIT_JSON ? BODY : LINE,
	};
}

void split_release(struct split *s)
{
	buf_release(&s->held);
}

/* --- rows --------------------------------------------------------------- */

static int too_long(const struct split *s, struct err *e)
{
	return err_set(e, P_TOO_LARGE, "Row %llu is longer than %zu bytes", (unsigned long long)s->rows,
	               s->row_bytes);
}

/* Keeps the start of a row whose rest is still to come. */
static int hold(struct split *s, const char *p, size_t n, size_t limit, struct err *e)
{
	if (n > limit - s->held.n)
		return too_long(s, e);
	buf_add(&s->held, p, n);
	return 0;
}

/* The row is what is held and these bytes; without held ones it is not copied. */
static struct str joined(struct split *s, const char *p, size_t n)
{
	if (s->held.n == 0)
		return (struct str){p, n};
	buf_add(&s->held, p, n);
	return buf_view(&s->held);
}

static int hand_out(struct split *s, struct str row, struct err *e)
{
	int rc = s->row(s->ctx, s->rows++, row, e);

	buf_clear(&s->held);
	return rc;
}

/* --- lines -------------------------------------------------------------- */

/* A line may be held with the CR of its CRLF, which is no part of the row. */
static size_t line_limit(const struct split *s)
{
	return s->row_bytes < SIZE_MAX ? s->row_bytes + 1 : SIZE_MAX;
}

static bool is_blank(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!json_is_space(s.p[i]))
			return false;
	return true;
}

static int end_line(struct split *s, const char *p, size_t n, struct err *e)
{
	struct str line;

	if (n > line_limit(s) - s->held.n)
		return too_long(s, e);
	line = joined(s, p, n);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	/* The limit comes first: whether a line is blank must not depend on how
	 * much of it could be held. */
	if (line.n > s->row_bytes)
		return too_long(s, e);
	if (!is_blank(line))
		return hand_out(s, line, e);
	buf_clear(&s->held);
	return 0;
}

static int feed_lines(struct split *s, const char *p, size_t n, struct err *e)
{
	const char *end = p + n, *newline;

	while (p < end && (newline = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		int rc = end_line(s, p, (size_t)(newline - p), e);

		if (rc)
			return rc;
		p = newline + 1;
	}
	return hold(s, p, (size_t)(end - p), line_limit(s), e);
}

/* --- JSON --------------------------------------------------------------- */

static int broken(const struct split *s, const char *what, char found, struct err *e)
{
	unsigned char c = (unsigned char)found;
	unsigned long long row = s->rows;

	if (c > 0x20 && c < 0x7F)
		return err_set(e, P_BROKEN_JSON, "Expected %s, found '%c' (rows before: %llu)", what, c, row);
	return err_set(e, P_BROKEN_JSON, "Expected %s, found the byte 0x%02X (rows before: %llu)", what, c, row);
}

static bool is_word(char c)
{
	char low = (char)(c | 0x20);

	return json_is_digit(c) || (low >= 'a' && low <= 'z') || c == '-' || c == '+' || c == '.';
}

/* The state that reads a value beginning with c; WORD also where it is none. */
static enum state value_state(char c)
{
	return c == '{' || c == '[' ? CONTAINER : c == '"' ? STRING : WORD;
}

/* Between rows. Returns 1 where a row begins at c, which then is not taken. */
static int between(struct split *s, char c, struct err *e)
{
	bool value = c == '{' || c == '[' || c == '"' || is_word(c);

	if (json_is_space(c))
		return 0;
	switch (s->state) {
	case BODY:
		if (c == '[')
			s->state = FIRST;
		return c == '[' ? 0 : c == '{' ? 1 : broken(s, "an object or an array", c, e);
	case FIRST:
		if (c == ']')
			s->state = OVER;
		return c == ']' ? 0 : value ? 1 : broken(s, "a row or ']'", c, e);
	case NEXT:
		return value ? 1 : broken(s, "a row behind the comma", c, e);
	case BEHIND:
		if (c != ',' && c != ']')
			return broken(s, "',' or ']' behind a row", c, e);
		s->state = c == ',' ? NEXT : OVER;
		return 0;
	default:
		return broken(s, "the end of the body", c, e);
	}
}

/* Inside a string: up to and with its closing quote, or end. */
static const char *pass_string(struct split *s, const char *p, const char *end)
{
	if (s->escaped && p < end) {
		s->escaped = false;
		p++;
	}
	while ((p = swar_quote(p, end)) < end) {
		if (*p == '"') {
			s->in_string = false;
			return p + 1;
		}
		if (end - p < 2) {
			s->escaped = true;
			return end;
		}
		p += 2;
	}
	return end;
}

/* Brackets are only counted: whether they match is for the scan of the row. */
static const char *pass_container(struct split *s, const char *p, const char *end)
{
	while (p < end) {
		if (s->in_string) {
			p = pass_string(s, p, end);
			continue;
		}
		switch (*p++) {
		case '"':
			s->in_string = true;
			break;
		case '{':
		case '[':
			s->depth++;
			break;
		case '}':
		case ']':
			if (--s->depth == 0) {
				s->state = OVER;
				return p;
			}
		}
	}
	return end;
}

/* Passes over a row's bytes; s->state is OVER where it is complete. */
static const char *pass_row(struct split *s, const char *p, const char *end)
{
	switch (s->state) {
	case CONTAINER:
		return pass_container(s, p, end);
	case STRING:
		if (!s->in_string && p < end) { /* the opening quote */
			s->in_string = true;
			p++;
		}
		p = pass_string(s, p, end);
		if (!s->in_string)
			s->state = OVER;
		return p;
	default:
		while (p < end && is_word(*p))
			p++;
		if (p < end)
			s->state = OVER;
		return p;
	}
}

/* A row begins or goes on at *p; moves *p behind it, or to the end. */
static int take_row(struct split *s, const char **p, const char *end, struct err *e)
{
	const char *start = *p;
	size_t n;

	*p = pass_row(s, start, end);
	n = (size_t)(*p - start);
	if (s->state != OVER)
		return hold(s, start, n, s->row_bytes, e);
	if (n > s->row_bytes - s->held.n)
		return too_long(s, e);
	s->state = s->single ? OVER : BEHIND;
	return hand_out(s, joined(s, start, n), e);
}

static int feed_json(struct split *s, const char *p, size_t n, struct err *e)
{
	const char *end = p + n;
	int rc = 0;

	while (p < end) {
		if (s->state >= CONTAINER) {
			rc = take_row(s, &p, end, e);
			if (rc)
				return rc;
			continue;
		}
		rc = between(s, *p, e);
		if (rc < 0)
			return rc;
		if (rc > 0) {
			s->single = s->state == BODY;
			s->state = (int)value_state(*p);
		} else {
			p++;
		}
	}
	return 0;
}

/* --- the stream --------------------------------------------------------- */

static int feed(struct split *s, const char *p, size_t n, struct err *e)
{
	return s->kind == SPLIT_JSON ? feed_json(s, p, n, e) : feed_lines(s, p, n, e);
}

/* What looked like a byte order mark and was none is content. */
static int settle_bom(struct split *s, struct err *e)
{
	uint32_t seen = s->bom;

	s->bom = BOM_SETTLED;
	return seen < BOM_BYTES ? feed(s, bom, seen, e) : 0;
}

int split_feed(struct split *s, const char *p, size_t n, struct err *e)
{
	while (n > 0 && s->bom < BOM_BYTES && *p == bom[s->bom]) {
		s->bom++;
		p++;
		n--;
	}
	if (n == 0)
		return 0;
	if (s->bom != BOM_SETTLED) {
		int rc = settle_bom(s, e);

		if (rc)
			return rc;
	}
	return feed(s, p, n, e);
}

int split_end(struct split *s, struct err *e)
{
	if (s->bom != BOM_SETTLED) {
		int rc = settle_bom(s, e);

		if (rc)
			return rc;
	}
	if (s->kind == SPLIT_NDJSON)
		return end_line(s, "", 0, e);
	if (s->state == BODY)
		return err_set(e, P_BROKEN_JSON, "The body is empty");
	if (s->state != OVER)
		return err_set(e, P_BROKEN_JSON, "The body ends inside its %s (rows before: %llu)",
		               s->single ? "object" : "array", (unsigned long long)s->rows);
	return 0;
}
