/* service_kit.h - a service in a folder of its own, and calls in few words. */
#ifndef SERVICE_KIT_H
#define SERVICE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/metric.h"
#include "folder_kit.h"
#include "service/ingest.h"
#include "service/snapshots.h"
#include "snap/read.h"

enum { PATIENCE_MS = 20000 };

static char dir[64];
static struct conf conf;
static struct loop *loop;
static struct service *service;
static pthread_t loop_thread;

/* --- a service of the test's own ------------------------------------------------------------ */

static inline void *run_loop(void *arg)
{
	loop_run(arg);
	return NULL;
}

static inline void open_service(void)
{
	struct err e = {0};

	loop = loop_new();
	if (service_open(&service, &conf, loop, &e) < 0)
		print_error("%s\n", e.detail);
	assert_int_equal(e.problem, P_NONE);
	pthread_create(&loop_thread, NULL, run_loop, loop);
}

static inline void drain(void *arg)
{
	service_drain(arg);
	loop_stop(loop);
}

static inline void close_service(void)
{
	loop_call(loop, drain, service);
	pthread_join(loop_thread, NULL);
	service_close(service);
	loop_free(loop);
}

/* A call that is answered later. */
struct client {
	sem_t done;
	struct pending *pending;
	const struct answer *a;
};

static inline void resumed(void *ctx)
{
	sem_post(&((struct client *)ctx)->done);
}

static inline struct client *client_open(struct client *c)
{
	sem_init(&c->done, 0, 0);
	c->pending = pending_new(resumed, c);
	return c;
}

static inline void client_wait(struct client *c)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_MS / 1000;
	assert_int_equal(sem_timedwait(&c->done, &until), 0);
	c->a = &c->pending->answer;
}

static inline void client_close(struct client *c)
{
	pending_unref(c->pending);
	sem_destroy(&c->done);
}

static inline bool has(const struct answer *a, const char *part)
{
	return memmem(buf_view(&a->body).p, a->body.n, part, strlen(part)) != NULL;
}

static inline const char *header(const struct answer *a, const char *name)
{
	for (int i = 0; i < a->headers; i++)
		if (strcmp(a->header[i].name, name) == 0)
			return a->header[i].value;
	return NULL;
}

static inline int put_dataset(const char *name)
{
	struct client c;
	int status;

	datasets_put(service, str_of(name), STR(""), client_open(&c)->pending);
	client_wait(&c);
	status = c.a->status;
	client_close(&c);
	return status;
}

static inline void post(const char *dataset, const char *lines)
{
	struct ingest_options o = {.dataset = str_of(dataset), .kind = ROW_RECORD, .split = SPLIT_NDJSON,
	                           .target = STR("POST records")};
	struct ingest *in;
	struct client c;
	struct err e;

	assert_int_equal(ingest_open(&in, service, &o, &e), 0);
	ingest_feed(in, lines, strlen(lines));
	ingest_submit(in, client_open(&c)->pending);
	client_wait(&c);
	assert_int_equal(c.a->status, 200);
	client_close(&c);
}

/* One prompt, "p<i>", with a better answer w<i> and a worse one l<i>. */
static inline void post_prompts(const char *dataset, int n)
{
	struct buf b = BUF_INIT;

	for (int i = 0; i < n; i++)
		buf_printf(&b, "{\"id\":\"p%d\",\"prompt\":\"question %d\",\"responses\":["
		               "{\"id\":\"w%d\",\"text\":\"good %d\",\"scores\":[{\"judge\":\"g\",\"value\":9}]},"
		               "{\"id\":\"l%d\",\"text\":\"bad %d\",\"scores\":[{\"judge\":\"g\",\"value\":2}]}]}\n", i, i, i, i, i, i);
	buf_byte(&b, '\0');
	post(dataset, b.p);
	buf_release(&b);
}

