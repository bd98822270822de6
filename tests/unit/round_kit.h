/* round_kit.h - rounds, leases and deliveries in few words, on store_kit.h. */
#ifndef ROUND_KIT_H
#define ROUND_KIT_H

#include "store/round.h"
#include "store_kit.h"

enum { LEASE = 60 * 1000000 }; /* microseconds */

static inline struct row question(int i, const struct response *r, uint32_t n)
{
	static char messages[16][64], id[16][8];

	i %= 16;
	snprintf(messages[i], sizeof messages[i], "[{\"role\":\"user\",\"content\":\"question %d\"}]", i);
	snprintf(id[i], sizeof id[i], "p%d", i);
	return record_of(id[i], messages[i], r, n);
}

/* p0 … p(n-1), each a question of its own, without responses. n <= 16. */
static inline void kit_questions(struct kit *k, int n)
{
	for (int i = 0; i < n; i++) {
		struct row row = question(i, NULL, 0);

		kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	}
}

/* Of "d", policy "pi", reference "ref"; 4 to 20 characters, nothing cut off. */
static inline struct round_row round_of(const char *id, uint32_t per_prompt)
{
	static const struct str reason[] = {{"length", 6}, {"abort", 5}};

	return (struct round_row){
		.id = str_of(id),
		.dataset = STR("d"),
		.mode = per_prompt ? ROUND_SAMPLE : ROUND_DATASET,
		.posted = STR("{\"policy\":\"pi\"}"),
		.spec = STR("{\"beta\":0.1,\"policy\":\"pi\"}"),
		.policy = STR("pi"),
		.reference = STR("ref"),
		.per_prompt = per_prompt,
		.lease_us = LEASE,
		.exclude_finish_reason = reason,
		.excludes = 2,
		.min_characters = 4,
		.max_characters = 20,
		.created_at = NOW,
	};
}

/* Returns how many prompts it has. */
static inline int64_t kit_round_of(struct kit *k, struct round_row *row, struct str split, int64_t limit, uint64_t seed)
{
	int64_t prompts = -1;

	kit_begin(k);
	kit_ok(k, store_round_insert(k->w, row, split, limit, seed, &prompts, &k->e));
	kit_commit(k);
	return prompts;
}

/* A round over all prompts. */
static inline struct round_row kit_round(struct kit *k, const char *id, uint32_t per_prompt)
{
	struct round_row row = round_of(id, per_prompt);

	kit_round_of(k, &row, STR_NONE, -1, 0);
	return row;
}

/* --- leases --------------------------------------------------------------------------- */

struct taken {
	int rc;
	enum lease_found found;
	struct lease_task *task;
	uint32_t n;
};

/* A failed call leaves k->e. */
static inline struct taken kit_take(struct kit *k, const char *round, enum round_work kind, const char *lease,
                                    uint32_t limit, int64_t now)
{
	struct round_row r;
	struct lease l = {.id = str_of(lease), .round = str_of(round), .kind = kind, .worker = STR("w"),
	                  .until = now + LEASE};
	struct taken t = {0};
	struct err e;

	kit_ok(k, store_round_get(k->r, &k->a, str_of(round), &r, &k->e));
	kit_begin(k);
	t.rc = store_lease_take(k->w, &k->a, &r, &l, limit, now, &t.found, &t.task, &t.n, &k->e);
	e = k->e;
	if (t.rc < 0)
		kit_undo(k);
	else
		kit_commit(k);
	k->e = e;
	return t;
}

/* The prompts of a lease, as "p0 p1". */
static inline const char *taken_prompts(struct kit *k, const struct taken *t)
{
	struct str s = STR("");

	for (uint32_t i = 0; i < t->n; i++)
		s = arena_printf(&k->a, "%.*s%s%.*s", STR_ARG(s), i ? " " : "", STR_ARG(t->task[i].prompt_id));
	return s.p;
}

/* What task i wants, as "p0: 0 2" or "p0: id id". */
static inline const char *taken_task(struct kit *k, const struct taken *t, uint32_t i)
{
	const struct lease_task *task = &t->task[i];
	struct str s = arena_printf(&k->a, "%.*s:", STR_ARG(task->prompt_id));

	for (uint32_t j = 0; j < task->indices; j++)
		s = arena_printf(&k->a, "%.*s %u", STR_ARG(s), task->index[j]);
	for (uint32_t j = 0; j < task->responses; j++)
		s = arena_printf(&k->a, "%.*s %.*s", STR_ARG(s), STR_ARG(task->response[j].id));
	return s.p;
}

static inline void kit_found(struct kit *k, const char *round, enum round_work kind, int64_t now, enum lease_found want)
{
	static int calls;
	struct taken t;
	char lease[32];

	snprintf(lease, sizeof lease, "none-%d", calls++);
	t = kit_take(k, round, kind, lease, 1, now);
	kit_ok(k, t.rc);
	assert_int_equal(t.found, want);
	assert_int_equal(t.n, 0);
}

/* --- deliveries --------------------------------------------------------------------------- */

