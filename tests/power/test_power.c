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

#include "base/hash.h"
#include "base/heap.h"
#include "power_disk.h"
#include "store/read.h"
#include "store/record.h"
#include "store/snapshot.h"
#include "store/store.h"

enum {
	GROUPS = 48,
	IMAGES = 700,         /* of FULL */
	CONTROL_IMAGES = 200, /* of NORMAL and OFF each */
	TEXT_BYTES = 3000,
};

struct state {
	uint64_t hash;
	size_t acknowledged; /* length of the log when the commit returned */
};

struct run {
	char work[96], image[96]; /* folders */
	struct store *w, *r;
	struct power_log *log;
	struct state state[GROUPS + 2];
	int states;
	struct err e;
};

static void must(struct run *run, int rc, const char *what)
{
	if (rc >= 0)
		return;
	printf("Bail out! %s: %s %s\n", what, run->e.pointer, run->e.detail);
	exit(2);
}

/* --- the content as one number -------------------------------------------------------- */

static void add_int(struct sha256 *h, int64_t v)
{
	sha256_add(h, &v, sizeof v);
}

static void hash_response(struct sha256 *h, const struct read_response *r)
{
	sha256_field(h, r->id);
	sha256_field(h, r->text);
	sha256_field(h, r->model);
	add_int(h, r->tokens);
	for (uint32_t i = 0; i < r->scores; i++) {
		const struct score *s = &r->score[i].s;

		sha256_field(h, s->judge);
		sha256_field(h, s->attribute);
		sha256_field(h, s->rationale);
		sha256_add(h, &s->value, sizeof s->value);
		add_int(h, s->status);
		add_int(h, s->at);
		add_int(h, r->score[i].current);
	}
	for (uint32_t i = 0; i < r->logprobs; i++) {
		sha256_field(h, r->logprob[i].l.model);
		sha256_add(h, &r->logprob[i].l.logprob, sizeof(double));
	}
}

static void hash_prompt(struct sha256 *h, const struct read_prompt *p)
{
	sha256_field(h, p->id);
	sha256_field(h, p->messages);
	sha256_field(h, p->metadata);
	for (uint32_t i = 0; i < p->responses; i++)
		hash_response(h, &p->response[i]);
	for (uint32_t i = 0; i < p->votes; i++) {
		add_int(h, p->vote[i].chosen);
		add_int(h, p->vote[i].at);
		sha256_add(h, &p->vote[i].strength, sizeof(double));
	}
}

