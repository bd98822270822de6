/* The connection: opening, groups and savepoints, answers, snapshots' rows. */
#include <sqlite3.h>

#include "store_kit.h"
#include "store/read.h"

static struct row prompt_with(const char *id, struct response *r, uint32_t n)
{
	return record_of(id, "[{\"role\":\"user\",\"content\":\"q\"}]", r, n);
}

/* --- opening ----------------------------------------------------------------------- */

static void a_second_writer_is_refused(void **state)
{
	struct kit *k = *state;
	struct store_options o = {.dir = k->dir, .writer = true};
	struct store *second;

	kit_fails(k, store_open(&second, &o, &k->e), P_CONFLICT, "");
	store_close(k->w);
	assert_int_equal(store_open(&k->w, &o, &k->e), 0); /* the lock went with the first */
}

static void a_reader_needs_a_database(void **state)
{
	struct kit *k = *state;
	struct store_options o = {.dir = "/tmp/prefd-there-is-no-such-folder"};
	struct store *s;

	kit_fails(k, store_open(&s, &o, &k->e), P_UNAVAILABLE, "");
	assert_int_equal(access(o.dir, F_OK), -1); /* and makes none */
}

static uint64_t file_hash(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct buf b = BUF_INIT;
	uint64_t h;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		buf_byte(&b, (char)c);
	fclose(f);
	h = xxh3(b.p, b.n);
	buf_release(&b);
	return h;
}

