/* round_lease.c - who is expected to deliver what, and until when.
 *
 * Open work has a row for each prompt and kind (round_work), in order of the
 * time until which it is promised, 0 first: the next to hand out are the first
 * of them. Nothing looks at what is done. */
#include "round_inside.h"

/* What the tasks of one lease print, roughly. A prompt that would go beyond waits
 * for the next lease. One that is larger by itself goes out in parts: the rest of
 * its responses is still wanted, and comes when this lease is over. */
enum { TASK_BYTES_MAX = 8 * 1024 * 1024 };

/* One call of store_lease_take. */
struct taking {
	struct store *s;
	struct arena *a;
	const struct round_known *k;
	const struct lease *lease;
	int64_t lease_key;
	size_t bytes; /* of the prompt at work */
};

/* --- a prompt's tasks ------------------------------------------------------------------------- */

/* Key 0: STR_NONE. */
static int get_text(struct taking *t, int64_t key, struct str *out, struct err *e)
{
	*out = STR_NONE;
	if (key && text_get(t->s, t->a, key, out, e) < 0)
		return -1;
	t->bytes += out->n;
	return 0;
}

/* seen comes by index. */
static void missing_samples(struct taking *t, const struct seen *seen, uint32_t n, struct lease_task *task)
{
	uint32_t per_prompt = t->k->row.per_prompt, next = 0;

	task->index = ARENA_ARRAY(t->a, uint32_t, per_prompt);
	for (uint32_t i = 0; i < per_prompt; i++) {
		if (next < n && seen[next].r.index == i)
			next++;
		else
			task->index[task->indices++] = i;
	}
}

static int missing_logprobs(struct taking *t, const struct seen *seen, uint32_t n, struct lease_task *task,
                            struct err *e)
{
	int m = t->lease->kind - WORK_POLICY;
	size_t prompt_bytes = t->bytes; /* each response is told with its prompt */

	task->response = ARENA_ARRAY(t->a, struct lease_response, n);
	for (uint32_t i = 0; i < n && (task->responses == 0 || t->bytes < TASK_BYTES_MAX); i++) {
		struct lease_response *to = &task->response[task->responses];

		if (!seen[i].valid || seen[i].r.scored[m])
			continue;
		to->id = seen[i].r.id;
		if (get_text(t, seen[i].r.text_key, &to->text, e) < 0 || get_text(t, seen[i].token_ids, &to->token_ids, e) < 0)
			return -1;
		t->bytes += task->responses > 0 ? prompt_bytes : 0;
		task->responses++;
	}
	return 0;
}

static int make_task(struct taking *t, int64_t prompt, struct lease_task *task, struct err *e)
{
	uint8_t hash[32];
	struct round_count c;
	struct seen *seen;
	int64_t messages, token_ids = 0;
	uint32_t n;

	*task = (struct lease_task){.prompt = prompt};
	t->bytes = 0;
	if (round_prompt_at(t->s, t->a, t->k, prompt, hash, &task->prompt_id, &messages, e) < 0 ||
	    round_count_get(t->s, t->k, prompt, &c, &token_ids, e) < 0 ||
	    get_text(t, messages, &task->messages, e) < 0 || get_text(t, token_ids, &task->prompt_token_ids, e) < 0 ||
	    round_see(t->s, t->a, t->k, prompt, SEQ_LATEST, &seen, &n, e) < 0)
		return -1;
	if (t->lease->kind != WORK_SAMPLE)
		return missing_logprobs(t, seen, n, task, e);
	missing_samples(t, seen, n, task);
	return 0;
}

/* --- taking ------------------------------------------------------------------------------------- */

/* 1 found, 0 not, -1. */
static int find_lease(struct store *s, struct str id, int64_t *key, int64_t *round, int64_t *until, bool *ended,
                      struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_LEASE_GET);
	bind_text(&q, id);
	rc = query_step(&q, e);
	if (rc == 1) {
		*key = column_int(&q, 0);
		*round = column_int(&q, 1);
		*until = column_int(&q, 2);
		*ended = column_int(&q, 3) != 0;
		query_close(&q);
	}
	return rc;
}

/* 1: a prompt has open work of this kind, promised or not. */
static int any_work(struct store *s, const struct round_known *k, enum round_work kind, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, s, SQL_WORK_ANY);
	bind_int(&q, k->row.key);
	bind_int(&q, kind);
	rc = query_step(&q, e);
	query_close(&q);
	return rc;
}

/* Samples that are missing will want their log-probabilities. */
static int may_come(struct store *s, const struct round_known *k, enum round_work kind, enum lease_found *found,
                    struct err *e)
{
	int rc = any_work(s, k, kind, e);

	if (rc == 0 && kind != WORK_SAMPLE)
		rc = any_work(s, k, WORK_SAMPLE, e);
	*found = rc == 1 ? LEASE_NOT_NOW : LEASE_NO_MORE;
	return rc < 0 ? -1 : 0;
}

/* The prompts with work that nobody has promised, or no longer. */
static int next_work(struct taking *t, int64_t now_us, int64_t *prompt, uint32_t limit, uint32_t *n, struct err *e)
{
	struct query q;
	int rc;

	query_open(&q, t->s, SQL_WORK_NEXT);
	bind_int(&q, t->k->row.key);
	bind_int(&q, t->lease->kind);
	bind_int(&q, now_us);
	bind_int(&q, limit);
	while ((rc = query_step(&q, e)) == 1)
		prompt[(*n)++] = column_int(&q, 0);
	return rc;
}

