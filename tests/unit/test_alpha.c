/* The search for α: figures worked by hand, then brute force over all
 * crossings of thousands of random sets of prompts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <cmocka.h>

#include "align/alpha.h"
#include "base/json.h"

enum { MOST = 4000, MOST_GROUPS = 1000, MOST_CROSSINGS = 20000 };

struct prompts {
	struct arena arena;
	uint32_t first[MOST_GROUPS + 1];
	double reward[MOST], length[MOST];
	enum implicit_skip skip[MOST_GROUPS];
	struct implicit_groups g;
	double crossing[MOST_CROSSINGS];
	size_t crossings;
	uint64_t random;
};

static struct prompts *fresh(struct prompts *p)
{
	arena_reset(&p->arena);
	p->first[0] = 0;
	p->g = (struct implicit_groups){0, p->first, p->reward, p->length, p->skip, 0};
	return p;
}

static int set_up(void **state)
{
	static struct prompts p;

	memset(&p, 0, sizeof p);
	arena_init(&p.arena);
	p.random = 1;
	*state = fresh(&p);
	return 0;
}

static int tear_down(void **state)
{
	arena_release(&((struct prompts *)*state)->arena);
	return 0;
}

static void add_group(struct prompts *p)
{
	p->g.n++;
	p->first[p->g.n] = p->first[p->g.n - 1];
}

static void put(struct prompts *p, double reward, double length)
{
	uint32_t i = p->first[p->g.n]++;

	p->reward[i] = reward;
	p->length[i] = length;
}

static double find(struct prompts *p)
{
	implicit_skips(&p->g, 1);
	return alpha_auto(&p->g, &p->arena);
}

static bool near(double x, double y)
{
	return fabs(x - y) <= 1e-15 * fmax(fabs(x), fabs(y));
}

/* --- worked by hand ------------------------------------------------------------ */

/* r 4 at L 10 against r 1 at L 4: they change places at 3/6, D is +6, then −6.
 * Of equals the smallest: 0. */
static void test_of_equals_the_smallest(void **state)
{
	struct prompts *p = *state;

	add_group(p);
	put(p, 4, 10);
	put(p, 1, 4);
	assert_true(find(p) == 0);
	assert_true(implicit_gap(&p->g, 0) == 6);
	assert_true(implicit_gap(&p->g, 0.5) == -6); /* right-continuous */
}

/* A: +6 up to 1/2, then −6.  B: +2 up to 2, then −2.
 * The sum: 8 up to 1/2, then −4, from 2 on −8. Half a step inside: 1/2 + 1e-9. */
static void test_inside_the_best_interval(void **state)
{
	struct prompts *p = *state;

	add_group(p);
	put(p, 4, 10);
	put(p, 1, 4);
	add_group(p);
	put(p, 9, 6);
	put(p, 5, 4);
	assert_true(find(p) == 0.5 + 1e-9);
	assert_true(implicit_gap(&p->g, 0) == 4);
	assert_true(implicit_gap(&p->g, 0.5 + 1e-9) == -2);
}

/* The same with rewards 8 times as great: above 1 the step is relative, 4·1e-9. */
static void test_step_is_relative_above_one(void **state)
{
	struct prompts *p = *state;

	add_group(p);
	put(p, 32, 10);
	put(p, 8, 4);
	add_group(p);
	put(p, 72, 6);
	put(p, 40, 4);
	assert_true(find(p) == 4 + 4e-9);
}

/* A as above. B: +2 up to c = 1/2 + 2^-40, then −2: the interval of −4 is
 * narrower than 2e-9, so the answer is its middle, 1/2 + 2^-41. */
static void test_middle_of_a_narrow_interval(void **state)
{
	struct prompts *p = *state;

	add_group(p);
	put(p, 4, 10);
	put(p, 1, 4);
	add_group(p);
	put(p, 6, 6);
	put(p, 5 - 0x1p-39, 4);
	assert_true(find(p) == 0.5 + 0x1p-41);
}

/* The same with 1/2 + 2^-44, which is closer than 1e-12·c: one crossing, from
 * +8 to −8, and of equals the smallest is 0. With a third prompt's +2, that
 * changes only at 7, it is from +10 to −6: behind both. */
static void test_close_crossings_are_one(void **state)
{
	struct prompts *p = *state;

	add_group(p);
	put(p, 4, 10);
	put(p, 1, 4);
	add_group(p);
	put(p, 6, 6);
	put(p, 5 - 0x1p-43, 4);
	assert_true(find(p) == 0);
	add_group(p);
	put(p, 20, 6);
	put(p, 6, 4);
	assert_true(find(p) == 0.5 + 0x1p-44 + 1e-9);
	assert_true(implicit_gap(&p->g, 0.5 + 1e-9) == -2);
}

