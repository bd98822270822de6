#include "replaying.h"

#include <math.h>

#include "align/goal.h"
#include "base/clock.h"
#include "base/heap.h"
#include "snap/read.h"

enum { PAIRS_BETWEEN_LOOKS = 64 }; /* at the clock */

struct replaying {
	struct arena arena, pair; /* pair: for one pair alone */
	const struct recipe *recipe;
	struct snap *snap;
	struct buf generated, offline; /* pools: the hashes of messages, one a prompt */
	struct buf ids, ends;    /* of the generated: text, and where each ends (size_t) */
	struct buf pairs;        /* of the offline: the first pair of each prompt (uint64_t) */
	struct buf messages;     /* of one prompt, canonical */
	uint64_t next_pair;      /* to be gathered … */
	struct str last_prompt;  /* … and whose the one before it was */
	size_t next_id;          /* of the generated, beside it */
	struct replay_draw draw;
	double *sorted;          /* centred rewards of the drawn pairs that carry goals */
	uint64_t ranked;
	size_t told, taken, put; /* cursors: of the generated, their drawn, the replayed */
};

/* --- pools ------------------------------------------------------------------------- */

static struct replay_pool pool_of(const struct buf *hashes)
{
	return (struct replay_pool){(const uint8_t(*)[SHA256_BYTES])(const void *)hashes->p, hashes->n / SHA256_BYTES};
}

static size_t generated(const struct replaying *x)
{
	return x->ends.n / sizeof(size_t);
}

static struct str generated_id(const struct replaying *x, size_t i)
{
	const size_t *end = (const size_t *)(const void *)x->ends.p;
	size_t from = i > 0 ? end[i - 1] : 0;

	return (struct str){x->ids.p + from, end[i] - from};
}

void replaying_tell(struct replaying *x, struct str id, const uint8_t messages_hash[SHA256_BYTES])
{
	buf_str(&x->ids, id);
	buf_add(&x->ends, &x->ids.n, sizeof x->ids.n);
	buf_add(&x->generated, messages_hash, SHA256_BYTES);
}

/* --- the file ------------------------------------------------------------------------ */

int replaying_open(struct replaying **out, const struct recipe *r, const char *dir, struct err *e)
{
	struct replaying *x = heap_zalloc(1, sizeof *x);

	x->recipe = r;
	if (snap_open(&x->snap, dir, r->replay.revision, e) < 0) {
		heap_free(x);
		if (e->problem == P_UNKNOWN_SNAPSHOT)
			err_set(e, P_DAMAGED, "the file of the replayed snapshot is missing");
		return -1;
	}
	*out = x;
	return 0;
}

void replaying_free(struct replaying *x)
{
	if (x == NULL)
		return;
	snap_close(x->snap);
	buf_release(&x->generated);
	buf_release(&x->offline);
	buf_release(&x->ids);
	buf_release(&x->ends);
	buf_release(&x->pairs);
	buf_release(&x->messages);
	arena_release(&x->pair);
	arena_release(&x->arena);
	heap_free(x);
}

/* The hash of the messages, put together as the store keeps them. */
static int hash_messages(struct replaying *x, const struct snap_view *v, uint8_t hash[SHA256_BYTES], struct err *e)
{
	struct buf *b = &x->messages;
	struct snap_message m;

	buf_clear(b);
	buf_byte(b, '[');
	for (uint32_t i = 0; i < v->messages; i++) {
		if (snap_message_at(x->snap, v, i, &m, e) < 0)
			return -1;
		buf_z(b, i > 0 ? ",{\"role\":\"" : "{\"role\":\"");
		buf_str(b, role_name(m.role));
		buf_lit(b, "\",\"content\":\"");
		buf_str(b, m.content);
		buf_lit(b, "\"}");
	}
	buf_byte(b, ']');
	sha256_of(b->p, b->n, hash);
	return 0;
}

/* The round may have the same prompt with messages that replaced these: one
 * prompt stands once in a file, so they are told apart by the round's. */
static bool hash_in_round(struct replaying *x, struct str id, uint8_t hash[SHA256_BYTES])
{
	while (x->next_id < generated(x) && str_cmp(generated_id(x, x->next_id), id) < 0)
		x->next_id++;
	if (x->next_id == generated(x) || !str_eq(generated_id(x, x->next_id), id))
		return false;
	memcpy(hash, x->generated.p + x->next_id * SHA256_BYTES, SHA256_BYTES);
	return true;
}

/* Notes the next pair if it is the first of its prompt. */
static int gather(struct replaying *x, struct err *e)
{
	uint64_t i = x->next_pair++;
	uint8_t hash[SHA256_BYTES];
	struct snap_view v;

	if (snap_pair_at(x->snap, i, &v, e) < 0)
		return -1;
	if (i > 0 && str_eq(v.prompt_id, x->last_prompt))
		return 0;
	x->last_prompt = v.prompt_id;
	if (!hash_in_round(x, v.prompt_id, hash) && hash_messages(x, &v, hash, e) < 0)
		return -1;
	buf_add(&x->offline, hash, sizeof hash);
	buf_add(&x->pairs, &i, sizeof i);
	return 0;
}

/* --- drawing ---------------------------------------------------------------------------- */

static uint64_t drawn_pair(const struct replaying *x, size_t k)
{
	return ((const uint64_t *)(const void *)x->pairs.p)[x->draw.offline.at[k]];
}

