/* Facts coming in and read back: ledgers, conflicts, the past, the judges' queue. */
#include "store_kit.h"

static const char messages[] = "[{\"role\":\"user\",\"content\":\"q\"}]";

/* Prompt p with responses a and b: numbers 1, 2, 3. */
static void two_responses(struct kit *k)
{
	struct response r[2] = {response_of("a", "text a", "m1"), response_of("b", "text b", NULL)};
	struct row row = record_of("p", messages, r, 2);

	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	assert_int_equal(k->counts.prompts_created, 1);
	assert_int_equal(k->counts.responses_created, 2);
}

static struct read_score current_of(struct kit *k, int64_t seq)
{
	struct read_prompt p = kit_read(k, "p", seq, READ_SCORES);

	assert_int_equal(p.response[0].scores, 1);
	return p.response[0].score[0];
}

/* --- scores -------------------------------------------------------------------------- */

/* Values of one (response, judge, attribute), in order of arrival, and which is
 * current after each. */
static void the_ledger_s_rules(void **state)
{
	struct kit *k = *state;
	enum { CREATED, REVISED, UNCHANGED };
	static const struct {
		int status;
		double value;
		int64_t at;
		int counts;
		int now_status;
		double now_value;
		int64_t now_at;
	} step[] = {
		{SCORE_FAILED, 0, 50, CREATED, SCORE_FAILED, 0, 50},
		{SCORE_FAILED, 0, 50, UNCHANGED, SCORE_FAILED, 0, 50},
		{SCORE_ABSTAINED, 0, 50, REVISED, SCORE_ABSTAINED, 0, 50},     /* equal times: abstained */
		{SCORE_ABSTAINED, 0, 40, REVISED, SCORE_ABSTAINED, 0, 50},     /* earlier */
		{SCORE_FAILED, 0, 60, REVISED, SCORE_FAILED, 0, 60},           /* later */
		{SCORE_OK, 3, 10, REVISED, SCORE_OK, 3, 10},                   /* a good value, however early */
		{SCORE_ABSTAINED, 0, 70, REVISED, SCORE_OK, 3, 10},            /* never displaces it */
		{SCORE_OK, 2, 10, REVISED, SCORE_OK, 3, 10},                   /* equal times: the greater */
		{SCORE_OK, 4, 10, REVISED, SCORE_OK, 4, 10},
		{SCORE_OK, 2, 10, UNCHANGED, SCORE_OK, 4, 10},                 /* stands there, if not current */
		{SCORE_OK, 1, 20, REVISED, SCORE_OK, 1, 20},                   /* later */
		{SCORE_OK, 9, 5, REVISED, SCORE_OK, 1, 20},                    /* earlier: kept, not current */
		{SCORE_OK, 1, TIME_NONE, UNCHANGED, SCORE_OK, 1, 20},          /* is the current value */
		{SCORE_OK, 9, TIME_NONE, REVISED, SCORE_OK, 9, NOW},           /* was said once, is not current */
		{SCORE_FAILED, 0, TIME_NONE, REVISED, SCORE_OK, 9, NOW},
		{SCORE_OK, -0.0, TIME_NONE, REVISED, SCORE_OK, 0, NOW + 2},
		{SCORE_OK, 0, TIME_NONE, UNCHANGED, SCORE_OK, 0, NOW + 2},
	};
	int64_t seq = 3;

	two_responses(k);
	for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
		struct score sc = score_of("j", "overall", step[i].value, step[i].at);
		struct read_score now;

		sc.status = (enum score_status)step[i].status;
		kit_score(k, "a", sc);
		assert_int_equal(k->counts.scores_created, step[i].counts == CREATED);
		assert_int_equal(k->counts.scores_revised, step[i].counts == REVISED);
		assert_int_equal(k->counts.scores_unchanged, step[i].counts == UNCHANGED);
		seq += step[i].counts != UNCHANGED; /* unchanged takes no number */
		assert_int_equal(kit_get(k).seq, seq);
		now = current_of(k, SEQ_LATEST);
		assert_int_equal(now.s.status, step[i].now_status);
		assert_true(now.s.value == step[i].now_value);
		assert_int_equal(now.s.at, step[i].now_at);
		kit_check(k);
	}
}

