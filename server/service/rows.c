#include "rows.h"

#include "base/hash.h"

enum { ID_HEX_BYTES = 16 };
#define STRENGTH_MAX 1e12 /* sums of strengths stay finite */

/* --- prompts -------------------------------------------------------------------- */

static int read_role(struct reading *r, const struct json *v, void *to, struct err *e)
{
	static const char *const roles[] = {"system", "user", "assistant", "tool"};
	struct str *s = to;

	if (read_text(r, v, s, e) < 0)
		return -1;
	for (size_t i = 0; i < 4; i++)
		if (str_eq(*s, str_of(roles[i])))
			return 0;
	return err_set(e, P_INVALID, "must be system, user, assistant or tool");
}

static const struct field message_fields[] = {
	{"role", read_role, offsetof(struct message, role), true},
	{"content", read_text, offsetof(struct message, content), true},
};

int read_messages(struct reading *r, const struct json *v, struct message **out, uint32_t *n, struct err *e)
{
	struct message *m;
	uint32_t i = 0;

	if (json_type(v) == JSON_STRING) {
		m = ARENA_ARRAY(r->arena, struct message, 1);
		*m = (struct message){STR("user"), json_string(v)};
		*out = m;
		*n = 1;
		return 0;
	}
	if (json_type(v) != JSON_ARRAY)
		return err_set(e, P_INVALID, "must be a string or an array of messages, not %s", json_type_name(v));
	if (json_size(v) == 0)
		return err_set(e, P_INVALID, "must hold at least one message");
	m = ARENA_ARRAY(r->arena, struct message, json_size(v));
	for (const struct json *c = json_first(v); c; c = json_next(c), i++)
		if (fields_read(r, c, message_fields, FIELD_COUNT(message_fields), &m[i], e) < 0)
			return err_under(e, "/%u", i);
	*out = m;
	*n = i;
	return 0;
}

void record_messages(struct arena *a, struct record *rec, const struct message *m, uint32_t n)
{
	struct buf b = BUF_INIT;

	rec->characters = 0;
	buf_byte(&b, '[');
	for (uint32_t i = 0; i < n; i++) {
		buf_z(&b, i ? ",{\"role\":" : "{\"role\":");
		json_put_string(&b, m[i].role);
		buf_lit(&b, ",\"content\":");
		json_put_string(&b, m[i].content);
		buf_byte(&b, '}');
		rec->characters += utf8_length(m[i].content);
	}
	buf_byte(&b, ']');
	rec->messages = arena_str(a, buf_view(&b));
	buf_release(&b);
	sha256_of(rec->messages.p, rec->messages.n, rec->messages_hash);
	if (!rec->id.p) {
		char hex[2 * SHA256_BYTES + 1];
		struct str part = {hex, 2 * SHA256_BYTES};
		uint8_t h[SHA256_BYTES];

		hex_of(rec->messages_hash, SHA256_BYTES, hex);
		hash_keyed(h, "prefd-prompt-1", &part, 1);
		hex_of(h, ID_HEX_BYTES, hex);
		rec->id = arena_str(a, str_of(hex));
	}
}

/* --- comparisons ---------------------------------------------------------------- */

static int read_strength(struct reading *r, const struct json *v, void *to, struct err *e)
{
	double *x = to;

	if (read_number(r, v, x, e) < 0)
		return -1;
	if (*x <= 0 || *x > STRENGTH_MAX)
		return err_set(e, P_INVALID, "must be above 0 and at most %g", STRENGTH_MAX);
	return 0;
}

static const struct field comparison_fields[] = {
	{"judge", read_name, offsetof(struct comparison, judge), true},
	{"chosen", read_id, offsetof(struct comparison, chosen), true},
	{"rejected", read_id, offsetof(struct comparison, rejected), true},
	{"strength", read_strength, offsetof(struct comparison, strength), false},
	{"at", read_time, offsetof(struct comparison, at), false},
};

static int read_comparison(struct reading *r, const struct json *v, struct comparison *c, struct err *e)
{
	*c = (struct comparison){.strength = 1, .at = TIME_NONE};
	if (fields_read(r, v, comparison_fields, FIELD_COUNT(comparison_fields), c, e) < 0)
		return -1;
	if (str_eq(c->chosen, c->rejected))
		return err_at(e, P_INVALID, "/rejected", "is the chosen response itself");
	return 0;
}

