#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/metric.h"
#include "base/spool.h"

static char dir[] = "/tmp/prefd_spool_XXXXXX";
static struct spool_budget budget;

static int64_t gauge(void)
{
	return atomic_load(&metric_values[M_SPOOL_BYTES]);
}

static int begin(void **state)
{
	(void)state;
	budget.dir = dir;
	atomic_store(&budget.left_bytes, 64 << 20);
	return 0;
}

/* Whatever a test did: nothing is held, and no file has a name. */
static int finish(void **state)
{
	DIR *d = opendir(dir);
	int entries = 0;

	(void)state;
	while (d && readdir(d))
		entries++;
	closedir(d);
	return entries == 2 && gauge() == 0 ? 0 : -1; /* . and .. */
}

/* Frame i of a sequence: its length and bytes follow from i. */
static struct str frame_of(uint64_t i, size_t n, char *bytes)
{
	for (size_t k = 0; k < n; k++)
		bytes[k] = (char)(i * 31 + k * 7 + (k >> 8));
	return (struct str){bytes, n};
}

static void add_frames(struct spool *s, uint64_t count, size_t (*size)(uint64_t), char *bytes)
{
	struct err e;

	for (uint64_t i = 0; i < count; i++)
		assert_int_equal(spool_add(s, frame_of(i, size(i), bytes), &e), 0);
	assert_int_equal(spool_seal(s, &e), 0);
	assert_int_equal(s->frames, count);
}

static void expect_frames(struct spool *s, uint64_t count, size_t (*size)(uint64_t), char *bytes)
{
	struct str frame;
	struct err e;

	for (uint64_t i = 0; i < count; i++) {
		assert_int_equal(spool_next(s, &frame, &e), 1);
		assert_true(str_eq(frame, frame_of(i, size(i), bytes)));
	}
	assert_int_equal(spool_next(s, &frame, &e), 0);
	assert_int_equal(spool_next(s, &frame, &e), 0);
}

static size_t size_small(uint64_t i)
{
	return i % 50;
}

/* Every so often one larger than the window of 256 KiB. */
static size_t size_mixed(uint64_t i)
{
	return i % 40 == 7 ? 300000 + i : i * 97 % 5000;
}

static size_t size_100(uint64_t i)
{
	(void)i;
	return 100;
}

static void an_empty_spool(void **state)
{
	struct spool s;
	struct str frame;
	struct err e;

	(void)state;
	spool_init(&s, &budget);
	assert_int_equal(spool_seal(&s, &e), 0);
	assert_int_equal(spool_next(&s, &frame, &e), 0);
	spool_rewind(&s);
	assert_int_equal(spool_next(&s, &frame, &e), 0);
	spool_release(&s);
}

static void in_memory(void **state)
{
	char bytes[64];
	struct spool s;

	(void)state;
	spool_init(&s, &budget);
	add_frames(&s, 1000, size_small, bytes);
	assert_int_equal(s.fd, -1);
	/* 20 rounds of 0 + … + 49 bytes, and 1000 headers. */
	assert_int_equal(s.bytes, 20 * 1225 + 4000);
	assert_int_equal(gauge(), 28500);
	expect_frames(&s, 1000, size_small, bytes);
	spool_rewind(&s);
	expect_frames(&s, 1000, size_small, bytes);
	spool_release(&s);
}

static void in_a_file(void **state)
{
	char *bytes = malloc(400000);
	struct spool s;

	(void)state;
	spool_init(&s, &budget);
	add_frames(&s, 400, size_mixed, bytes);
	assert_true(s.fd >= 0);
	assert_int_equal(s.mem.cap, 0);
	assert_true(s.bytes > 3 << 20);
	assert_int_equal(gauge(), s.bytes);
	expect_frames(&s, 400, size_mixed, bytes);
	spool_rewind(&s);
	expect_frames(&s, 400, size_mixed, bytes);
	/* From the middle, too. */
	spool_rewind(&s);
	assert_int_equal(spool_next(&s, &(struct str){0}, &(struct err){0}), 1);
	spool_rewind(&s);
	expect_frames(&s, 400, size_mixed, bytes);
	spool_release(&s);
	free(bytes);
}

/* A frame of 100 takes 104 bytes: 2520 of them are 262080, 2521 are 262184,
 * more than 256 KiB = 262144. */
static void the_threshold(void **state)
{
	char bytes[100];

	(void)state;
	for (uint64_t count = 2519; count <= 2523; count++) {
		struct spool s;

		spool_init(&s, &budget);
		add_frames(&s, count, size_100, bytes);
		assert_int_equal(s.fd >= 0, count > 2520);
		expect_frames(&s, count, size_100, bytes);
		spool_release(&s);
	}
}

static void the_budget_comes_back_once(void **state)
{
	struct spool a, b;
	char bytes[100];
	struct err e;

	(void)state;
	atomic_store(&budget.left_bytes, 3 * 104 + 103);
	spool_init(&a, &budget);
	spool_init(&b, &budget);
	assert_int_equal(spool_add(&a, frame_of(0, 100, bytes), &e), 0);
	assert_int_equal(spool_add(&b, frame_of(1, 100, bytes), &e), 0);
	assert_int_equal(spool_add(&b, frame_of(2, 100, bytes), &e), 0);
	assert_int_equal(spool_add(&a, frame_of(3, 100, bytes), &e), -1);
	assert_int_equal(e.problem, P_UNAVAILABLE);
	/* Nothing was taken: a frame of 99 still fits, exactly. */
	assert_int_equal(atomic_load(&budget.left_bytes), 103);
	assert_int_equal(spool_add(&a, frame_of(3, 99, bytes), &e), 0);
	assert_int_equal(atomic_load(&budget.left_bytes), 0);
	assert_int_equal(spool_add(&a, STR(""), &e), -1);
	assert_int_equal(a.frames, 2);
	spool_release(&b);
	assert_int_equal(atomic_load(&budget.left_bytes), 208);
	spool_release(&b);
	spool_release(&a);
	spool_release(&a);
	assert_int_equal(atomic_load(&budget.left_bytes), 3 * 104 + 103);
}

