#include "store/dataset.h"

#include <stdio.h>
#include <stdlib.h>

#include "inside.h"

static int unknown(struct str name, struct err *e)
{
	return err_set(e, P_UNKNOWN_DATASET, "there is no dataset \"%.*s\"", STR_ARG(name));
}

/* --- reading --------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return str_cmp(((const struct attribute *)a)->name, ((const struct attribute *)b)->name);
}

static int read_attributes(struct store *s, struct arena *a, struct dataset *d, struct err *e)
{
	struct buf *rows = &s->more;
	struct attribute *out;
	struct query q;
	int rc;

	buf_clear(rows);
	query_open(&q, s, SQL_ATTRIBUTE_LIST);
	bind_int(&q, d->key);
	while ((rc = query_step(&q, e)) == 1) {
		struct attribute at = {STR_NONE, column_real(&q, 1), column_real(&q, 2)};

		if (name_text(s, a, column_int(&q, 0), &at.name, e) < 0) {
			query_close(&q);
			return -1;
		}
		buf_add(rows, &at, sizeof at);
	}
	if (rc < 0)
		return -1;
	d->attributes = (uint32_t)(rows->n / sizeof *out);
	out = ARENA_ARRAY(a, struct attribute, d->attributes);
	memcpy(out, buf_view(rows).p, rows->n);
	qsort(out, d->attributes, sizeof *out, by_name);
	d->attribute = out;
	return 0;
}

/* A row of DATASET_GET or DATASET_LIST. The writer sees its group's numbers. */
static int read_dataset(struct store *s, struct arena *a, struct query *q, struct dataset *d, struct err *e)
{
	const struct state *st;

	*d = (struct dataset){
		.key = column_int(q, 0),
		.name = arena_str(a, column_text(q, 1)),
		.description = arena_str(a, column_text(q, 2)),
		.goal_min = column_real(q, 3),
		.goal_max = column_real(q, 4),
		.seq = column_int(q, 5),
		.created_at = column_int(q, 6),
	};
	st = state_by_key(s, d->key);
	if (st)
		d->seq = st->seq;
	return read_attributes(s, a, d, e);
}

static int find_dataset(struct store *s, struct arena *a, struct str name, struct dataset *out, bool *going,
                        struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_DATASET_GET);
	bind_text(&q, name);
	rc = query_step(&q, e);
	if (rc == 1) {
		*going = column_int(&q, 7) != 0;
		rc = read_dataset(s, a, &q, out, e) < 0 ? -1 : 1;
		query_close(&q);
	}
	return rc;
}

int store_dataset_get(struct store *s, struct arena *a, struct str name, struct dataset *out, struct err *e)
{
	bool begun, going = false;
	int rc;

	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	rc = find_dataset(s, a, name, out, &going, e);
	tx_read_end(s, begun);
	if (rc < 0)
		return -1;
	return rc == 0 || going ? unknown(name, e) : 0;
}

int store_dataset_list(struct store *s, struct arena *a, struct str after, uint32_t limit,
                       struct dataset **out, uint32_t *n, struct err *e)
{
	struct query q;
	bool begun;
	int rc;

	*n = 0;
	*out = ARENA_ARRAY(a, struct dataset, limit);
	if (tx_read_begin(s, &begun, e) < 0)
		return -1;
	query_open(&q, s, SQL_DATASET_LIST);
	bind_text(&q, after.p ? after : STR(""));
	bind_int(&q, limit);
	while ((rc = query_step(&q, e)) == 1)
		if ((rc = read_dataset(s, a, &q, &(*out)[(*n)++], e)) < 0)
			break;
	query_close(&q);
	tx_read_end(s, begun);
	return rc;
}

/* --- writing ---------------------------------------------------------------------- */

static int insert(struct store *s, const struct dataset_change *c, int64_t now_us, int64_t *key, struct err *e)
{
	struct query q;

	query_open(&q, s, SQL_DATASET_INSERT);
	bind_text(&q, c->name);
	bind_text(&q, c->description);
	bind_real(&q, c->has_goal_scale ? c->goal_min : 1);
	bind_real(&q, c->has_goal_scale ? c->goal_max : 10);
	bind_int(&q, now_us);
	if (query_run(&q, e) < 0)
		return -1;
	*key = sqlite3_last_insert_rowid(s->db);
	return 0;
}