/* What a snapshot pinned never changes: the same ledger read at each number. */
static void the_past_stays(void **state)
{
	struct kit *k = *state;
	static const double value[] = {1, 2, 3};

	two_responses(k);
	for (int i = 0; i < 3; i++)
		kit_score(k, "a", score_of("j", "overall", value[i], 100 - i)); /* each earlier than the last */
	for (int i = 0; i < 3; i++)
		assert_true(current_of(k, 4 + i).s.value == 1);
	kit_score(k, "a", score_of("j", "overall", 8, 200));
	assert_true(current_of(k, 6).s.value == 1);
	assert_true(current_of(k, 7).s.value == 8);
	assert_int_equal(kit_read(k, "p", 3, READ_SCORES).response[0].scores, 0);
	assert_int_equal(kit_read(k, "p", 2, 0).responses, 1);
	assert_int_equal(kit_read(k, "p", 1, 0).responses, 0);
}

static void scores_come_in_byte_order_of_names(void **state)
{
	struct kit *k = *state;
	struct read_prompt p;

	two_responses(k);
	kit_score(k, "b", score_of("z", "b", 1, 1));
	kit_score(k, "a", score_of("z", "b", 1, 1));
	kit_score(k, "a", score_of("j", "b", 2, 9));
	kit_score(k, "a", score_of("j", "b", 3, 5));
	kit_score(k, "a", score_of("z", "a", 4, 1));
	p = kit_read(k, "p", SEQ_LATEST, READ_SCORES);
	assert_int_equal(p.response[0].scores, 3);
	assert_str(p.response[0].score[0].s.attribute, "a");
	assert_str(p.response[0].score[1].s.judge, "j");
	assert_true(p.response[0].score[1].s.value == 2);
	assert_str(p.response[0].score[2].s.judge, "z");
	assert_int_equal(p.response[1].scores, 1);
	p = kit_read(k, "p", SEQ_LATEST, READ_LEDGER);
	assert_int_equal(p.response[0].scores, 4);
	assert_true(p.response[0].score[1].s.value == 3); /* ledgers by time */
	assert_false(p.response[0].score[1].current);
	assert_true(p.response[0].score[2].current);
}

static void rationales_come_when_asked_for(void **state)
{
	struct kit *k = *state;
	struct score sc = score_of("j", "overall", 1, 1);

	two_responses(k);
	sc.rationale = STR("because");
	kit_score(k, "a", sc);
	assert_str(kit_read(k, "p", SEQ_LATEST, READ_SCORES).response[0].score[0].s.rationale, NULL);
	assert_str(kit_read(k, "p", SEQ_LATEST, READ_SCORES | READ_RATIONALES).response[0].score[0].s.rationale,
	           "because");
	assert_str(kit_read(k, "p", SEQ_LATEST, READ_LEDGER).response[0].score[0].s.rationale, "because");
}

/* --- comparisons ----------------------------------------------------------------------- */

static struct read_vote vote_now(struct kit *k)
{
	struct read_prompt p = kit_read(k, "p", SEQ_LATEST, READ_VOTES);

	assert_int_equal(p.votes, 1);
	return p.vote[0];
}

static void votes_are_a_ledger_too(void **state)
{
	struct kit *k = *state;
	enum { A, B };
	static const struct {
		const char *chosen, *rejected;
		double strength;
		int64_t at;
		bool unchanged;
		int now_chosen;
		double now_strength;
	} step[] = {
		{"b", "a", 1, 10, false, B, 1},
		{"b", "a", 1, 10, true, B, 1},
		{"a", "b", 1, 10, false, A, 1},   /* equal times: the smaller chosen id */
		{"b", "a", 5, 10, false, A, 1},
		{"a", "b", 2, 10, false, A, 2},   /* same chosen: the greater strength */
		{"b", "a", 1, 11, false, B, 1},   /* later */
		{"a", "b", 9, 9, false, B, 1},    /* earlier */
		{"b", "a", 1, TIME_NONE, true, B, 1},
		{"a", "b", 1, TIME_NONE, false, A, 1},
	};

	two_responses(k);
	for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
		struct read_vote v;

		kit_vote(k, vote_of("ann", step[i].chosen, step[i].rejected, step[i].strength, step[i].at));
		assert_int_equal(k->counts.comparisons_unchanged, step[i].unchanged);
		assert_int_equal(k->counts.comparisons_created, i == 0);
		v = vote_now(k);
		assert_int_equal(v.chosen, step[i].now_chosen);
		assert_int_equal(v.rejected, 1 - step[i].now_chosen);
		assert_true(v.strength == step[i].now_strength);
		kit_check(k);
	}
	assert_int_equal(kit_read(k, "p", SEQ_LATEST, READ_VOTES | READ_LEDGER).votes, 7);
}