/* x of both answers; false: the pair carries no goals. */
static bool centred(const struct snap_view *v, double x[2])
{
	bool chosen_first = str_cmp(v->chosen.id, v->rejected.id) < 0;
	double reward[2] = {v->chosen.reward, v->rejected.reward};

	if (v->plain || isnan(v->chosen.reward) || isnan(v->rejected.reward))
		return false;
	if (!chosen_first) {
		reward[0] = v->rejected.reward;
		reward[1] = v->chosen.reward;
	}
	goal_centre(reward, 2, x);
	if (!chosen_first) {
		double first = x[0];

		x[0] = x[1];
		x[1] = first;
	}
	return true;
}

static int rank(struct replaying *x, struct err *e)
{
	struct snap_view v;

	x->sorted = ARENA_ARRAY(&x->arena, double, 2 * x->draw.offline.n);
	for (size_t k = 0; k < x->draw.offline.n; k++) {
		if (snap_pair_at(x->snap, drawn_pair(x, k), &v, e) < 0)
			return -1;
		if (centred(&v, x->sorted + x->ranked))
			x->ranked += 2;
	}
	goal_sort(x->sorted, x->ranked);
	return 0;
}

int replaying_draw(struct replaying *x, int64_t until_us, struct err *e)
{
	const struct replay_terms *t = &x->recipe->replay;
	struct replay_rule rule = {.total = t->total, .seed = t->seed};

	while (x->next_pair < snap_pairs(x->snap)) {
		if (gather(x, e) < 0)
			return -1;
		if (x->next_pair % PAIRS_BETWEEN_LOOKS == 0 && clock_steady_us() >= until_us)
			return 1;
	}
	if (gamma_read(t->gamma, &rule.gamma, e) < 0)
		return -1;
	replay_draw(&rule, pool_of(&x->generated), pool_of(&x->offline), &x->arena, &x->draw);
	return rank(x, e);
}

bool replaying_takes(struct replaying *x)
{
	const struct replay_part *part = &x->draw.generated;
	bool takes = x->taken < part->n && part->at[x->taken] == x->told;

	x->told++;
	x->taken += takes;
	return takes;
}

struct replay_result replaying_result(const struct replaying *x)
{
	return (struct replay_result){true, x->draw.wanted, x->draw.offline.n, x->draw.generated.n};
}

/* --- giving ------------------------------------------------------------------------------ */

/* The hash of a text that lies escaped in the file. */
static int hash_text(struct replaying *x, struct str escaped, uint8_t hash[SHA256_BYTES], struct err *e)
{
	struct str quoted = arena_printf(&x->pair, "\"%.*s\"", STR_ARG(escaped));
	const struct json *v = json_parse(&x->pair, quoted, JSON_DEPTH_MAX, e);
	struct str text;

	if (v == NULL)
		return err_set(e, P_DAMAGED, "a text of the replayed snapshot is not what it should be");
	text = json_string(v);
	sha256_of(text.p, text.n, hash);
	return 0;
}

static struct snap_response answer(struct replaying *x, const struct compiler *c, const struct snap_response *from,
                                   bool goals, double centre)
{
	struct snap_response r = {.text = from->text, .id = from->id, .score = from->score, .reward = from->reward};

	if (goals)
		r.goal = r.goal_text = compile_quantile(c, x->sorted, x->ranked, centre, &x->pair);
	return r;
}

static int put_messages(struct replaying *x, const struct snap_view *v, struct snap_prompt *out, struct err *e)
{
	struct snap_message *m = ARENA_ARRAY(&x->pair, struct snap_message, v->messages);

	for (uint32_t i = 0; i < v->messages; i++)
		if (snap_message_at(x->snap, v, i, &m[i], e) < 0)
			return -1;
	out->message = m;
	out->messages = v->messages;
	return 0;
}

static int put_pair(struct replaying *x, struct compiler *c, const struct snap_view *v, struct err *e)
{
	struct snap_pair pair = {.chosen = 0, .rejected = 1, .lineage = 1, .origin = ORIGIN_REPLAY};
	uint8_t messages[SHA256_BYTES], text[2][SHA256_BYTES];
	struct buf lineage = BUF_INIT;
	struct snap_response r[2];
	struct snap_prompt out = {.id = v->prompt_id, .response = r, .responses = 2, .pair = &pair, .pairs = 1};
	double centre[2] = {0, 0};
	bool goals = centred(v, centre);

	r[0] = answer(x, c, &v->chosen, goals, centre[0]);
	r[1] = answer(x, c, &v->rejected, goals, centre[1]);
	memcpy(pair.id, v->id, sizeof pair.id);
	pair.plain = !goals || str_eq(r[0].goal, r[1].goal);
	if (put_messages(x, v, &out, e) < 0 || hash_messages(x, v, messages, e) < 0 ||
	    hash_text(x, r[0].text, text[0], e) < 0 || hash_text(x, r[1].text, text[1], e) < 0)
		return -1;
	print_replay_lineage(&lineage, x->recipe);
	compile_roles(c, &out);
	compile_pair(c, &(struct compiled_pair){v->prompt_id, messages, text[0], text[1], &r[0], &r[1], &pair,
	                                        buf_view(&lineage)});
	buf_release(&lineage);
	return snap_put(c->writer, &out, e);
}

int replaying_put(struct replaying *x, struct compiler *c, struct str id, int64_t until_us, struct err *e)
{
	struct snap_view v;

	while (x->put < x->draw.offline.n) {
		if (snap_pair_at(x->snap, drawn_pair(x, x->put), &v, e) < 0)
			return -1;
		if (id.p && str_cmp(v.prompt_id, id) > 0)
			return 0;
		arena_reset(&x->pair);
		if (put_pair(x, c, &v, e) < 0)
			return -1;
		x->put++;
		if (!id.p && x->put % PAIRS_BETWEEN_LOOKS == 0 && clock_steady_us() >= until_us)
			return 1;
	}
	return 0;
}