static inline struct sample sample_of(const char *prompt, uint32_t index, const char *text)
{
	struct sample x = {.prompt = str_of(prompt), .index = index, .text = str_of(text), .tokens = -1,
	                   .characters = (uint32_t)strlen(text)};

	sha256_of(text, strlen(text), x.text_hash);
	return x;
}

/* In a transaction of its own; -1 leaves nothing but k->e. */
static inline int kit_sample(struct kit *k, const char *round, const struct sample *x, struct delivery_counts *counts)
{
	struct err e;
	int rc;

	kit_begin(k);
	rc = store_sample_put(k->w, str_of(round), x, NOW, counts, &k->e);
	e = k->e;
	if (rc < 0)
		kit_undo(k);
	else
		kit_commit(k);
	k->e = e;
	return rc;
}

/* A sample that is there now: 1 created, 0 unchanged. */
static inline int kit_deliver(struct kit *k, const char *round, const char *prompt, uint32_t index, const char *text)
{
	struct sample x = sample_of(prompt, index, text);
	struct delivery_counts c = {0};

	kit_ok(k, kit_sample(k, round, &x, &c));
	assert_int_equal(c.responses_created + c.responses_unchanged, 1);
	return (int)c.responses_created;
}

static inline int kit_logprob(struct kit *k, const char *round, struct str response, const char *model, double logprob,
                              struct delivery_counts *counts)
{
	struct logprob l = {str_of(model), logprob, -1};
	struct err e;
	int rc;

	kit_begin(k);
	rc = store_logprob_put(k->w, str_of(round), response, &l, counts, &k->e);
	e = k->e;
	if (rc < 0)
		kit_undo(k);
	else
		kit_commit(k);
	k->e = e;
	return rc;
}

/* A log-probability that is there now: 1 created, 0 kept. */
static inline int kit_scored(struct kit *k, const char *round, struct str response, const char *model, double logprob)
{
	struct delivery_counts c = {0};

	kit_ok(k, kit_logprob(k, round, response, model, logprob, &c));
	assert_int_equal(c.logprobs_created + c.logprobs_kept, 1);
	return (int)c.logprobs_created;
}

/* --- what is there ---------------------------------------------------------------------------- */

static inline struct round_progress kit_progress(struct kit *k, const char *round, int64_t now)
{
	struct round_progress p;
	struct round_row r;

	kit_ok(k, store_round_get(k->r, &k->a, str_of(round), &r, &k->e));
	kit_ok(k, store_round_progress(k->r, &r, now, &p, &k->e));
	return p;
}

static inline void assert_progress(struct kit *k, const char *round, int64_t prompts, int64_t responses[2],
                                   int64_t policy[2], int64_t reference[2])
{
	struct round_progress p = kit_progress(k, round, NOW);

	assert_int_equal(p.prompts, prompts);
	assert_int_equal(p.responses_there, responses[0]);
	assert_int_equal(p.responses_wanted, responses[1]);
	assert_int_equal(p.logprobs_there[0], policy[0]);
	assert_int_equal(p.logprobs_wanted[0], policy[1]);
	assert_int_equal(p.logprobs_there[1], reference[0]);
	assert_int_equal(p.logprobs_wanted[1], reference[1]);
}

#define PAIR(there, wanted) ((int64_t[2]){there, wanted})

/* All its prompts, in pages of two. */
static inline struct round_prompt *kit_page(struct kit *k, const char *round, int64_t seq, uint32_t *n)
{
	struct round_prompt *all = ARENA_ARRAY(&k->a, struct round_prompt, 64), *page;
	struct str after = STR_NONE;
	struct round_row r;
	uint32_t got;

	*n = 0;
	kit_ok(k, store_round_get(k->r, &k->a, str_of(round), &r, &k->e));
	do {
		kit_ok(k, store_round_page(k->r, &k->a, &r, after, 2, seq, READ_MESSAGES, &page, &got, &k->e));
		assert_true(got <= 2 && *n + got <= 64);
		for (uint32_t i = 0; i < got; i++)
			all[(*n)++] = page[i];
		if (got > 0)
			after = page[got - 1].id;
	} while (got > 0);
	return all;
}

static inline const char *kit_prompts(struct kit *k, const char *round)
{
	uint32_t n;
	struct round_prompt *p = kit_page(k, round, SEQ_LATEST, &n);
	struct str s = STR("");

	for (uint32_t i = 0; i < n; i++)
		s = arena_printf(&k->a, "%.*s%s%.*s", STR_ARG(s), i ? " " : "", STR_ARG(p[i].id));
	return s.p;
}

/* The id of a sample that is there. */
static inline struct str kit_sample_id(struct kit *k, const char *round, const char *prompt, uint32_t index)
{
	uint32_t n;
	struct round_prompt *p = kit_page(k, round, SEQ_LATEST, &n);

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = 0; str_eq(p[i].id, str_of(prompt)) && j < p[i].responses; j++)
			if (p[i].response[j].index == index)
				return p[i].response[j].id;
	fail_msg("%s has no sample %u of %s", round, index, prompt);
	return STR_NONE;
}

#endif
