/* content.c - a store's content as one number. */
#include <string.h>

#include "base/hash.h"
#include "load.h"
#include "store/read.h"
#include "store/round.h"
#include "store/snapshot.h"

static void add_int(struct sha256 *h, int64_t v)
{
	sha256_add(h, &v, sizeof v);
}

static void hash_response(struct sha256 *h, const struct read_response *r)
{
	sha256_field(h, r->id);
	sha256_field(h, r->text);
	sha256_field(h, r->model);
	add_int(h, r->tokens);
	for (uint32_t i = 0; i < r->scores; i++) {
		const struct score *s = &r->score[i].s;

		sha256_field(h, s->judge);
		sha256_field(h, s->attribute);
		sha256_field(h, s->rationale);
		sha256_add(h, &s->value, sizeof s->value);
		add_int(h, s->status);
		add_int(h, s->at);
		add_int(h, r->score[i].current);
	}
	for (uint32_t i = 0; i < r->logprobs; i++) {
		sha256_field(h, r->logprob[i].l.model);
		sha256_add(h, &r->logprob[i].l.logprob, sizeof(double));
	}
}

static void hash_prompt(struct sha256 *h, const struct read_prompt *p)
{
	sha256_field(h, p->id);
	sha256_field(h, p->messages);
	sha256_field(h, p->metadata);
	for (uint32_t i = 0; i < p->responses; i++)
		hash_response(h, &p->response[i]);
	for (uint32_t i = 0; i < p->votes; i++) {
		add_int(h, p->vote[i].chosen);
		add_int(h, p->vote[i].at);
		sha256_add(h, &p->vote[i].strength, sizeof(double));
	}
}

static int hash_dataset(struct store *s, struct arena *a, struct sha256 *h, const struct dataset *d, struct err *e)
{
	unsigned what = READ_MESSAGES | READ_TEXTS | READ_LEDGER | READ_VOTES | READ_LOGPROBS;
	struct read_prompt *p;
	uint32_t n;

	sha256_field(h, d->name);
	add_int(h, d->seq);
	if (store_prompt_page(s, a, d, STR_NONE, STR_NONE, PAGE_MAX, SEQ_LATEST, what, &p, &n, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		hash_prompt(h, &p[i]);
	return 0;
}

static int hash_round(struct store *s, struct arena *a, struct sha256 *h, const struct round_row *r, struct err *e)
{
	struct round_progress p;
	struct rescoring_row *rescoring;
	uint32_t n;

	if (store_round_progress(s, r, 0, &p, e) < 0 || store_rescoring_list(s, a, r->id, &rescoring, &n, e) < 0)
		return -1;
	sha256_field(h, r->id);
	add_int(h, r->state);
	sha256_add(h, &p, sizeof p);
	for (uint32_t i = 0; i < n; i++) {
		add_int(h, rescoring[i].number);
		sha256_add(h, &rescoring[i].alpha, sizeof(double));
	}
	return 0;
}

static int hash_rounds(struct store *s, struct arena *a, struct sha256 *h, struct err *e)
{
	struct round_row *r;
	uint32_t n;
	int rc = store_round_list(s, a, 0, STR_NONE, PAGE_MAX, &r, &n, e);

	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = hash_round(s, a, h, &r[i], e);
	return rc;
}

static int hash_rest(struct store *s, struct arena *a, struct sha256 *h, struct err *e)
{
	struct snapshot_row *row;
	struct store_answer answer;
	uint32_t n;

	if (store_snapshot_list(s, a, 0, STR_NONE, PAGE_MAX, &row, &n, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		sha256_field(h, row[i].id);
		add_int(h, row[i].state);
		add_int(h, row[i].seq);
	}
	for (int i = 0; i < LOAD_GROUPS; i++) {
		int rc = store_answer_get(s, a, arena_printf(a, "key-%d", i), &answer, e);

		if (rc < 0)
			return -1;
		add_int(h, rc);
	}
	return 0;
}

int content_hash(struct store *s, uint64_t *out, struct err *e)
{
	uint8_t digest[SHA256_BYTES];
	struct dataset *d;
	struct sha256 h;
	struct arena a;
	uint32_t n;
	int rc;

	arena_init(&a);
	sha256_init(&h);
	rc = store_dataset_list(s, &a, STR_NONE, 10, &d, &n, e);
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = hash_dataset(s, &a, &h, &d[i], e);
	if (rc == 0)
		rc = hash_rounds(s, &a, &h, e);
	if (rc == 0)
		rc = hash_rest(s, &a, &h, e);
	sha256_end(&h, digest);
	memcpy(out, digest, sizeof *out);
	arena_release(&a);
	return rc;
}
