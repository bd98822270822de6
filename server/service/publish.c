/* publish.c - POST …/publish: a rescoring's pairs, and its replay, as a snapshot.
 *
 * It is a snapshot like any other: the recipe says everything that decides its
 * bytes, and the job of snapshots builds it, also anew. */
#include "service/rounds.h"

#include <stdio.h>

#include "making.h"
#include "print.h"
#include "rescored.h"

struct publishing {
	struct making making;
	struct str round;
	int64_t rescoring; /* 0: the latest */
	bool has_replay, replay_named;
	struct replay_spec replay;
	struct str view; /* canonical */
};

/* --- the document ---------------------------------------------------------------------- */

#define AT(member) offsetof(struct publishing, member)

static int read_number_of(struct reading *r, const struct json *v, void *to, struct err *e)
{
	if (read_count(r, v, to, e) < 0)
		return -1;
	return *(int64_t *)to >= 1 ? 0 : err_set(e, P_INVALID, "rescorings are numbered from 1");
}

/* null: none, though the round has one. */
static int read_own_replay(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct publishing *x = to;

	x->replay_named = true;
	x->has_replay = json_type(v) != JSON_NULL;
	return x->has_replay ? read_replay(r, v, json_raw_member(r->text, "replay"), &x->replay, e) : 0;
}

static int read_view(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct publishing *x = to;
	struct buf b = BUF_INIT;
	bool goal = false;

	if (recipe_read_view(r, v, &x->making.recipe, &goal, e) < 0)
		return -1;
	if (goal && x->making.recipe.goal != GOAL_QUANTILE)
		return err_at(e, P_INVALID, "/goal", "the rewards of a round have no scale: their goals are quantiles");
	json_put_canonical(&b, v);
	x->view = arena_str(r->arena, buf_view(&b));
	buf_release(&b);
	return 0;
}

static const struct field fields[] = {
	{"name", read_id, AT(making.name), false},
	{"rescoring", read_number_of, AT(rescoring), false},
	{"replay", read_own_replay, 0, false},
	{"view", read_view, 0, false},
};

static int read_document(struct publishing *x, struct str body, struct err *e)
{
	struct arena *a = &x->making.arena;
	struct reading r = {a, arena_str(a, body), NULL};
	const struct json *v;

	recipe_defaults(&x->making.recipe);
	x->making.recipe.augment = AUGMENT_NONE;
	x->view = STR("{}");
	if (body.n == 0)
		return 0;
	v = json_parse(a, r.text, JSON_DEPTH_MAX, e);
	if (v == NULL)
		return -1;
	e->pointer[0] = '\0';
	return fields_read(&r, v, fields, FIELD_COUNT(fields), x, e);
}

/* gamma as a decimal in its shortest form: den divides 10^GAMMA_DECIMALS_MAX. */
static struct str decimal(struct arena *a, struct gamma g)
{
	uint64_t unit = 1;
	struct str s;

	if (g.num == g.den || g.num == 0)
		return g.num == 0 ? STR("0") : STR("1");
	for (int i = 0; i < GAMMA_DECIMALS_MAX; i++)
		unit *= 10;
	s = arena_printf(a, "0.%0*llu", GAMMA_DECIMALS_MAX, (unsigned long long)(unit / g.den * g.num));
	while (s.p[s.n - 1] == '0')
		s.n--;
	return s;
}

/* What was asked for, gamma exactly. */
static struct str print_posted(struct publishing *x)
{
	struct arena *a = &x->making.arena;
	struct buf b = BUF_INIT;
	struct str s;

	buf_lit(&b, "{\"publish\":{");
	if (x->has_replay) {
		json_put_key(&b, "replay");
		buf_byte(&b, '{');
		print_member(&b, "gamma", decimal(a, x->replay.gamma));
		print_count_member(&b, "seed", (int64_t)x->replay.seed);
		print_member(&b, "snapshot", x->replay.snapshot);
		print_count_member(&b, "total", x->replay.total);
		buf_byte(&b, '}');
	}
	print_count_member(&b, "rescoring", x->rescoring);
	print_member(&b, "round", x->round);
	json_put_key(&b, "view");
	buf_str(&b, x->view);
	buf_lit(&b, "}}");
	s = arena_str(a, buf_view(&b));
	buf_release(&b);
	return s;
}

/* --- closed: on the writer's thread ------------------------------------------------------ */

/* The same words wherever it is: ids of other datasets are not told. */
static int no_replay(struct err *e, const struct dataset *d, struct str id)
{
	return err_at(e, P_UNKNOWN_ID, "/replay/snapshot", "%.*s has no snapshot %.*s", STR_ARG(d->name), STR_ARG(id));
}

static int find_replay(struct publishing *x, struct store *db, const struct dataset *d, struct snapshot_row *row,
                       struct err *e)
{
	static const char at[] = "/replay/snapshot";
	struct str id = x->replay.snapshot;

