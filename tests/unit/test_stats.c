/* Sums: figures by hand, and the same as counting everything anew. Deletion. */
#include <math.h>
#include <sqlite3.h>

#include "store_kit.h"

static const char messages[] = "[{\"role\":\"user\",\"content\":\"q\"}]";

static struct dataset_stats stats(struct kit *k)
{
	struct dataset d = kit_get(k);
	struct dataset_stats st;

	kit_ok(k, store_stats(k->r, &k->a, &d, &st, &k->e));
	return st;
}

static int64_t bin_at(const struct series *s, double low)
{
	for (uint32_t i = 0; i < s->bins; i++)
		if (s->edge[i] == low)
			return s->in_bin[i];
	fail_msg("no bin begins at %g", low);
	return -1;
}

static int64_t binned(const struct series *s)
{
	int64_t n = 0;

	for (uint32_t i = 0; i < s->bins; i++) {
		assert_true(s->edge[i] < s->edge[i + 1]);
		n += s->in_bin[i];
	}
	return n;
}

static void put_range(struct kit *k, const char *name, double min, double max)
{
	struct attribute at = {str_of(name), min, max};
	struct dataset_change c = {.name = STR("d"), .attribute = &at, .attributes = 1};
	bool created;

	kit_begin(k);
	kit_ok(k, store_dataset_put(k->w, &c, NOW, &created, &k->e));
	kit_commit(k);
}

/* p: a (3 characters), b (0); q: c (17); o: none. */
static void three_prompts(struct kit *k)
{
	struct response p[2] = {response_of("a", "abc", "m"), response_of("b", "", NULL)};
	struct response q = response_of("c", "seventeen letters", "m");
	struct row row[3] = {record_of("p", messages, p, 2), record_of("q", messages, &q, 1),
	                     record_of("o", messages, NULL, 0)};

	for (int i = 0; i < 3; i++)
		kit_ok(k, kit_put(k, &row[i], CONFLICT_REFUSE));
}

static void an_empty_dataset_has_empty_sums(void **state)
{
	struct dataset_stats st = stats(*state);

	assert_int_equal(st.prompts, 0);
	assert_int_equal(st.lengths.bins, 25);
	assert_int_equal(binned(&st.lengths), 0);
	assert_int_equal(st.responses_per_prompt.bins, 32);
	assert_true(st.lengths.edge[0] == 0 && st.lengths.edge[25] == 16777216);
	assert_true(st.responses_per_prompt.edge[32] == 1048576);
	assert_int_equal(st.models + st.scored + st.voters, 0);
}

static void prompts_and_lengths_by_hand(void **state)
{
	struct kit *k = *state;
	struct dataset_stats st;

	three_prompts(k);
	st = stats(k);
	assert_int_equal(st.seq, 6);
	assert_int_equal(st.prompts, 3);
	assert_int_equal(st.responses, 3);
	assert_int_equal(st.scored_prompts, 0);
	/* 2, 1, 0 responses: mean 1, variance 2/3 */
	assert_true(exact_mean(&st.responses_per_prompt.exact) == 1);
	assert_true(fabs(exact_std(&st.responses_per_prompt.exact) - sqrt(2.0 / 3)) < 1e-15);
	assert_true(st.responses_per_prompt.min == 0 && st.responses_per_prompt.max == 2);
	assert_int_equal(bin_at(&st.responses_per_prompt, 0), 1);
	assert_int_equal(bin_at(&st.responses_per_prompt, 2), 1);
	/* 3 + 0 + 17 = 20 characters; bins [2, 4), [0, 1), [16, 32) */
	assert_true(exact_sum(&st.lengths.exact) == 20);
	assert_int_equal(bin_at(&st.lengths, 2), 1);
	assert_int_equal(bin_at(&st.lengths, 0), 1);
	assert_int_equal(bin_at(&st.lengths, 16), 1);
	assert_int_equal(st.models, 2); /* "" first */
	assert_str(st.model[0].a, "");
	assert_int_equal(st.model[0].exact.count, 1);
	assert_str(st.model[1].a, "m");
	assert_true(exact_mean(&st.model[1].exact) == 10);
	kit_check(k);
}

