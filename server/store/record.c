/* record.c - a prompt with its responses, their scores, and votes between them,
 * written as planned. */
#include "plan.h"

/* --- the prompt ----------------------------------------------------------------- */

static int prompt_version(struct store *s, struct state *st, const struct plan *p, const uint8_t hash[32],
                          struct str split, struct str source, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_PROMPT_INSERT);
	bind_int(&q, p->prompt);
	bind_int(&q, ++st->seq);
	bind_text(&q, p->r->id);
	bind_blob(&q, hash, 32);
	bind_int(&q, p->r->characters);
	bind_int(&q, p->messages);
	bind_text(&q, split);
	bind_text(&q, source);
	if (p->metadata)
		bind_int(&q, p->metadata);
	else
		bind_null(&q);
	return query_run(&q, e);
}

static int prompt_create(struct store *s, struct state *st, struct plan *p, struct err *e)
{
	const struct record *r = p->r;
	struct query q;

	if (state_next_key(s, &p->prompt, e) < 0 || text_put(s, r->messages, &p->messages, e) < 0 ||
	    (r->metadata.p && text_put(s, r->metadata, &p->metadata, e) < 0) ||
	    prompt_version(s, st, p, r->messages_hash, r->split, r->source, e) < 0)
		return -1;
	query_open(&q, s, SQL_PROMPT_KEY_INSERT);
	bind_int(&q, st->key);
	bind_text(&q, r->id);
	bind_int(&q, p->prompt);
	p->sum_changed = true;
	return query_run(&q, e);
}

static int same_metadata(struct store *s, const struct plan *p, bool *same, struct err *e)
{
	struct str stored = STR_NONE;

	*same = true;
	if (p->r->metadata.p == NULL)
		return 0; /* nothing said: it stays */
	if (p->metadata && text_get(s, &s->scratch, p->metadata, &stored, e) < 0)
		return -1;
	*same = stored.p && str_eq(stored, p->r->metadata);
	return 0;
}

/* A new version with what is said now; what is not said stays. */
static int prompt_replace(struct store *s, struct state *st, struct plan *p, struct counts *counts, struct err *e)
{
	const struct record *r = p->r;
	struct str source = r->source.p ? r->source : p->source;
	bool metadata;

	if (same_metadata(s, p, &metadata, e) < 0)
		return -1;
	if (p->same && metadata && str_eq(r->split, p->split) && str_eq(source, p->source)) {
		counts->prompts_unchanged++;
		return 0;
	}
	if ((!p->same && text_put(s, r->messages, &p->messages, e) < 0) ||
	    (!metadata && text_put(s, r->metadata, &p->metadata, e) < 0))
		return -1;
	counts->prompts_replaced++;
	return prompt_version(s, st, p, r->messages_hash, r->split, source, e);
}

static int write_prompt(struct store *s, struct state *st, struct plan *p, struct counts *counts, struct err *e)
{
	if (p->prompt == 0) {
		counts->prompts_created++;
		return prompt_create(s, st, p, e);
	}
	if (p->policy == CONFLICT_REPLACE)
		return prompt_replace(s, st, p, counts, e);
	counts->prompts_unchanged++;
	return 0;
}

/* --- responses -------------------------------------------------------------------- */

static int response_version(struct store *s, struct state *st, const struct response *r,
                            const struct plan_response *pr, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_RESPONSE_INSERT);
	bind_int(&q, pr->prompt);
	bind_int(&q, pr->key);
	bind_int(&q, ++st->seq);
	bind_text(&q, r->id);
	bind_int(&q, pr->text);
	bind_blob(&q, pr->hash, sizeof pr->hash);
	bind_int(&q, pr->characters);
	bind_int(&q, pr->model);
	if (pr->tokens >= 0)
		bind_int(&q, pr->tokens);
	else
		bind_null(&q);
	bind_text(&q, pr->finish_reason);
	bind_int(&q, pr->round);
	return query_run(&q, e);
}

/* A response comes into the sums of lengths (n = 1), or leaves them (-1). */
static void response_sum(struct store *s, struct state *st, const struct plan_response *pr, int64_t n)
{
	sum_value(s, st->key, SERIES_LENGTHS, 0, 0, pr->characters, n);
	sum_value(s, st->key, SERIES_MODEL, pr->model, 0, pr->characters, n);
}

/* Text and model as posted. */
static int take_content(struct store *s, const struct response *r, struct plan_response *pr, struct err *e)
{
	memcpy(pr->hash, r->text_hash, sizeof pr->hash);
	pr->characters = r->characters;
	return name_intern(s, r->model, &pr->model, e) < 0 ? -1 : text_put(s, r->text, &pr->text, e);
}

int response_insert(struct store *s, struct state *st, const struct response *r, struct plan_response *pr,
                    struct err *e)
{
	struct query q;

	if (state_next_key(s, &pr->key, e) < 0 || take_content(s, r, pr, e) < 0 ||
	    response_version(s, st, r, pr, e) < 0)
		return -1;
	query_open(&q, s, SQL_RESPONSE_KEY_INSERT);
	bind_int(&q, st->key);
	bind_text(&q, r->id);
	bind_int(&q, pr->prompt);
	bind_int(&q, pr->key);
	response_sum(s, st, pr, 1);
	return query_run(&q, e);
}

static int response_create(struct store *s, struct state *st, struct plan *p, uint32_t i, struct err *e)
{
	const struct response *r = &p->r->response[i];
	struct plan_response *pr = &p->response[i];

	pr->prompt = p->prompt;
	pr->tokens = r->tokens;
	pr->finish_reason = r->finish_reason;
	p->sum.responses++;
	p->sum_changed = true;
	return response_insert(s, st, r, pr, e);
}

