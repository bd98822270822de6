/* count WAY DIR TIMES
 *
 * Does one of the hot ways TIMES times on made data and nothing else, for
 * check_speed.py, which counts its instructions under callgrind. A run with
 * TIMES 0 does all the preparation, so the difference of two runs is the way
 * alone. DIR is a data folder made by `fill`, with the dataset "d"; ways that
 * need none take any word.
 *
 *   order      1,000 places of an epoch
 *   json       a row of 4 responses with 5 scores, scanned strictly and parsed
 *   responses  storing a prompt of 4 responses with 5 scores each
 *   scores     storing one score; 64 a commit
 *   stats      statistics of the dataset, as JSON
 *   build      a snapshot of the dataset (the first is "s0")
 *   batch      64 examples of the snapshot "s0" at random
 *   alpha      the search over 100 prompts of 16 answers */
#include <pthread.h>
#include <semaphore.h>

#include "align/alpha.h"
#include "align/order.h"
#include "base/json.h"
#include "base/log.h"
#include "made.h"
#include "service/snapshots.h"
#include "store/stats.h"
#include "store/store.h"

enum {
	BATCH = 64,
	TOUCHED = 64, /* every so manieth example is read first: each block of the file is checked before the count */
	RECORDS = 300, RESPONSES = 4, SCORES = 5, TEXT_BYTES = 1500,
	GROUP = 64,   /* scores a commit */
	PROMPTS = 100, ANSWERS = 16, /* of the search */
	STRIDE = 7919, /* a prime, to go about in the dataset */
	WAIT_S = 60
};

static struct arena arena;

/* --- a service, as main.c opens it --------------------------------------------------------- */

static struct conf conf;
static struct loop *loop;
static struct service *service;
static pthread_t loop_thread;

static void *run_loop(void *arg)
{
	loop_run(arg);
	return NULL;
}

static void open_service(char *dir)
{
	struct err e = {0};

	log_set_level(LOG_ERROR);
	if (conf_load(&conf, 0, NULL, 0, &e) < 0)
		die("settings", &e);
	conf.data = dir;
	loop = loop_new();
	if (service_open(&service, &conf, loop, &e) < 0)
		die(dir, &e);
	pthread_create(&loop_thread, NULL, run_loop, loop);
}

static void drain(void *arg)
{
	service_drain(arg);
	loop_stop(loop);
}

static void close_service(void)
{
	loop_call(loop, drain, service);
	pthread_join(loop_thread, NULL);
	service_close(service);
	loop_free(loop);
}

static void resumed(void *ctx)
{
	sem_post(ctx);
}

static void create_snapshot(long number)
{
	struct origin_key none = {.key = STR_NONE};
	struct pending *p;
	char body[64];
	sem_t done;

	sem_init(&done, 0, 0);
	p = pending_new(resumed, &done);
	snprintf(body, sizeof body, "{\"name\":\"s%ld\",\"recipe\":{}}", number);
	snapshots_create(service, STR("d"), str_of(body), WAIT_S, &none, p);
	sem_wait(&done);
	if (p->answer.status != 201)
		die("snapshot", &p->answer.err);
	pending_unref(p);
	sem_destroy(&done);
}

/* --- the ways ------------------------------------------------------------------------------ */

static void way_build(char *dir, long times)
{
	open_service(dir);
	for (long i = 0; i < times; i++)
		create_snapshot(i);
	close_service();
}

static void ask(const struct batch_query *q)
{
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	if (snapshots_batch(service, q, &a, &e) < 0 || a.status != 200)
		die("batch", &e);
	answer_release(&a);
}

static void way_batch(char *dir, long times)
{
	struct batch_query q = {.snapshot = STR("s0"), .batch_size = 4096, .world_size = TOUCHED, .tail = BATCH_TAIL_SHORT};

	open_service(dir);
	ask(&q);
	q.batch_size = BATCH;
	q.world_size = 1;
	q.shuffle = true;
	for (long i = 0; i < times; i++) {
		q.epoch = (uint64_t)i;
		ask(&q);
	}
	close_service();
}

static void way_stats(char *dir, long times)
{
	open_service(dir);
	for (long i = 0; i < times; i++) {
		struct err e = {0};
		struct answer a;

		answer_init(&a);
		if (browse_stats(service, STR("d"), &a, &e) < 0)
			die("statistics", &e);
		answer_release(&a);
	}
	close_service();
}

static struct store *open_store(const char *dir)
{
	struct store_options o = {.dir = dir, .writer = true, .sync = STORE_SYNC_OFF};
	struct err e = {0};
	struct store *s;

	if (store_open(&s, &o, &e) < 0)
		die(dir, &e);
	return s;
}

static void put(struct store *s, const struct row *row, struct counts *counts)
{
	struct err e = {0};

	if (store_savepoint(s, &e) < 0 || store_put(s, STR("d"), row, CONFLICT_REFUSE, MADE_NOW, counts, &e) < 0 ||
	    store_release(s, &e) < 0)
		die("put", &e);
}

/* In groups, each with a commit. */
static void put_all(struct store *s, const struct row *row, long n, long group, struct counts *counts)
{
	struct err e = {0};

	for (long i = 0; i < n;) {
		if (store_begin(s, &e) < 0)
			die("begin", &e);
		for (long end = i + group; i < end && i < n; i++)
			put(s, &row[i], counts);
		if (store_commit(s, &e) < 0)
			die("commit", &e);
	}
}

