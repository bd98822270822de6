#include "round_spec.h"

#include <stdio.h>

#include "align/alpha.h"
#include "print.h"
#include "service/rounds.h"

#define BETA_MAX 1e6

static const char *const mode_words[] = {[ROUND_SAMPLE] = "sample", [ROUND_DATASET] = "dataset"};
static const char *const length_words[] = {[LENGTH_CHARACTERS] = "characters", [LENGTH_TOKENS] = "tokens"};

/* --- values ---------------------------------------------------------------------- */

static int read_either(const struct json *v, const char *const words[2], int *to, struct err *e)
{
	if (want_type(v, JSON_STRING, e) < 0)
		return -1;
	*to = word_among(json_string(v), words, 2);
	return *to >= 0 ? 0 : err_set(e, P_INVALID, "must be %s or %s", words[0], words[1]);
}

static int read_mode(struct reading *r, const struct json *v, void *to, struct err *e)
{
	int word;

	(void)r;
	if (read_either(v, mode_words, &word, e) < 0)
		return -1;
	*(enum round_mode *)to = (enum round_mode)word;
	return 0;
}

int read_length_unit(struct reading *r, const struct json *v, void *to, struct err *e)
{
	int word;

	(void)r;
	if (read_either(v, length_words, &word, e) < 0)
		return -1;
	*(enum length_unit *)to = (enum length_unit)word;
	return 0;
}

int read_beta(struct reading *r, const struct json *v, void *to, struct err *e)
{
	double *beta = to;

	if (read_number(r, v, beta, e) < 0)
		return -1;
	if (*beta <= 0 || *beta > BETA_MAX)
		return err_set(e, P_INVALID, "must be above 0 and at most %g", BETA_MAX);
	return 0;
}

int read_alpha(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct alpha_choice *alpha = to;

	(void)r;
	*alpha = (struct alpha_choice){0};
	if (json_type(v) == JSON_NUMBER)
		alpha->value = json_number(v);
	else
		alpha->found = json_type(v) == JSON_STRING && str_eq(json_string(v), STR("auto"));
	if (!alpha->found && (json_type(v) != JSON_NUMBER || alpha->value < 0 || alpha->value > ALPHA_MAX))
		return err_set(e, P_INVALID, "must be \"auto\", or a number from 0 to %g", ALPHA_MAX);
	return 0;
}

static int read_from_1(struct reading *r, const struct json *v, int64_t max, int64_t *to, struct err *e)
{
	if (read_count(r, v, to, e) < 0)
		return -1;
	if (*to < 1 || *to > max)
		return err_set(e, P_INVALID, "must be a whole number from 1 to %lld", (long long)max);
	return 0;
}

int read_minimum(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return read_from_1(r, v, INT32_MAX, to, e);
}

static int read_prompt_limit(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return read_from_1(r, v, INT32_MAX, to, e);
}

static int read_per_prompt(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return read_from_1(r, v, ROUND_RESPONSES_MAX, to, e);
}

static int read_lease_seconds(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return read_from_1(r, v, LEASE_SECONDS_MAX, to, e);
}

static int read_finish_reasons(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct names *names = to;
	size_t i = 0;

	if (want_type(v, JSON_ARRAY, e) < 0)
		return -1;
	names->n = json_size(v);
	names->at = ARENA_ARRAY(r->arena, struct str, names->n);
	for (const struct json *m = json_first(v); m; m = json_next(m), i++)
		if (read_name(r, m, &names->at[i], e) < 0)
			return err_under(e, "/%zu", i);
	names_sort(names);
	return 0;
}

/* --- sections ----------------------------------------------------------------------- */

#define AT(member) offsetof(struct round_spec, member)

static const struct field filter_fields[] = {
	{"exclude_finish_reasons", read_finish_reasons, AT(exclude_finish_reasons), false},
	{"min_characters", read_count, AT(min_characters), false},
	{"max_characters", read_count, AT(max_characters), false},
};
static const struct field prompt_fields[] = {
	{"split", read_name, AT(split), false},
	{"limit", read_prompt_limit, AT(limit), false},
	{"seed", read_seed, AT(seed), false},
};
static const struct field engine_fields[] = {
	{"policy", read_id, AT(engine[0]), false},
	{"reference", read_id, AT(engine[1]), false},
};