/* Fills in absent tokens and finish reason; replaces them, and the content, if
 * asked to. True when a new version is due. */
static bool response_changes(const struct plan *p, const struct response *r, struct plan_response *pr)
{
	bool replace = p->policy == CONFLICT_REPLACE;
	bool changed = replace && !pr->same;

	if (!pr->same && !replace)
		return false; /* kept as it is: what came tells of another text */
	if (r->tokens >= 0 && r->tokens != pr->tokens && (replace || pr->tokens < 0)) {
		pr->tokens = r->tokens;
		changed = true;
	}
	if (r->finish_reason.p && !str_eq(r->finish_reason, pr->finish_reason) &&
	    (replace || pr->finish_reason.p == NULL)) {
		pr->finish_reason = r->finish_reason;
		changed = true;
	}
	return changed;
}

static int response_update(struct store *s, struct state *st, struct plan *p, uint32_t i, struct counts *counts,
                           struct err *e)
{
	const struct response *r = &p->r->response[i];
	struct plan_response *pr = &p->response[i];

	if (!response_changes(p, r, pr)) {
		counts->responses_unchanged++;
		return 0;
	}
	if (p->policy == CONFLICT_REPLACE)
		counts->responses_replaced++;
	else
		counts->responses_unchanged++;
	if (!pr->same) {
		response_sum(s, st, pr, -1);
		if (take_content(s, r, pr, e) < 0)
			return -1;
		response_sum(s, st, pr, 1);
	}
	return response_version(s, st, r, pr, e);
}

/* True when no score before the j-th has its judge and attribute. Only worth
 * knowing, and only found out, while that is cheap. */
static bool first_of_key(const struct score *score, uint32_t j)
{
	if (j >= 16)
		return false;
	for (uint32_t i = 0; i < j; i++)
		if (str_eq(score[i].judge, score[j].judge) && str_eq(score[i].attribute, score[j].attribute))
			return false;
	return true;
}

static int write_scores(struct store *s, struct state *st, struct plan *p, uint32_t i, bool created,
                        struct counts *counts, struct err *e)
{
	const struct response *r = &p->r->response[i];
	const struct plan_response *pr = &p->response[i];
	bool any = false;

	for (uint32_t j = 0; j < r->scores; j++) {
		bool good = false;

		if (score_put(s, st, pr->prompt, pr->key, &r->score[j], created && first_of_key(r->score, j),
		              p->now_us, &good, counts, e) < 0)
			return -1;
		any = any || good;
	}
	if (!any)
		return 0;
	if (pr->prompt != p->prompt)
		return prompt_scored(s, st->key, pr->prompt, e);
	if (!p->sum.scored) {
		p->sum.scored = p->sum_changed = true;
		sum_value(s, st->key, SERIES_SCORED, 0, 0, 1, 1);
	}
	return 0;
}

static int write_response(struct store *s, struct state *st, struct plan *p, uint32_t i, struct counts *counts,
                          struct err *e)
{
	const struct response *r = &p->r->response[i];
	bool created = p->response[i].key == 0;

	if (created) {
		counts->responses_created++;
		if (response_create(s, st, p, i, e) < 0)
			return -1;
	} else if (response_update(s, st, p, i, counts, e) < 0) {
		return -1;
	}
	/* Scores and log-probabilities are of the text that was not kept. */
	if (!created && !p->response[i].same && p->policy == CONFLICT_KEEP)
		return 0;
	if (write_scores(s, st, p, i, created, counts, e) < 0)
		return -1;
	for (uint32_t j = 0; j < r->logprobs; j++) {
		const struct plan_response *pr = &p->response[i];
		bool first;

		if (logprob_put(s, st, pr->prompt, pr->key, &r->logprob[j], &first, e) < 0)
			return -1;
	}
	return 0;
}

/* --- the rest ---------------------------------------------------------------------- */

static int write_vote(struct store *s, struct state *st, struct plan *p, uint32_t i, struct counts *counts,
                      struct err *e)
{
	const struct plan_vote *v = &p->vote[i];
	int64_t chosen = v->chosen < 0 ? p->response[-1 - v->chosen].key : v->chosen;
	int64_t rejected = v->rejected < 0 ? p->response[-1 - v->rejected].key : v->rejected;

	return vote_put(s, st, v->prompt ? v->prompt : p->prompt, chosen, rejected, &p->r->comparison[i], p->now_us,
	                counts, e);
}

static int write_sum(struct store *s, struct state *st, struct plan *p, bool created, int64_t before, struct err *e)
{
	if (!p->sum_changed)
		return 0;
	if (!created)
		sum_value(s, st->key, SERIES_PROMPTS, 0, 0, (double)before, -1);
	sum_value(s, st->key, SERIES_PROMPTS, 0, 0, (double)p->sum.responses, 1);
	return prompt_sum_put(s, st->key, p->prompt, &p->sum, e);
}

static int write_all(struct store *s, struct state *st, struct plan *p, struct counts *counts, struct err *e)
{
	bool created = p->prompt == 0;
	int64_t before = p->sum.responses;

	if (write_prompt(s, st, p, counts, e) < 0)
		return -1;
	for (uint32_t i = 0; i < p->r->responses; i++)
		if (write_response(s, st, p, i, counts, e) < 0)
			return -1;
	for (uint32_t i = 0; i < p->r->comparisons; i++)
		if (write_vote(s, st, p, i, counts, e) < 0)
			return -1;
	return write_sum(s, st, p, created, before, e);
}

int record_put(struct store *s, struct state *st, const struct record *r, enum on_conflict policy,
               int64_t now_us, struct counts *counts, struct err *e)
{
	struct plan p = {.r = r, .policy = policy, .now_us = now_us};

	return record_plan(s, st, &p, e) < 0 ? -1 : write_all(s, st, &p, counts, e);
}