static int change(struct store *s, const struct dataset_change *c, const struct dataset *d, struct err *e)
{
	struct query q;

	if (c->description.p == NULL && !c->has_goal_scale)
		return 0;
	query_open(&q, s, SQL_DATASET_CHANGE);
	bind_text(&q, c->description.p ? c->description : d->description);
	bind_real(&q, c->has_goal_scale ? c->goal_min : d->goal_min);
	bind_real(&q, c->has_goal_scale ? c->goal_max : d->goal_max);
	bind_int(&q, d->key);
	return query_run(&q, e);
}

/* What is known of an attribute's scores: whether there are any, and whether
 * one lies outside a range. */
struct usage {
	double min, max;
	bool scored, outside;
};

static void usage_value(struct usage *u, double v)
{
	u->outside = u->outside || v < u->min || v > u->max;
}

static int usage_end(struct store *s, enum sql end, int64_t series, struct usage *u, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, end);
	bind_int(&q, series);
	rc = query_step(&q, e);
	if (rc == 1) {
		usage_value(u, column_real(&q, 0));
		query_close(&q);
	}
	return rc < 0 ? -1 : 0;
}

/* What this group took away again counts as there: at worst a refusal that
 * does not repeat. */
static void usage_pending(const struct sums *sums, int64_t dataset, int64_t attribute, struct usage *u)
{
	for (size_t i = 0; i < sums->n; i++) {
		const struct sum_key *k = &sums->delta[i].key;

		if (k->dataset != dataset || k->kind != SERIES_SCORE || k->b != attribute || sums->delta[i].n <= 0)
			continue;
		u->scored = true;
		if (k->what == SUM_VALUE)
			usage_value(u, k->value);
	}
}

static int usage_of(struct store *s, int64_t dataset, int64_t attribute, struct usage *u, struct err *e)
{
	struct query q;
	int rc;

	usage_pending(&s->group, dataset, attribute, u);
	usage_pending(&s->request, dataset, attribute, u);
	query_open(&q, s, SQL_SERIES_OF_ATTRIBUTE);
	bind_int(&q, dataset);
	bind_int(&q, SERIES_SCORE);
	bind_int(&q, attribute);
	while ((rc = query_step(&q, e)) == 1) {
		u->scored = true;
		if (usage_end(s, SQL_TALLY_LEAST, column_int(&q, 0), u, e) < 0 ||
		    usage_end(s, SQL_TALLY_GREATEST, column_int(&q, 0), u, e) < 0) {
			query_close(&q);
			return -1;
		}
	}
	return rc;
}

/* RFC 6901: ~ and / in a name are escaped. */
static int range_fixed(struct str name, const char *why, struct err *e)
{
	char pointer[sizeof e->pointer] = "/attributes/";
	size_t n = strlen(pointer);

	for (size_t i = 0; i < name.n && n + 3 < sizeof pointer; i++) {
		bool escaped = name.p[i] == '~' || name.p[i] == '/';

		if (escaped)
			pointer[n++] = '~';
		pointer[n++] = !escaped ? name.p[i] : name.p[i] == '~' ? '0' : '1';
	}
	pointer[n] = '\0';
	return err_at(e, P_RANGE_FIXED, pointer, "%s", why);
}

static const struct attribute *declared(const struct dataset *d, struct str name)
{
	for (uint32_t i = 0; i < d->attributes; i++)
		if (str_eq(d->attribute[i].name, name))
			return &d->attribute[i];
	return NULL;
}

