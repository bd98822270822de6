/* recipe.c - a recipe read: as posted, or as recipe_print wrote it. */
#include "recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fields.h"
#include "template.h"
#include "words.h"

/* Keys at the end of their tables that only a resolved recipe has. */
enum { RESOLVED_REWARD = 2, RESOLVED_RECIPE = 3 };
#define WEIGHT_MAX 1e9

/* What is being read: the resolved form has a few keys more. */
struct rules {
	bool resolved;
	struct recipe *recipe;
	struct weighted *weights;
	struct names ranged;        /* resolved: names of reward.ranges … */
	double (*range)[2];         /* … and their minimum and maximum */
	bool goal_named;
};

static struct rules *rules_of(struct reading *r)
{
	return (struct rules *)(uintptr_t)r->rules;
}

/* --- words, numbers and lists --------------------------------------------------------- */

static int read_own_goal(struct reading *r, const struct json *v, void *to, struct err *e)
{
	rules_of(r)->goal_named = true;
	return read_goal(r, v, to, e);
}

static int read_min_reward(struct reading *r, const struct json *v, void *to, struct err *e)
{
	rules_of(r)->recipe->has_min_reward = true;
	return read_number(r, v, to, e);
}

/* A list of what may pass: an empty one would let nothing pass. */
static int read_passing(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_set(r, v, to, e) < 0)
		return -1;
	return json_size(v) > 0 ? 0 : err_set(e, P_INVALID, "an empty list lets nothing pass; leave the key out");
}

/* Rounds in the order given; their ids are looked up when the recipe is closed. */
static int read_rounds(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_names(r, v, to, e) < 0)
		return -1;
	return json_size(v) > 0 ? 0 : err_set(e, P_INVALID, "an empty list lets nothing pass; leave the key out");
}

static int read_judges(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_names(r, v, to, e) < 0)
		return -1;
	if (json_size(v) == 0 && !rules_of(r)->resolved)
		return err_set(e, P_INVALID, "an empty list leaves no judge; leave the key out for all of them");
	return 0;
}

/* --- objects ------------------------------------------------------------------- */

static int read_attributes(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct recipe *recipe = to;
	struct rules *rules = rules_of(r);
	size_t n = 0;
	bool any = false;

	if (want_type(v, JSON_OBJECT, e) < 0)
		return -1;
	rules->weights = ARENA_ARRAY(r->arena, struct weighted, json_size(v));
	for (const struct json *m = json_first(v); m; m = json_next(m), n++) {
		struct weighted *w = &rules->weights[n];

		w->name = json_key(m);
		if (read_number(r, m, &w->weight, e) < 0)
			return under_key(e, w->name);
		if (fabs(w->weight) > WEIGHT_MAX)
			return err_set(e, P_INVALID, "a weight lies between -1e9 and 1e9"), under_key(e, w->name);
		any = any || w->weight != 0;
	}
	recipe->attribute = rules->weights;
	recipe->attributes = n;
	if (!any && !rules->resolved)
		return err_set(e, P_INVALID, "at least one attribute must weigh something");
	return 0;
}

struct range {
	double min, max;
};

static const struct field range_fields[] = {
	{"max", read_number, offsetof(struct range, max), true},
	{"min", read_number, offsetof(struct range, min), true},
};

static int read_range(struct reading *r, const struct json *v, struct range *range, struct err *e)
{
	if (fields_read(r, v, range_fields, FIELD_COUNT(range_fields), range, e) < 0)
		return -1;
	return range->min < range->max ? 0 : err_set(e, P_INVALID, "min must lie below max");
}

static int read_ranges(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct rules *rules = rules_of(r);
	size_t i = 0;

	(void)to;
	if (want_type(v, JSON_OBJECT, e) < 0)
		return -1;
	rules->ranged.n = json_size(v);
	rules->ranged.at = ARENA_ARRAY(r->arena, struct str, json_size(v));
	rules->range = arena_zalloc(r->arena, json_size(v), sizeof *rules->range);
	for (const struct json *m = json_first(v); m; m = json_next(m), i++) {
		struct range range = {0};

		if (read_range(r, m, &range, e) < 0)
			return -1;
		rules->ranged.at[i] = json_key(m);
		rules->range[i][0] = range.min;
		rules->range[i][1] = range.max;
	}
	return 0;
}

static int read_goal_scale(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct recipe *recipe = to;
	struct range range = {0};

	if (read_range(r, v, &range, e) < 0)
		return -1;
	recipe->goal_min = range.min;
	recipe->goal_max = range.max;
	return 0;
}

