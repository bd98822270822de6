/* Builds: from facts in a store to a file, with figures worked by hand. */
#include "store_kit.h"

#include <dirent.h>
#include <math.h>

#include "../../server/service/build.h"
#include "../../server/service/report.h"
#include "snap/read.h"

static char snaps[64];

static int set_up(void **state)
{
	strcpy(snaps, "/tmp/prefd-build-XXXXXX");
	assert_non_null(mkdtemp(snaps));
	return kit_setup(state);
}

static int tear_down(void **state)
{
	DIR *d = opendir(snaps);
	int strangers = 0;

	for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
		strangers += strncmp(entry->d_name, "tmp-", 4) == 0;
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(d), entry->d_name, 0);
	}
	closedir(d);
	assert_int_equal(strangers, 0); /* a build leaves nothing behind but its file */
	assert_int_equal(rmdir(snaps), 0);
	return kit_teardown(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* --- in few words ---------------------------------------------------------------------- */

struct answer_in {
	const char *id, *text;
	double overall; /* NAN: none */
	const char *model, *finish;
};

static void put_prompt(struct kit *k, const char *id, const char *messages, const char *source,
                       const struct answer_in *in, uint32_t n)
{
	struct response r[8];
	struct score s[8];
	struct row row;

	for (uint32_t i = 0; i < n; i++) {
		r[i] = response_of(in[i].id, in[i].text, in[i].model);
		r[i].finish_reason = str_of(in[i].finish);
		s[i] = score_of("g", "overall", in[i].overall, NOW);
		r[i].score = &s[i];
		r[i].scores = !isnan(in[i].overall);
	}
	row = record_of(id, messages, r, n);
	row.record.source = str_of(source);
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
}

#define USER(text) "[{\"role\":\"user\",\"content\":\"" text "\"}]"

static struct str resolved(struct kit *k, const char *recipe)
{
	struct dataset d = kit_get(k);
	struct recipe_post post;
	struct dataset_stats st;
	struct buf b = BUF_INIT;
	struct str s;

	s = arena_printf(&k->a, "{\"recipe\":%s}", recipe);
	kit_ok(k, recipe_read_post(&k->a, s, &post, &k->e));
	kit_ok(k, store_stats(k->r, &k->a, &d, &st, &k->e));
	kit_ok(k, recipe_resolve(&post.recipe, &k->a, &d, &st, &k->e));
	recipe_print(&b, &post.recipe, RECIPE_WHOLE);
	s = arena_str(&k->a, buf_view(&b));
	buf_release(&b);
	return s;
}

static struct build *begin(struct kit *k, const char *recipe, int64_t seq)
{
	struct dataset d = kit_get(k);
	struct build_spec spec = {snaps, STR("d"), d.key, seq ? seq : d.seq, resolved(k, recipe)};

	return build_new(&spec);
}

/* What came of it, and its file, open; close it. */
struct built {
	struct build_result x;
	struct snap *snap;
	struct build *b;
	struct recipe recipe;
};

static struct built build_at(struct kit *k, const char *recipe, int64_t seq)
{
	struct built out = {.b = begin(k, recipe, seq)};
	enum build_state state;

	kit_ok(k, recipe_load(&k->a, resolved(k, recipe), &out.recipe, &k->e));
	while ((state = build_step(out.b, k->r, 0, &k->e)) == BUILD_MORE) {
		assert_true(build_progress(out.b) >= 0);
		assert_true(build_progress(out.b) <= 1);
	}
	if (state == BUILD_FAILED)
		print_error("%s\n", k->e.detail);
	assert_int_equal(state, BUILD_DONE);
	assert_true(build_progress(out.b) == 1);
	out.x = *build_result(out.b);
	kit_ok(k, snap_open(&out.snap, snaps, str_of(out.x.revision), &k->e));
	kit_ok(k, snap_verify(out.snap, &k->e));
	assert_int_equal(snap_pairs(out.snap), out.x.found.pairs);
	assert_int_equal(snap_prompts(out.snap), out.x.prompts);
	assert_int_equal(snap_bytes(out.snap), out.x.bytes);
	return out;
}

static struct built build(struct kit *k, const char *recipe)
{
	return build_at(k, recipe, 0);
}

static void close_built(struct built *b)
{
	snap_close(b->snap);
	build_free(b->b);
}

/* "p:chosen>rejected chosen goal/rejected goal; " of all pairs. */
static const char *told(struct kit *k, const struct built *b)
{
	struct buf out = BUF_INIT;
	struct str s;

	for (uint64_t i = 0; i < snap_pairs(b->snap); i++) {
		struct snap_view v;

		kit_ok(k, snap_pair_at(b->snap, i, &v, &k->e));
		buf_printf(&out, "%.*s:%.*s>%.*s", STR_ARG(v.prompt_id), STR_ARG(v.chosen.id), STR_ARG(v.rejected.id));
		if (!v.plain)
			buf_printf(&out, " %.*s/%.*s", STR_ARG(v.chosen.goal), STR_ARG(v.rejected.goal));
		buf_lit(&out, "; ");
	}
	buf_byte(&out, '\0');
	s = arena_str(&k->a, buf_view(&out));
	buf_release(&out);
	return s.p;
}

static void gives(struct kit *k, const char *recipe, const char *want)
{
	struct built b = build(k, recipe);

	assert_string_equal(told(k, &b), want);
	close_built(&b);
}

/* --- pairs ------------------------------------------------------------------------------- */

static void some_facts(struct kit *k)
{
	const struct answer_in a[] = {{"a1", "one", 3, "m1", "stop"}, {"a2", "two", 9, "m2", NULL}, {"a3", "three", 5, NULL, "length"}};
	const struct answer_in b[] = {{"b1", "eins", 2, "m1", NULL}, {"b2", "zwei \"2\"\n", 4.25, "m2", NULL}};

	put_prompt(k, "pb", USER("b"), "s2", b, 2);
	put_prompt(k, "pa", USER("a"), "s1", a, 3);
}

static void pairs_in_canonical_order(void **state)
{
	struct kit *k = *state;
	struct snap_message m;
	struct snap_view v;
	struct built b;

	some_facts(k);
	gives(k, "{\"pairing\":{\"strategy\":\"best_worst\"}}", "pa:a2>a1 9/3; pb:b2>b1 4.25/2; ");
	gives(k, "{\"pairing\":{\"strategy\":\"all\"}}", "pa:a2>a1 9/3; pa:a2>a3 9/5; pa:a3>a1 5/3; pb:b2>b1 4.25/2; ");
	b = build(k, "{\"pairing\":{\"strategy\":\"best_worst\"}}");
	kit_ok(k, snap_pair_at(b.snap, 1, &v, &k->e));
	assert_str(v.chosen.text, "zwei \\\"2\\\"\\n");
	assert_str(v.chosen.score, "4.25");
	assert_str(v.chosen.goal_text, "4.25");
	assert_true(v.chosen.reward == 4.25);
	assert_null(v.chosen.ref_logp.p);
	assert_int_equal(v.origin, ORIGIN_JUDGED);
	assert_int_equal(v.messages, 1);
	kit_ok(k, snap_message_at(b.snap, &v, 0, &m, &k->e));
	assert_int_equal(m.role, ROLE_USER);
	assert_str(m.content, "b");
	assert_int_equal(snap_flags(b.snap), 0);
	close_built(&b);
}

/* Frozen: a change of this value changes every revision there is. Worked out
 * apart from this program, from the description in compile.h. */
#define GOLDEN "ab8288e16a42b9817fb8ae29fd695b3775c7e0e70f86f68776f5aa695d33afd3"

static void the_revision_is_frozen(void **state)
{
	struct kit *k = *state;
	struct str meta;
	struct built b;

	some_facts(k);
	b = build(k, "{\"pairing\":{\"strategy\":\"best_worst\"},\"view\":{\"augment\":\"none\"}}");
	assert_string_equal(b.x.revision, GOLDEN);
	kit_ok(k, snap_meta(b.snap, &meta, &k->e));
	assert_str(meta,
	           "{\"lineage\":[],\"recipe\":{\"filters\":{},\"goal_scale\":{\"max\":10,\"min\":1},\"pairing\":{\"min_margin\":0,"
	           "\"min_responses\":2,\"seed\":42,\"strategy\":\"best_worst\"},\"reward\":{\"across_judges\":\"mean\","
	           "\"attributes\":{\"overall\":1},\"judges\":[\"g\"],\"ranges\":{},\"rescale\":false},\"split\":\"train\","
	           "\"view\":{\"goal\":\"reward\"}}}");
	close_built(&b);
}

/* The same facts by another way: other order, other arrival, a revised score. */
static void same_data_same_bytes(void **state)
{
	const struct answer_in a1[] = {{"a3", "three", 5, NULL, "length"}, {"a1", "one", 7, "m1", "stop"}};
	const struct answer_in a2[] = {{"a2", "two", 9, "m2", NULL}};
	const struct answer_in b[] = {{"b2", "zwei \"2\"\n", 4.25, "m2", NULL}, {"b1", "eins", 2, "m1", NULL}};
	struct kit *k = *state, *other;
	struct built x, y;

	some_facts(k);
	x = build(k, "{\"pairing\":{\"strategy\":\"best_worst\"}}");
	kit_setup((void **)&other);
	put_prompt(other, "pa", USER("a"), "s1", a1, 2);
	put_prompt(other, "zz", USER("not train"), NULL, NULL, 0);
	put_prompt(other, "pa", USER("a"), "s1", a2, 1);
	kit_score(other, "a1", score_of("g", "overall", 3, NOW + 5));
	put_prompt(other, "pb", USER("b"), "s2", b, 2);
	y = build(other, "{\"pairing\":{\"strategy\":\"best_worst\"}}");
	assert_string_equal(x.x.revision, y.x.revision);
	assert_int_equal(x.x.bytes, y.x.bytes);
	close_built(&y);
	kit_teardown((void **)&other);
	close_built(&x);
}

static void a_snapshot_pins_its_number(void **state)
{
	const struct answer_in more[] = {{"c1", "c", 1, NULL, NULL}, {"c2", "d", 2, NULL, NULL}};
	struct kit *k = *state;
	struct built before, after;
	int64_t seq;

	some_facts(k);
	before = build(k, "{}");
	seq = kit_get(k).seq;
	put_prompt(k, "pc", USER("c"), NULL, more, 2);
	kit_score(k, "b1", score_of("g", "overall", 10, NOW + 9));
	after = build_at(k, "{}", seq);
	assert_string_equal(after.x.revision, before.x.revision);
	close_built(&after);
	after = build(k, "{}");
	assert_int_equal(after.x.found.pairs, 3);
	close_built(&after);
	close_built(&before);
}

/* --- what is left out ------------------------------------------------------------------------ */

static void skipped(struct kit *k, const char *recipe, enum skip reason, uint64_t n)
{
	struct built b = build(k, recipe);

	assert_int_equal(b.x.counts.skipped[reason], n);
	close_built(&b);
}

static void dropped(struct kit *k, const char *recipe, enum drop reason, uint64_t n)
{
	struct built b = build(k, recipe);

	assert_int_equal(b.x.counts.dropped[reason], n);
	close_built(&b);
}

static void every_reason_to_skip(void **state)
{
	const struct answer_in even[] = {{"e1", "x", 5, NULL, NULL}, {"e2", "y", 5.004, NULL, NULL}};
	struct kit *k = *state;

	some_facts(k);
	put_prompt(k, "pe", USER("even"), NULL, even, 2);
	skipped(k, "{}", SKIP_EQUAL, 1); /* 5 and 5.004 print alike */
	skipped(k, "{\"pairing\":{\"min_responses\":3}}", SKIP_TOO_FEW, 2);
	skipped(k, "{\"pairing\":{\"min_margin\":3}}", SKIP_SMALL_MARGIN, 1); /* pb: 2.25 */
	/* pe's messages are three characters longer than "b" in the kit's count */
	skipped(k, "{\"filters\":{\"max_prompt_characters\":33}}", SKIP_PROMPT_TOO_LONG, 1);
	kit_vote(k, vote_of("v", "a1", "a2", 1, NOW));
	kit_vote(k, vote_of("w", "a2", "a1", 1, NOW));
	kit_vote(k, vote_of("v", "e1", "e2", 1, NOW));
	skipped(k, "{\"pairing\":{\"strategy\":\"comparisons\"}}", SKIP_CONTRADICTORY, 1);
	skipped(k, "{\"pairing\":{\"strategy\":\"comparisons\"}}", SKIP_NO_VOTES, 1);
}

static void every_reason_to_drop(void **state)
{
	const struct answer_in c[] = {{"c1", "same", 4, NULL, NULL}, {"c2", "same", 8, NULL, NULL}, {"c3", "other", NAN, NULL, NULL}};
	struct kit *k = *state;

	some_facts(k);
	put_prompt(k, "pc", USER("c"), NULL, c, 3);
	dropped(k, "{}", DROP_MISSING_ATTRIBUTE, 1);
	dropped(k, "{}", DROP_DUPLICATE_TEXT, 1);
	dropped(k, "{\"filters\":{\"models\":[\"m1\"]}}", DROP_MODEL, 6);
	dropped(k, "{\"filters\":{\"exclude_finish_reasons\":[\"length\",\"stop\"]}}", DROP_FINISH_REASON, 2);
	dropped(k, "{\"filters\":{\"min_characters\":4}}", DROP_TOO_SHORT, 2);
	dropped(k, "{\"filters\":{\"max_characters\":5}}", DROP_TOO_LONG, 1);
	dropped(k, "{\"filters\":{\"min_reward\":4}}", DROP_LOW_REWARD, 2);
	dropped(k, "{\"pairing\":{\"strategy\":\"all\",\"min_margin\":3}}", DROP_SMALL_MARGIN, 2); /* a3>a1, b2>b1 */
}

static void sources_and_holdout_count_nowhere(void **state)
{
	struct kit *k = *state;
	struct built train, eval;

	some_facts(k);
	gives(k, "{\"filters\":{\"sources\":[\"s2\"]}}", "pb:b2>b1 4.25/2; ");
	gives(k, "{\"filters\":{\"exclude_sources\":[\"s2\"]},\"pairing\":{\"strategy\":\"best_worst\"}}", "pa:a2>a1 9/3; ");
	gives(k, "{\"filters\":{\"sources\":[\"s3\"]}}", "");
	gives(k, "{\"split\":\"test\"}", "");
	gives(k, "{\"holdout\":{\"fraction\":0,\"part\":\"train\"},\"pairing\":{\"strategy\":\"best_worst\"}}",
	      "pa:a2>a1 9/3; pb:b2>b1 4.25/2; ");
	gives(k, "{\"holdout\":{\"fraction\":1,\"part\":\"train\"}}", "");
	/* Together the two parts are the whole, and neither counts the other's. */
	train = build(k, "{\"holdout\":{\"fraction\":0.5,\"part\":\"train\",\"seed\":1}}");
	eval = build(k, "{\"holdout\":{\"fraction\":0.5,\"part\":\"eval\",\"seed\":1}}");
	assert_int_equal(train.x.found.pairs + eval.x.found.pairs, 2);
	for (int i = 0; i < SKIP_COUNT; i++)
		assert_int_equal(train.x.counts.skipped[i] + eval.x.counts.skipped[i], 0);
	close_built(&train);
	close_built(&eval);
}

/* --- goals -------------------------------------------------------------------------------------- */

/* pa: 3, 9, 5 with mean 17/3; x = -2.66…, 3.33…, -0.66…
 * pb: 2, 4.25 with mean 3.125; x = -1.125, 1.125
 * Ranked: a1 -2.67, b1 -1.125, a3 -0.67, b2 1.125, a2 3.33: k = 1, 2, 3, 4, 5;
 * goal = 1 + 9·(k-1)/4 = 1, 3.25, 5.5, 7.75, 10. */
static void goals_by_quantile(void **state)
{
	struct kit *k = *state;

	some_facts(k);
	gives(k, "{\"pairing\":{\"strategy\":\"all\"},\"view\":{\"goal\":\"quantile\"}}",
	      "pa:a2>a1 10/1; pa:a2>a3 10/5.5; pa:a3>a1 5.5/1; pb:b2>b1 7.75/3.25; ");
	/* pb has too few and takes no part in the ranks: n = 3. */
	gives(k, "{\"pairing\":{\"strategy\":\"best_worst\",\"min_responses\":3},\"view\":{\"goal\":\"quantile\"}}",
	      "pa:a2>a1 10/1; ");
}

/* help has the range 1 to 5: v → 1 + 9·(v-1)/4; care has none and passes.
 * r1: help 5 → 10, care 4;  r2: help 2 → 3.25, care 8
 * reward = (10 + 4)/2 = 7 and (3.25 + 8)/2 = 5.625 */
static void goals_by_attributes(void **state)
{
	const struct answer_in c[] = {{"r1", "x", NAN, NULL, NULL}, {"r2", "y", NAN, NULL, NULL}, {"r3", "z", NAN, NULL, NULL}};
	const struct attribute help = {STR("help"), 1, 5};
	struct dataset_change range = {.name = STR("d"), .attribute = &help, .attributes = 1};
	struct kit *k = *state;
	struct snap_view v;
	struct built b;
	bool created;

	kit_begin(k);
	kit_ok(k, store_dataset_put(k->w, &range, NOW, &created, &k->e));
	kit_commit(k);
	put_prompt(k, "p", USER("q"), NULL, c, 3);
	kit_score(k, "r1", score_of("g", "help", 5, NOW));
	kit_score(k, "r1", score_of("g", "care", 4, NOW));
	kit_score(k, "r2", score_of("g", "help", 2, NOW));
	kit_score(k, "r2", score_of("g", "care", 8, NOW));
	/* r3 has r2's reward with another vector: no pair with it. help 1 → 1, care 10.25 */
	kit_score(k, "r3", score_of("g", "help", 1, NOW));
	kit_score(k, "r3", score_of("g", "care", 10.25, NOW));
	b = build(k, "{\"pairing\":{\"strategy\":\"all\"},\"view\":{\"goal\":\"attributes\",\"augment\":\"none\"}}");
	assert_string_equal(told(k, &b), "p:r1>r2 {\"care\":4,\"help\":10}/{\"care\":8,\"help\":3.25}; "
	                                 "p:r1>r3 {\"care\":4,\"help\":10}/{\"care\":10.25,\"help\":1}; ");
	assert_int_equal(b.x.counts.dropped[DROP_EQUAL], 1);
	kit_ok(k, snap_pair_at(b.snap, 0, &v, &k->e));
	assert_str(v.chosen.goal_text, "care: 4, help: 10");
	assert_str(v.rejected.score, "5.625");
	/* care of r3 lies above the scale. */
	assert_int_equal(b.x.found.flags & SNAP_OUTSIDE_SCALE, SNAP_OUTSIDE_SCALE);
	assert_non_null(strstr(b.x.found.outside.detail, "care of response r3 is 10.25"));
	assert_int_equal(report_verdict(&b.x.found, &b.recipe, &k->e), 0); /* augment none: no goal is stated */
	b.recipe.augment = AUGMENT_CHOSEN;
	assert_int_equal(report_verdict(&b.x.found, &b.recipe, &k->e), -1);
	assert_int_equal(k->e.problem, P_GOAL_SCALE);
	close_built(&b);
}

static void rewards_outside_the_scale(void **state)
{
	const struct answer_in a[] = {{"a1", "one", 30, NULL, NULL}, {"a2", "two", 90, NULL, NULL}};
	struct kit *k = *state;
	struct built b;

	put_prompt(k, "p", USER("a"), NULL, a, 2);
	b = build(k, "{}");
	assert_int_equal(report_verdict(&b.x.found, &b.recipe, &k->e), -1);
	assert_int_equal(k->e.problem, P_GOAL_SCALE);
	assert_non_null(strstr(k->e.detail, "response a2 is 90"));
	assert_non_null(strstr(k->e.detail, "from 1 to 10"));
	assert_int_equal(snap_flags(b.snap), SNAP_OUTSIDE_SCALE);
	close_built(&b);
	/* Ranks have no scale to leave. */
	b = build(k, "{\"view\":{\"goal\":\"quantile\"}}");
	assert_int_equal(snap_flags(b.snap), 0);
	close_built(&b);
}

/* --- votes ---------------------------------------------------------------------------------------- */

static void votes_make_pairs(void **state)
{
	struct kit *k = *state;

	some_facts(k);
	kit_vote(k, vote_of("v", "a2", "a1", 1, NOW)); /* as the rewards have it: goals */
	kit_vote(k, vote_of("v", "a3", "a2", 1, NOW)); /* against the rewards: plain */
	kit_vote(k, vote_of("w", "a2", "a3", 0.5, NOW));
	kit_vote(k, vote_of("w", "b2", "b1", 1, NOW));
	gives(k, "{\"pairing\":{\"strategy\":\"comparisons\"}}", "pa:a2>a1 9/3; pa:a3>a2; pb:b2>b1 4.25/2; ");
	/* Judge w alone: a2 over a3. g's scores give no goals then. */
	gives(k, "{\"pairing\":{\"strategy\":\"comparisons\"},\"reward\":{\"judges\":[\"w\"]}}", "pa:a2>a3; pb:b2>b1; ");
}

/* --- formats and references ---------------------------------------------------------------------------- */

static void conversations_limit_formats(void **state)
{
	const struct answer_in a[] = {{"a1", "x", 3, NULL, NULL}, {"a2", "y", 4, NULL, NULL}};
	const struct answer_in b[] = {{"b1", "x", 3, NULL, NULL}, {"b2", "y", 4, NULL, NULL}};
	const struct answer_in c[] = {{"c1", "x", 3, NULL, NULL}, {"c2", "y", 4, NULL, NULL}};
	struct kit *k = *state;
	struct built x;

	put_prompt(k, "p1", "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"q\"}]", NULL, a, 2);
	x = build(k, "{\"view\":{\"format\":\"trl_text\"}}");
	assert_int_equal(snap_flags(x.snap), 0);
	assert_int_equal(report_verdict(&x.x.found, &x.recipe, &k->e), 0);
	close_built(&x);
	put_prompt(k, "p2", "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"},"
	                    "{\"role\":\"user\",\"content\":\"r\"}]", NULL, b, 2);
	x = build(k, "{\"view\":{\"format\":\"trl_text\"}}");
	assert_int_equal(snap_flags(x.snap), SNAP_NOT_TEXT);
	assert_str(x.x.found.not_text, "p2");
	assert_int_equal(report_verdict(&x.x.found, &x.recipe, &k->e), -1);
	assert_int_equal(k->e.problem, P_VIEW);
	assert_non_null(strstr(k->e.detail, "p2"));
	close_built(&x);
	put_prompt(k, "p0", "[{\"role\":\"tool\",\"content\":\"t\"}]", NULL, c, 2);
	x = build(k, "{}");
	assert_int_equal(snap_flags(x.snap), SNAP_NOT_TEXT | SNAP_NOT_TURNS);
	assert_str(x.x.found.not_turns, "p0");
	assert_str(x.x.found.not_text, "p0");
	assert_int_equal(report_verdict(&x.x.found, &x.recipe, &k->e), 0);
	close_built(&x);
}

