/* Rounds over stored responses, facts from elsewhere, deletion, migration,
 * rescorings, and what a check finds. */
#include <sqlite3.h>

#include "../../server/store/sql.h"
#include "base/embedded.h"
#include "round_kit.h"
#include "store/stats.h"

static struct delivery_counts delivered;

static void put(struct kit *k, const struct row *row)
{
	kit_ok(k, kit_put(k, row, CONFLICT_REFUSE));
}

static void exec_in(sqlite3 *db, const char *sql)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

static void exec_on(struct kit *k, const char *sql)
{
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/prefd.db", k->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	exec_in(db, sql);
	sqlite3_close(db);
}

/* --- over stored responses --------------------------------------------------------------- */

/* p0: a (scored by both), b (by the policy), c (too short); p1: d, cut off; p2: none. */
static void stored(struct kit *k)
{
	struct logprob l[3] = {{STR("pi"), -1, 3}, {STR("ref"), -2, 3}, {STR("other"), -3, -1}};
	struct response r[3] = {response_of("a", "answer a", "m1"), response_of("b", "answer b", NULL),
	                        response_of("c", "c", "m2")};
	struct response d = response_of("d", "answer d", "m1");
	struct row row[3] = {question(0, r, 3), question(1, &d, 1), question(2, NULL, 0)};

	r[0].logprob = l;
	r[0].logprobs = 3;
	r[1].logprob = l;
	r[1].logprobs = 1;
	d.finish_reason = STR("length");
	for (int i = 0; i < 3; i++)
		put(k, &row[i]);
}

static void what_is_scored_already_is_not_asked_for(void **state)
{
	struct kit *k = *state;
	struct taken t;
	uint32_t n;
	struct round_prompt *p;

	stored(k);
	kit_round(k, "r", 0);
	assert_progress(k, "r", 3, PAIR(2, 2), PAIR(2, 2), PAIR(1, 2));
	kit_found(k, "r", WORK_SAMPLE, NOW, LEASE_NO_MORE);
	kit_found(k, "r", WORK_POLICY, NOW, LEASE_NO_MORE);
	t = kit_take(k, "r", WORK_REFERENCE, "l", 9, NOW);
	assert_int_equal(t.n, 1);
	assert_string_equal(taken_task(k, &t, 0), "p0: b");
	assert_str(t.task[0].response[0].text, "answer b");
	kit_found(k, "r", WORK_REFERENCE, NOW, LEASE_NOT_NOW);
	p = kit_page(k, "r", SEQ_LATEST, &n);
	assert_int_equal(n, 3);
	assert_str(p[0].messages, "[{\"role\":\"user\",\"content\":\"question 0\"}]");
	assert_int_equal(p[0].responses, 3); /* all of them: the filters are the rescoring's to name */
	assert_str(p[0].response[0].id, "a");
	assert_int_equal(p[0].response[0].index, 0);
	assert_true(p[0].response[0].logprob[0] == -1 && p[0].response[0].logprob[1] == -2);
	assert_int_equal(p[0].response[0].counted[1], 3);
	assert_true(p[0].response[1].scored[0]);
	assert_false(p[0].response[1].scored[1]);
	assert_str(p[1].response[0].finish_reason, "length");
	assert_int_equal(p[2].responses, 0);
	assert_int_equal(kit_scored(k, "r", STR("b"), "ref", -9), 1);
	kit_found(k, "r", WORK_REFERENCE, NOW, LEASE_NO_MORE);
	assert_progress(k, "r", 3, PAIR(2, 2), PAIR(2, 2), PAIR(2, 2));
	kit_check(k);
}

/* Two rounds with the same policy, and the records' own log-probabilities: one
 * fact counts wherever it is looked at, once. */
