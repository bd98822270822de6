/* Rounds: a whole life by hand, with leases, late deliveries, filters, an end. */
#include "round_kit.h"
#include "store/stats.h"

/* --- what was asked --------------------------------------------------------------------- */

static void a_round_keeps_what_was_asked(void **state)
{
	struct kit *k = *state;
	struct round_row row = round_of("dice-1", 2), got;

	kit_questions(k, 3);
	row.name = STR("dice-1");
	row.previous = STR("dice-0");
	assert_int_equal(kit_round_of(k, &row, STR_NONE, -1, 0), 3);
	assert_true(row.key > 0);
	assert_int_equal(row.seq, 3); /* each prompt took a number */
	kit_ok(k, store_round_get(k->r, &k->a, STR("dice-1"), &got, &k->e));
	assert_int_equal(got.key, row.key);
	assert_str(got.id, "dice-1");
	assert_str(got.name, "dice-1");
	assert_str(got.dataset, "d");
	assert_int_equal(got.dataset_key, kit_get(k).key);
	assert_int_equal(got.state, ROUND_OPEN);
	assert_int_equal(got.mode, ROUND_SAMPLE);
	assert_str(got.posted, "{\"policy\":\"pi\"}");
	assert_str(got.spec, "{\"beta\":0.1,\"policy\":\"pi\"}");
	assert_str(got.policy, "pi");
	assert_str(got.reference, "ref");
	assert_str(got.previous, "dice-0");
	assert_int_equal(got.per_prompt, 2);
	assert_int_equal(got.lease_us, LEASE);
	assert_int_equal(got.excludes, 2);
	assert_str(got.exclude_finish_reason[0], "abort"); /* in byte order */
	assert_str(got.exclude_finish_reason[1], "length");
	assert_int_equal(got.min_characters, 4);
	assert_int_equal(got.max_characters, 20);
	assert_int_equal(got.seq, 3);
	assert_int_equal(got.created_at, NOW);
	kit_fails(k, store_round_get(k->r, &k->a, STR("dice-2"), &got, &k->e), P_UNKNOWN_ROUND, "");
	assert_progress(k, "dice-1", 3, PAIR(0, 6), PAIR(0, 6), PAIR(0, 6));
	kit_check(k);
}

static void an_id_is_used_once(void **state)
{
	struct kit *k = *state;
	struct round_row row = round_of("r", 2);
	int64_t prompts;

	kit_round(k, "r", 2);
	kit_begin(k);
	kit_fails(k, store_round_insert(k->w, &row, STR_NONE, -1, 0, &prompts, &k->e), P_CONFLICT, "");
	row.id = STR("other");
	row.dataset = STR("nobody's");
	kit_fails(k, store_round_insert(k->w, &row, STR_NONE, -1, 0, &prompts, &k->e), P_UNKNOWN_DATASET, "");
	kit_undo(k);
	kit_fails(k, store_round_insert(k->w, &row, STR_NONE, -1, 0, &prompts, &k->e), P_INTERNAL, "");
}

static void lists_go_by_id(void **state)
{
	struct kit *k = *state;
	struct round_row other = round_of("a", 1), *row;
	struct dataset d = kit_get(k);
	uint32_t n;

	kit_dataset(k, "d2");
	other.dataset = STR("d2");
	kit_round(k, "c", 1);
	kit_round_of(k, &other, STR_NONE, -1, 0);
	kit_round(k, "b", 1);
	kit_ok(k, store_round_list(k->r, &k->a, 0, STR_NONE, 10, &row, &n, &k->e));
	assert_int_equal(n, 3);
	assert_str(row[0].id, "a");
	assert_str(row[2].id, "c");
	assert_int_equal(row[2].excludes, 2);
	kit_ok(k, store_round_list(k->r, &k->a, d.key, STR_NONE, 10, &row, &n, &k->e));
	assert_int_equal(n, 2);
	assert_str(row[0].id, "b");
	kit_ok(k, store_round_list(k->r, &k->a, 0, STR("a"), 1, &row, &n, &k->e));
	assert_int_equal(n, 1);
	assert_str(row[0].id, "b");
}

