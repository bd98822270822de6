/* statistics.c - a dataset's sums, as they stand at this moment. */
#include "base/json.h"
#include "browse.h"
#include "print.h"
#include "store/stats.h"

static void print_sums(struct buf *b, const struct series *x)
{
	bool some = x->exact.count > 0;
	const struct {
		const char *key;
		double value;
	} part[] = {{"mean", exact_mean(&x->exact)}, {"std", exact_std(&x->exact)}, {"min", x->min}, {"max", x->max}};

	for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
		json_put_key(b, part[i].key);
		if (some)
			json_put_number(b, part[i].value);
		else
			buf_lit(b, "null");
	}
	print_histogram(b, x->bins, x->edge, x->in_bin);
}

static void print_series(struct buf *b, const char *key, const struct series *x)
{
	json_put_key(b, key);
	buf_byte(b, '{');
	print_count_member(b, "count", x->exact.count);
	print_sums(b, x);
	buf_byte(b, '}');
}

static void print_models(struct buf *b, const struct dataset_stats *st)
{
	json_put_key(b, "models");
	buf_byte(b, '{');
	for (uint32_t i = 0; i < st->models; i++) {
		json_put_key_str(b, st->model[i].a);
		buf_byte(b, '{');
		print_count_member(b, "responses", st->model[i].exact.count);
		print_series(b, "lengths", &st->model[i]);
		buf_byte(b, '}');
	}
	buf_byte(b, '}');
}

static void print_judges(struct buf *b, const struct dataset_stats *st)
{
	json_put_key(b, "judges");
	buf_byte(b, '{');
	for (uint32_t i = 0; i < st->scored; i++) {
		const struct series *x = &st->score[i];

		if (i == 0 || !str_eq(x->a, st->score[i - 1].a)) {
			json_put_key_str(b, x->a);
			buf_byte(b, '{');
		}
		json_put_key_str(b, x->b);
		buf_byte(b, '{');
		print_count_member(b, "count", x->exact.count);
		print_count_member(b, "failed", x->failed);
		print_count_member(b, "abstained", x->abstained);
		print_sums(b, x);
		buf_byte(b, '}');
		if (i + 1 == st->scored || !str_eq(x->a, st->score[i + 1].a))
			buf_byte(b, '}');
	}
	buf_byte(b, '}');
}

static void print_voters(struct buf *b, const struct dataset_stats *st)
{
	json_put_key(b, "voters");
	buf_byte(b, '{');
	for (uint32_t i = 0; i < st->voters; i++) {
		json_put_key_str(b, st->voter[i].a);
		buf_printf(b, "{\"comparisons\":%lld", (long long)st->voter[i].exact.count);
		print_number_member(b, "strength", exact_sum(&st->voter[i].exact));
		buf_byte(b, '}');
	}
	buf_byte(b, '}');
}

int browse_stats(struct service *s, struct str dataset, struct answer *out, struct err *e)
{
	struct browsing w;
	struct dataset_stats st;

	if (browse_begin(&w, s, dataset, out, e) < 0 || store_stats(w.db, &w.arena, &w.dataset, &st, e) < 0)
		return browse_end(&w, -1);
	buf_byte(w.b, '{');
	print_member(w.b, "dataset", w.dataset.name);
	print_count_member(w.b, "prompts", st.prompts);
	print_count_member(w.b, "responses", st.responses);
	print_count_member(w.b, "scores", st.scores);
	print_count_member(w.b, "comparisons", st.comparisons);
	print_count_member(w.b, "scored_prompts", st.scored_prompts);
	print_series(w.b, "responses_per_prompt", &st.responses_per_prompt);
	print_series(w.b, "lengths", &st.lengths);
	print_models(w.b, &st);
	print_judges(w.b, &st);
	print_voters(w.b, &st);
	buf_byte(w.b, '}');
	return browse_end(&w, 0);
}
