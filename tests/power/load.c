/* load.c - the groups of requests that a power cut interrupts. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "store/dataset.h"
#include "store/record.h"
#include "store/round.h"
#include "store/snapshot.h"

enum { TEXT_BYTES = 3000 };

void load_must(struct load *l, int rc, const char *what)
{
	if (rc >= 0)
		return;
	printf("Bail out! %s: %s %s\n", what, l->e.pointer, l->e.detail);
	exit(2);
}

void remove_files(const char *folder)
{
	static const char *const name[] = {"prefd.db", "prefd.db-wal", "prefd.db-shm", "prefd.db-journal", "lock",
	                                   "template.db", "template.db-wal", "template.db-shm"};
	char path[160];

	for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, name[i]);
		unlink(path);
	}
	rmdir(folder);
}

static struct row record_row(struct arena *a, int prompt, int version)
{
	struct response *r = ARENA_ARRAY(a, struct response, 2);
	struct score *sc = ARENA_ARRAY(a, struct score, 6);
	struct comparison *c = ARENA_NEW(a, struct comparison);
	struct logprob *p = ARENA_NEW(a, struct logprob);
	struct row row = {.kind = ROW_RECORD};

	for (int i = 0; i < 6; i++)
		sc[i] = (struct score){arena_printf(a, "judge-%d", i % 3), STR("overall"), i + 0.1 * prompt, SCORE_OK,
		                       TIME_NONE, i == 0 ? STR("because") : STR_NONE};
	*p = (struct logprob){STR("policy"), -prompt, -1};
	for (int i = 0; i < 2; i++) {
		char *text = arena_alloc(a, TEXT_BYTES);

		memset(text, 'a' + (prompt + i + version) % 26, TEXT_BYTES);
		r[i] = (struct response){.id = arena_printf(a, "p%d-r%d", prompt, i), .text = {text, TEXT_BYTES},
		                         .characters = TEXT_BYTES, .model = arena_printf(a, "model-%d", prompt % 5),
		                         .tokens = -1, .score = sc + 3 * i, .scores = 3, .logprob = p, .logprobs = 1};
		sha256_of(text, TEXT_BYTES, r[i].text_hash);
	}
	*c = (struct comparison){STR("ann"), r[prompt % 2].id, r[1 - prompt % 2].id, 1, TIME_NONE};
	row.record = (struct record){.id = arena_printf(a, "p%d", prompt), .messages = STR("[]"), .split = STR("train"),
	                             .response = r, .responses = 2, .comparison = c, .comparisons = 1};
	sha256_of("[]", 2, row.record.messages_hash);
	return row;
}

static void put_record(struct load *l, struct arena *a, int prompt, int version, enum on_conflict policy)
{
	struct row row = record_row(a, prompt, version);
	struct counts counts = {0};

	load_must(l, store_put(l->w, STR("d"), &row, policy, 1000 * prompt, &counts, &l->e), "put");
}

static void put_score(struct load *l, struct arena *a, int prompt, int g)
{
	struct row row = {.kind = ROW_SCORE};
	struct counts counts = {0};

	row.score.response = arena_printf(a, "p%d-r0", prompt);
	row.score.score = (struct score){STR("judge-1"), STR("overall"), 10 + g, SCORE_OK, TIME_NONE, STR_NONE};
	load_must(l, store_put(l->w, STR("d"), &row, CONFLICT_REFUSE, 1000 * g, &counts, &l->e), "score");
}

static void put_snapshot(struct load *l, struct arena *a, int g)
{
	struct snapshot_row row = {.id = arena_printf(a, "s%d", g / 6), .dataset = STR("d"), .dataset_key = 1,
	                           .seq = g, .posted = STR("{}"), .recipe = STR("{}")};

	if (g % 6 == 0) {
		load_must(l, store_snapshot_insert(l->w, &row, &l->e), "snapshot");
	} else if (g % 6 == 3) {
		row.state = SNAPSHOT_READY;
		row.revision = STR("00");
		load_must(l, store_snapshot_settle(l->w, &row, &l->e), "settle");
	}
}

/* Every twelve groups a round: made, leased, delivered to, rescored, closed. */
static void make_round(struct load *l, struct arena *a, struct str id)
{
	struct round_row row = {.id = id, .dataset = STR("d"), .mode = ROUND_SAMPLE, .posted = STR("{}"),
	                        .spec = STR("{}"), .policy = STR("pi"), .reference = STR("ref"), .per_prompt = 4,
	                        .lease_us = 1000000, .min_characters = -1, .max_characters = -1};
	int64_t prompts;

	(void)a;
	load_must(l, store_round_insert(l->w, &row, STR_NONE, -1, 0, &prompts, &l->e), "round");
}

static void lease(struct load *l, struct arena *a, struct str round, int g)
{
	struct lease want = {.id = arena_printf(a, "lease-%d", g), .round = round, .kind = WORK_SAMPLE,
	                     .worker = STR("w"), .until = 1000000 + g};
	enum lease_found found;
	struct lease_task *task;
	struct round_row r;
	uint32_t n;

	load_must(l, store_round_get(l->w, a, round, &r, &l->e), "round");
	load_must(l, store_lease_take(l->w, a, &r, &want, 2, g, &found, &task, &n, &l->e), "lease");
}