static int declare(struct store *s, const struct dataset *d, const struct attribute *at, struct err *e)
{
	const struct attribute *old = declared(d, at->name);
	struct usage u = {.min = at->min, .max = at->max};
	struct query q;
	int64_t key;

	if (old && old->min == at->min && old->max == at->max)
		return 0;
	if (name_intern(s, at->name, &key, e) < 0 || usage_of(s, d->key, key, &u, e) < 0)
		return -1;
	if (old && u.scored)
		return range_fixed(at->name, "the attribute has scores and another range", e);
	if (u.outside)
		return range_fixed(at->name, "the attribute has scores outside the new range", e);
	query_open(&q, s, SQL_ATTRIBUTE_PUT);
	bind_int(&q, d->key);
	bind_int(&q, key);
	bind_real(&q, at->min);
	bind_real(&q, at->max);
	if (query_run(&q, e) < 0)
		return -1;
	state_ranges_changed(s, d->key);
	return u.scored ? sums_rebin(s, d->key, key, at->min, at->max, e) : 0;
}

int store_dataset_put(struct store *s, const struct dataset_change *c, int64_t now_us, bool *created, struct err *e)
{
	struct dataset d = {0};
	bool going = false;
	int rc;

	if (tx_writing(s, e) < 0)
		return -1;
	arena_reset(&s->scratch);
	rc = find_dataset(s, &s->scratch, c->name, &d, &going, e);
	if (rc < 0)
		return -1;
	if (going)
		return err_set(e, P_CONFLICT, "the dataset \"%.*s\" is still being deleted", STR_ARG(c->name));
	*created = rc == 0;
	rc = *created ? insert(s, c, now_us, &d.key, e) : change(s, c, &d, e);
	for (uint32_t i = 0; rc == 0 && i < c->attributes; i++)
		rc = declare(s, &d, &c->attribute[i], e);
	return rc;
}

static int with_key(struct store *s, enum sql id, int64_t key, struct err *e)
{
	struct query q;

	query_open(&q, s, id);
	bind_int(&q, key);
	return query_run(&q, e);
}

int store_dataset_delete(struct store *s, struct str name, struct err *e)
{
	struct state *st;
	struct query q;
	char problem[256];

	if (tx_writing(s, e) < 0 || state_get(s, name, &st, e) < 0)
		return -1;
	if (with_key(s, SQL_DATASET_GO, st->key, e) < 0)
		return -1;
	if (rounds_close_dataset(s, st->key, e) < 0)
		return -1;
	st->going = true;
	snprintf(problem, sizeof problem, "{\"type\":\"/problems/%s\",\"title\":\"%s\",\"status\":%d,"
	         "\"detail\":\"the dataset was deleted\"}",
	         problem_slug(P_GONE), problem_title(P_GONE), problem_status(P_GONE));
	query_open(&q, s, SQL_DATASET_REVOKE);
	bind_text(&q, str_of(problem));
	bind_int(&q, st->key);
	return query_run(&q, e);
}

/* The first number of a query with one parameter at most. 1, 0 none, -1. */
static int first_number(struct store *s, enum sql id, int64_t dataset, int64_t *out, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, id);
	if (id == SQL_PROMPT_SUM_FROM) {
		bind_int(&q, dataset);
		bind_int(&q, 0);
	}
	rc = query_step(&q, e);
	if (rc == 1) {
		*out = column_int(&q, 0);
		query_close(&q);
	}
	return rc;
}

int store_dataset_sweep(struct store *s, uint32_t limit, struct err *e)
{
	int64_t left = limit, dataset, prompt;
	int rc;

	if (tx_writing(s, e) < 0)
		return -1;
	while ((rc = first_number(s, SQL_DATASET_GOING, 0, &dataset, e)) == 1) {
		while ((rc = first_number(s, SQL_PROMPT_SUM_FROM, dataset, &prompt, e)) == 1) {
			rc = prompt_sweep(s, dataset, prompt, &left, e);
			if (rc != 0)
				return rc;
			if (left <= 0)
				return 1;
		}
		if (rc < 0 || with_key(s, SQL_ATTRIBUTE_DELETE, dataset, e) < 0 ||
		    with_key(s, SQL_DATASET_DELETE, dataset, e) < 0)
			return -1;
		s->deleting = true; /* not with every slice: a checkpoint costs more than one */
	}
	return rc;
}