static void votes_need_two_responses_of_one_prompt(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("c", "text", NULL);
	struct row other = record_of("q", messages, &r, 1), row = {.kind = ROW_COMPARISON};

	two_responses(k);
	kit_ok(k, kit_put(k, &other, CONFLICT_REFUSE));
	row.comparison = vote_of("ann", "a", "c", 1, 1);
	kit_fails(k, kit_put(k, &row, CONFLICT_REFUSE), P_UNKNOWN_ID, "/rejected");
	row.comparison = vote_of("ann", "x", "a", 1, 1);
	kit_fails(k, kit_put(k, &row, CONFLICT_REFUSE), P_UNKNOWN_ID, "/chosen");
	assert_int_equal(kit_get(k).seq, 5);
}

/* A row's comparisons may name its own responses and stored ones. */
static void a_row_votes_on_its_own_responses(void **state)
{
	struct kit *k = *state;
	struct response r[2] = {response_of("d", "text d", NULL), response_of("c", "text c", NULL)};
	struct comparison c[2] = {vote_of("ann", "d", "c", 1, 1), vote_of("ann", "a", "c", 1, 1)};
	struct row row = record_of("p", messages, r, 2);
	struct read_prompt p;

	two_responses(k);
	row.record.comparison = c;
	row.record.comparisons = 2;
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	assert_int_equal(k->counts.comparisons_created, 2);
	p = kit_read(k, "p", SEQ_LATEST, READ_VOTES); /* responses a b c d; by ids: (a, c), then (c, d) */
	assert_int_equal(p.votes, 2);
	assert_int_equal(p.vote[0].chosen, 0);
	assert_int_equal(p.vote[0].rejected, 2);
	assert_int_equal(p.vote[1].chosen, 3);
	assert_int_equal(p.vote[1].rejected, 2);
	c[0].rejected = STR("nobody");
	row.record.id = STR("new");
	row.record.responses = 0;
	kit_fails(k, kit_put(k, &row, CONFLICT_REFUSE), P_UNKNOWN_ID, "/comparisons/0/rejected");
	kit_check(k);
}

/* --- conflicts ---------------------------------------------------------------------------- */

static void the_same_again_changes_nothing(void **state)
{
	struct kit *k = *state;
	struct score sc = score_of("j", "overall", 1, TIME_NONE);
	struct logprob l = {STR("m"), -3, 4};
	struct response r = response_of("r", "text", "m");
	struct comparison c = vote_of("ann", "r", "a", 1, TIME_NONE);
	struct row row = record_of("p", messages, &r, 1);
	int64_t seq;

	two_responses(k);
	r.score = &sc;
	r.scores = 1;
	r.logprob = &l;
	r.logprobs = 1;
	row.record.comparison = &c;
	row.record.comparisons = 1;
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	seq = kit_get(k).seq;
	assert_int_equal(seq, 7); /* 3 and: response, score, log-probability, vote */
	for (int policy = CONFLICT_REFUSE; policy <= CONFLICT_REPLACE; policy++) {
		kit_ok(k, kit_put(k, &row, (enum on_conflict)policy));
		assert_int_equal(k->counts.prompts_unchanged, 1);
		assert_int_equal(k->counts.responses_unchanged, 1);
		assert_int_equal(k->counts.scores_unchanged, 1);
		assert_int_equal(k->counts.comparisons_unchanged, 1);
		assert_int_equal(kit_get(k).seq, seq);
	}
	kit_check(k);
}

