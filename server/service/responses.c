/* responses.c - the responses of a row and their scores. */
#include <stdlib.h>

#include "align/implicit.h"
#include "base/hash.h"
#include "rows.h"

#define LOGPROB_MIN (-1e15)
enum { ID_HEX_BYTES = 16, LOGPROBS_PER_RESPONSE_MAX = 64 };

/* --- scores --------------------------------------------------------------------- */

struct score_input {
	struct score s;
	struct str response; /* of POST …/scores */
	const struct json *value;
	struct str status;
};

static int read_status(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct str *s = to;

	if (read_text(r, v, s, e) < 0)
		return -1;
	if (!str_eq(*s, STR("ok")) && !str_eq(*s, STR("failed")) && !str_eq(*s, STR("abstained")))
		return err_set(e, P_INVALID, "must be ok, failed or abstained");
	return 0;
}

static int read_value(struct reading *r, const struct json *v, void *to, struct err *e)
{
	(void)r;
	if (json_type(v) != JSON_NULL && json_type(v) != JSON_NUMBER)
		return err_set(e, P_INVALID, "must be a number or null, not %s", json_type_name(v));
	*(const struct json **)to = v;
	return 0;
}

static int check_range(const struct dataset *d, const struct score *s, struct err *e)
{
	for (uint32_t i = 0; i < d->attributes; i++) {
		const struct attribute *a = &d->attribute[i];

		if (str_eq(a->name, s->attribute) && (s->value < a->min || s->value > a->max))
			return err_at(e, P_INVALID, "/value", "%.17g lies outside the range of %.*s, %.17g to %.17g",
			              s->value, STR_ARG(a->name), a->min, a->max);
	}
	return 0;
}

/* value: null needs the status failed or abstained, a number needs ok. */
static int finish_score(const struct row_rules *rules, struct score_input *in, struct err *e)
{
	bool null = json_type(in->value) == JSON_NULL;

	if (!in->s.attribute.p)
		in->s.attribute = STR("overall");
	if (!in->status.p || str_eq(in->status, STR("ok")))
		in->s.status = SCORE_OK;
	else
		in->s.status = str_eq(in->status, STR("failed")) ? SCORE_FAILED : SCORE_ABSTAINED;
	if (null && in->s.status == SCORE_OK)
		return err_at(e, P_INVALID, "/value", "null needs the status failed or abstained");
	if (!null && in->s.status != SCORE_OK)
		return err_at(e, P_INVALID, "/value", "a number needs the status ok; failed and abstained go with null");
	if (null)
		return 0;
	in->s.value = json_number(in->value);
	return check_range(rules->dataset, &in->s, e);
}

static const struct field score_fields[] = {
	{"judge", read_name, offsetof(struct score_input, s.judge), true},
	{"attribute", read_name, offsetof(struct score_input, s.attribute), false},
	{"value", read_value, offsetof(struct score_input, value), true},
	{"status", read_status, offsetof(struct score_input, status), false},
	{"rationale", read_text, offsetof(struct score_input, s.rationale), false},
	{"at", read_time, offsetof(struct score_input, s.at), false},
	{"response", read_id, offsetof(struct score_input, response), true},
};

/* with_response: a row of POST …/scores; else one inside a response. */
static int read_score(struct reading *r, const struct json *v, bool with_response,
                      struct score_input *in, struct err *e)
{
	*in = (struct score_input){.s = {.at = TIME_NONE}};
	if (fields_read(r, v, score_fields, FIELD_COUNT(score_fields) - !with_response, in, e) < 0)
		return -1;
	return finish_score(r->rules, in, e);
}

int read_score_row(struct reading *r, const struct json *v, struct row *out, struct err *e)
{
	struct score_input in;

	if (read_score(r, v, true, &in, e) < 0)
		return -1;
	out->score.response = in.response;
	out->score.score = in.s;
	return 0;
}

void draft_score(struct arena *a, struct draft *d, const struct score *s)
{
	if (d->scores == d->room) {
		struct score *more = ARENA_ARRAY(a, struct score, d->room ? 2 * d->room : 8);

		if (d->scores)
			memcpy(more, d->score, d->scores * sizeof *more);
		d->score = more;
		d->room = d->room ? 2 * d->room : 8;
	}
	d->score[d->scores++] = *s;
}

