/* round_put.c - deliveries: samples and log-probabilities are facts, the first
 * stays. */
#include <stdio.h>

#include "base/hash.h"
#include "plan.h"
#include "round_inside.h"

enum { SAMPLE_ID_BYTES = 16 };

static int open_round(struct store *s, struct str id, struct round_known **k, struct err *e)
{
	if (tx_writing(s, e) < 0 || round_by_id(s, id, k, e) < 0)
		return -1;
	if ((*k)->row.state == ROUND_CLOSED)
		return err_set(e, P_CONFLICT, "the round is closed");
	return 0;
}

static bool is_model(const struct round_row *r, struct str model)
{
	return str_eq(model, r->policy) || str_eq(model, r->reference);
}

static int other_model(const struct round_row *r, const char *pointer, struct err *e)
{
	return err_at(e, P_INVALID, pointer, "the round's models are %.*s and %.*s", STR_ARG(r->policy),
	              STR_ARG(r->reference));
}

static int check_sample(const struct round_row *r, const struct sample *x, struct err *e)
{
	if (r->mode != ROUND_SAMPLE)
		return err_set(e, P_INVALID, "the round is over stored responses and takes no samples");
	if (x->index >= r->per_prompt)
		return err_at(e, P_INVALID, "/index", "is not below %u, the round's responses per prompt", r->per_prompt);
	for (uint32_t i = 0; i < x->logprobs; i++)
		if (!is_model(r, x->logprob[i].model))
			return other_model(r, "/logprobs", e);
	return 0;
}

static void sample_id(const struct round_row *r, const struct sample *x, char out[2 * SAMPLE_ID_BYTES + 1])
{
	uint8_t hash[SHA256_BYTES];
	char index[16];
	struct str part[3] = {r->id, x->prompt, {index, 0}};

	part[2].n = (size_t)snprintf(index, sizeof index, "%u", x->index);
	hash_keyed(hash, "prefd-sample-1", part, 3);
	hex_of(hash, SAMPLE_ID_BYTES, out);
}

/* 1: it is there, 0: not, -1. */
static int find_sample(struct store *s, const struct round_row *r, int64_t prompt, uint32_t index, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_SAMPLE_FIND);
	bind_int(&q, prompt);
	bind_int(&q, r->key);
	bind_int(&q, index);
	rc = query_step(&q, e);
	query_close(&q);
	return rc;
}

/* The response, and its prompt's sums. */
static int put_response(struct store *s, struct state *st, const struct round_row *r, const struct sample *x,
                        struct plan_response *pr, struct err *e)
{
	char id[2 * SAMPLE_ID_BYTES + 1];
	struct response response = {.id = {id, sizeof id - 1}, .text = x->text, .characters = x->characters,
	                            .model = r->policy};
	struct prompt_sum sum;
	int64_t prompt, key;
	int rc;

	sample_id(r, x, id);
	rc = response_find(s, st->key, response.id, &prompt, &key, e);
	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, P_CONFLICT, "the sample's id %s is there and not of this round", id);
	if (prompt_sum_get(s, st->key, pr->prompt, &sum, e) < 0)
		return -1;
	if (sum.responses >= RESPONSES_PER_PROMPT_MAX)
		return err_at(e, P_INVALID, "/prompt", "the prompt has %d responses, the most it may have",
		              RESPONSES_PER_PROMPT_MAX);
	memcpy(response.text_hash, x->text_hash, sizeof response.text_hash);
	if (response_insert(s, st, &response, pr, e) < 0)
		return -1;
	sum_value(s, st->key, SERIES_PROMPTS, 0, 0, (double)sum.responses++, -1);
	sum_value(s, st->key, SERIES_PROMPTS, 0, 0, (double)sum.responses, 1);
	return prompt_sum_put(s, st->key, pr->prompt, &sum, e);
}

static int put_sample_row(struct store *s, const struct state *st, const struct round_row *r, const struct sample *x,
                          const struct plan_response *pr, struct err *e)
{
	int64_t token_ids = 0;
	struct query q;

	if (x->token_ids.p && text_put(s, x->token_ids, &token_ids, e) < 0)
		return -1;
	query_open(&q, s, SQL_SAMPLE_INSERT);
	bind_int(&q, pr->prompt);
	bind_int(&q, r->key);
	bind_int(&q, x->index);
	bind_int(&q, pr->key);
	bind_int(&q, st->seq); /* the response took it just now */
	if (token_ids)
		bind_int(&q, token_ids);
	else
		bind_null(&q);
	return query_run(&q, e);
}

static int put_prompt_tokens(struct store *s, const struct round_row *r, int64_t prompt, struct str ids, struct err *e)
{
	struct query q;
	int64_t text;

	if (text_put(s, ids, &text, e) < 0)
		return -1;
	query_open(&q, s, SQL_ROUND_PROMPT_TOKENS);
	bind_int(&q, text);
	bind_int(&q, prompt);
	bind_int(&q, r->key);
	return query_run(&q, e);
}

