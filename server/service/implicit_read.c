/* implicit_read.c - a document of some hundred thousand responses, read in
 * place: a tree of it would take six times its memory. */
#include "implicit_read.h"

#include <math.h>
#include <stdlib.h>

#include "align/alpha.h"
#include "base/heap.h"
#include "base/walk.h"
#include "fields.h"
#include "service/implicit.h"

#define BETA_DEFAULT 0.1
#define COUNT_MAX 2147483647.0

enum { MIN_RESPONSES_DEFAULT = 2, GROUPS_FIRST = 64, RESPONSES_FIRST = 256 };

struct reader {
	struct walk walk;
	struct arena *arena;
	struct implicit_document *d;
};

/* As struct field (fields.h), for a walk. */
typedef int member_fn(struct reader *r, void *to, struct err *e);

struct member {
	struct str name;
	member_fn *read;
	size_t offset;
	bool required;
};

#define NAME(lit) {lit, sizeof(lit) - 1}

/* --- objects --------------------------------------------------------------------- */

static int want(struct reader *r, enum json_type type, struct err *e)
{
	static const char *const name[] = {
		[JSON_NULL] = "null",       [JSON_BOOL] = "a boolean", [JSON_NUMBER] = "a number",
		[JSON_STRING] = "a string", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object",
	};
	enum json_type found = walk_type(&r->walk);

	if (found == type)
		return 0;
	return err_set(e, P_INVALID, "must be %s, not %s", name[type], name[found]);
}

static int read_members(struct reader *r, const struct member *member, size_t n, void *into, struct err *e)
{
	uint32_t seen = 0;

	if (want(r, JSON_OBJECT, e) < 0)
		return -1;
	for (bool more = walk_into(&r->walk); more; more = walk_more(&r->walk)) {
		struct str key = walk_key(&r->walk, r->arena);
		size_t i = 0;

		while (i < n && !str_eq(member[i].name, key))
			i++;
		if (i == n) {
			err_set(e, P_UNKNOWN_KEY, "there is no such key here");
			return under_key(e, key);
		}
		if (member[i].read(r, (char *)into + member[i].offset, e) < 0)
			return under_key(e, key);
		seen |= 1u << i;
	}
	for (size_t i = 0; i < n; i++)
		if (member[i].required && !(seen >> i & 1)) {
			err_set(e, P_INVALID, "is required");
			return under_key(e, member[i].name);
		}
	return 0;
}

/* Room for one more element behind n. */
static void *grown(void *array, size_t n, size_t *cap, size_t first, size_t size)
{
	if (n < *cap)
		return array;
	*cap = *cap ? 2 * *cap : first;
	return heap_realloc(array, *cap * size);
}

/* --- values -------------------------------------------------------------------------- */

static int read_id_here(struct reader *r, void *to, struct err *e)
{
	struct str *id = to;

	if (want(r, JSON_STRING, e) < 0)
		return -1;
	*id = walk_string(&r->walk, r->arena);
	if (!id_valid(*id))
		return err_set(e, P_INVALID, "an id is 1 to 128 of A-Z a-z 0-9 . _ : - and begins with a letter or digit");
	return 0;
}

static int read_between(struct reader *r, double min, double max, double *to, struct err *e)
{
	if (want(r, JSON_NUMBER, e) < 0)
		return -1;
	*to = walk_number(&r->walk);
	if (*to < min || *to > max)
		return err_set(e, P_INVALID, "must lie between %g and %g", min, max);
	return 0;
}

static int read_logprob(struct reader *r, void *to, struct err *e)
{
	return read_between(r, -IMPLICIT_NUMBER_MAX, LOGPROB_MAX, to, e);
}

static int read_length(struct reader *r, void *to, struct err *e)
{
	return read_between(r, 0, IMPLICIT_NUMBER_MAX, to, e);
}

static int read_beta(struct reader *r, void *to, struct err *e)
{
	if (read_between(r, 0, IMPLICIT_NUMBER_MAX, to, e) < 0)
		return -1;
	return *(double *)to > 0 ? 0 : err_set(e, P_INVALID, "must be above 0");
}

static int read_alpha(struct reader *r, void *to, struct err *e)
{
	struct implicit_document *d = to;
	struct str word;

	if (walk_type(&r->walk) != JSON_STRING) {
		d->kind = ALPHA_GIVEN;
		return read_between(r, 0, ALPHA_MAX, &d->alpha, e);
	}
	word = walk_string(&r->walk, r->arena);
	d->kind = str_eq(word, STR("grid")) ? ALPHA_GRID : ALPHA_AUTO;
	if (d->kind == ALPHA_AUTO && !str_eq(word, STR("auto")))
		return err_set(e, P_UNKNOWN_KEY, "is neither auto nor grid nor a number");
	return 0;
}

