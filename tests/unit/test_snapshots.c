/* Snapshots as a service: made, waited for, damaged, taken back. */
#include "service_kit.h"

/* --- making ---------------------------------------------------------------------------------------- */

static void made_and_told(void **state)
{
	struct client c;

	(void)state;
	post_prompts("d", 3);
	create(&c, "{\"name\":\"s\",\"recipe\":{}}", 20);
	assert_int_equal(c.a->status, 201);
	assert_string_equal(header(c.a, "Location"), "/v1/snapshots/s");
	assert_true(has(c.a, "{\"id\":\"s\",\"name\":\"s\",\"dataset\":\"d\",\"state\":\"ready\",\"progress\":1,\"revision\":\""));
	assert_true(has(c.a, "\"prompts\":3,\"pairs\":3,\"examples\":6,\"skipped\":{},\"dropped\":{},\"warnings\":[],"
	                     "\"inference_prompt\":\""));
	client_close(&c);
	get(&c, "s", 0);
	assert_int_equal(c.a->status, 200);
	assert_true(has(c.a, "\"state\":\"ready\""));
	client_close(&c);
	get(&c, "t", 20);
	assert_int_equal(c.a->err.problem, P_UNKNOWN_SNAPSHOT);
	client_close(&c);
}

static void without_waiting(void **state)
{
	struct client c;
	char id[140];

	(void)state;
	post_prompts("d", 3);
	create(&c, "{\"recipe\":{}}", 0);
	assert_int_equal(c.a->status, 202);
	assert_true(has(c.a, "\"name\":null,"));
	assert_true(has(c.a, "\"state\":\"building\",\"progress\":0,\"revision\":null,"));
	snprintf(id, sizeof id, "%s", header(c.a, "Location") + strlen("/v1/snapshots/"));
	assert_int_equal(strlen(id), 32);
	client_close(&c);
	get(&c, id, 20);
	assert_true(has(c.a, "\"state\":\"ready\""));
	client_close(&c);
	snapshots_wait(service, str_of(id), 20, client_open(&c)->pending);
	client_wait(&c);
	assert_int_equal(c.a->status, 0); /* ask again */
	client_close(&c);
}

static void one_name_one_recipe(void **state)
{
	struct client c;

	(void)state;
	post_prompts("d", 2);
	put_dataset("e");
	make("s", "{\"pairing\":{\"seed\":1}}");
	create(&c, "{\"recipe\":{\"pairing\":{\"seed\":1.0}},\"name\":\"s\"}", 5);
	assert_int_equal(c.a->status, 200);
	client_close(&c);
	create(&c, "{\"recipe\":{\"pairing\":{\"seed\":2}},\"name\":\"s\"}", 0);
	assert_int_equal(c.a->err.problem, P_CONFLICT);
	client_close(&c);
	create_with(&c, "e", "{\"recipe\":{\"pairing\":{\"seed\":1}},\"name\":\"s\"}", 0, NULL);
	assert_int_equal(c.a->err.problem, P_CONFLICT);
	client_close(&c);
	create_with(&c, "nowhere", "{\"recipe\":{}}", 0, NULL);
	assert_int_equal(c.a->err.problem, P_UNKNOWN_DATASET);
	client_close(&c);
	create(&c, "{\"recipe\":{\"reward\":{\"judges\":[\"x\"]}}}", 0);
	assert_int_equal(c.a->err.problem, P_UNKNOWN_ID);
	assert_string_equal(c.a->err.pointer, "/recipe/reward/judges/0");
	client_close(&c);
	/* Two posts without a name are two snapshots. */
	create(&c, "{\"recipe\":{}}", 20);
	client_close(&c);
	create(&c, "{\"recipe\":{}}", 20);
	client_close(&c);
	assert_int_equal(delete_snapshot("s"), 204);
	create(&c, "{\"recipe\":{\"pairing\":{\"seed\":1}},\"name\":\"s\"}", 0);
	assert_int_equal(c.a->err.problem, P_CONFLICT);
	client_close(&c);
}

