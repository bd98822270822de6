/* test_power.c - what is left of a store after a power cut.
 *
 * A workload of groups runs over the recording VFS; after each commit the
 * whole content is hashed. Then, at many points of the log, the disk that a
 * power cut could have left is built, opened and hashed: the content must be
 * exactly that of the last acknowledged commit, or of the one under way. So no
 * acknowledged row is lost and no request is half there.
 *
 * Controls: the same judge over synchronous=NORMAL and OFF must find losses,
 * else it would prove nothing; and NORMAL must not be corrupt, else the
 * simulated disk were worse than real ones. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "load.h"
#include "power_disk.h"

enum {
	OLD_GROUPS = 2,       /* that an old store has */
	OLD_END = 12,         /* and where it ends: so its migration is a good part */
	IMAGES = 1400,        /* of a new store with FULL */
	OLD_IMAGES = 600,     /* of an old one */
	CONTROL_IMAGES = 200, /* of NORMAL and OFF each */
};

struct state {
	uint64_t hash;
	size_t acknowledged; /* length of the log when the commit returned */
};

struct run {
	char work[96], image[96]; /* folders */
	struct load load;
	struct power_log *log;
	struct state state[LOAD_GROUPS + 2];
	int states;
};

/* --- the workloads ------------------------------------------------------------------------ */

static void remember(struct run *run, size_t acknowledged)
{
	struct state *st = &run->state[run->states++];

	st->acknowledged = acknowledged;
	load_must(&run->load, content_hash(run->load.w, &st->hash, &run->load.e), "hash");
}

static void open_work(struct run *run, enum store_sync sync)
{
	struct store_options o = {.dir = run->work, .writer = true, .sync = sync, .vfs = "power"};

	load_must(&run->load, store_open(&run->load.w, &o, &run->load.e), "open");
}

static void run_groups(struct run *run, int from, int end)
{
	struct arena a;

	arena_init(&a);
	for (int g = from; g < end; g++) {
		load_group(&run->load, &a, g);
		remember(run, run->log->n);
		if (g % 5 == 2)
			load_must(&run->load, store_checkpoint(run->load.w, g % 2, &run->load.e), "checkpoint");
		arena_reset(&a);
	}
	arena_release(&a);
	store_close(run->load.w);
	remove_files(run->work);
}

/* A store that is new. */
static void run_new(struct run *run, enum store_sync sync)
{
	power_log_clear(run->log);
	run->states = 0;
	open_work(run, sync);
	remember(run, 0); /* an empty store promises nothing */
	load_dataset(&run->load);
	remember(run, run->log->n);
	run_groups(run, 0, LOAD_GROUPS);
}

/* A store of version 1: the power fails while it is made, brought up, and
 * written to. Empty is its content until the old program's facts are in. */
static void run_old(struct run *run, enum store_sync sync)
{
	size_t made;

	power_log_clear(run->log);
	run->states = 1; /* the empty one of run_new */
	old_make(&run->load, run->work, "power", run->image);
	made = run->log->n;
	open_work(run, sync);
	remember(run, made);
	run_groups(run, OLD_GROUPS, OLD_END);
}

/* --- the judge ----------------------------------------------------------------------------- */

enum verdict { KEPT, LOST, BROKEN };

static void quiet(void *ctx, const char *finding)
{
	(void)ctx;
	if (getenv("POWER_VERBOSE"))
		printf("# %s\n", finding);
}

/* Which commit's content is this? -1: of none, it is half of something. */
static int find_state(const struct run *run, uint64_t hash)
{
	for (int i = run->states - 1; i >= 0; i--)
		if (run->state[i].hash == hash)
			return i;
	return -1;
}

static enum verdict judge_content(struct run *run, struct store *s, int acknowledged)
{
	uint64_t hash;
	int i;

	if (store_check(s, quiet, NULL, &run->load.e) != 0 || content_hash(s, &hash, &run->load.e) < 0)
		return BROKEN;
	i = find_state(run, hash);
	if (i < 0 || i > acknowledged + 1)
		return BROKEN;
	return i < acknowledged ? LOST : KEPT;
}

/* The store must also go on writing. */
static int goes_on(struct run *run, struct store *s)
{
	struct load load = {.w = s};

	load_dataset(&load);
	return store_checkpoint(s, true, &run->load.e);
}

