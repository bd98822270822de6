#include "build_page.h"

#include <stdlib.h>
#include <string.h>

#include "service/snapshots.h"
#include "round_pick.h"

enum { PAGE_PROMPTS_MOST = 256, PAGE_BYTES_LOW = 2 << 20, PAGE_BYTES_HIGH = 16 << 20 };

unsigned page_what(const struct recipe *r)
{
	return (r->has_terms ? 0 : READ_SCORES) | (r->pairing.strategy == PAIR_COMPARISONS ? READ_VOTES : 0) |
	       (r->reference.p ? READ_LOGPROBS : 0);
}

/* --- texts --------------------------------------------------------------------------- */

struct wanted_text {
	int64_t key;
	struct str *to;
};

static int by_key(const void *a, const void *b)
{
	const struct wanted_text *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

/* The messages, unless they are there, and what the pairs use, each once. */
static size_t want_texts(const struct page_prompt *pp, struct read_prompt *prompt, struct arena *a,
                         struct wanted_text **out)
{
	const struct picked *picked = &pp->picked;
	struct wanted_text *want = ARENA_ARRAY(a, struct wanted_text, picked->n + 1);
	bool *used = ARENA_ARRAY(a, bool, picked->n);
	size_t n = 0;

	if (prompt->messages.p == NULL)
		want[n++] = (struct wanted_text){prompt->messages_key, &prompt->messages};
	for (size_t k = 0; k < picked->pairs.n; k++)
		used[picked->pairs.pair[k].chosen] = used[picked->pairs.pair[k].rejected] = true;
	for (size_t i = 0; i < picked->n; i++) {
		struct read_response *x = &prompt->response[picked->response[i]];

		if (used[i])
			want[n++] = (struct wanted_text){x->text_key, &x->text};
	}
	qsort(want, n, sizeof *want, by_key);
	*out = want;
	return n;
}

static int read_texts(struct build_page *p, struct store *db, struct page_prompt *pp, struct err *e)
{
	struct wanted_text *want;
	size_t n = want_texts(pp, &pp->prompt, &p->arena, &want);
	int64_t *key = ARENA_ARRAY(&p->arena, int64_t, n);
	struct str *text = ARENA_ARRAY(&p->arena, struct str, n);

	for (size_t i = 0; i < n; i++)
		key[i] = want[i].key;
	if (store_texts(db, &p->arena, key, n, text, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		*want[i].to = text[i];
	return 0;
}

/* --- a prompt ------------------------------------------------------------------------ */

static int check_pairs(const struct recipe *r, struct str prompt, unsigned long long n, struct err *e)
{
	unsigned long long pairs = n * (n - (n > 0)) / 2;

	if (r->pairing.strategy != PAIR_ALL || pairs <= PAIRS_PER_PROMPT_MAX)
		return 0;
	return err_at(e, P_INVALID, "/recipe/pairing/strategy",
	              "the prompt %.*s has %llu responses: `all` could make %llu pairs of them, more than %d",
	              STR_ARG(prompt), n, pairs, PAIRS_PER_PROMPT_MAX);
}

static bool in_split(const struct recipe *r, const struct read_prompt *prompt)
{
	return str_eq(r->split, STR("*")) || str_eq(r->split, prompt->split);
}

/* Keeps the prompt that stands behind the last one of the page, if it is of use. */
static int keep(struct build_page *p, const struct page_source *src, struct store *db, struct err *e)
{
	struct page_prompt *pp = &p->at[p->n];

	if (!src->texts) {
		p->n++;
		return 0;
	}
	if (pp->picked.pairs.n == 0)
		return 0;
	p->n++;
	return read_texts(p, db, pp, e);
}

/* One of a round: its own pair, or those of a recipe about its rewards. */
static int take_round_prompt(struct build_page *p, const struct page_source *src, struct store *db,
                             const struct round_prompt *of_round, struct err *e)
{
	const struct recipe *r = src->recipe;
	struct page_prompt *pp = &p->at[p->n];
	struct read_prompt *prompt = &pp->prompt;

	if (r->published) {
		if (pick_published(r, of_round, &p->arena, prompt, &pp->picked, src->counts, e) < 0)
			return -1;
		return keep(p, src, db, e);
	}
	if (store_prompt_get(db, &p->arena, src->dataset, of_round->id, src->seq, page_what(r), prompt, e) < 0)
		return e->problem == P_UNKNOWN_PROMPT ? err_set(e, P_GONE, "a prompt of the round was deleted") : -1;
	if (!in_split(r, prompt) || !pick_in_scope(r, prompt))
		return 0;
	if (check_pairs(r, prompt->id, of_round->responses, e) < 0)
		return -1;
	if (pick_rescored(src->picker, of_round, prompt, &p->arena, &pp->picked, src->counts, e) < 0)
		return -1;
	return keep(p, src, db, e);
}

static int take_prompt(struct build_page *p, const struct page_source *src, struct store *db,
                       const struct read_prompt *prompt, struct err *e)
{
	struct page_prompt *pp = &p->at[p->n];

	if (!pick_in_scope(src->recipe, prompt))
		return 0;
	if (check_pairs(src->recipe, prompt->id, prompt->responses, e) < 0)
		return -1;
	pp->prompt = *prompt;
	pick_prompt(src->picker, &pp->prompt, &p->arena, &pp->picked, src->counts);
	return keep(p, src, db, e);
}

/* --- a page -------------------------------------------------------------------------- */

static void fit_page(const struct build_page *p, struct page_source *src)
{
	if (p->arena.used > PAGE_BYTES_HIGH && src->prompts > 1)
		src->prompts /= 2;
	else if (p->arena.used < PAGE_BYTES_LOW && src->prompts < PAGE_PROMPTS_MOST)
		src->prompts *= 2;
}

/* Many pairs or long texts: what is left of the page is read with the next one. */
static bool goes_on(const struct build_page *p, uint32_t n)
{
	return p->seen < n && (p->seen == 0 || p->arena.used <= PAGE_BYTES_HIGH);
}

static int dataset_page(struct build_page *p, struct page_source *src, struct store *db, struct str after,
                        struct err *e)
{
	struct str split = str_eq(src->recipe->split, STR("*")) ? STR_NONE : src->recipe->split;
	struct read_prompt *prompt;
	uint32_t n;

	if (store_prompt_page(db, &p->arena, src->dataset, after, split, src->prompts, src->seq,
	                      page_what(src->recipe), &prompt, &n, e) < 0)
		return -1;
	p->at = ARENA_ARRAY(&p->arena, struct page_prompt, n);
	for (; goes_on(p, n); p->seen++) {
		if (take_prompt(p, src, db, &prompt[p->seen], e) < 0)
			return -1;
		p->last = prompt[p->seen].id;
	}
	return 0;
}

static int round_page(struct build_page *p, struct page_source *src, struct store *db, struct str after,
                      struct err *e)
{
	unsigned what = src->recipe->published && src->texts ? READ_MESSAGES : 0;
	struct round_prompt *prompt;
	uint32_t n;

	if (store_round_page(db, &p->arena, src->round, after, src->prompts, src->seq, what, &prompt, &n, e) < 0)
		return -1;
	p->at = ARENA_ARRAY(&p->arena, struct page_prompt, n);
	for (; goes_on(p, n); p->seen++) {
		if (take_round_prompt(p, src, db, &prompt[p->seen], e) < 0)
			return -1;
		p->last = prompt[p->seen].id;
	}
	return 0;
}

int page_read(struct build_page *p, struct page_source *src, struct store *db, struct str after, struct err *e)
{
	int rc;

	arena_reset(&p->arena);
	p->n = p->seen = 0;
	p->last = STR_NONE;
	/* One moment a page: its texts cost a third less than each on its own. */
	if (store_read_begin(db, e) < 0)
		return -1;
	rc = (src->recipe->has_terms ? round_page : dataset_page)(p, src, db, after, e);
	store_read_end(db);
	fit_page(p, src);
	return rc;
}
