/* Rescored and published rounds: one worked by hand, from facts to a file.
 *
 * beta 0.1, so r is a tenth of log pi - log ref; alpha 0.75 unless found:
 *
 *          text      |y|   pi   ref     r   r - 0.75 |y|      x    rank   goal
 *     p0 a aaaa        4  -10   -20     1      -2           0.5     5     8.2
 *        b bbbbbbbb    8  -10   -40     3      -3          -0.5     2     2.8
 *        c cc          2  (too short)
 *     p1 d dddd        4  -30   -10    -2      -5          -1.25    1     1
 *        e eeeeee      6  -20   -40     2      -2.5         1.25    6     10
 *     p2 f ffff        4   -1    -2     0.1  (tied)         0       3.5
 *        g gggg        4   -1    -2     0.1                 0       3.5
 *
 * D(0) = (4 + 2)/2 = 3; the answers of p0 change places at (3 - 1)/4 = 0.5,
 * those of p1 at (2 + 2)/2 = 2: D is -1 between, -3 above. */
#include "round_kit.h"

#include <dirent.h>
#include <math.h>

#include "../../server/service/build.h"
#include "../../server/service/rescored.h"
#include "../../server/service/weigh.h"
#include "align/alpha.h"
#include "snap/read.h"
#include "store/snapshot.h"

static char snaps[64];

static int set_up(void **state)
{
	strcpy(snaps, "/tmp/prefd-rescore-XXXXXX");
	assert_non_null(mkdtemp(snaps));
	return kit_setup(state);
}