static enum verdict judge(struct run *run, const struct power_disk *d, struct power_rng *rng, int acknowledged)
{
	struct store_options o = {.dir = run->image, .writer = true};
	enum verdict v = BROKEN;
	struct store *s;

	if (mkdir(run->image, 0700) < 0)
		load_must(&run->load, err_set(&run->load.e, P_INTERNAL, "cannot make %s", run->image), "mkdir");
	power_disk_cut(d, rng, run->image);
	if (store_open(&s, &o, &run->load.e) == 0) {
		v = judge_content(run, s, acknowledged);
		if (v == KEPT && (goes_on(run, s) < 0 || store_check(s, quiet, NULL, &run->load.e) != 0))
			v = BROKEN;
		store_close(s);
	}
	remove_files(run->image);
	return v;
}

static int by_point(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Random points; every third lies right behind an acknowledgement, where a
 * lost sync shows. */
static size_t *choose_points(const struct run *run, struct power_rng *rng, int images)
{
	size_t *point = heap_alloc((size_t)images * sizeof *point);

	for (int i = 0; i < images; i++)
		point[i] = i % 3 ? power_draw(rng, run->log->n + 1)
		                 : run->state[power_draw(rng, (uint64_t)run->states)].acknowledged;
	qsort(point, (size_t)images, sizeof *point, by_point);
	return point;
}

static void cut_everywhere(struct run *run, int images, int count[3])
{
	struct power_rng rng = {20240917};
	size_t *point = choose_points(run, &rng, images), at = 0;
	struct power_disk d = {0};
	int acknowledged = 0;

	memset(count, 0, 3 * sizeof *count);
	for (int i = 0; i < images; i++) {
		while (at < point[i])
			power_disk_step(&d, &run->log->op[at++]);
		while (acknowledged + 1 < run->states && run->state[acknowledged + 1].acknowledged <= at)
			acknowledged++;
		count[judge(run, &d, &rng, acknowledged)]++;
	}
	power_disk_release(&d);
	heap_free(point);
}

/* --- the tests -------------------------------------------------------------------------------- */

static int passed, failed;

static void test(int ok, const char *what)
{
	printf("%s %d - %s\n", ok ? "ok" : "not ok", passed + failed + 1, what);
	if (ok)
		passed++;
	else
		failed++;
}

static void measure(struct run *run, void (*load)(struct run *, enum store_sync), enum store_sync sync,
                    const char *name, int images, int count[3])
{
	load(run, sync);
	cut_everywhere(run, images, count);
	printf("# %s: %zu operations, %d images: %d kept, %d lost, %d broken\n", name, run->log->n, images, count[KEPT],
	       count[LOST], count[BROKEN]);
}

int main(void)
{
	struct run run = {.log = power_vfs_register()};
	char base[64];
	int count[3];

	snprintf(base, sizeof base, "%s/prefd-power-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(base) == NULL) {
		perror(base);
		return 2;
	}
	snprintf(run.work, sizeof run.work, "%s/work", base);
	snprintf(run.image, sizeof run.image, "%s/image", base);
	measure(&run, run_new, STORE_SYNC_FULL, "FULL", IMAGES, count);
	test(count[LOST] == 0, "FULL loses no acknowledged commit");
	test(count[BROKEN] == 0, "FULL leaves nothing broken or half done");
	measure(&run, run_old, STORE_SYNC_FULL, "FULL, a store of version 1", OLD_IMAGES, count);
	test(count[LOST] == 0, "a migration loses nothing");
	test(count[BROKEN] == 0, "a migration leaves nothing broken or half done");
	measure(&run, run_new, STORE_SYNC_NORMAL, "NORMAL", CONTROL_IMAGES, count);
	test(count[LOST] > 0, "control: NORMAL is seen to lose acknowledged commits");
	test(count[BROKEN] == 0, "control: the simulated disk leaves NORMAL consistent");
	measure(&run, run_old, STORE_SYNC_NORMAL, "NORMAL, a store of version 1", CONTROL_IMAGES, count);
	test(count[LOST] > 0, "control: NORMAL behind a migration is seen to lose acknowledged commits");
	measure(&run, run_new, STORE_SYNC_OFF, "OFF", CONTROL_IMAGES, count);
	test(count[BROKEN] > 0, "control: OFF is seen to break");
	power_log_clear(run.log);
	rmdir(base);
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
