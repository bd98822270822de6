#include "open.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/metric.h"
#include "inside.h"
#include "jobs.h"
#include "report.h"

enum { BUCKETS = 1024 };

struct shelf {
	pthread_mutex_t mutex;
	struct opened *bucket[BUCKETS];
	struct opened *newest, *oldest;
	size_t n, max;
	uint64_t forgotten; /* how often something was forgotten: what was read before may be stale */
};

struct shelf *shelf_new(size_t max)
{
	struct shelf *sh = heap_zalloc(1, sizeof *sh);

	pthread_mutex_init(&sh->mutex, NULL);
	sh->max = max;
	return sh;
}

/* --- one opened snapshot ---------------------------------------------------------------- */

void shelf_put(struct opened *o)
{
	if (o == NULL || atomic_fetch_sub(&o->refs, 1) > 1)
		return;
	snap_close(o->snap);
	arena_release(&o->arena);
	heap_free(o);
}

static struct str copy_text(struct opened *o, const struct json *result, const char *key)
{
	const struct json *v = json_get(result, key);

	return v && json_type(v) == JSON_STRING ? arena_str(&o->arena, json_string(v)) : STR_NONE;
}

static int read_limits(struct opened *o, struct err *e)
{
	const struct json *v = json_parse(&o->arena, o->row.result, JSON_DEPTH_MAX, e);

	if (v == NULL)
		return err_set(e, P_INTERNAL, "the stored result of a snapshot cannot be read");
	o->not_text = copy_text(o, v, "not_text");
	o->not_turns = copy_text(o, v, "not_turns");
	o->outside = copy_text(o, v, "outside");
	return 0;
}

static void copy_row(struct opened *o, const struct snapshot_row *row)
{
	o->row = *row;
	o->row.id = arena_str(&o->arena, row->id);
	o->row.name = arena_str(&o->arena, row->name);
	o->row.dataset = arena_str(&o->arena, row->dataset);
	o->row.posted = arena_str(&o->arena, row->posted);
	o->row.recipe = arena_str(&o->arena, row->recipe);
	o->row.revision = arena_str(&o->arena, row->revision);
	o->row.result = arena_str(&o->arena, row->result);
}

/* One reference, the caller's. */
static int open_row(struct service *s, const struct snapshot_row *row, struct opened **out, struct err *e)
{
	struct opened *o = heap_zalloc(1, sizeof *o);

	atomic_init(&o->refs, 1);
	copy_row(o, row);
	o->hash = xxh3(o->row.id.p, o->row.id.n);
	if (read_limits(o, e) < 0 || recipe_load(&o->arena, o->row.recipe, &o->recipe, e) < 0 ||
	    snap_open(&o->snap, s->snap_dir, o->row.revision, e) < 0) {
		shelf_put(o);
		return -1;
	}
	*out = o;
	return 0;
}

/* --- the shelf; its lock is held ---------------------------------------------------------- */

static struct opened *find(struct shelf *sh, struct str id, uint64_t hash)
{
	struct opened *o = sh->bucket[hash % BUCKETS];

	while (o && !(o->hash == hash && str_eq(o->row.id, id)))
		o = o->next;
	return o;
}

static void unlink_use(struct shelf *sh, struct opened *o)
{
	*(o->newer ? &o->newer->older : &sh->newest) = o->older;
	*(o->older ? &o->older->newer : &sh->oldest) = o->newer;
	o->newer = o->older = NULL;
}

static void link_newest(struct shelf *sh, struct opened *o)
{
	o->older = sh->newest;
	if (sh->newest)
		sh->newest->newer = o;
	else
		sh->oldest = o;
	sh->newest = o;
}

/* Gives up the shelf's reference. */
static void take_out(struct shelf *sh, struct opened *o)
{
	struct opened **at = &sh->bucket[o->hash % BUCKETS];

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	unlink_use(sh, o);
	sh->n--;
	shelf_put(o);
}

static void put_in(struct shelf *sh, struct opened *o)
{
	struct opened **bucket = &sh->bucket[o->hash % BUCKETS];

	o->next = *bucket;
	*bucket = o;
	link_newest(sh, o);
	atomic_fetch_add(&o->refs, 1);
	sh->n++;
	while (sh->n > sh->max)
		take_out(sh, sh->oldest);
}

/* --- lending ------------------------------------------------------------------------------- */

static struct opened *borrow(struct shelf *sh, struct str id, uint64_t *forgotten)
{
	struct opened *o;

	pthread_mutex_lock(&sh->mutex);
	*forgotten = sh->forgotten;
	o = find(sh, id, xxh3(id.p, id.n));
	if (o) {
		unlink_use(sh, o);
		link_newest(sh, o);
		atomic_fetch_add(&o->refs, 1);
	}
	pthread_mutex_unlock(&sh->mutex);
	return o;
}

/* Another thread may have been faster; what was read before something was
 * forgotten serves this once and is not kept. */
static struct opened *keep(struct shelf *sh, struct opened *o, uint64_t forgotten)
{
	struct opened *there;