/* --- which prompts ------------------------------------------------------------------------ */

/* SHA-256("prefd-round-1\n" seed "\n" hex(SHA-256(messages))) of p0 … p7,
 * sorted, worked out in Python:
 *   seed 0          p7 p6 p1 p2 p3 p0 p4 p5
 *   seed 42         p7 p0 p4 p1 p5 p6 p3 p2
 *   seed 2^64 - 1   p5 p4 p1 p7 p0 p6 p2 p3
 * Pages come in byte order of ids. */
static void prompts_are_drawn_by_the_seed(void **state)
{
	static const struct {
		const char *id;
		uint64_t seed;
		int64_t limit;
		const char *prompts;
	} draw[] = {
		{"a", 0, 3, "p1 p6 p7"},       {"b", 0, 5, "p1 p2 p3 p6 p7"},
		{"c", 42, 4, "p0 p1 p4 p7"},   {"d", 42, 7, "p0 p1 p3 p4 p5 p6 p7"},
		{"e", UINT64_MAX, 2, "p4 p5"}, {"f", 1, 0, ""},
		{"g", 1, 100, "p0 p1 p2 p3 p4 p5 p6 p7"},
		{"h", 1, INT64_MAX, "p0 p1 p2 p3 p4 p5 p6 p7"},
		{"i", 1, -1, "p0 p1 p2 p3 p4 p5 p6 p7"},
	};
	struct kit *k = *state;

	kit_questions(k, 8);
	for (size_t i = 0; i < sizeof draw / sizeof *draw; i++) {
		struct round_row row = round_of(draw[i].id, 1);
		int64_t n = kit_round_of(k, &row, STR_NONE, draw[i].limit, draw[i].seed);

		assert_string_equal(kit_prompts(k, draw[i].id), draw[i].prompts);
		assert_int_equal(n, (strlen(draw[i].prompts) + 1) / 3);
		assert_int_equal(kit_progress(k, draw[i].id, NOW).prompts, n);
	}
	kit_check(k);
}

/* Of prompts with the same messages the first in byte order of ids is drawn; a
 * prompt that comes later is not of the round; splits are told apart. */
static void twins_splits_and_latecomers(void **state)
{
	struct kit *k = *state;
	struct row twin = question(7, NULL, 0), late = question(1, NULL, 0), test = question(2, NULL, 0);
	struct round_row one = round_of("one", 1), train = round_of("train", 1), two = round_of("two", 1);
	struct round_row drawn = round_of("drawn", 1);

	kit_ok(k, kit_put(k, &twin, CONFLICT_REFUSE));
	twin.record.id = STR("p10");
	kit_ok(k, kit_put(k, &twin, CONFLICT_REFUSE));
	test.record.split = STR("test");
	kit_ok(k, kit_put(k, &test, CONFLICT_REFUSE));
	assert_int_equal(kit_round_of(k, &one, STR_NONE, 1, 42), 1);
	assert_int_equal(kit_round_of(k, &two, STR_NONE, 2, 42), 2);
	assert_int_equal(kit_round_of(k, &train, STR("train"), -1, 0), 2);
	assert_int_equal(kit_round_of(k, &drawn, STR("test"), 5, 0), 1);
	kit_ok(k, kit_put(k, &late, CONFLICT_REFUSE));
	assert_string_equal(kit_prompts(k, "one"), "p10");
	assert_string_equal(kit_prompts(k, "two"), "p10 p7");
	assert_string_equal(kit_prompts(k, "train"), "p10 p7");
	assert_string_equal(kit_prompts(k, "drawn"), "p2");
}

/* More candidates than a draw keeps at once (1,024, or twice the limit): of 3,000
 * prompts q0000 … with messages m0000 … the five of seed 7, by Python. */
