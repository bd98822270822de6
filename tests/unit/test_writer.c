/* The writer: groups, cancelled requests, idempotency keys, full queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/log.h"
#include "base/metric.h"
#include "service/ingest.h"

static char dir[] = "/tmp/prefd-writer-XXXXXX";
static struct conf conf;
static struct loop *loop;
static struct service *service;

/* A client that waits for its answer. */
struct client {
	sem_t done;
	struct pending *pending;
};

static void resumed(void *ctx)
{
	sem_post(&((struct client *)ctx)->done);
}

static void client_open(struct client *c)
{
	sem_init(&c->done, 0, 0);
	c->pending = pending_new(resumed, c);
}

static const struct answer *client_wait(struct client *c)
{
	sem_wait(&c->done);
	return &c->pending->answer;
}

static void client_close(struct client *c)
{
	pending_unref(c->pending);
	sem_destroy(&c->done);
}

static void post(struct client *c, const char *body, const char *key)
{
	struct ingest_options o = {.dataset = STR("d"), .kind = ROW_RECORD, .split = SPLIT_NDJSON,
	                           .target = STR("POST /v1/datasets/d/records"), .idempotency_key = str_of(key)};
	struct ingest *in;
	struct err e;

	assert_int_equal(ingest_open(&in, service, &o, &e), 0);
	ingest_feed(in, body, strlen(body));
	ingest_submit(in, c->pending);
}

static bool body_has(const struct answer *a, const char *part)
{
	return memmem(a->body.p, a->body.n, part, strlen(part)) != NULL;
}

static int64_t prompts(void)
{
	struct answer a;
	struct err e;
	long long n = -1;
	const char *at;

	answer_init(&a);
	assert_int_equal(browse_stats(service, STR("d"), &a, &e), 0);
	at = memmem(a.body.p, a.body.n, "\"prompts\":", 10);
	assert_non_null(at);
	sscanf(at, "\"prompts\":%lld", &n);
	answer_release(&a);
	return n;
}

static void test_acknowledged_is_there(void **state)
{
	struct client c;
	const struct answer *a;

	(void)state;
	client_open(&c);
	post(&c, "{\"id\":\"a\",\"prompt\":\"p\"}\n{\"id\":\"b\",\"prompt\":\"q\"}", NULL);
	a = client_wait(&c);
	assert_int_equal(a->status, 200);
	assert_true(body_has(a, "\"rows\":2,\"prompts\":{\"created\":2,\"unchanged\":0}"));
	client_close(&c);
	assert_int_equal(prompts(), 2);
}

/* The deadline took the request before the writer: it must not be stored. */
static void test_cancelled_is_not_stored(void **state)
{
	int64_t before = prompts();
	struct client late, after;

	(void)state;
	client_open(&late);
	client_open(&after);
	assert_true(pending_take(late.pending));
	post(&late, "{\"prompt\":\"too late\"}", NULL);
	post(&after, "{\"prompt\":\"in time\"}", NULL);
	assert_int_equal(client_wait(&after)->status, 200);
	assert_int_equal(prompts(), before + 1);
	client_close(&late);
	client_close(&after);
}

static void test_pending_has_one_owner(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	assert_true(pending_take(c.pending));
	assert_false(pending_take(c.pending));
	client_close(&c);
}

static void test_same_key_same_answer(void **state)
{
	struct client c[3];
	int64_t before = prompts();

	(void)state;
	for (int i = 0; i < 3; i++)
		client_open(&c[i]);
	post(&c[0], "{\"prompt\":\"keyed\"}", "k-1");
	client_wait(&c[0]);
	post(&c[1], "{\"prompt\":\"keyed\"}", "k-1");
	client_wait(&c[1]);
	post(&c[2], "{\"prompt\":\"other\"}", "k-1");
	client_wait(&c[2]);
	assert_true(body_has(&c[0].pending->answer, "\"created\":1"));
	assert_int_equal(c[0].pending->answer.body.n, c[1].pending->answer.body.n);
	assert_memory_equal(c[0].pending->answer.body.p, c[1].pending->answer.body.p, c[0].pending->answer.body.n);
	assert_int_equal(c[2].pending->answer.status, 422);
	assert_int_equal(c[2].pending->answer.err.problem, P_KEY_REUSED);
	assert_int_equal(prompts(), before + 1);
	for (int i = 0; i < 3; i++)
		client_close(&c[i]);
}

/* In one group, one bad request must not touch its neighbours. */
enum { CLIENTS = 64, EACH = 20 };

static void *client_main(void *arg)
{
	int id = (int)(intptr_t)arg;
	char body[400];

	for (int i = 0; i < EACH; i++) {
		struct client c;
		bool bad = (id + i) % 5 == 0;

		client_open(&c);
		snprintf(body, sizeof body,
		         "{\"id\":\"w%d-%d\",\"prompt\":\"x\"%s}", id, i,
		         bad ? ",\"comparisons\":[{\"judge\":\"j\",\"chosen\":\"no\",\"rejected\":\"none\"}]" : "");
		post(&c, body, NULL);
		client_wait(&c);
		assert_int_equal(c.pending->answer.status, bad ? 422 : 200);
		client_close(&c);
	}
	return NULL;
}

static void test_each_stands_or_falls_alone(void **state)
{
	pthread_t t[CLIENTS];
	int64_t before = prompts(), groups = metric_values[M_GROUPS];
	int good = 0;

	(void)state;
	for (int i = 0; i < CLIENTS; i++) {
		for (int k = 0; k < EACH; k++)
			good += (i + k) % 5 != 0;
		pthread_create(&t[i], NULL, client_main, (void *)(intptr_t)i);
	}
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(prompts(), before + good);
	/* Sharing a commit is the point: far fewer groups than requests. */
	assert_true(metric_values[M_GROUPS] - groups < CLIENTS * EACH / 2);
}

static void test_unknown_dataset(void **state)
{
	struct ingest_options o = {.dataset = STR("nope"), .kind = ROW_RECORD, .target = STR("t")};
	struct ingest *in;
	struct err e;

	(void)state;
	assert_int_equal(ingest_open(&in, service, &o, &e), -1);
	assert_int_equal(e.problem, P_UNKNOWN_DATASET);
}

static int open_all(void **state)
{
	struct client c;
	struct err e = {0};
	char serve[] = "serve", data[] = "--data";
	char *argv[] = {serve, data, dir};

	(void)state;
	assert_non_null(mkdtemp(dir));
	log_set_level(LOG_ERROR);
	assert_int_equal(conf_load(&conf, 3, argv, 1, &e), 0);
	loop = loop_new();
	if (service_open(&service, &conf, loop, &e) < 0)
		fail_msg("%s", e.detail);
	client_open(&c);
	datasets_put(service, STR("d"), STR(""), c.pending);
	assert_int_equal(client_wait(&c)->status, 201);
	client_close(&c);
	return 0;
}

static int close_all(void **state)
{
	char command[128];

	(void)state;
	service_close(service);
	loop_free(loop);
	snprintf(command, sizeof command, "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_acknowledged_is_there),
		cmocka_unit_test(test_cancelled_is_not_stored),
		cmocka_unit_test(test_pending_has_one_owner),
		cmocka_unit_test(test_same_key_same_answer),
		cmocka_unit_test(test_each_stands_or_falls_alone),
		cmocka_unit_test(test_unknown_dataset),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}
