/* engines.c - engines as documents, and a round's scoring by them. */
#include "service/engines.h"

#include "base/heap.h"
#include "fields.h"
#include "inside.h"
#include "print.h"
#include "recipe.h"
#include "round_report.h"
#include "round_spec.h"
#include "score.h"

static const char *const model_words[2] = {"policy", "reference"};

static void print_engine(struct buf *b, const struct engine_row *row)
{
	buf_byte(b, '{');
	print_member(b, "id", row->id);
	print_member(b, "kind", str_of(engine_kind_words[row->kind]));
	print_member(b, "url", row->url);
	print_member(b, "model", row->model);
	print_count_member(b, "max_in_flight", row->max_in_flight);
	buf_byte(b, '}');
}

/* --- the document ------------------------------------------------------------------------- */

static int read_kind(struct reading *r, const struct json *v, void *to, struct err *e)
{
	int word;

	(void)r;
	if (want_type(v, JSON_STRING, e) < 0)
		return -1;
	word = word_among(json_string(v), engine_kind_words, ENGINE_KINDS);
	*(enum engine_kind *)to = (enum engine_kind)word;
	return word >= 0 ? 0 : err_set(e, P_INVALID, "must be vllm or sglang");
}

/* rules: the hosts that are allowed. */
static int read_url(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct str url;

	if (read_text(r, v, &url, e) < 0)
		return -1;
	if (url.n > ENGINE_URL_BYTES_MAX)
		return err_set(e, P_INVALID, "a URL is at most %d bytes", ENGINE_URL_BYTES_MAX);
	return engine_url_check(r->rules, url, to, e);
}

static int read_in_flight(struct reading *r, const struct json *v, void *to, struct err *e)
{
	int64_t n;

	if (read_count(r, v, &n, e) < 0)
		return -1;
	if (n < 1 || n > ENGINE_IN_FLIGHT_MAX)
		return err_set(e, P_INVALID, "must be a whole number from 1 to %d", ENGINE_IN_FLIGHT_MAX);
	*(uint32_t *)to = (uint32_t)n;
	return 0;
}

static const struct field engine_fields[] = {
	{"kind", read_kind, offsetof(struct engine_row, kind), true},
	{"url", read_url, offsetof(struct engine_row, url), true},
	{"model", read_name, offsetof(struct engine_row, model), true},
	{"max_in_flight", read_in_flight, offsetof(struct engine_row, max_in_flight), false},
};

static int read_engine(struct arena *a, struct str body, const char *hosts, struct engine_row *row, struct err *e)
{
	struct reading r = {a, body, hosts};
	const struct json *v = json_parse(a, body, JSON_DEPTH_MAX, e);

	if (v == NULL)
		return -1;
	row->max_in_flight = ENGINE_IN_FLIGHT_DEFAULT;
	e->pointer[0] = '\0';
	return fields_read(&r, v, engine_fields, FIELD_COUNT(engine_fields), row, e);
}

/* --- put, deleted --------------------------------------------------------------------------- */

struct engine_work {
	struct work work;
	struct arena arena;
	struct engine_row row;
};

static int apply_put(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct engine_work *w = (struct engine_work *)work;
	bool created;

	if (store_engine_put(db, &w->row, &created, e) < 0)
		return -1;
	out->status = created ? 201 : 200;
	if (created)
		answer_header(out, "Location", "/v1/engines/%.*s", STR_ARG(w->row.id));
	print_engine(&out->body, &w->row);
	return 0;
}

static int apply_delete(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	out->status = 204;
	return store_engine_delete(db, ((struct engine_work *)work)->row.id, e);
}

static void engine_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct engine_work *w = (struct engine_work *)work;

	(void)committed;
	(void)out;
	(void)keep;
	arena_release(&w->arena);
	heap_free(w);
}

static struct engine_work *engine_work_new(struct str id, struct pending *p)
{
	struct engine_work *w = heap_zalloc(1, sizeof *w);

	w->row.id = arena_str(&w->arena, id);
	w->work.pending = p;
	w->work.settled = engine_settled;
	return w;
}

void engines_put(struct service *s, struct str id, struct str body, struct pending *p)
{
	struct engine_work *w = engine_work_new(id, p);
	struct err e = {0};

	w->work.apply = apply_put;
	if (read_engine(&w->arena, arena_str(&w->arena, body), s->conf->engine_hosts, &w->row, &e) == 0) {
		writer_submit(s, &w->work);
		return;
	}
	pending_fail(p, &e);
	engine_settled(&w->work, false, NULL, NULL);
}

void engines_delete(struct service *s, struct str id, struct pending *p)
{
	struct engine_work *w = engine_work_new(id, p);

	w->work.apply = apply_delete;
	writer_submit(s, &w->work);
}