static int put_sample(struct store *s, struct state *st, const struct round_known *k, int64_t prompt,
                      const struct sample *x, struct plan_response *pr, struct err *e)
{
	struct round_count before, now;
	int64_t token_ids;
	int rc;

	*pr = (struct plan_response){.prompt = prompt, .round = k->row.key, .tokens = x->tokens,
	                             .finish_reason = x->finish_reason};
	rc = round_count_get(s, k, prompt, &before, &token_ids, e);
	if (rc <= 0)
		return rc < 0 ? -1 : err_set(e, P_INTERNAL, "a round has lost a prompt");
	if (put_response(s, st, &k->row, x, pr, e) < 0 || put_sample_row(s, st, &k->row, x, pr, e) < 0)
		return -1;
	if (x->prompt_token_ids.p && token_ids == 0 &&
	    put_prompt_tokens(s, &k->row, prompt, x->prompt_token_ids, e) < 0)
		return -1;
	now = before;
	now.samples++;
	now.valid += round_passes(&k->row, x->finish_reason, x->characters);
	return round_count_set(s, k, prompt, &before, &now, e);
}

/* The prompt's key, if it is of the round. */
static int find_prompt(struct store *s, const struct round_known *k, struct str id, int64_t *prompt, struct err *e)
{
	struct round_count c;
	int64_t token_ids;
	int rc = prompt_find(s, k->row.dataset_key, id, prompt, e);

	if (rc == 1)
		rc = round_count_get(s, k, *prompt, &c, &token_ids, e);
	if (rc == 0)
		return err_at(e, P_UNKNOWN_ID, "/prompt", "the round has no prompt \"%.*s\"", STR_ARG(id));
	return rc < 0 ? -1 : 0;
}

static void count_logprob(struct delivery_counts *counts, bool created)
{
	if (created)
		counts->logprobs_created++;
	else
		counts->logprobs_kept++;
}

/* A repeated delivery of the same text may bring its first log-probability;
 * that of another text is another's. 1 the same, 0 not, -1. */
static int sample_there(struct store *s, struct state *st, const struct round_row *r, const struct sample *x,
                        struct plan_response *pr, struct err *e)
{
	char id[2 * SAMPLE_ID_BYTES + 1];

	sample_id(r, x, id);
	if (response_find(s, st->key, str_of(id), &pr->prompt, &pr->key, e) != 1)
		return err_set(e, P_INTERNAL, "a sample has lost its response");
	if (response_latest(s, pr, e) < 0)
		return -1;
	return memcmp(pr->hash, x->text_hash, sizeof pr->hash) == 0;
}

int store_sample_put(struct store *s, struct str round, const struct sample *x, int64_t now_us,
                     struct delivery_counts *counts, struct err *e)
{
	struct round_known *k;
	struct plan_response pr = {0};
	struct state *st;
	int64_t prompt;
	bool created;
	int rc;

	(void)now_us; /* a sample is as old as its sequence number */
	if (open_round(s, round, &k, e) < 0 || check_sample(&k->row, x, e) < 0 ||
	    state_get(s, k->row.dataset, &st, e) < 0 || find_prompt(s, k, x->prompt, &prompt, e) < 0)
		return -1;
	rc = find_sample(s, &k->row, prompt, x->index, e);
	if (rc < 0)
		return -1;
	if (rc == 1) {
		counts->responses_unchanged++;
		rc = sample_there(s, st, &k->row, x, &pr, e);
		if (rc <= 0)
			return rc;
	} else {
		if (put_sample(s, st, k, prompt, x, &pr, e) < 0)
			return -1;
		counts->responses_created++;
	}
	for (uint32_t i = 0; i < x->logprobs; i++) {
		if (logprob_put(s, st, prompt, pr.key, &x->logprob[i], &created, e) < 0)
			return -1;
		count_logprob(counts, created);
	}
	return 0;
}

/* The response's keys, if the round looks at it. */
static int find_response(struct store *s, const struct round_known *k, struct str id, int64_t *prompt,
                         int64_t *response, struct err *e)
{
	struct round_count c;
	int64_t token_ids;
	bool valid;
	int rc = response_find(s, k->row.dataset_key, id, prompt, response, e);

	if (rc == 1)
		rc = round_count_get(s, k, *prompt, &c, &token_ids, e);
	if (rc == 1)
		rc = round_looks_at(s, k, *prompt, *response, &valid, e);
	if (rc == 0)
		return err_at(e, P_UNKNOWN_ID, "/response", "the round has no response \"%.*s\"", STR_ARG(id));
	return rc < 0 ? -1 : 0;
}

int store_logprob_put(struct store *s, struct str round, struct str response, const struct logprob *l,
                      struct delivery_counts *counts, struct err *e)
{
	struct round_known *k;
	struct state *st;
	int64_t prompt, key;
	bool created;

	if (open_round(s, round, &k, e) < 0)
		return -1;
	if (!is_model(&k->row, l->model))
		return other_model(&k->row, "/model", e);
	if (state_get(s, k->row.dataset, &st, e) < 0 || find_response(s, k, response, &prompt, &key, e) < 0 ||
	    logprob_put(s, st, prompt, key, l, &created, e) < 0)
		return -1;
	count_logprob(counts, created);
	return 0;
}