static void exec_on(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_newer_schema_is_refused_untouched(void **state)
{
	struct kit *k = *state;
	char path[128];
	uint64_t before;

	snprintf(path, sizeof path, "%s/prefd.db", k->dir);
	store_close(k->w);
	store_close(k->r);
	k->w = k->r = NULL;
	exec_on(path, "PRAGMA user_version=3");
	before = file_hash(path);
	kit_fails(k, kit_open_writer(k), P_CONFLICT, "");
	kit_fails(k, kit_open_reader(k), P_CONFLICT, "");
	assert_true(file_hash(path) == before);
	exec_on(path, "PRAGMA user_version=2");
	assert_int_equal(kit_open_writer(k), 0); /* it was only the number */
}

static void another_program_s_database_is_refused(void **state)
{
	struct kit *k = *state;
	char path[128];

	snprintf(path, sizeof path, "%s/prefd.db", k->dir);
	store_close(k->w);
	store_close(k->r);
	k->w = k->r = NULL;
	unlink(path);
	exec_on(path, "CREATE TABLE theirs(x)");
	kit_fails(k, kit_open_writer(k), P_CONFLICT, "");
}

static void readers_do_not_write(void **state)
{
	struct kit *k = *state;

	kit_fails(k, store_begin(k->r, &k->e), P_INTERNAL, "");
	kit_fails(k, store_checkpoint(k->r, false, &k->e), P_INTERNAL, "");
	kit_fails(k, store_answer_purge(k->w, 0, 1, &k->e), P_INTERNAL, ""); /* nor a writer outside its group */
}

static void what_was_committed_is_there_after_reopening(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("r", "text", "m");
	struct row row = prompt_with("p", &r, 1);

	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	store_close(k->w);
	store_close(k->r);
	kit_ok(k, kit_open_writer(k));
	kit_ok(k, kit_open_reader(k));
	assert_str(kit_read(k, "p", SEQ_LATEST, READ_TEXTS).response[0].text, "text");
	kit_check(k);
}

/* --- groups -------------------------------------------------------------------------- */

/* Two requests of one group; the second is undone. Numbers: prompt 1, response
 * 2, score 3; the undone request's numbers are taken again by the third. */
static void undo_leaves_no_trace(void **state)
{
	struct kit *k = *state;
	struct score s1 = score_of("j1", "overall", 4, 10), s2 = score_of("undone", "overall", 9, 10);
	struct response r1 = response_of("r1", "a", "m"), r2 = response_of("r2", "b", "undone-model");
	struct row row1 = prompt_with("p1", &r1, 1), row2 = prompt_with("p2", &r2, 1);
	struct dataset_stats st;
	struct dataset d;

	r1.score = &s1;
	r2.score = &s2;
	r1.scores = r2.scores = 1;
	kit_begin(k);
	kit_ok(k, kit_put_in(k, &row1, CONFLICT_REFUSE, NOW));
	kit_ok(k, store_release(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
	kit_ok(k, kit_put_in(k, &row2, CONFLICT_REFUSE, NOW));
	kit_ok(k, store_dataset_get(k->w, &k->a, STR("d"), &d, &k->e));
	assert_int_equal(d.seq, 6); /* the writer sees its own numbers */
	kit_undo(k);

	d = kit_get(k);
	assert_int_equal(d.seq, 3);
	kit_ok(k, store_stats(k->r, &k->a, &d, &st, &k->e));
	assert_int_equal(st.prompts, 1);
	assert_int_equal(st.scores, 1);
	assert_int_equal(st.models, 1);
	/* The undone names were rolled back with the row: used again they must
	 * get keys that are stored. */
	r2.model = STR("undone-model");
	kit_ok(k, kit_put(k, &row2, CONFLICT_REFUSE));
	assert_str(kit_read(k, "p2", SEQ_LATEST, READ_SCORES).response[0].score[0].s.judge, "undone");
	assert_int_equal(kit_get(k).seq, 6);
	kit_check(k);
}

static void rollback_drops_the_whole_group(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("r1", "a", "other");
	struct row row = prompt_with("p1", &r, 1);
	struct read_prompt p;
	struct dataset d;

	kit_begin(k);
	kit_ok(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW));
	kit_ok(k, store_release(k->w, &k->e));
	store_rollback(k->w);
	d = kit_get(k);
	assert_int_equal(d.seq, 0);
	kit_fails(k, store_prompt_get(k->r, &k->a, &d, STR("p1"), SEQ_LATEST, 0, &p, &k->e), P_UNKNOWN_PROMPT, "");
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	assert_str(kit_read(k, "p1", SEQ_LATEST, 0).response[0].model, "other");
	kit_check(k);
}

/* Two requests of one group revise the same score: the second sees the first. */
static void requests_of_a_group_see_each_other(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("r1", "a", "m");
	struct row row = prompt_with("p1", &r, 1), score = {.kind = ROW_SCORE};
	struct read_prompt p;

	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE)); /* numbers 1, 2 */
	score.score.response = STR("r1");
	score.score.score = score_of("j", "overall", 3, TIME_NONE);
	kit_begin(k);
	kit_ok(k, kit_put_in(k, &score, CONFLICT_REFUSE, NOW));
	assert_int_equal(k->counts.scores_created, 1);
	kit_ok(k, store_release(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
	score.score.score.value = 5;
	kit_ok(k, kit_put_in(k, &score, CONFLICT_REFUSE, NOW));
	assert_int_equal(k->counts.scores_revised, 1);
	kit_ok(k, store_release(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
	kit_ok(k, kit_put_in(k, &score, CONFLICT_REFUSE, NOW));
	assert_int_equal(k->counts.scores_unchanged, 1);
	kit_commit(k);

	p = kit_read(k, "p1", SEQ_LATEST, READ_LEDGER);
	assert_int_equal(p.response[0].scores, 2);
	assert_int_equal(p.response[0].score[0].s.at, NOW);
	assert_int_equal(p.response[0].score[1].s.at, NOW + 1); /* strictly rising at one clock reading */
	assert_true(p.response[0].score[1].current);
	assert_int_equal(kit_get(k).seq, 4);
	kit_check(k);
}

static void order_of_calls_is_watched(void **state)
{
	struct kit *k = *state;
	struct row row = prompt_with("p1", NULL, 0);

	kit_fails(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW), P_INTERNAL, "");
	kit_fails(k, store_savepoint(k->w, &k->e), P_INTERNAL, "");
	kit_ok(k, store_begin(k->w, &k->e));
	kit_fails(k, store_begin(k->w, &k->e), P_INTERNAL, "");
	kit_ok(k, store_savepoint(k->w, &k->e));
	kit_fails(k, store_savepoint(k->w, &k->e), P_INTERNAL, "");
	kit_commit(k);
	assert_false(store_failed(k->w));
}

static void checkpoints_empty_the_log(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("r1", "a", "m");
	struct row row = prompt_with("p1", &r, 1);
	struct stat st;
	char path[128];

	snprintf(path, sizeof path, "%s/prefd.db-wal", k->dir);
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	assert_true(store_wal_bytes(k->w) > 0);
	kit_ok(k, store_checkpoint(k->w, false, &k->e));
	assert_int_equal(store_wal_bytes(k->w), 0);
	kit_score(k, "r1", score_of("j", "overall", 1, 1));
	assert_true(store_wal_bytes(k->w) > 0);
	kit_ok(k, store_checkpoint(k->w, true, &k->e));
	assert_int_equal(store_wal_bytes(k->w), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	kit_check(k);
}

/* --- datasets -------------------------------------------------------------------------- */

static void datasets_are_made_changed_listed(void **state)
{
	struct kit *k = *state;
	struct attribute at[2] = {{STR("helpfulness"), 1, 5}, {STR("accuracy"), 0, 10}};
	struct dataset_change c = {.name = STR("e"), .description = STR("about"), .attribute = at, .attributes = 2};
	struct dataset d, *list;
	bool created;
	uint32_t n;

	kit_begin(k);
	kit_ok(k, store_dataset_put(k->w, &c, 77, &created, &k->e));
	assert_true(created);
	kit_commit(k);
	kit_ok(k, store_dataset_get(k->r, &k->a, STR("e"), &d, &k->e));
	assert_true(d.goal_min == 1 && d.goal_max == 10);
	assert_int_equal(d.created_at, 77);
	assert_str(d.attribute[0].name, "accuracy"); /* byte order */
	assert_true(d.attribute[1].min == 1 && d.attribute[1].max == 5);

	c = (struct dataset_change){.name = STR("e"), .has_goal_scale = true, .goal_min = 0, .goal_max = 1};
	kit_begin(k);
	kit_ok(k, store_dataset_put(k->w, &c, 99, &created, &k->e));
	assert_false(created);
	kit_commit(k);
	kit_ok(k, store_dataset_get(k->r, &k->a, STR("e"), &d, &k->e));
	assert_str(d.description, "about"); /* what is absent stays */
	assert_true(d.goal_min == 0 && d.goal_max == 1);
	assert_int_equal(d.attributes, 2);

	kit_ok(k, store_dataset_list(k->r, &k->a, STR_NONE, 10, &list, &n, &k->e));
	assert_int_equal(n, 2);
	assert_str(list[0].name, "d");
	kit_ok(k, store_dataset_list(k->r, &k->a, STR("d"), 10, &list, &n, &k->e));
	assert_int_equal(n, 1);
	kit_fails(k, store_dataset_get(k->r, &k->a, STR("f"), &d, &k->e), P_UNKNOWN_DATASET, "");
}

static int put_range(struct kit *k, const char *name, double min, double max)
{
	struct attribute at = {str_of(name), min, max};
	struct dataset_change c = {.name = STR("d"), .attribute = &at, .attributes = 1};
	bool created;
	int rc;

	kit_begin(k);
	rc = store_dataset_put(k->w, &c, NOW, &created, &k->e);
	if (rc < 0) {
		struct err kept = k->e;

		kit_undo(k);
		k->e = kept;
		return -1;
	}
	kit_commit(k);
	return 0;
}

static void ranges_are_fixed_by_scores(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("r1", "a", "m");
	struct row row = prompt_with("p1", &r, 1), score = {.kind = ROW_SCORE};

	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	kit_ok(k, put_range(k, "a/b", 1, 5));
	kit_ok(k, put_range(k, "a/b", 0, 4)); /* no scores yet */
	score.score.response = STR("r1");
	score.score.score = score_of("j", "a/b", 5, 1);
	kit_fails(k, kit_put(k, &score, CONFLICT_REFUSE), P_INVALID, "/value");
	score.score.score.value = 4;
	kit_ok(k, kit_put(k, &score, CONFLICT_REFUSE));
	kit_fails(k, put_range(k, "a/b", 0, 5), P_RANGE_FIXED, "/attributes/a~1b");
	kit_ok(k, put_range(k, "a/b", 0, 4)); /* the same is no change */
	/* An attribute with scores and no range takes one that holds them all. */
	kit_score(k, "r1", score_of("j", "late", 7, 1));
	kit_fails(k, put_range(k, "late", 1, 5), P_RANGE_FIXED, "/attributes/late");
	kit_ok(k, put_range(k, "late", 1, 7));
	kit_check(k);
}

/* The same while the scores are only in the running group's memory, and the
 * group's other request is undone. */
static void ranges_see_the_running_group(void **state)
{
	struct kit *k = *state;
	struct attribute at = {STR("x"), 1, 5};
	struct dataset_change c = {.name = STR("d"), .attribute = &at, .attributes = 1};
	struct response r = response_of("r1", "a", "m");
	struct score sc = score_of("j", "x", 7, 1);
	struct row row = prompt_with("p1", &r, 1);
	bool created;

	r.score = &sc;
	r.scores = 1;
	kit_begin(k);
	kit_ok(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW));
	kit_ok(k, store_release(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
	kit_fails(k, store_dataset_put(k->w, &c, NOW, &created, &k->e), P_RANGE_FIXED, "/attributes/x");
	kit_ok(k, store_undo(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
	at.max = 8;
	kit_ok(k, store_dataset_put(k->w, &c, NOW, &created, &k->e));
	kit_commit(k);
	kit_check(k); /* the group's bins are those of the new range */
	/* A range that is undone does not bind, though the group has used it. (Its
	 * name is the judge's: one that goes with the undo would hide the range.) */
	at = (struct attribute){STR("j"), 1, 2};
	kit_begin(k);
	kit_ok(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW));
	kit_ok(k, store_release(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
	kit_ok(k, store_dataset_put(k->w, &c, NOW, &created, &k->e));
	sc = score_of("j", "j", 9, 1);
	kit_fails(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW), P_INVALID, "/responses/0/scores/0/value");
	kit_ok(k, store_undo(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
	kit_ok(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW));
	assert_int_equal(k->counts.scores_created, 1);
	kit_commit(k);
	kit_check(k);
}

/* A step that was refused before its first write is as if it had never been; one
 * that has written takes the group with it. */
static void a_step_is_whole_or_takes_the_group_along(void **state)
{
	struct kit *k = *state;
	struct response r = response_of("r1", "a", "m");
	struct row row = prompt_with("p1", &r, 1);
	struct row score = {.kind = ROW_SCORE, .score = {STR("r1"), score_of("j", "x", 7, 1)}};

	kit_begin(k);
	kit_ok(k, kit_put_in(k, &row, CONFLICT_REFUSE, NOW));
	kit_commit(k);
	kit_ok(k, store_begin(k->w, &k->e));
	kit_ok(k, store_step(k->w, &k->e));
	kit_ok(k, kit_put_in(k, &score, CONFLICT_REFUSE, NOW));
	kit_ok(k, store_release(k->w, &k->e));
	kit_ok(k, store_step(k->w, &k->e));
	score.score.response = STR("nowhere");
	kit_fails(k, kit_put_in(k, &score, CONFLICT_REFUSE, NOW), P_UNKNOWN_ID, "/response");
	kit_ok(k, store_undo(k->w, &k->e));
	kit_ok(k, store_commit(k->w, &k->e));
	kit_check(k);

	kit_ok(k, store_begin(k->w, &k->e));
	kit_ok(k, store_step(k->w, &k->e));
	score.score.response = STR("r1");
	score.score.score.judge = STR("other");
	kit_ok(k, kit_put_in(k, &score, CONFLICT_REFUSE, NOW));
	assert_int_equal(k->counts.scores_created, 1);
	assert_int_equal(store_undo(k->w, &k->e), -1);
	store_rollback(k->w);
	kit_begin(k);
	kit_ok(k, kit_put_in(k, &score, CONFLICT_REFUSE, NOW));
	assert_int_equal(k->counts.scores_created, 1); /* nothing had stayed */
	kit_commit(k);
	kit_check(k);
}

/* --- answers and snapshots ----------------------------------------------------------------- */

static void answers_stay_for_a_while(void **state)
{
	struct kit *k = *state;
	struct store_answer in = {.request_hash = {1, 2, 3}, .status = 200, .body = STR("{}")}, out;

	kit_ok(k, store_begin(k->w, &k->e));
	kit_ok(k, store_answer_put(k->w, STR("key-1"), &in, 100, &k->e));
	in.location = STR("/v1/x");
	kit_ok(k, store_answer_put(k->w, STR("key-2"), &in, 200, &k->e));
	kit_ok(k, store_commit(k->w, &k->e));
	assert_int_equal(store_answer_get(k->r, &k->a, STR("key-1"), &out, &k->e), 1);
	assert_int_equal(out.status, 200);
	assert_null(out.location.p);
	assert_str(out.body, "{}");
	assert_memory_equal(out.request_hash, in.request_hash, 32);
	assert_int_equal(store_answer_get(k->r, &k->a, STR("key-3"), &out, &k->e), 0);
	kit_ok(k, store_begin(k->w, &k->e));
	assert_int_equal(store_answer_purge(k->w, 200, 10, &k->e), 1); /* older than, not as old as */
	assert_int_equal(store_answer_purge(k->w, 200, 10, &k->e), 0);
	kit_ok(k, store_commit(k->w, &k->e));
	assert_int_equal(store_answer_get(k->r, &k->a, STR("key-1"), &out, &k->e), 0);
	assert_int_equal(store_answer_get(k->r, &k->a, STR("key-2"), &out, &k->e), 1);
	assert_str(out.location, "/v1/x");
}

static struct snapshot_row snapshot_of(const char *id, int64_t dataset)
{
	return (struct snapshot_row){.id = str_of(id), .dataset = STR("d"), .dataset_key = dataset, .seq = 3,
	                             .state = SNAPSHOT_BUILDING, .posted = STR("{}"), .recipe = STR("{\"a\":1}"),
	                             .created_at = 5};
}

static int settle(struct kit *k, const char *id, enum snapshot_state to)
{
	struct snapshot_row row = {.id = str_of(id), .state = to, .bytes = 10};
	int rc;

	if (to == SNAPSHOT_READY) {
		row.revision = STR("00ff");
		row.result = STR("{\"pairs\":1}");
	} else {
		row.problem = STR("{\"status\":410}");
	}
	kit_begin(k);
	rc = store_snapshot_settle(k->w, &row, &k->e);
	kit_commit(k);
	return rc;
}

/*                 ready  failed  revoked  deleted
 * building          1      1        1        1
 * ready             0      0        1        1
 * revoked           0      0        0        1
 * deleted           0      0        0        0     */
static void snapshots_change_state_one_way(void **state)
{
	struct kit *k = *state;
	struct snapshot_row row = snapshot_of("s1", 1), *list, got;
	int64_t users;
	uint32_t n;

	kit_begin(k);
	kit_ok(k, store_snapshot_insert(k->w, &row, &k->e));
	row = snapshot_of("s2", 1);
	kit_ok(k, store_snapshot_insert(k->w, &row, &k->e));
	kit_fails(k, store_snapshot_insert(k->w, &row, &k->e), P_CONFLICT, "");
	kit_commit(k);
	kit_ok(k, store_snapshot_in_state(k->r, &k->a, SNAPSHOT_BUILDING, STR_NONE, &list, &n, &k->e));
	assert_int_equal(n, 2);

	assert_int_equal(settle(k, "s1", SNAPSHOT_READY), 1);
	assert_int_equal(settle(k, "s1", SNAPSHOT_READY), 0);
	assert_int_equal(settle(k, "s1", SNAPSHOT_FAILED), 0);
	kit_ok(k, store_snapshot_users(k->r, STR("00ff"), &users, &k->e));
	assert_int_equal(users, 1);
	assert_int_equal(settle(k, "s1", SNAPSHOT_REVOKED), 1);
	assert_int_equal(settle(k, "s1", SNAPSHOT_REVOKED), 0);
	kit_ok(k, store_snapshot_users(k->r, STR("00ff"), &users, &k->e));
	assert_int_equal(users, 0);
	kit_ok(k, store_snapshot_get(k->r, &k->a, STR("s1"), &got, &k->e));
	assert_int_equal(got.state, SNAPSHOT_REVOKED);
	assert_str(got.revision, "00ff"); /* its row stays, with the reason */
	assert_str(got.result, "{\"pairs\":1}");
	assert_str(got.problem, "{\"status\":410}");
	assert_int_equal(settle(k, "s1", SNAPSHOT_DELETED), 1);
	assert_int_equal(settle(k, "s1", SNAPSHOT_DELETED), 0);
	assert_int_equal(settle(k, "none", SNAPSHOT_DELETED), 0);

	kit_ok(k, store_snapshot_list(k->r, &k->a, 0, STR_NONE, 10, &list, &n, &k->e));
	assert_int_equal(n, 1); /* a deleted one is not listed */
	assert_str(list[0].id, "s2");
	kit_ok(k, store_snapshot_list(k->r, &k->a, 2, STR_NONE, 10, &list, &n, &k->e));
	assert_int_equal(n, 0);
	kit_ok(k, store_snapshot_list(k->r, &k->a, 1, STR("s2"), 10, &list, &n, &k->e));
	assert_int_equal(n, 0);
	kit_ok(k, store_snapshot_get(k->r, &k->a, STR("s1"), &got, &k->e));
	assert_int_equal(got.state, SNAPSHOT_DELETED); /* but known */
	row = snapshot_of("s1", 1);
	kit_begin(k);
	kit_fails(k, store_snapshot_insert(k->w, &row, &k->e), P_CONFLICT, ""); /* ids are never used again */
	kit_undo(k);
	kit_fails(k, store_snapshot_get(k->r, &k->a, STR("s9"), &got, &k->e), P_UNKNOWN_SNAPSHOT, "");
}

/* Near ones by stepping on, far ones by looking up: 20 texts of one row. */
static void texts_by_rising_keys(void **state)
{
	struct kit *k = *state;
	struct response r[20];
	struct read_prompt p;
	struct dataset d;
	struct row row;
	struct str text[5];
	int64_t key[5];

	for (int i = 0; i < 20; i++)
		r[i] = response_of(arena_printf(&k->a, "r%02d", i).p, arena_printf(&k->a, "text %d", i).p, NULL);
	row = record_of("p", "[{\"role\":\"user\",\"content\":\"q\"}]", r, 20);
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
	kit_ok(k, store_dataset_get(k->r, &k->a, STR("d"), &d, &k->e));
	kit_ok(k, store_prompt_get(k->r, &k->a, &d, STR("p"), SEQ_LATEST, 0, &p, &k->e));
	key[0] = p.messages_key;
	key[1] = key[2] = p.response[0].text_key;
	key[3] = p.response[3].text_key;
	key[4] = p.response[19].text_key;
	kit_ok(k, store_texts(k->r, &k->a, key, 5, text, &k->e));
	assert_true(str_eq(text[0], STR("[{\"role\":\"user\",\"content\":\"q\"}]")));
	assert_true(str_eq(text[1], STR("text 0")));
	assert_true(str_eq(text[2], STR("text 0")));
	assert_true(str_eq(text[3], STR("text 3")));
	assert_true(str_eq(text[4], STR("text 19")));
	key[3] = p.response[2].key; /* of a response, so of no text */
	kit_fails(k, store_texts(k->r, &k->a, key, 5, text, &k->e), P_GONE, "");
	key[4] = INT64_MAX;
	kit_fails(k, store_texts(k->r, &k->a, &key[4], 1, text, &k->e), P_GONE, "");
	kit_ok(k, store_texts(k->r, &k->a, key, 0, text, &k->e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(a_second_writer_is_refused),
		KIT_TEST(a_reader_needs_a_database),
		KIT_TEST(a_newer_schema_is_refused_untouched),
		KIT_TEST(another_program_s_database_is_refused),
		KIT_TEST(readers_do_not_write),
		KIT_TEST(what_was_committed_is_there_after_reopening),
		KIT_TEST(undo_leaves_no_trace),
		KIT_TEST(rollback_drops_the_whole_group),
		KIT_TEST(requests_of_a_group_see_each_other),
		KIT_TEST(a_step_is_whole_or_takes_the_group_along),
		KIT_TEST(order_of_calls_is_watched),
		KIT_TEST(checkpoints_empty_the_log),
		KIT_TEST(datasets_are_made_changed_listed),
		KIT_TEST(ranges_are_fixed_by_scores),
		KIT_TEST(ranges_see_the_running_group),
		KIT_TEST(answers_stay_for_a_while),
		KIT_TEST(snapshots_change_state_one_way),
		KIT_TEST(texts_by_rising_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