static void a_fact_counts_wherever_it_comes_from(void **state)
{
	struct kit *k = *state;
	struct logprob l[2] = {{STR("pi"), -7, -1}, {STR("ref"), -8, -1}};
	struct response r = response_of("b", "answer b", NULL);
	struct row row = question(0, &r, 1);
	struct round_row swapped = round_of("swapped", 0);
	uint32_t n;
	struct round_prompt *p;

	stored(k);
	kit_round(k, "one", 0);
	swapped.policy = STR("ref");
	swapped.reference = STR("pi");
	kit_round_of(k, &swapped, STR_NONE, -1, 0);
	r.logprob = l;
	r.logprobs = 2;
	put(k, &row); /* pi is there: the first stays; ref is new */
	assert_progress(k, "one", 3, PAIR(2, 2), PAIR(2, 2), PAIR(2, 2));
	assert_progress(k, "swapped", 3, PAIR(2, 2), PAIR(2, 2), PAIR(2, 2));
	kit_found(k, "one", WORK_REFERENCE, NOW, LEASE_NO_MORE);
	kit_found(k, "swapped", WORK_POLICY, NOW, LEASE_NO_MORE);
	assert_int_equal(kit_scored(k, "one", STR("b"), "ref", -9), 0);
	p = kit_page(k, "swapped", SEQ_LATEST, &n);
	assert_true(p[0].response[1].logprob[0] == -8 && p[0].response[1].logprob[1] == -1);
	kit_check(k);
}

/* What comes later is not of the round, and a text that is replaced stays as it
 * was at the round's number, c's length with it. */
static void the_responses_are_fixed(void **state)
{
	struct kit *k = *state;
	struct response r[3] = {response_of("a", "another text", "m1"), response_of("c", "long enough", "m2"),
	                        response_of("z", "came later", NULL)};
	struct row row = question(0, r, 3);
	uint32_t n;
	struct round_prompt *p;
	struct str text;
	struct taken t;

	stored(k);
	kit_round(k, "r", 0);
	kit_ok(k, kit_put(k, &row, CONFLICT_REPLACE));
	p = kit_page(k, "r", SEQ_LATEST, &n);
	assert_int_equal(p[0].responses, 3);
	kit_ok(k, store_texts(k->r, &k->a, &p[0].response[0].text_key, 1, &text, &k->e));
	assert_str(text, "answer a");
	assert_int_equal(p[0].response[2].characters, 1);
	kit_fails(k, kit_logprob(k, "r", STR("z"), "pi", -1, &delivered), P_UNKNOWN_ID, "/response");
	assert_int_equal(kit_scored(k, "r", STR("c"), "pi", -1), 1); /* of the round, but dropped by its filters */
	assert_progress(k, "r", 3, PAIR(2, 2), PAIR(2, 2), PAIR(1, 2));
	t = kit_take(k, "r", WORK_REFERENCE, "l", 9, NOW);
	assert_string_equal(taken_task(k, &t, 0), "p0: b");
	kit_round(k, "later", 0);
	assert_progress(k, "later", 3, PAIR(4, 4), PAIR(3, 4), PAIR(1, 4)); /* a, b, c, z */
	kit_check(k);
}

/* A sample stays in its round as it was delivered, too. */
static void samples_are_fixed(void **state)
{
	struct kit *k = *state;
	struct response r;
	struct row row = question(0, NULL, 0);
	uint32_t n;
	struct round_prompt *p;
	struct str id, text;

	put(k, &row);
	kit_round(k, "r", 1);
	kit_deliver(k, "r", "p0", 0, "as delivered");
	id = kit_sample_id(k, "r", "p0", 0);
	r = response_of(id.p, "x", "pi");
	r.finish_reason = STR("length");
	row = question(0, &r, 1);
	row.record.messages = STR("[]");
	kit_ok(k, kit_put(k, &row, CONFLICT_REPLACE));
	assert_str(kit_read(k, "p0", SEQ_LATEST, 0).response[0].round, "r"); /* carried on */
	p = kit_page(k, "r", SEQ_LATEST, &n);
	assert_str(p[0].messages, "[{\"role\":\"user\",\"content\":\"question 0\"}]");
	assert_null(p[0].response[0].finish_reason.p);
	kit_ok(k, store_texts(k->r, &k->a, &p[0].response[0].text_key, 1, &text, &k->e));
	assert_str(text, "as delivered");
	assert_progress(k, "r", 1, PAIR(1, 1), PAIR(0, 1), PAIR(0, 1));
	kit_scored(k, "r", id, "pi", -1);
	assert_progress(k, "r", 1, PAIR(1, 1), PAIR(1, 1), PAIR(0, 1));
	kit_check(k);
}