static int read_filters(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct round_spec *s = to;

	if (fields_read(r, v, filter_fields, FIELD_COUNT(filter_fields), s, e) < 0)
		return -1;
	if (s->min_characters > s->max_characters)
		return err_at(e, P_INVALID, "/max_characters", "lies below min_characters (%lld), so that nothing passes",
		              (long long)s->min_characters);
	return 0;
}

static int read_prompts(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return fields_read(r, v, prompt_fields, FIELD_COUNT(prompt_fields), to, e);
}

static int read_engines(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return fields_read(r, v, engine_fields, FIELD_COUNT(engine_fields), to, e);
}

static int read_sampling(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct buf b = BUF_INIT;

	if (want_type(v, JSON_OBJECT, e) < 0)
		return -1;
	json_compact(&b, json_raw_member(r->text, "sampling"));
	*(struct str *)to = arena_str(r->arena, buf_view(&b));
	buf_release(&b);
	return 0;
}

/* --- replay ---------------------------------------------------------------------------- */

/* Of the member's own text: gamma as it stands there. */
static int read_gamma(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct replay_spec *x = to;

	if (want_type(v, JSON_NUMBER, e) < 0)
		return -1;
	x->gamma_text = arena_str(r->arena, json_raw_member(r->text, "gamma"));
	return gamma_read(x->gamma_text, &x->gamma, e);
}

static const struct field replay_fields[] = {
	{"snapshot", read_id, offsetof(struct replay_spec, snapshot), true},
	{"gamma", read_gamma, 0, true},
	{"total", read_prompt_limit, offsetof(struct replay_spec, total), false},
	{"seed", read_seed, offsetof(struct replay_spec, seed), false},
};

int read_replay(struct reading *r, const struct json *v, struct str text, struct replay_spec *to, struct err *e)
{
	struct reading own = {r->arena, text, r->rules};

	*to = (struct replay_spec){.total = -1};
	return fields_read(&own, v, replay_fields, FIELD_COUNT(replay_fields), to, e);
}

static int read_replay_member(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct round_spec *s = to;

	s->has_replay = true;
	return read_replay(r, v, json_raw_member(r->text, "replay"), &s->replay, e);
}

/* --- the document ------------------------------------------------------------------------ */

static const struct field spec_fields[] = {
	{"policy", read_name, AT(policy), true},
	{"reference", read_name, AT(reference), true},
	{"previous", read_id, AT(previous), false},
	{"beta", read_beta, AT(beta), false},
	{"responses_per_prompt", read_per_prompt, AT(per_prompt), false},
	{"min_responses", read_minimum, AT(min_responses), false},
	{"responses", read_mode, AT(mode), false},
	{"length", read_length_unit, AT(length), false},
	{"alpha", read_alpha, AT(alpha), false},
	{"filters", read_filters, 0, false},
	{"prompts", read_prompts, 0, false},
	{"sampling", read_sampling, AT(sampling), false},
	{"replay", read_replay_member, 0, false},
	{"lease_seconds", read_lease_seconds, AT(lease_seconds), false},
	{"engines", read_engines, 0, false},
	{"name", read_id, AT(name), false}, /* posted only: the last */
};

static void set_defaults(struct round_spec *s, struct arena *a)
{
	struct str *excluded = ARENA_ARRAY(a, struct str, 2);

	excluded[0] = STR("abort");
	excluded[1] = STR("length");
	*s = (struct round_spec){
		.mode = ROUND_SAMPLE,
		.per_prompt = 16,
		.min_responses = 8,
		.lease_seconds = 300,
		.beta = 0.1,
		.alpha = {.found = true},
		.length = LENGTH_CHARACTERS,
		.exclude_finish_reasons = {excluded, 2},
		.min_characters = 4,
		.max_characters = 6699,
		.split = STR("train"),
		.limit = -1,
		.sampling = STR("{}"),
	};
}

static int check_posted(const struct round_spec *s, struct err *e)
{
	if (str_eq(s->policy, s->reference))
		return err_at(e, P_INVALID, "/reference", "is the policy itself: every reward would be 0");
	return 0;
}