static void a_repeated_post_waits_as_the_first_did(void **state)
{
	struct client a, b;

	(void)state;
	post_prompts("d", 2);
	create_with(&a, "d", "{\"recipe\":{}}", 20, "key");
	create_with(&b, "d", "{\"recipe\":{}}", 20, "key");
	assert_int_equal(a.a->status, 201);
	assert_int_equal(b.a->status, 201);
	assert_string_equal(header(a.a, "Location"), header(b.a, "Location"));
	client_close(&a);
	client_close(&b);
}

static void a_failed_one_says_why(void **state)
{
	struct batch_query q = query("bad");
	struct client c;

	(void)state;
	post("d", "{\"id\":\"p\",\"prompt\":\"q\",\"responses\":["
	          "{\"id\":\"a\",\"text\":\"x\",\"scores\":[{\"judge\":\"g\",\"value\":90}]},"
	          "{\"id\":\"b\",\"text\":\"y\",\"scores\":[{\"judge\":\"g\",\"value\":40}]}]}");
	create(&c, "{\"name\":\"bad\",\"recipe\":{}}", 20);
	assert_int_equal(c.a->err.problem, P_GOAL_SCALE);
	assert_int_equal(c.a->status, 422);
	assert_non_null(strstr(c.a->err.detail, "declare the range"));
	client_close(&c);
	get(&c, "bad", 0);
	assert_true(has(c.a, "\"state\":\"failed\",\"problem\":{\"type\":\"/problems/outside-goal-scale\""));
	client_close(&c);
	assert_int_equal(problem_of(&q), P_GOAL_SCALE);
	make("plain", "{\"view\":{\"augment\":\"none\"}}");
	q = query("plain");
	assert_int_equal(problem_of(&q), P_NONE);
	q.view.augment = STR("both");
	refused(&q, P_VIEW, "?augment");
}

static void listed_by_pages(void **state)
{
	struct answer a;
	struct err e = {0};

	(void)state;
	post_prompts("d", 1);
	put_dataset("e");
	make("s1", "{}");
	make("s2", "{}");
	make("s3", "{}");
	answer_init(&a);
	assert_int_equal(snapshots_list(service, NULL, STR("d"), STR_NONE, 2, &a, &e), 0);
	assert_true(has(&a, "\"id\":\"s1\"") && has(&a, "\"id\":\"s2\"") && has(&a, "\"next\":\"s2\""));
	assert_false(has(&a, "\"id\":\"s3\""));
	answer_release(&a);
	answer_init(&a);
	assert_int_equal(snapshots_list(service, NULL, STR_NONE, STR("s2"), 2, &a, &e), 0);
	assert_true(has(&a, "\"id\":\"s3\"") && has(&a, "\"next\":null"));
	answer_release(&a);
	answer_init(&a);
	assert_int_equal(snapshots_list(service, NULL, STR("e"), STR_NONE, 2, &a, &e), 0);
	assert_true(has(&a, "{\"snapshots\":[],\"next\":null}"));
	assert_int_equal(snapshots_list(service, NULL, STR("f"), STR_NONE, 2, &a, &e), -1);
	assert_int_equal(e.problem, P_UNKNOWN_DATASET);
	answer_release(&a);
}

/* --- damage ------------------------------------------------------------------------------------------------ */

