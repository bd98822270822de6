#include "report.h"

#include <stdarg.h>
#include <stdio.h>

#include "align/goal.h"
#include "print.h"
#include "template.h"

enum { NAMED_BYTES = 100 }; /* attributes are named until so many bytes are there */
enum { FAILED_SHARE = 20 }; /* a warning when more than one score in so many failed */

static const char *const state_words[] = {"building", "ready", "failed", "revoked", "deleted"};

/* --- warnings --------------------------------------------------------------------------- */

static const struct weighted *unscaled(const struct recipe *r)
{
	for (size_t i = 0; i < r->attributes; i++)
		if (!r->attribute[i].rescale && r->attribute[i].weight != 0)
			return &r->attribute[i];
	return NULL;
}

static void warn(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(struct buf *b, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	json_put_comma(b);
	json_put_string(b, str_of(text));
}

static void warn_scale(struct buf *b, const struct findings *f, const struct recipe *r)
{
	const struct weighted *w = unscaled(r);
	char greatest[GOAL_TEXT_BYTES];

	if (!f->has_goals || w == NULL || f->greatest > (r->goal_min + r->goal_max) / 2)
		return;
	goal_print(f->greatest, GOAL_DECIMALS, greatest);
	warn(b, "The greatest goal is %.40s on a scale from %g to %g, and %.*s has no declared range: "
	        "if its scores have another scale, declare it on the dataset and make the snapshot anew.",
	     greatest, r->goal_min, r->goal_max, STR_ARG(w->name));
}

static bool any(const uint64_t *n, int count)
{
	for (int i = 0; i < count; i++)
		if (n[i] > 0)
			return true;
	return false;
}

static void warn_empty(struct buf *b, const struct build_result *x)
{
	if (x->found.pairs > 0)
		return;
	if (any(x->counts.skipped, SKIP_COUNT) || any(x->counts.dropped, DROP_COUNT))
		warn(b, "No prompt has a pair: `skipped` and `dropped` say why.");
	else
		warn(b, "No prompt lies in the recipe's split, sources and holdout.");
}

/* More responses without a reward than with a part in a pair: one attribute
 * too many, or data that has votes and no scores. */
static void warn_unscored(struct buf *b, const struct build_result *x, const struct recipe *r)
{
	uint64_t lacking = x->counts.dropped[DROP_MISSING_ATTRIBUTE];
	struct buf names = BUF_INIT;

	if (lacking <= x->found.answers || r->has_terms)
		return;
	for (size_t i = 0; i < r->attributes && names.n < NAMED_BYTES; i++)
		buf_printf(&names, "%s%.*s", i ? ", " : "", STR_ARG(r->attribute[i].name));
	warn(b, "%llu responses lack a good score of one of the attributes that the reward takes (%.*s): "
	        "name others in the recipe, or pair by votes with the strategy comparisons.",
	     (unsigned long long)lacking, STR_ARG(buf_view(&names)));
	buf_release(&names);
}

static void warnings(struct buf *b, const struct build_result *x, const struct recipe *r)
{
	const struct findings *f = &x->found;
	typedef unsigned long long ull;

	json_put_key(b, "warnings");
	buf_byte(b, '[');
	warn_empty(b, x);
	warn_unscored(b, x, r);
	if (r->augment != AUGMENT_NONE)
		warn_scale(b, f, r);
	if (r->augment != AUGMENT_NONE && f->plain > 0)
		warn(b, "%llu of %llu pairs have no goals: they stay plain, under `both` in both their places.", (ull)f->plain, (ull)f->pairs);
	if (x->counts.failed * FAILED_SHARE > x->counts.scores)
		warn(b, "%llu of %llu scores failed; they count for nothing.", (ull)x->counts.failed,
		     (ull)x->counts.scores);
	if (r->reference.p && f->no_reference > 0)
		warn(b, "%llu of %llu answers have no log-probability of %.*s.", (ull)f->no_reference, (ull)f->answers,
		     STR_ARG(r->reference));
	buf_byte(b, ']');
}

/* --- results ------------------------------------------------------------------------------ */

static void tally(struct buf *b, const char *key, const char *const *words, const uint64_t *n, int words_n)
{
	json_put_key(b, key);
	buf_byte(b, '{');
	for (int i = 0; i < words_n; i++)
		if (n[i] > 0)
			print_count_member(b, words[i], (int64_t)n[i]);
	buf_byte(b, '}');
}

void report_result(struct buf *b, const struct build_result *x, const struct recipe *r)
{
	uint64_t examples = r->augment == AUGMENT_BOTH ? 2 * x->found.pairs : x->found.pairs;

	buf_byte(b, '{');
	tally(b, "dropped", drop_words, x->counts.dropped, DROP_COUNT);
	print_count_member(b, "examples", (int64_t)examples);
	if (x->found.flags & SNAP_NOT_TEXT)
		print_member(b, "not_text", x->found.not_text);
	if (x->found.flags & SNAP_NOT_TURNS)
		print_member(b, "not_turns", x->found.not_turns);
	if (x->found.flags & SNAP_OUTSIDE_SCALE)
		print_member(b, "outside", str_of(x->found.outside.detail));
	print_count_member(b, "pairs", (int64_t)x->found.pairs);
	print_count_member(b, "prompts", (int64_t)x->prompts);
	if (x->replay.there) {
		json_put_key(b, "replay");
		buf_byte(b, '{');
		print_count_member(b, "wanted", (int64_t)x->replay.wanted);
		print_count_member(b, "taken", (int64_t)x->replay.taken);
		print_count_member(b, "generated", (int64_t)x->replay.generated);
		buf_byte(b, '}');
	}
	tally(b, "skipped", skip_words, x->counts.skipped, SKIP_COUNT);
	warnings(b, x, r);
	buf_byte(b, '}');
}

int report_verdict(const struct findings *f, const struct recipe *r, struct err *e)
{
	if (f->flags & SNAP_OUTSIDE_SCALE && r->augment != AUGMENT_NONE) {
		*e = f->outside;
		return -1;
	}
	if (f->flags & SNAP_NOT_TEXT && r->format == VIEW_TRL_TEXT)
		return err_at(e, P_VIEW, "/recipe/view/format",
		              "trl_text takes a system message and one user message; prompt %.*s has another conversation",
		              STR_ARG(f->not_text));
	return 0;
}

/* --- problems ------------------------------------------------------------------------------ */

void report_problem(struct buf *b, const struct err *e)
{
	buf_byte(b, '{');
	json_put_key(b, "type");
	buf_printf(b, "\"/problems/%s\"", problem_slug(e->problem));
	print_member(b, "title", str_of(problem_title(e->problem)));
	print_count_member(b, "status", problem_status(e->problem));
	print_member(b, "detail", str_of(e->detail));
	if (e->pointer[0])
		print_member(b, "pointer", str_of(e->pointer));
	buf_byte(b, '}');
}

static struct str text_member(const struct json *object, const char *key)
{
	const struct json *v = json_get(object, key);

	return v && json_type(v) == JSON_STRING ? json_string(v) : STR("");
}

/* Always -1, with the problem that was stored. */
int problem_read(struct str problem, struct err *e)
{
	static const char front[] = "/problems/";
	struct arena a = {0};
	const struct json *v = problem.p ? json_parse(&a, problem, JSON_DEPTH_MAX, e) : NULL;
	struct str type = v ? text_member(v, "type") : STR("");
	enum problem p = P_NONE;

	if (type.n > strlen(front))
		p = problem_by_slug((struct str){type.p + strlen(front), type.n - strlen(front)});
	if (p == P_NONE)
		err_set(e, P_INTERNAL, "the snapshot failed, and why was not kept");
	else
		err_set(e, p, "%.*s", STR_ARG(text_member(v, "detail")));
	arena_release(&a);
	return -1;
}

/* --- the whole ------------------------------------------------------------------------------- */

/* A member of the stored result as it is, or what stands for none. */
static void copy_member(struct buf *b, const struct snapshot_row *row, const char *key, const char *none)
{
	struct str value = row->result.p ? json_raw_member(row->result, key) : STR_NONE;

	json_put_key(b, key);
	if (value.p)
		buf_str(b, value);
	else
		buf_z(b, none);
}

/* Who made the pairs: one entry for each of their origins. */
static void put_lineage(struct buf *b, const struct recipe *r)
{
	json_put_key(b, "lineage");
	buf_byte(b, '[');
	if (r->has_terms) {
		buf_byte(b, '{');
		print_member(b, "origin", origin_name(r->terms.sampled ? ORIGIN_ON_POLICY : ORIGIN_RESCORED));
		print_member(b, "round", r->made_from.round);
		print_count_member(b, "rescoring", r->made_from.rescoring);
		print_member(b, "policy", r->terms.policy);
		print_member(b, "reference", r->terms.reference);
		buf_byte(b, '}');
	}
	if (r->has_replay) {
		buf_lit(b, ",{");
		print_member(b, "origin", origin_name(ORIGIN_REPLAY));
		print_member(b, "snapshot", r->made_from.snapshot);
		print_member(b, "revision", r->replay.revision);
		buf_byte(b, '}');
	}
	buf_byte(b, ']');
}

/* What follows from the recipe. */
static int put_derived(struct buf *b, struct str recipe, struct err *e)
{
	struct buf text = BUF_INIT;
	struct arena a = {0};
	struct recipe r;
	int rc = recipe_load(&a, recipe, &r, e);

	if (rc == 0) {
		template_inference(&text, &r);
		print_member(b, "inference_prompt", buf_view(&text));
		put_lineage(b, &r);
	}
	buf_release(&text);
	arena_release(&a);
	return rc;
}

int report_snapshot(struct buf *b, const struct snapshot_row *row, double progress, struct err *e)
{
	bool ready = row->state == SNAPSHOT_READY || row->state == SNAPSHOT_REVOKED;

	buf_byte(b, '{');
	print_member(b, "id", row->id);
	print_member(b, "name", row->name);
	print_member(b, "dataset", row->dataset);
	print_member(b, "state", str_of(state_words[row->state]));
	if (row->problem.p) {
		json_put_key(b, "problem");
		buf_str(b, row->problem);
	}
	print_number_member(b, "progress", ready ? 1 : progress);
	print_member(b, "revision", row->revision);
	json_put_key(b, "recipe");
	buf_str(b, row->recipe);
	copy_member(b, row, "prompts", "null");
	copy_member(b, row, "pairs", "null");
	copy_member(b, row, "examples", "null");
	copy_member(b, row, "skipped", "{}");
	copy_member(b, row, "dropped", "{}");
	copy_member(b, row, "warnings", "[]");
	if (row->result.p && json_raw_member(row->result, "replay").p)
		copy_member(b, row, "replay", "null");
	if (put_derived(b, row->recipe, e) < 0)
		return -1;
	if (ready)
		print_count_member(b, "bytes", row->bytes);
	else
		print_member(b, "bytes", STR_NONE);
	print_time_member(b, "created_at", row->created_at);
	buf_byte(b, '}');
	return 0;
}
