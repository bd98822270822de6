#include "build_page.h"

#include <stdlib.h>
#include <string.h>

#include "service/snapshots.h"
#include "round_pick.h"

enum {
	PAGE_PROMPTS_MOST = 256,
	PAGE_BYTES_LOW = 2 << 20,
	PAGE_BYTES_HIGH = 16 << 20,
	PAGE_CHARACTERS_HIGH = 4 << 20, /* of texts that are still to be read: 4 bytes each at most */
};

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

/* What the pairs of a prompt use, each once, and its messages unless they are there. */
static void want_texts(struct page_prompt *pp, struct arena *a, struct buf *want)
{
	const struct picked *picked = &pp->picked;
	bool *used = ARENA_ARRAY(a, bool, picked->n);
	struct wanted_text w = {pp->prompt.messages_key, &pp->prompt.messages};

	if (pp->prompt.messages.p == NULL)
		buf_add(want, &w, sizeof w);
	for (size_t k = 0; k < picked->pairs.n; k++)
		used[picked->pairs.pair[k].chosen] = used[picked->pairs.pair[k].rejected] = true;
	for (size_t i = 0; i < picked->n; i++) {
		struct read_response *x = &pp->prompt.response[picked->response[i]];

		w = (struct wanted_text){x->text_key, &x->text};
		if (used[i])
			buf_add(want, &w, sizeof w);
	}
}