static void other_content_is_a_conflict(void **state)
{
	struct kit *k = *state;
	struct response r[2] = {response_of("c", "new", NULL), response_of("a", "other", "m1")};
	struct row row = record_of("p", messages, r, 2);

	two_responses(k);
	kit_fails(k, kit_put(k, &row, CONFLICT_REFUSE), P_CONFLICT, "/responses/1/id");
	r[1] = response_of("a", "text a", "m2");
	kit_fails(k, kit_put(k, &row, CONFLICT_REFUSE), P_CONFLICT, "/responses/1/id");
	r[1] = response_of("a", "text a", NULL); /* no model is another model */
	kit_fails(k, kit_put(k, &row, CONFLICT_REFUSE), P_CONFLICT, "/responses/1/id");
	r[1] = response_of("a", "text a", "m1");
	row = record_of("p", "[]", r, 2);
	kit_fails(k, kit_put(k, &row, CONFLICT_REFUSE), P_CONFLICT, "/prompt");
	row = record_of("q", messages, r, 2);
	kit_fails(k, kit_put(k, &row, CONFLICT_REFUSE), P_CONFLICT, "/responses/1/id"); /* another prompt's */
	kit_fails(k, kit_put(k, &row, CONFLICT_REPLACE), P_CONFLICT, "/responses/1/id");
	assert_int_equal(kit_get(k).seq, 3); /* c of the refused rows is not there */
	assert_int_equal(kit_read(k, "p", SEQ_LATEST, 0).responses, 2);
	kit_check(k);
}

/* A refused row leaves nothing behind, the rows around it in the same savepoint stay. */
static void good_rows_around_a_bad_one_stay(void **state)
{
	struct kit *k = *state;
	struct response bad[2] = {response_of("x", "new", NULL), response_of("a", "other", "m1")};
	struct response good = response_of("y", "new", NULL);
	struct row bad_row = record_of("p", messages, bad, 2), good_row = record_of("p", messages, &good, 1);

	two_responses(k);
	kit_begin(k);
	kit_fails(k, kit_put_in(k, &bad_row, CONFLICT_REFUSE, NOW), P_CONFLICT, "/responses/1/id");
	assert_int_equal(k->counts.prompts_unchanged + k->counts.responses_created, 0);
	kit_ok(k, kit_put_in(k, &good_row, CONFLICT_REFUSE, NOW));
	kit_commit(k);
	assert_int_equal(kit_get(k).seq, 4);
	assert_int_equal(kit_read(k, "p", SEQ_LATEST, 0).responses, 3);
	kit_check(k);
}

static void keep_keeps(void **state)
{
	struct kit *k = *state;
	struct score sc = score_of("j", "overall", 2, 1);
	struct response r[2] = {response_of("a", "other", "m9"), response_of("c", "new", NULL)};
	struct row row = record_of("p", "[]", r, 2);
	struct read_prompt p;

	two_responses(k);
	r[0].score = &sc;
	r[0].scores = 1;
	kit_ok(k, kit_put(k, &row, CONFLICT_KEEP));
	assert_int_equal(k->counts.prompts_unchanged, 1);
	assert_int_equal(k->counts.responses_unchanged, 1);
	assert_int_equal(k->counts.responses_created, 1);
	p = kit_read(k, "p", SEQ_LATEST, READ_MESSAGES | READ_TEXTS | READ_SCORES);
	assert_str(p.messages, messages);
	assert_str(p.response[0].text, "text a");
	assert_str(p.response[0].model, "m1");
	assert_int_equal(p.response[0].scores, 0); /* the score was of the other text */
	/* A response that stands under another prompt is kept there. */
	row = record_of("q", messages, r, 1);
	kit_ok(k, kit_put(k, &row, CONFLICT_KEEP));
	assert_int_equal(kit_read(k, "q", SEQ_LATEST, 0).responses, 0);
	kit_check(k);
}

static void replace_adds_versions(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("a", "longer than before", "m2");
	struct row row = record_of("p", "[1]", &r, 1);
	struct read_prompt old, now;

	two_responses(k);
	row.record.split = STR("test");
	row.record.metadata = STR("{}");
	kit_ok(k, kit_put(k, &row, CONFLICT_REPLACE));
	assert_int_equal(k->counts.prompts_replaced, 1);
	assert_int_equal(k->counts.responses_replaced, 1);
	assert_int_equal(kit_get(k).seq, 5);
	now = kit_read(k, "p", SEQ_LATEST, READ_MESSAGES | READ_TEXTS);
	assert_str(now.messages, "[1]");
	assert_str(now.split, "test");
	assert_str(now.metadata, "{}");
	assert_int_equal(now.responses, 2);
	assert_str(now.response[0].text, "longer than before");
	assert_str(now.response[0].model, "m2");
	assert_int_equal(now.response[0].characters, 18);
	old = kit_read(k, "p", 3, READ_MESSAGES | READ_TEXTS); /* what snapshots use stays */
	assert_str(old.messages, messages);
	assert_str(old.split, "train");
	assert_null(old.metadata.p);
	assert_str(old.response[0].text, "text a");
	assert_int_equal(old.response[0].key, now.response[0].key);
	kit_check(k);
}