static void way_responses(char *dir, long times)
{
	struct row *row = ARENA_ARRAY(&arena, struct row, RECORDS);
	struct store *s = open_store(dir);
	struct counts counts = {0};

	for (long i = 0; i < RECORDS; i++)
		row[i] = made_record(&arena, 1000000 + (uint64_t)i, RESPONSES, SCORES, TEXT_BYTES);
	put_all(s, row, times < RECORDS ? times : RECORDS, RECORDS, &counts);
	store_close(s);
	printf("%llu responses\n", (unsigned long long)counts.responses_created);
}

static void way_scores(char *dir, long times)
{
	struct store *s = open_store(dir);
	struct dataset_stats st;
	struct counts counts = {0};
	struct dataset d;
	struct err e = {0};
	struct row *row;

	if (store_dataset_get(s, &arena, STR("d"), &d, &e) < 0 || store_stats(s, &arena, &d, &st, &e) < 0)
		die("statistics", &e);
	row = ARENA_ARRAY(&arena, struct row, 4096);
	for (long i = 0; i < 4096; i++) {
		uint64_t at = (uint64_t)i * STRIDE % (uint64_t)st.responses;

		row[i] = (struct row){.kind = ROW_SCORE};
		row[i].score.response = arena_printf(&arena, "p%llu.r%u", (unsigned long long)(at / RESPONSES), (unsigned)(at % RESPONSES));
		row[i].score.score = made_score(&arena, (uint64_t)i, 0);
		row[i].score.score.judge = STR("another");
	}
	put_all(s, row, times < 4096 ? times : 4096, GROUP, &counts);
	store_close(s);
	printf("%llu scores\n", (unsigned long long)counts.scores_created);
}

static void way_order(char *dir, long times)
{
	struct order o;
	uint64_t sum = 0;

	(void)dir;
	order_init(&o, STR("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"), STR("both"), 1, 2, 200000, 1);
	for (uint64_t i = 0; i < 1000 * (uint64_t)times; i++)
		sum += order_at(&o, i % 200000);
	printf("%llu\n", (unsigned long long)sum);
}

static void put_row(struct buf *b)
{
	struct row row = made_record(&arena, 1, RESPONSES, SCORES, TEXT_BYTES);

	buf_lit(b, "{\"id\":\"p1\",\"prompt\":\"What is six times seven?\",\"responses\":[");
	for (uint32_t j = 0; j < row.record.responses; j++) {
		const struct response *r = &row.record.response[j];

		buf_printf(b, "%s{\"id\":\"p1.r%u\",\"text\":\"%.*s\",\"model\":\"made\",\"scores\":[", j ? "," : "", j, STR_ARG(r->text));
		for (uint32_t k = 0; k < r->scores; k++)
			buf_printf(b, "%s{\"judge\":\"judge\",\"attribute\":\"a%u\",\"value\":%g}", k ? "," : "", k, r->score[k].value);
		buf_lit(b, "]}");
	}
	buf_lit(b, "]}");
}

static void way_json(char *dir, long times)
{
	struct buf b = BUF_INIT;
	struct err e = {0};
	struct arena a;

	(void)dir;
	put_row(&b);
	arena_init(&a);
	for (long i = 0; i < times; i++) {
		if (json_parse(&a, buf_view(&b), JSON_DEPTH_MAX, &e) == NULL)
			die("row", &e);
		arena_reset(&a);
	}
	arena_release(&a);
	buf_release(&b);
}

static void way_alpha(char *dir, long times)
{
	enum { N = PROMPTS * ANSWERS };
	static double reward[N], length[N];
	static uint32_t first[PROMPTS + 1];
	static enum implicit_skip skip[PROMPTS];
	struct implicit_groups g = {PROMPTS, first, reward, length, skip, 0};
	double alpha = 0;

	(void)dir;
	for (uint32_t i = 0; i < N; i++) {
		length[i] = 200 + (double)(made_number(i) % 3000);
		reward[i] = 0.003 * length[i] + (double)(made_number(N + i) % 1000) / 500;
		first[i / ANSWERS + 1] = i + 1;
	}
	for (long i = 0; i < times; i++) {
		struct arena a;

		arena_init(&a);
		implicit_skips(&g, 2);
		alpha = alpha_auto(&g, &a);
		arena_release(&a);
	}
	printf("%.17g\n", alpha);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*go)(char *dir, long times);
	} way[] = {{"order", way_order}, {"json", way_json}, {"responses", way_responses}, {"scores", way_scores},
	           {"stats", way_stats}, {"build", way_build}, {"batch", way_batch}, {"alpha", way_alpha}};

	arena_init(&arena);
	for (size_t i = 0; argc == 4 && i < sizeof way / sizeof *way; i++)
		if (strcmp(argv[1], way[i].name) == 0) {
			way[i].go(argv[2], strtol(argv[3], NULL, 10));
			arena_release(&arena);
			return 0;
		}
	fputs("usage: count WAY DIR TIMES (see the head of count.c)\n", stderr);
	return 2;
}
