#include "align/alpha.h"

#include <math.h>
#include <stdlib.h>

#include "gap.h"

/* Crossings this close to each other, relative to themselves, are one. */
#define SAME_CROSSING 1e-12
/* How far inside its interval the answer lies, relative to max(1, c). */
#define INSIDE 1e-9
#define GRID_STEP 0.001

enum {
	FEW_LINES = 32, /* sorted by insertion */
	RADIX_BITS = 11,
	RADIX = 1 << RADIX_BITS
};

/* A response as α grows: r − α·L. */
struct line {
	double length, reward;
};

/* A best or worst response hands over to another: D's sum falls by `drop`. */
struct event {
	double alpha, drop;
};

/* A line of an envelope, with the α at which it hands over to the one below. */
struct turn {
	struct line line;
	double alpha;
};

struct sweep {
	struct line *line;   /* one prompt's, in order */
	struct turn *stack;
	struct event *event; /* all prompts' */
	size_t events;
};

/* --- one prompt's envelopes ---------------------------------------------------------- */

/* By length, and of equal length the greater reward first. */
static inline bool before(struct line a, struct line b)
{
	return a.length < b.length || (a.length == b.length && a.reward > b.reward);
}

static int by_length(const void *pa, const void *pb)
{
	const struct line *a = pa, *b = pb;

	return before(*b, *a) - before(*a, *b);
}

static void sort_lines(struct line *line, size_t n)
{
	if (n > FEW_LINES) {
		qsort(line, n, sizeof *line, by_length);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		struct line x = line[i];
		size_t j = i;

		for (; j > 0 && before(x, line[j - 1]); j--)
			line[j] = line[j - 1];
		line[j] = x;
	}
}

/* Adds a line longer than those on the stack, which holds the winners from α
 * without end (the bottom) down to α = 0 (the top). It wins below its crossing
 * with the top; a top that would win nowhere goes first. At a crossing of
 * several lines the shortest wins, hence >=. */
static size_t push(struct turn *stack, size_t n, struct line x)
{
	double alpha = INFINITY;

	if (n > 0 && x.reward <= stack[n - 1].line.reward)
		return n;
	while (n > 0) {
		const struct turn *top = &stack[n - 1];

		alpha = (x.reward - top->line.reward) / (x.length - top->line.length);
		if (n == 1 || alpha < top->alpha)
			break;
		n--;
	}
	stack[n] = (struct turn){x, alpha};
	return n + 1;
}

static void note(struct sweep *s, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (s->stack[i].alpha < ALPHA_MAX)
			s->event[s->events++] = (struct event){
				s->stack[i].alpha,
				s->stack[i].line.length - s->stack[i - 1].line.length,
			};
}

/* The lower envelope is the upper one of the lines mirrored at 0, whose order
 * is the order reversed. Its lengths fall as the worst one's rise: both drop. */
static void envelopes(struct sweep *s, size_t lines)
{
	size_t n = 0;

	for (size_t i = 0; i < lines; i++)
		n = push(s->stack, n, s->line[i]);
	note(s, n);
	n = 0;
	for (size_t i = lines; i-- > 0;)
		n = push(s->stack, n, (struct line){-s->line[i].length, -s->line[i].reward});
	note(s, n);
}

static void gather(struct sweep *s, const struct implicit_groups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		uint32_t from = g->first[i], n = g->first[i + 1] - from;

		if (g->skip[i] != IMPLICIT_KEPT)
			continue;
		for (uint32_t j = 0; j < n; j++)
			s->line[j] = (struct line){g->length[from + j], g->reward[from + j]};
		sort_lines(s->line, n);
		envelopes(s, n);
	}
}

/* --- all prompts together --------------------------------------------------------------- */

/* Bits of doubles that are not negative are in the same order as the doubles. */
static inline size_t digit(double alpha, int shift)
{
	uint64_t bits;

	memcpy(&bits, &alpha, sizeof bits);
	return bits >> shift & (RADIX - 1);
}

/* One digit's pass, from `from` to `to`. False when all have the same digit,
 * and nothing was moved. */
