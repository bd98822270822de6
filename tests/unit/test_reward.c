/* From scores to a reward. Figures worked by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>

#include "align/reward.h"

#define VALUES(...) \
	((struct reward_values){(const double[]){__VA_ARGS__}, \
	                        sizeof((const double[]){__VA_ARGS__}) / sizeof(double)})

static struct reward_rule rule_of(const struct reward_attribute *a, size_t n)
{
	return (struct reward_rule){a, n, ACROSS_MEAN, 1, 10};
}

static double reward(const struct reward_rule *rule, const struct reward_values *v)
{
	double r = NAN;

	assert_true(reward_of(rule, v, &r, NULL));
	return r;
}

/* 7, 4, 10 and 5: mean 26/4, median (5 + 7)/2; of three of them 7, 4, 10: mean 7, median 7. */
static void judges_are_taken_together(void **state)
{
	struct reward_attribute a = {.weight = 1};
	struct reward_rule rule = rule_of(&a, 1);
	struct reward_values four = VALUES(7, 4, 10, 5), three = VALUES(7, 4, 10), one = VALUES(3);

	(void)state;
	assert_true(reward(&rule, &four) == 6.5);
	assert_true(reward(&rule, &three) == 7);
	rule.across = ACROSS_MEDIAN;
	assert_true(reward(&rule, &four) == 6);
	assert_true(reward(&rule, &three) == 7);
	assert_true(reward(&rule, &one) == 3);
	rule.across = ACROSS_MIN;
	assert_true(reward(&rule, &four) == 4);
	rule.across = ACROSS_MAX;
	assert_true(reward(&rule, &four) == 10);
}

static void medians_see_equal_values(void **state)
{
	struct reward_attribute a = {.weight = 1};
	struct reward_rule rule = rule_of(&a, 1);
	struct reward_values v[] = {VALUES(2, 2, 9), VALUES(9, 2, 2, 2), VALUES(5, 1, 5, 1),
	                            VALUES(8, 3), VALUES(4, 4, 4, 4, 4)};
	const double want[] = {2, 2, 3, 5.5, 4};

	(void)state;
	rule.across = ACROSS_MEDIAN;
	for (int i = 0; i < 5; i++)
		assert_true(reward(&rule, &v[i]) == want[i]);
}

/* 1 … 5 onto 1 … 10: 1 → 1, 3 → 1 + 2·9/4 = 5.5, 5 → 10; 6 lies outside and stays so: 12.25. */
static void a_range_is_mapped_onto_the_scale(void **state)
{
	struct reward_attribute a = {.weight = 1, .rescale = true, .min = 1, .max = 5};
	struct reward_rule rule = rule_of(&a, 1);
	struct reward_values v[] = {VALUES(1), VALUES(3), VALUES(5), VALUES(6), VALUES(0)};
	const double want[] = {1, 5.5, 10, 12.25, -1.25};

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_true(reward(&rule, &v[i]) == want[i]);
	a.rescale = false;
	assert_true(reward(&rule, &v[1]) == 3);
}

/* The judges come together before the map: median of 1, 2, 5 is 2 → 1 + 9/4. */
static void together_then_mapped(void **state)
{
	struct reward_attribute a = {.weight = 1, .rescale = true, .min = 1, .max = 5};
	struct reward_rule rule = rule_of(&a, 1);
	struct reward_values v = VALUES(1, 2, 5);

	(void)state;
	rule.across = ACROSS_MEDIAN;
	assert_true(reward(&rule, &v) == 3.25);
}

/* Less of it is better: 1 + 10 − 8 = 3; mapped first, 2 on 1 … 5 is 3.25 → 7.75. */
static void negative_weights_mirror(void **state)
{
	struct reward_attribute a = {.weight = -2};
	struct reward_rule rule = rule_of(&a, 1);
	struct reward_values eight = VALUES(8), two = VALUES(2), outside = VALUES(12);

	(void)state;
	assert_true(reward(&rule, &eight) == 3);
	assert_true(reward(&rule, &outside) == -1);
	a = (struct reward_attribute){.weight = -2, .rescale = true, .min = 1, .max = 5};
	assert_true(reward(&rule, &two) == 7.75);
}

/* help 8 (weight 3), verbosity 4 (weight −1 → 7), truth 10 (weight 0, required,
 * counts nothing): (3·8 + 1·7)/4 = 7.75. */
static void weights_make_a_mean(void **state)
{
	const struct reward_attribute a[] = {{.weight = 3}, {.weight = 0}, {.weight = -1}};
	struct reward_rule rule = rule_of(a, 3);
	struct reward_values v[] = {VALUES(8), VALUES(10), VALUES(4)};
	double r, own[3];

	(void)state;
	assert_true(reward_of(&rule, v, &r, own));
	assert_true(r == 7.75);
	assert_true(own[0] == 8 && own[1] == 10 && own[2] == 7);
}

