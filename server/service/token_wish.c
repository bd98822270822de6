/* token_wish.c - what somebody wants a token to be. */
#include "token_wish.h"

#include "base/clock.h"

#define SECOND_US INT64_C(1000000)
enum { SPAN_DIGITS_MAX = 7 }; /* days: 27,000 years, which still fit */

const char *const scope_words[SCOPE_COUNT] = {"open", "read", "ingest", "train", "admin"};

/* --- scopes ------------------------------------------------------------------------------ */

static int add_scope(struct str word, unsigned *scopes, struct err *e)
{
	for (int i = SCOPE_READ; i < SCOPE_COUNT; i++)
		if (str_eq(word, str_of(scope_words[i]))) {
			*scopes |= 1u << i;
			return 0;
		}
	return err_set(e, P_INVALID, "a scope is read, ingest, train or admin, not '%.*s'", STR_ARG(word));
}

int token_scopes(struct str list, unsigned *scopes, struct err *e)
{
	*scopes = 0;
	do
		if (add_scope(str_cut(&list, ','), scopes, e) < 0)
			return -1;
	while (list.n > 0);
	return 0;
}

int read_scopes(struct reading *r, const struct json *v, void *to, struct err *e)
{
	(void)r;
	if (want_type(v, JSON_ARRAY, e) < 0)
		return -1;
	for (const struct json *m = json_first(v); m; m = json_next(m))
		if (want_type(m, JSON_STRING, e) < 0 || add_scope(json_string(m), to, e) < 0)
			return -1;
	return *(unsigned *)to ? 0 : err_set(e, P_INVALID, "names no scope");
}

/* --- datasets and rates -------------------------------------------------------------------- */

int read_token_datasets(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct token_datasets *d = to;

	if (json_type(v) == JSON_NULL)
		return 0;
	if (want_type(v, JSON_ARRAY, e) < 0)
		return -1;
	if (json_size(v) < 1 || json_size(v) > TOKEN_DATASETS_MAX)
		return err_set(e, P_INVALID, "must be null (all datasets) or 1 to %d ids", TOKEN_DATASETS_MAX);
	d->limited = true;
	d->id = ARENA_ARRAY(r->arena, struct str, json_size(v));
	for (const struct json *m = json_first(v); m; m = json_next(m), d->n++)
		if (read_id(r, m, &d->id[d->n], e) < 0)
			return err_under(e, "/%zu", d->n);
	return 0;
}

int read_rate(struct reading *r, const struct json *v, void *to, struct err *e)
{
	int64_t *rate = to;

	if (read_count(r, v, rate, e) < 0)
		return -1;
	return *rate >= 1 && *rate <= TOKEN_RATE_MAX
	               ? 0
	               : err_set(e, P_INVALID, "must be a whole number from 1 to %d", TOKEN_RATE_MAX);
}

/* --- expiry --------------------------------------------------------------------------------- */

static int64_t unit_us(char c)
{
	switch (c) {
	case 's':
		return SECOND_US;
	case 'm':
		return 60 * SECOND_US;
	case 'h':
		return 3600 * SECOND_US;
	case 'd':
		return 24 * 3600 * SECOND_US;
	default:
		return 0;
	}
}

/* 0: the text is no span such as 30d. */
static int64_t span_us(struct str text)
{
	int64_t n = 0, unit = text.n > 1 ? unit_us(text.p[text.n - 1]) : 0;

	if (unit == 0 || text.n - 1 > SPAN_DIGITS_MAX)
		return 0;
	for (size_t i = 0; i + 1 < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return 0;
		n = 10 * n + (text.p[i] - '0');
	}
	return n * unit;
}

int token_expiry(struct str text, int64_t now_us, int64_t *expires_us, struct err *e)
{
	int64_t span = span_us(text), last;

	clock_parse(STR("9999-12-31T23:59:59Z"), &last);
	if (span > 0)
		*expires_us = now_us + span;
	else if (clock_parse(text, expires_us) < 0)
		return err_set(e, P_INVALID, "an expiry is 30d, 12h, 15m, 90s or a time as in RFC 3339");
	if (*expires_us <= now_us || *expires_us > last)
		return err_set(e, P_INVALID, "an expiry lies in the future, and before the year 10000");
	return 0;
}

static int read_expiry(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct str text;

	if (json_type(v) == JSON_NULL)
		return 0;
	return read_text(r, v, &text, e) < 0 ? -1 : token_expiry(text, *(const int64_t *)r->rules, to, e);
}

int token_check_names(const struct token_wish *w, struct err *e)
{
	if (!name_valid(w->name))
		return err_set(e, P_INVALID, "a name is 1 to 256 bytes without control characters");
	for (size_t i = 0; i < w->datasets.n; i++)
		if (!id_valid(w->datasets.id[i]))
			return err_set(e, P_INVALID, "'%.*s' is no name of a dataset", STR_ARG(w->datasets.id[i]));
	return 0;
}

/* --- the document ----------------------------------------------------------------------------- */

static const struct field wish_fields[] = {
	{"name", read_name, offsetof(struct token_wish, name), true},
	{"scopes", read_scopes, offsetof(struct token_wish, scopes), true},
	{"datasets", read_token_datasets, offsetof(struct token_wish, datasets), false},
	{"expires", read_expiry, offsetof(struct token_wish, expires_us), false},
	{"requests_per_second", read_rate, offsetof(struct token_wish, requests_per_second), false},
	{"bytes_per_second", read_rate, offsetof(struct token_wish, bytes_per_second), false},
};

int token_read_wish(struct arena *a, struct str body, int64_t now_us, struct token_wish *w, struct err *e)
{
	struct reading r = {a, body, &now_us};
	const struct json *v = json_parse(a, body, JSON_DEPTH_MAX, e);

	*w = (struct token_wish){.expires_us = 0};
	if (v == NULL)
		return -1;
	e->pointer[0] = '\0';
	return fields_read(&r, v, wish_fields, FIELD_COUNT(wish_fields), w, e);
}