static void flip_byte(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	char byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte = (char)(byte ^ 1);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static void a_damaged_file_is_made_anew(void **state)
{
	int64_t damaged = atomic_load(&metric_values[M_SNAPSHOTS_DAMAGED]);
	struct batch_query q = query("s");
	struct answer before, after;

	(void)state;
	post_prompts("d", 5);
	make("s", "{}");
	assert_int_equal(ask(&q, &before), P_NONE);
	make("x", "{\"pairing\":{\"seed\":9}}");
	make("y", "{\"pairing\":{\"seed\":8}}");
	q = query("x");
	assert_int_equal(problem_of(&q), P_NONE);
	q = query("y"); /* two are kept: s is put away */
	assert_int_equal(problem_of(&q), P_NONE);
	flip_byte(file_of("s"), 4096 + 10);
	q = query("s");
	assert_int_equal(ask(&q, &after), P_DAMAGED);
	assert_true(after.retry_after_s > 0);
	answer_release(&after);
	assert_int_equal(after_rebuild("s"), P_NONE);
	assert_int_equal(ask(&q, &after), P_NONE);
	assert_int_equal(before.body.n, after.body.n);
	assert_memory_equal(before.body.p, after.body.p, after.body.n);
	answer_release(&before);
	answer_release(&after);
	assert_int_equal(atomic_load(&metric_values[M_SNAPSHOTS_DAMAGED]) - damaged, 1);
}

static void a_lost_file_is_made_anew(void **state)
{
	struct batch_query q = query("s");

	(void)state;
	post_prompts("d", 5);
	make("s", "{}");
	assert_int_equal(unlink(file_of("s")), 0);
	assert_int_equal(problem_of(&q), P_DAMAGED);
	assert_int_equal(after_rebuild("s"), P_NONE);
}

static bool is_in_state(const char *id, const char *wanted)
{
	struct client c;
	char part[40];
	bool is;

	snprintf(part, sizeof part, "\"state\":\"%s\"", wanted);
	get(&c, id, 0);
	is = has(c.a, part);
	client_close(&c);
	return is;
}

static void comes_to_state(const char *id, const char *wanted)
{
	for (int ms = 0; ms < PATIENCE_MS && !is_in_state(id, wanted); ms += 20)
		usleep(20000);
	assert_true(is_in_state(id, wanted));
}

/* The file was lost and then what it was made of: honest, not other bytes; and
 * at once, though it is mapped and nobody asks. */
static void a_file_that_cannot_come_back(void **state)
{
	struct batch_query q = query("s");
	enum problem p;
	struct client c;

	(void)state;
	post_prompts("d", 5);
	make("s", "{}");
	assert_int_equal(problem_of(&q), P_NONE);
	assert_int_equal(unlink(file_of("s")), 0);
	assert_int_equal(problem_of(&q), P_NONE); /* still mapped */
	assert_int_equal(delete_prompt("p2"), 204);
	p = problem_of(&q);
	assert_true(p == P_DAMAGED || p == P_GONE); /* never what holds p2 */
	comes_to_state("s", "revoked");
	get(&c, "s", 0);
	assert_true(has(c.a, "\"state\":\"revoked\",\"problem\":{\"type\":\"/problems/gone\""));
	client_close(&c);
	assert_int_equal(problem_of(&q), P_GONE);
}

/* Whether the damaged file held the prompt shows in what comes of it now. */
static void a_rebuild_decides_what_cannot_be_read(void **state)
{
	struct batch_query q = query("without");
	struct answer before, after;
	char with[SNAP_PATH_BYTES], without[SNAP_PATH_BYTES];

	(void)state;
	post_prompts("d", 5);
	post("d", "{\"id\":\"one\",\"prompt\":\"q\",\"split\":\"test\",\"responses\":["
	          "{\"id\":\"x\",\"text\":\"1\",\"scores\":[{\"judge\":\"g\",\"value\":8}]},"
	          "{\"id\":\"y\",\"text\":\"2\",\"scores\":[{\"judge\":\"g\",\"value\":3}]}]}");
	make("without", "{}");
	make("with", "{\"split\":\"*\"}");
	make("twin", "{\"split\":\"*\"}");
	assert_int_equal(ask(&q, &before), P_NONE);
	strcpy(with, file_of("with"));
	strcpy(without, file_of("without"));
	flip_byte(with, 4096 + 10);
	flip_byte(without, 4096 + 10);
	assert_int_equal(delete_prompt("one"), 204);
	comes_to_state("with", "revoked");
	comes_to_state("twin", "revoked");
	assert_int_equal(after_rebuild("without"), P_NONE);
	assert_true(is_in_state("without", "ready"));
	assert_int_equal(ask(&q, &after), P_NONE);
	assert_int_equal(before.body.n, after.body.n);
	assert_memory_equal(before.body.p, after.body.p, after.body.n);
	answer_release(&before);
	answer_release(&after);
	assert_int_equal(access(without, F_OK), 0);
	assert_int_equal(access(with, F_OK), -1);
}

static void make_in(const char *dataset, const char *name)
{
	struct client c;
	char body[80];

	snprintf(body, sizeof body, "{\"name\":\"%s\",\"recipe\":{}}", name);
	create_with(&c, dataset, body, 20, NULL);
	assert_int_equal(c.a->status, 201);
	client_close(&c);
}

static void expect_file(const char *path)
{
	for (int ms = 0; ms < PATIENCE_MS && access(path, F_OK) < 0; ms += 20)
		usleep(20000);
	assert_int_equal(access(path, F_OK), 0);
}

/* Datasets with the same facts share a file: what two of them lose the third
 * keeps, and its file comes back though nobody asks for it by that name. The
 * fourth row pins another number of the first dataset. */
static void what_another_dataset_still_has(void **state)
{
	struct batch_query a = query("a");
	struct client c;
	char path[SNAP_PATH_BYTES];

	(void)state;
	put_dataset("e");
	put_dataset("f");
	post_prompts("d", 4);
	post_prompts("e", 4);
	post_prompts("f", 4);
	make("a", "{}");
	make_in("e", "b");
	post("d", "{\"id\":\"later\",\"prompt\":\"no pairs\"}");
	make("c", "{}");
	make_in("f", "d");
	strcpy(path, file_of("a"));
	assert_string_equal(path, file_of("b"));
	assert_string_equal(path, file_of("c"));
	assert_string_equal(path, file_of("d"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(delete_prompt("p1"), 204); /* of d */
	prompts_delete(service, STR("e"), STR("p1"), client_open(&c)->pending);
	client_wait(&c);
	assert_int_equal(c.a->status, 204);
	client_close(&c);
	comes_to_state("a", "revoked");
	assert_int_equal(problem_of(&a), P_GONE);
	expect_file(path);
	assert_int_equal(after_rebuild("d"), P_NONE);
	comes_to_state("b", "revoked");
	comes_to_state("c", "revoked");
	assert_true(is_in_state("d", "ready"));
}

/* --- taking back ------------------------------------------------------------------------------------------------ */

static void a_deleted_prompt_revokes_what_holds_it(void **state)
{
	struct batch_query q = query("all"), none = query("none");
	struct client c;
	char path[SNAP_PATH_BYTES];

	(void)state;
	post_prompts("d", 5);
	make("all", "{}");
	make("none", "{\"pairing\":{\"min_margin\":8}}"); /* holds no prompt at all */
	assert_int_equal(problem_of(&q), P_NONE);
	strcpy(path, file_of("all"));
	assert_int_equal(delete_prompt("p3"), 204);
	assert_int_equal(problem_of(&q), P_GONE);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(problem_of(&none), P_NONE);
	get(&c, "all", 0);
	assert_int_equal(c.a->status, 200);
	assert_true(has(c.a, "\"state\":\"revoked\",\"problem\":{\"type\":\"/problems/gone\""));
	assert_true(has(c.a, "prompt p3"));
	assert_true(has(c.a, "\"pairs\":5,")); /* what it was stays told */
	client_close(&c);
}

static void a_deleted_dataset_revokes_its_snapshots(void **state)
{
	struct batch_query q = query("s");
	struct client c;
	char path[SNAP_PATH_BYTES];

	(void)state;
	post_prompts("d", 3);
	make("s", "{}");
	strcpy(path, file_of("s"));
	assert_int_equal(problem_of(&q), P_NONE);
	datasets_delete(service, STR("d"), STR("d"), client_open(&c)->pending);
	client_wait(&c);
	assert_int_equal(c.a->status, 204);
	client_close(&c);
	assert_int_equal(problem_of(&q), P_GONE);
	assert_int_equal(access(path, F_OK), -1);
}

static void files_are_shared_until_the_last(void **state)
{
	struct batch_query a = query("a"), b = query("b");
	char path[SNAP_PATH_BYTES];
	struct client c;

	(void)state;
	post_prompts("d", 3);
	make("a", "{}");
	make("b", "{\"view\":{\"augment\":\"none\"}}"); /* the same pairs */
	strcpy(path, file_of("a"));
	assert_string_equal(path, file_of("b"));
	assert_int_equal(problem_of(&a), P_NONE);
	assert_int_equal(delete_snapshot("a"), 204);
	assert_int_equal(problem_of(&a), P_GONE);
	assert_int_equal(problem_of(&b), P_NONE);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(delete_snapshot("b"), 204);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(delete_snapshot("b"), 410);
	assert_int_equal(delete_snapshot("c"), 404);
	get(&c, "a", 0);
	assert_int_equal(c.a->err.problem, P_GONE);
	client_close(&c);
}

/* --- stopping and starting --------------------------------------------------------------------------------------------- */

static void builds_go_on_after_a_restart(void **state)
{
	struct batch_query q = query("s");
	struct client c;

	(void)state;
	post_prompts("d", 2000);
	create(&c, "{\"name\":\"s\",\"recipe\":{\"view\":{\"goal\":\"quantile\"}}}", 0);
	assert_int_equal(c.a->status, 202);
	client_close(&c);
	close_service(); /* most likely in the middle of it */
	open_service();
	get(&c, "s", 20);
	assert_true(has(c.a, "\"state\":\"ready\""));
	assert_true(has(c.a, "\"pairs\":2000,"));
	client_close(&c);
	assert_int_equal(problem_of(&q), P_NONE);
}

static void nobody_waits_for_a_service_that_ends(void **state)
{
	struct client made, told;

	(void)state;
	post_prompts("d", 4000);
	snapshots_create(service, STR("d"), STR("{\"name\":\"s\",\"recipe\":{\"view\":{\"goal\":\"quantile\"}}}"), 60, NULL,
	                 client_open(&made)->pending);
	usleep(2000);
	snapshots_get(service, STR("s"), 60, client_open(&told)->pending);
	close_service();
	client_wait(&made); /* 202, or 201 if it was that fast */
	client_wait(&told);
	assert_true(made.a->status == 202 || made.a->status == 201);
	assert_true(told.a->status == 200 || told.a->status == 404); /* it may not have been there yet */
	client_close(&made);
	client_close(&told);
	open_service();
}

/* --- many at once -------------------------------------------------------------------------------------------------------- */

static _Atomic bool over;

static void *read_all_the_time(void *arg)
{
	static const char *const ids[] = {"a", "b", "c", "z"};
	unsigned i = (unsigned)(uintptr_t)arg;

	while (!atomic_load(&over)) {
		struct batch_query q = query(ids[i++ % 4]);
		enum problem p = problem_of(&q);

		if (p != P_NONE && p != P_GONE && p != P_UNKNOWN_SNAPSHOT && p != P_BUILDING && p != P_DAMAGED)
			return (void *)1;
	}
	return NULL;
}

static void readers_beside_makers(void **state)
{
	pthread_t reader[3];
	struct client c;
	char body[100], id[16];

	(void)state;
	atomic_store(&over, false);
	post_prompts("d", 100);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&reader[i], NULL, read_all_the_time, (void *)i);
	make("a", "{}");
	make("b", "{\"pairing\":{\"seed\":1}}");
	make("c", "{}");
	for (int i = 0; i < 12; i++) {
		snprintf(body, sizeof body, "{\"name\":\"n%d\",\"recipe\":{}}", i);
		create(&c, body, i % 2 ? 20 : 0);
		client_close(&c);
		snprintf(id, sizeof id, "p%d", 50 + i);
		assert_int_equal(delete_prompt(id), 204);
	}
	make("z", "{}");
	flip_byte(file_of("z"), 4096 + 1);
	delete_snapshot("a");
	for (int i = 0; i < 12; i++) {
		snprintf(id, sizeof id, "n%d", i);
		get(&c, id, 20);
		assert_false(has(c.a, "building"));
		client_close(&c);
	}
	atomic_store(&over, true);
	for (int i = 0; i < 3; i++) {
		void *wrong;

		pthread_join(reader[i], &wrong);
		assert_null(wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(made_and_told),
		TEST(without_waiting),
		TEST(one_name_one_recipe),
		TEST(a_repeated_post_waits_as_the_first_did),
		TEST(a_failed_one_says_why),
		TEST(listed_by_pages),
		TEST(a_damaged_file_is_made_anew),
		TEST(a_lost_file_is_made_anew),
		TEST(a_file_that_cannot_come_back),
		TEST(a_rebuild_decides_what_cannot_be_read),
		TEST(what_another_dataset_still_has),
		TEST(a_deleted_prompt_revokes_what_holds_it),
		TEST(a_deleted_dataset_revokes_its_snapshots),
		TEST(files_are_shared_until_the_last),
		TEST(builds_go_on_after_a_restart),
		TEST(nobody_waits_for_a_service_that_ends),
		TEST(readers_beside_makers),
	};

	return cmocka_run_group_tests_name("snapshots", tests, NULL, NULL);
}