static int same_slot(const struct score *a, const struct score *b)
{
	int c = str_cmp(a->attribute, b->attribute);

	if (c == 0)
		c = str_cmp(a->judge, b->judge);
	return c ? c : (a->at > b->at) - (a->at < b->at);
}

static int by_slot_then_place(const void *x, const void *y)
{
	const struct score *a = *(struct score *const *)x, *b = *(struct score *const *)y;
	int c = same_slot(a, b);

	return c ? c : (a > b) - (a < b);
}

/* Of one judge's values for one attribute at one time the last wins. The
 * result is sorted, which is also the order of the store's keys. */
static void settle_scores(struct arena *a, struct draft *d)
{
	struct score **order = ARENA_ARRAY(a, struct score *, d->scores);
	struct score *out = ARENA_ARRAY(a, struct score, d->scores);
	uint32_t n = 0;

	for (uint32_t i = 0; i < d->scores; i++)
		order[i] = &d->score[i];
	qsort(order, d->scores, sizeof *order, by_slot_then_place);
	for (uint32_t i = 0; i < d->scores; i++)
		if (i + 1 == d->scores || same_slot(order[i], order[i + 1]) != 0)
			out[n++] = *order[i];
	d->r.score = out;
	d->r.scores = n;
}

static int read_scores(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct draft *d = to;
	struct score_input in;
	uint32_t i = 0;

	if (want_type(v, JSON_ARRAY, e) < 0)
		return -1;
	for (const struct json *c = json_first(v); c; c = json_next(c), i++) {
		if (read_score(r, c, false, &in, e) < 0)
			return err_under(e, "/%u", i);
		draft_score(r->arena, d, &in.s);
	}
	return 0;
}

/* --- responses ------------------------------------------------------------------ */

int read_logprob(struct reading *r, const struct json *v, void *to, struct err *e)
{
	double *l = to;

	if (read_number(r, v, l, e) < 0)
		return -1;
	if (*l > LOGPROB_MAX)
		return err_set(e, P_INVALID, "a log-probability is at most 0");
	/* A fact stays for ever: one that no reward can be made of must not come in. */
	if (*l < LOGPROB_MIN)
		return err_set(e, P_INVALID, "a log-probability is at least %g", LOGPROB_MIN);
	if (*l > 0)
		*l = 0;
	return 0;
}

static int read_model_logprob(struct reading *r, const struct json *m, struct logprob *l, struct err *e)
{
	l->model = json_key(m);
	l->tokens = -1;
	if (!name_valid(l->model))
		return err_set(e, P_INVALID, "a model is 1 to 256 bytes without control characters");
	return read_logprob(r, m, &l->logprob, e);
}

int read_logprobs(struct reading *r, const struct json *v, struct logprob **out, uint32_t *count, struct err *e)
{
	struct logprob *l;
	uint32_t n = 0;

	if (want_type(v, JSON_OBJECT, e) < 0)
		return -1;
	if (json_size(v) > LOGPROBS_PER_RESPONSE_MAX)
		return err_set(e, P_INVALID, "more than %d models", LOGPROBS_PER_RESPONSE_MAX);
	l = ARENA_ARRAY(r->arena, struct logprob, json_size(v));
	for (const struct json *m = json_first(v); m; m = json_next(m), n++)
		if (read_model_logprob(r, m, &l[n], e) < 0)
			return under_key(e, json_key(m));
	*out = l;
	*count = n;
	return 0;
}

static int read_response_logprobs(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct draft *d = to;
	struct logprob *l;

	if (read_logprobs(r, v, &l, &d->r.logprobs, e) < 0)
		return -1;
	d->r.logprob = l;
	return 0;
}

static const struct field response_fields[] = {
	{"id", read_id, offsetof(struct draft, r.id), false},
	{"text", read_text, offsetof(struct draft, r.text), true},
	{"model", read_name, offsetof(struct draft, r.model), false},
	{"tokens", read_count, offsetof(struct draft, r.tokens), false},
	{"finish_reason", read_name, offsetof(struct draft, r.finish_reason), false},
	{"logprobs", read_response_logprobs, 0, false},
	{"scores", read_scores, 0, false},
};

