/* row.c - rows as bytes: varints, length-prefixed strings, doubles and hashes
 * as they lie in memory. The spool never leaves the machine that wrote it. */
#include "store/row.h"

#include <string.h>

/* --- packing --------------------------------------------------------------------- */

static void put_uint(struct buf *b, uint64_t v)
{
	while (v >= 0x80) {
		buf_byte(b, (char)(v | 0x80));
		v >>= 7;
	}
	buf_byte(b, (char)v);
}

/* Small numbers of either sign in few bytes. */
static void put_int(struct buf *b, int64_t v)
{
	put_uint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void put_real(struct buf *b, double v)
{
	buf_add(b, &v, sizeof v);
}

/* 0 is absent, n + 1 is n bytes. */
static void put_str(struct buf *b, struct str s)
{
	put_uint(b, s.p ? s.n + 1 : 0);
	buf_str(b, s);
}

static void put_score(struct buf *b, const struct score *s)
{
	put_str(b, s->judge);
	put_str(b, s->attribute);
	put_real(b, s->value);
	put_uint(b, s->status);
	put_int(b, s->at);
	put_str(b, s->rationale);
}

static void put_logprob(struct buf *b, const struct logprob *l)
{
	put_str(b, l->model);
	put_real(b, l->logprob);
	put_int(b, l->tokens);
}

static void put_comparison(struct buf *b, const struct comparison *c)
{
	put_str(b, c->judge);
	put_str(b, c->chosen);
	put_str(b, c->rejected);
	put_real(b, c->strength);
	put_int(b, c->at);
}

static void put_logprobs(struct buf *b, const struct logprob *l, uint32_t n)
{
	put_uint(b, n);
	for (uint32_t i = 0; i < n; i++)
		put_logprob(b, &l[i]);
}

static void put_response(struct buf *b, const struct response *r)
{
	put_str(b, r->id);
	put_str(b, r->text);
	buf_add(b, r->text_hash, sizeof r->text_hash);
	put_uint(b, r->characters);
	put_str(b, r->model);
	put_int(b, r->tokens);
	put_str(b, r->finish_reason);
	put_uint(b, r->scores);
	for (uint32_t i = 0; i < r->scores; i++)
		put_score(b, &r->score[i]);
	put_logprobs(b, r->logprob, r->logprobs);
}

static void put_record(struct buf *b, const struct record *r)
{
	put_str(b, r->id);
	put_str(b, r->messages);
	buf_add(b, r->messages_hash, sizeof r->messages_hash);
	put_uint(b, r->characters);
	put_str(b, r->split);
	put_str(b, r->source);
	put_str(b, r->metadata);
	put_uint(b, r->responses);
	for (uint32_t i = 0; i < r->responses; i++)
		put_response(b, &r->response[i]);
	put_uint(b, r->comparisons);
	for (uint32_t i = 0; i < r->comparisons; i++)
		put_comparison(b, &r->comparison[i]);
}

static void put_sample(struct buf *b, const struct sample *s)
{
	put_str(b, s->prompt);
	put_uint(b, s->index);
	put_str(b, s->text);
	buf_add(b, s->text_hash, sizeof s->text_hash);
	put_uint(b, s->characters);
	put_int(b, s->tokens);
	put_str(b, s->finish_reason);
	put_str(b, s->prompt_token_ids);
	put_str(b, s->token_ids);
	put_logprobs(b, s->logprob, s->logprobs);
}

void row_pack(struct buf *b, const struct row *r)
{
	put_uint(b, r->kind);
	put_uint(b, r->number);
	switch (r->kind) {
	case ROW_RECORD:
		put_record(b, &r->record);
		break;
	case ROW_SCORE:
		put_str(b, r->score.response);
		put_score(b, &r->score.score);
		break;
	case ROW_COMPARISON:
		put_comparison(b, &r->comparison);
		break;
	case ROW_SAMPLE:
		put_sample(b, &r->sample);
		break;
	case ROW_LOGPROB:
		put_str(b, r->logprob.response);
		put_logprob(b, &r->logprob.logprob);
		break;
	}
}

/* --- unpacking --------------------------------------------------------------------- */

/* Reads past the end give zeros and mark the whole as broken. */
struct unpack {
	struct arena *a;
	const char *p, *end;
	bool broken;
};

/* The least an element of an array takes: bounds a count before memory is
 * taken for it. */
enum { SCORE_BYTES_MIN = 13, LOGPROB_BYTES_MIN = 10, COMPARISON_BYTES_MIN = 12, RESPONSE_BYTES_MIN = 40 };

static const char *take(struct unpack *u, size_t n)
{
	const char *p = u->p;

	if (u->broken || (size_t)(u->end - u->p) < n) {
		u->broken = true;
		return NULL;
	}
	u->p += n;
	return p;
}

static void get_bytes(struct unpack *u, void *out, size_t n)
{
	const char *p = take(u, n);

	if (p)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}

static uint64_t get_uint(struct unpack *u)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 64; shift += 7) {
		const char *p = take(u, 1);

		if (p == NULL)
			return 0;
		v |= (uint64_t)(*p & 0x7f) << shift;
		if ((*p & 0x80) == 0)
			return v;
	}
	u->broken = true;
	return 0;
}

