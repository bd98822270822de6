/* The order of an epoch and one rank's share of a batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "align/order.h"
#include "base/heap.h"

#define ZEROS STR("0000000000000000000000000000000000000000000000000000000000000000")
#define DIGITS STR("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

static struct order order_of(uint64_t n, uint64_t seed)
{
	struct order o;

	order_init(&o, ZEROS, STR("both"), seed, 0, n, 1);
	return o;
}

/* Frozen by the contract: a trainer's checkpoint rests on them. */
static void golden_small(void **state)
{
	static const uint64_t want[10] = {3, 5, 4, 7, 1, 6, 2, 9, 8, 0};
	struct order o = order_of(10, 0);

	(void)state;
	for (uint64_t p = 0; p < 10; p++)
		assert_int_equal(order_at(&o, p), want[p]);
}

static void golden_large(void **state)
{
	static const uint64_t want[8] = {928, 1315, 1208, 950, 1910, 316, 976, 1468};
	struct order o;

	(void)state;
	order_init(&o, ZEROS, STR("both"), 42, 1, 2122, 1);
	for (uint64_t p = 0; p < 8; p++)
		assert_int_equal(order_at(&o, p), want[p]);
}

/* From a second implementation with integers of any size: positions 0, 1, 2,
 * n/2 and n−1 under seed 2^64−1 and epoch 7. */