static int read_wanted(struct wanted_text *want, size_t n, struct arena *a, struct store *db, struct err *e)
{
	int64_t *key = ARENA_ARRAY(a, int64_t, n);
	struct str *text = ARENA_ARRAY(a, struct str, n);
	bool sorted = true; /* as a rule */

	for (size_t i = 1; i < n && sorted; i++)
		sorted = want[i - 1].key <= want[i].key;
	if (!sorted)
		qsort(want, n, sizeof *want, by_key);
	for (size_t i = 0; i < n; i++)
		key[i] = want[i].key;
	if (store_texts(db, a, key, n, text, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		*want[i].to = text[i];
	return 0;
}

/* Of all prompts at once, in the order in which they lie. */
static int read_texts(struct build_page *p, struct store *db, struct err *e)
{
	struct buf want = BUF_INIT;
	int rc;

	for (uint32_t i = 0; i < p->n; i++)
		if (p->at[i].picked.pairs.n > 0)
			want_texts(&p->at[i], &p->arena, &want);
	rc = read_wanted((struct wanted_text *)want.p, want.n / sizeof(struct wanted_text), &p->arena, db, e);
	buf_release(&want);
	return rc;
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
static void keep(struct build_page *p, const struct page_source *src)
{
	const struct page_prompt *pp = &p->at[p->n];

	if (pp->picked.pairs.n > 0)
		p->characters += pp->prompt.characters;
	for (size_t i = 0; pp->picked.pairs.n > 0 && i < pp->picked.n; i++)
		p->characters += pp->prompt.response[pp->picked.response[i]].characters;
	if (src->all || pp->picked.pairs.n > 0)
		p->n++;
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
		keep(p, src);
		return 0;
	}
	if (store_prompt_get(db, &p->arena, src->dataset, of_round->id, src->seq, page_what(r), prompt, e) < 0)
		return e->problem == P_UNKNOWN_PROMPT ? err_set(e, P_GONE, "a prompt of the round was deleted") : -1;
	if (!in_split(r, prompt) || !pick_in_scope(r, prompt))
		return 0;
	if (check_pairs(r, prompt->id, of_round->responses, e) < 0)
		return -1;
	if (pick_rescored(src->picker, of_round, prompt, &p->arena, &pp->picked, src->counts, e) < 0)
		return -1;
	keep(p, src);
	return 0;
}

static int take_prompt(struct build_page *p, const struct page_source *src, const struct read_prompt *prompt,
                       struct err *e)
{
	struct page_prompt *pp = &p->at[p->n];

	if (!pick_in_scope(src->recipe, prompt))
		return 0;
	if (check_pairs(src->recipe, prompt->id, prompt->responses, e) < 0)
		return -1;
	pp->prompt = *prompt;
	pick_prompt(src->picker, &pp->prompt, &p->arena, &pp->picked, src->counts);
	keep(p, src);
	return 0;
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
static bool goes_on(const struct build_page *p, uint32_t i, uint32_t n)
{
	return i < n && (i == 0 || (p->arena.used <= PAGE_BYTES_HIGH && p->characters <= PAGE_CHARACTERS_HIGH));
}

static void set_after(struct page_source *src, struct str id)
{
	buf_clear(&src->after);
	buf_str(&src->after, id);
}

static int dataset_page(struct build_page *p, struct page_source *src, struct store *db, struct err *e)
{
	struct str split = str_eq(src->recipe->split, STR("*")) ? STR_NONE : src->recipe->split;
	struct read_prompt *prompt;
	uint32_t n, i;

	if (store_prompt_arrivals(db, &p->arena, src->dataset, &src->arrived, split, src->prompts, src->seq,
	                          page_what(src->recipe), &prompt, &n, &p->seen, e) < 0)
		return -1;
	p->at = ARENA_ARRAY(&p->arena, struct page_prompt, n);
	for (i = 0; goes_on(p, i, n); i++)
		if (take_prompt(p, src, &prompt[i], e) < 0)
			return -1;
	if (i < n) {
		src->arrived = prompt[i - 1].key;
		p->seen = i;
	}
	return src->texts ? read_texts(p, db, e) : 0;
}

static int round_page(struct build_page *p, struct page_source *src, struct store *db, struct err *e)
{
	unsigned what = src->recipe->published && src->texts ? READ_MESSAGES : 0;
	struct round_prompt *prompt;
	uint32_t n;

	if (store_round_page(db, &p->arena, src->round, buf_view(&src->after), src->prompts, src->seq, what, &prompt, &n,
	                     e) < 0)
		return -1;
	p->at = ARENA_ARRAY(&p->arena, struct page_prompt, n);
	for (; goes_on(p, p->seen, n); p->seen++)
		if (take_round_prompt(p, src, db, &prompt[p->seen], e) < 0)
			return -1;
	if (p->seen > 0)
		set_after(src, prompt[p->seen - 1].id);
	return src->texts ? read_texts(p, db, e) : 0;
}

/* Ids come from the database, which knows their order. One that is not there
 * any more was deleted, and so the snapshot is another. */
static int gathered_page(struct build_page *p, struct page_source *src, struct store *db, struct err *e)
{
	struct prompt_key *id;
	uint32_t n;

	if (store_prompt_keys(db, &p->arena, src->dataset, buf_view(&src->after), src->prompts, &id, &n, e) < 0)
		return -1;
	if (n == 0 && src->gathered->taken < src->gathered->n)
		return err_set(e, P_GONE, "a prompt was deleted");
	p->at = ARENA_ARRAY(&p->arena, struct page_prompt, n);
	for (; goes_on(p, p->seen, n); p->seen++) {
		struct page_prompt *pp = &p->at[p->n];
		int rc = gather_take(src->gathered, id[p->seen].key, src->recipe->reference, &p->arena, &pp->prompt,
		                     &pp->picked, e);

		if (rc < 0)
			return -1;
		p->n += (uint32_t)rc;
	}
	if (p->seen > 0)
		set_after(src, id[p->seen - 1].id);
	return 0;
}

static int read_by(struct build_page *p, struct page_source *src, struct store *db, struct err *e)
{
	if (src->recipe->has_terms)
		return round_page(p, src, db, e);
	return (src->gathered ? gathered_page : dataset_page)(p, src, db, e);
}

int page_read(struct build_page *p, struct page_source *src, struct store *db, struct err *e)
{
	int rc;

	arena_reset(&p->arena);
	p->n = p->seen = 0;
	p->characters = 0;
	/* One moment a page: its texts cost a third less than each on its own. */
	if (store_read_begin(db, e) < 0)
		return -1;
	rc = read_by(p, src, db, e);
	store_read_end(db);
	fit_page(p, src);
	return rc;
}