static int64_t get_int(struct unpack *u)
{
	uint64_t v = get_uint(u);

	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static double get_real(struct unpack *u)
{
	double v;

	get_bytes(u, &v, sizeof v);
	return v;
}

static struct str get_str(struct unpack *u)
{
	uint64_t n = get_uint(u);
	const char *p;

	if (n == 0)
		return STR_NONE;
	p = take(u, n - 1);
	return p ? (struct str){p, n - 1} : STR_NONE;
}

static uint32_t get_count(struct unpack *u, size_t bytes_min)
{
	uint64_t n = get_uint(u);

	if (n > (size_t)(u->end - u->p) / bytes_min) {
		u->broken = true;
		return 0;
	}
	return (uint32_t)n;
}

static enum score_status get_status(struct unpack *u)
{
	uint64_t v = get_uint(u);

	if (v > SCORE_OK)
		u->broken = true;
	return v > SCORE_OK ? SCORE_FAILED : (enum score_status)v;
}

static void get_score(struct unpack *u, struct score *s)
{
	s->judge = get_str(u);
	s->attribute = get_str(u);
	s->value = get_real(u);
	s->status = get_status(u);
	s->at = get_int(u);
	s->rationale = get_str(u);
}

static void get_logprob(struct unpack *u, struct logprob *l)
{
	l->model = get_str(u);
	l->logprob = get_real(u);
	l->tokens = get_int(u);
}

static void get_comparison(struct unpack *u, struct comparison *c)
{
	c->judge = get_str(u);
	c->chosen = get_str(u);
	c->rejected = get_str(u);
	c->strength = get_real(u);
	c->at = get_int(u);
}

static const struct logprob *get_logprobs(struct unpack *u, uint32_t *n)
{
	struct logprob *l;

	*n = get_count(u, LOGPROB_BYTES_MIN);
	l = ARENA_ARRAY(u->a, struct logprob, *n);
	for (uint32_t i = 0; i < *n; i++)
		get_logprob(u, &l[i]);
	return l;
}

static void get_response(struct unpack *u, struct response *r)
{
	struct score *score;

	r->id = get_str(u);
	r->text = get_str(u);
	get_bytes(u, r->text_hash, sizeof r->text_hash);
	r->characters = (uint32_t)get_uint(u);
	r->model = get_str(u);
	r->tokens = get_int(u);
	r->finish_reason = get_str(u);
	r->scores = get_count(u, SCORE_BYTES_MIN);
	r->score = score = ARENA_ARRAY(u->a, struct score, r->scores);
	for (uint32_t i = 0; i < r->scores; i++)
		get_score(u, &score[i]);
	r->logprob = get_logprobs(u, &r->logprobs);
}

static void get_record(struct unpack *u, struct record *r)
{
	struct response *response;
	struct comparison *comparison;

	r->id = get_str(u);
	r->messages = get_str(u);
	get_bytes(u, r->messages_hash, sizeof r->messages_hash);
	r->characters = (uint32_t)get_uint(u);
	r->split = get_str(u);
	r->source = get_str(u);
	r->metadata = get_str(u);
	r->responses = get_count(u, RESPONSE_BYTES_MIN);
	r->response = response = ARENA_ARRAY(u->a, struct response, r->responses);
	for (uint32_t i = 0; i < r->responses; i++)
		get_response(u, &response[i]);
	r->comparisons = get_count(u, COMPARISON_BYTES_MIN);
	r->comparison = comparison = ARENA_ARRAY(u->a, struct comparison, r->comparisons);
	for (uint32_t i = 0; i < r->comparisons; i++)
		get_comparison(u, &comparison[i]);
}

static void get_sample(struct unpack *u, struct sample *s)
{
	s->prompt = get_str(u);
	s->index = (uint32_t)get_uint(u);
	s->text = get_str(u);
	get_bytes(u, s->text_hash, sizeof s->text_hash);
	s->characters = (uint32_t)get_uint(u);
	s->tokens = get_int(u);
	s->finish_reason = get_str(u);
	s->prompt_token_ids = get_str(u);
	s->token_ids = get_str(u);
	s->logprob = get_logprobs(u, &s->logprobs);
}

static void get_kind(struct unpack *u, uint64_t kind, struct row *r)
{
	switch (kind) {
	case ROW_RECORD:
		r->kind = ROW_RECORD;
		get_record(u, &r->record);
		break;
	case ROW_SCORE:
		r->kind = ROW_SCORE;
		r->score.response = get_str(u);
		get_score(u, &r->score.score);
		break;
	case ROW_COMPARISON:
		r->kind = ROW_COMPARISON;
		get_comparison(u, &r->comparison);
		break;
	case ROW_SAMPLE:
		r->kind = ROW_SAMPLE;
		get_sample(u, &r->sample);
		break;
	case ROW_LOGPROB:
		r->kind = ROW_LOGPROB;
		r->logprob.response = get_str(u);
		get_logprob(u, &r->logprob.logprob);
		break;
	default:
		u->broken = true;
	}
}

int row_unpack(struct arena *a, struct str packed, struct row *r, struct err *e)
{
	struct unpack u = {a, packed.p, packed.p + packed.n, false};
	uint64_t kind = get_uint(&u);

	memset(r, 0, sizeof *r);
	r->number = get_uint(&u);
	get_kind(&u, kind, r);
	if (u.broken || u.p != u.end)
		return err_set(e, P_INTERNAL, "a spooled row cannot be read");
	return 0;
}
