/* resolve.c - a recipe closed over its dataset, and printed. */
#include <stdlib.h>

#include "fields.h"
#include "recipe.h"

/* --- attributes ------------------------------------------------------------------ */

static int by_name(const void *a, const void *b)
{
	return str_cmp(((const struct weighted *)a)->name, ((const struct weighted *)b)->name);
}

/* Any value of the ledger makes a name known; only good ones make a default. */
static bool any_value(const struct series *s)
{
	return s->exact.count > 0 || s->failed > 0 || s->abstained > 0;
}

static bool attribute_known(const struct dataset_stats *st, struct str name)
{
	for (uint32_t i = 0; i < st->scored; i++)
		if (str_eq(st->score[i].b, name) && any_value(&st->score[i]))
			return true;
	return false;
}

static const struct weighted *weighted_named(const struct weighted *w, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(w[i].name, name))
			return &w[i];
	return NULL;
}

/* `overall` alone if any response has it, else all that have good scores. */
static void default_attributes(struct recipe *r, struct weighted *w, const struct dataset_stats *st)
{
	size_t n = 0;

	for (uint32_t i = 0; i < st->scored; i++) {
		const struct series *s = &st->score[i];

		if (s->exact.count == 0 || weighted_named(w, n, s->b))
			continue;
		w[n++] = (struct weighted){.name = s->b, .weight = 1};
	}
	if (weighted_named(w, n, STR("overall"))) {
		w[0] = (struct weighted){.name = STR("overall"), .weight = 1};
		n = 1;
	}
	r->attributes = n;
}

static int resolve_attributes(struct recipe *r, struct arena *a, const struct dataset_stats *st, struct err *e)
{
	size_t room = r->attributes > st->scored ? r->attributes : st->scored;
	struct weighted *w = ARENA_ARRAY(a, struct weighted, room);

	if (r->attributes == 0)
		default_attributes(r, w, st);
	else
		memcpy(w, r->attribute, r->attributes * sizeof *w);
	for (size_t i = 0; i < r->attributes; i++) {
		w[i].name = arena_str(a, w[i].name);
		if (attribute_known(st, w[i].name))
			continue;
		err_set(e, P_UNKNOWN_ID, "no response of this dataset was ever scored for %.*s", STR_ARG(w[i].name));
		under_key(e, w[i].name);
		return err_under(e, "/recipe/reward/attributes");
	}
	if (r->attributes > 1)
		qsort(w, r->attributes, sizeof *w, by_name);
	r->attribute = w;
	return 0;
}

/* Ranges are copied, so that the recipe stands without the dataset. */
static int resolve_ranges(struct recipe *r, const struct dataset *d, struct err *e)
{
	struct weighted *w = (struct weighted *)(uintptr_t)r->attribute; /* our own copy */

	for (size_t i = 0; i < r->attributes; i++) {
		for (uint32_t j = 0; j < d->attributes && r->rescale != RESCALE_NONE; j++)
			if (str_eq(d->attribute[j].name, w[i].name)) {
				w[i].rescale = true;
				w[i].min = d->attribute[j].min;
				w[i].max = d->attribute[j].max;
			}
		if (r->rescale == RESCALE_ALL && !w[i].rescale)
			return err_at(e, P_INVALID, "/recipe/reward/rescale",
			              "%.*s has no declared range; declare it with PUT on the dataset", STR_ARG(w[i].name));
	}
	return 0;
}

/* --- judges ---------------------------------------------------------------------- */

static bool judge_known(const struct dataset_stats *st, struct str name, bool votes)
{
	for (uint32_t i = 0; i < st->scored; i++)
		if (str_eq(st->score[i].a, name) && any_value(&st->score[i]))
			return true;
	for (uint32_t i = 0; votes && i < st->voters; i++)
		if (str_eq(st->voter[i].a, name) && st->voter[i].exact.count > 0)
			return true;
	return false;
}