static int read_min_responses(struct reader *r, void *to, struct err *e)
{
	double x;

	if (want(r, JSON_NUMBER, e) < 0)
		return -1;
	x = walk_number(&r->walk);
	if (x != floor(x) || x < 1 || x > COUNT_MAX)
		return err_set(e, P_INVALID, "must be a whole number from 1 to %.0f", COUNT_MAX);
	*(int64_t *)to = (int64_t)x;
	return 0;
}

/* --- groups --------------------------------------------------------------------------- */

static const struct member response_members[] = {
	{NAME("id"), read_id_here, offsetof(struct scored, id), true},
	{NAME("policy_logprob"), read_logprob, offsetof(struct scored, policy_logprob), true},
	{NAME("reference_logprob"), read_logprob, offsetof(struct scored, reference_logprob), true},
	{NAME("length"), read_length, offsetof(struct scored, length), true},
};

static int by_id(const void *pa, const void *pb)
{
	const struct scored *a = pa, *b = pb;
	int d = str_cmp(a->id, b->id);

	return d ? d : (a->at > b->at) - (a->at < b->at);
}

/* In byte order of ids; of those that stand twice the first is told of. */
static int sort_group(struct scored *x, size_t n, struct err *e)
{
	const struct scored *twice = NULL;

	if (n > 1)
		qsort(x, n, sizeof *x, by_id);
	for (size_t i = 1; i < n; i++)
		if (str_eq(x[i - 1].id, x[i].id) && (twice == NULL || x[i].at < twice->at))
			twice = &x[i];
	if (twice == NULL)
		return 0;
	err_at(e, P_INVALID, "/id", "the id stands twice in its group");
	return err_under(e, "/%u", twice->at);
}

static int read_responses(struct reader *r, void *to, struct err *e)
{
	struct implicit_document *d = r->d;
	size_t from = d->responses;
	uint32_t n = 0;

	(void)to;
	if (want(r, JSON_ARRAY, e) < 0)
		return -1;
	for (bool more = walk_into(&r->walk); more; more = walk_more(&r->walk), n++) {
		struct scored *x;

		if (n == JSON_MEMBERS_MAX)
			return err_set(e, P_TOO_LARGE, "a group has at most %d responses", JSON_MEMBERS_MAX);
		d->response = grown(d->response, d->responses, &d->responses_cap, RESPONSES_FIRST, sizeof *d->response);
		x = &d->response[d->responses++];
		x->at = n;
		if (read_members(r, response_members, FIELD_COUNT(response_members), x, e) < 0)
			return err_under(e, "/%u", n);
	}
	return sort_group(d->response + from, n, e);
}

static const struct member group_members[] = {
	{NAME("id"), read_id_here, 0, false}, /* into the group's id */
	{NAME("responses"), read_responses, 0, true},
};

/* first has one element more than there are groups, so both grow as it does. */
static void add_group(struct implicit_document *d)
{
	size_t cap = d->groups_cap;

	d->first = grown(d->first, d->groups + 1, &d->groups_cap, GROUPS_FIRST, sizeof *d->first);
	if (d->groups_cap > cap)
		d->id = heap_realloc(d->id, d->groups_cap * sizeof *d->id);
	d->id[d->groups] = STR_NONE;
	d->first[d->groups++] = (uint32_t)d->responses;
}

static int read_groups(struct reader *r, void *to, struct err *e)
{
	struct implicit_document *d = to;

	if (want(r, JSON_ARRAY, e) < 0)
		return -1;
	for (bool more = walk_into(&r->walk); more; more = walk_more(&r->walk)) {
		add_group(d);
		if (read_members(r, group_members, FIELD_COUNT(group_members), &d->id[d->groups - 1], e) < 0)
			return err_under(e, "/%zu", d->groups - 1);
	}
	return 0;
}

/* --- the whole ---------------------------------------------------------------------------- */

#define AT(name) offsetof(struct implicit_document, name)

static const struct member members[] = {
	{NAME("beta"), read_beta, AT(beta), false},
	{NAME("alpha"), read_alpha, 0, false},
	{NAME("min_responses"), read_min_responses, AT(min_responses), false},
	{NAME("groups"), read_groups, 0, true},
};

int implicit_read(struct str text, struct arena *a, struct implicit_document *d, struct err *e)
{
	struct reader r = {.arena = a, .d = d};

	*d = (struct implicit_document){
		.beta = BETA_DEFAULT, .kind = ALPHA_AUTO, .min_responses = MIN_RESPONSES_DEFAULT};
	if (json_scan(text, JSON_DEPTH_MAX, e) < 0)
		return -1;
	e->pointer[0] = '\0';
	walk_init(&r.walk, text);
	if (read_members(&r, members, FIELD_COUNT(members), d, e) < 0)
		return -1;
	add_group(d); /* the end of the last one */
	d->groups--;
	return 0;
}

void implicit_release(struct implicit_document *d)
{
	heap_free(d->id);
	heap_free(d->first);
	heap_free(d->response);
	*d = (struct implicit_document){0};
}