static int tear_down(void **state)
{
	DIR *d = opendir(snaps);

	for (struct dirent *entry; (entry = readdir(d)) != NULL;)
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
	assert_int_equal(rmdir(snaps), 0);
	return kit_teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* --- the round -------------------------------------------------------------------------- */

struct answer_in {
	const char *id, *text;
	double policy, reference; /* NAN: none */
};

static void put_answers(struct kit *k, int prompt, const struct answer_in *in, uint32_t n)
{
	struct logprob l[4][2];
	struct response r[4];
	struct row row;

	for (uint32_t i = 0; i < n; i++) {
		r[i] = response_of(in[i].id, in[i].text, "m");
		r[i].logprob = l[i];
		if (!isnan(in[i].policy))
			l[i][r[i].logprobs++] = (struct logprob){STR("pi"), in[i].policy, -1};
		if (!isnan(in[i].reference))
			l[i][r[i].logprobs++] = (struct logprob){STR("ref"), in[i].reference, -1};
	}
	row = question(prompt, r, n);
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
}

static struct round_row hand_worked(struct kit *k)
{
	const struct answer_in p0[] = {{"a", "aaaa", -10, -20}, {"b", "bbbbbbbb", -10, -40}, {"c", "cc", -1, -2}};
	const struct answer_in p1[] = {{"d", "dddd", -30, -10}, {"e", "eeeeee", -20, -40}};
	const struct answer_in p2[] = {{"f", "ffff", -1, -2}, {"g", "gggg", -1, -2}};

	put_answers(k, 0, p0, 3);
	put_answers(k, 1, p1, 2);
	put_answers(k, 2, p2, 2);
	return kit_round(k, "r", 0);
}

static struct terms terms_of(const struct round_row *row, double alpha)
{
	struct rescore_params p = {.beta = 0.1, .min_responses = 2};
	struct terms t = rescore_terms(row, &p);

	t.alpha = alpha;
	return t;
}

/* --- one prompt ---------------------------------------------------------------------------- */

static void a_prompt_by_hand(void **state)
{
	struct kit *k = *state;
	struct round_row row = hand_worked(k);
	struct terms t = terms_of(&row, 0.75);
	struct implicit_pair pair;
	struct round_prompt *p;
	struct weighed w;
	uint32_t n;

	p = kit_page(k, "r", SEQ_LATEST, &n);
	assert_int_equal(n, 3);
	kit_ok(k, weigh(&t, &p[0], NULL, &k->a, &w, &k->e));
	assert_int_equal(w.n, 2);
	assert_int_equal(w.drop[2], LEFT_OUT_TOO_SHORT);
	assert_true(w.reward[0] == 1 && w.reward[1] == 3 && w.length[0] == 4 && w.length[1] == 8);
	assert_int_equal(weigh_pair(&w, 2, 0, &pair), IMPLICIT_KEPT);
	assert_int_equal(pair.chosen, 1);
	assert_int_equal(weigh_pair(&w, 2, 0.75, &pair), IMPLICIT_KEPT);
	assert_int_equal(pair.chosen, 0);
	assert_int_equal(pair.rejected, 1);
	assert_int_equal(weigh_pair(&w, 3, 0.75, &pair), IMPLICIT_TOO_FEW);
	kit_ok(k, weigh(&t, &p[2], NULL, &k->a, &w, &k->e));
	assert_int_equal(weigh_pair(&w, 2, 0.75, &pair), IMPLICIT_TIED);
}

/* What does not pass is neither valid nor a reason, nor the first of a text. */
static void what_does_not_pass(void **state)
{
	struct kit *k = *state;
	const struct answer_in same[] = {{"a", "same", -1, -2}, {"b", "same", -1, -3}, {"c", "other", -1, NAN}};
	struct round_prompt *p;
	struct round_row row;
	struct weighed w;
	struct terms t;
	uint32_t n;

	put_answers(k, 0, same, 3);
	row = kit_round(k, "r", 0);
	t = terms_of(&row, 0);
	p = kit_page(k, "r", SEQ_LATEST, &n);
	kit_ok(k, weigh(&t, p, NULL, &k->a, &w, &k->e));
	assert_int_equal(w.n, 1);
	assert_int_equal(w.at[0], 0);
	assert_int_equal(w.drop[1], LEFT_OUT_DUPLICATE_TEXT);
	assert_int_equal(w.drop[2], LEFT_OUT_MISSING_LOGPROB);
	kit_ok(k, weigh(&t, p, (const bool[]){false, true, true}, &k->a, &w, &k->e));
	assert_int_equal(w.n, 1);
	assert_int_equal(w.at[0], 1);
	assert_int_equal(w.drop[0], LEFT_OUT_NONE);
}

/* Samples stand in order of indexes, and the first of a text is the smallest
 * one; the valid ones come in byte order of ids. */
static void samples_by_index(void **state)
{
	static const char *const text[] = {"same", "text 1", "same", "text 3", "text 4"};
	struct kit *k = *state;
	struct round_prompt *p;
	struct round_row row;
	struct weighed w;
	struct terms t;
	uint32_t n;

	kit_questions(k, 1);
	row = kit_round(k, "r", 5);
	t = terms_of(&row, 0);
	assert_true(t.sampled);
	for (uint32_t i = 0; i < 5; i++) {
		kit_deliver(k, "r", "p0", i, text[i]);
		kit_scored(k, "r", kit_sample_id(k, "r", "p0", i), "pi", -1.0 - i);
		kit_scored(k, "r", kit_sample_id(k, "r", "p0", i), "ref", -2);
	}
	p = kit_page(k, "r", SEQ_LATEST, &n);
	kit_ok(k, weigh(&t, p, NULL, &k->a, &w, &k->e));
	assert_int_equal(w.n, 4);
	assert_int_equal(w.drop[2], LEFT_OUT_DUPLICATE_TEXT);
	for (uint32_t i = 0; i < w.n; i++) {
		assert_int_equal(p->response[w.at[i]].index, w.at[i]);
		assert_true(w.reward[i] == 0.1 * ((-1.0 - w.at[i]) - -2));
		if (i > 0)
			assert_true(str_cmp(p->response[w.at[i - 1]].id, p->response[w.at[i]].id) < 0);
	}
}

static void a_reward_too_great(void **state)
{
	struct kit *k = *state;
	const struct answer_in huge[] = {{"a", "aaaa", -1, -1e300}};
	struct round_prompt *p;
	struct round_row row;
	struct weighed w;
	struct terms t;
	uint32_t n;

	put_answers(k, 0, huge, 1);
	row = kit_round(k, "r", 0);
	t = terms_of(&row, 0);
	p = kit_page(k, "r", SEQ_LATEST, &n);
	kit_fails(k, weigh(&t, p, NULL, &k->a, &w, &k->e), P_INVALID, "");
	assert_non_null(strstr(k->e.detail, "response a"));
}

/* --- parameters ------------------------------------------------------------------------------ */

static void parameters(void **state)
{
	struct kit *k = *state;
	struct round_spec spec = {.beta = 0.25, .alpha = {.found = true}, .length = LENGTH_TOKENS, .min_responses = 8};
	struct rescore_params p;
	struct buf b = BUF_INIT;

	kit_ok(k, rescore_params_read(&k->a, STR(""), &spec, &p, &k->e));
	rescore_params_print(&b, &p);
	assert_str(buf_view(&b), "{\"alpha\":\"auto\",\"beta\":0.25,\"length\":\"tokens\",\"min_responses\":8}");
	kit_ok(k, rescore_params_load(&k->a, buf_view(&b), &p, &k->e));
	assert_true(p.alpha.found && p.beta == 0.25 && p.length == LENGTH_TOKENS && p.min_responses == 8);
	buf_clear(&b);
	kit_ok(k, rescore_params_read(&k->a, STR("{\"length\":\"characters\",\"alpha\":0.5}"), &spec, &p, &k->e));
	rescore_params_print(&b, &p);
	assert_str(buf_view(&b), "{\"alpha\":0.5,\"beta\":0.25,\"length\":\"characters\",\"min_responses\":8}");
	buf_release(&b);
	kit_fails(k, rescore_params_read(&k->a, STR("{\"alpha\":\"grid\"}"), &spec, &p, &k->e), P_INVALID, "/alpha");
	kit_fails(k, rescore_params_read(&k->a, STR("{\"gamma\":1}"), &spec, &p, &k->e), P_UNKNOWN_KEY, "/gamma");
	kit_fails(k, rescore_params_load(&k->a, STR("[]"), &p, &k->e), P_INTERNAL, "");
}

/* --- published --------------------------------------------------------------------------------- */

/* A resolved recipe; %s: what stands in "published" behind min_responses. */
static struct str published(struct kit *k, const char *replay)
{
	return arena_printf(&k->a,
		"{\"goal_scale\":{\"max\":10,\"min\":1},"
		"\"made_from\":{\"rescoring\":1,\"round\":\"r\"%s},"
		"\"published\":{\"min_responses\":2%s},"
		"\"reward\":{\"implicit\":{\"alpha\":0.75,\"beta\":0.1,"
		"\"filters\":{\"exclude_finish_reasons\":[\"abort\",\"length\"],\"max_characters\":20,\"min_characters\":4},"
		"\"length\":\"characters\",\"policy\":\"pi\",\"reference\":\"ref\",\"responses\":\"dataset\"}},"
		"\"view\":{\"augment\":\"none\",\"format\":\"trl\",\"goal\":\"quantile\",\"placement\":\"system\","
		"\"template\":\"{goal}\"}}",
		replay[0] ? ",\"snapshot\":\"other\"" : "", replay);
}

struct built {
	struct build_result x;
	struct build *b;
	struct snap *snap;
};

static enum build_state run(struct kit *k, struct str recipe, struct built *out)
{
	struct dataset d = kit_get(k);
	struct build_spec spec = {snaps, STR("d"), d.key, d.seq, recipe};
	enum build_state state;

	*out = (struct built){.b = build_new(&spec)};
	while ((state = build_step(out->b, k->r, 0, &k->e)) == BUILD_MORE)
		assert_in_range((int)(1000 * build_progress(out->b)), 0, 1000);
	out->x = *build_result(out->b);
	return state;
}

static struct built build(struct kit *k, struct str recipe)
{
	struct built out;
	enum build_state state = run(k, recipe, &out);

	if (state == BUILD_FAILED)
		print_error("%s\n", k->e.detail);
	assert_int_equal(state, BUILD_DONE);
	kit_ok(k, snap_open(&out.snap, snaps, str_of(out.x.revision), &k->e));
	kit_ok(k, snap_verify(out.snap, &k->e));
	assert_int_equal(snap_pairs(out.snap), out.x.found.pairs);
	assert_int_equal(snap_prompts(out.snap), out.x.prompts);
	return out;
}

static void close_built(struct built *b)
{
	snap_close(b->snap);
	build_free(b->b);
}

/* "p:chosen>rejected goal/goal origin; " of all pairs. */
static const char *told(struct kit *k, const struct built *b)
{
	struct str s = STR("");

	for (uint64_t i = 0; i < snap_pairs(b->snap); i++) {
		struct snap_view v;

		kit_ok(k, snap_pair_at(b->snap, i, &v, &k->e));
		s = arena_printf(&k->a, "%.*s%.*s:%.*s>%.*s %.*s/%.*s %.*s; ", STR_ARG(s), STR_ARG(v.prompt_id),
		                 STR_ARG(v.chosen.id), STR_ARG(v.rejected.id), STR_ARG(v.plain ? STR("-") : v.chosen.goal),
		                 STR_ARG(v.plain ? STR("-") : v.rejected.goal), STR_ARG(origin_name(v.origin)));
	}
	return s.p;
}

static void a_round_is_published(void **state)
{
	struct kit *k = *state;
	struct snap_view v;
	struct built b;
	struct str meta;

	hand_worked(k);
	b = build(k, published(k, ""));
	assert_string_equal(told(k, &b), "p0:a>b 8.2/2.8 rescored; p1:e>d 10/1 rescored; ");
	assert_int_equal(b.x.counts.skipped[SKIP_TIED], 1);
	assert_int_equal(b.x.counts.dropped[DROP_TOO_SHORT], 1);
	assert_false(b.x.replay.there);
	kit_ok(k, snap_pair_at(b.snap, 1, &v, &k->e));
	assert_str(v.chosen.score, "-2.5");
	assert_str(v.rejected.score, "-5");
	assert_int_equal(v.lineage, 0);
	kit_ok(k, snap_meta(b.snap, &meta, &k->e));
	assert_non_null(strstr(arena_str(&k->a, meta).p, "\"lineage\":[{\"policy\":\"pi\",\"reference\":\"ref\"}]"));
	assert_null(strstr(arena_str(&k->a, meta).p, "made_from")); /* no id of a round in the file */
	/* Frozen: tests/http works the same hash out from its description. */
	assert_string_equal(b.x.revision, "cab7d796729c9690553566e1286340fd7694dfec3df1b7e586ccc0f91d169f3e");
	close_built(&b);
}

/* --- replay ------------------------------------------------------------------------------------- */

/* p1 and q, judged: 9 over 3, and 8 over 7; their file, and its row "other". */
static const char *offline(struct kit *k, enum snapshot_state state)
{
	struct str recipe = STR(
		"{\"filters\":{\"models\":[\"old\"]},\"goal_scale\":{\"max\":10,\"min\":1},"
		"\"pairing\":{\"min_margin\":0,\"min_responses\":2,\"seed\":42,\"strategy\":\"best_worst\"},"
		"\"reward\":{\"across_judges\":\"mean\",\"attributes\":{\"overall\":1},\"judges\":[\"g\"],\"ranges\":{},"
		"\"rescale\":false},\"split\":\"train\",\"view\":{\"augment\":\"both\",\"format\":\"trl\",\"goal\":\"reward\","
		"\"placement\":\"system\",\"template\":\"{goal}\"}}");
	const char *const id[2][2] = {{"j1", "j2"}, {"k1", "k\"2"}};
	const double value[2][2] = {{9, 3}, {8, 7}};
	struct snapshot_row row = {.id = STR("other"), .dataset = STR("d"), .state = state, .posted = STR("{}"),
	                           .recipe = recipe, .result = STR("{}")};
	char revision[65];
	struct built b;

	for (int p = 0; p < 2; p++) {
		struct response r[2];
		struct score s[2];
		struct row record;

		for (int i = 0; i < 2; i++) {
			s[i] = score_of("g", "overall", value[p][i], NOW);
			r[i] = response_of(id[p][i], id[p][i], "old"); /* texts with what must be escaped */
			r[i].score = &s[i];
			r[i].scores = 1;
		}
		record = p == 0 ? question(1, r, 2) : record_of("q", "[{\"role\":\"user\",\"content\":\"a \\\"q\\\"\"}]", r, 2);
		kit_ok(k, kit_put(k, &record, CONFLICT_REFUSE));
	}
	b = build(k, recipe);
	assert_string_equal(told(k, &b), "p1:j1>j2 9/3 judged; q:k1>k\"2 8/7 judged; ");
	strcpy(revision, b.x.revision);
	close_built(&b);
	row.revision = str_of(revision);
	row.dataset_key = kit_get(k).key;
	kit_begin(k);
	kit_ok(k, store_snapshot_insert(k->w, &row, &k->e));
	kit_commit(k);
	return arena_strdup(&k->a, revision);
}

static struct str replaying(struct kit *k, const char *revision, const char *gamma, int total)
{
	struct str s = arena_printf(&k->a, ",\"replay\":{\"gamma\":\"%s\",\"revision\":\"%s\",\"seed\":0,\"total\":%d}",
	                            gamma, revision, total);

	return published(k, s.p);
}

static void replayed(struct kit *k, struct str recipe, const char *pairs, uint64_t wanted, uint64_t taken,
                     uint64_t generated)
{
	struct built b = build(k, recipe);

	assert_string_equal(told(k, &b), pairs);
	assert_true(b.x.replay.there);
	assert_int_equal(b.x.replay.wanted, wanted);
	assert_int_equal(b.x.replay.taken, taken);
	assert_int_equal(b.x.replay.generated, generated);
	close_built(&b);
}

static void pairs_are_replayed(void **state)
{
	struct kit *k = *state;
	const char *other;

	hand_worked(k);
	other = offline(k, SNAPSHOT_READY);
	/* 2 of the round, 2 wanted: p1 stands in the round's part already. */
	replayed(k, replaying(k, other, "0.5", 4),
	         "p0:a>b 8.2/2.8 rescored; p1:e>d 10/1 rescored; q:k1>k\"2 10/1 replay; ", 2, 1, 2);
	replayed(k, replaying(k, other, "0", 4), "p0:a>b 8.2/2.8 rescored; p1:e>d 10/1 rescored; ", 0, 0, 2);
	/* x = 3, -3 and 0.5, -0.5: ranks 4, 1 and 3, 2 of 4. */
	replayed(k, replaying(k, other, "1", 5), "p1:j1>j2 10/1 replay; q:k1>k\"2 7/4 replay; ", 5, 2, 0);
	replayed(k, replaying(k, other, "1", 0), "", 0, 0, 0);
}

/* The bytes of a file that holds both parts, and who made which. */
static void lineage_of_a_replay(void **state)
{
	struct kit *k = *state;
	struct snap_view v;
	struct built b;
	struct str meta;

	hand_worked(k);
	b = build(k, replaying(k, offline(k, SNAPSHOT_READY), "0.5", 4));
	kit_ok(k, snap_pair_at(b.snap, 2, &v, &k->e));
	assert_int_equal(v.lineage, 1);
	assert_str(v.rejected.text, "k\\\"2");
	assert_str(v.rejected.score, "7");
	assert_true(v.rejected.reward == 7);
	kit_ok(k, snap_meta(b.snap, &meta, &k->e));
	assert_non_null(strstr(arena_str(&k->a, meta).p,
		"\"lineage\":[{\"policy\":\"pi\",\"reference\":\"ref\"},{\"snapshot\":\""));
	assert_string_equal(b.x.revision, "3f3b59970ffed75f9cf140579bfa02896910ead540c8c7fa9888c6beb1548939");
	close_built(&b);
}

static void fails(struct kit *k, struct str recipe, enum problem p)
{
	struct built b;

	assert_int_equal(run(k, recipe, &b), BUILD_FAILED);
	assert_string_equal(problem_slug(k->e.problem), problem_slug(p));
	build_free(b.b);
}

static void a_replay_that_is_gone(void **state)
{
	struct kit *k = *state;
	struct snapshot_row row = {.id = STR("other"), .state = SNAPSHOT_REVOKED, .problem = STR("{}")};
	char path[SNAP_PATH_BYTES];
	const char *other;

	hand_worked(k);
	other = offline(k, SNAPSHOT_READY);
	snap_path(snaps, str_of(other), path);
	assert_int_equal(unlink(path), 0);
	fails(k, replaying(k, other, "0.5", 4), P_DAMAGED);
	kit_begin(k);
	assert_int_equal(store_snapshot_settle(k->w, &row, &k->e), 1);
	kit_commit(k);
	fails(k, replaying(k, other, "0.5", 4), P_UNKNOWN_SNAPSHOT);
}

/* --- recipes ---------------------------------------------------------------------------------------- */

static void recipes_come_back(void **state)
{
	struct kit *k = *state;
	struct str whole = replaying(k, "0000", "0.5", 4);
	struct buf b = BUF_INIT;
	struct recipe r;

	kit_ok(k, recipe_load(&k->a, whole, &r, &k->e));
	recipe_print(&b, &r, RECIPE_WHOLE);
	assert_str(buf_view(&b), whole.p);
	buf_clear(&b);
	recipe_print(&b, &r, RECIPE_HASHED);
	buf_byte(&b, '\0');
	assert_null(strstr(b.p, "\"r\""));
	assert_null(strstr(b.p, "other"));
	assert_null(strstr(b.p, "template"));
	assert_non_null(strstr(b.p, "\"gamma\":\"0.5\",\"revision\":\"0000\",\"seed\":0,\"total\":4"));
	buf_clear(&b);
	recipe_print(&b, &r, RECIPE_BUILD);
	buf_byte(&b, '\0');
	assert_non_null(strstr(b.p, "\"made_from\":{\"rescoring\":1,\"round\":\"r\",\"snapshot\":\"other\"}"));
	assert_null(strstr(b.p, "template"));
	buf_release(&b);
}

static void a_recipe_is_closed_over_a_rescoring(void **state)
{
	struct kit *k = *state;
	struct rescoring_row x = {.seq = 2, .params = STR("{\"alpha\":\"auto\",\"beta\":0.1,\"length\":\"tokens\","
	                                                  "\"min_responses\":3}"),
	                          .alpha = 0.5, .beta = 0.1, .result = STR(""), .created_at = NOW};
	struct recipe_post post;
	struct dataset d;
	int64_t seq = 99;

	hand_worked(k);
	kit_begin(k);
	kit_ok(k, store_rescoring_insert(k->w, STR("r"), &x, &k->e));
	x.alpha = 0.25;
	kit_ok(k, store_rescoring_insert(k->w, STR("r"), &x, &k->e));
	kit_commit(k);
	d = kit_get(k);
	kit_ok(k, recipe_read_post(&k->a, STR("{\"recipe\":{\"reward\":{\"round\":\"r\"}}}"), &post, &k->e));
	assert_int_equal(post.recipe.goal, GOAL_QUANTILE);
	kit_ok(k, rescored_resolve(&post.recipe, k->r, &k->a, &d, &seq, &k->e));
	assert_int_equal(seq, 2);
	assert_int_equal(post.recipe.made_from.rescoring, 2); /* the latest */
	assert_true(post.recipe.terms.alpha == 0.25 && post.recipe.terms.rule.in_tokens && !post.recipe.terms.sampled);
	assert_int_equal(post.recipe.terms.rule.max_characters, 20);
	post.recipe.made_from.rescoring = 3;
	kit_fails(k, rescored_resolve(&post.recipe, k->r, &k->a, &d, &seq, &k->e), P_UNKNOWN_ID,
	          "/recipe/reward/rescoring");
	post.recipe.made_from.round = STR("nobody");
	kit_fails(k, rescored_resolve(&post.recipe, k->r, &k->a, &d, &seq, &k->e), P_UNKNOWN_ID, "/recipe/reward/round");
}

/* Another pairing of the same rewards: one judge's place taken by the round. */
static void a_recipe_with_a_rounds_rewards(void **state)
{
	struct kit *k = *state;
	struct str recipe = STR(
		"{\"filters\":{},\"goal_scale\":{\"max\":10,\"min\":1},\"made_from\":{\"rescoring\":1,\"round\":\"r\"},"
		"\"pairing\":{\"min_margin\":0,\"min_responses\":2,\"seed\":42,\"strategy\":\"best_worst\"},"
		"\"reward\":{\"implicit\":{\"alpha\":0,\"beta\":0.1,"
		"\"filters\":{\"exclude_finish_reasons\":[],\"max_characters\":20,\"min_characters\":4},"
		"\"length\":\"characters\",\"policy\":\"pi\",\"reference\":\"ref\",\"responses\":\"dataset\"}},"
		"\"split\":\"train\",\"view\":{\"augment\":\"both\",\"format\":\"trl\",\"goal\":\"quantile\","
		"\"placement\":\"system\",\"template\":\"{goal}\"}}");
	struct built b;

	hand_worked(k);
	offline(k, SNAPSHOT_READY); /* responses that are not the round's */
	b = build(k, recipe);
	/* x = -1, 1; -2, 2; 0, 0: ranks 2, 5; 1, 6; 3.5. */
	assert_string_equal(told(k, &b), "p0:b>a 8.2/2.8 rescored; p1:e>d 10/1 rescored; ");
	assert_int_equal(b.x.counts.skipped[SKIP_EQUAL], 1);
	close_built(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_prompt_by_hand),
		TEST(what_does_not_pass),
		TEST(samples_by_index),
		TEST(a_reward_too_great),
		TEST(parameters),
		TEST(a_round_is_published),
		TEST(pairs_are_replayed),
		TEST(lineage_of_a_replay),
		TEST(a_replay_that_is_gone),
		TEST(recipes_come_back),
		TEST(a_recipe_is_closed_over_a_rescoring),
		TEST(a_recipe_with_a_rounds_rewards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
