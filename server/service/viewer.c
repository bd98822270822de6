/* viewer.c - the shapes of the Hugging Face dataset viewer. */
#include <math.h>
#include <stdlib.h>

#include "align/goal.h"
#include "base/heap.h"
#include "inside.h"
#include "print.h"
#include "service/snapshots.h"
#include "show.h"

enum {
	ROWS_MAX = 100,
	STATISTICS_EXAMPLES = 50000, /* more are sampled evenly, and `partial` says so */
	BINS = 10,
};

/* --- rows ------------------------------------------------------------------------------------ */

static void put_feature(struct buf *b, int *index, const char *name, const char *type)
{
	json_put_comma(b);
	buf_printf(b, "{\"feature_idx\":%d,\"name\":\"%s\",\"type\":%s}", (*index)++, name, type);
}

#define VALUE(dtype) "{\"dtype\":\"" dtype "\",\"_type\":\"Value\"}"

static void put_goal_feature(struct buf *b, int *index, const struct recipe *r)
{
	json_put_comma(b);
	buf_printf(b, "{\"feature_idx\":%d,\"name\":\"goal\",\"type\":", (*index)++);
	if (r->goal == GOAL_ATTRIBUTES) {
		buf_byte(b, '{');
		for (size_t i = 0; i < r->attributes; i++) {
			json_put_key_str(b, r->attribute[i].name);
			buf_lit(b, VALUE("float64"));
		}
		buf_byte(b, '}');
	} else {
		buf_lit(b, VALUE("float64"));
	}
	buf_byte(b, '}');
}

static void put_features(struct buf *b, const struct show *x)
{
	static const char string[] = VALUE("string"), number[] = VALUE("float64");
	static const char messages[] = "[{\"role\":" VALUE("string") ",\"content\":" VALUE("string") "}]";
	const char *text = x->view.format == VIEW_TRL_TEXT ? string : messages;
	int index = 0;

	buf_lit(b, "\"features\":[");
	put_feature(b, &index, "pair", string);
	put_feature(b, &index, "twin", string);
	put_feature(b, &index, "prompt_id", string);
	put_feature(b, &index, "prompt", text);
	put_feature(b, &index, "chosen", text);
	put_feature(b, &index, "rejected", text);
	put_goal_feature(b, &index, &x->opened->recipe);
	put_feature(b, &index, "score_chosen", number);
	put_feature(b, &index, "score_rejected", number);
	put_feature(b, &index, "chosen_id", string);
	put_feature(b, &index, "rejected_id", string);
	put_feature(b, &index, "origin", string);
	if (x->view.reference) {
		put_feature(b, &index, "ref_chosen_logps", number);
		put_feature(b, &index, "ref_rejected_logps", number);
	}
	buf_byte(b, ']');
}

static int put_rows(struct show *x, struct service *s, uint64_t offset, uint32_t length, struct buf *b, struct err *e)
{
	size_t most = (size_t)s->conf->batch_bytes;

	buf_lit(b, ",\"rows\":[");
	for (uint64_t i = offset; i < x->examples && i - offset < length; i++) {
		buf_printf(b, i > offset ? ",{\"row_idx\":%llu,\"row\":" : "{\"row_idx\":%llu,\"row\":", (unsigned long long)i);
		if (show_put(x, s, &i, 1, 0, b, e) < 0)
			return -1;
		buf_lit(b, ",\"truncated_cells\":[]}");
		if (b->n > most)
			return err_at(e, P_TOO_LARGE, "?length", "these rows take more than %zu bytes; ask for fewer", most);
	}
	buf_printf(b, "],\"num_rows_total\":%llu,\"num_rows_per_page\":%d,\"partial\":false}", (unsigned long long)x->examples,
	           ROWS_MAX);
	return 0;
}

int snapshots_rows(struct service *s, struct str snapshot, const struct view_query *view,
                   uint64_t offset, uint32_t length, struct answer *out, struct err *e)
{
	struct show x;
	int rc;

	if (length > ROWS_MAX)
		return err_at(e, P_INVALID, "?length", "must be at most %d", ROWS_MAX);
	if (show_open(&x, s, snapshot, view, VIEW_TRL_TEXT + 1, e) < 0)
		return -1;
	buf_byte(&out->body, '{');
	put_features(&out->body, &x);
	rc = put_rows(&x, s, offset, length, &out->body, e);
	out->status = 200;
	if (rc < 0)
		buf_clear(&out->body);
	show_close(&x);
	return rc;
}

/* --- statistics -------------------------------------------------------------------------------- */

enum { TWIN_CHOSEN, TWIN_REJECTED, TWIN_PLAIN, TWINS };
static const char *const twin_words[TWINS] = {"chosen_goal", "rejected_goal", "plain"};

/* The columns worth telling of, gathered from n examples. */
struct columns {
	uint64_t n;
	double *chosen, *rejected; /* scores; those without one are counted in nulls */
	uint64_t chosen_n, rejected_n;
	uint64_t twin[TWINS], origin[ORIGIN_COUNT];
};

static void take_example(struct columns *c, const struct view *v, const struct snap_view *pair, bool rejected_goal)
{
	bool plain = pair->plain || v->augment == AUGMENT_NONE;
	bool swap = rejected_goal && !plain;
	double w = swap ? pair->rejected.reward : pair->chosen.reward;
	double l = swap ? pair->chosen.reward : pair->rejected.reward;

	if (!isnan(w))
		c->chosen[c->chosen_n++] = w;
	if (!isnan(l))
		c->rejected[c->rejected_n++] = l;
	c->twin[plain ? TWIN_PLAIN : swap ? TWIN_REJECTED : TWIN_CHOSEN]++;
	c->origin[pair->origin]++;
	c->n++;
}