/* Lines through one point: r = 2L at L 2, 4, 8 meet at α = 2, where the
 * shortest takes over at once. With a worst that is always L 3: +5, then −1. */
static void test_three_at_one_point(void **state)
{
	struct prompts *p = *state;

	add_group(p);
	put(p, 16, 8);
	put(p, 8, 4);
	put(p, 4, 2);
	put(p, -1000, 3);
	assert_true(find(p) == 2 + 2e-9);
	assert_true(implicit_gap(&p->g, 1.9) == 5);
	assert_true(implicit_gap(&p->g, 2) == -1);
}

/* Crossings that no envelope has are passed over. Best: L 9, from 1 on L 2
 * (2 − 2α = 9 − 9α); L 5 with r 4 would need 4 − 5α > 9 − 9α at 5/4. Worst:
 * L 1, r −1 until −1 − α = −1/2 − 3α/2 at 1; then L 9 itself: worst of all
 * beyond, by 9 − 9α < −1 − α at 5/4.
 *   D: 0 … 1: 9 − 1 = 8.  1 … 5/4: 2 − 1 = 1.  5/4 …: 2 − 9 = −7. */
static void test_envelopes(void **state)
{
	struct prompts *p = *state;

	add_group(p);
	put(p, 9, 9);
	put(p, 4, 5);
	put(p, 2, 2);
	put(p, -1, 1);
	assert_true(find(p) == 1 + 1e-9);
	assert_true(implicit_gap(&p->g, 1 + 1e-9) == 1);
}

static void test_zero(void **state)
{
	struct prompts *p = *state;

	assert_true(find(p) == 0); /* no prompt at all */
	add_group(p);
	assert_true(find(p) == 0); /* no response */
	add_group(p);
	put(p, 1, 5);
	put(p, 1, 5);
	assert_true(find(p) == 0); /* none that is kept */
	add_group(p);
	put(p, 2, 3);
	put(p, 1, 8);
	assert_true(find(p) == 0); /* D(0) = −5 */
	add_group(p);
	put(p, 2, 8);
	put(p, 1, 3);
	assert_true(find(p) == 0); /* D(0) = 0 */
	add_group(p);
	put(p, 7, 4);
	put(p, 7, 2);
	put(p, 6, 3);
	assert_true(find(p) == 0); /* equal rewards: at 0 the shorter is the best; D(0) = −1 */
}

/* L 5 is always the worst: D is +5 up to 6e14/6, then −1, the step 1e-9·1e14.
 * 100 times as far is beyond ALPHA_MAX. */
static void test_far_crossings(void **state)
{
	struct prompts *p = *state;

	add_group(p);
	put(p, 6e14, 10);
	put(p, 0, 4);
	put(p, -1e30, 5);
	assert_true(near(find(p), 1e14 + 1e5));
	p->reward[0] = 6e16;
	assert_true(find(p) == 0);
}

/* --- grid ------------------------------------------------------------------------ */

static double grid(struct prompts *p, double beta, int at_once, int *calls)
{
	struct alpha_grid s;

	*calls = 1;
	alpha_grid_init(&s);
	while (alpha_grid_try(&s, &p->g, at_once))
		++*calls;
	return alpha_grid_found(&s, beta);
}

/* Scores without β. A falls from +6 to −6 at 3.303/6 = 0.5505, B from +100 to
 * −100 at 0.25/100 = 0.0025: D is +53, from 0.003 on −47, from 0.551 on −53,
 * where the search stops: 552 values were tried. */
static void test_grid(void **state)
{
	struct prompts *p = *state;
	int calls;

	add_group(p);
	put(p, 4, 700);
	put(p, 0.697, 694);
	add_group(p);
	put(p, 1, 300);
	put(p, 0.75, 200);
	implicit_skips(&p->g, 2);
	assert_true(grid(p, 0.5, 1, &calls) == 0.5 * (0.001 * 3));
	assert_int_equal(calls, 552);
	assert_true(grid(p, 0.5, 7, &calls) == 0.5 * (0.001 * 3));
	assert_int_equal(calls, 79); /* 552/7, rounded up */
}

/* Of equals the first; and never at 1. */
static void test_grid_ends(void **state)
{
	struct prompts *p = *state;
	int calls;

	add_group(p);
	put(p, 10, 5);
	put(p, 9, 4); /* crossing 1 */
	implicit_skips(&p->g, 2);
	assert_true(grid(p, 1, 1, &calls) == 0);
	assert_int_equal(calls, ALPHA_GRID_STEPS);
	fresh(p);
	implicit_skips(&p->g, 2);
	assert_true(grid(p, 1, ALPHA_GRID_STEPS, &calls) == 0);
}