static void the_first_split_and_source_stay(void **state)
{
	struct kit *k = *state;
	struct row row = record_of("p", messages, NULL, 0);
	struct read_prompt p;

	row.record.source = STR("first");
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	row.record.source = STR("second");
	row.record.split = STR("test");
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	assert_int_equal(k->counts.prompts_unchanged, 1);
	p = kit_read(k, "p", SEQ_LATEST, 0);
	assert_str(p.source, "first");
	assert_str(p.split, "train");
	kit_ok(k, kit_put(k, &row, CONFLICT_REPLACE));
	row.record.source = STR_NONE; /* what is not said stays */
	kit_ok(k, kit_put(k, &row, CONFLICT_REPLACE));
	assert_int_equal(k->counts.prompts_unchanged, 1);
	p = kit_read(k, "p", SEQ_LATEST, 0);
	assert_str(p.source, "second");
	assert_str(p.split, "test");
}

static void absent_tokens_are_filled_in(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("a", "text a", "m1");
	struct row row = record_of("p", messages, &r, 1);
	struct read_prompt p;

	two_responses(k);
	r.tokens = 5;
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	assert_int_equal(k->counts.responses_unchanged, 1);
	r.tokens = 6;
	r.finish_reason = STR("stop");
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	p = kit_read(k, "p", SEQ_LATEST, 0);
	assert_int_equal(p.response[0].tokens, 5); /* the first stays */
	assert_str(p.response[0].finish_reason, "stop");
	p = kit_read(k, "p", 3, 0);
	assert_int_equal(p.response[0].tokens, -1); /* as it was */
	assert_null(p.response[0].finish_reason.p);
	assert_int_equal(kit_get(k).seq, 5);
	kit_check(k);
}

static void the_first_logprob_stays(void **state)
{
	struct kit *k = *state;
	struct logprob l[2] = {{STR("z"), -1.5, 3}, {STR("m"), -2, -1}};
	struct response r = response_of("a", "text a", "m1");
	struct row row = record_of("p", messages, &r, 1);
	struct read_prompt p;

	two_responses(k);
	r.logprob = l;
	r.logprobs = 2;
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	l[0].logprob = -9;
	kit_ok(k, kit_put(k, &row, CONFLICT_REPLACE));
	p = kit_read(k, "p", SEQ_LATEST, READ_LOGPROBS);
	assert_int_equal(p.response[0].logprobs, 2);
	assert_str(p.response[0].logprob[0].l.model, "m");
	assert_int_equal(p.response[0].logprob[0].l.tokens, -1);
	assert_true(p.response[0].logprob[1].l.logprob == -1.5);
	assert_int_equal(p.response[1].logprobs, 0);
}

static void unknown_things_are_named(void **state)
{
	struct kit *k = *state;
	struct row row = {.kind = ROW_SCORE};

	row.score.response = STR("nobody");
	row.score.score = score_of("j", "overall", 1, 1);
	kit_fails(k, kit_put(k, &row, CONFLICT_REFUSE), P_UNKNOWN_ID, "/response");
	kit_begin(k);
	kit_fails(k, store_put(k->w, STR("other"), &row, CONFLICT_REFUSE, NOW, &k->counts, &k->e),
	          P_UNKNOWN_DATASET, "");
	kit_undo(k);
}

/* --- pages ---------------------------------------------------------------------------------- */