/* --- telling of them -------------------------------------------------------------------------- */

int engines_get(struct service *s, struct str id, struct answer *out, struct err *e)
{
	struct engine_row row;
	struct arena a = {0};
	struct store *db;
	int rc;

	if (reader_get(s, &db, e) < 0)
		return -1;
	out->status = 200;
	rc = store_engine_get(db, &a, id, &row, e);
	if (rc == 0)
		print_engine(&out->body, &row);
	reader_put(s, db);
	arena_release(&a);
	return rc;
}

int engines_list(struct service *s, struct str after, uint32_t limit, struct answer *out, struct err *e)
{
	struct engine_row *row;
	struct arena a = {0};
	struct store *db;
	uint32_t n = 0;
	int rc;

	if (reader_get(s, &db, e) < 0)
		return -1;
	out->status = 200;
	rc = store_engine_list(db, &a, after, limit, &row, &n, e);
	buf_lit(&out->body, "{\"engines\":[");
	for (uint32_t i = 0; rc == 0 && i < n; i++) {
		json_put_comma(&out->body);
		print_engine(&out->body, &row[i]);
	}
	print_page_end(&out->body, n == limit, rc == 0 && n > 0 ? row[n - 1].id : STR_NONE);
	reader_put(s, db);
	arena_release(&a);
	return rc;
}

/* --- scoring ------------------------------------------------------------------------------------- */

struct score_work {
	struct work work;
	struct service *service;
	struct arena arena;
	struct str round;
	struct score_plan plan;
	bool planned; /* not so when an earlier answer was repeated */
};

/* The settings may have changed since the engine was put. */
static int look_up(struct score_work *w, struct store *db, int m, struct str id, struct err *e)
{
	struct engine_row *row = &w->plan.engine[m];
	struct str url;

	if (store_engine_get(db, &w->arena, id, row, e) < 0)
		return e->problem != P_UNKNOWN_ENGINE
		       ? -1 : err_set(e, P_UNKNOWN_ID, "the %s's engine %.*s was deleted", model_words[m], STR_ARG(id));
	if (engine_url_check(w->service->conf->engine_hosts, row->url, &url, e) < 0)
		return err_set(e, P_INVALID, "the %s's engine %.*s has a host that is no longer among engine_hosts",
		               model_words[m], STR_ARG(id));
	w->plan.wanted[m] = true;
	return 0;
}

static int make_plan(struct score_work *w, struct store *db, struct err *e)
{
	struct score_plan *plan = &w->plan;
	struct round_spec spec;

	if (store_round_get(db, &w->arena, w->round, &plan->round, e) < 0 ||
	    round_spec_load(&w->arena, plan->round.spec, &spec, e) < 0)
		return -1;
	if (plan->round.state == ROUND_CLOSED)
		return err_set(e, P_CONFLICT, "the round is closed");
	if (!spec.engine[0].p && !spec.engine[1].p)
		return err_set(e, P_INVALID, "the round names no engine; workers score it by leases");
	for (int m = 0; m < 2; m++)
		if (spec.engine[m].p && look_up(w, db, m, spec.engine[m], e) < 0)
			return -1;
	if (plan->wanted[0] && plan->wanted[1] && plan->engine[0].kind != plan->engine[1].kind)
		return err_set(e, P_INVALID, "the two engines are of different kinds: their log-probabilities do not compare");
	return 0;
}

static int apply_score(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct score_work *w = (struct score_work *)work;
	struct scoring scoring;

	if (make_plan(w, db, e) < 0)
		return -1;
	w->planned = true;
	if (!scores_get(w->service->scores, w->plan.round.id, &scoring) || scoring.state != SCORING_RUNNING)
		scoring = (struct scoring){.state = SCORING_RUNNING};
	out->status = 202;
	answer_header(out, "Location", "/v1/rounds/%.*s", STR_ARG(w->plan.round.id));
	return report_round(&out->body, db, &w->arena, &w->plan.round, &scoring, e);
}

static void score_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct score_work *w = (struct score_work *)work;

	(void)out;
	(void)keep;
	if (committed && w->planned)
		scores_begin(w->service->scores, &w->plan);
	arena_release(&w->arena);
	heap_free(w);
}

void engines_score(struct service *s, struct str round, const struct origin_key *origin, struct pending *p)
{
	struct score_work *w = heap_zalloc(1, sizeof *w);

	w->service = s;
	w->round = arena_str(&w->arena, round);
	w->work.pending = p;
	w->work.apply = apply_score;
	w->work.settled = score_settled;
	work_origin(&w->work, &w->arena, origin);
	writer_submit(s, &w->work);
}
