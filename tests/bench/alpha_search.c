/* alpha_search FILE ROUNDS
 *
 * The exact search for α alone, as the daemon calls it. FILE: doubles, first
 * the number of groups and the responses in each, then of every response its
 * reward and its length. Prints α, D(0), D(α) and, of each round, the seconds. */
#include <time.h>

#include "align/alpha.h"
#include "made.h"

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void take(FILE *f, double *to, size_t n)
{
	if (fread(to, sizeof *to, n, f) != n) {
		fputs("the file is too short\n", stderr);
		exit(1);
	}
}

static struct implicit_groups read_groups(FILE *f, struct arena *a)
{
	double size[2], one[2];

	take(f, size, 2);
	size_t groups = (size_t)size[0], each = (size_t)size[1];
	uint32_t *first = ARENA_ARRAY(a, uint32_t, groups + 1);
	double *reward = ARENA_ARRAY(a, double, groups * each), *length = ARENA_ARRAY(a, double, groups * each);

	for (size_t i = 0; i < groups * each; i++) {
		take(f, one, 2);
		reward[i] = one[0];
		length[i] = one[1];
	}
	for (size_t g = 0; g <= groups; g++)
		first[g] = (uint32_t)(g * each);
	return (struct implicit_groups){groups, first, reward, length, ARENA_ARRAY(a, enum implicit_skip, groups), 0};
}

/* A search as a rescoring makes it: which prompts are kept, then α. */
static double search(struct implicit_groups *g, double *took)
{
	double before = seconds(), alpha;
	struct arena a;

	arena_init(&a);
	implicit_skips(g, 2);
	alpha = alpha_auto(g, &a);
	arena_release(&a);
	*took = seconds() - before;
	return alpha;
}

int main(int argc, char **argv)
{
	struct implicit_groups g;
	double alpha = 0, took;
	struct arena a;
	FILE *f;

	if (argc != 3 || (f = fopen(argv[1], "rb")) == NULL) {
		fputs("usage: alpha_search FILE ROUNDS\n", stderr);
		return 2;
	}
	arena_init(&a);
	g = read_groups(f, &a);
	fclose(f);
	for (int i = 0, n = atoi(argv[2]); i < n; i++) {
		alpha = search(&g, &took);
		printf("%.9f\n", took);
	}
	printf("alpha %.17g %.17g %.17g\n", alpha, implicit_gap(&g, 0), implicit_gap(&g, alpha));
	arena_release(&a);
	return 0;
}