static void references_go_along(void **state)
{
	const struct logprob l[] = {{STR("m"), -12.5, 7}, {STR("n"), -1, 7}};
	struct response r[2] = {response_of("a1", "x", NULL), response_of("a2", "y", NULL)};
	struct score s[2] = {score_of("g", "overall", 3, NOW), score_of("g", "overall", 4, NOW)};
	struct kit *k = *state;
	struct snap_view v;
	struct built b;
	struct row row;

	r[0].logprob = l;
	r[0].logprobs = 2;
	for (int i = 0; i < 2; i++) {
		r[i].score = &s[i];
		r[i].scores = 1;
	}
	row = record_of("p", USER("q"), r, 2);
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	b = build(k, "{\"reference\":\"m\"}");
	kit_ok(k, snap_pair_at(b.snap, 0, &v, &k->e));
	assert_str(v.rejected.ref_logp, "-12.5");
	assert_null(v.chosen.ref_logp.p);
	assert_int_equal(b.x.found.answers, 2);
	assert_int_equal(b.x.found.no_reference, 1);
	close_built(&b);
}

/* --- reports --------------------------------------------------------------------------------------------- */

static const char *reported(struct kit *k, const char *recipe)
{
	struct built b = build(k, recipe);
	struct buf out = BUF_INIT;
	struct str s;

	report_result(&out, &b.x, &b.recipe);
	s = arena_str(&k->a, buf_view(&out));
	buf_release(&out);
	close_built(&b);
	return s.p;
}