static void deliver(struct load *l, struct arena *a, struct str round, int g)
{
	struct logprob *p = ARENA_ARRAY(a, struct logprob, 2);
	struct delivery_counts counts = {0};

	p[0] = (struct logprob){STR("pi"), -1 - g, -1};
	p[1] = (struct logprob){STR("ref"), -2 - g, -1};
	for (uint32_t i = 0; i < 2; i++) {
		struct sample x = {.prompt = arena_printf(a, "p%u", i), .index = (uint32_t)g % 4, .tokens = -1,
		                   .text = arena_printf(a, "a sample of group %d", g), .logprob = p, .logprobs = 1 + i};

		x.characters = (uint32_t)x.text.n;
		sha256_of(x.text.p, x.text.n, x.text_hash);
		load_must(l, store_sample_put(l->w, round, &x, g, &counts, &l->e), "sample");
	}
}

static void rescore(struct load *l, struct str round, int g)
{
	struct rescoring_row row = {.params = STR("{}"), .alpha = 0.1 * g, .beta = 0.1, .result = STR("")};

	load_must(l, store_rescoring_insert(l->w, round, &row, &l->e), "rescoring");
}

static void put_round(struct load *l, struct arena *a, int g)
{
	struct str round = arena_printf(a, "round-%d", g / 12);
	int step = g % 12;

	if (step == 3)
		make_round(l, a, round);
	else if (step == 4 || step == 6)
		lease(l, a, round, g);
	else if (step > 6 && step < 11)
		deliver(l, a, round, g);
	else if (step == 11)
		rescore(l, round, g);
	if (step == 11 && g < 24)
		load_must(l, store_round_close(l->w, round, &l->e), "close");
}

/* Every ten groups a dataset comes, and goes slice by slice. */
static void pass_datasets(struct load *l, struct arena *a, int g)
{
	struct dataset_change c = {.name = arena_printf(a, "passing-%d", g / 10)};
	struct counts counts = {0};
	bool created;

	if (g % 10 == 1) {
		load_must(l, store_dataset_put(l->w, &c, g, &created, &l->e), "dataset");
		for (int i = 0; i < 4; i++) {
			struct row row = record_row(a, i, g);

			load_must(l, store_put(l->w, c.name, &row, CONFLICT_REFUSE, g, &counts, &l->e), "put");
		}
	} else if (g % 10 == 4) {
		load_must(l, store_dataset_delete(l->w, c.name, &l->e), "dataset's end");
	}
	load_must(l, store_dataset_sweep(l->w, 10, &l->e), "sweep");
}

/* A request of three rows and its answer; one that revises; one that is undone. */
void load_group(struct load *l, struct arena *a, int g)
{
	struct store_answer answer = {.status = 200, .body = STR("{}")};

	load_must(l, store_begin(l->w, &l->e), "begin");
	load_must(l, store_savepoint(l->w, &l->e), "savepoint");
	for (int i = 0; i < 3; i++)
		put_record(l, a, 3 * g + i, 0, CONFLICT_REFUSE);
	load_must(l, store_answer_put(l->w, arena_printf(a, "key-%d", g), &answer, g, &l->e), "answer");
	load_must(l, store_release(l->w, &l->e), "release");
	load_must(l, store_savepoint(l->w, &l->e), "savepoint");
	put_record(l, a, 999, g, CONFLICT_REFUSE);
	load_must(l, store_undo(l->w, &l->e), "undo");
	load_must(l, store_savepoint(l->w, &l->e), "savepoint");
	put_score(l, a, 3 * (g / 2) + 1, g);
	put_snapshot(l, a, g);
	if (g % 5 == 4)
		put_record(l, a, g, g, CONFLICT_REPLACE);
	if (g % 8 == 7)
		load_must(l, store_prompt_delete(l->w, STR("d"), arena_printf(a, "p%d", 3 * (g / 2) + 2), 100, &l->e),
		          "delete");
	load_must(l, store_release(l->w, &l->e), "release");
	load_must(l, store_savepoint(l->w, &l->e), "savepoint");
	put_round(l, a, g);
	pass_datasets(l, a, g);
	load_must(l, store_release(l->w, &l->e), "release");
	load_must(l, store_commit(l->w, &l->e), "commit");
}

void load_dataset(struct load *l)
{
	struct dataset_change c = {.name = STR("d")};
	bool created;

	load_must(l, store_begin(l->w, &l->e), "begin");
	load_must(l, store_savepoint(l->w, &l->e), "savepoint");
	load_must(l, store_dataset_put(l->w, &c, 1, &created, &l->e), "dataset");
	load_must(l, store_release(l->w, &l->e), "release");
	load_must(l, store_commit(l->w, &l->e), "commit");
}