/* Those with good scores of the attributes, and, where votes decide, those that voted. */
static void default_judges(struct recipe *r, const struct dataset_stats *st, bool votes)
{
	for (uint32_t i = 0; i < st->scored; i++)
		if (st->score[i].exact.count > 0 && weighted_named(r->attribute, r->attributes, st->score[i].b))
			r->judges.at[r->judges.n++] = st->score[i].a;
	for (uint32_t i = 0; votes && i < st->voters; i++)
		if (st->voter[i].exact.count > 0)
			r->judges.at[r->judges.n++] = st->voter[i].a;
}

static int resolve_judges(struct recipe *r, struct arena *a, const struct dataset_stats *st, struct err *e)
{
	bool votes = r->pairing.strategy == PAIR_COMPARISONS;

	for (size_t i = 0; i < r->judges.n; i++)
		if (!judge_known(st, r->judges.at[i], votes)) {
			err_set(e, P_UNKNOWN_ID, "%.*s has judged nothing in this dataset", STR_ARG(r->judges.at[i]));
			return err_under(e, "/recipe/reward/judges/%zu", i);
		}
	if (r->judges.n == 0) {
		r->judges.at = ARENA_ARRAY(a, struct str, (size_t)st->scored + st->voters);
		default_judges(r, st, votes);
	}
	names_sort(&r->judges);
	for (size_t i = 0; i < r->judges.n; i++)
		r->judges.at[i] = arena_str(a, r->judges.at[i]);
	return 0;
}

int recipe_resolve(struct recipe *r, struct arena *a, const struct dataset *d,
                   const struct dataset_stats *st, struct err *e)
{
	r->goal_min = d->goal_min;
	r->goal_max = d->goal_max;
	names_sort(&r->rounds);
	if (r->has_terms) /* judges only where they vote */
		return r->pairing.strategy == PAIR_COMPARISONS ? resolve_judges(r, a, st, e) : 0;
	if (resolve_attributes(r, a, st, e) < 0 || resolve_ranges(r, d, e) < 0)
		return -1;
	if (r->goal == GOAL_ATTRIBUTES && r->attributes == 0)
		return err_at(e, P_INVALID, "/recipe/view/goal", "this dataset has no scores, so no attribute can be a goal");
	return resolve_judges(r, a, st, e);
}

/* --- printing: keys in byte order, numbers by json_put_number ----------------------- */

static void put_text(struct buf *b, const char *key, struct str s)
{
	json_put_key(b, key);
	json_put_string(b, s);
}

static void put_word(struct buf *b, const char *key, const char *word)
{
	put_text(b, key, str_of(word));
}

static void put_number(struct buf *b, const char *key, double v)
{
	json_put_key(b, key);
	json_put_number(b, v);
}

static void put_names(struct buf *b, const char *key, const struct names *names)
{
	json_put_key(b, key);
	buf_byte(b, '[');
	for (size_t i = 0; i < names->n; i++) {
		json_put_comma(b);
		json_put_string(b, names->at[i]);
	}
	buf_byte(b, ']');
}

static void put_open(struct buf *b, const char *key)
{
	json_put_key(b, key);
	buf_byte(b, '{');
}

static void put_range(struct buf *b, double min, double max)
{
	buf_byte(b, '{');
	put_number(b, "max", max);
	put_number(b, "min", min);
	buf_byte(b, '}');
}

