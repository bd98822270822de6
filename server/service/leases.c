/* leases.c - work handed out to a round's workers, and taken back. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/json.h"
#include "inside.h"
#include "print.h"
#include "round_spec.h"
#include "service/rounds.h"

enum { LEASE_RANDOM_BYTES = 16, RETRY_SECONDS_MAX = 5 };

static const char *const kind_words[] = {"sample", "score"};

/* --- the body --------------------------------------------------------------------------- */

struct take_input {
	bool score;
	struct str model; /* STR_NONE: not said */
	struct str worker;
	int64_t limit;
};

static int read_kind(struct reading *r, const struct json *v, void *to, struct err *e)
{
	int word;

	(void)r;
	if (want_type(v, JSON_STRING, e) < 0)
		return -1;
	word = word_among(json_string(v), kind_words, 2);
	*(bool *)to = word == 1;
	return word >= 0 ? 0 : err_set(e, P_INVALID, "must be sample or score");
}

static int read_limit(struct reading *r, const struct json *v, void *to, struct err *e)
{
	int64_t *limit = to;

	if (read_count(r, v, limit, e) < 0)
		return -1;
	if (*limit < 1 || *limit > LEASE_PROMPTS_MAX)
		return err_set(e, P_INVALID, "must be a whole number from 1 to %d", LEASE_PROMPTS_MAX);
	return 0;
}

static const struct field take_fields[] = {
	{"kind", read_kind, offsetof(struct take_input, score), true},
	{"model", read_name, offsetof(struct take_input, model), false},
	{"worker", read_name, offsetof(struct take_input, worker), true},
	{"limit", read_limit, offsetof(struct take_input, limit), false},
};

static int read_take(struct arena *a, struct str body, struct take_input *in, struct err *e)
{
	struct reading r = {a, body, NULL};
	const struct json *v = json_parse(a, body, JSON_DEPTH_MAX, e);

	if (v == NULL)
		return -1;
	*in = (struct take_input){.limit = LEASE_PROMPTS_DEFAULT};
	e->pointer[0] = '\0';
	if (fields_read(&r, v, take_fields, FIELD_COUNT(take_fields), in, e) < 0)
		return -1;
	if (!in->score && in->model.p)
		return err_at(e, P_INVALID, "/model", "samples are always of the policy; leave the key out");
	if (in->score && !in->model.p)
		return err_at(e, P_INVALID, "/model", "is required to score");
	return 0;
}

/* --- taking ------------------------------------------------------------------------------- */

struct take_work {
	struct work work;
	struct service *service;
	struct arena arena;
	struct str round;
	struct take_input in;
};

static int kind_of(const struct take_input *in, const struct round_row *r, enum round_work *kind, struct err *e)
{
	if (!in->score)
		*kind = WORK_SAMPLE;
	else if (str_eq(in->model, r->policy))
		*kind = WORK_POLICY;
	else if (str_eq(in->model, r->reference))
		*kind = WORK_REFERENCE;
	else
		return err_at(e, P_INVALID, "/model", "is neither the policy nor the reference of the round");
	return 0;
}

static void print_task_prompt(struct buf *b, const struct lease_task *t, bool token_ids)
{
	json_put_key(b, "prompt");
	buf_byte(b, '{');
	print_member(b, "id", t->prompt_id);
	json_put_key(b, "messages");
	buf_str(b, t->messages);
	if (token_ids && t->prompt_token_ids.p) {
		json_put_key(b, "token_ids");
		buf_str(b, t->prompt_token_ids);
	}
	buf_byte(b, '}');
}

static void print_sample_task(struct buf *b, const struct lease_task *t, struct str sampling)
{
	json_put_comma(b);
	buf_byte(b, '{');
	print_task_prompt(b, t, false);
	json_put_key(b, "indices");
	buf_byte(b, '[');
	for (uint32_t i = 0; i < t->indices; i++)
		buf_printf(b, i ? ",%u" : "%u", t->index[i]);
	buf_byte(b, ']');
	json_put_key(b, "sampling");
	buf_str(b, sampling);
	buf_byte(b, '}');
}

static void print_score_task(struct buf *b, const struct lease_task *t, const struct lease_response *r,
                             struct str model)
{
	json_put_comma(b);
	buf_byte(b, '{');
	print_member(b, "model", model);
	print_task_prompt(b, t, true);
	json_put_key(b, "response");
	buf_byte(b, '{');
	print_member(b, "id", r->id);
	print_member(b, "text", r->text);
	if (r->token_ids.p) {
		json_put_key(b, "token_ids");
		buf_str(b, r->token_ids);
	}
	buf_lit(b, "}}");
}

static int print_tasks(struct take_work *w, const struct round_row *r, const struct lease_task *t, uint32_t n,
                       struct buf *b, struct err *e)
{
	struct str sampling = json_raw_member(r->spec, "sampling");
	size_t most = (size_t)w->service->conf->batch_bytes;