static int gather(struct columns *c, struct show *x, struct service *s, struct err *e)
{
	uint64_t n = x->examples < STATISTICS_EXAMPLES ? x->examples : STATISTICS_EXAMPLES;

	c->chosen = heap_alloc((n + 1) * sizeof(double));
	c->rejected = heap_alloc((n + 1) * sizeof(double));
	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = (uint64_t)((unsigned __int128)i * x->examples / n);
		struct snap_view pair;
		bool rejected_goal;

		if (snap_pair_at(x->opened->snap, view_pair(&x->view, at, &rejected_goal), &pair, e) < 0) {
			shelf_damaged(s, x->opened);
			return -1;
		}
		take_example(c, &x->view, &pair, rejected_goal);
	}
	return 0;
}

/* Sums of numbers near the end of a double's range may leave it. */
static void put_finite(struct buf *b, double v)
{
	if (isfinite(v))
		json_put_number(b, v);
	else
		buf_lit(b, "null");
}

static void put_histogram(struct buf *b, const double *v, uint64_t n)
{
	uint64_t bin[BINS] = {0};
	double lo = v[0], step = (v[n - 1] - v[0]) / BINS;
	int bins = step > 0 ? BINS : 1;

	for (uint64_t i = 0; i < n; i++) {
		int at = step > 0 ? (int)((v[i] - lo) / step) : 0;

		bin[at < bins ? at : bins - 1]++;
	}
	buf_lit(b, ",\"histogram\":{\"hist\":[");
	for (int i = 0; i < bins; i++)
		buf_printf(b, i ? ",%llu" : "%llu", (unsigned long long)bin[i]);
	buf_lit(b, "],\"bin_edges\":[");
	for (int i = 0; i <= bins; i++) {
		json_put_comma(b);
		put_finite(b, i == bins ? v[n - 1] : lo + i * step);
	}
	buf_lit(b, "]}");
}

/* v: ascending. */
static void put_numbers(struct buf *b, const double *v, uint64_t n)
{
	double sum = 0, squares = 0, mean;

	for (uint64_t i = 0; i < n; i++)
		sum += v[i];
	mean = sum / (double)n;
	for (uint64_t i = 0; i < n; i++)
		squares += (v[i] - mean) * (v[i] - mean);
	print_number_member(b, "min", v[0]);
	print_number_member(b, "max", v[n - 1]);
	json_put_key(b, "mean");
	put_finite(b, mean);
	print_number_member(b, "median", n % 2 ? v[n / 2] : v[n / 2 - 1] / 2 + v[n / 2] / 2);
	json_put_key(b, "std");
	put_finite(b, sqrt(squares / (double)n));
	put_histogram(b, v, n);
}

static void put_shares(struct buf *b, uint64_t missing, uint64_t n)
{
	print_count_member(b, "nan_count", (int64_t)missing);
	print_number_member(b, "nan_proportion", n ? (double)missing / (double)n : 0);
}

static void put_float_column(struct buf *b, const char *name, double *v, uint64_t have, uint64_t n)
{
	goal_sort(v, have);
	json_put_comma(b);
	buf_printf(b, "{\"column_name\":\"%s\",\"column_type\":\"float\",\"column_statistics\":{", name);
	put_shares(b, n - have, n);
	if (have > 0)
		put_numbers(b, v, have);
	else
		buf_lit(b, ",\"min\":null,\"max\":null,\"mean\":null,\"median\":null,\"std\":null,\"histogram\":null");
	buf_lit(b, "}}");
}

static void put_label_column(struct buf *b, const char *name, const uint64_t *count, int labels,
                             struct str (*label)(int))
{
	uint64_t n = 0;
	int unique = 0;

	for (int i = 0; i < labels; i++) {
		n += count[i];
		unique += count[i] > 0;
	}
	json_put_comma(b);
	buf_printf(b, "{\"column_name\":\"%s\",\"column_type\":\"string_label\",\"column_statistics\":{", name);
	put_shares(b, 0, n);
	print_count_member(b, "no_label_count", 0);
	print_number_member(b, "no_label_proportion", 0);
	print_count_member(b, "n_unique", unique);
	json_put_key(b, "frequencies");
	buf_byte(b, '{');
	for (int i = 0; i < labels; i++)
		if (count[i] > 0) {
			json_put_key_str(b, label(i));
			buf_printf(b, "%llu", (unsigned long long)count[i]);
		}
	buf_lit(b, "}}}");
}

static struct str twin_label(int i)
{
	return str_of(twin_words[i]);
}

static struct str origin_label(int i)
{
	return origin_name((enum origin)i);
}

int snapshots_statistics(struct service *s, struct str snapshot, struct answer *out, struct err *e)
{
	static const struct view_query own;
	struct columns c = {.n = 0};
	struct buf *b = &out->body;
	struct show x;
	int rc;

	if (show_open(&x, s, snapshot, &own, VIEW_TRL_TEXT + 1, e) < 0)
		return -1;
	rc = gather(&c, &x, s, e);
	if (rc == 0) {
		buf_printf(b, "{\"num_examples\":%llu,\"statistics\":[", (unsigned long long)x.examples);
		put_label_column(b, "twin", c.twin, TWINS, twin_label);
		put_float_column(b, "score_chosen", c.chosen, c.chosen_n, c.n);
		put_float_column(b, "score_rejected", c.rejected, c.rejected_n, c.n);
		put_label_column(b, "origin", c.origin, ORIGIN_COUNT, origin_label);
		buf_printf(b, "],\"partial\":%s}", c.n < x.examples ? "true" : "false");
		out->status = 200;
	}
	heap_free(c.chosen);
	heap_free(c.rejected);
	show_close(&x);
	return rc;
}