static void the_budget_ends_across_the_threshold(void **state)
{
	struct spool s;
	char bytes[100];
	uint64_t n = 0;
	struct err e;

	(void)state;
	atomic_store(&budget.left_bytes, 1 << 20);
	spool_init(&s, &budget);
	while (spool_add(&s, frame_of(n, 100, bytes), &e) == 0)
		n++;
	assert_int_equal(e.problem, P_UNAVAILABLE);
	assert_int_equal(n, (1 << 20) / 104);
	/* What came before the refusal is whole. */
	assert_int_equal(spool_seal(&s, &e), 0);
	expect_frames(&s, n, size_100, bytes);
	spool_release(&s);
	assert_int_equal(atomic_load(&budget.left_bytes), 1 << 20);
}

static void a_missing_folder(void **state)
{
	char *bytes = malloc(300000);
	struct spool s;
	struct err e;

	(void)state;
	budget.dir = "/nonexistent/prefd";
	spool_init(&s, &budget);
	assert_int_equal(spool_add(&s, frame_of(0, 300000, bytes), &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
	assert_non_null(strstr(e.detail, "No such file"));
	spool_release(&s);
	assert_int_equal(atomic_load(&budget.left_bytes), 64 << 20);
	free(bytes);
}

static void a_file_cut_short(void **state)
{
	char bytes[100];
	struct spool s;
	struct str frame;
	struct err e;
	int rc, n = 0;

	(void)state;
	spool_init(&s, &budget);
	add_frames(&s, 6000, size_100, bytes);
	assert_int_equal(ftruncate(s.fd, 300000), 0);
	while ((rc = spool_next(&s, &frame, &e)) == 1)
		n++;
	assert_int_equal(rc, -1);
	assert_int_equal(e.problem, P_INTERNAL);
	assert_in_range(n, 0, 300000 / 104);
	spool_release(&s);
}

static void a_damaged_length(void **state)
{
	char bytes[100];
	struct spool s;
	struct str frame;
	struct err e;

	(void)state;
	spool_init(&s, &budget);
	add_frames(&s, 6000, size_100, bytes);
	assert_int_equal(pwrite(s.fd, "\xFF\xFF\xFF\xFF", 4, 104), 4);
	assert_int_equal(spool_next(&s, &frame, &e), 1);
	assert_int_equal(spool_next(&s, &frame, &e), -1);
	assert_int_equal(e.problem, P_INTERNAL);
	spool_release(&s);
}

/* --- a full disk: a small tmpfs in a namespace of our own --------------------------- */

enum { CANNOT_MOUNT = 77 };

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		_exit(CANNOT_MOUNT);
	if (fd >= 0)
		close(fd);
}

static void mount_small(void)
{
	char map[64];
	int uid = (int)getuid(), gid = (int)getgid();

	if (unshare(CLONE_NEWNS) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			_exit(CANNOT_MOUNT);
		snprintf(map, sizeof map, "0 %d 1", uid);
		write_to("/proc/self/uid_map", map);
		write_to("/proc/self/setgroups", "deny");
		snprintf(map, sizeof map, "0 %d 1", gid);
		write_to("/proc/self/gid_map", map);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0)
		_exit(CANNOT_MOUNT);
}

/* In the child: 0 when the spool said STORAGE_FULL and gave its budget back. */
static int fill_disk(void)
{
	static char bytes[100];
	struct spool s;
	uint64_t n = 0;
	struct err e;
	int64_t full = atomic_load(&budget.left_bytes);

	mount_small();
	spool_init(&s, &budget);
	while (n < 100000 && spool_add(&s, frame_of(n, 100, bytes), &e) == 0)
		n++;
	if (n == 100000 || e.problem != P_STORAGE_FULL)
		return 1;
	spool_release(&s);
	if (atomic_load(&budget.left_bytes) != full)
		return 2;
	/* The room is free again with the file. */
	spool_init(&s, &budget);
	for (n = 0; n < 5000; n++)
		if (spool_add(&s, frame_of(n, 100, bytes), &e) < 0)
			return 3;
	spool_release(&s);
	return 0;
}

static void a_full_disk(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		_exit(fill_disk());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CANNOT_MOUNT)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void no_descriptors_left(void **state)
{
	char *bytes = malloc(300000);
	struct rlimit old, none;
	struct spool s;
	struct err e;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){0, old.rlim_max};
	spool_init(&s, &budget);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(spool_add(&s, frame_of(0, 300000, bytes), &e), -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(e.problem, P_UNAVAILABLE);
	spool_release(&s);
	free(bytes);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_spool),
		TEST(in_memory),
		TEST(in_a_file),
		TEST(the_threshold),
		TEST(the_budget_comes_back_once),
		TEST(the_budget_ends_across_the_threshold),
		TEST(a_missing_folder),
		TEST(a_file_cut_short),
		TEST(a_damaged_length),
		TEST(a_full_disk),
		TEST(no_descriptors_left),
	};
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	return rc;
}