int round_spec_read(struct arena *a, struct str text, struct round_spec *out, struct str *posted, struct err *e)
{
	struct reading r = {a, text, NULL};
	const struct json *v = json_parse(a, text, JSON_DEPTH_MAX, e);
	struct buf b = BUF_INIT;

	if (v == NULL)
		return -1;
	set_defaults(out, a);
	e->pointer[0] = '\0';
	if (fields_read(&r, v, spec_fields, FIELD_COUNT(spec_fields), out, e) < 0 || check_posted(out, e) < 0)
		return -1;
	/* Unsaid, the minimum is within reach: fewer than 8 samples can be enough. */
	if (out->mode == ROUND_SAMPLE && !json_get(v, "min_responses") && out->min_responses > out->per_prompt)
		out->min_responses = out->per_prompt;
	json_put_canonical(&b, v);
	*posted = arena_str(a, buf_view(&b));
	buf_release(&b);
	return 0;
}

int round_spec_load(struct arena *a, struct str text, struct round_spec *out, struct err *e)
{
	struct reading r = {a, text, NULL};
	const struct json *v = json_parse(a, text, JSON_DEPTH_MAX, e);

	set_defaults(out, a);
	e->pointer[0] = '\0';
	if (v == NULL || fields_read(&r, v, spec_fields, FIELD_COUNT(spec_fields) - 1, out, e) < 0) {
		char why[200];

		snprintf(why, sizeof why, "%.80s: %.100s", e->pointer, e->detail);
		return err_set(e, P_INTERNAL, "the stored round cannot be read: %s", why);
	}
	return 0;
}

/* --- printing -------------------------------------------------------------------------------- */

static void print_filters(struct buf *b, const struct round_spec *s)
{
	json_put_key(b, "filters");
	buf_lit(b, "{\"exclude_finish_reasons\":[");
	for (size_t i = 0; i < s->exclude_finish_reasons.n; i++) {
		json_put_comma(b);
		json_put_string(b, s->exclude_finish_reasons.at[i]);
	}
	buf_byte(b, ']');
	print_count_member(b, "max_characters", s->max_characters);
	print_count_member(b, "min_characters", s->min_characters);
	buf_byte(b, '}');
}

static void print_prompts(struct buf *b, const struct round_spec *s, const char *key)
{
	json_put_key(b, key);
	buf_byte(b, '{');
	if (s->limit >= 0)
		print_count_member(b, "limit", s->limit);
	print_count_member(b, "seed", (int64_t)s->seed);
	print_member(b, "split", s->split);
	buf_byte(b, '}');
}

static void print_replay(struct buf *b, const struct replay_spec *x)
{
	json_put_key(b, "replay");
	buf_lit(b, "{\"gamma\":");
	buf_str(b, x->gamma_text);
	print_count_member(b, "seed", (int64_t)x->seed);
	print_member(b, "snapshot", x->snapshot);
	if (x->total >= 0)
		print_count_member(b, "total", x->total);
	buf_byte(b, '}');
}

static void print_engines(struct buf *b, const struct str engine[2])
{
	json_put_key(b, "engines");
	buf_byte(b, '{');
	if (engine[0].p)
		print_member(b, "policy", engine[0]);
	if (engine[1].p)
		print_member(b, "reference", engine[1]);
	buf_byte(b, '}');
}

/* In byte order of keys. */
static void print_members(struct buf *b, const struct round_spec *s, bool shown)
{
	if (s->alpha.found)
		print_member(b, "alpha", STR("auto"));
	else
		print_number_member(b, "alpha", s->alpha.value);
	print_number_member(b, "beta", s->beta);
	if (s->engine[0].p || s->engine[1].p)
		print_engines(b, s->engine);
	print_filters(b, s);
	print_count_member(b, "lease_seconds", s->lease_seconds);
	print_member(b, "length", str_of(length_words[s->length]));
	print_count_member(b, "min_responses", s->min_responses);
	print_member(b, "policy", s->policy);
	if (s->previous.p || shown)
		print_member(b, "previous", s->previous);
	print_prompts(b, s, shown ? "prompts_from" : "prompts");
	print_member(b, "reference", s->reference);
	if (s->has_replay)
		print_replay(b, &s->replay);
	print_member(b, shown ? "responses_from" : "responses", str_of(mode_words[s->mode]));
	print_count_member(b, "responses_per_prompt", s->per_prompt);
	json_put_key(b, "sampling");
	buf_str(b, s->sampling);
}

void round_spec_print(struct buf *b, const struct round_spec *s, enum spec_form form)
{
	if (form == SPEC_STORED)
		buf_byte(b, '{');
	print_members(b, s, form == SPEC_SHOWN);
	if (form == SPEC_STORED)
		buf_byte(b, '}');
}
