/* formats.c - rows as other projects publish them.
 *
 * Their keys are theirs: what a form does not use is passed over, what it
 * needs and lacks is refused. From here on such a row is a record like any. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "rows.h"

enum rows_format format_of(struct str name)
{
	static const char *const names[FORMAT_COUNT] = {
		[FORMAT_RECORDS] = "records",
		[FORMAT_ULTRAFEEDBACK] = "ultrafeedback",
		[FORMAT_ULTRAFEEDBACK_BINARIZED] = "ultrafeedback_binarized",
		[FORMAT_TRL] = "trl",
	};

	for (int f = 0; f < FORMAT_COUNT; f++)
		if (str_eq(name, str_of(names[f])))
			return (enum rows_format)f;
	return FORMAT_COUNT;
}

/* --- small readers ------------------------------------------------------------------ */

static const struct json *need(const struct json *v, const char *key, enum json_type type, struct err *e)
{
	const struct json *m = json_get(v, key);

	if (m == NULL) {
		err_set(e, P_INVALID, "is required");
		err_under(e, "/%s", key);
		return NULL;
	}
	if (want_type(m, type, e) < 0) {
		err_under(e, "/%s", key);
		return NULL;
	}
	return m;
}

/* An optional string; null and absent are the same in published data. */
static struct str maybe(const struct json *v, const char *key)
{
	const struct json *m = json_get(v, key);

	return m && json_type(m) == JSON_STRING ? json_string(m) : STR_NONE;
}

/* A number, or a number written as a string. False for null, "N/A" and the like. */
static bool loose_number(struct arena *a, const struct json *v, double *out)
{
	struct str s;
	char *end;

	if (v == NULL)
		return false;
	if (json_type(v) == JSON_NUMBER) {
		*out = json_number(v);
		return true;
	}
	if (json_type(v) != JSON_STRING)
		return false;
	s = arena_str(a, json_string(v));
	if (s.n == 0 || s.n > 32 || s.p[strspn(s.p, "+-.0123456789eE")] != '\0')
		return false;
	*out = strtod(s.p, &end);
	return *end == '\0' && isfinite(*out);
}

static struct score value_score(struct str judge, struct str attribute, double value)
{
	/* + 0.0: never -0 */
	return (struct score){judge, attribute, value + 0.0, SCORE_OK, TIME_NONE, STR_NONE};
}

static int in_range(const struct row_rules *rules, const struct score *s, struct err *e)
{
	const struct dataset *d = rules->dataset;

	for (uint32_t i = 0; s->status == SCORE_OK && i < d->attributes; i++)
		if (str_eq(d->attribute[i].name, s->attribute) &&
		    (s->value < d->attribute[i].min || s->value > d->attribute[i].max))
			return err_set(e, P_INVALID, "%.17g lies outside the range of %.*s, %.17g to %.17g", s->value,
			               STR_ARG(s->attribute), d->attribute[i].min, d->attribute[i].max);
	return 0;
}

/* --- ultrafeedback ------------------------------------------------------------------- */

static const char *const ratings[] = {"helpfulness", "honesty", "instruction_following", "truthfulness"};
enum { RATINGS = 4 };

/* "N/A" is a judge that failed, not a score. Returns 1 when there is a value. */
static int add_rating(struct reading *r, struct draft *d, struct str judge, const char *attribute,
                      const struct json *annotation, double *value, struct err *e)
{
	const struct json *rating = json_get(annotation, "Rating");
	struct score s = value_score(judge, str_of(attribute), 0);
	int good = loose_number(r->arena, rating, value);

	if (rating == NULL)
		return 0;
	s.value = good ? *value + 0.0 : 0;
	s.status = good ? SCORE_OK : SCORE_FAILED;
	s.rationale = maybe(annotation, "Rationale");
	if (in_range(r->rules, &s, e) < 0)
		return err_under(e, "/annotations/%s/Rating", attribute);
	draft_score(r->arena, d, &s);
	return good;
}

/* In older copies an overall_score of 10 stands where 1 was meant; the ratings
 * of such a completion are low. */
static double mended_overall(const struct row_rules *rules, double overall, double sum, int n)
{
	return rules->fix_overall && overall == 10 && n > 0 && sum / n <= 2 ? 1 : overall;
}

static int read_completion(struct reading *r, const struct row_rules *rules, const struct json *v,
                           struct draft *d, struct err *e)
{
	struct str judge = rules->judge.p ? rules->judge : STR("gpt-4");
	const struct json *text = need(v, "response", JSON_STRING, e), *notes;
	double value, sum = 0;
	int good = 0;