static int read_rescoring(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_count(r, v, to, e) < 0)
		return -1;
	return *(int64_t *)to >= 1 ? 0 : err_set(e, P_INVALID, "rescorings are numbered from 1");
}

/* --- sections ------------------------------------------------------------------- */

#define AT(member) offsetof(struct recipe, member)

static const struct field holdout_fields[] = {
	{"fraction", read_fraction, AT(holdout_fraction), true},
	{"part", read_part, AT(holdout_eval), true},
	{"seed", read_seed, AT(holdout_seed), false},
};
static const struct field reward_fields[] = {
	{"attributes", read_attributes, 0, false},
	{"judges", read_judges, AT(judges), false},
	{"across_judges", read_across, AT(across), false},
	{"rescale", read_rescale, AT(rescale), false},
	{"round", read_id, AT(made_from.round), false},
	{"rescoring", read_rescoring, AT(made_from.rescoring), false},
	{"ranges", read_ranges, 0, false}, /* resolved only, from here */
	{"implicit", read_terms, 0, false},
};
static const struct field pairing_fields[] = {
	{"strategy", read_strategy, AT(pairing.strategy), false},
	{"min_responses", read_min_responses, AT(pairing.min_responses), false},
	{"min_margin", read_min_margin, AT(pairing.min_margin), false},
	{"seed", read_seed, AT(pairing.seed), false},
};
static const struct field filter_fields[] = {
	{"sources", read_passing, AT(sources), false},
	{"exclude_sources", read_set, AT(exclude_sources), false},
	{"models", read_passing, AT(models), false},
	{"rounds", read_rounds, AT(rounds), false},
	{"exclude_finish_reasons", read_set, AT(exclude_finish_reasons), false},
	{"min_characters", read_count, AT(min_characters), false},
	{"max_characters", read_count, AT(max_characters), false},
	{"max_prompt_characters", read_count, AT(max_prompt_characters), false},
	{"min_reward", read_min_reward, AT(min_reward), false},
};
static const struct field view_fields[] = {
	{"augment", read_augment, AT(augment), false},
	{"goal", read_own_goal, AT(goal), false},
	{"placement", read_placement, AT(placement), false},
	{"template", read_text, AT(template), false},
	{"format", read_format, AT(format), false},
};

static int read_holdout(struct reading *r, const struct json *v, void *to, struct err *e)
{
	((struct recipe *)to)->has_holdout = true;
	return fields_read(r, v, holdout_fields, FIELD_COUNT(holdout_fields), to, e);
}

/* A round's rewards come from no judge. */
static int check_round_reward(const struct json *v, const struct recipe *recipe, struct err *e)
{
	static const char *const judged[] = {"attributes", "across_judges", "rescale"};

	if (recipe->made_from.round.p == NULL)
		return recipe->made_from.rescoring == 0
		               ? 0
		               : err_at(e, P_INVALID, "/rescoring", "a rescoring belongs to a round");
	for (size_t i = 0; i < sizeof judged / sizeof *judged; i++)
		if (json_get(v, judged[i])) {
			err_set(e, P_INVALID, "the rewards of a round come from no judge");
			return err_under(e, "/%s", judged[i]);
		}
	return 0;
}

static int read_reward(struct reading *r, const struct json *v, void *to, struct err *e)
{
	size_t n = FIELD_COUNT(reward_fields) - (rules_of(r)->resolved ? 0 : RESOLVED_REWARD);

	if (fields_read(r, v, reward_fields, n, to, e) < 0)
		return -1;
	return check_round_reward(v, to, e);
}

static int read_pairing(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return fields_read(r, v, pairing_fields, FIELD_COUNT(pairing_fields), to, e);
}

static int read_filters(struct reading *r, const struct json *v, void *to, struct err *e)
{
	return fields_read(r, v, filter_fields, FIELD_COUNT(filter_fields), to, e);
}

static int read_view(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct recipe *recipe = to;

	if (fields_read(r, v, view_fields, FIELD_COUNT(view_fields), to, e) < 0)
		return -1;
	if (template_check(recipe->template, e) < 0)
		return err_under(e, "/template");
	return 0;
}

int recipe_read_view(struct reading *r, const struct json *v, struct recipe *into, bool *goal, struct err *e)
{
	struct rules rules = {.recipe = into};
	struct reading own = {r->arena, r->text, &rules};
	int rc = read_view(&own, v, into, e);

	*goal = rules.goal_named;
	return rc;
}