/* 1, 4 → 5 (a revision leaves no trace), one failed, one that failed and then was good. */
static void scores_by_hand(void **state)
{
	struct kit *k = *state;
	struct dataset_stats st;
	const struct series *s;

	three_prompts(k);
	kit_score(k, "a", score_of("j", "overall", 1, 1));
	kit_score(k, "b", score_of("j", "overall", 0.1, 1));
	kit_score(k, "b", score_of("j", "overall", 5, 2));
	kit_score(k, "c", status_of("j", "overall", SCORE_FAILED, 1));
	kit_score(k, "c", status_of("i", "overall", SCORE_ABSTAINED, 1));
	st = stats(k);
	assert_int_equal(st.scores, 4);
	assert_int_equal(st.scored_prompts, 1);
	assert_int_equal(st.scored, 2);
	assert_str(st.score[0].a, "i");
	assert_int_equal(st.score[0].abstained, 1);
	assert_int_equal(st.score[0].exact.count, 0);
	s = &st.score[1];
	assert_str(s->b, "overall");
	assert_int_equal(s->exact.count, 2);
	assert_int_equal(s->failed, 1);
	assert_true(exact_mean(&s->exact) == 3 && exact_std(&s->exact) == 2);
	assert_true(s->min == 1 && s->max == 5);
	/* Without a range: forty bins of 0.5 from -10 to 10 while nothing lies beyond. */
	assert_int_equal(s->bins, 40);
	assert_true(s->edge[0] == -10 && s->edge[40] == 10);
	assert_int_equal(bin_at(s, 1), 1);
	assert_int_equal(bin_at(s, 5), 1);
	assert_int_equal(binned(s), 2);
	kit_score(k, "c", score_of("j", "overall", 2.5, 1));
	st = stats(k);
	assert_int_equal(st.score[1].failed, 0);
	assert_int_equal(st.score[1].exact.count, 3);
	assert_int_equal(st.scored_prompts, 2);
	assert_int_equal(st.scores, 4);
	kit_check(k);
}

static void outer_bins_end_at_the_extremes(void **state)
{
	struct kit *k = *state;
	struct dataset_stats st;

	three_prompts(k);
	kit_score(k, "a", score_of("j", "overall", 10, 1)); /* the upper edge: in the last bin */
	st = stats(k);
	assert_int_equal(st.score[0].bins, 40);
	assert_int_equal(bin_at(&st.score[0], 9.5), 1);
	kit_score(k, "b", score_of("j", "overall", -1000, 1));
	kit_score(k, "c", score_of("j", "overall", 12.5, 1));
	st = stats(k);
	assert_int_equal(st.score[0].bins, 42);
	assert_true(st.score[0].edge[0] == -1000 && st.score[0].edge[42] == 12.5);
	assert_int_equal(st.score[0].in_bin[0], 1);
	assert_int_equal(bin_at(&st.score[0], 10), 2); /* 10 and 12.5 */
	assert_int_equal(binned(&st.score[0]), 3);
	kit_check(k);
}

/* A range of 1 to 5 has bins of 0.2; declared late, what is there is counted anew. */
static void declared_ranges_have_twenty_bins(void **state)
{
	struct kit *k = *state;
	struct dataset_stats st;

	three_prompts(k);
	kit_score(k, "a", score_of("j", "overall", 1, 1));
	kit_score(k, "b", score_of("j", "overall", 5, 1));
	put_range(k, "overall", 1, 5);
	kit_score(k, "c", score_of("j", "overall", 3, 1));
	st = stats(k);
	assert_int_equal(st.score[0].bins, 20);
	assert_true(st.score[0].edge[0] == 1 && st.score[0].edge[20] == 5);
	assert_int_equal(st.score[0].in_bin[0], 1);
	assert_int_equal(st.score[0].in_bin[10], 1); /* 3 = 1 + 10 * 0.2 */
	assert_int_equal(st.score[0].in_bin[19], 1);
	kit_check(k);
}