static void pages_show_the_past(void **state)
{
	struct kit *k = *state;
	struct round_row r;
	struct round_prompt *p;
	struct str id;
	int64_t seq;
	uint32_t n;

	kit_questions(k, 1);
	r = kit_round(k, "r", 2); /* at number 1 */
	kit_deliver(k, "r", "p0", 0, "first");
	id = kit_sample_id(k, "r", "p0", 0);
	kit_scored(k, "r", id, "pi", -1);
	seq = kit_get(k).seq;
	kit_scored(k, "r", id, "ref", -2);
	kit_deliver(k, "r", "p0", 1, "second");
	p = kit_page(k, "r", seq, &n);
	assert_int_equal(p[0].responses, 1);
	assert_true(p[0].response[0].scored[0]);
	assert_false(p[0].response[0].scored[1]);
	p = kit_page(k, "r", r.seq, &n);
	assert_int_equal(n, 1);
	assert_int_equal(p[0].responses, 0);
	kit_ok(k, store_round_page(k->r, &k->a, &r, STR("p0"), 9, SEQ_LATEST, 0, &p, &n, &k->e));
	assert_int_equal(n, 0);
	kit_ok(k, store_round_page(k->r, &k->a, &r, STR_NONE, 9, SEQ_LATEST, 0, &p, &n, &k->e));
	assert_null(p[0].messages.p);
	assert_int_equal(p[0].responses, 2);
}

/* --- deletion --------------------------------------------------------------------------------- */

/* One slice of the prompt's deletion: as store_prompt_delete. */
static int slice(struct kit *k, const char *prompt, uint32_t limit)
{
	int rc;

	kit_begin(k);
	rc = store_prompt_delete(k->w, STR("d"), str_of(prompt), limit, &k->e);
	kit_ok(k, rc);
	kit_commit(k);
	return rc;
}