static void reports_and_warnings(void **state)
{
	const struct answer_in low[] = {{"a1", "one", 1, NULL, NULL}, {"a2", "two", 5, NULL, NULL}, {"a3", "two", 5, NULL, NULL}};
	struct kit *k = *state;
	struct row row = {.kind = ROW_SCORE};

	put_prompt(k, "p", USER("a"), NULL, low, 3);
	assert_string_equal(reported(k, "{\"view\":{\"augment\":\"none\"}}"),
	                    "{\"dropped\":{\"duplicate_text\":1},\"examples\":1,\"pairs\":1,\"prompts\":1,\"skipped\":{},"
	                    "\"warnings\":[]}");
	assert_non_null(strstr(reported(k, "{}"), "\"examples\":2,"));
	assert_non_null(strstr(reported(k, "{}"), "\"warnings\":[\"The greatest goal is 5 on a scale from 1 to 10, and overall "
	                                          "has no declared range"));
	assert_non_null(strstr(reported(k, "{\"pairing\":{\"min_margin\":9}}"),
	                       "\"skipped\":{\"small_margin\":1},\"warnings\":[\"No prompt has a pair"));
	assert_non_null(strstr(reported(k, "{\"reference\":\"m\"}"), "2 of 2 answers have no log-probability of m."));
	row.score.response = STR("a1");
	row.score.score = status_of("h", "overall", SCORE_FAILED, NOW);
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	/* h has no good score, so it is a judge only when it is named. */
	assert_null(strstr(reported(k, "{}"), "failed"));
	assert_non_null(strstr(reported(k, "{\"reward\":{\"judges\":[\"g\",\"h\"]}}"), "1 of 4 scores failed"));
}