static void a_draw_among_many(void **state)
{
	struct kit *k = *state;
	struct round_row row = round_of("r", 1);
	char id[16], messages[32];

	kit_begin(k);
	for (int i = 0; i < 3000; i++) {
		struct row q;

		snprintf(id, sizeof id, "q%04d", i);
		snprintf(messages, sizeof messages, "[\"m%04d\"]", i);
		q = record_of(id, messages, NULL, 0);
		kit_ok(k, kit_put_in(k, &q, CONFLICT_REFUSE, NOW));
	}
	kit_commit(k);
	assert_int_equal(kit_round_of(k, &row, STR_NONE, 5, 7), 5);
	assert_string_equal(kit_prompts(k, "r"), "q1732 q1787 q2661 q2696 q2961");
}

/* --- a life ------------------------------------------------------------------------------------ */

static struct delivery_counts delivered;

/* Two prompts, two samples each, two workers. */
static void a_whole_life(void **state)
{
	struct kit *k = *state;
	struct taken a, b;

	kit_questions(k, 2);
	kit_round(k, "r", 2);
	kit_found(k, "r", WORK_POLICY, NOW, LEASE_NOT_NOW); /* samples are still to come */
	a = kit_take(k, "r", WORK_SAMPLE, "a", 1, NOW);
	b = kit_take(k, "r", WORK_SAMPLE, "b", 5, NOW);
	assert_int_equal(a.found, LEASE_TASKS);
	assert_string_equal(taken_task(k, &a, 0), "p0: 0 1");
	assert_str(a.task[0].messages, "[{\"role\":\"user\",\"content\":\"question 0\"}]");
	assert_null(a.task[0].prompt_token_ids.p);
	assert_int_equal(b.n, 1);
	assert_string_equal(taken_task(k, &b, 0), "p1: 0 1");
	kit_found(k, "r", WORK_SAMPLE, NOW, LEASE_NOT_NOW); /* others hold them */
	assert_int_equal(kit_progress(k, "r", NOW).leases, 2);

	assert_int_equal(kit_deliver(k, "r", "p0", 0, "answer"), 1);
	kit_found(k, "r", WORK_POLICY, NOW, LEASE_NOT_NOW);
	assert_int_equal(kit_deliver(k, "r", "p0", 1, "answer"), 1); /* equal texts are two samples */
	assert_progress(k, "r", 2, PAIR(2, 4), PAIR(0, 4), PAIR(0, 4));
	a = kit_take(k, "r", WORK_POLICY, "c", 5, NOW); /* p0 can be scored, p1 not yet */
	assert_int_equal(a.n, 1);
	assert_int_equal(a.task[0].responses, 2);
	assert_str(a.task[0].response[0].text, "answer");
	assert_true(str_eq(a.task[0].response[0].id, kit_sample_id(k, "r", "p0", 0)));
	kit_found(k, "r", WORK_POLICY, NOW, LEASE_NOT_NOW);
	a = kit_take(k, "r", WORK_REFERENCE, "d", 5, NOW); /* the other model's work is its own */
	assert_string_equal(taken_prompts(k, &a), "p0");

	kit_deliver(k, "r", "p1", 1, "other answer");
	kit_deliver(k, "r", "p1", 0, "third answer");
	kit_found(k, "r", WORK_SAMPLE, NOW, LEASE_NO_MORE);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(kit_scored(k, "r", kit_sample_id(k, "r", "p0", i), "pi", -1.5), 1);
		assert_int_equal(kit_scored(k, "r", kit_sample_id(k, "r", "p1", i), "pi", -2.5), 1);
	}
	kit_found(k, "r", WORK_POLICY, NOW, LEASE_NO_MORE);
	assert_progress(k, "r", 2, PAIR(4, 4), PAIR(4, 4), PAIR(0, 4));
	a = kit_take(k, "r", WORK_REFERENCE, "e", 5, NOW);
	assert_string_equal(taken_prompts(k, &a), "p1");
	kit_check(k);
}

