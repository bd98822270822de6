/* Snapshot files that are cut short, or fail, while they are mapped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../server/snap/fault.h"
#include "../../server/snap/layout.h"
#include "base/heap.h"
#include "folder_kit.h"
#include "snap/read.h"
#include "snap/write.h"

#define CUT STR("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")
#define GOOD STR("f0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff")

enum { PROMPTS = 64, TEXT_BYTES = 4000, READERS = 3, CHILD_SECONDS = 20 };

static char dir[64];

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/prefd-cut-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int tear_down(void **state)
{
	(void)state;
	return folder_remove(dir);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Each prompt with one message and one pair; 64 × 8000 bytes of answers: more
 * than one block of 64 KiB, and many pages. */
static off_t write_file(struct str revision)
{
	static char text[TEXT_BYTES];
	struct snap_writer *w;
	struct err e;
	uint64_t bytes;

	memset(text, 'x', sizeof text);
	assert_int_equal(snap_create(&w, dir, &e), 0);
	for (int i = 0; i < PROMPTS; i++) {
		struct snap_response responses[] = {
			{.text = {text, sizeof text}, .id = STR("w"), .score = STR("9"), .reward = 9},
			{.text = {text, sizeof text}, .id = STR("l"), .score = STR("2"), .reward = 2},
		};
		struct snap_message message = {ROLE_USER, STR("question")};
		struct snap_pair pair = {.rejected = 1};
		char id[16];
		struct snap_prompt p = {{id, 0}, &message, 1, responses, 2, &pair, 1};

		p.id.n = (size_t)snprintf(id, sizeof id, "p%03d", i);
		assert_int_equal(snap_put(w, &p, &e), 0);
	}
	assert_int_equal(snap_finish(w, revision, STR("{}"), SNAP_NOT_TEXT, &bytes, &e), 0);
	return (off_t)bytes;
}

static const char *path_of(struct str revision)
{
	static char path[SNAP_PATH_BYTES];

	snap_path(dir, revision, path);
	return path;
}

static struct snap *open_file(struct str revision)
{
	struct snap *s;
	struct err e;

	if (snap_open(&s, dir, revision, &e) < 0)
		fail_msg("%s", e.detail);
	return s;
}

static bool all_x(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != 'x')
			return false;
	return s.n == TEXT_BYTES;
}

/* As whoever gathers does: reads all, and asks at the end. -1: damaged. */
static int gather(struct snap *s, struct err *e)
{
	struct snap_message m;
	struct snap_view v;
	bool right = true;

	for (uint64_t i = 0; i < snap_pairs(s); i++) {
		if (snap_pair_at(s, i, &v, e) < 0 || snap_message_at(s, &v, 0, &m, e) < 0)
			return -1;
		right = right && all_x(v.chosen.text) && all_x(v.rejected.text) && str_eq(m.content, STR("question"));
	}
	if (snap_damaged(s))
		return err_set(e, P_DAMAGED, "it was cut short");
	return right ? 0 : err_set(e, P_INTERNAL, "a wrong byte");
}

/* --- cut ---------------------------------------------------------------------------------- */

static void expect_damaged(struct snap *s)
{
	struct snap_view v;
	struct str meta;
	struct err e = {0};

	assert_int_equal(gather(s, &e), -1);
	assert_int_equal(e.problem, P_DAMAGED);
	assert_int_equal(snap_pair_at(s, 0, &v, &e), -1);
	assert_int_equal(e.problem, P_DAMAGED);
	assert_int_equal(snap_pairs_at(s, (uint64_t[]){1, 0}, 2, (struct snap_view[2]){{.lineage = 0}}, &e), -1);
	assert_int_equal(e.problem, P_DAMAGED);
	assert_int_equal(snap_meta(s, &meta, &e), -1);
	assert_int_equal(e.problem, P_DAMAGED);
	assert_int_equal(snap_verify(s, &e), -1);
	assert_int_equal(e.problem, P_DAMAGED);
	assert_true(snap_damaged(s));
	/* What was known at opening stays known. */
	assert_int_equal(snap_pairs(s), PROMPTS);
	assert_int_equal(snap_flags(s), SNAP_NOT_TEXT);
	assert_true(str_eq(snap_revision(s), CUT));
}

/* Touched before or not, at a page's border or within one. The last eight
 * bytes are the last block's sum: without them the file is another. */
static void cut_anywhere(void **state)
{
	off_t length = write_file(CUT);
	const off_t at[] = {0, 1, 4095, 4096, 8192, 8192 + 100, 65536, length / 2, length - 4096, length - 9, length - 8};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof at / sizeof *at; i++) {
		struct snap *s, *again;
		struct err e = {0};

		write_file(CUT);
		s = open_file(CUT);
		if (i % 2)
			assert_int_equal(gather(s, &e), 0);
		assert_false(snap_damaged(s));
		assert_int_equal(truncate(path_of(CUT), at[i / 2]), 0);
		expect_damaged(s);
		assert_int_equal(snap_open(&again, dir, CUT, &e), -1);
		assert_int_equal(e.problem, P_DAMAGED);
		snap_close(s);
	}
}

/* A text that was handed out turns to zeros; that shows before it leaves. */
static void what_was_handed_out_is_not_trusted(void **state)
{
	struct snap_view v;
	struct snap *s;
	struct err e = {0};

	(void)state;
	write_file(CUT);
	s = open_file(CUT);
	assert_int_equal(snap_pair_at(s, 40, &v, &e), 0);
	assert_true(all_x(v.chosen.text));
	assert_int_equal(truncate(path_of(CUT), 8192), 0);
	assert_false(all_x(v.chosen.text));
	assert_true(snap_damaged(s));
	snap_close(s);
}