static int64_t count(struct kit *k, const char *sql)
{
	char path[128];
	sqlite3 *db;
	sqlite3_stmt *st;
	int64_t n;

	snprintf(path, sizeof path, "%s/prefd.db", k->dir);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

/* p0 has both samples with log-probabilities and token ids, p1 one sample; both
 * are leased. */
static void half_done(struct kit *k)
{
	struct logprob l[2] = {{STR("pi"), -1, -1}, {STR("ref"), -2, -1}};

	kit_questions(k, 2);
	kit_round(k, "r", 2);
	kit_round(k, "again", 2);
	kit_take(k, "r", WORK_SAMPLE, "a", 9, NOW);
	for (uint32_t i = 0; i < 3; i++) {
		struct sample x = sample_of(i < 2 ? "p0" : "p1", i % 2, "an answer");

		x.prompt_token_ids = STR("[1]");
		x.token_ids = STR("[2,3]");
		x.logprob = l;
		x.logprobs = 2;
		kit_ok(k, kit_sample(k, "r", &x, &delivered));
	}
	kit_score(k, kit_sample_id(k, "r", "p0", 0).p, score_of("j", "overall", 5, 1));
}

/* Two rows at a time; after each all is as it should be, and the prompt is out
 * of its rounds from the first. */
static void a_prompt_goes_in_the_middle(void **state)
{
	struct kit *k = *state;
	struct sample x = sample_of("p0", 0, "late");
	struct row row = question(0, NULL, 0);
	struct taken t;
	int slices = 0;

	half_done(k);
	assert_progress(k, "r", 2, PAIR(3, 4), PAIR(3, 4), PAIR(3, 4));
	while (slice(k, "p0", 2) == 1) {
		assert_true(++slices < 50);
		kit_check(k);
		assert_progress(k, "r", 1, PAIR(1, 2), PAIR(1, 2), PAIR(1, 2));
	}
	assert_true(slices > 3);
	kit_check(k);
	assert_string_equal(kit_prompts(k, "r"), "p1");
	assert_int_equal(kit_progress(k, "again", NOW).prompts, 1);
	kit_fails(k, kit_sample(k, "r", &x, &delivered), P_UNKNOWN_ID, "/prompt");
	put(k, &row); /* posted anew, it is another prompt */
	kit_fails(k, kit_sample(k, "r", &x, &delivered), P_UNKNOWN_ID, "/prompt");
	assert_string_equal(kit_prompts(k, "r"), "p1");
	/* Left are p1's sample, its two token texts, its messages, those of the new p0. */
	assert_int_equal(count(k, "SELECT count(*) FROM text"), 5);
	assert_int_equal(count(k, "SELECT count(*) FROM sample"), 1);
	t = kit_take(k, "r", WORK_SAMPLE, "b", 9, NOW + LEASE);
	assert_string_equal(taken_task(k, &t, 0), "p1: 1");
	kit_deliver(k, "r", "p1", 1, "the last one");
	kit_scored(k, "r", kit_sample_id(k, "r", "p1", 1), "pi", -1);
	kit_found(k, "r", WORK_POLICY, NOW, LEASE_NO_MORE);
	kit_check(k);
}

/* The only prompt that had work goes: nothing more will come. */
static void with_its_prompt_goes_its_work(void **state)
{
	struct kit *k = *state;

	kit_questions(k, 2);
	kit_round(k, "r", 1);
	kit_deliver(k, "r", "p0", 0, "x"); /* too short: nothing to score */
	kit_found(k, "r", WORK_REFERENCE, NOW, LEASE_NOT_NOW);
	assert_int_equal(slice(k, "p1", 100), 0);
	kit_found(k, "r", WORK_REFERENCE, NOW, LEASE_NO_MORE);
	kit_found(k, "r", WORK_SAMPLE, NOW, LEASE_NO_MORE);
}

static void a_dataset_closes_its_rounds(void **state)
{
	struct kit *k = *state;
	struct sample x = sample_of("p1", 1, "late");
	struct round_row r, again = round_of("fresh", 1), *list;
	struct taken t;
	uint32_t n;
	int rc;

	half_done(k);
	kit_begin(k);
	kit_ok(k, store_dataset_delete(k->w, STR("d"), &k->e));
	kit_commit(k);
	kit_ok(k, store_round_get(k->r, &k->a, STR("r"), &r, &k->e));
	assert_int_equal(r.state, ROUND_CLOSED);
	assert_int_equal(kit_progress(k, "r", NOW).leases, 0);
	kit_fails(k, kit_sample(k, "r", &x, &delivered), P_CONFLICT, "");
	t = kit_take(k, "r", WORK_SAMPLE, "z", 1, NOW);
	kit_fails(k, t.rc, P_GONE, "");
	for (int i = 0; i < 50; i++) {
		kit_begin(k);
		rc = store_dataset_sweep(k->w, 3, &k->e);
		kit_ok(k, rc);
		kit_commit(k);
		kit_check(k);
		if (rc == 0)
			break;
	}
	assert_int_equal(rc, 0);
	assert_progress(k, "r", 0, PAIR(0, 0), PAIR(0, 0), PAIR(0, 0));
	assert_int_equal(count(k, "SELECT (SELECT count(*) FROM text) + (SELECT count(*) FROM sample)"
	                          " + (SELECT count(*) FROM round_work) + (SELECT count(*) FROM logprob)"), 0);

	/* A dataset of the same name is another one, and a round's id stays used. */
	kit_dataset(k, "d");
	kit_questions(k, 1);
	assert_int_equal(kit_round_of(k, &again, STR_NONE, -1, 0), 1);
	kit_ok(k, store_round_list(k->r, &k->a, kit_get(k).key, STR_NONE, 9, &list, &n, &k->e));
	assert_int_equal(n, 1);
	kit_fails(k, kit_sample(k, "r", &x, &delivered), P_CONFLICT, "");
	kit_check(k);
}

/* --- rescorings ------------------------------------------------------------------------------------ */

static int64_t rescore(struct kit *k, const char *round, double alpha)
{
	struct rescoring_row row = {.seq = 3, .params = STR("{\"beta\":0.1}"), .alpha = alpha, .beta = 0.1,
	                            .result = STR("\"pairs\":1"), .created_at = NOW};

	kit_begin(k);
	kit_ok(k, store_rescoring_insert(k->w, str_of(round), &row, &k->e));
	kit_commit(k);
	return row.number;
}

static void rescorings_have_numbers(void **state)
{
	struct kit *k = *state;
	struct rescoring_row row = {.params = STR("{}"), .result = STR("")}, *list;
	uint32_t n;

	kit_round(k, "a", 1);
	kit_round(k, "b", 1);
	kit_fails(k, store_rescoring_get(k->r, &k->a, STR("a"), 0, &row, &k->e), P_UNKNOWN_RESCORING, "");
	kit_ok(k, store_rescoring_list(k->r, &k->a, STR("a"), &list, &n, &k->e));
	assert_int_equal(n, 0);
	assert_int_equal(rescore(k, "a", 0.25), 1);
	assert_int_equal(rescore(k, "b", 0.5), 1); /* each round's own */
	kit_begin(k);
	kit_ok(k, store_round_close(k->w, STR("a"), &k->e));
	kit_commit(k);
	assert_int_equal(rescore(k, "a", 1e-9), 2); /* a closed round may still be rescored */
	kit_ok(k, store_rescoring_get(k->r, &k->a, STR("a"), 0, &row, &k->e));
	assert_int_equal(row.number, 2);
	assert_true(row.alpha == 1e-9);
	kit_ok(k, store_rescoring_get(k->r, &k->a, STR("a"), 1, &row, &k->e));
	assert_int_equal(row.number, 1);
	assert_int_equal(row.seq, 3);
	assert_str(row.params, "{\"beta\":0.1}");
	assert_true(row.alpha == 0.25 && row.beta == 0.1);
	assert_str(row.result, "\"pairs\":1");
	assert_int_equal(row.created_at, NOW);
	kit_ok(k, store_rescoring_list(k->r, &k->a, STR("a"), &list, &n, &k->e));
	assert_int_equal(n, 2);
	assert_int_equal(list[0].number, 1);
	assert_int_equal(list[1].number, 2);
	kit_fails(k, store_rescoring_get(k->r, &k->a, STR("a"), 3, &row, &k->e), P_UNKNOWN_RESCORING, "");
	kit_fails(k, store_rescoring_get(k->r, &k->a, STR("c"), 0, &row, &k->e), P_UNKNOWN_ROUND, "");
	kit_fails(k, store_rescoring_list(k->r, &k->a, STR("c"), &list, &n, &k->e), P_UNKNOWN_ROUND, "");
	kit_begin(k);
	kit_fails(k, store_rescoring_insert(k->w, STR("c"), &row, &k->e), P_UNKNOWN_ROUND, "");
	kit_undo(k);
}

/* --- a check finds what is wrong --------------------------------------------------------------------- */

static void gather_finding(void *ctx, const char *finding)
{
	struct buf *b = ctx;

	buf_z(b, finding);
	buf_byte(b, '\n');
}

/* Damages, looks, and undoes the damage. */
static void damage(struct kit *k, const char *sql, const char *undo, const char *want)
{
	struct buf found = BUF_INIT;

	exec_on(k, sql);
	assert_int_equal(store_check(k->r, gather_finding, &found, &k->e), 1);
	buf_byte(&found, '\0');
	if (strcmp(found.p, want) != 0)
		fail_msg("%s: found %s instead of %s", sql, found.p, want);
	buf_release(&found);
	exec_on(k, undo);
	kit_check(k);
}

static void damage_is_found(void **state)
{
	struct kit *k = *state;

	half_done(k);
	damage(k, "UPDATE round_prompt SET samples = samples + 1 WHERE id = 'p1' AND round = 1",
	       "UPDATE round_prompt SET samples = samples - 1 WHERE id = 'p1' AND round = 1",
	       "round r: the counts of prompt p1 are wrong\n");
	damage(k, "UPDATE round_prompt SET reference = 0 WHERE id = 'p0' AND round = 1",
	       "UPDATE round_prompt SET reference = 2 WHERE id = 'p0' AND round = 1",
	       "round r: the counts of prompt p0 are wrong\n");
	damage(k, "UPDATE round_work SET kind = 1 WHERE round = 1", "UPDATE round_work SET kind = 0 WHERE round = 1",
	       "round r: the open work of prompt p1 is wrong\n");
	damage(k, "UPDATE round_prompt SET id = 'px' WHERE id = 'p1' AND round = 2",
	       "UPDATE round_prompt SET id = 'p1' WHERE id = 'px' AND round = 2",
	       "round again: px does not lead to its prompt\n");
	damage(k, "UPDATE response SET round = 2 WHERE response IN (SELECT response FROM sample WHERE number = 1)",
	       "UPDATE response SET round = 1", "1 samples lead to no response of their round\n");
	damage(k, "INSERT INTO round_work VALUES (1, 77, 0, 0, NULL)", "DELETE FROM round_work WHERE round = 77",
	       "open work on 1 prompts that are of no round\n");
}

/* --- the schema ------------------------------------------------------------------------------------------ */

/* Closes the kit's database and puts one in its place that version 1 of the
 * schema made, with the same rows. */
static void version_1(struct kit *k)
{
	static const char *const table[] = {"name", "dataset", "prompt_key", "response_key", "text", "prompt", "score",
	                                    "logprob", "prompt_sum", "series", "tally"};
	char path[128], old[140], sql[256];
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/prefd.db", k->dir);
	snprintf(old, sizeof old, "%s.1", path);
	store_close(k->r);
	store_close(k->w);
	k->r = k->w = NULL;
	assert_int_equal(sqlite3_open(old, &db), SQLITE_OK);
	exec_in(db, "PRAGMA page_size=8192");
	exec_in(db, EMBEDDED(schema_001).p);
	exec_in(db, "PRAGMA application_id=1886545254"); /* "pref" */
	exec_in(db, "PRAGMA user_version=1");
	snprintf(sql, sizeof sql, "ATTACH '%s' AS new", path);
	exec_in(db, sql);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		snprintf(sql, sizeof sql, "INSERT INTO main.%s SELECT * FROM new.%s", table[i], table[i]);
		exec_in(db, sql);
	}
	exec_in(db, "INSERT INTO main.response SELECT prompt, response, seq, id, text, hash, characters, model, tokens,"
	            " finish_reason FROM new.response");
	exec_in(db, "UPDATE main.counter SET next = (SELECT next FROM new.counter)");
	sqlite3_close(db);
	for (int i = 0; i < 3; i++) {
		snprintf(sql, sizeof sql, "%s%s", path, (const char *[]){"", "-wal", "-shm"}[i]);
		unlink(sql);
	}
	assert_int_equal(rename(old, path), 0);
}