static void leases_end_by_the_clock(void **state)
{
	struct kit *k = *state;
	struct taken t;

	kit_questions(k, 3);
	kit_round(k, "r", 3);
	t = kit_take(k, "r", WORK_SAMPLE, "a", 2, NOW);
	assert_string_equal(taken_prompts(k, &t), "p0 p1");
	kit_deliver(k, "r", "p0", 1, "answer");
	t = kit_take(k, "r", WORK_SAMPLE, "b", 2, NOW + 1);
	assert_string_equal(taken_prompts(k, &t), "p2");
	kit_found(k, "r", WORK_SAMPLE, NOW + LEASE - 1, LEASE_NOT_NOW); /* the last microsecond of it */
	assert_int_equal(kit_progress(k, "r", NOW + LEASE - 1).leases, 2);
	assert_int_equal(kit_progress(k, "r", NOW + LEASE).leases, 1);
	t = kit_take(k, "r", WORK_SAMPLE, "c", 9, NOW + LEASE);
	assert_string_equal(taken_prompts(k, &t), "p0 p1"); /* what was not delivered */
	assert_string_equal(taken_task(k, &t, 0), "p0: 0 2");
	assert_string_equal(taken_task(k, &t, 1), "p1: 0 1 2");
	t = kit_take(k, "r", WORK_SAMPLE, "d", 9, NOW + LEASE + 1);
	assert_string_equal(taken_prompts(k, &t), "p2");
	kit_check(k);
}

static int renew(struct kit *k, const char *round, const char *lease, int64_t until, int64_t now)
{
	struct err e;
	int rc;

	kit_begin(k);
	rc = store_lease_renew(k->w, str_of(round), str_of(lease), until, now, &k->e);
	e = k->e;
	kit_commit(k);
	k->e = e;
	return rc;
}

static int give_back(struct kit *k, const char *round, const char *lease)
{
	struct err e;
	int rc;

	kit_begin(k);
	rc = store_lease_end(k->w, str_of(round), str_of(lease), &k->e);
	e = k->e;
	kit_commit(k);
	k->e = e;
	return rc;
}

static void leases_are_renewed_and_given_back(void **state)
{
	struct kit *k = *state;
	struct taken t;

	kit_questions(k, 2);
	kit_round(k, "r", 1);
	kit_round(k, "r2", 1);
	kit_take(k, "r", WORK_SAMPLE, "a", 1, NOW);
	kit_ok(k, renew(k, "r", "a", NOW + 3 * LEASE, NOW + LEASE - 1));
	t = kit_take(k, "r", WORK_SAMPLE, "b", 9, NOW + 2 * LEASE);
	assert_string_equal(taken_prompts(k, &t), "p1"); /* p0 is held longer now */
	kit_fails(k, renew(k, "r", "a", NOW + 9 * LEASE, NOW + 3 * LEASE), P_GONE, "");
	kit_fails(k, renew(k, "r2", "a", NOW + 9 * LEASE, NOW), P_UNKNOWN_LEASE, "");
	kit_fails(k, renew(k, "r", "z", NOW + 9 * LEASE, NOW), P_UNKNOWN_LEASE, "");
	kit_fails(k, renew(k, "r9", "a", NOW + 9 * LEASE, NOW), P_UNKNOWN_ROUND, "");

	/* a ran out and p0 went to c: giving a back takes nothing from c. */
	t = kit_take(k, "r", WORK_SAMPLE, "c", 1, NOW + 3 * LEASE);
	assert_string_equal(taken_prompts(k, &t), "p0"); /* b ran out at the same time: p1 is next */
	t = kit_take(k, "r", WORK_SAMPLE, "c2", 1, NOW + 3 * LEASE);
	assert_string_equal(taken_prompts(k, &t), "p1");
	kit_ok(k, give_back(k, "r", "a"));
	kit_found(k, "r", WORK_SAMPLE, NOW + 3 * LEASE, LEASE_NOT_NOW);
	kit_ok(k, give_back(k, "r", "c2"));
	kit_ok(k, give_back(k, "r", "c2")); /* twice is once */
	assert_int_equal(kit_progress(k, "r", NOW + 3 * LEASE).leases, 1);
	t = kit_take(k, "r", WORK_SAMPLE, "d", 9, NOW + 3 * LEASE);
	assert_string_equal(taken_prompts(k, &t), "p1");
	kit_ok(k, give_back(k, "r", "c2")); /* nor does it take anything from d */
	kit_found(k, "r", WORK_SAMPLE, NOW + 3 * LEASE, LEASE_NOT_NOW);
	kit_fails(k, renew(k, "r", "c2", NOW + 9 * LEASE, NOW), P_GONE, "");
	kit_fails(k, give_back(k, "r2", "d"), P_UNKNOWN_LEASE, "");
	t = kit_take(k, "r", WORK_SAMPLE, "d", 1, NOW + 9 * LEASE);
	kit_fails(k, t.rc, P_CONFLICT, ""); /* its id was used */
}