static void golden_huge(void **state)
{
	static const struct {
		uint64_t n, at[5];
	} want[] = {
		{1048576, {945448, 31467, 1035594, 634001, 916832}},
		{1000003, {764364, 27563, 905627, 781205, 359143}},
		{20000000, {3605315, 8087675, 17888021, 9995136, 12454703}},
		{1099511627775, {1011707290313, 914462716332, 671517277222, 661304375365, 254830131795}},
		{1099511627776, {1011707290313, 914462716332, 671517277222, 1040347030686, 500211269773}},
		{1099511615431, {1011707290313, 914462716332, 671517277222, 393036126479, 690251064892}},
		{UINT64_C(9223372036854775808),
		 {UINT64_C(3182765767715443453), UINT64_C(8322944519469536072),
		  UINT64_C(2470921643287525773), UINT64_C(7888965230169139146),
		  UINT64_C(3422175702306487015)}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
		uint64_t n = want[i].n, p[5] = {0, 1, 2, n / 2, n - 1};
		struct order o;

		order_init(&o, DIGITS, STR("none"), UINT64_MAX, 7, n, 1);
		for (int j = 0; j < 5; j++)
			assert_int_equal(order_at(&o, p[j]), want[i].at[j]);
	}
}

static void check_permutation(uint64_t n, uint64_t seed)
{
	uint8_t *seen = heap_zalloc(n, 1);
	struct order o = order_of(n, seed);

	for (uint64_t p = 0; p < n; p++) {
		uint64_t x = order_at(&o, p);

		assert_true(x < n);
		assert_int_equal(seen[x], 0);
		seen[x] = 1;
	}
	heap_free(seen);
}

static void every_order_is_a_permutation(void **state)
{
	static const uint64_t large[] = {1023, 1024, 1025, 65535, 65536, 65537, 300007};

	(void)state;
	for (uint64_t n = 1; n <= 300; n++)
		check_permutation(n, n);
	for (size_t i = 0; i < sizeof large / sizeof *large; i++)
		check_permutation(large[i], 5);
}

/* Of sizes too large to walk through: 4,096 positions give 4,096 examples. */
static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void huge_orders_repeat_nothing(void **state)
{
	enum { SAMPLED = 4096 };
	static uint64_t at[SAMPLED];

	(void)state;
	for (int shift = 20; shift <= 62; shift += 3) {
		uint64_t n = (UINT64_C(1) << shift) + 12345;
		struct order o = order_of(n, 9);

		for (uint64_t i = 0; i < SAMPLED; i++) {
			at[i] = order_at(&o, n - 1 - i);
			assert_true(at[i] < n);
		}
		qsort(at, SAMPLED, sizeof *at, ascending);
		for (int i = 1; i < SAMPLED; i++)
			assert_true(at[i - 1] < at[i]);
	}
}

/* a = max(32, ceil(sqrt n)), b = max(32, ceil(n / a)). */
static void check_radices(uint64_t n, uint64_t a)
{
	struct order o = order_of(n, 0);

	assert_int_equal(o.a, a);
	assert_true(o.b >= 32);
	assert_true((unsigned __int128)o.a * o.b >= n);
	if (o.b > 32)
		assert_true((unsigned __int128)o.a * (o.b - 1) < n);
}

static void radices_are_exact(void **state)
{
	(void)state;
	check_radices(0, 32);
	check_radices(1, 32);
	check_radices(1024, 32);
	check_radices(1025, 33);
	/* Around squares from 2^52 to 2^63, where a double loses the last digits. */
	for (uint64_t root = UINT64_C(1) << 26; root < UINT64_C(3037000499); root += root / 7 + 1) {
		check_radices(root * root - 1, root);
		check_radices(root * root, root);
		check_radices(root * root + 1, root + 1);
	}
	check_radices(UINT64_C(3037000499) * UINT64_C(3037000499), UINT64_C(3037000499));
	check_radices(UINT64_C(1) << 63, UINT64_C(3037000500));
}

static int differing(const struct order *a, const struct order *b)
{
	int n = 0;

	for (uint64_t p = 0; p < a->n; p++)
		n += order_at(a, p) != order_at(b, p);
	return n;
}

static void every_part_of_the_key_counts(void **state)
{
	struct order base, other;

	(void)state;
	order_init(&base, ZEROS, STR("both"), 1, 2, 500, 1);
	order_init(&other, ZEROS, STR("both"), 1, 2, 500, 1);
	assert_int_equal(differing(&base, &other), 0);
	order_init(&other, DIGITS, STR("both"), 1, 2, 500, 1);
	assert_true(differing(&base, &other) > 400);
	order_init(&other, ZEROS, STR("none"), 1, 2, 500, 1);
	assert_true(differing(&base, &other) > 400);
	order_init(&other, ZEROS, STR("both"), 2, 2, 500, 1);
	assert_true(differing(&base, &other) > 400);
	order_init(&other, ZEROS, STR("both"), 1, 3, 500, 1);
	assert_true(differing(&base, &other) > 400);
}

static void unshuffled_is_the_stored_order(void **state)
{
	struct order o;

	(void)state;
	order_init(&o, ZEROS, STR("both"), 0, 0, 1000, 0);
	for (uint64_t p = 0; p < 1000; p++)
		assert_int_equal(order_at(&o, p), p);
}

/* The contract said in loops: the global batch is the next batch·world
 * positions, rank r takes those at offset + i·world + r. */
static void check_share(uint64_t n, uint64_t offset, uint64_t batch, uint64_t rank,
                        uint64_t world, enum tail tail)
{
	struct share s = {0};
	enum share_state got = share_of(&s, n, offset, batch, rank, world, tail);
	uint64_t count = 0, next = offset;

	if (offset > n) {
		assert_int_equal(got, SHARE_BEYOND);
		return;
	}
	if (offset == n || (tail == TAIL_DROP && n - offset < batch * world)) {
		assert_int_equal(got, SHARE_END);
		return;
	}
	assert_int_equal(got, SHARE_SERVED);
	for (uint64_t i = 0; i < batch; i++)
		for (uint64_t r = 0; r < world; r++) {
			uint64_t p = offset + i * world + r;

			next += p < n;
			if (r != rank || (p >= n && tail != TAIL_PAD))
				continue;
			while (p >= n)
				p -= n;
			assert_int_equal(share_position(&s, count), p);
			count++;
		}
	assert_int_equal(s.count, count);
	assert_int_equal(s.next_offset, next);
}

static void shares_agree_with_the_contract(void **state)
{
	static const uint64_t world[] = {1, 2, 3, 8};

	(void)state;
	for (uint64_t n = 0; n <= 20; n++)
		for (uint64_t offset = 0; offset <= n + 2; offset++)
			for (uint64_t batch = 1; batch <= 5; batch++)
				for (int w = 0; w < 4; w++)
					for (uint64_t rank = 0; rank < world[w]; rank++)
						for (int tail = TAIL_SHORT; tail <= TAIL_PAD; tail++)
							check_share(n, offset, batch, rank, world[w],
							            (enum tail)tail);
}

/* 10 examples, 2 ranks of 3: batches at 0 and 6, and what is left at 6 is 4. */
static void shares_by_hand(void **state)
{
	struct share s;

	(void)state;
	assert_int_equal(share_of(&s, 10, 0, 3, 1, 2, TAIL_SHORT), SHARE_SERVED);
	assert_int_equal(s.count, 3);
	assert_int_equal(share_position(&s, 2), 5);
	assert_int_equal(s.next_offset, 6);
	assert_int_equal(share_of(&s, 10, 6, 3, 1, 2, TAIL_SHORT), SHARE_SERVED);
	assert_int_equal(s.count, 2); /* 7 and 9 */
	assert_int_equal(s.next_offset, 10);
	assert_int_equal(share_of(&s, 10, 6, 3, 1, 2, TAIL_DROP), SHARE_END);
	assert_int_equal(share_of(&s, 10, 6, 3, 1, 2, TAIL_PAD), SHARE_SERVED);
	assert_int_equal(s.count, 3); /* 7, 9 and 11, which is 1 */
	assert_int_equal(share_position(&s, 2), 1);
	assert_int_equal(s.next_offset, 10);
	/* More ranks than examples: rank 5 of 8 at offset 6 finds nothing. */
	assert_int_equal(share_of(&s, 10, 6, 1, 5, 8, TAIL_SHORT), SHARE_SERVED);
	assert_int_equal(s.count, 0);
	assert_int_equal(s.next_offset, 10);
}

static void the_greatest_shares(void **state)
{
	const uint64_t n = UINT64_C(1) << 63, world = UINT64_C(1) << 32;
	struct share s;

	(void)state;
	assert_int_equal(share_of(&s, 10, UINT64_MAX, 65536, 0, world, TAIL_PAD), SHARE_BEYOND);
	assert_int_equal(share_of(&s, n, n + 1, 65536, 0, world, TAIL_SHORT), SHARE_BEYOND);
	assert_int_equal(share_of(&s, n, n, 65536, 0, world, TAIL_SHORT), SHARE_END);
	assert_int_equal(share_of(&s, n, 0, 65536, world - 1, world, TAIL_DROP), SHARE_SERVED);
	assert_int_equal(s.next_offset, UINT64_C(1) << 48);
	assert_int_equal(share_position(&s, 65535), (UINT64_C(1) << 48) - 1);
	assert_int_equal(share_of(&s, n, n - 1, 65536, world - 1, world, TAIL_DROP), SHARE_END);
	assert_int_equal(share_of(&s, n, n - 1, 65536, world - 1, world, TAIL_PAD), SHARE_SERVED);
	assert_int_equal(s.next_offset, n);
	/* n − 1 + 65536·2^32 − 1, less n. */
	assert_int_equal(share_position(&s, 65535), (UINT64_C(1) << 48) - 2);
	/* A single example serves every rank, as often as needed. */
	assert_int_equal(share_of(&s, 1, 0, 65536, world - 1, world, TAIL_PAD), SHARE_SERVED);
	assert_int_equal(s.count, 65536);
	assert_int_equal(share_position(&s, 65535), 0);
	assert_int_equal(s.next_offset, 1);
}

/* Many at once are what they are one by one: numbers of places that fill no
 * group, one, and several with a rest, in orders that walk (a·b > n) and do not. */
static void many_at_once_agree_with_one(void **state)
{
	static const uint64_t sizes[] = {1, 33, 1000, 1024, 1025, 200000, UINT64_C(1) << 40};
	static const size_t counts[] = {0, 1, 2, 15, 16, 17, 32, 33, 64, 100};
	uint64_t place[100];
	struct order o;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (size_t c = 0; c < 2 * (sizeof counts / sizeof *counts); c++) {
			size_t n = counts[c / 2];

			order_init(&o, STR("abc"), STR("both"), i, c, sizes[i], c % 2 == 0);
			for (size_t j = 0; j < n; j++)
				place[j] = (j * 7 + c) % sizes[i];
			order_run(&o, place, n);
			for (size_t j = 0; j < n; j++)
				assert_int_equal(place[j], order_at(&o, (j * 7 + c) % sizes[i]));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_small),
		cmocka_unit_test(golden_large),
		cmocka_unit_test(golden_huge),
		cmocka_unit_test(every_order_is_a_permutation),
		cmocka_unit_test(huge_orders_repeat_nothing),
		cmocka_unit_test(radices_are_exact),
		cmocka_unit_test(every_part_of_the_key_counts),
		cmocka_unit_test(many_at_once_agree_with_one),
		cmocka_unit_test(unshuffled_is_the_stored_order),
		cmocka_unit_test(shares_agree_with_the_contract),
		cmocka_unit_test(shares_by_hand),
		cmocka_unit_test(the_greatest_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
