#include "base/walk.h"

#include <stdlib.h>

#include "base/heap.h"
#include "decimal.h"
#include "json_inside.h"
#include "swar.h"

static inline void skip_space(struct walk *w)
{
	while (w->p < w->end && json_is_space(*w->p))
		w->p++;
}

void walk_init(struct walk *w, struct str scanned)
{
	*w = (struct walk){scanned.p, scanned.p + scanned.n};
}

enum json_type walk_type(struct walk *w)
{
	skip_space(w);
	switch (*w->p) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

bool walk_into(struct walk *w)
{
	skip_space(w);
	w->p++;
	skip_space(w);
	if (*w->p != ']' && *w->p != '}')
		return true;
	w->p++;
	return false;
}

bool walk_more(struct walk *w)
{
	skip_space(w);
	return *w->p++ == ',';
}

/* strtod wants something behind the number that is none of it. */
static double read_general(struct str number, bool at_end)
{
	char *copy;
	double x;

	if (!at_end)
		return strtod(number.p, NULL);
	copy = heap_zalloc(number.n + 1, 1);
	memcpy(copy, number.p, number.n);
	x = strtod(copy, NULL);
	heap_free(copy);
	return x;
}

double walk_number(struct walk *w)
{
	struct str number;
	double x;

	skip_space(w);
	number.p = w->p;
	while (w->p < w->end && *w->p != ',' && *w->p != '}' && *w->p != ']' && !json_is_space(*w->p))
		w->p++;
	number.n = (size_t)(w->p - number.p);
	if (!decimal_read(number, &x))
		x = read_general(number, w->p == w->end);
	return x == 0 ? 0 : x;
}

struct str walk_string(struct walk *w, struct arena *a)
{
	const char *start, *p;
	struct str raw;
	char *out;

	skip_space(w);
	start = w->p + 1;
	p = swar_quote(start, w->end);
	if (*p == '"') {
		w->p = p + 1;
		return (struct str){start, (size_t)(p - start)};
	}
	while (*p == '\\')
		p = swar_quote(p + 2, w->end);
	w->p = p + 1;
	raw = (struct str){start, (size_t)(p - start)};
	out = arena_alloc(a, raw.n);
	return (struct str){out, json_unescape(raw, out)};
}

struct str walk_key(struct walk *w, struct arena *a)
{
	struct str key = walk_string(w, a);

	skip_space(w);
	w->p++; /* the colon */
	return key;
}