/* --- deliveries ------------------------------------------------------------------------------------ */

static void late_deliveries_count_once(void **state)
{
	struct kit *k = *state;
	struct sample x = sample_of("p0", 0, "second text");
	struct logprob l = {STR("pi"), -3, 7};
	uint32_t n;
	struct round_prompt *p;

	kit_questions(k, 1);
	kit_round(k, "r", 2);
	kit_take(k, "r", WORK_SAMPLE, "a", 1, NOW);
	kit_take(k, "r", WORK_SAMPLE, "b", 1, NOW + LEASE); /* a ran out */
	assert_int_equal(kit_deliver(k, "r", "p0", 0, "first text"), 1); /* a's, late, is the first */
	x.logprob = &l;
	x.logprobs = 1;
	delivered = (struct delivery_counts){0};
	kit_ok(k, kit_sample(k, "r", &x, &delivered)); /* b's of the same changes nothing */
	assert_int_equal(delivered.responses_created, 0);
	assert_int_equal(delivered.responses_unchanged, 1);
	assert_int_equal(delivered.logprobs_created, 0); /* it would be another text's */
	assert_progress(k, "r", 1, PAIR(1, 2), PAIR(0, 2), PAIR(0, 2));
	p = kit_page(k, "r", SEQ_LATEST, &n);
	assert_int_equal(p[0].responses, 1);
	assert_int_equal(p[0].response[0].characters, 10);

	x.index = 1;
	kit_ok(k, kit_sample(k, "r", &x, &delivered));
	assert_int_equal(delivered.logprobs_created, 1);
	assert_int_equal(kit_scored(k, "r", kit_sample_id(k, "r", "p0", 1), "pi", -4), 0); /* the first stays */
	assert_int_equal(kit_scored(k, "r", kit_sample_id(k, "r", "p0", 1), "ref", -5), 1);
	p = kit_page(k, "r", SEQ_LATEST, &n);
	assert_true(p[0].response[1].scored[0] && p[0].response[1].scored[1]);
	assert_true(p[0].response[1].logprob[0] == -3 && p[0].response[1].logprob[1] == -5);
	assert_int_equal(p[0].response[1].counted[0], 7);
	assert_int_equal(p[0].response[1].counted[1], -1);
	assert_false(p[0].response[0].scored[0]);
	assert_progress(k, "r", 1, PAIR(2, 2), PAIR(1, 2), PAIR(1, 2));
	kit_check(k);
	delivered = (struct delivery_counts){0};
	x = sample_of("p0", 0, "first text");
	x.logprob = &l;
	x.logprobs = 1;
	kit_ok(k, kit_sample(k, "r", &x, &delivered)); /* the same text, now with its first one */
	assert_int_equal(delivered.responses_unchanged, 1);
	assert_int_equal(delivered.logprobs_created, 1);
	kit_check(k);
}

/* Golden: the first 32 hex digits of SHA-256("prefd-sample-1\ndice-1\np0\n0"), by
 * Python; and with index 15; and p1 with 0. */