int read_response(struct reading *r, const struct json *v, struct draft *d, struct err *e)
{
	d->r.tokens = -1;
	return fields_read(r, v, response_fields, FIELD_COUNT(response_fields), d, e);
}

static void derive_response_id(struct arena *a, struct str prompt, struct response *r)
{
	char text_hex[2 * SHA256_BYTES + 1], id[2 * ID_HEX_BYTES + 1];
	struct str parts[3] = {prompt, r->model, {text_hex, 2 * SHA256_BYTES}};
	uint8_t h[SHA256_BYTES];

	if (!r->model.p)
		parts[1] = STR("");
	hex_of(r->text_hash, SHA256_BYTES, text_hex);
	hash_keyed(h, "prefd-response-1", parts, 3);
	hex_of(h, ID_HEX_BYTES, id);
	r->id = arena_str(a, str_of(id));
}

static void merge_logprobs(struct arena *a, struct response *into, const struct response *twin)
{
	struct logprob *l;
	uint32_t n = into->logprobs;

	if (twin->logprobs == 0)
		return;
	l = ARENA_ARRAY(a, struct logprob, n + twin->logprobs);
	if (n)
		memcpy(l, into->logprob, n * sizeof *l);
	for (uint32_t i = 0; i < twin->logprobs; i++) {
		uint32_t k = 0;

		while (k < n && !str_eq(l[k].model, twin->logprob[i].model))
			k++;
		if (k == n)
			l[n++] = twin->logprob[i];
	}
	into->logprob = l;
	into->logprobs = n;
}

/* Twins: what the first lacks the second fills in; the last score wins. */
static int fold(struct arena *a, struct draft *into, const struct draft *twin, struct err *e)
{
	const struct response *r = &twin->r;

	if (memcmp(into->r.text_hash, r->text_hash, SHA256_BYTES) != 0 || !str_eq(into->r.model, r->model))
		return err_at(e, P_INVALID, "/id", "another response of this row has the id %.*s and another text or model",
		              STR_ARG(r->id));
	if (into->r.tokens < 0)
		into->r.tokens = r->tokens;
	if (!into->r.finish_reason.p)
		into->r.finish_reason = r->finish_reason;
	merge_logprobs(a, &into->r, r);
	for (uint32_t i = 0; i < twin->scores; i++)
		draft_score(a, into, &twin->score[i]);
	return 0;
}

static int by_id_then_place(const void *x, const void *y)
{
	const struct draft *a = *(struct draft *const *)x, *b = *(struct draft *const *)y;
	int c = str_cmp(a->r.id, b->r.id);

	return c ? c : (a > b) - (a < b);
}

/* Folds twins into the first of them; dead[i] marks the others. */
static int fold_twins(struct arena *a, struct draft *d, uint32_t n, bool *dead, struct err *e)
{
	struct draft **order = ARENA_ARRAY(a, struct draft *, n);

	for (uint32_t i = 0; i < n; i++)
		order[i] = &d[i];
	qsort(order, n, sizeof *order, by_id_then_place);
	for (uint32_t first = 0, i = 1; i < n; i++) {
		if (!str_eq(order[i]->r.id, order[first]->r.id)) {
			first = i;
			continue;
		}
		if (fold(a, order[first], order[i], e) < 0)
			return err_under(e, "/responses/%u", (unsigned)(order[i] - d));
		dead[order[i] - d] = true;
	}
	return 0;
}

int record_responses(struct arena *a, struct record *rec, struct draft *d, uint32_t n, struct err *e)
{
	bool *dead = ARENA_ARRAY(a, bool, n);
	struct response *out = ARENA_ARRAY(a, struct response, n);

	for (uint32_t i = 0; i < n; i++) {
		sha256_of(d[i].r.text.p, d[i].r.text.n, d[i].r.text_hash);
		d[i].r.characters = utf8_length(d[i].r.text);
		if (!d[i].r.id.p)
			derive_response_id(a, rec->id, &d[i].r);
	}
	if (n > 1 && fold_twins(a, d, n, dead, e) < 0)
		return -1;
	rec->responses = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (dead[i])
			continue;
		settle_scores(a, &d[i]);
		out[rec->responses++] = d[i].r;
	}
	rec->response = out;
	return 0;
}