static void print_filters(struct buf *b, const struct recipe *r)
{
	put_open(b, "filters");
	if (r->exclude_finish_reasons.n > 0)
		put_names(b, "exclude_finish_reasons", &r->exclude_finish_reasons);
	if (r->exclude_sources.n > 0)
		put_names(b, "exclude_sources", &r->exclude_sources);
	if (r->max_characters >= 0)
		put_number(b, "max_characters", (double)r->max_characters);
	if (r->max_prompt_characters >= 0)
		put_number(b, "max_prompt_characters", (double)r->max_prompt_characters);
	if (r->min_characters > 0) /* 0 lets everything pass */
		put_number(b, "min_characters", (double)r->min_characters);
	if (r->has_min_reward)
		put_number(b, "min_reward", r->min_reward);
	if (r->models.n > 0)
		put_names(b, "models", &r->models);
	if (r->rounds.n > 0)
		put_names(b, "rounds", &r->rounds);
	if (r->sources.n > 0)
		put_names(b, "sources", &r->sources);
	buf_byte(b, '}');
}

static void print_holdout(struct buf *b, const struct recipe *r)
{
	if (!r->has_holdout)
		return;
	put_open(b, "holdout");
	put_number(b, "fraction", r->holdout_fraction);
	put_word(b, "part", r->holdout_eval ? "eval" : "train");
	put_number(b, "seed", (double)r->holdout_seed);
	buf_byte(b, '}');
}

static void print_pairing(struct buf *b, const struct pair_rule *p)
{
	put_open(b, "pairing");
	put_number(b, "min_margin", p->min_margin);
	put_number(b, "min_responses", p->min_responses);
	put_number(b, "seed", (double)p->seed);
	put_word(b, "strategy", strategy_words[p->strategy]);
	buf_byte(b, '}');
}

/* Judges cast votes at most. */
static void print_round_reward(struct buf *b, const struct recipe *r)
{
	put_open(b, "reward");
	print_terms(b, r);
	if (r->judges.n > 0)
		put_names(b, "judges", &r->judges);
	buf_byte(b, '}');
}

static void print_reward(struct buf *b, const struct recipe *r)
{
	bool mapped = false;

	put_open(b, "reward");
	put_word(b, "across_judges", across_words[r->across]);
	put_open(b, "attributes");
	for (size_t i = 0; i < r->attributes; i++) {
		json_put_key_str(b, r->attribute[i].name);
		json_put_number(b, r->attribute[i].weight);
	}
	buf_byte(b, '}');
	put_names(b, "judges", &r->judges);
	put_open(b, "ranges");
	for (size_t i = 0; i < r->attributes; i++) {
		if (!r->attribute[i].rescale)
			continue;
		mapped = true;
		json_put_key_str(b, r->attribute[i].name);
		put_range(b, r->attribute[i].min, r->attribute[i].max);
	}
	buf_byte(b, '}');
	json_put_key(b, "rescale");
	buf_z(b, mapped ? "true" : "false");
	buf_byte(b, '}');
}

static void print_view(struct buf *b, const struct recipe *r, enum recipe_form form)
{
	put_open(b, "view");
	if (form == RECIPE_WHOLE) {
		put_word(b, "augment", augment_words[r->augment]);
		put_word(b, "format", format_words[r->format]);
	}
	put_word(b, "goal", goal_words[r->goal]);
	if (form == RECIPE_WHOLE) {
		put_word(b, "placement", placement_words[r->placement]);
		put_text(b, "template", r->template);
	}
	buf_byte(b, '}');
}

void recipe_print(struct buf *b, const struct recipe *r, enum recipe_form form)
{
	buf_byte(b, '{');
	if (!r->published)
		print_filters(b, r);
	json_put_key(b, "goal_scale");
	put_range(b, r->goal_min, r->goal_max);
	if (!r->published)
		print_holdout(b, r);
	if (r->made_from.round.p && form != RECIPE_HASHED)
		print_made_from(b, &r->made_from);
	if (r->published)
		print_published(b, r);
	else
		print_pairing(b, &r->pairing);
	if (r->reference.p)
		put_text(b, "reference", r->reference);
	if (r->has_terms)
		print_round_reward(b, r);
	else
		print_reward(b, r);
	if (!r->published)
		put_text(b, "split", r->split);
	print_view(b, r, form);
	buf_byte(b, '}');
}