static void votes_by_hand(void **state)
{
	struct kit *k = *state;
	struct dataset_stats st;

	three_prompts(k);
	kit_vote(k, vote_of("ann", "a", "b", 1, 1));
	kit_vote(k, vote_of("ann", "b", "a", 3, 2));
	kit_vote(k, vote_of("bob", "a", "b", 0.5, 1));
	st = stats(k);
	assert_int_equal(st.comparisons, 2);
	assert_int_equal(st.voters, 2);
	assert_str(st.voter[0].a, "ann");
	assert_true(exact_sum(&st.voter[0].exact) == 3);
	assert_int_equal(bin_at(&st.voter[1], 0.5), 1);
}

/* --- deletion ------------------------------------------------------------------------- */

static int delete_slice(struct kit *k, const char *prompt, uint32_t limit)
{
	int rc;

	kit_begin(k);
	rc = store_prompt_delete(k->w, STR("d"), str_of(prompt), limit, &k->e);
	kit_ok(k, rc);
	kit_commit(k);
	return rc;
}

static void fill_prompt(struct kit *k)
{
	struct response r = response_of("a", "abc", "m");
	struct logprob l[2] = {{STR("m"), -1, -1}, {STR("n"), -1, -1}};
	struct row row = record_of("p", messages, &r, 1);
	struct score sc = score_of("j", "overall", 1, 1);

	three_prompts(k);
	r.logprob = l;
	r.logprobs = 2;
	r.tokens = 4;
	row.record.metadata = STR("{}");
	kit_ok(k, kit_put(k, &row, CONFLICT_REPLACE));
	sc.rationale = STR("why");
	kit_score(k, "a", sc);
	for (int i = 0; i < 9; i++) /* the first stays current: a ledger longer than a slice */
		kit_score(k, "a", score_of("j", "overall", i, -i));
	kit_score(k, "b", status_of("j", "overall", SCORE_FAILED, 1));
	kit_score(k, "b", score_of("i", "overall", 2, 1));
	for (int i = 0; i < 5; i++)
		kit_vote(k, vote_of("ann", "a", "b", 1 + i, i));
}

static int64_t texts(struct kit *k)
{
	char path[128];
	sqlite3_stmt *q;
	sqlite3 *db;
	int64_t n;

	snprintf(path, sizeof path, "%s/prefd.db", k->dir);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM text", -1, &q, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(q), SQLITE_ROW);
	n = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	sqlite3_close(db);
	return n;
}

/* Whatever the slice, every commit leaves sums that are true, and in the end nothing. */
static void a_prompt_goes_in_slices(void **state)
{
	static const uint32_t limit[] = {1, 2, 3, 5, 2000};
	struct kit *k = *state;

	for (size_t i = 0; i < sizeof limit / sizeof *limit; i++) {
		struct dataset_stats st;
		struct read_prompt p;
		struct dataset d;
		int calls = 1;

		fill_prompt(k);
		for (; delete_slice(k, "p", limit[i]) == 1; calls++) {
			assert_true(calls < 100);
			kit_check(k);
		}
		if (limit[i] == 2000)
			assert_int_equal(calls, 1);
		kit_check(k);
		d = kit_get(k);
		kit_fails(k, store_prompt_get(k->r, &k->a, &d, STR("p"), SEQ_LATEST, 0, &p, &k->e), P_UNKNOWN_PROMPT, "");
		st = stats(k);
		assert_int_equal(st.prompts, 2);
		assert_int_equal(st.responses, 1);
		assert_int_equal(st.scores + st.comparisons + st.scored + st.voters, 0);
		assert_int_equal(texts(k), 3); /* messages of q and o, the text of c */
		/* Ids of what was deleted may be posted anew. */
	}
	kit_begin(k);
	kit_fails(k, store_prompt_delete(k->w, STR("d"), STR("p"), 1, &k->e), P_UNKNOWN_PROMPT, "");
	kit_undo(k);
}

