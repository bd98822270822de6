#include "align/reward.h"

#include <math.h>

/* A mean lies between its terms. In doubles it can come out a last digit
 * beyond them, and a reward of 10.000000000000002 would then fall outside a
 * scale to 10. */
static double clamp(double x, double lo, double hi)
{
	if (!(x >= lo))
		return lo;
	return x > hi ? hi : x;
}

static double least(const double *v, size_t n)
{
	double m = v[0];

	for (size_t i = 1; i < n; i++)
		m = v[i] < m ? v[i] : m;
	return m;
}

static double greatest(const double *v, size_t n)
{
	double m = v[0];

	for (size_t i = 1; i < n; i++)
		m = v[i] > m ? v[i] : m;
	return m;
}

static double mean(const double *v, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += v[i];
	return clamp(sum / (double)n, least(v, n), greatest(v, n));
}

/* The k-th smallest, counted from 0: judges are few, so counting needs
 * neither a copy nor memory. */
static double kth(const double *v, size_t n, size_t k)
{
	for (size_t i = 0; i < n; i++) {
		size_t less = 0, same = 0;

		for (size_t j = 0; j < n; j++) {
			less += v[j] < v[i];
			same += v[j] == v[i];
		}
		if (less <= k && k < less + same)
			return v[i];
	}
	return v[0]; /* only a NaN could come here */
}

static double median(const double *v, size_t n)
{
	double middle[2];

	if (n % 2 == 1)
		return kth(v, n, n / 2);
	middle[0] = kth(v, n, n / 2 - 1);
	middle[1] = kth(v, n, n / 2);
	return mean(middle, 2);
}

static double together(enum across across, const double *v, size_t n)
{
	switch (across) {
	case ACROSS_MEDIAN:
		return median(v, n);
	case ACROSS_MIN:
		return least(v, n);
	case ACROSS_MAX:
		return greatest(v, n);
	case ACROSS_MEAN:
		break;
	}
	return mean(v, n);
}

/* What lies within the declared range stays within the goal scale, to the
 * last digit; what lies outside is mapped by the same line. */
static double rescaled(const struct reward_rule *rule, const struct reward_attribute *at, double a)
{
	double x = rule->goal_min +
	           (a - at->min) * (rule->goal_max - rule->goal_min) / (at->max - at->min);

	return a >= at->min && a <= at->max ? clamp(x, rule->goal_min, rule->goal_max) : x;
}

static double mirrored(const struct reward_rule *rule, double a)
{
	double x = rule->goal_min + rule->goal_max - a;

	return a >= rule->goal_min && a <= rule->goal_max ? clamp(x, rule->goal_min, rule->goal_max) : x;
}

static double own_goal(const struct reward_rule *rule, const struct reward_attribute *at,
                       const struct reward_values *v)
{
	double a = together(rule->across, v->value, v->n);

	if (at->rescale)
		a = rescaled(rule, at, a);
	if (at->weight < 0)
		a = mirrored(rule, a);
	return a + 0.0; /* -0 becomes 0 */
}

bool reward_of(const struct reward_rule *rule, const struct reward_values *values,
               double *reward, double *own)
{
	double sum = 0, weight = 0, lo = INFINITY, hi = -INFINITY;

	for (size_t i = 0; i < rule->attributes; i++)
		if (values[i].n == 0)
			return false;
	for (size_t i = 0; i < rule->attributes; i++) {
		double w = fabs(rule->attribute[i].weight);
		double a = own_goal(rule, &rule->attribute[i], &values[i]);

		if (own)
			own[i] = a;
		if (w == 0)
			continue;
		sum += w * a;
		weight += w;
		lo = a < lo ? a : lo;
		hi = a > hi ? a : hi;
	}
	*reward = clamp(sum / weight, lo, hi) + 0.0;
	return true;
}