static void an_older_database_is_brought_up(void **state)
{
	struct kit *k = *state;
	struct read_prompt p;

	stored(k);
	kit_score(k, "a", score_of("j", "overall", 7, 1));
	version_1(k);
	kit_fails(k, kit_open_reader(k), P_UNAVAILABLE, "");
	kit_ok(k, kit_open_writer(k));
	kit_ok(k, kit_open_reader(k));
	assert_int_equal(count(k, "PRAGMA user_version"), 2);
	kit_check(k);
	p = kit_read(k, "p0", SEQ_LATEST, READ_TEXTS | READ_LOGPROBS);
	assert_int_equal(p.responses, 3);
	assert_str(p.response[0].text, "answer a");
	assert_str(p.response[0].model, "m1");
	assert_null(p.response[0].round.p);
	assert_int_equal(p.response[0].logprobs, 3);
	kit_round(k, "r", 0);
	assert_progress(k, "r", 3, PAIR(2, 2), PAIR(2, 2), PAIR(1, 2));
	kit_round(k, "s", 1);
	assert_int_equal(kit_deliver(k, "s", "p1", 0, "a new answer"), 1);
	kit_check(k);
	store_close(k->r);
	store_close(k->w);
	kit_ok(k, kit_open_writer(k)); /* the second time there is nothing to do */
	kit_ok(k, kit_open_reader(k));
	kit_check(k);
}