/* --- random ---------------------------------------------------------------------- */

static uint64_t random_bits(struct prompts *p)
{
	uint64_t z = p->random += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

/* 0 … n − 1 */
static uint32_t below(struct prompts *p, uint32_t n)
{
	return (uint32_t)(random_bits(p) % n);
}

static double real(struct prompts *p)
{
	return (double)(random_bits(p) >> 11) * 0x1p-53;
}

enum { INTEGERS, FEW_INTEGERS, REALS, REAL_LENGTHS, CHARACTERS, KINDS };

static void put_random(struct prompts *p, int kind)
{
	double length;

	switch (kind) {
	case INTEGERS:
		put(p, (double)below(p, 40) - 10, below(p, 30));
		break;
	case FEW_INTEGERS: /* ties everywhere */
		put(p, (double)below(p, 4) * 0.1, below(p, 4));
		break;
	case REALS:
		put(p, 20 * real(p) - 10, below(p, 7000));
		break;
	case REAL_LENGTHS:
		put(p, 3 * real(p), 10 * real(p));
		break;
	default: /* longer answers are better, as they are */
		length = 4 + below(p, 2000);
		put(p, 0.1 * (0.02 * length + 30 * real(p)), length);
	}
}

static void make_random(struct prompts *p, int kind, uint32_t groups, uint32_t most)
{
	fresh(p);
	for (uint32_t i = 0; i < groups; i++) {
		uint32_t n = 1 + below(p, most);

		add_group(p);
		while (n-- > 0)
			put_random(p, kind);
	}
	implicit_skips(&p->g, 2);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Every α > 0 at which any two responses of a prompt change places. */
static void all_crossings(struct prompts *p)
{
	p->crossings = 0;
	for (size_t g = 0; g < p->g.n; g++)
		for (uint32_t i = p->first[g]; i < p->first[g + 1]; i++)
			for (uint32_t j = p->first[g]; j < i; j++) {
				double c = (p->reward[i] - p->reward[j]) / (p->length[i] - p->length[j]);

				if (isfinite(c) && c > 0 && p->g.skip[g] == IMPLICIT_KEPT) {
					assert_true(p->crossings < MOST_CROSSINGS);
					p->crossing[p->crossings++] = c;
				}
			}
	qsort(p->crossing, p->crossings, sizeof *p->crossing, ascending);
}

/* D again, in another way: for each prompt the least under a total order. */
static bool better(const struct prompts *p, uint32_t a, uint32_t b, double alpha)
{
	double ra = p->reward[a] - alpha * p->length[a], rb = p->reward[b] - alpha * p->length[b];

	if (ra != rb)
		return ra > rb;
	return p->length[a] != p->length[b] ? p->length[a] < p->length[b] : a < b;
}

static double gap_by_order(const struct prompts *p, double alpha)
{
	long double sum = 0;

	for (size_t g = 0; g < p->g.n; g++) {
		uint32_t best = p->first[g], worst = best;

		if (p->g.skip[g] != IMPLICIT_KEPT)
			continue;
		for (uint32_t i = best; i < p->first[g + 1]; i++) {
			best = better(p, i, best, alpha) ? i : best;
			worst = better(p, worst, i, alpha) ? i : worst;
		}
		sum += (long double)p->length[best] - p->length[worst];
	}
	return p->g.kept > 0 ? (double)sum / (double)p->g.kept : 0;
}

/* The least |D| over 0 and a point inside every interval between crossings;
 * the first with it into *alpha. */
static double brute_force(const struct prompts *p, double *alpha)
{
	double least = fabs(gap_by_order(p, 0));

	*alpha = 0;
	for (size_t i = 0; i < p->crossings; i++) {
		double c = p->crossing[i], next = i + 1 < p->crossings ? p->crossing[i + 1] : INFINITY, at, d;

		if (next - c <= 1e-12 * next)
			continue;
		at = c + fmin((next - c) / 2, 1e-9 * fmax(1, c));
		d = fabs(gap_by_order(p, at));
		if (d < least - 1e-9) {
			least = d;
			*alpha = at;
		}
	}
	return least;
}

/* As printed and posted back: the very same pairs. */
static void assert_posted_back(const struct prompts *p, double alpha)
{
	char text[JSON_NUMBER_MAX_BYTES + 1];
	double posted;

	text[json_print_number(alpha, text)] = '\0';
	posted = strtod(text, NULL);
	for (size_t g = 0; g < p->g.n; g++)
		if (p->g.skip[g] == IMPLICIT_KEPT) {
			struct implicit_pair a = implicit_pair(&p->g, g, alpha), b = implicit_pair(&p->g, g, posted);

			assert_int_equal(a.chosen, b.chosen);
			assert_int_equal(a.rejected, b.rejected);
			assert_int_not_equal(a.chosen, a.rejected);
		}
}

static void assert_best(struct prompts *p, int kind)
{
	double alpha = alpha_auto(&p->g, &p->arena), gap = implicit_gap(&p->g, alpha);
	double first, least;

	all_crossings(p);
	least = brute_force(p, &first);
	if (fabs(fabs(gap) - least) > 1e-9 || !(fabs(alpha - first) <= 2e-9 * fmax(1, first)))
		fail_msg("kind %d: alpha %.17g gap %.17g, by force %.17g gap %.17g", kind, alpha, gap, first, least);
	assert_true(fabs(gap - gap_by_order(p, alpha)) <= 1e-9);
	if (implicit_gap(&p->g, 0) <= 0)
		assert_true(alpha == 0);
	assert_posted_back(p, alpha);
}

static void test_brute_force_one_prompt(void **state)
{
	struct prompts *p = *state;

	for (int i = 0; i < 20000; i++) {
		make_random(p, i % KINDS, 1, 16);
		assert_best(p, i % KINDS);
	}
}

static void test_brute_force_some_prompts(void **state)
{
	struct prompts *p = *state;

	for (int i = 0; i < 2500; i++) {
		make_random(p, i % KINDS, 1 + below(p, 12), 12);
		assert_best(p, i % KINDS);
	}
}

/* Groups beyond what insertion sorts. */
static void test_brute_force_large_prompts(void **state)
{
	struct prompts *p = *state;

	for (int i = 0; i < 60; i++) {
		make_random(p, i % KINDS, 1 + below(p, 4), 90);
		assert_best(p, i % KINDS);
	}
}

/* D falls or stays, from before the first crossing to behind the last. */
static void test_gap_never_rises(void **state)
{
	struct prompts *p = *state;

	for (int i = 0; i < 500; i++) {
		double last = INFINITY;

		make_random(p, i % KINDS, 6, 8);
		all_crossings(p);
		for (size_t c = 0; c <= p->crossings; c++) {
			double d = implicit_gap(&p->g, c == 0 ? 0 : p->crossing[c - 1] * (1 + 1e-9) + 1e-12);

			assert_true(d <= last + 1e-9);
			last = d;
		}
	}
}

/* The grid searches scores without β; its α with β in it is one that auto
 * could have taken. */
static void test_never_worse_than_grid(void **state)
{
	struct prompts *p = *state;
	int calls;

	for (int i = 0; i < 300; i++) {
		double beta = 0.05 + real(p), of_grid, best;

		make_random(p, i % 2 ? REALS : CHARACTERS, 1 + below(p, 40), 16);
		of_grid = grid(p, beta, 64, &calls);
		for (uint32_t j = 0; j < p->first[p->g.n]; j++)
			p->reward[j] *= beta;
		best = alpha_auto(&p->g, &p->arena);
		assert_true(fabs(implicit_gap(&p->g, best)) <= fabs(implicit_gap(&p->g, of_grid)));
	}
}

/* Where prompts stand and how rewards are scaled by 2^k moves nothing. */
static void test_scaled_by_two(void **state)
{
	struct prompts *p = *state;

	for (int i = 0; i < 300; i++) {
		double alpha, crossing;

		make_random(p, i % KINDS, 5, 8);
		alpha = alpha_auto(&p->g, &p->arena);
		for (uint32_t j = 0; j < p->first[p->g.n]; j++)
			p->reward[j] *= 1024;
		crossing = alpha_auto(&p->g, &p->arena);
		assert_true((alpha == 0) == (crossing == 0));
		assert_true(fabs(crossing - 1024 * alpha) <= 4e-6 * fmax(1, crossing));
		assert_true(fabs(implicit_gap(&p->g, crossing)) <= fabs(implicit_gap(&p->g, 1024 * alpha)) + 1e-9);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(test_of_equals_the_smallest),
		T(test_inside_the_best_interval),
		T(test_step_is_relative_above_one),
		T(test_middle_of_a_narrow_interval),
		T(test_close_crossings_are_one),
		T(test_three_at_one_point),
		T(test_envelopes),
		T(test_zero),
		T(test_far_crossings),
		T(test_grid),
		T(test_grid_ends),
		T(test_brute_force_one_prompt),
		T(test_brute_force_some_prompts),
		T(test_brute_force_large_prompts),
		T(test_gap_never_rises),
		T(test_never_worse_than_grid),
		T(test_scaled_by_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