static void a_dataset_goes_with_its_snapshots(void **state)
{
	struct kit *k = *state;
	struct snapshot_row snap = {.id = STR("s"), .dataset = STR("d"), .posted = STR("{}"), .recipe = STR("{}")}, got;
	struct dataset_change again = {.name = STR("d")};
	struct dataset d;
	bool created;
	int rc, slices = 0;

	fill_prompt(k);
	put_range(k, "overall", 0, 10);
	snap.dataset_key = kit_get(k).key;
	kit_begin(k);
	kit_ok(k, store_snapshot_insert(k->w, &snap, &k->e));
	kit_ok(k, store_dataset_delete(k->w, STR("d"), &k->e));
	kit_fails(k, store_dataset_put(k->w, &again, NOW, &created, &k->e), P_CONFLICT, "");
	kit_commit(k);
	kit_fails(k, store_dataset_get(k->r, &k->a, STR("d"), &d, &k->e), P_UNKNOWN_DATASET, "");
	kit_ok(k, store_snapshot_get(k->r, &k->a, STR("s"), &got, &k->e));
	assert_int_equal(got.state, SNAPSHOT_REVOKED);
	assert_str(got.problem, "{\"type\":\"/problems/gone\",\"title\":\"It was there and is gone\",\"status\":410,"
	                        "\"detail\":\"the dataset was deleted\"}");
	do {
		kit_begin(k);
		rc = store_dataset_sweep(k->w, 4, &k->e);
		kit_ok(k, rc);
		kit_commit(k);
		kit_check(k);
		slices++;
	} while (rc == 1 && slices < 100);
	assert_int_equal(rc, 0);
	assert_true(slices > 3);
	kit_dataset(k, "d"); /* the name is free, and nothing is left of the old one */
	assert_int_equal(kit_get(k).seq, 0);
	assert_int_not_equal(kit_get(k).key, snap.dataset_key);
	assert_int_equal(kit_get(k).attributes, 0);
	three_prompts(k);
	kit_check(k);
}

static void deleting_a_dataset_can_be_undone(void **state)
{
	struct kit *k = *state;
	struct row row = record_of("x", messages, NULL, 0);

	three_prompts(k);
	kit_begin(k);
	kit_ok(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW));
	kit_ok(k, store_release(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
	kit_ok(k, store_dataset_delete(k->w, STR("d"), &k->e));
	kit_fails(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW), P_UNKNOWN_DATASET, "");
	kit_undo(k);
	assert_int_equal(kit_get(k).seq, 7);
	assert_int_equal(stats(k).prompts, 4);
	kit_check(k);
}

/* --- against brute force ---------------------------------------------------------------- */

enum { PROMPTS = 6, PER_PROMPT = 3, JUDGES = 2, ROUNDS = 60, PER_ROUND = 12, LEDGER = ROUNDS * PER_ROUND };

struct model_value {
	int prompt, response, judge, status;
	double value;
	int64_t at;
};

struct model {
	uint32_t rng;
	bool there[PROMPTS];
	struct model_value ledger[LEDGER];
	int n;
};

static uint32_t draw(struct model *m, uint32_t n)
{
	m->rng = m->rng * 1664525 + 1013904223;
	return (uint32_t)(((uint64_t)m->rng * n) >> 32);
}

static void put_prompt(struct kit *k, struct model *m, int i)
{
	struct response r[PER_PROMPT];
	struct row row;
	char id[32], ids[PER_PROMPT][32], text[PER_PROMPT][64];

	snprintf(id, sizeof id, "p%d", i);
	for (int j = 0; j < PER_PROMPT; j++) {
		snprintf(ids[j], sizeof ids[j], "p%d-r%d", i, j);
		memset(text[j], 'x', sizeof text[j]);
		text[j][1 + draw(m, 60)] = '\0';
		r[j] = response_of(ids[j], text[j], j ? "m" : NULL);
	}
	row = record_of(id, messages, r, PER_PROMPT);
	kit_ok(k, kit_put_in(k, &row, CONFLICT_REPLACE, NOW));
	m->there[i] = true;
}

