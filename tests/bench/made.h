/* made.h - made data for the bench programs: the same rows on every run.
 *
 * Prompt i is "p<i>", its j-th response "p<i>.r<j>", its k-th score is of the
 * attribute "a<k>" by the judge "judge". Texts are words drawn by a small
 * generator of our own, so that compression and hashing meet something like
 * language. */
#ifndef BENCH_MADE_H
#define BENCH_MADE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"
#include "store/record.h"

enum { MADE_NOW = 1000000 }; /* the first time of arrival, microseconds */

static inline void die(const char *what, const struct err *e)
{
	fprintf(stderr, "%s: %s %s\n", what, e->pointer, e->detail);
	exit(1);
}

/* splitmix64: a well mixed number for every i. */
static inline uint64_t made_number(uint64_t i)
{
	i += 0x9e3779b97f4a7c15u;
	i = (i ^ (i >> 30)) * 0xbf58476d1ce4e5b9u;
	i = (i ^ (i >> 27)) * 0x94d049bb133111ebu;
	return i ^ (i >> 31);
}

/* Words up to n bytes, different for every i. */
static inline struct str made_text(struct arena *a, uint64_t i, size_t n)
{
	static const char *const word[16] = {"the ", "answer ", "is ", "because ", "a ", "number ", "of ", "reasons ",
		"that ", "follow ", "from ", "what ", "we ", "know ", "about ", "it, "};
	char *p = arena_alloc(a, n + 32);
	size_t at = (size_t)snprintf(p, 32, "%llu: ", (unsigned long long)i);

	for (uint64_t draw = 0; at + 8 < n; draw++) {
		const char *w = word[made_number(i * 1000003 + draw) & 15];
		size_t length = strlen(w);

		memcpy(p + at, w, length);
		at += length;
	}
	return (struct str){p, at};
}

/* 1 … 10 in steps of a half. */
static inline double made_value(uint64_t i)
{
	return 1 + (double)(made_number(i) % 19) / 2;
}

static inline struct score made_score(struct arena *a, uint64_t i, uint32_t k)
{
	return (struct score){.judge = STR("judge"), .attribute = arena_printf(a, "a%u", k), .value = made_value(i * 64 + k),
	                      .status = SCORE_OK, .at = TIME_NONE, .rationale = STR_NONE};
}

static inline void made_response(struct arena *a, struct response *r, uint64_t prompt, uint32_t j, uint32_t scores,
                                 size_t bytes)
{
	struct score *score = ARENA_ARRAY(a, struct score, scores);
	uint64_t i = prompt * 4096 + j;

	*r = (struct response){.id = arena_printf(a, "p%llu.r%u", (unsigned long long)prompt, j),
	                       .text = made_text(a, i, bytes), .model = STR("made"), .tokens = -1, .score = score,
	                       .scores = scores};
	sha256_of(r->text.p, r->text.n, r->text_hash);
	r->characters = (uint32_t)r->text.n;
	for (uint32_t k = 0; k < scores; k++)
		score[k] = made_score(a, i, k);
}

/* A row of POST …/records as the first pass would have made it. */
static inline struct row made_record(struct arena *a, uint64_t prompt, uint32_t responses, uint32_t scores, size_t bytes)
{
	struct response *r = ARENA_ARRAY(a, struct response, responses);
	struct row row = {.kind = ROW_RECORD};
	struct record *rec = &row.record;

	for (uint32_t j = 0; j < responses; j++)
		made_response(a, &r[j], prompt, j, scores, bytes);
	*rec = (struct record){
		.id = arena_printf(a, "p%llu", (unsigned long long)prompt),
		.messages = arena_printf(a, "[{\"role\":\"user\",\"content\":\"Question %llu?\"}]", (unsigned long long)prompt),
		.split = STR("train"), .response = r, .responses = responses};
	rec->characters = (uint32_t)rec->messages.n;
	sha256_of(rec->messages.p, rec->messages.n, rec->messages_hash);
	return row;
}

#endif