/* The file that took the name's place is another, and whole. */
static void the_next_file_is_read_again(void **state)
{
	struct snap *cut, *anew;
	struct err e = {0};

	(void)state;
	write_file(CUT);
	cut = open_file(CUT);
	assert_int_equal(truncate(path_of(CUT), 4096), 0);
	assert_int_equal(gather(cut, &e), -1);
	write_file(CUT); /* under the same name, by renaming */
	anew = open_file(CUT);
	assert_int_equal(gather(anew, &e), 0);
	assert_int_equal(gather(cut, &e), -1);
	snap_close(cut);
	assert_int_equal(gather(anew, &e), 0);
	snap_close(anew);
}

/* --- beside others -------------------------------------------------------------------------- */

struct reader {
	pthread_t thread;
	struct snap *snap;
	_Atomic bool *begun; /* NULL: of the good file */
	bool right;
};

/* Until the cut shows; nothing else may. */
static void *read_the_cut_one(void *arg)
{
	struct reader *r = arg;
	struct err e = {0};

	for (int i = 0; i < 100000; i++) {
		if (gather(r->snap, &e) < 0) {
			r->right = e.problem == P_DAMAGED;
			return NULL;
		}
		atomic_store(r->begun, true);
	}
	return NULL;
}

static void *read_the_good_one(void *arg)
{
	struct reader *r = arg;
	struct err e = {0};

	r->right = true;
	for (int i = 0; i < 50 && r->right; i++) {
		struct snap *own = NULL;

		r->right = gather(r->snap, &e) == 0 && snap_open(&own, dir, GOOD, &e) == 0 && gather(own, &e) == 0;
		snap_close(own);
	}
	return NULL;
}

static void readers_of_a_good_file_notice_nothing(void **state)
{
	struct reader cut[READERS], good[READERS];
	_Atomic bool begun = false;

	(void)state;
	write_file(CUT);
	write_file(GOOD);
	for (int i = 0; i < READERS; i++) {
		cut[i] = (struct reader){.snap = i ? cut[0].snap : open_file(CUT), .begun = &begun};
		good[i] = (struct reader){.snap = i ? good[0].snap : open_file(GOOD)};
	}
	for (int i = 0; i < READERS; i++) {
		pthread_create(&cut[i].thread, NULL, read_the_cut_one, &cut[i]);
		pthread_create(&good[i].thread, NULL, read_the_good_one, &good[i]);
	}
	for (int ms = 0; ms < 10000 && !atomic_load(&begun); ms++)
		usleep(1000);
	assert_int_equal(truncate(path_of(CUT), 8192), 0);
	for (int i = 0; i < READERS; i++) {
		pthread_join(cut[i].thread, NULL);
		pthread_join(good[i].thread, NULL);
		assert_true(cut[i].right);
		assert_true(good[i].right);
	}
	assert_false(snap_damaged(good[0].snap));
	snap_close(cut[0].snap);
	snap_close(good[0].snap);
}

/* --- SIGBUS from elsewhere --------------------------------------------------------------------- */

/* A file of nobody's, cut short under its reader. */
static void read_beyond_the_end(void)
{
	int fd = open(path_of(GOOD), O_RDWR | O_CREAT, 0600);
	char *p;

	if (fd < 0 || ftruncate(fd, 8192) < 0)
		_exit(1);
	p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || ftruncate(fd, 0) < 0)
		_exit(1);
	_exit(*(volatile char *)p);
}

static void be_sent_one(void)
{
	kill(getpid(), SIGBUS);
	_exit(1);
}

static void dies_of(void (*f)(void))
{
	struct rlimit no_core = {0, 0};
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		alarm(CHILD_SECONDS);
		f();
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void others_die_as_they_should(void **state)
{
	struct snap *s;

	(void)state;
	write_file(CUT);
	s = open_file(CUT);
	dies_of(read_beyond_the_end);
	dies_of(be_sent_one);
	snap_close(s);
}

/* --- the registry --------------------------------------------------------------------------------- */

static void too_many_are_refused(void **state)
{
	struct fault_watch **w = heap_alloc(FAULT_MAPPINGS_MAX * sizeof(*w));
	struct snap *s;
	struct err e = {0};
	size_t n = 0;

	(void)state;
	write_file(CUT);
	/* Addresses where nothing lies, a page each. */
	while (n < FAULT_MAPPINGS_MAX && (w[n] = fault_watch((const void *)((n + 1) << 12), 4096)) != NULL)
		n++;
	assert_int_equal(n, FAULT_MAPPINGS_MAX);
	assert_null(fault_watch((const void *)((n + 1) << 12), 4096));
	assert_int_equal(snap_open(&s, dir, CUT, &e), -1);
	assert_int_equal(e.problem, P_UNAVAILABLE);
	assert_string_equal(e.detail, "65536 snapshot files are open, and there may be no more");
	fault_unwatch(w[n / 2]);
	s = open_file(CUT);
	assert_int_equal(gather(s, &e), 0);
	assert_int_equal(truncate(path_of(CUT), 4096), 0);
	expect_damaged(s);
	for (size_t i = 0; i < n; i++) {
		if (i == n / 2)
			continue;
		assert_false(fault_seen(w[i]));
		fault_unwatch(w[i]);
	}
	snap_close(s);
	heap_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cut_anywhere),
		TEST(what_was_handed_out_is_not_trusted),
		TEST(the_next_file_is_read_again),
		TEST(readers_of_a_good_file_notice_nothing),
		TEST(others_die_as_they_should),
		TEST(too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
