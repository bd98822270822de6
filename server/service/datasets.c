/* datasets.c - datasets and prompts as things that come and go. */
#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "fields.h"
#include "inside.h"
#include "print.h"
#include "store/record.h"

#define RANGE_WIDTH_MAX 1e150 /* two of them multiplied are finite */
enum { ATTRIBUTES_MAX = 256 };  /* declared at once; each score looks through them */
enum { DELETE_ROWS = 2000 }; /* rows a slice; of a dataset also a commit, so that no reader waits long for a checkpoint */

/* --- PUT ------------------------------------------------------------------------------ */

struct put_work {
	struct work work;
	struct service *service;
	struct arena arena;
	struct dataset_change change;
};

struct range {
	double min, max;
};

static const struct field range_fields[] = {
	{"min", read_number, offsetof(struct range, min), true},
	{"max", read_number, offsetof(struct range, max), true},
};

static int read_range(struct reading *r, const struct json *v, struct range *out, struct err *e)
{
	if (fields_read(r, v, range_fields, FIELD_COUNT(range_fields), out, e) < 0)
		return -1;
	if (out->min >= out->max)
		return err_at(e, P_INVALID, "/max", "must be above min");
	/* Mapping onto a scale divides by the difference. */
	if (out->max - out->min > RANGE_WIDTH_MAX)
		return err_at(e, P_INVALID, "/max", "must be at most %g above min", RANGE_WIDTH_MAX);
	return 0;
}

static int read_attributes(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct dataset_change *c = to;
	struct attribute *a;
	uint32_t n = 0;

	if (want_type(v, JSON_OBJECT, e) < 0)
		return -1;
	if (json_size(v) > ATTRIBUTES_MAX)
		return err_set(e, P_INVALID, "more than %d attributes", ATTRIBUTES_MAX);
	a = ARENA_ARRAY(r->arena, struct attribute, json_size(v));
	for (const struct json *m = json_first(v); m; m = json_next(m), n++) {
		struct range range;

		a[n].name = json_key(m);
		if (!name_valid(a[n].name))
			return err_set(e, P_INVALID, "an attribute is 1 to 256 bytes without control characters");
		if (read_range(r, m, &range, e) < 0)
			return err_under(e, "/%.*s", STR_ARG(a[n].name));
		a[n].min = range.min;
		a[n].max = range.max;
	}
	c->attribute = a;
	c->attributes = n;
	return 0;
}

static int read_goal_scale(struct reading *r, const struct json *v, void *to, struct err *e)
{
	struct dataset_change *c = to;
	struct range range;

	if (read_range(r, v, &range, e) < 0)
		return -1;
	c->has_goal_scale = true;
	c->goal_min = range.min;
	c->goal_max = range.max;
	return 0;
}

static const struct field change_fields[] = {
	{"description", read_text, offsetof(struct dataset_change, description), false},
	{"attributes", read_attributes, 0, false},
	{"goal_scale", read_goal_scale, 0, false},
};

static int read_change(struct put_work *w, struct str body, struct err *e)
{
	struct reading r = {&w->arena, arena_str(&w->arena, body), NULL};
	const struct json *v;

	if (body.n == 0)
		return 0;
	v = json_parse(&w->arena, r.text, JSON_DEPTH_MAX, e);
	if (v == NULL)
		return -1;
	e->pointer[0] = '\0';
	return fields_read(&r, v, change_fields, FIELD_COUNT(change_fields), &w->change, e);
}

static int apply_put(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	struct put_work *w = (struct put_work *)work;
	struct dataset d;
	bool created;

	if (store_dataset_put(db, &w->change, clock_now_us(), &created, e) < 0)
		return -1;
	if (store_dataset_get(db, &w->arena, w->change.name, &d, e) < 0)
		return -1;
	out->status = created ? 201 : 200;
	if (created)
		answer_header(out, "Location", "/v1/datasets/%.*s", STR_ARG(d.name));
	print_dataset(&out->body, &d);
	return 0;
}

static void put_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct put_work *w = (struct put_work *)work;

	(void)committed;
	(void)out;
	(void)keep;
	known_changed(w->service);
	arena_release(&w->arena);
	heap_free(w);
}