/* All of a step or nothing: here a table of version 2 stands in the way. */
static void a_failed_step_leaves_the_old_version(void **state)
{
	struct kit *k = *state;

	stored(k);
	version_1(k);
	exec_on(k, "CREATE TABLE round_work(x)");
	assert_int_equal(kit_open_writer(k), -1);
	assert_int_equal(count(k, "PRAGMA user_version"), 1);
	assert_int_equal(count(k, "SELECT count(*) FROM pragma_table_info('response') WHERE name = 'round'"), 0);
	assert_int_equal(count(k, "SELECT count(*) FROM sqlite_schema WHERE name = 'round'"), 0);
	exec_on(k, "DROP TABLE round_work");
	kit_ok(k, kit_open_writer(k));
	kit_ok(k, kit_open_reader(k));
	kit_check(k);
	assert_int_equal(count(k, "PRAGMA user_version"), 2);
}

/* --- cost ----------------------------------------------------------------------------------------------- */

static const char *const text[SQL_COUNT] = {
#define X(name, sql) [SQL_##name] = sql,
	STATEMENTS(X)
#undef X
};

/* SQLite's plan of a statement: its first line. */
static void assert_plan(struct kit *k, enum sql id, const char *want)
{
	char path[128], sql[1024];
	sqlite3_stmt *st;
	sqlite3 *db;

	snprintf(path, sizeof path, "%s/prefd.db", k->dir);
	snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", text[id]);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(st, 3), want);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE); /* no sorter, no second loop */
	sqlite3_finalize(st);
	sqlite3_close(db);
}

