/* recipe_round.c - what rounds bring into a recipe, read and printed. */
#include "fields.h"
#include "print.h"
#include "recipe.h"

static const char *const unit_words[] = {"characters", "tokens"};
static const char *const origin_words[] = {"dataset", "sample"};

/* One of two words as a flag. */
static int read_flag(const struct json *v, const char *const words[2], bool *to, struct err *e)
{
	int word = json_type(v) == JSON_STRING ? word_among(json_string(v), words, 2) : -1;

	*to = word == 1;
	return word >= 0 ? 0 : err_set(e, P_INVALID, "must be %s or %s", words[0], words[1]);
}

/* --- terms ------------------------------------------------------------------------- */

#define AT(member) offsetof(struct terms, member)

static int read_unit(struct reading *r, const struct json *v, void *to, struct err *e)
{
	(void)r;
	return read_flag(v, unit_words, to, e);
}

static int read_origin(struct reading *r, const struct json *v, void *to, struct err *e)
{
	(void)r;
	return read_flag(v, origin_words, to, e);
}

static int read_reasons(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct implicit_rule *rule = to;
	struct str *reason;
	size_t i = 0;

	if (want_type(v, JSON_ARRAY, e) < 0)
		return -1;
	reason = ARENA_ARRAY(r->arena, struct str, json_size(v));
	for (const struct json *m = json_first(v); m; m = json_next(m), i++)
		if (read_name(r, m, &reason[i], e) < 0)
			return err_under(e, "/%zu", i);
	rule->exclude_finish_reason = reason;
	rule->excludes = i;
	return 0;
}

static const struct field filter_fields[] = {
	{"exclude_finish_reasons", read_reasons, 0, true},
	{"max_characters", read_count, offsetof(struct implicit_rule, max_characters), false},
	{"min_characters", read_count, offsetof(struct implicit_rule, min_characters), false},
};

static int read_filters(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct implicit_rule *rule = to;

	rule->min_characters = rule->max_characters = -1;
	return fields_read(r, v, filter_fields, FIELD_COUNT(filter_fields), rule, e);
}

static const struct field terms_fields[] = {
	{"alpha", read_number, AT(alpha), true},
	{"beta", read_number, AT(beta), true},
	{"filters", read_filters, AT(rule), true},
	{"length", read_unit, AT(rule.in_tokens), true},
	{"policy", read_name, AT(policy), true},
	{"reference", read_name, AT(reference), true},
	{"responses", read_origin, AT(sampled), true},
};

int read_terms(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct recipe *recipe = to;

	recipe->has_terms = true;
	return fields_read(r, v, terms_fields, FIELD_COUNT(terms_fields), &recipe->terms, e);
}

static void print_limit(struct buf *b, const char *key, int64_t limit)
{
	if (limit >= 0)
		print_count_member(b, key, limit);
}

void print_terms(struct buf *b, const struct recipe *r)
{
	const struct terms *t = &r->terms;

	json_put_key(b, "implicit");
	buf_byte(b, '{');
	print_number_member(b, "alpha", t->alpha);
	print_number_member(b, "beta", t->beta);
	json_put_key(b, "filters");
	buf_lit(b, "{\"exclude_finish_reasons\":[");
	for (size_t i = 0; i < t->rule.excludes; i++) {
		json_put_comma(b);
		json_put_string(b, t->rule.exclude_finish_reason[i]);
	}
	buf_byte(b, ']');
	print_limit(b, "max_characters", t->rule.max_characters);
	print_limit(b, "min_characters", t->rule.min_characters);
	buf_byte(b, '}');
	print_member(b, "length", str_of(unit_words[t->rule.in_tokens]));
	print_member(b, "policy", t->policy);
	print_member(b, "reference", t->reference);
	print_member(b, "responses", str_of(origin_words[t->sampled]));
	buf_byte(b, '}');
}

/* --- published ------------------------------------------------------------------------ */

static const struct field replay_fields[] = {
	{"gamma", read_text, offsetof(struct replay_terms, gamma), true},
	{"revision", read_text, offsetof(struct replay_terms, revision), true},
	{"seed", read_seed, offsetof(struct replay_terms, seed), true},
	{"total", read_seed, offsetof(struct replay_terms, total), true},
};

static int read_replay_terms(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct recipe *recipe = to;

	recipe->has_replay = true;
	return fields_read(r, v, replay_fields, FIELD_COUNT(replay_fields), &recipe->replay, e);
}

static int read_enough(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct recipe *recipe = to;
	int64_t n;

	if (read_count(r, v, &n, e) < 0)
		return -1;
	recipe->pairing.min_responses = (uint32_t)n;
	return 0;
}

static const struct field published_fields[] = {
	{"min_responses", read_enough, 0, true},
	{"replay", read_replay_terms, 0, false},
};

int read_published(struct reading *r, const struct json *v, void *to, struct err *e)
{
	((struct recipe *)to)->published = true;
	return fields_read(r, v, published_fields, FIELD_COUNT(published_fields), to, e);
}

void print_published(struct buf *b, const struct recipe *r)
{
	json_put_key(b, "published");
	buf_byte(b, '{');
	print_count_member(b, "min_responses", r->pairing.min_responses);
	if (r->has_replay) {
		json_put_key(b, "replay");
		buf_byte(b, '{');
		print_member(b, "gamma", r->replay.gamma);
		print_member(b, "revision", r->replay.revision);
		print_count_member(b, "seed", (int64_t)r->replay.seed);
		print_count_member(b, "total", (int64_t)r->replay.total);
		buf_byte(b, '}');
	}
	buf_byte(b, '}');
}

/* --- what it was made from ------------------------------------------------------------- */

static const struct field made_from_fields[] = {
	{"rescoring", read_count, offsetof(struct made_from, rescoring), true},
	{"round", read_id, offsetof(struct made_from, round), true},
	{"snapshot", read_id, offsetof(struct made_from, snapshot), false},
};

int read_made_from(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct recipe *recipe = to;

	return fields_read(r, v, made_from_fields, FIELD_COUNT(made_from_fields), &recipe->made_from, e);
}

void print_made_from(struct buf *b, const struct made_from *m)
{
	json_put_key(b, "made_from");
	buf_byte(b, '{');
	print_count_member(b, "rescoring", m->rescoring);
	print_member(b, "round", m->round);
	if (m->snapshot.p)
		print_member(b, "snapshot", m->snapshot);
	buf_byte(b, '}');
}

void print_lineage(struct buf *b, const struct recipe *r)
{
	buf_byte(b, '{');
	print_member(b, "policy", r->terms.policy);
	print_member(b, "reference", r->terms.reference);
	buf_byte(b, '}');
}

void print_replay_lineage(struct buf *b, const struct recipe *r)
{
	buf_byte(b, '{');
	print_member(b, "snapshot", r->replay.revision);
	buf_byte(b, '}');
}