	if (text == NULL)
		return -1;
	d->r.tokens = -1;
	d->r.text = json_string(text);
	d->r.model = maybe(v, "model");
	if (d->r.model.p && !name_valid(d->r.model))
		return err_at(e, P_INVALID, "/model", "a model is 1 to 256 bytes without control characters");
	notes = json_get(v, "annotations");
	for (int i = 0; notes && i < RATINGS; i++) {
		const struct json *note = json_get(notes, ratings[i]);
		int rc = note ? add_rating(r, d, judge, ratings[i], note, &value, e) : 0;

		if (rc < 0)
			return -1;
		if (rc) {
			sum += value;
			good++;
		}
	}
	if (loose_number(r->arena, json_get(v, "overall_score"), &value)) {
		struct score s = value_score(judge, STR("overall"), mended_overall(rules, value, sum, good));

		s.rationale = maybe(v, "critique");
		if (in_range(rules, &s, e) < 0)
			return err_under(e, "/overall_score");
		draft_score(r->arena, d, &s);
	}
	return 0;
}

static int read_ultrafeedback(struct reading *r, const struct row_rules *rules, const struct json *v,
                              struct record *rec, struct err *e)
{
	const struct json *prompt = need(v, "instruction", JSON_STRING, e), *all;
	struct message m = {STR("user"), STR_NONE};
	struct draft *d;
	uint32_t i = 0;

	if (prompt == NULL || (all = need(v, "completions", JSON_ARRAY, e)) == NULL)
		return -1;
	m.content = json_string(prompt);
	rec->source = maybe(v, "source");
	record_messages(r->arena, rec, &m, 1);
	d = ARENA_ARRAY(r->arena, struct draft, json_size(all));
	for (const struct json *c = json_first(all); c; c = json_next(c), i++)
		if (read_completion(r, rules, c, &d[i], e) < 0)
			return err_under(e, "/completions/%u", i);
	return record_responses(r->arena, rec, d, i, e);
}

/* --- two conversations that differ in their last message ------------------------------ */

struct two {
	struct message *prompt;
	uint32_t prompts;
	struct str chosen, rejected;
};

static bool same_message(const struct message *a, const struct message *b)
{
	return str_eq(a->role, b->role) && str_eq(a->content, b->content);
}

/* The answer: the one assistant message that stands last. */
static int last_answer(const struct message *m, uint32_t n, uint32_t shared, const char *key,
                       struct str *out, struct err *e)
{
	char pointer[32];

	snprintf(pointer, sizeof pointer, "/%s", key);
	if (n != shared + 1 || !str_eq(m[n - 1].role, STR("assistant")))
		return err_at(e, P_INVALID, pointer, "must end in one assistant message that answers the shared prompt");
	*out = m[n - 1].content;
	return 0;
}

static int read_two_conversations(struct reading *r, const struct json *v, struct two *t, struct err *e)
{
	const struct json *c = need(v, "chosen", JSON_ARRAY, e), *x = NULL;
	struct message *chosen, *rejected;
	uint32_t n, m, shared = 0;

	if (c == NULL || (x = need(v, "rejected", JSON_ARRAY, e)) == NULL)
		return -1;
	if (read_messages(r, c, &chosen, &n, e) < 0)
		return err_under(e, "/chosen");
	if (read_messages(r, x, &rejected, &m, e) < 0)
		return err_under(e, "/rejected");
	while (shared + 1 < n && shared + 1 < m && same_message(&chosen[shared], &rejected[shared]))
		shared++;
	t->prompt = chosen;
	t->prompts = shared;
	if (last_answer(chosen, n, shared, "chosen", &t->chosen, e) < 0)
		return -1;
	return last_answer(rejected, m, shared, "rejected", &t->rejected, e);
}

/* Two responses; returns whether they are two. */
static int add_two(struct reading *r, struct record *rec, const struct two *t, struct draft d[2], struct err *e)
{
	record_messages(r->arena, rec, t->prompt, t->prompts);
	d[0].r.text = t->chosen;
	d[1].r.text = t->rejected;
	d[0].r.tokens = d[1].r.tokens = -1;
	return record_responses(r->arena, rec, d, 2, e);
}

/* --- ultrafeedback_binarized ---------------------------------------------------------- */

static int add_pair_score(struct reading *r, const struct row_rules *rules, const struct json *v,
                          const char *key, struct draft *d, struct err *e)
{
	struct score s;
	double value;

	if (!loose_number(r->arena, json_get(v, key), &value))
		return 0;
	s = value_score(rules->judge.p ? rules->judge : STR("gpt-4"), STR("overall"), value);
	if (in_range(rules, &s, e) < 0)
		return err_under(e, "/%s", key);
	draft_score(r->arena, d, &s);
	return 0;
}

static int read_binarized(struct reading *r, const struct row_rules *rules, const struct json *v,
                          struct record *rec, struct err *e)
{
	struct draft *d = ARENA_ARRAY(r->arena, struct draft, 2);
	struct two t;