static void put_value(struct kit *k, struct model *m)
{
	struct model_value v = {(int)draw(m, PROMPTS), (int)draw(m, PER_PROMPT), (int)draw(m, JUDGES),
	                        draw(m, 4) ? SCORE_OK : (int)draw(m, 2), 0, draw(m, 1000)};
	struct row row = {.kind = ROW_SCORE};
	char id[32];

	v.value = v.status == SCORE_OK ? (int)draw(m, 400) / 10.0 - 20 : 0;
	if (!m->there[v.prompt])
		return;
	snprintf(id, sizeof id, "p%d-r%d", v.prompt, v.response);
	row.score.response = str_of(id);
	row.score.score = score_of(v.judge ? "j1" : "j0", "overall", v.value, v.at);
	row.score.score.status = (enum score_status)v.status;
	kit_ok(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW));
	m->ledger[m->n++] = v;
}

static void delete_prompt(struct kit *k, struct model *m, int i)
{
	char id[32];
	int kept = 0;

	snprintf(id, sizeof id, "p%d", i);
	kit_ok(k, store_prompt_delete(k->w, STR("d"), str_of(id), 2000, &k->e));
	for (int j = 0; j < m->n; j++)
		if (m->ledger[j].prompt != i)
			m->ledger[kept++] = m->ledger[j];
	m->n = kept;
	m->there[i] = false;
}

/* The current value as api.md says it, by going through everything. */
static const struct model_value *model_current(const struct model *m, int prompt, int response, int judge)
{
	const struct model_value *best = NULL;

	for (int i = 0; i < m->n; i++) {
		const struct model_value *v = &m->ledger[i];

		if (v->prompt != prompt || v->response != response || v->judge != judge)
			continue;
		if (best == NULL || (v->status == SCORE_OK) > (best->status == SCORE_OK) ||
		    ((v->status == SCORE_OK) == (best->status == SCORE_OK) &&
		     (v->at > best->at || (v->at == best->at && (v->status == SCORE_OK ? v->value > best->value
		                                                                     : v->status > best->status)))))
			best = v;
	}
	return best;
}

static void compare_judge(const struct model *m, const struct dataset_stats *st, int judge)
{
	int64_t count = 0, failed = 0, abstained = 0;
	double min = INFINITY, max = -INFINITY;
	struct exact sum = {0};
	const struct series *s = NULL;

	for (int p = 0; p < PROMPTS; p++)
		for (int r = 0; r < PER_PROMPT; r++) {
			const struct model_value *v = model_current(m, p, r, judge);

			failed += v && v->status == SCORE_FAILED;
			abstained += v && v->status == SCORE_ABSTAINED;
			if (v && v->status == SCORE_OK) {
				exact_add(&sum, v->value, 1);
				min = fmin(min, v->value);
				max = fmax(max, v->value);
				count++;
			}
		}
	for (uint32_t i = 0; i < st->scored; i++)
		if (str_eq(st->score[i].a, judge ? STR("j1") : STR("j0")))
			s = &st->score[i];
	if (count + failed + abstained == 0) {
		assert_null(s);
		return;
	}
	assert_non_null(s);
	assert_int_equal(s->exact.count, count);
	assert_int_equal(s->failed, failed);
	assert_int_equal(s->abstained, abstained);
	assert_memory_equal(&s->exact, &sum, sizeof sum);
	assert_int_equal(binned(s), count);
	if (count > 0)
		assert_true(s->min == min && s->max == max);
}

