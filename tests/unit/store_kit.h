/* store_kit.h - a store in a folder of its own, and facts in few words. */
#ifndef STORE_KIT_H
#define STORE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hash.h"
#include "store/read.h"
#include "store/record.h"
#include "store/snapshot.h"
#include "store/stats.h"
#include "store/store.h"

enum { NOW = 1000000 }; /* the time of arrival in tests, microseconds */

struct kit {
	char dir[64];
	struct store *w, *r; /* the writer and a reader */
	struct arena a;
	struct err e;
	struct counts counts; /* of the last put */
};

static inline void kit_ok(struct kit *k, int rc)
{
	if (rc < 0)
		print_error("%s %s: %s\n", problem_slug(k->e.problem), k->e.pointer, k->e.detail);
	assert_true(rc >= 0);
}

static inline void kit_fails(struct kit *k, int rc, enum problem p, const char *pointer)
{
	assert_int_equal(rc, -1);
	assert_string_equal(problem_slug(k->e.problem), problem_slug(p));
	assert_string_equal(k->e.pointer, pointer);
}

static inline int kit_open_writer(struct kit *k)
{
	struct store_options o = {.dir = k->dir, .writer = true, .sync = STORE_SYNC_OFF};

	return store_open(&k->w, &o, &k->e);
}

static inline int kit_open_reader(struct kit *k)
{
	struct store_options o = {.dir = k->dir};

	return store_open(&k->r, &o, &k->e);
}

static inline void kit_begin(struct kit *k)
{
	kit_ok(k, store_begin(k->w, &k->e));
	kit_ok(k, store_savepoint(k->w, &k->e));
}

static inline void kit_commit(struct kit *k)
{
	kit_ok(k, store_release(k->w, &k->e));
	kit_ok(k, store_commit(k->w, &k->e));
}

static inline void kit_undo(struct kit *k)
{
	kit_ok(k, store_undo(k->w, &k->e));
	kit_ok(k, store_commit(k->w, &k->e));
}

static inline void kit_dataset(struct kit *k, const char *name)
{
	struct dataset_change c = {.name = str_of(name)};
	bool created;

	kit_begin(k);
	kit_ok(k, store_dataset_put(k->w, &c, NOW, &created, &k->e));
	kit_commit(k);
}

/* A new folder with a writer, dataset "d" and a reader. */
static inline int kit_setup(void **state)
{
	struct kit *k = calloc(1, sizeof *k);

	snprintf(k->dir, sizeof k->dir, "/tmp/prefd-store-XXXXXX");
	assert_non_null(mkdtemp(k->dir));
	arena_init(&k->a);
	kit_ok(k, kit_open_writer(k));
	kit_dataset(k, "d");
	kit_ok(k, kit_open_reader(k));
	*state = k;
	return 0;
}

static inline void kit_complain(void *ctx, const char *finding)
{
	(void)ctx;
	print_error("check: %s\n", finding);
}

static inline void kit_check(struct kit *k)
{
	int rc = store_check(k->r, kit_complain, NULL, &k->e);

	kit_ok(k, rc);
	assert_int_equal(rc, 0);
}

static inline int kit_teardown(void **state)
{
	static const char *const file[] = {"prefd.db", "prefd.db-wal", "prefd.db-shm", "lock"};
	struct kit *k = *state;
	char path[128];

	store_close(k->r);
	store_close(k->w);
	arena_release(&k->a);
	for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
		snprintf(path, sizeof path, "%s/%s", k->dir, file[i]);
		unlink(path);
	}
	assert_int_equal(rmdir(k->dir), 0);
	free(k);
	return 0;
}

#define KIT_TEST(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)

/* --- facts ------------------------------------------------------------------------- */

static inline struct score score_of(const char *judge, const char *attribute, double value, int64_t at)
{
	return (struct score){.judge = str_of(judge), .attribute = str_of(attribute), .value = value,
	                      .status = SCORE_OK, .at = at, .rationale = STR_NONE};
}

static inline struct score status_of(const char *judge, const char *attribute, enum score_status status, int64_t at)
{
	return (struct score){.judge = str_of(judge), .attribute = str_of(attribute), .status = status, .at = at,
	                      .rationale = STR_NONE};
}

static inline struct response response_of(const char *id, const char *text, const char *model)
{
	struct response r = {.id = str_of(id), .text = str_of(text), .model = str_of(model), .tokens = -1,
	                     .characters = (uint32_t)strlen(text)};

	sha256_of(text, strlen(text), r.text_hash);
	return r;
}

static inline struct comparison vote_of(const char *judge, const char *chosen, const char *rejected, double strength,
                                        int64_t at)
{
	return (struct comparison){str_of(judge), str_of(chosen), str_of(rejected), strength, at};
}

static inline struct row record_of(const char *id, const char *messages, const struct response *r, uint32_t n)
{
	struct row row = {.kind = ROW_RECORD};

	row.record = (struct record){.id = str_of(id), .messages = str_of(messages), .split = STR("train"),
	                             .characters = (uint32_t)strlen(messages), .response = r, .responses = n};
	sha256_of(messages, strlen(messages), row.record.messages_hash);
	return row;
}

/* --- calls -------------------------------------------------------------------------- */

/* In a savepoint that is open already; counts go to k->counts. */
static inline int kit_put_in(struct kit *k, const struct row *row, enum on_conflict policy, int64_t now)
{
	k->counts = (struct counts){0};
	return store_put(k->w, STR("d"), row, policy, now, &k->counts, &k->e);
}

/* In a transaction of its own. */
static inline int kit_put(struct kit *k, const struct row *row, enum on_conflict policy)
{
	int rc;

	kit_begin(k);
	rc = kit_put_in(k, row, policy, NOW);
	if (rc < 0) {
		struct err kept = k->e;

		kit_undo(k);
		k->e = kept;
		return -1;
	}
	kit_commit(k);
	return 0;
}

static inline void kit_score(struct kit *k, const char *response, struct score sc)
{
	struct row row = {.kind = ROW_SCORE};

	row.score.response = str_of(response);
	row.score.score = sc;
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
}

static inline void kit_vote(struct kit *k, struct comparison c)
{
	struct row row = {.kind = ROW_COMPARISON};

	row.comparison = c;
	kit_ok(k, kit_put(k, &row, CONFLICT_REFUSE));
}

static inline struct dataset kit_get(struct kit *k)
{
	struct dataset d;

	kit_ok(k, store_dataset_get(k->r, &k->a, STR("d"), &d, &k->e));
	return d;
}

static inline struct read_prompt kit_read(struct kit *k, const char *id, int64_t seq, unsigned what)
{
	struct dataset d = kit_get(k);
	struct read_prompt p;

	kit_ok(k, store_prompt_get(k->r, &k->a, &d, str_of(id), seq, what, &p, &k->e));
	return p;
}

static inline void assert_str(struct str got, const char *want)
{
	if (want == NULL) {
		assert_null(got.p);
		return;
	}
	assert_non_null(got.p);
	assert_int_equal(got.n, strlen(want));
	assert_memory_equal(got.p, want, got.n);
}

#endif
