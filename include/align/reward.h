/* reward.h - from scores to one reward per response.
 *
 * Per attribute: the judges' values taken together (`across`), then, where
 * `rescale` holds, mapped linearly from the attribute's declared range onto
 * the goal scale; an attribute of negative weight is mirrored on the goal
 * scale, a → min + max − a; then
 *     reward = Σ |w|·a / Σ |w|.
 * A weight of 0 still requires the attribute. Pure; sums run in the order of
 * the arrays, which the caller keeps in byte order of (attribute, judge). */
#ifndef PREFD_ALIGN_REWARD_H
#define PREFD_ALIGN_REWARD_H

#include <stdbool.h>
#include <stddef.h>

enum across { ACROSS_MEAN, ACROSS_MEDIAN, ACROSS_MIN, ACROSS_MAX };

struct reward_attribute {
	double weight;   /* negative: less of it is better */
	bool rescale;    /* min … max onto the goal scale */
	double min, max; /* the declared range; used only where rescale holds */
};

struct reward_rule {
	const struct reward_attribute *attribute;
	size_t attributes; /* at least 1, not all of weight 0 */
	enum across across;
	double goal_min, goal_max; /* the goal scale, min < max */
};

/* The current good values of one attribute of one response. */
struct reward_values {
	const double *value; /* in byte order of judges */
	size_t n;
};

/* values[i] belongs to rule->attribute[i]. False when an attribute has no
 * value (`missing_attribute`). own[i], when own is not NULL, is the
 * attribute's own goal: rescaled and mirrored, before weighing. */
bool reward_of(const struct reward_rule *rule, const struct reward_values *values,
               double *reward, double *own);

#endif