static int hash_dataset(struct store *s, struct arena *a, struct sha256 *h, const struct dataset *d, struct err *e)
{
	unsigned what = READ_MESSAGES | READ_TEXTS | READ_LEDGER | READ_VOTES | READ_LOGPROBS;
	struct read_prompt *p;
	uint32_t n;

	sha256_field(h, d->name);
	add_int(h, d->seq);
	if (store_prompt_page(s, a, d, STR_NONE, STR_NONE, PAGE_MAX, SEQ_LATEST, what, &p, &n, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		hash_prompt(h, &p[i]);
	return 0;
}

static int hash_rest(struct store *s, struct arena *a, struct sha256 *h, struct err *e)
{
	struct snapshot_row *row;
	struct store_answer answer;
	uint32_t n;

	if (store_snapshot_list(s, a, 0, STR_NONE, PAGE_MAX, &row, &n, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		sha256_field(h, row[i].id);
		add_int(h, row[i].state);
		add_int(h, row[i].seq);
	}
	for (int i = 0; i < GROUPS; i++) {
		int rc = store_answer_get(s, a, arena_printf(a, "key-%d", i), &answer, e);

		if (rc < 0)
			return -1;
		add_int(h, rc);
	}
	return 0;
}

static int hash_all(struct store *s, uint64_t *out, struct err *e)
{
	uint8_t digest[SHA256_BYTES];
	struct dataset *d;
	struct sha256 h;
	struct arena a;
	uint32_t n;
	int rc;

	arena_init(&a);
	sha256_init(&h);
	rc = store_dataset_list(s, &a, STR_NONE, 10, &d, &n, e);
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = hash_dataset(s, &a, &h, &d[i], e);
	if (rc == 0)
		rc = hash_rest(s, &a, &h, e);
	sha256_end(&h, digest);
	memcpy(out, digest, sizeof *out);
	arena_release(&a);
	return rc;
}

/* --- the workload ------------------------------------------------------------------------- */

static void remember_state(struct run *run)
{
	struct state *st = &run->state[run->states++];

	st->acknowledged = run->log->n;
	must(run, hash_all(run->w, &st->hash, &run->e), "hash");
}

static struct row record_row(struct arena *a, int prompt, int version)
{
	struct response *r = ARENA_ARRAY(a, struct response, 2);
	struct score *sc = ARENA_ARRAY(a, struct score, 6);
	struct comparison *c = ARENA_NEW(a, struct comparison);
	struct logprob *l = ARENA_NEW(a, struct logprob);
	struct row row = {.kind = ROW_RECORD};

	for (int i = 0; i < 6; i++)
		sc[i] = (struct score){arena_printf(a, "judge-%d", i % 3), STR("overall"), i + 0.1 * prompt, SCORE_OK,
		                       TIME_NONE, i == 0 ? STR("because") : STR_NONE};
	*l = (struct logprob){STR("policy"), -prompt, -1};
	for (int i = 0; i < 2; i++) {
		char *text = arena_alloc(a, TEXT_BYTES);

		memset(text, 'a' + (prompt + i + version) % 26, TEXT_BYTES);
		r[i] = (struct response){.id = arena_printf(a, "p%d-r%d", prompt, i), .text = {text, TEXT_BYTES},
		                         .characters = TEXT_BYTES, .model = arena_printf(a, "model-%d", prompt % 5),
		                         .tokens = -1, .score = sc + 3 * i, .scores = 3, .logprob = l, .logprobs = 1};
		sha256_of(text, TEXT_BYTES, r[i].text_hash);
	}
	*c = (struct comparison){STR("ann"), r[prompt % 2].id, r[1 - prompt % 2].id, 1, TIME_NONE};
	row.record = (struct record){.id = arena_printf(a, "p%d", prompt), .messages = STR("[]"), .split = STR("train"),
	                             .response = r, .responses = 2, .comparison = c, .comparisons = 1};
	return row;
}

static void put_record(struct run *run, struct arena *a, int prompt, int version, enum on_conflict policy)
{
	struct row row = record_row(a, prompt, version);
	struct counts counts = {0};

	must(run, store_put(run->w, STR("d"), &row, policy, 1000 * prompt, &counts, &run->e), "put");
}

static void put_score(struct run *run, struct arena *a, int prompt, int g)
{
	struct row row = {.kind = ROW_SCORE};
	struct counts counts = {0};

	row.score.response = arena_printf(a, "p%d-r0", prompt);
	row.score.score = (struct score){STR("judge-1"), STR("overall"), 10 + g, SCORE_OK, TIME_NONE, STR_NONE};
	must(run, store_put(run->w, STR("d"), &row, CONFLICT_REFUSE, 1000 * g, &counts, &run->e), "score");
}

static void put_snapshot(struct run *run, struct arena *a, int g)
{
	struct snapshot_row row = {.id = arena_printf(a, "s%d", g / 6), .dataset = STR("d"), .dataset_key = 1,
	                           .seq = g, .posted = STR("{}"), .recipe = STR("{}")};

	if (g % 6 == 0) {
		must(run, store_snapshot_insert(run->w, &row, &run->e), "snapshot");
	} else if (g % 6 == 3) {
		row.state = SNAPSHOT_READY;
		row.revision = STR("00");
		must(run, store_snapshot_settle(run->w, &row, &run->e), "settle");
	}
}

/* A request of three rows and its answer; one that revises; one that is undone. */
static void run_group(struct run *run, struct arena *a, int g)
{
	struct store_answer answer = {.status = 200, .body = STR("{}")};

	must(run, store_begin(run->w, &run->e), "begin");
	must(run, store_savepoint(run->w, &run->e), "savepoint");
	for (int i = 0; i < 3; i++)
		put_record(run, a, 3 * g + i, 0, CONFLICT_REFUSE);
	must(run, store_answer_put(run->w, arena_printf(a, "key-%d", g), &answer, g, &run->e), "answer");
	must(run, store_release(run->w, &run->e), "release");
	must(run, store_savepoint(run->w, &run->e), "savepoint");
	put_record(run, a, 999, g, CONFLICT_REFUSE);
	must(run, store_undo(run->w, &run->e), "undo");
	must(run, store_savepoint(run->w, &run->e), "savepoint");
	put_score(run, a, 3 * (g / 2) + 1, g);
	put_snapshot(run, a, g);
	if (g % 5 == 4)
		put_record(run, a, g, g, CONFLICT_REPLACE);
	if (g % 8 == 7)
		must(run, store_prompt_delete(run->w, STR("d"), arena_printf(a, "p%d", 3 * (g / 2) + 2), 100, &run->e),
		     "delete");
	must(run, store_release(run->w, &run->e), "release");
	must(run, store_commit(run->w, &run->e), "commit");
}

static void make_dataset(struct run *run)
{
	struct dataset_change c = {.name = STR("d")};
	bool created;

	must(run, store_begin(run->w, &run->e), "begin");
	must(run, store_savepoint(run->w, &run->e), "savepoint");
	must(run, store_dataset_put(run->w, &c, 1, &created, &run->e), "dataset");
	must(run, store_release(run->w, &run->e), "release");
	must(run, store_commit(run->w, &run->e), "commit");
}

static void remove_files(const char *folder)
{
	static const char *const name[] = {"prefd.db", "prefd.db-wal", "prefd.db-shm", "prefd.db-journal", "lock"};
	char path[160];

	for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, name[i]);
		unlink(path);
	}
	rmdir(folder);
}

static void run_workload(struct run *run, enum store_sync sync)
{
	struct store_options o = {.dir = run->work, .writer = true, .sync = sync, .vfs = "power"};
	struct arena a;

	power_log_clear(run->log);
	run->states = 0;
	must(run, store_open(&run->w, &o, &run->e), "open");
	remember_state(run);
	run->state[0].acknowledged = 0; /* an empty store promises nothing */
	make_dataset(run);
	remember_state(run);
	arena_init(&a);
	for (int g = 0; g < GROUPS; g++) {
		run_group(run, &a, g);
		remember_state(run);
		if (g % 5 == 2)
			must(run, store_checkpoint(run->w, g % 2, &run->e), "checkpoint");
		arena_reset(&a);
	}
	arena_release(&a);
	store_close(run->w);
	remove_files(run->work);
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

	if (store_check(s, quiet, NULL, &run->e) != 0 || hash_all(s, &hash, &run->e) < 0)
		return BROKEN;
	i = find_state(run, hash);
	if (i < 0 || i > acknowledged + 1)
		return BROKEN;
	return i < acknowledged ? LOST : KEPT;
}

/* The store must also go on writing. */
static int goes_on(struct run *run, struct store *s)
{
	struct store *kept = run->w;

	run->w = s;
	make_dataset(run);
	run->w = kept;
	return store_checkpoint(s, true, &run->e);
}

static enum verdict judge(struct run *run, const struct power_disk *d, struct power_rng *rng, int acknowledged)
{
	struct store_options o = {.dir = run->image, .writer = true};
	enum verdict v = BROKEN;
	struct store *s;

	if (mkdir(run->image, 0700) < 0)
		must(run, err_set(&run->e, P_INTERNAL, "cannot make %s", run->image), "mkdir");
	power_disk_cut(d, rng, run->image);
	if (store_open(&s, &o, &run->e) == 0) {
		v = judge_content(run, s, acknowledged);
		if (v == KEPT && (goes_on(run, s) < 0 || store_check(s, quiet, NULL, &run->e) != 0))
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

static void measure(struct run *run, enum store_sync sync, const char *name, int images, int count[3])
{
	run_workload(run, sync);
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
	measure(&run, STORE_SYNC_FULL, "FULL", IMAGES, count);
	test(count[LOST] == 0, "FULL loses no acknowledged commit");
	test(count[BROKEN] == 0, "FULL leaves nothing broken or half done");
	measure(&run, STORE_SYNC_NORMAL, "NORMAL", CONTROL_IMAGES, count);
	test(count[LOST] > 0, "control: NORMAL is seen to lose acknowledged commits");
	test(count[BROKEN] == 0, "control: the simulated disk leaves NORMAL consistent");
	measure(&run, STORE_SYNC_OFF, "OFF", CONTROL_IMAGES, count);
	test(count[BROKEN] > 0, "control: OFF is seen to break");
	power_log_clear(run.log);
	rmdir(base);
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