	if (store_snapshot_get(db, &x->making.arena, id, row, e) < 0)
		return e->problem != P_UNKNOWN_SNAPSHOT
		               ? -1
		               : no_replay(e, d, id);
	if (row->dataset_key != d->key)
		return no_replay(e, d, id);
	switch (row->state) {
	case SNAPSHOT_READY:
		return 0;
	case SNAPSHOT_BUILDING:
		return err_at(e, P_BUSY_BUILDING, at, "snapshot %.*s is still being built", STR_ARG(id));
	case SNAPSHOT_FAILED:
		return err_at(e, P_INVALID, at, "snapshot %.*s failed and has no pairs", STR_ARG(id));
	case SNAPSHOT_REVOKED:
	case SNAPSHOT_DELETED:
		break;
	}
	return err_at(e, P_GONE, at, "snapshot %.*s was %s", STR_ARG(id),
	              row->state == SNAPSHOT_DELETED ? "deleted" : "revoked");
}

/* "prompts" of a stored result: those that have a pair. */
static uint64_t prompts_of(struct arena *a, const struct snapshot_row *row)
{
	struct err e;
	const struct json *v = row->result.p ? json_parse(a, row->result, JSON_DEPTH_MAX, &e) : NULL;
	const struct json *n = v ? json_get(v, "prompts") : NULL;

	return n && json_type(n) == JSON_NUMBER ? (uint64_t)json_number(n) : 0;
}

static int close_replay(struct publishing *x, struct store *db, const struct dataset *d, struct err *e)
{
	struct arena *a = &x->making.arena;
	struct recipe *r = &x->making.recipe;
	struct snapshot_row row;

	if (!x->has_replay)
		return 0;
	if (find_replay(x, db, d, &row, e) < 0)
		return -1;
	r->has_replay = true;
	r->made_from.snapshot = row.id;
	r->replay = (struct replay_terms){
		.revision = row.revision,
		.gamma = decimal(a, x->replay.gamma),
		.total = x->replay.total >= 0 ? (uint64_t)x->replay.total : prompts_of(a, &row),
		.seed = x->replay.seed,
	};
	return 0;
}

static int no_rescoring(const struct publishing *x, struct err *e)
{
	if (e->problem != P_UNKNOWN_RESCORING)
		return -1;
	if (x->rescoring > 0)
		return err_at(e, P_UNKNOWN_ID, "/rescoring", "the round has no rescoring %lld", (long long)x->rescoring);
	return err_at(e, P_UNKNOWN_ID, "/rescoring", "the round has no rescoring yet; POST …/rescore makes one");
}

static int close_recipe(struct making *m, struct store *db, const struct dataset *d, int64_t *seq, struct err *e)
{
	struct publishing *x = (struct publishing *)m;
	struct recipe *r = &m->recipe;
	struct rescored found;

	if (rescored_get(db, &m->arena, x->round, x->rescoring, &found, e) < 0)
		return no_rescoring(x, e);
	if (found.round.dataset_key != d->key)
		return err_set(e, P_GONE, "the round's dataset was deleted");
	r->published = r->has_terms = true;
	r->terms = found.terms;
	r->pairing.min_responses = found.min_responses;
	r->goal = GOAL_QUANTILE;
	r->goal_min = d->goal_min;
	r->goal_max = d->goal_max;
	r->made_from = (struct made_from){.round = x->round, .rescoring = found.row.number};
	*seq = found.row.seq;
	return close_replay(x, db, d, e);
}

/* --- the door -------------------------------------------------------------------------------- */

/* The round's dataset, and the replay that it names. */
static int read_round(struct service *s, struct arena *a, struct str id, struct round_row *row, struct round_spec *spec,
                      struct err *e)
{
	struct store *db;
	int rc;

	if (reader_get(s, &db, e) < 0)
		return -1;
	rc = store_round_get(db, a, id, row, e);
	reader_put(s, db);
	return rc < 0 ? -1 : round_spec_load(a, row->spec, spec, e);
}

void rounds_publish(struct service *s, struct str round, struct str body, int wait_s,
                    const struct origin_key *origin, struct pending *p)
{
	struct publishing *x = making_new(sizeof *x, s, STR_NONE, wait_s, origin, p);
	struct arena *a = &x->making.arena;
	struct round_spec spec;
	struct round_row row;
	struct err e = {0};

	x->round = arena_str(a, round);
	if (read_round(s, a, x->round, &row, &spec, &e) < 0 || read_document(x, body, &e) < 0) {
		making_refuse(&x->making, &e);
		return;
	}
	if (!x->replay_named && spec.has_replay) {
		x->has_replay = true;
		x->replay = spec.replay;
	}
	x->making.dataset = row.dataset;
	x->making.posted = print_posted(x);
	x->making.close = close_recipe;
	making_submit(&x->making);
}