static void samples_are_ordinary_responses(void **state)
{
	struct kit *k = *state;
	struct sample x = sample_of("p0", 15, "fifteen");
	struct dataset d;
	struct dataset_stats st;
	struct read_prompt p;

	kit_questions(k, 2);
	kit_round(k, "dice-1", 16);
	kit_deliver(k, "dice-1", "p0", 0, "zero");
	kit_deliver(k, "dice-1", "p1", 0, "zero");
	x.tokens = 9;
	x.finish_reason = STR("stop");
	kit_ok(k, kit_sample(k, "dice-1", &x, &delivered));
	p = kit_read(k, "p0", SEQ_LATEST, READ_TEXTS);
	assert_int_equal(p.responses, 2);
	assert_str(p.response[0].id, "479cb4d0cb10ae6e06cb102cb787d181");
	assert_str(p.response[0].text, "fifteen");
	assert_str(p.response[0].model, "pi");
	assert_str(p.response[0].round, "dice-1");
	assert_int_equal(p.response[0].tokens, 9);
	assert_str(p.response[0].finish_reason, "stop");
	assert_str(p.response[1].id, "b2ebc221710984479ee95b06ec92ff28");
	assert_str(kit_sample_id(k, "dice-1", "p1", 0), "ced1f502dd84f14ba12dc530897407c4");

	kit_score(k, "479cb4d0cb10ae6e06cb102cb787d181", score_of("j", "overall", 7, 1));
	d = kit_get(k);
	kit_ok(k, store_stats(k->r, &k->a, &d, &st, &k->e));
	assert_int_equal(st.responses, 3);
	assert_int_equal(st.scored_prompts, 1);
	kit_check(k);
}

/* A queue over one round's samples; other responses know no round. */
static void judges_score_a_round(void **state)
{
	struct kit *k = *state;
	struct response old = response_of("old", "an old answer", "pi");
	struct row row = question(0, &old, 1);
	struct round_row a, b;
	struct unscored q = {.judge = STR("j"), .attribute = STR("overall"), .limit = 10};
	struct unscored_row *found;
	int64_t cursor[2];
	struct dataset d;
	uint32_t n;
	bool more;

	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	a = kit_round(k, "a", 2);
	b = kit_round(k, "b", 2);
	kit_deliver(k, "a", "p0", 0, "of a");
	kit_deliver(k, "b", "p0", 0, "of b");
	d = kit_get(k);
	assert_null(kit_read(k, "p0", SEQ_LATEST, 0).response[2].round.p); /* "old" is the last by id */
	kit_ok(k, store_unscored(k->r, &k->a, &d, &q, &found, &n, &more, cursor, &k->e));
	assert_int_equal(n, 3);
	q.round = b.key;
	kit_ok(k, store_unscored(k->r, &k->a, &d, &q, &found, &n, &more, cursor, &k->e));
	assert_int_equal(n, 1);
	assert_str(found[0].text, "of b");
	q.round = a.key;
	q.model = STR("ref");
	kit_ok(k, store_unscored(k->r, &k->a, &d, &q, &found, &n, &more, cursor, &k->e));
	assert_int_equal(n, 0);
}

/* 4 to 20 characters, neither "length" nor "abort". Of four samples two pass. */
static void filters_drop_samples_from_score_work(void **state)
{
	struct kit *k = *state;
	struct sample cut = sample_of("p0", 2, "cut off"), late = sample_of("p0", 3, "to the end");
	struct taken t;

	kit_questions(k, 1);
	kit_round(k, "r", 4);
	kit_deliver(k, "r", "p0", 0, "abc");                   /* 3: too short */
	kit_deliver(k, "r", "p0", 1, "exactly 20 character"); /* the limit itself */
	cut.finish_reason = STR("length");
	kit_ok(k, kit_sample(k, "r", &cut, &delivered));
	assert_progress(k, "r", 1, PAIR(3, 4), PAIR(0, 2), PAIR(0, 2)); /* one there, one to come */
	late.finish_reason = STR("stop");
	kit_ok(k, kit_sample(k, "r", &late, &delivered));
	assert_progress(k, "r", 1, PAIR(4, 4), PAIR(0, 2), PAIR(0, 2));
	t = kit_take(k, "r", WORK_POLICY, "a", 1, NOW);
	assert_int_equal(t.task[0].responses, 2);
	assert_str(t.task[0].response[0].text, "exactly 20 character");
	assert_str(t.task[0].response[1].text, "to the end");
	kit_scored(k, "r", kit_sample_id(k, "r", "p0", 0), "pi", -1); /* nobody asked: a fact, but not progress */
	assert_progress(k, "r", 1, PAIR(4, 4), PAIR(0, 2), PAIR(0, 2));
	kit_scored(k, "r", kit_sample_id(k, "r", "p0", 1), "pi", -1);
	t = kit_take(k, "r", WORK_POLICY, "b", 1, NOW + LEASE);
	assert_int_equal(t.task[0].responses, 1); /* what is still missing */
	kit_scored(k, "r", kit_sample_id(k, "r", "p0", 3), "pi", 0);
	kit_found(k, "r", WORK_POLICY, NOW, LEASE_NO_MORE);
	kit_check(k);
}