static inline int set_up(void **state)
{
	char name[] = "test", flag[] = "--open-snapshots", two[] = "2", *flags[] = {name, flag, two};
	struct err e = {0};

	(void)state;
	log_set_level(LOG_ERROR);
	strcpy(dir, "/tmp/prefd-snapshots-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(conf_load(&conf, 3, flags, 1, &e), 0);
	conf.data = dir;
	open_service();
	assert_int_equal(put_dataset("d"), 201);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	close_service();
	return folder_remove(dir);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* --- calls -------------------------------------------------------------------------------------- */

static inline void create_with(struct client *c, const char *dataset, const char *body, int wait_s, const char *key)
{
	struct origin_key origin = {.key = str_of(key)};

	sha256_of(body, strlen(body), origin.hash);
	snapshots_create(service, str_of(dataset), str_of(body), wait_s, &origin, client_open(c)->pending);
	client_wait(c);
}

static inline void create(struct client *c, const char *body, int wait_s)
{
	create_with(c, "d", body, wait_s, NULL);
}

static inline void make(const char *name, const char *recipe)
{
	struct client c;
	char body[300];

	snprintf(body, sizeof body, "{\"name\":\"%s\",\"recipe\":%s}", name, recipe);
	create(&c, body, 20);
	if (c.a->status != 201)
		print_error("%d %s\n", c.a->status, c.a->err.detail);
	assert_int_equal(c.a->status, 201);
	client_close(&c);
}

static inline void get(struct client *c, const char *id, int wait_s)
{
	snapshots_get(service, str_of(id), wait_s, client_open(c)->pending);
	client_wait(c);
}

static inline struct batch_query query(const char *id)
{
	return (struct batch_query){.snapshot = str_of(id), .batch_size = 4, .world_size = 1, .shuffle = true};
}

/* 0 and the answer, or the problem. */
static inline enum problem ask(const struct batch_query *q, struct answer *a)
{
	struct err e = {0};
	int rc;

	answer_init(a);
	rc = snapshots_batch(service, q, a, &e);
	if (rc < 0)
		a->err = e;
	return rc < 0 ? e.problem : P_NONE;
}

static inline enum problem problem_of(const struct batch_query *q)
{
	struct answer a;
	enum problem p = ask(q, &a);

	answer_release(&a);
	return p;
}

static inline void refused(const struct batch_query *q, enum problem p, const char *pointer)
{
	struct answer a;

	assert_string_equal(problem_slug(ask(q, &a)), problem_slug(p));
	assert_string_equal(a.err.pointer, pointer);
	answer_release(&a);
}

/* What a snapshot's batch becomes once its rebuild is over. */
static inline enum problem after_rebuild(const char *id)
{
	struct batch_query q = query(id);
	enum problem p = P_DAMAGED;

	for (int ms = 0; ms < PATIENCE_MS && p == P_DAMAGED; ms += 20) {
		usleep(20000);
		p = problem_of(&q);
	}
	return p;
}

static inline void revision_of(const char *id, char out[65])
{
	struct client c;
	const char *at;

	get(&c, id, 0);
	at = memmem(c.a->body.p, c.a->body.n, "\"revision\":\"", 12);
	assert_non_null(at);
	memcpy(out, at + 12, 64);
	out[64] = '\0';
	client_close(&c);
}

static inline char *file_of(const char *id)
{
	static char path[SNAP_PATH_BYTES];
	char folder[80], revision[65];

	snprintf(folder, sizeof folder, "%s/snapshots", dir);
	revision_of(id, revision);
	snap_path(folder, str_of(revision), path);
	return path;
}

static inline int delete_snapshot(const char *id)
{
	struct client c;
	int status;

	snapshots_delete(service, str_of(id), client_open(&c)->pending);
	client_wait(&c);
	status = c.a->status;
	client_close(&c);
	return status;
}

static inline int delete_prompt(const char *id)
{
	struct client c;
	int status;

	prompts_delete(service, STR("d"), str_of(id), client_open(&c)->pending);
	client_wait(&c);
	status = c.a->status;
	client_close(&c);
	return status;
}

#endif
