/* implicit.c - implicit rewards on request.
 *
 *      READ --> SEARCH (a few values of the grid at a time, or all at once) --> PRINT
 *
 * Each is a step on libuv's pool; between two of them the loop looks whether
 * somebody still waits. */
#include "service/implicit.h"

#include "align/alpha.h"
#include "base/heap.h"
#include "base/json.h"
#include "implicit_read.h"
#include "inside.h"
#include "print.h"

enum {
	GRID_RESPONSES = 4 * 1000 * 1000, /* looked at in one step: some 20 ms */
	REWARD_BYTES = 48,                /* about what one takes in the answer */
};

enum phase { PHASE_READ, PHASE_SEARCH, PHASE_PRINT, PHASE_OVER };

struct implicit_job {
	struct service *service;
	struct pending *pending;
	struct buf text;
	struct arena arena;
	enum phase phase; /* the next */
	struct implicit_document d;
	struct implicit_groups g;
	double *score; /* [responses]: rewards without β, for the grid */
	struct alpha_grid grid;
	double alpha;
	struct buf body;
	struct err err;
};

/* --- the arithmetic ------------------------------------------------------------------ */

static void make_rewards(struct implicit_job *j)
{
	const struct implicit_document *d = &j->d;
	double *reward = arena_alloc(&j->arena, d->responses * sizeof *reward);
	double *length = arena_alloc(&j->arena, d->responses * sizeof *length);

	j->score = arena_alloc(&j->arena, d->responses * sizeof *j->score);
	for (size_t i = 0; i < d->responses; i++) {
		const struct scored *x = &d->response[i];

		reward[i] = implicit_reward(d->beta, x->policy_logprob, x->reference_logprob);
		j->score[i] = implicit_reward(1, x->policy_logprob, x->reference_logprob);
		length[i] = x->length;
	}
	j->g = (struct implicit_groups){
		.n = d->groups,
		.first = d->first,
		.reward = reward,
		.length = length,
		.skip = arena_alloc(&j->arena, d->groups * sizeof *j->g.skip),
	};
	implicit_skips(&j->g, (uint32_t)d->min_responses);
}

static void read_document(struct implicit_job *j)
{
	j->phase = PHASE_OVER;
	if (implicit_read(buf_view(&j->text), &j->arena, &j->d, &j->err) < 0)
		return;
	make_rewards(j);
	alpha_grid_init(&j->grid);
	j->phase = PHASE_SEARCH;
}

static void search_grid(struct implicit_job *j)
{
	struct implicit_groups scores = j->g;

	scores.reward = j->score;
	if (alpha_grid_try(&j->grid, &scores, 1 + GRID_RESPONSES / (1 + (int)j->d.responses)))
		return;
	j->alpha = alpha_grid_found(&j->grid, j->d.beta);
	j->phase = PHASE_PRINT;
}

static void search(struct implicit_job *j)
{
	if (j->d.kind == ALPHA_GRID) {
		search_grid(j);
		return;
	}
	j->alpha = j->d.kind == ALPHA_AUTO ? alpha_auto(&j->g, &j->arena) : j->d.alpha;
	j->phase = PHASE_PRINT;
}

/* --- the answer ------------------------------------------------------------------------ */

static void print_rewards(struct implicit_job *j, size_t group)
{
	struct buf *b = &j->body;

	json_put_key(b, "rewards");
	buf_byte(b, '{');
	for (uint32_t i = j->g.first[group]; i < j->g.first[group + 1]; i++) {
		json_put_key_str(b, j->d.response[i].id);
		json_put_number(b, implicit_regular(j->g.reward[i], j->alpha, j->g.length[i]));
	}
	buf_byte(b, '}');
}

static void print_group(struct implicit_job *j, size_t group)
{
	enum implicit_skip skip = j->g.skip[group];
	struct str chosen = STR_NONE, rejected = STR_NONE;

	if (skip == IMPLICIT_KEPT) {
		struct implicit_pair p = implicit_pair(&j->g, group, j->alpha);

		chosen = j->d.response[p.chosen].id;
		rejected = j->d.response[p.rejected].id;
	}
	json_put_comma(&j->body);
	buf_byte(&j->body, '{');
	print_member(&j->body, "id", j->d.id[group]);
	print_rewards(j, group);
	print_member(&j->body, "chosen", chosen);
	print_member(&j->body, "rejected", rejected);
	if (skip != IMPLICIT_KEPT)
		print_member(&j->body, "skipped", str_of(implicit_skip_word(skip)));
	buf_byte(&j->body, '}');
}

static void print_answer(struct implicit_job *j)
{
	struct buf *b = &j->body;

	buf_room(b, REWARD_BYTES * (j->d.responses + j->d.groups));
	buf_byte(b, '{');
	print_number_member(b, "alpha", j->alpha);
	print_number_member(b, "beta", j->d.beta);
	json_put_key(b, "length_gap");
	buf_byte(b, '{');
	print_number_member(b, "before", implicit_gap(&j->g, 0));
	print_number_member(b, "after", implicit_gap(&j->g, j->alpha));
	buf_byte(b, '}');
	json_put_key(b, "groups");
	buf_byte(b, '[');
	for (size_t i = 0; i < j->g.n; i++)
		print_group(j, i);
	buf_lit(b, "]}");
	j->phase = PHASE_OVER;
}

/* --- its life ---------------------------------------------------------------------------- */

/* Loop's thread. */
static void finish(struct implicit_job *j)
{
	struct answer *out = &j->pending->answer;

	if (pending_take(j->pending)) {
		if (j->err.problem != P_NONE) {
			answer_problem(out, &j->err);
		} else {
			out->status = 200;
			out->body = j->body;
			j->body = BUF_INIT;
		}
		pending_finish(j->pending);
	}
	pending_unref(j->pending);
	implicit_release(&j->d);
	buf_release(&j->body);
	buf_release(&j->text);
	arena_release(&j->arena);
	heap_free(j);
}

/* On the pool. */
static void step(void *ctx)
{
	struct implicit_job *j = ctx;

	if (j->phase == PHASE_READ)
		read_document(j);
	else if (j->phase == PHASE_SEARCH)
		search(j);
	else
		print_answer(j);
}

/* Loop's thread. */
static void next(void *ctx)
{
	struct implicit_job *j = ctx;

	if (j->phase == PHASE_OVER || atomic_load(&j->pending->taken))
		finish(j);
	else
		loop_work(j->service->loop, step, next, j);
}

void implicit_rewards(struct service *s, struct buf *body, struct pending *p)
{
	struct implicit_job *j = heap_zalloc(1, sizeof *j);

	j->service = s;
	j->pending = p;
	pending_ref(p);
	j->text = *body;
	*body = BUF_INIT;
	loop_call(s->loop, next, j);
}
