/* recipe.h - what a snapshot is made of.
 *
 * A recipe is posted with gaps, resolved against its dataset when the snapshot
 * is created, and from then on closed: printed as canonical JSON, stored, read
 * back by the build and by every view. Everything lives in the arena of
 * whoever read it. Any thread. */
#ifndef PREFD_SERVICE_RECIPE_H
#define PREFD_SERVICE_RECIPE_H

#include "align/implicit.h"
#include "align/pair.h"
#include "align/replay.h"
#include "align/reward.h"
#include "base/json.h"
#include "store/stats.h"

enum augment { AUGMENT_BOTH, AUGMENT_CHOSEN, AUGMENT_REJECTED, AUGMENT_NONE, AUGMENT_COUNT };
enum goal_kind { GOAL_REWARD, GOAL_ATTRIBUTES, GOAL_QUANTILE, GOAL_COUNT };
enum placement { PLACEMENT_SYSTEM, PLACEMENT_USER, PLACEMENT_COUNT };
enum view_format { VIEW_TRL, VIEW_TRL_TEXT, VIEW_LLAMAFACTORY, VIEW_OPENRLHF, VIEW_FORMATS };

/* Their words; each array is as long as its enum. */
extern const char *const augment_words[], *const goal_words[], *const placement_words[], *const format_words[];
enum { ACROSS_COUNT = ACROSS_MAX + 1, STRATEGY_COUNT = PAIR_COMPARISONS + 1 };
extern const char *const across_words[], *const strategy_words[];
/* The place of `word` among n words, or -1. */
int word_among(struct str word, const char *const *words, int n);

struct names {
	struct str *at;
	size_t n;
};

/* Into byte order, each once. */
void names_sort(struct names *names);
/* Of sorted names. */
bool names_have(const struct names *names, struct str name);

/* One attribute of the reward, with the range that is mapped onto the goal scale. */
struct weighted {
	struct str name;
	double weight;
	bool rescale;
	double min, max; /* where rescale holds */
};

enum rescale { RESCALE_DECLARED, RESCALE_ALL, RESCALE_NONE };

/* Implicit rewards instead of judges': what a rescoring of a round fixed. */
struct terms {
	struct str policy, reference; /* models */
	bool sampled; /* the responses were sampled for the round; else they were there */
	double alpha, beta;
	struct implicit_rule rule;
};

/* Pairs of another snapshot among a round's (align/replay.h). */
struct replay_terms {
	struct str revision; /* of that snapshot */
	struct str gamma;    /* as a decimal in its shortest form */
	uint64_t total, seed;
};

/* Where the facts lie. Ids and numbers are names and no part of what the pairs
 * are, so they are kept beside the hashed recipe: a build finds by them what
 * to read. */
struct made_from {
	struct str round;    /* STR_NONE: the dataset */
	int64_t rescoring;   /* its number; 0, in a posted one: the latest */
	struct str snapshot; /* of the replay, or STR_NONE */
};

struct recipe {
	/* Published: the pairs that a rescoring makes, all of them. Then there is
	 * no split, holdout, pairing (but min_responses), filter or reference. */
	bool published;
	bool has_terms; /* the rewards are a round's */
	struct terms terms;
	bool has_replay; /* of a published one */
	struct replay_terms replay;
	struct made_from made_from;

	struct str split; /* "*": all of them */

	bool has_holdout, holdout_eval; /* eval: the held-out part, else the rest */
	double holdout_fraction;        /* 0 … 1 */
	uint64_t holdout_seed;

	const struct weighted *attribute; /* resolved: in byte order of names */
	size_t attributes;
	struct names judges; /* resolved: sorted */
	enum across across;
	enum rescale rescale; /* as posted; once resolved, attribute[].rescale says it */
	double goal_min, goal_max;

	struct pair_rule pairing;

	/* Filters; lists of length 0 and limits of -1 let everything pass. */
	struct names sources, exclude_sources, models, exclude_finish_reasons;
	struct names rounds; /* those that sampled the responses */
	int64_t min_characters, max_characters, max_prompt_characters; /* code points */
	bool has_min_reward;
	double min_reward;

	struct str reference; /* STR_NONE: no log-probabilities go along */

	enum augment augment;
	enum goal_kind goal;
	enum placement placement;
	enum view_format format; /* VIEW_TRL or VIEW_TRL_TEXT */
	struct str template;
};

/* A posted document {"name"?, "recipe"}; `text` must outlive the recipe.
 * name STR_NONE: none. posted: the recipe's canonical form, as it came.
 * P_BROKEN_JSON, P_UNKNOWN_KEY, P_INVALID, P_UNKNOWN_ID with the pointer. */
struct recipe_post {
	struct str name, posted;
	struct recipe recipe;
};
int recipe_read_post(struct arena *a, struct str text, struct recipe_post *out, struct err *e);

/* Closes it over the dataset as it stands: attributes, judges, ranges, scale.
 * P_UNKNOWN_ID: a judge or an attribute that nobody scored with; P_INVALID. */
int recipe_resolve(struct recipe *r, struct arena *a, const struct dataset *d,
                   const struct dataset_stats *stats, struct err *e);

/* A resolved recipe as canonical JSON. `hashed` leaves out what makes no
 * difference to the pairs: the view's augment, placement, template, format, and
 * what they were made from; `build` is `hashed` with the latter. */
enum recipe_form { RECIPE_WHOLE, RECIPE_HASHED, RECIPE_BUILD };
void recipe_print(struct buf *b, const struct recipe *r, enum recipe_form form);
/* Reads what recipe_print wrote. P_INTERNAL when it is not that. */
int recipe_load(struct arena *a, struct str text, struct recipe *r, struct err *e);

/* For documents that are not recipes but become one (publish.c): an empty
 * recipe, and a reader of a view into one; *goal says whether a goal was named. */
void recipe_defaults(struct recipe *r);
struct reading;
int recipe_read_view(struct reading *r, const struct json *v, struct recipe *into, bool *goal, struct err *e);
/* Rewards of a round have no scale: their goals are quantiles. P_INVALID at
 * /view/goal when another was named. */
int recipe_round_goal(struct recipe *r, bool goal_named, struct err *e);

/* --- recipe_round.c: the parts that rounds bring; resolved only ----------------------- */

typedef int recipe_part_fn(struct reading *r, const struct json *v, void *to, struct err *e);
recipe_part_fn read_terms, read_published, read_made_from; /* struct recipe */
void print_terms(struct buf *b, const struct recipe *r);
void print_published(struct buf *b, const struct recipe *r);
void print_made_from(struct buf *b, const struct made_from *m);
/* Who made the pairs of a published or rescored snapshot, as the file says it:
 * of a round's own pairs, and of replayed ones. */
void print_lineage(struct buf *b, const struct recipe *r);
void print_replay_lineage(struct buf *b, const struct recipe *r);

#endif