	if (read_two_conversations(r, v, &t, e) < 0)
		return -1;
	if (t.prompts == 0)
		return err_at(e, P_INVALID, "/chosen", "holds no prompt before the answer");
	rec->id = maybe(v, "prompt_id");
	if (rec->id.p && !id_valid(rec->id))
		return err_at(e, P_INVALID, "/prompt_id", "is no id");
	if (add_pair_score(r, rules, v, "score_chosen", &d[0], e) < 0 ||
	    add_pair_score(r, rules, v, "score_rejected", &d[1], e) < 0)
		return -1;
	return add_two(r, rec, &t, d, e);
}

/* --- trl -------------------------------------------------------------------------------- */

/* Explicit form: the prompt apart, each answer a string or one message. */
static int read_explicit_answer(struct reading *r, const struct json *v, const char *key, struct str *out,
                                struct err *e)
{
	const struct json *m = json_get(v, key);
	struct message *answer;
	uint32_t n;
	char pointer[32];

	snprintf(pointer, sizeof pointer, "/%s", key);
	if (m == NULL)
		return err_at(e, P_INVALID, pointer, "is required");
	if (json_type(m) == JSON_STRING) {
		*out = json_string(m);
		return 0;
	}
	if (read_messages(r, m, &answer, &n, e) < 0)
		return err_under(e, "/%s", key);
	return last_answer(answer, n, 0, key, out, e);
}

/* Implicit form, plain text: the prompt is what both texts begin with, cut
 * before a shared space, and never inside a code point. */
static int read_implicit_text(struct reading *r, const struct json *v, struct two *t, struct err *e)
{
	const struct json *c = need(v, "chosen", JSON_STRING, e), *x = NULL;
	struct str a, b;
	size_t n = 0;

	if (c == NULL || (x = need(v, "rejected", JSON_STRING, e)) == NULL)
		return -1;
	a = json_string(c);
	b = json_string(x);
	while (n < a.n && n < b.n && a.p[n] == b.p[n])
		n++;
	while (n > 0 && n < a.n && ((unsigned char)a.p[n] & 0xC0) == 0x80)
		n--;
	if (n > 0 && a.p[n - 1] == ' ')
		n--;
	t->prompt = ARENA_NEW(r->arena, struct message);
	*t->prompt = (struct message){STR("user"), {a.p, n}};
	t->prompts = 1;
	t->chosen = (struct str){a.p + n, a.n - n};
	t->rejected = (struct str){b.p + n, b.n - n};
	return 0;
}

static int read_trl_texts(struct reading *r, const struct json *v, struct two *t, struct err *e)
{
	const struct json *prompt = json_get(v, "prompt"), *chosen = json_get(v, "chosen");

	if (prompt) {
		if (read_messages(r, prompt, &t->prompt, &t->prompts, e) < 0)
			return err_under(e, "/prompt");
		if (read_explicit_answer(r, v, "chosen", &t->chosen, e) < 0)
			return -1;
		return read_explicit_answer(r, v, "rejected", &t->rejected, e);
	}
	if (chosen && json_type(chosen) == JSON_STRING)
		return read_implicit_text(r, v, t, e);
	if (read_two_conversations(r, v, t, e) < 0)
		return -1;
	return t->prompts ? 0 : err_at(e, P_INVALID, "/chosen", "shares no message with /rejected: there is no prompt");
}

static int read_trl(struct reading *r, const struct row_rules *rules, const struct json *v,
                    struct record *rec, struct err *e)
{
	struct draft *d = ARENA_ARRAY(r->arena, struct draft, 2);
	struct comparison *c = ARENA_NEW(r->arena, struct comparison);
	struct two t;

	if (read_trl_texts(r, v, &t, e) < 0)
		return -1;
	if (str_eq(t.chosen, t.rejected))
		return err_at(e, P_INVALID, "/rejected", "is the same text as /chosen");
	if (add_two(r, rec, &t, d, e) < 0)
		return -1;
	*c = (struct comparison){.judge = rules->judge.p ? rules->judge : STR("trl"),
	                         .chosen = d[0].r.id, .rejected = d[1].r.id, .strength = 1, .at = TIME_NONE};
	rec->comparison = c;
	rec->comparisons = 1;
	return 0;
}

/* --- the door ---------------------------------------------------------------------------- */

int format_read(struct reading *r, const struct row_rules *rules, const struct json *v,
                struct record *rec, struct err *e)
{
	if (want_type(v, JSON_OBJECT, e) < 0)
		return -1;
	switch (rules->format) {
	case FORMAT_ULTRAFEEDBACK:
		return read_ultrafeedback(r, rules, v, rec, e);
	case FORMAT_ULTRAFEEDBACK_BINARIZED:
		return read_binarized(r, rules, v, rec, e);
	case FORMAT_TRL:
		return read_trl(r, rules, v, rec, e);
	case FORMAT_RECORDS:
	case FORMAT_COUNT:
		break;
	}
	return err_set(e, P_INTERNAL, "no such format");
}