	json_put_key(b, "tasks");
	buf_byte(b, '[');
	for (uint32_t i = 0; i < n; i++) {
		if (!w->in.score)
			print_sample_task(b, &t[i], sampling);
		for (uint32_t k = 0; w->in.score && k < t[i].responses; k++)
			print_score_task(b, &t[i], &t[i].response[k], w->in.model);
		if (b->n > most)
			return err_at(e, P_TOO_LARGE, "/limit", "the tasks of %u prompts make more than %zu bytes; take fewer",
			              n, most);
	}
	buf_byte(b, ']');
	return 0;
}

static void print_lease(struct buf *b, struct str id, int64_t until)
{
	buf_byte(b, '{');
	print_member(b, "lease", id);
	print_time_member(b, "expires_at", until);
}

/* Nothing to be handed out now: when to ask again. */
static void answer_later(struct answer *out, const struct round_row *r)
{
	int64_t seconds = r->lease_us / 1000000;

	out->status = 204;
	out->retry_after_s = seconds < RETRY_SECONDS_MAX ? (int)seconds : RETRY_SECONDS_MAX;
}

static int apply_take(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct take_work *w = (struct take_work *)work;
	char id[2 * LEASE_RANDOM_BYTES + 1];
	int64_t now = clock_now_us();
	struct lease lease = {0};
	struct lease_task *task;
	struct round_row r;
	enum lease_found found;
	uint32_t n;

	if (store_round_get(db, &w->arena, w->round, &r, e) < 0 || kind_of(&w->in, &r, &lease.kind, e) < 0)
		return -1;
	random_hex(id, LEASE_RANDOM_BYTES);
	lease.id = str_of(id);
	lease.round = r.id;
	lease.worker = w->in.worker;
	lease.until = now + r.lease_us;
	if (store_lease_take(db, &w->arena, &r, &lease, (uint32_t)w->in.limit, now, &found, &task, &n, e) < 0)
		return -1;
	if (found == LEASE_NO_MORE)
		return err_set(e, P_GONE, "round %.*s has no more work of this kind", STR_ARG(r.id));
	if (found == LEASE_NOT_NOW) {
		answer_later(out, &r);
		return 0;
	}
	out->status = 200;
	print_lease(&out->body, lease.id, lease.until);
	if (print_tasks(w, &r, task, n, &out->body, e) < 0)
		return -1;
	buf_byte(&out->body, '}');
	return 0;
}

static void take_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct take_work *w = (struct take_work *)work;

	(void)committed;
	(void)out;
	(void)keep;
	arena_release(&w->arena);
	heap_free(w);
}

void leases_take(struct service *s, struct str round, struct str body,
                 const struct origin_key *origin, struct pending *p)
{
	struct take_work *w = heap_zalloc(1, sizeof *w);
	struct err e = {0};

	w->service = s;
	w->round = arena_str(&w->arena, round);
	w->work.pending = p;
	w->work.apply = apply_take;
	w->work.settled = take_settled;
	work_origin(&w->work, &w->arena, origin);
	if (read_take(&w->arena, arena_str(&w->arena, body), &w->in, &e) == 0) {
		writer_submit(s, &w->work);
		return;
	}
	pending_fail(p, &e);
	take_settled(&w->work, false, NULL, NULL);
}

/* --- renewing, giving back ------------------------------------------------------------------- */

struct lease_work {
	struct work work;
	struct arena arena;
	struct str round, lease;
};

static int apply_renew(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct lease_work *w = (struct lease_work *)work;
	int64_t now = clock_now_us();
	struct round_row r;

	if (store_round_get(db, &w->arena, w->round, &r, e) < 0 ||
	    store_lease_renew(db, w->round, w->lease, now + r.lease_us, now, e) < 0)
		return -1;
	out->status = 200;
	print_lease(&out->body, w->lease, now + r.lease_us);
	buf_byte(&out->body, '}');
	return 0;
}

static int apply_end(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct lease_work *w = (struct lease_work *)work;
	struct round_row r;

	out->status = 204;
	if (store_round_get(db, &w->arena, w->round, &r, e) < 0)
		return -1;
	return store_lease_end(db, w->round, w->lease, e);
}

static void lease_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct lease_work *w = (struct lease_work *)work;

	(void)committed;
	(void)out;
	(void)keep;
	arena_release(&w->arena);
	heap_free(w);
}

static struct lease_work *lease_work_new(struct str round, struct str lease, struct pending *p)
{
	struct lease_work *w = heap_zalloc(1, sizeof *w);

	w->round = arena_str(&w->arena, round);
	w->lease = arena_str(&w->arena, lease);
	w->work.pending = p;
	w->work.settled = lease_settled;
	return w;
}

void leases_renew(struct service *s, struct str round, struct str lease,
                  const struct origin_key *origin, struct pending *p)
{
	struct lease_work *w = lease_work_new(round, lease, p);

	w->work.apply = apply_renew;
	work_origin(&w->work, &w->arena, origin);
	writer_submit(s, &w->work);
}

void leases_end(struct service *s, struct str round, struct str lease, struct pending *p)
{
	struct lease_work *w = lease_work_new(round, lease, p);

	w->work.apply = apply_end;
	writer_submit(s, &w->work);
}