static void a_missing_attribute_is_no_reward(void **state)
{
	const struct reward_attribute a[] = {{.weight = 3}, {.weight = 0}};
	struct reward_rule rule = rule_of(a, 2);
	struct reward_values v[] = {VALUES(8), {NULL, 0}};
	double r = -7, own[2] = {-7, -7};

	(void)state;
	/* Even a weight of 0 requires it; nothing half done. */
	assert_false(reward_of(&rule, v, &r, own));
	assert_true(r == -7 && own[0] == -7 && own[1] == -7);
}

/* 0.1 + 0.2 + 0.3 and 0.3 + 0.2 + 0.1 differ in doubles: the order given is the order summed. */
static void sums_run_in_the_order_given(void **state)
{
	struct reward_attribute a = {.weight = 1};
	struct reward_rule rule = rule_of(&a, 1);
	struct reward_values up = VALUES(0.1, 0.2, 0.3), down = VALUES(0.3, 0.2, 0.1);
	volatile double x = 0.1, y = 0.2, z = 0.3;

	(void)state;
	assert_true(reward(&rule, &up) == (x + y + z) / 3);
	assert_true(reward(&rule, &down) == (z + y + x) / 3);
	assert_true(reward(&rule, &up) != reward(&rule, &down));
}

/* Means in doubles may come out a last digit beyond their terms; a reward of
 * 10.000000000000002 would be outside its scale. */
static void a_mean_stays_between_its_terms(void **state)
{
	struct reward_attribute a[7];
	struct reward_rule rule = rule_of(a, 7);
	struct reward_values v[7];
	double best = 0.7;
	int beyond = 0;

	(void)state;
	for (int k = 1; k < 500; k++) {
		double sum = 0, weight = 0, r;

		for (int i = 0; i < 7; i++) {
			a[i] = (struct reward_attribute){.weight = (k * (i + 1) % 17 + 1) / 10.0};
			v[i] = (struct reward_values){&best, 1};
			sum += a[i].weight * best;
			weight += a[i].weight;
		}
		beyond += sum / weight > best;
		r = reward(&rule, v);
		assert_true(r == best);
	}
	assert_true(beyond > 0); /* else this test would show nothing */
}

/* What lies in its range lies on the scale, to the last digit; mirrored or not. */
static void ends_never_leave_the_scale(void **state)
{
	struct reward_attribute a = {.rescale = true};
	struct reward_rule rule = {&a, 1, ACROSS_MEAN, 0.1, 0.7};
	double end;
	struct reward_values v = {&end, 1};

	(void)state;
	for (int i = 1; i < 300; i++) {
		a.min = -i / 7.0;
		a.max = i / 3.0 + 0.1;
		for (int side = 0; side < 4; side++) {
			bool top = side & 1, mirror = side & 2;
			double r;

			a.weight = mirror ? -1 : 1;
			end = top ? a.max : a.min;
			r = reward(&rule, &v);
			assert_true(r >= 0.1 && r <= 0.7);
			assert_true(fabs(r - (top != mirror ? 0.7 : 0.1)) < 1e-15);
		}
	}
}

static void zero_has_no_sign(void **state)
{
	struct reward_attribute a[] = {{.weight = 1}, {.weight = -1}};
	struct reward_rule rule = {a, 2, ACROSS_MEAN, -1, 1};
	struct reward_values v[] = {VALUES(-0.0), VALUES(0.0)};
	double r, own[2];

	(void)state;
	for (int across = ACROSS_MEAN; across <= ACROSS_MAX; across++) {
		rule.across = (enum across)across;
		assert_true(reward_of(&rule, v, &r, own));
		assert_true(r == 0 && !signbit(r));
		assert_true(own[0] == 0 && !signbit(own[0]));
		assert_true(own[1] == 0 && !signbit(own[1]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judges_are_taken_together),
		cmocka_unit_test(medians_see_equal_values),
		cmocka_unit_test(a_range_is_mapped_onto_the_scale),
		cmocka_unit_test(together_then_mapped),
		cmocka_unit_test(negative_weights_mirror),
		cmocka_unit_test(weights_make_a_mean),
		cmocka_unit_test(a_missing_attribute_is_no_reward),
		cmocka_unit_test(sums_run_in_the_order_given),
		cmocka_unit_test(a_mean_stays_between_its_terms),
		cmocka_unit_test(ends_never_leave_the_scale),
		cmocka_unit_test(zero_has_no_sign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