	pthread_mutex_lock(&sh->mutex);
	there = find(sh, o->row.id, o->hash);
	if (there)
		atomic_fetch_add(&there->refs, 1);
	else if (sh->forgotten == forgotten)
		put_in(sh, o);
	pthread_mutex_unlock(&sh->mutex);
	if (there)
		shelf_put(o);
	return there ? there : o;
}

static int check_state(const struct snapshot_row *row, struct err *e)
{
	switch (row->state) {
	case SNAPSHOT_READY:
		return 0;
	case SNAPSHOT_BUILDING:
		return err_set(e, P_BUILDING, "snapshot %.*s is still being built", STR_ARG(row->id));
	case SNAPSHOT_DELETED:
		return err_set(e, P_GONE, "snapshot %.*s was deleted", STR_ARG(row->id));
	case SNAPSHOT_REVOKED:
		if (row->problem.p == NULL)
			return err_set(e, P_GONE, "snapshot %.*s was revoked", STR_ARG(row->id));
		return problem_read(row->problem, e);
	case SNAPSHOT_FAILED:
		break;
	}
	return problem_read(row->problem, e);
}

static int rebuilding(struct err *e)
{
	return err_set(e, P_DAMAGED, "the snapshot's file was damaged or lost and is being made anew");
}

static int open_ready(struct service *s, const struct snapshot_row *row, struct opened **out, struct err *e)
{
	if (check_state(row, e) < 0)
		return -1;
	if (jobs_rebuilding(s->snapshots, row->revision))
		return rebuilding(e);
	if (open_row(s, row, out, e) == 0)
		return 0;
	if (e->problem != P_UNKNOWN_SNAPSHOT && e->problem != P_DAMAGED)
		return -1;
	jobs_rebuild(s->snapshots, row, e->detail);
	return rebuilding(e);
}

static int open_id(struct service *s, struct str id, struct opened **out, struct err *e)
{
	struct snapshot_row row;
	struct arena a = {0};
	struct store *db;
	int rc;

	if (reader_get(s, &db, e) < 0)
		return -1;
	rc = store_snapshot_get(db, &a, id, &row, e);
	reader_put(s, db);
	if (rc == 0)
		rc = open_ready(s, &row, out, e);
	arena_release(&a);
	return rc;
}

int shelf_get(struct service *s, struct str id, struct opened **out, struct err *e)
{
	struct shelf *sh = s->snapshots->shelf;
	uint64_t forgotten;

	*out = borrow(sh, id, &forgotten);
	if (*out)
		return 0;
	if (open_id(s, id, out, e) < 0)
		return -1;
	*out = keep(sh, *out, forgotten);
	return 0;
}

/* --- forgetting ----------------------------------------------------------------------------- */

void shelf_forget(struct shelf *sh, struct str id)
{
	struct opened *o;

	pthread_mutex_lock(&sh->mutex);
	sh->forgotten++;
	o = find(sh, id, xxh3(id.p, id.n));
	if (o)
		take_out(sh, o);
	pthread_mutex_unlock(&sh->mutex);
}

static void forget_revision(struct shelf *sh, struct str revision)
{
	struct opened *o, *older;

	pthread_mutex_lock(&sh->mutex);
	sh->forgotten++;
	for (o = sh->newest; o; o = older) {
		older = o->older;
		if (!str_eq(o->row.revision, revision))
			continue;
		atomic_store(&o->reported, true);
		take_out(sh, o);
	}
	pthread_mutex_unlock(&sh->mutex);
}

void shelf_damaged(struct service *s, struct opened *o)
{
	/* A late reader of what another one reported: its file may be anew already. */
	if (atomic_exchange(&o->reported, true))
		return;
	/* First the job, so that nobody opens the same file once more. */
	jobs_rebuild(s->snapshots, &o->row, "it was cut short, or a block of it does not have its sum");
	forget_revision(s->snapshots->shelf, o->row.revision);
}

/* All ids on the shelf. */
static struct str *list_ids(struct shelf *sh, struct arena *a, size_t *n)
{
	struct str *id;

	pthread_mutex_lock(&sh->mutex);
	sh->forgotten++; /* what is being opened now may be of a row that changed */
	id = ARENA_ARRAY(a, struct str, sh->n);
	*n = 0;
	for (struct opened *o = sh->newest; o; o = o->older)
		id[(*n)++] = arena_str(a, o->row.id);
	pthread_mutex_unlock(&sh->mutex);
	return id;
}

int shelf_recheck(struct service *s, struct store *db, struct err *e)
{
	struct arena a = {0};
	size_t n;
	struct str *id = list_ids(s->snapshots->shelf, &a, &n);
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		struct snapshot_row row;

		rc = store_snapshot_get(db, &a, id[i], &row, e);
		if (rc < 0 || row.state != SNAPSHOT_READY)
			shelf_forget(s->snapshots->shelf, id[i]);
	}
	arena_release(&a);
	return rc;
}

void shelf_free(struct shelf *sh)
{
	if (sh == NULL)
		return;
	while (sh->newest)
		take_out(sh, sh->newest);
	pthread_mutex_destroy(&sh->mutex);
	heap_free(sh);
}