static const struct field recipe_fields[] = {
	{"split", read_name, AT(split), false},
	{"holdout", read_holdout, 0, false},
	{"reward", read_reward, 0, false},
	{"pairing", read_pairing, 0, false},
	{"filters", read_filters, 0, false},
	{"reference", read_name, AT(reference), false},
	{"view", read_view, 0, false},
	{"goal_scale", read_goal_scale, 0, false}, /* resolved only, from here */
	{"made_from", read_made_from, 0, false},
	{"published", read_published, 0, false},
};

void recipe_defaults(struct recipe *recipe)
{
	*recipe = (struct recipe){
		.split = STR("train"),
		.goal_min = 1,
		.goal_max = 10,
		.pairing = {PAIR_BEST_RANDOM, 2, 0, 42},
		.min_characters = -1,
		.max_characters = -1,
		.max_prompt_characters = -1,
		.template = str_of(template_default),
	};
}

int recipe_round_goal(struct recipe *r, bool goal_named, struct err *e)
{
	if (goal_named && r->goal != GOAL_QUANTILE)
		return err_at(e, P_INVALID, "/view/goal", "the rewards of a round have no scale: their goals are quantiles");
	r->goal = GOAL_QUANTILE;
	return 0;
}

/* What goes together only with the rewards of a round, or without. */
static int check_round(struct recipe *r, bool goal_named, struct err *e)
{
	if (r->made_from.round.p == NULL)
		return 0;
	if (r->judges.n > 0 && r->pairing.strategy != PAIR_COMPARISONS)
		return err_at(e, P_INVALID, "/reward/judges", "the rewards of a round come from no judge; only votes do");
	return recipe_round_goal(r, goal_named, e);
}

static int read_recipe(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct rules *rules = rules_of(r);
	size_t n = FIELD_COUNT(recipe_fields) - (rules->resolved ? 0 : RESOLVED_RECIPE);

	recipe_defaults(to);
	rules->recipe = to;
	if (fields_read(r, v, recipe_fields, n, to, e) < 0)
		return -1;
	return rules->resolved ? 0 : check_round(to, rules->goal_named, e);
}

/* --- whole documents -------------------------------------------------------------- */

static int read_posted(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct recipe_post *post = to;
	struct buf b = BUF_INIT;

	if (read_recipe(r, v, &post->recipe, e) < 0)
		return -1;
	json_put_canonical(&b, v);
	post->posted = arena_str(r->arena, buf_view(&b));
	buf_release(&b);
	return 0;
}

static const struct field post_fields[] = {
	{"name", read_id, offsetof(struct recipe_post, name), false},
	{"recipe", read_posted, 0, true},
};

int recipe_read_post(struct arena *a, struct str text, struct recipe_post *out, struct err *e)
{
	struct rules rules = {0};
	struct reading r = {a, text, &rules};
	const struct json *v = json_parse(a, text, JSON_DEPTH_MAX, e);

	if (v == NULL)
		return -1;
	*out = (struct recipe_post){.posted = STR("{}")};
	recipe_defaults(&out->recipe);
	e->pointer[0] = '\0';
	return fields_read(&r, v, post_fields, FIELD_COUNT(post_fields), out, e);
}

/* Ranges belong to their attributes. */
static void join_ranges(struct rules *rules, const struct recipe *recipe)
{
	for (size_t i = 0; i < rules->ranged.n; i++)
		for (size_t j = 0; j < recipe->attributes; j++)
			if (str_eq(rules->ranged.at[i], recipe->attribute[j].name)) {
				rules->weights[j].rescale = true;
				rules->weights[j].min = rules->range[i][0];
				rules->weights[j].max = rules->range[i][1];
			}
}

int recipe_load(struct arena *a, struct str text, struct recipe *recipe, struct err *e)
{
	struct rules rules = {.resolved = true};
	struct reading r = {a, text, &rules};
	const struct json *v = json_parse(a, text, JSON_DEPTH_MAX, e);

	e->pointer[0] = '\0';
	if (v == NULL || read_recipe(&r, v, recipe, e) < 0) {
		char why[200];

		snprintf(why, sizeof why, "%.80s: %.100s", e->pointer, e->detail);
		return err_set(e, P_INTERNAL, "the stored recipe cannot be read: %s", why);
	}
	join_ranges(&rules, recipe);
	return 0;
}