/* --- records --------------------------------------------------------------------- */

struct record_input {
	struct record rec;
	const struct json *prompt, *responses, *comparisons, *metadata;
};

static int keep_value(struct reading *r, const struct json *v, void *to, struct err *e)
{
	(void)r;
	(void)e;
	*(const struct json **)to = v;
	return 0;
}

static int keep_array(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return want_type(v, JSON_ARRAY, e) < 0 ? -1 : keep_value(r, v, to, e);
}

static int keep_object(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return want_type(v, JSON_OBJECT, e) < 0 ? -1 : keep_value(r, v, to, e);
}

static const struct field record_fields[] = {
	{"id", read_id, offsetof(struct record_input, rec.id), false},
	{"prompt", keep_value, offsetof(struct record_input, prompt), true},
	{"split", read_name, offsetof(struct record_input, rec.split), false},
	{"source", read_name, offsetof(struct record_input, rec.source), false},
	{"metadata", keep_object, offsetof(struct record_input, metadata), false},
	{"responses", keep_array, offsetof(struct record_input, responses), false},
	{"comparisons", keep_array, offsetof(struct record_input, comparisons), false},
};

/* Metadata is kept as it was written: its numbers never pass through a double. */
static struct str compact_metadata(struct reading *r)
{
	struct buf b = BUF_INIT;
	struct str out;

	json_compact(&b, json_raw_member(r->text, "metadata"));
	out = arena_str(r->arena, buf_view(&b));
	buf_release(&b);
	return out;
}

static int read_responses(struct reading *r, const struct json *v, struct record *rec, struct err *e)
{
	uint32_t n = (uint32_t)json_size(v), i = 0;
	struct draft *d = ARENA_ARRAY(r->arena, struct draft, n);

	for (const struct json *c = json_first(v); c; c = json_next(c), i++)
		if (read_response(r, c, &d[i], e) < 0)
			return err_under(e, "/responses/%u", i);
	return record_responses(r->arena, rec, d, n, e);
}

static int read_comparisons(struct reading *r, const struct json *v, struct record *rec, struct err *e)
{
	struct comparison *c = ARENA_ARRAY(r->arena, struct comparison, json_size(v));
	uint32_t i = 0;

	for (const struct json *m = json_first(v); m; m = json_next(m), i++)
		if (read_comparison(r, m, &c[i], e) < 0)
			return err_under(e, "/comparisons/%u", i);
	rec->comparison = c;
	rec->comparisons = i;
	return 0;
}

static int read_record(struct reading *r, const struct json *v, struct record *rec, struct err *e)
{
	struct record_input in = {0};
	struct message *m;
	uint32_t n;

	if (fields_read(r, v, record_fields, FIELD_COUNT(record_fields), &in, e) < 0)
		return -1;
	if (read_messages(r, in.prompt, &m, &n, e) < 0)
		return err_under(e, "/prompt");
	*rec = in.rec;
	record_messages(r->arena, rec, m, n);
	if (in.metadata)
		rec->metadata = compact_metadata(r);
	if (in.responses && read_responses(r, in.responses, rec, e) < 0)
		return -1;
	if (in.comparisons && read_comparisons(r, in.comparisons, rec, e) < 0)
		return -1;
	return 0;
}

/* --- the row ---------------------------------------------------------------------- */

int row_read(struct arena *a, const struct row_rules *rules, struct str text, struct row *out, struct err *e)
{
	struct reading r = {a, text, rules};
	const struct json *v = json_parse(a, text, JSON_DEPTH_MAX, e);

	if (v == NULL)
		return -1;
	e->pointer[0] = '\0';
	out->kind = rules->kind;
	switch (rules->kind) {
	case ROW_SCORE:
		return read_score_row(&r, v, out, e);
	case ROW_COMPARISON:
		return read_comparison(&r, v, &out->comparison, e);
	case ROW_SAMPLE:
		return read_sample_row(&r, v, out, e);
	case ROW_LOGPROB:
		return read_logprob_row(&r, v, out, e);
	case ROW_RECORD:
		break;
	}
	out->record = (struct record){0};
	if (rules->format == FORMAT_RECORDS) {
		if (read_record(&r, v, &out->record, e) < 0)
			return -1;
	} else if (format_read(&r, rules, v, &out->record, e) < 0) {
		return -1;
	}
	if (!out->record.split.p)
		out->record.split = STR("train");
	return 0;
}