static void sums_equal_counting_anew(void **state)
{
	struct kit *k = *state;
	struct model m = {.rng = 7}, saved;

	for (int round = 0; round < ROUNDS; round++) {
		struct dataset_stats st;
		int64_t prompts = 0;

		kit_ok(k, store_begin(k->w, &k->e));
		for (int i = 0; i < PER_ROUND; i++) {
			uint32_t what = draw(&m, 12);

			saved = m;
			kit_ok(k, store_savepoint(k->w, &k->e));
			if (what == 0)
				put_prompt(k, &m, (int)draw(&m, PROMPTS));
			else if (what == 1 && m.there[what = draw(&m, PROMPTS)])
				delete_prompt(k, &m, (int)what);
			else
				put_value(k, &m);
			if (draw(&m, 5) == 0) { /* a fifth of all requests is undone */
				saved.rng = m.rng;
				m = saved;
				kit_ok(k, store_undo(k->w, &k->e));
			} else {
				kit_ok(k, store_release(k->w, &k->e));
			}
		}
		kit_ok(k, store_commit(k->w, &k->e));
		st = stats(k);
		for (int j = 0; j < JUDGES; j++)
			compare_judge(&m, &st, j);
		for (int p = 0; p < PROMPTS; p++)
			prompts += m.there[p];
		assert_int_equal(st.prompts, prompts);
		assert_int_equal(st.responses, prompts * PER_PROMPT);
		kit_check(k);
	}
}

/* --- the check itself ------------------------------------------------------------------------ */

static void count_findings(void *ctx, const char *finding)
{
	(void)finding;
	++*(int *)ctx;
}

/* A check that finds nothing proves little unless it finds what is wrong. */
static void the_check_finds_damage(void **state)
{
	static const char *const damage[] = {
		"UPDATE tally SET n = n + 1 WHERE value = 3",
		"UPDATE series SET failed = 1 WHERE kind = 4",
		"UPDATE series SET bins = zeroblob(336) WHERE kind = 4",
		"UPDATE series SET exact = (SELECT exact FROM series WHERE kind = 2) WHERE kind = 4",
		"DELETE FROM series WHERE kind = 4",
		"UPDATE score SET value = 4",
		"DELETE FROM response_key WHERE id = 'b'",
		"UPDATE prompt_sum SET scored = 0",
		"DELETE FROM text WHERE body = 'abc'",
		"DELETE FROM prompt_key WHERE id = 'o'; DELETE FROM prompt_sum WHERE responses = 0",
	};
	struct kit *k = *state;
	char command[400];

	three_prompts(k);
	kit_score(k, "a", score_of("j", "overall", 3, 1));
	for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
		sqlite3 *db;
		int findings = 0;

		kit_check(k);
		snprintf(command, sizeof command, "%s/prefd.db", k->dir);
		assert_int_equal(sqlite3_open(command, &db), SQLITE_OK);
		sqlite3_wal_autocheckpoint(db, 0);
		assert_int_equal(sqlite3_exec(db, "BEGIN", NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, damage[i], NULL, NULL, NULL), SQLITE_OK);
		assert_true(sqlite3_total_changes(db) > 0);
		assert_int_equal(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(store_check(k->r, count_findings, &findings, &k->e), 1);
		assert_true(findings > 0);
		sqlite3_close(db);
		kit_teardown(state);
		kit_setup(state);
		k = *state;
		three_prompts(k);
		kit_score(k, "a", score_of("j", "overall", 3, 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(an_empty_dataset_has_empty_sums),
		KIT_TEST(prompts_and_lengths_by_hand),
		KIT_TEST(scores_by_hand),
		KIT_TEST(outer_bins_end_at_the_extremes),
		KIT_TEST(declared_ranges_have_twenty_bins),
		KIT_TEST(votes_by_hand),
		KIT_TEST(a_prompt_goes_in_slices),
		KIT_TEST(a_dataset_goes_with_its_snapshots),
		KIT_TEST(deleting_a_dataset_can_be_undone),
		KIT_TEST(sums_equal_counting_anew),
		KIT_TEST(the_check_finds_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