void datasets_put(struct service *s, struct str name, struct str body, struct pending *p)
{
	struct put_work *w = heap_zalloc(1, sizeof *w);
	struct err e = {0};

	w->service = s;
	w->change.name = arena_str(&w->arena, name);
	w->work.pending = p;
	w->work.apply = apply_put;
	w->work.settled = put_settled;
	if (read_change(w, body, &e) == 0) {
		writer_submit(s, &w->work);
		return;
	}
	pending_fail(p, &e);
	put_settled(&w->work, false, NULL, NULL);
}

/* --- DELETE --------------------------------------------------------------------------------- */

/* A prompt goes in one transaction: it is bounded (RESPONSES_PER_PROMPT_MAX),
 * and half of one must never be seen, whatever happens in between. A dataset is
 * marked as going in the request's own slice and is unknown from then on; the
 * slices after it are the service's own work and hand the request on, until the
 * last finishes it. After a crash housekeeping goes on with what is marked. */
struct delete_work {
	struct work work;
	struct service *service;
	struct arena arena;
	struct str dataset, prompt; /* prompt STR_NONE: the whole dataset */
	struct pending *owner;      /* taken; finished after the last slice */
	bool first, more;
};

static int delete_prompt(struct delete_work *w, struct store *db, struct err *e)
{
	int more;

	if (snapshots_revoke_prompt(w->service, db, w->dataset, w->prompt, e) < 0)
		return -1;
	do
		more = store_prompt_delete(db, w->dataset, w->prompt, DELETE_ROWS, e);
	while (more > 0);
	return more;
}

static int delete_slice(struct delete_work *w, struct store *db, struct err *e)
{
	int more;

	if (w->prompt.p)
		return delete_prompt(w, db, e);
	if (w->first && store_dataset_delete(db, w->dataset, e) < 0)
		return -1;
	more = store_dataset_sweep(db, DELETE_ROWS, e);
	w->more = more > 0;
	return more < 0 ? -1 : 0;
}

static int apply_delete(struct work *work, struct store *db, struct answer *out, struct err *e)
{
	out->status = 204;
	return delete_slice((struct delete_work *)work, db, e);
}

static void delete_free(struct delete_work *w)
{
	if (w->owner)
		pending_unref(w->owner);
	arena_release(&w->arena);
	heap_free(w);
}

static void delete_settled(struct work *work, bool committed, const struct answer *out, bool *keep)
{
	struct delete_work *w = (struct delete_work *)work;

	known_changed(w->service);
	if (committed && w->first)
		snapshots_after_deletion(w->service, w->dataset);
	if (committed && w->more) {
		if (w->work.pending) {
			w->owner = w->work.pending;
			pending_ref(w->owner);
			w->work.pending = NULL;
			*keep = true;
		}
		w->first = false;
		writer_submit(w->service, &w->work);
		return;
	}
	if (w->owner) {
		if (!committed)
			answer_problem(&w->owner->answer, &out->err);
		pending_finish(w->owner);
	}
	delete_free(w);
}

static void delete_start(struct service *s, struct str dataset, struct str prompt, struct pending *p)
{
	struct delete_work *w = heap_zalloc(1, sizeof *w);

	w->service = s;
	w->first = true;
	w->dataset = arena_str(&w->arena, dataset);
	w->prompt = arena_str(&w->arena, prompt);
	w->work.pending = p;
	w->work.apply = apply_delete;
	w->work.settled = delete_settled;
	writer_submit(s, &w->work);
}

void datasets_delete(struct service *s, struct str name, struct str confirm, struct pending *p)
{
	struct err e = {0};

	if (confirm.p && str_eq(name, confirm)) {
		delete_start(s, name, STR_NONE, p);
		return;
	}
	err_at(&e, P_INVALID, "?confirm", "deleting a dataset needs ?confirm=%.*s", STR_ARG(name));
	pending_fail(p, &e);
}

void prompts_delete(struct service *s, struct str dataset, struct str prompt, struct pending *p)
{
	delete_start(s, dataset, prompt, p);
}
