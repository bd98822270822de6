#include "gather.h"

#include <string.h>

#include "base/json.h"

struct place {
	int64_t key;
	uint64_t at; /* the record ends where the next one begins */
};

/* A record: this, its candidates, the own rewards of those that have some, its
 * pairs, and then the bytes of the texts. Nobody else reads it: the layout is
 * the compiler's. */
struct kept {
	uint32_t id, messages; /* bytes */
	uint32_t candidates, pairs;
	uint32_t attributes; /* own rewards of a candidate */
	uint32_t skip;       /* enum pair_skip */
	uint8_t messages_hash[SHA256_BYTES];
};

enum { ABSENT = UINT32_MAX }; /* the length of STR_NONE */

struct kept_candidate {
	uint32_t id, goal, vector, text; /* bytes */
	double reward, logprob;
	uint8_t text_hash[SHA256_BYTES];
	uint32_t out, own, has_logprob;
	uint32_t spare; /* 0 */
};

int gather_open(struct gathered *g, const char *dir, struct err *e)
{
	*g = (struct gathered){.prompts.fd = -1, .places.fd = -1};
	return side_open(&g->prompts, dir, e) < 0 ? -1 : side_open(&g->places, dir, e);
}

void gather_close(struct gathered *g)
{
	side_close(&g->prompts);
	side_close(&g->places);
}

/* --- putting ------------------------------------------------------------------------- */

static uint32_t length(struct str s)
{
	return s.p ? (uint32_t)s.n : ABSENT;
}

static const struct read_logprob *logprob_of(const struct read_response *x, struct str model)
{
	for (uint32_t i = 0; model.p && i < x->logprobs; i++)
		if (str_eq(x->logprob[i].l.model, model))
			return &x->logprob[i];
	return NULL;
}

static const struct read_response *response_of(const struct read_prompt *prompt, const struct picked *p, size_t i)
{
	return &prompt->response[p->response[i]];
}

static void put_candidates(struct buf *b, const struct read_prompt *prompt, const struct picked *p,
                           uint32_t attributes, struct str model)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct read_response *x = response_of(prompt, p, i);
		const struct read_logprob *l = logprob_of(x, model);
		struct kept_candidate k = {
			.id = length(p->c[i].id),
			.goal = length(p->c[i].goal),
			.vector = length(p->c[i].vector),
			.text = ABSENT,
			.reward = p->c[i].reward,
			.logprob = l ? l->l.logprob : 0,
			.out = p->pairs.out[i],
			.own = p->own[i] != NULL,
			.has_logprob = l != NULL,
		};

		memcpy(k.text_hash, p->c[i].text_hash, sizeof k.text_hash);
		buf_add(b, &k, sizeof k);
	}
	for (size_t i = 0; i < p->n; i++)
		if (p->own[i])
			buf_add(b, p->own[i], attributes * sizeof(double));
}

static void put_escaped(struct buf *b, size_t candidate, struct str text)
{
	size_t before = b->n;

	if (text.p == NULL)
		return;
	json_put_escaped(b, text);
	((struct kept_candidate *)(b->p + candidate))->text = (uint32_t)(b->n - before);
}

/* Texts are escaped on their way, which makes them longer: their candidates,
 * at `candidates` in the buffer, learn how long. */
static void put_bytes(struct buf *b, size_t candidates, const struct read_prompt *prompt, const struct picked *p)
{
	buf_str(b, prompt->id);
	buf_str(b, prompt->messages);
	for (size_t i = 0; i < p->n; i++) {
		buf_str(b, p->c[i].id);
		buf_str(b, p->c[i].goal);
		buf_str(b, p->c[i].vector);
		put_escaped(b, candidates + i * sizeof(struct kept_candidate), response_of(prompt, p, i)->text);
	}
}

int gather_put(struct gathered *g, const struct read_prompt *prompt, const struct picked *picked, uint32_t attributes,
               struct str model, struct err *e)
{
	struct place place = {prompt->key, side_at(&g->prompts)};
	struct buf *b = &g->prompts.pending;
	struct kept k = {
		.id = (uint32_t)prompt->id.n,
		.messages = (uint32_t)prompt->messages.n,
		.candidates = (uint32_t)picked->n,
		.pairs = (uint32_t)picked->pairs.n,
		.attributes = attributes,
		.skip = (uint32_t)picked->pairs.skip,
	};
	size_t candidates;