/* --- ends that are not happy -------------------------------------------------------------------------------- */

static void a_build_cut_short_leaves_nothing(void **state)
{
	struct kit *k = *state;
	struct build *b;

	some_facts(k);
	b = begin(k, "{\"view\":{\"goal\":\"quantile\"}}", 0);
	assert_int_equal(build_step(b, k->r, 0, &k->e), BUILD_MORE);
	assert_true(build_progress(b) < 1);
	build_free(b);
	b = begin(k, "{}", 0);
	assert_int_equal(build_step(b, k->r, 0, &k->e), BUILD_MORE);
	build_free(b);
	build_free(NULL);
}

static void a_dataset_that_went(void **state)
{
	struct build_spec spec = {snaps, STR("d"), 77, 1, STR_NONE};
	struct kit *k = *state;
	struct build *b;

	some_facts(k);
	spec.recipe = resolved(k, "{}");
	b = build_new(&spec);
	assert_int_equal(build_step(b, k->r, 0, &k->e), BUILD_FAILED);
	assert_int_equal(k->e.problem, P_UNKNOWN_DATASET);
	build_free(b);
	spec.dataset = STR("e");
	b = build_new(&spec);
	assert_int_equal(build_step(b, k->r, 0, &k->e), BUILD_FAILED);
	assert_int_equal(k->e.problem, P_UNKNOWN_DATASET);
	build_free(b);
}