static bool sort_digit(const struct event *from, struct event *to, size_t n, int shift)
{
	size_t at[RADIX] = {0}, sum = 0;

	for (size_t i = 0; i < n; i++)
		at[digit(from[i].alpha, shift)]++;
	if (at[digit(from[0].alpha, shift)] == n)
		return false;
	for (size_t d = 0; d < RADIX; d++) {
		size_t count = at[d];

		at[d] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[at[digit(from[i].alpha, shift)]++] = from[i];
	return true;
}

/* By α: digit by digit, as comparing would take half of the whole search. */
static void sort_events(struct sweep *s, struct arena *a)
{
	struct event *other = arena_alloc(a, s->events * sizeof *other);

	for (int shift = 0; s->events > 1 && shift < 64; shift += RADIX_BITS)
		if (sort_digit(s->event, other, s->events, shift)) {
			struct event *sorted = other;

			other = s->event;
			s->event = sorted;
		}
}

/* The events from `i` on that are one crossing; returns the one behind them. */
static size_t crossing_end(const struct sweep *s, size_t i)
{
	for (i++; i < s->events; i++)
		if (s->event[i].alpha - s->event[i - 1].alpha > SAME_CROSSING * s->event[i].alpha)
			break;
	return i;
}

/* Inside the interval behind the crossing that ends before event `end`. */
static double inside(const struct sweep *s, size_t end)
{
	double c = s->event[end - 1].alpha;
	double next = end < s->events ? s->event[end].alpha : ALPHA_MAX;

	return c + fmin((next - c) / 2, INSIDE * fmax(1, c));
}

/* D falls at every crossing, so the best interval is the one before or the one
 * behind the crossing at which it ceases to be positive. sum: of D at 0, > 0. */
static double cross_zero(const struct sweep *s, struct wide sum)
{
	size_t end = 0, last = 0;
	double above = sum.hi;

	while (sum.hi > 0 && end < s->events) {
		above = sum.hi;
		last = end;
		end = crossing_end(s, end);
		for (size_t i = last; i < end; i++)
			wide_add(&sum, -s->event[i].drop);
	}
	if (fabs(sum.hi) < above)
		last = end;
	return last == 0 ? 0 : inside(s, last);
}

static size_t largest(const struct implicit_groups *g)
{
	size_t most = 0;

	for (size_t i = 0; i < g->n; i++)
		if (g->first[i + 1] - g->first[i] > most)
			most = g->first[i + 1] - g->first[i];
	return most;
}

double alpha_auto(const struct implicit_groups *g, struct arena *a)
{
	struct wide sum = gap_sum(g, 0);
	size_t most = largest(g);
	struct sweep s = {0};

	if (!(sum.hi > 0))
		return 0;
	s.line = arena_alloc(a, most * sizeof *s.line);
	s.stack = arena_alloc(a, most * sizeof *s.stack);
	/* Each response ends its reign at most once at the top, once at the bottom. */
	s.event = arena_alloc(a, 2 * (size_t)g->first[g->n] * sizeof *s.event);
	gather(&s, g);
	sort_events(&s, a);
	return cross_zero(&s, sum);
}

/* --- the published search ------------------------------------------------------------------ */

void alpha_grid_init(struct alpha_grid *s)
{
	*s = (struct alpha_grid){.least = INFINITY};
}

bool alpha_grid_try(struct alpha_grid *s, const struct implicit_groups *scores, int steps)
{
	for (; steps > 0 && s->next < ALPHA_GRID_STEPS; steps--) {
		double d = fabs(implicit_gap(scores, GRID_STEP * s->next));

		if (d > s->least) {
			s->next = ALPHA_GRID_STEPS;
			break;
		}
		if (d < s->least) {
			s->least = d;
			s->best = s->next;
		}
		s->next++;
	}
	return s->next < ALPHA_GRID_STEPS;
}

double alpha_grid_found(const struct alpha_grid *s, double beta)
{
	return beta * (GRID_STEP * s->best);
}