	if (prompt->key <= g->last)
		return err_set(e, P_INTERNAL, "prompts came out of order");
	g->last = prompt->key;
	g->n++;
	memcpy(k.messages_hash, prompt->messages_hash, sizeof k.messages_hash);
	buf_add(b, &k, sizeof k);
	candidates = b->n;
	put_candidates(b, prompt, picked, attributes, model);
	buf_add(b, picked->pairs.pair, picked->pairs.n * sizeof *picked->pairs.pair);
	put_bytes(b, candidates, prompt, picked);
	if (b->n % sizeof(double))
		buf_add(b, "\0\0\0\0\0\0\0", sizeof(double) - b->n % sizeof(double));
	return side_add(&g->prompts, "", 0, e) < 0 ? -1 : side_add(&g->places, &place, sizeof place, e);
}

int gather_seal(struct gathered *g, struct err *e)
{
	struct place end = {INT64_MAX, side_at(&g->prompts)};
	void *p;

	if (side_add(&g->places, &end, sizeof end, e) < 0 || side_seal(&g->prompts, e) < 0 ||
	    side_seal(&g->places, e) < 0 || side_map(&g->places, &p, e) < 0)
		return -1;
	g->place = p;
	return 0;
}

/* --- taking -------------------------------------------------------------------------- */

static const struct place *find(const struct gathered *g, int64_t key)
{
	uint64_t low = 0, high = g->n;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (g->place[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return g->place[low].key == key ? &g->place[low] : NULL;
}

static const void *cut(const char **p, size_t n)
{
	const char *from = *p;

	*p += n;
	return from;
}

static struct str cut_str(const char **p, uint32_t n)
{
	return n == ABSENT ? STR_NONE : (struct str){cut(p, n), n};
}

static void take_candidate(const struct kept_candidate *k, const char **p, struct str model, struct arena *a,
                           struct candidate *c, struct read_response *x)
{
	c->id = x->id = cut_str(p, k->id);
	c->goal = cut_str(p, k->goal);
	c->vector = cut_str(p, k->vector);
	c->reward = k->reward;
	x->text = cut_str(p, k->text);
	memcpy(c->text_hash, k->text_hash, sizeof c->text_hash);
	if (!k->has_logprob)
		return;
	x->logprob = ARENA_NEW(a, struct read_logprob);
	x->logprob->l = (struct logprob){.model = model, .logprob = k->logprob};
	x->logprobs = 1;
}

/* The arrays of a prompt that are not in its record as they are needed. */
static void make_room(const struct kept *k, struct arena *a, struct read_prompt *prompt, struct picked *out)
{
	prompt->response = ARENA_ARRAY(a, struct read_response, k->candidates);
	prompt->responses = k->candidates;
	memcpy(prompt->messages_hash, k->messages_hash, sizeof prompt->messages_hash);
	out->n = k->candidates;
	out->c = ARENA_ARRAY(a, struct candidate, out->n);
	out->response = ARENA_ARRAY(a, uint32_t, out->n);
	out->own = ARENA_ARRAY(a, double *, out->n);
	out->pairs.out = ARENA_ARRAY(a, bool, out->n);
	out->pairs.skip = (enum pair_skip)k->skip;
	out->pairs.n = k->pairs;
}

static void unpack(const char *p, struct str model, struct arena *a, struct read_prompt *prompt, struct picked *out)
{
	const struct kept *k = cut(&p, sizeof *k);
	const struct kept_candidate *c = cut(&p, k->candidates * sizeof *c);

	make_room(k, a, prompt, out);
	for (uint32_t i = 0; i < k->candidates; i++) {
		out->response[i] = i;
		out->pairs.out[i] = c[i].out;
		if (c[i].own)
			out->own[i] = (double *)(uintptr_t)cut(&p, k->attributes * sizeof(double));
	}
	out->pairs.pair = (struct pair *)(uintptr_t)cut(&p, k->pairs * sizeof(struct pair));
	prompt->id = cut_str(&p, k->id);
	prompt->messages = cut_str(&p, k->messages);
	for (uint32_t i = 0; i < k->candidates; i++)
		take_candidate(&c[i], &p, model, a, &out->c[i], &prompt->response[i]);
}

int gather_take(struct gathered *g, int64_t key, struct str model, struct arena *a, struct read_prompt *prompt,
                struct picked *picked, struct err *e)
{
	const struct place *place = find(g, key);
	size_t n;
	char *p;

	if (place == NULL)
		return 0;
	n = place[1].at - place[0].at;
	p = arena_alloc(a, n);
	if (side_read(&g->prompts, p, n, place->at, e) < 0)
		return -1;
	*prompt = (struct read_prompt){.key = key};
	*picked = (struct picked){.n = 0};
	unpack(p, model, a, prompt, picked);
	g->taken++;
	return 1;
}