static void pages_follow_ids_not_arrival(void **state)
{
	struct kit *k = *state;
	static const char *const id[] = {"c", "a", "d", "b"};
	struct read_prompt *p;
	struct dataset d;
	uint32_t n;

	for (int i = 0; i < 4; i++) {
		struct row row = record_of(id[i], messages, NULL, 0);

		row.record.split = i == 1 ? STR("test") : STR("train");
		kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	}
	d = kit_get(k);
	kit_ok(k, store_prompt_page(k->r, &k->a, &d, STR_NONE, STR_NONE, 2, SEQ_LATEST, 0, &p, &n, &k->e));
	assert_int_equal(n, 2);
	assert_str(p[0].id, "a");
	assert_str(p[1].id, "b");
	kit_ok(k, store_prompt_page(k->r, &k->a, &d, p[1].id, STR_NONE, 9, SEQ_LATEST, 0, &p, &n, &k->e));
	assert_int_equal(n, 2);
	assert_str(p[1].id, "d");
	kit_ok(k, store_prompt_page(k->r, &k->a, &d, STR_NONE, STR("train"), 9, SEQ_LATEST, 0, &p, &n, &k->e));
	assert_int_equal(n, 3);
	assert_str(p[0].id, "b");
	kit_ok(k, store_prompt_page(k->r, &k->a, &d, STR_NONE, STR_NONE, 9, 2, READ_MESSAGES, &p, &n, &k->e));
	assert_int_equal(n, 2); /* only c and a had come */
	assert_str(p[0].id, "a");
	assert_str(p[0].messages, messages);
}

/* Arrival: c a b d. A row takes a number and each score the next: by 4 c and a were there. */
static void prompts_come_in_order_of_arrival_too(void **state)
{
	struct kit *k = *state;
	const char *id[] = {"c", "a", "b", "d"};
	struct read_prompt *p;
	struct prompt_key *key;
	struct dataset d;
	int64_t after = 0;
	uint32_t n, looked;

	for (int i = 0; i < 4; i++) {
		struct response r = response_of(id[i], id[i], NULL);
		struct row row = record_of(id[i], messages, &r, 1);

		row.record.split = i == 1 ? STR("test") : STR("train");
		kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
		kit_score(k, id[i], score_of("j", "overall", i + 1, 1));
	}
	d = kit_get(k);
	kit_ok(k, store_prompt_arrivals(k->r, &k->a, &d, &after, STR_NONE, 3, SEQ_LATEST, READ_SCORES, &p, &n, &looked, &k->e));
	assert_int_equal(n, 3);
	assert_int_equal(looked, 3);
	for (uint32_t i = 0; i < 3; i++) {
		assert_str(p[i].id, id[i]);
		assert_int_equal(p[i].responses, 1);
		assert_str(p[i].response[0].id, id[i]);
		assert_int_equal(p[i].response[0].scores, 1);
		assert_true(p[i].response[0].score[0].s.value == i + 1);
	}
	assert_int_equal(after, p[2].key);
	kit_ok(k, store_prompt_arrivals(k->r, &k->a, &d, &after, STR_NONE, 3, SEQ_LATEST, 0, &p, &n, &looked, &k->e));
	assert_int_equal(n, 1);
	assert_str(p[0].id, "d");
	kit_ok(k, store_prompt_arrivals(k->r, &k->a, &d, &after, STR_NONE, 3, SEQ_LATEST, 0, &p, &n, &looked, &k->e));
	assert_int_equal(looked, 0);
	after = 0; /* of another split, or not come yet: looked at, not there */
	kit_ok(k, store_prompt_arrivals(k->r, &k->a, &d, &after, STR("train"), 9, 4, READ_SCORES, &p, &n, &looked, &k->e));
	assert_int_equal(looked, 4);
	assert_int_equal(n, 1);
	assert_str(p[0].id, "c");
	kit_ok(k, store_prompt_keys(k->r, &k->a, &d, STR("a"), 2, &key, &n, &k->e));
	assert_int_equal(n, 2);
	assert_str(key[0].id, "b");
	assert_str(key[1].id, "c");
	assert_true(key[1].key < key[0].key);
}

static void reads_between_begin_and_end_see_one_moment(void **state)
{
	struct kit *k = *state;

	two_responses(k);
	kit_ok(k, store_read_begin(k->r, &k->e));
	assert_int_equal(kit_get(k).seq, 3);
	kit_score(k, "a", score_of("j", "overall", 1, 1));
	assert_int_equal(kit_get(k).seq, 3);
	assert_int_equal(kit_read(k, "p", SEQ_LATEST, READ_SCORES).response[0].scores, 0);
	store_read_end(k->r);
	assert_int_equal(kit_get(k).seq, 4);
	assert_int_equal(kit_read(k, "p", SEQ_LATEST, READ_SCORES).response[0].scores, 1);
}

/* --- the judges' queue ------------------------------------------------------------------------ */