static int insert_lease(struct taking *t, struct err *e)
{
	struct query q;

	query_open(&q, t->s, SQL_LEASE_INSERT);
	bind_text(&q, t->lease->id);
	bind_int(&q, t->k->row.key);
	bind_int(&q, t->lease->kind);
	bind_text(&q, t->lease->worker);
	bind_int(&q, t->lease->until);
	if (query_run(&q, e) < 0)
		return -1;
	t->lease_key = sqlite3_last_insert_rowid(t->s->db);
	return 0;
}

static int promise(struct taking *t, int64_t prompt, struct err *e)
{
	struct query q;

	query_open(&q, t->s, SQL_WORK_LEASE);
	bind_int(&q, t->lease->until);
	bind_int(&q, t->lease_key);
	bind_int(&q, prompt);
	bind_int(&q, t->k->row.key);
	bind_int(&q, t->lease->kind);
	return query_run(&q, e);
}

static int hand_out(struct taking *t, const int64_t *prompt, uint32_t prompts, struct lease_task *task, uint32_t *n,
                    struct err *e)
{
	size_t bytes = 0;

	if (insert_lease(t, e) < 0)
		return -1;
	while (*n < prompts) {
		if (make_task(t, prompt[*n], &task[*n], e) < 0)
			return -1;
		bytes += t->bytes;
		if (*n > 0 && bytes > TASK_BYTES_MAX)
			return 0;
		if (promise(t, prompt[*n], e) < 0)
			return -1;
		++*n;
	}
	return 0;
}

int store_lease_take(struct store *s, struct arena *a, const struct round_row *r, const struct lease *lease,
                     uint32_t limit, int64_t now_us, enum lease_found *found,
                     struct lease_task **tasks, uint32_t *n, struct err *e)
{
	struct taking t = {.s = s, .a = a, .lease = lease};
	struct round_known *k;
	int64_t *prompt, key, round, until;
	uint32_t prompts = 0;
	bool ended;
	int rc;

	*n = 0;
	if (tx_writing(s, e) < 0 || round_by_id(s, r->id, &k, e) < 0)
		return -1;
	if (k->row.state == ROUND_CLOSED)
		return err_set(e, P_GONE, "the round is closed");
	rc = find_lease(s, lease->id, &key, &round, &until, &ended, e);
	if (rc != 0)
		return rc < 0 ? -1 : err_set(e, P_CONFLICT, "the lease's id was used before");
	t.k = k;
	limit = limit < 1 ? 1 : limit > PAGE_MAX ? PAGE_MAX : limit;
	prompt = ARENA_ARRAY(a, int64_t, limit);
	if (next_work(&t, now_us, prompt, limit, &prompts, e) < 0)
		return -1;
	if (prompts == 0)
		return may_come(s, k, lease->kind, found, e);
	*found = LEASE_TASKS;
	*tasks = ARENA_ARRAY(a, struct lease_task, prompts);
	return hand_out(&t, prompt, prompts, *tasks, n, e);
}

/* --- renewing and giving back ---------------------------------------------------------------------- */

/* P_UNKNOWN_ROUND, P_UNKNOWN_LEASE. */
static int get_lease(struct store *s, struct str round, struct str lease, int64_t *key, int64_t *until, bool *ended,
                     struct err *e)
{
	struct round_known *k;
	int64_t of;
	int rc;

	if (tx_writing(s, e) < 0 || round_by_id(s, round, &k, e) < 0)
		return -1;
	rc = find_lease(s, lease, key, &of, until, ended, e);
	if (rc < 0)
		return -1;
	if (rc == 0 || of != k->row.key)
		return err_set(e, P_UNKNOWN_LEASE, "the round has no lease \"%.*s\"", STR_ARG(lease));
	return 0;
}

static int lease_until(struct store *s, enum sql id, int64_t until, int64_t key, struct err *e)
{
	struct query q;

	query_open(&q, s, id);
	bind_int(&q, until);
	bind_int(&q, key);
	return query_run(&q, e);
}

int store_lease_renew(struct store *s, struct str round, struct str lease, int64_t until, int64_t now_us, struct err *e)
{
	int64_t key, before;
	bool ended;

	if (get_lease(s, round, lease, &key, &before, &ended, e) < 0)
		return -1;
	if (ended || before <= now_us)
		return err_set(e, P_GONE, ended ? "the lease has ended" : "the lease ran out");
	if (lease_until(s, SQL_LEASE_RENEW, until, key, e) < 0)
		return -1;
	return lease_until(s, SQL_WORK_RENEW, until, key, e);
}

int store_lease_end(struct store *s, struct str round, struct str lease, struct err *e)
{
	int64_t key, until;
	struct query q;
	bool ended;

	if (get_lease(s, round, lease, &key, &until, &ended, e) < 0)
		return -1;
	if (ended)
		return 0;
	query_open(&q, s, SQL_LEASE_END);
	bind_int(&q, key);
	if (query_run(&q, e) < 0)
		return -1;
	query_open(&q, s, SQL_WORK_FREE);
	bind_int(&q, key);
	return query_run(&q, e);
}