/* A lease costs what it hands out, however many prompts are done. */
static void taking_looks_at_open_work_only(void **state)
{
	struct kit *k = *state;

	assert_plan(k, SQL_WORK_NEXT,
	            "SEARCH round_work USING COVERING INDEX round_work_next (round=? AND kind=? AND until<?)");
	assert_plan(k, SQL_WORK_ANY, "SEARCH round_work USING COVERING INDEX round_work_next (round=? AND kind=?)");
	assert_plan(k, SQL_WORK_RENEW, "SEARCH round_work USING COVERING INDEX round_work_lease (lease=?)");
	assert_plan(k, SQL_WORK_FREE, "SEARCH round_work USING COVERING INDEX round_work_lease (lease=?)");
	assert_plan(k, SQL_LEASE_ALIVE, "SEARCH lease USING INDEX lease_alive (round=? AND until>?)");
	assert_plan(k, SQL_ROUND_SUMS, "SEARCH round_prompt USING PRIMARY KEY (round=?)");
	assert_plan(k, SQL_ROUND_OF_PROMPT, "SEARCH round_prompt USING COVERING INDEX round_prompt_key (prompt=?)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(what_is_scored_already_is_not_asked_for),
		KIT_TEST(a_fact_counts_wherever_it_comes_from),
		KIT_TEST(the_responses_are_fixed),
		KIT_TEST(samples_are_fixed),
		KIT_TEST(pages_show_the_past),
		KIT_TEST(a_prompt_goes_in_the_middle),
		KIT_TEST(with_its_prompt_goes_its_work),
		KIT_TEST(a_dataset_closes_its_rounds),
		KIT_TEST(rescorings_have_numbers),
		KIT_TEST(damage_is_found),
		KIT_TEST(an_older_database_is_brought_up),
		KIT_TEST(a_failed_step_leaves_the_old_version),
		KIT_TEST(taking_looks_at_open_work_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