static uint32_t queue(struct kit *k, struct unscored *q, struct unscored_row **rows, bool *more)
{
	struct dataset d = kit_get(k);
	int64_t cursor[2];
	uint32_t n;

	kit_ok(k, store_unscored(k->r, &k->a, &d, q, rows, &n, more, cursor, &k->e));
	q->after_prompt = cursor[0];
	q->after_response = cursor[1];
	return n;
}

static void a_judge_sees_what_it_has_not_scored(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("c", "text c", "m2");
	struct row other = record_of("o", messages, &r, 1);
	struct unscored q = {.judge = STR("j"), .attribute = STR("overall"), .limit = 10}, start = q;
	struct unscored_row *rows;
	bool more;

	two_responses(k);
	kit_ok(k, kit_put(k, &other, CONFLICT_REFUSE));
	assert_int_equal(queue(k, &q, &rows, &more), 3); /* nobody knows this judge */
	assert_false(more);
	assert_str(rows[0].prompt_id, "p");
	assert_str(rows[0].messages, messages);
	assert_str(rows[0].response_id, "a");
	assert_str(rows[0].text, "text a");
	assert_str(rows[0].model, "m1");
	assert_null(rows[1].model.p);
	assert_str(rows[2].prompt_id, "o"); /* by arrival, not by id */

	kit_score(k, "a", status_of("j", "overall", SCORE_FAILED, 1));  /* still listed */
	kit_score(k, "b", status_of("j", "overall", SCORE_ABSTAINED, 1)); /* not */
	kit_score(k, "c", score_of("j", "other", 1, 1));                /* another attribute */
	q = start;
	assert_int_equal(queue(k, &q, &rows, &more), 2);
	assert_str(rows[0].response_id, "a");
	assert_str(rows[1].response_id, "c");
	kit_score(k, "c", score_of("j", "overall", 1, 1));
	q = start;
	assert_int_equal(queue(k, &q, &rows, &more), 1);
	q = start;
	q.model = STR("m2");
	assert_int_equal(queue(k, &q, &rows, &more), 0);
	q = start;
	q.model = STR("nobody's");
	assert_int_equal(queue(k, &q, &rows, &more), 0);
	assert_false(more);
}

/* Cursors: every response once, whatever the page; one that got a new version is one. */
static void the_queue_goes_page_by_page(void **state)
{
	struct kit *k = *state;
	struct unscored q = {.judge = STR("j"), .attribute = STR("overall"), .limit = 2};
	struct unscored_row *rows;
	char id[16], text[32];
	uint32_t n, seen = 0;
	bool more = true;

	for (int i = 0; i < 7; i++) {
		struct response r;
		struct row row = record_of(i < 4 ? "p1" : "p2", messages, &r, 1);

		snprintf(id, sizeof id, "r%d", i);
		snprintf(text, sizeof text, "text %d", i);
		r = response_of(id, text, "m");
		kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
		r.tokens = 3;
		kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	}
	for (int calls = 0; more; calls++) {
		assert_true(calls < 10);
		n = queue(k, &q, &rows, &more);
		for (uint32_t i = 0; i < n; i++) {
			snprintf(id, sizeof id, "r%u", seen++);
			assert_str(rows[i].response_id, id);
		}
	}
	assert_int_equal(seen, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(the_ledger_s_rules),
		KIT_TEST(the_past_stays),
		KIT_TEST(scores_come_in_byte_order_of_names),
		KIT_TEST(rationales_come_when_asked_for),
		KIT_TEST(votes_are_a_ledger_too),
		KIT_TEST(votes_need_two_responses_of_one_prompt),
		KIT_TEST(a_row_votes_on_its_own_responses),
		KIT_TEST(the_same_again_changes_nothing),
		KIT_TEST(other_content_is_a_conflict),
		KIT_TEST(good_rows_around_a_bad_one_stay),
		KIT_TEST(keep_keeps),
		KIT_TEST(replace_adds_versions),
		KIT_TEST(the_first_split_and_source_stay),
		KIT_TEST(absent_tokens_are_filled_in),
		KIT_TEST(the_first_logprob_stays),
		KIT_TEST(unknown_things_are_named),
		KIT_TEST(pages_follow_ids_not_arrival),
		KIT_TEST(prompts_come_in_order_of_arrival_too),
		KIT_TEST(reads_between_begin_and_end_see_one_moment),
		KIT_TEST(a_judge_sees_what_it_has_not_scored),
		KIT_TEST(the_queue_goes_page_by_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