static void a_folder_that_is_not_there(void **state)
{
	struct build_spec spec = {"/nonexistent/prefd", STR("d"), 1, 1, STR_NONE};
	struct kit *k = *state;

	some_facts(k);
	spec.dataset_key = kit_get(k).key;
	for (int i = 0; i < 2; i++) {
		struct build *b;

		spec.recipe = resolved(k, i ? "{\"view\":{\"goal\":\"quantile\"}}" : "{}");
		b = build_new(&spec);
		assert_int_equal(build_step(b, k->r, 0, &k->e), BUILD_FAILED);
		assert_int_equal(k->e.problem, P_INTERNAL);
		build_free(b);
	}
}

/* More prompts than a page, so that steps and pages meet; every fourth has one
 * answer only. */
static void many_pages(void **state)
{
	enum { PROMPTS = 700 };
	struct kit *k = *state;
	struct built b;
	char id[16], w[16], l[16];

	kit_begin(k);
	for (int i = 0; i < PROMPTS; i++) {
		struct response r[2];
		struct score s[2] = {score_of("g", "overall", 2, NOW), score_of("g", "overall", 3 + i % 7, NOW)};
		struct row row;

		snprintf(id, sizeof id, "p%d", i);
		snprintf(l, sizeof l, "l%d", i);
		snprintf(w, sizeof w, "w%d", i);
		r[0] = response_of(l, "low", NULL);
		r[1] = response_of(w, "high", NULL);
		for (int j = 0; j < 2; j++) {
			r[j].score = &s[j];
			r[j].scores = 1;
		}
		row = record_of(id, USER("q"), r, i % 4 ? 2 : 1);
		kit_ok(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW));
	}
	kit_commit(k);
	b = build(k, "{}");
	assert_int_equal(b.x.prompts, PROMPTS - PROMPTS / 4);
	assert_int_equal(b.x.counts.skipped[SKIP_TOO_FEW], PROMPTS / 4);
	close_built(&b);
	b = build(k, "{\"view\":{\"goal\":\"quantile\"}}");
	assert_int_equal(b.x.prompts, PROMPTS - PROMPTS / 4);
	assert_int_equal(b.x.counts.skipped[SKIP_TOO_FEW], PROMPTS / 4); /* counted once, though read twice */
	close_built(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pairs_in_canonical_order),
		TEST(the_revision_is_frozen),
		TEST(same_data_same_bytes),
		TEST(a_snapshot_pins_its_number),
		TEST(every_reason_to_skip),
		TEST(every_reason_to_drop),
		TEST(sources_and_holdout_count_nowhere),
		TEST(goals_by_quantile),
		TEST(goals_by_attributes),
		TEST(rewards_outside_the_scale),
		TEST(votes_make_pairs),
		TEST(conversations_limit_formats),
		TEST(references_go_along),
		TEST(reports_and_warnings),
		TEST(a_build_cut_short_leaves_nothing),
		TEST(a_dataset_that_went),
		TEST(a_folder_that_is_not_there),
		TEST(many_pages),
	};

	return cmocka_run_group_tests_name("build", tests, NULL, NULL);
}