static void a_prompt_without_a_valid_sample_wants_no_scores(void **state)
{
	struct kit *k = *state;

	kit_questions(k, 1);
	kit_round(k, "r", 1);
	kit_deliver(k, "r", "p0", 0, "");
	kit_found(k, "r", WORK_REFERENCE, NOW, LEASE_NO_MORE);
	assert_progress(k, "r", 1, PAIR(1, 1), PAIR(0, 0), PAIR(0, 0));
	kit_check(k);
}

static void token_ids_go_to_the_scorers(void **state)
{
	struct kit *k = *state;
	struct sample a = sample_of("p0", 0, "some text"), b = sample_of("p0", 1, "more text");
	struct taken t;

	kit_questions(k, 1);
	kit_round(k, "r", 2);
	a.token_ids = STR("[4,5,2]");
	kit_ok(k, kit_sample(k, "r", &a, &delivered));
	b.prompt_token_ids = STR("[1,2]");
	kit_ok(k, kit_sample(k, "r", &b, &delivered));
	t = kit_take(k, "r", WORK_POLICY, "l", 1, NOW);
	assert_str(t.task[0].prompt_token_ids, "[1,2]");
	assert_str(t.task[0].response[0].token_ids, "[4,5,2]");
	assert_null(t.task[0].response[1].token_ids.p);
}

static void wrong_deliveries_are_refused(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("stored", "a stored answer", "m"), taken;
	struct row row = question(0, &r, 1);
	struct logprob l = {STR("m"), -1, -1};
	struct sample x = sample_of("p0", 2, "an answer"), y = sample_of("p9", 0, "an answer");

	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	kit_round(k, "r", 2);
	kit_round(k, "stored", 0);
	kit_fails(k, kit_sample(k, "r", &x, &delivered), P_INVALID, "/index");
	kit_fails(k, kit_sample(k, "r", &y, &delivered), P_UNKNOWN_ID, "/prompt");
	kit_fails(k, kit_sample(k, "none", &y, &delivered), P_UNKNOWN_ROUND, "");
	x.index = 1;
	kit_fails(k, kit_sample(k, "stored", &x, &delivered), P_INVALID, "");
	x.logprob = &l;
	x.logprobs = 1;
	kit_fails(k, kit_sample(k, "r", &x, &delivered), P_INVALID, "/logprobs");
	kit_deliver(k, "r", "p0", 0, "an answer");
	kit_fails(k, kit_logprob(k, "r", STR("stored"), "pi", -1, &delivered), P_UNKNOWN_ID, "/response");
	kit_fails(k, kit_logprob(k, "r", STR("nobody's"), "pi", -1, &delivered), P_UNKNOWN_ID, "/response");
	kit_fails(k, kit_logprob(k, "stored", kit_sample_id(k, "r", "p0", 0), "pi", -1, &delivered), P_UNKNOWN_ID,
	          "/response"); /* it came after that round */
	kit_fails(k, kit_logprob(k, "r", kit_sample_id(k, "r", "p0", 0), "m", -1, &delivered), P_INVALID, "/model");
	assert_progress(k, "r", 1, PAIR(1, 2), PAIR(0, 2), PAIR(0, 2));

	/* Someone's own response has the id of sample 0 of round "dice-1". */
	taken = response_of("b2ebc221710984479ee95b06ec92ff28", "not sampled here", "pi");
	row = question(0, &taken, 1);
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	kit_round(k, "dice-1", 1);
	x = sample_of("p0", 0, "not sampled here");
	kit_fails(k, kit_sample(k, "dice-1", &x, &delivered), P_CONFLICT, "");
	kit_check(k);
}

