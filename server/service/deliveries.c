/* deliveries.c - what workers bring to a round, as rows. */
#include "base/hash.h"
#include "rows.h"

static const struct round_row *round_of(const struct reading *r)
{
	return ((const struct row_rules *)r->rules)->round;
}

static int check_model(const struct round_row *round, struct str model, struct err *e)
{
	if (str_eq(model, round->policy) || str_eq(model, round->reference))
		return 0;
	return err_set(e, P_INVALID, "is neither the policy nor the reference of the round");
}

/* --- samples ---------------------------------------------------------------------- */

static int read_index(struct reading *r, const struct json *v, void *to, struct err *e)
{
	uint32_t per_prompt = round_of(r)->per_prompt;
	int64_t n;

	if (read_count(r, v, &n, e) < 0)
		return -1;
	if (n >= per_prompt)
		return err_set(e, P_INVALID, "the round wants %u responses a prompt, of the indices 0 to %u", per_prompt,
		               per_prompt - 1);
	*(uint32_t *)to = (uint32_t)n;
	return 0;
}

/* Kept as compact text: nobody here computes with them. */
static int read_token_ids(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct buf b = BUF_INIT;
	int64_t id;
	size_t i = 0;

	if (want_type(v, JSON_ARRAY, e) < 0)
		return -1;
	for (const struct json *m = json_first(v); m; m = json_next(m), i++)
		if (read_count(r, m, &id, e) < 0)
			return err_under(e, "/%zu", i);
	json_put_canonical(&b, v);
	*(struct str *)to = arena_str(r->arena, buf_view(&b));
	buf_release(&b);
	return 0;
}

static int read_sample_logprobs(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct sample *s = to;
	struct logprob *l;

	if (read_logprobs(r, v, &l, &s->logprobs, e) < 0)
		return -1;
	for (uint32_t i = 0; i < s->logprobs; i++)
		if (check_model(round_of(r), l[i].model, e) < 0)
			return under_key(e, l[i].model);
	s->logprob = l;
	return 0;
}

static const struct field sample_fields[] = {
	{"prompt", read_id, offsetof(struct sample, prompt), true},
	{"index", read_index, offsetof(struct sample, index), true},
	{"text", read_text, offsetof(struct sample, text), true},
	{"tokens", read_count, offsetof(struct sample, tokens), false},
	{"finish_reason", read_name, offsetof(struct sample, finish_reason), false},
	{"prompt_token_ids", read_token_ids, offsetof(struct sample, prompt_token_ids), false},
	{"token_ids", read_token_ids, offsetof(struct sample, token_ids), false},
	{"logprobs", read_sample_logprobs, 0, false},
};

int read_sample_row(struct reading *r, const struct json *v, struct row *out, struct err *e)
{
	struct sample *s = &out->sample;

	*s = (struct sample){.tokens = -1};
	if (round_of(r)->mode != ROUND_SAMPLE)
		return err_set(e, P_INVALID, "the round is over stored responses and takes no samples");
	if (fields_read(r, v, sample_fields, FIELD_COUNT(sample_fields), s, e) < 0)
		return -1;
	sha256_of(s->text.p, s->text.n, s->text_hash);
	s->characters = utf8_length(s->text);
	return 0;
}

/* --- log-probabilities ---------------------------------------------------------------- */

static int read_model(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return read_name(r, v, to, e) < 0 ? -1 : check_model(round_of(r), *(struct str *)to, e);
}

struct logprob_input {
	struct str response;
	struct logprob l;
};

static const struct field logprob_fields[] = {
	{"response", read_id, offsetof(struct logprob_input, response), true},
	{"model", read_model, offsetof(struct logprob_input, l.model), true},
	{"logprob", read_logprob, offsetof(struct logprob_input, l.logprob), true},
	{"tokens", read_count, offsetof(struct logprob_input, l.tokens), false},
};

int read_logprob_row(struct reading *r, const struct json *v, struct row *out, struct err *e)
{
	struct logprob_input in = {.l = {.tokens = -1}};

	if (fields_read(r, v, logprob_fields, FIELD_COUNT(logprob_fields), &in, e) < 0)
		return -1;
	out->logprob.response = in.response;
	out->logprob.logprob = in.l;
	return 0;
}