/* What a savepoint undid is nowhere, also not in the memory of the group. */
static void undone_is_undone(void **state)
{
	struct kit *k = *state;
	struct round_row row = round_of("r", 1);
	struct sample x = sample_of("p0", 0, "an answer");
	int64_t prompts;

	kit_questions(k, 1);
	kit_begin(k);
	kit_ok(k, store_round_insert(k->w, &row, STR_NONE, -1, 0, &prompts, &k->e));
	kit_ok(k, store_sample_put(k->w, STR("r"), &x, NOW, &delivered, &k->e));
	kit_ok(k, store_round_close(k->w, STR("r"), &k->e));
	kit_ok(k, store_undo(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
	kit_fails(k, store_sample_put(k->w, STR("r"), &x, NOW, &delivered, &k->e), P_UNKNOWN_ROUND, "");
	row = round_of("r", 1);
	kit_ok(k, store_round_insert(k->w, &row, STR_NONE, -1, 0, &prompts, &k->e));
	kit_commit(k);
	assert_int_equal(kit_deliver(k, "r", "p0", 0, "an answer"), 1);
	kit_check(k);
}

/* --- the end ------------------------------------------------------------------------------------------ */

static void close_round(struct kit *k, const char *round)
{
	kit_begin(k);
	kit_ok(k, store_round_close(k->w, str_of(round), &k->e));
	kit_commit(k);
}

static void a_closed_round_takes_nothing(void **state)
{
	struct kit *k = *state;
	struct sample x = sample_of("p0", 1, "an answer");
	struct round_row r;
	struct taken t;

	kit_questions(k, 2);
	kit_round(k, "r", 2);
	kit_take(k, "r", WORK_SAMPLE, "a", 1, NOW);
	kit_deliver(k, "r", "p0", 0, "an answer");
	close_round(k, "r");
	close_round(k, "r"); /* twice is once */
	kit_ok(k, store_round_get(k->r, &k->a, STR("r"), &r, &k->e));
	assert_int_equal(r.state, ROUND_CLOSED);
	assert_int_equal(kit_progress(k, "r", NOW).leases, 0);
	kit_fails(k, renew(k, "r", "a", NOW + LEASE, NOW), P_GONE, "");
	kit_ok(k, give_back(k, "r", "a"));
	t = kit_take(k, "r", WORK_SAMPLE, "b", 1, NOW);
	kit_fails(k, t.rc, P_GONE, "");
	kit_fails(k, kit_sample(k, "r", &x, &delivered), P_CONFLICT, "");
	kit_fails(k, kit_logprob(k, "r", kit_sample_id(k, "r", "p0", 0), "pi", -1, &delivered), P_CONFLICT, "");
	kit_begin(k);
	kit_fails(k, store_round_close(k->w, STR("none"), &k->e), P_UNKNOWN_ROUND, "");
	kit_undo(k);
	kit_check(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(a_round_keeps_what_was_asked),
		KIT_TEST(an_id_is_used_once),
		KIT_TEST(lists_go_by_id),
		KIT_TEST(prompts_are_drawn_by_the_seed),
		KIT_TEST(twins_splits_and_latecomers),
		KIT_TEST(a_draw_among_many),
		KIT_TEST(a_whole_life),
		KIT_TEST(leases_end_by_the_clock),
		KIT_TEST(leases_are_renewed_and_given_back),
		KIT_TEST(late_deliveries_count_once),
		KIT_TEST(samples_are_ordinary_responses),
		KIT_TEST(judges_score_a_round),
		KIT_TEST(filters_drop_samples_from_score_work),
		KIT_TEST(a_prompt_without_a_valid_sample_wants_no_scores),
		KIT_TEST(token_ids_go_to_the_scorers),
		KIT_TEST(wrong_deliveries_are_refused),
		KIT_TEST(undone_is_undone),
		KIT_TEST(a_closed_round_takes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
