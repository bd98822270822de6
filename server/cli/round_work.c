/* prefd round work: leases tasks and has a command do them.
 *
 *      lease --> tasks to the command's input --> rows from its output
 *        ^                                              |
 *        +---- given back <-- delivered every moment <--+
 *
 * The lease is renewed at half its time. Rows are facts whoever brings them and
 * whenever, so a lease that ran out costs nothing but work done twice. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/split.h"
#include "bodies.h"
#include "call.h"
#include "child.h"
#include "lease.h"
#include "progress.h"
#include "round_text.h"
#include "tasks.h"
#include "work_options.h"

enum {
	DELIVER_US = 2 * 1000 * 1000, /* a row waits so long at most */
	POLL_MS = 200,
	HINT_US = 60 * 1000 * 1000,   /* a command that is silent so long is asked about */
};

struct worker {
	struct work_options o;
	struct call call;
	struct bodies bodies;
	struct buf url; /* deliveries go there */
	struct progress progress;
	struct child child;
	struct split split; /* of what the command writes */
	struct buf heard;
	struct tasks tasks;
	struct buf lines; /* what the command is still to be given, from `given` on */
	size_t given;
	struct lease lease;
	int64_t deliver_at, heard_at; /* on the steady clock; 0: not at all */
	uint64_t rows;
	bool waiting_said, hinted, undeliverable;
};

/* What a step of the loop returns: go on, or end with a status that was explained. */
enum { GO_ON, LEASED, OVER, ENDED };

/* --- tasks -------------------------------------------------------------------------- */

static int failed(const struct err *e)
{
	cli_complain(WORK, "%s", e->detail);
	return ENDED;
}

static void put_wish(const struct worker *w, struct buf *b)
{
	buf_byte(b, '{');
	json_put_key(b, "kind");
	json_put_string(b, str_of(w->o.kind));
	if (w->o.model) {
		json_put_key(b, "model");
		json_put_string(b, str_of(w->o.model));
	}
	json_put_key(b, "worker");
	json_put_string(b, str_of(w->o.worker));
	if (w->o.limit > 0) {
		json_put_key(b, "limit");
		buf_printf(b, "%" PRIu64, w->o.limit);
	}
	buf_byte(b, '}');
}

static int load_tasks(struct worker *w)
{
	struct str array = json_raw_member(buf_view(&w->call.reply.body), "tasks");
	struct err e;

	buf_clear(&w->lines);
	w->given = 0;
	if (array.p == NULL || tasks_load(&w->tasks, array, &w->lines, &e) < 0) {
		cli_complain(WORK, "the server answered %d, and not as prefd does", w->call.reply.status);
		return ENDED;
	}
	if (w->o.batch)
		buf_byte(&w->lines, '\n');
	return LEASED;
}

/* For scores it is mostly the samples that are missing: how many there are. */
static void say_waiting(struct worker *w)
{
	struct buf line = BUF_INIT;

	progress_clear(&w->progress);
	buf_printf(&line, "prefd %s: nothing to be handed out now; waiting", WORK);
	call_path(&w->call, "rounds", w->o.round, NULL);
	if (w->o.score && call_try(&w->call, "GET", STR_NONE) == 200) {
		buf_lit(&line, "; ");
		round_samples(&line, w->call.answer);
	}
	cli_line(stderr, &line);
	w->waiting_said = true;
}

/* Others hold what is left, or it is still to be sampled. */
static int wait_for_work(struct worker *w, int64_t seconds)
{
	int64_t until = clock_steady_us() + seconds * 1000000;
	const struct timespec moment = {0, POLL_MS * 1000000};

	if (!w->waiting_said)
		say_waiting(w);
	while (!cli_interrupted() && clock_steady_us() < until)
		nanosleep(&moment, NULL);
	return GO_ON;
}

static int take_tasks(struct worker *w)
{
	struct buf wish = BUF_INIT;
	enum lease_taken taken;
	int64_t retry_s;

	put_wish(w, &wish);
	taken = lease_take(&w->lease, buf_view(&wish), &retry_s);
	buf_release(&wish);
	switch (taken) {
	case LEASE_TAKEN: return load_tasks(w);
	case LEASE_LATER: return wait_for_work(w, retry_s);
	case LEASE_OVER: return OVER;
	default: return ENDED;
	}
}

/* --- results ----------------------------------------------------------------------------- */

static int deliver(struct worker *w)
{
	struct bodies *b = &w->bodies;
	struct progress_state state;
	struct err e;
	int rc = bodies_post(b, &e);

	w->deliver_at = 0;
	w->undeliverable = rc == BODIES_FAILED || rc == BODIES_REFUSED;
	if (rc == BODIES_FAILED)
		return failed(&e);
	if (rc != 0)
		return ENDED; /* refused, which was said; or interrupted */
	state = (struct progress_state){b->sent_rows, b->sent_bytes, 0};
	progress_show(&w->progress, &state);
	return GO_ON;
}

static int on_row(void *ctx, uint64_t number, struct str row, struct err *e)
{
	struct worker *w = ctx;
	struct err why;

	if (tasks_done(&w->tasks, row, &why) < 0)
		return err_set(e, P_BAD_REQUEST, "line %" PRIu64 " of the command: %.400s", number + 1, why.detail);
	if (!bodies_take(&w->bodies, row.n) && deliver(w) != GO_ON)
		return ENDED;
	bodies_add(&w->bodies, w->rows++, 0, row);
	if (w->deliver_at == 0)
		w->deliver_at = clock_steady_us() + DELIVER_US;
	return 0;
}

static int hear(struct worker *w)
{
	struct err e = {P_NONE, "", ""};
	int rc;

	child_read(&w->child, &w->heard);
	if (w->heard.n > 0)
		w->heard_at = clock_steady_us();
	rc = split_feed(&w->split, w->heard.p ? w->heard.p : "", w->heard.n, &e);
	buf_clear(&w->heard);
	if (rc == 0 && w->child.out < 0)
		rc = split_end(&w->split, &e);
	return rc == -1 ? failed(&e) : rc;
}

/* --- the command --------------------------------------------------------------------------- */

static int start_command(struct worker *w)
{
	struct err e;

	if (w->child.pid)
		return GO_ON;
	split_release(&w->split);
	split_init(&w->split, SPLIT_NDJSON, w->bodies.row_bytes, on_row, w);
	return child_start(&w->child, w->o.exec, &e) < 0 ? failed(&e) : GO_ON;
}

static int end_command(struct worker *w, bool at_once)
{
	char how[CHILD_HOW_BYTES];

	child_end(&w->child, at_once, how);
	if (at_once || how[0] == '\0')
		return GO_ON;
	cli_complain(WORK, "the command ended with %s", how);
	return ENDED;
}

static int ended_early(struct worker *w)
{
	if (end_command(w, false) == GO_ON)
		cli_complain(WORK, "the command ended");
	cli_complain(WORK, "%zu of %zu results are missing", w->tasks.left, w->tasks.n);
	return ENDED;
}

static void give(struct worker *w)
{
	if (w->given < w->lines.n)
		w->given += child_write(&w->child, w->lines.p + w->given, w->lines.n - w->given);
	else if (w->o.restart)
		child_close_input(&w->child);
}

/* The usual mistake with a command that goes on. */
static void hint(struct worker *w)
{
	if (w->hinted || w->given < w->lines.n || clock_steady_us() - w->heard_at < HINT_US)
		return;
	progress_clear(&w->progress);
	cli_complain(WORK, "nothing came from the command for %d s; does it flush its output?", HINT_US / 1000000);
	w->hinted = true;
}

static int on_time(struct worker *w)
{
	int64_t now = clock_steady_us();
	int rc = GO_ON;

	if (w->deliver_at && now >= w->deliver_at)
		rc = deliver(w);
	if (rc == GO_ON && lease_keep(&w->lease) < 0)
		rc = ENDED;
	hint(w);
	return rc;
}

/* --- the loop ------------------------------------------------------------------------------ */

static int work_off(struct worker *w)
{
	int rc = start_command(w);

	w->heard_at = clock_steady_us();
	/* One that answers at the end may still have something to say. */
	while (rc == GO_ON && (w->tasks.left > 0 || (w->o.restart && w->child.out >= 0))) {
		if (cli_interrupted())
			return ENDED;
		if (w->child.out < 0)
			return ended_early(w);
		give(w);
		child_wait(&w->child, w->given < w->lines.n, POLL_MS);
		rc = hear(w);
		if (rc == GO_ON)
			rc = on_time(w);
	}
	if (rc == GO_ON)
		rc = deliver(w);
	if (rc == GO_ON && (w->o.restart || w->child.out < 0))
		rc = end_command(w, false);
	if (rc == GO_ON)
		lease_give_back(&w->lease);
	return rc;
}

static int work(struct worker *w)
{
	int rc = GO_ON;

	while (rc == GO_ON) {
		if (cli_interrupted())
			return ENDED;
		rc = take_tasks(w);
		if (rc == LEASED)
			rc = work_off(w);
	}
	return rc;
}

/* Delivers what there is, unless that is the trouble, and gives the rest back. */
static void leave(struct worker *w)
{
	if (cli_interrupted() && w->child.out >= 0 && w->tasks.left > 0)
		hear(w);
	if (!w->undeliverable)
		deliver(w);
	w->call.stubborn = false;
	lease_give_back(&w->lease);
}

static int finish(struct worker *w, int rc)
{
	if (rc != OVER)
		leave(w);
	if (end_command(w, rc != OVER) != GO_ON)
		rc = ENDED;
	progress_clear(&w->progress);
	printf("%s: %" PRIu64 " rows in %.1f s\n", w->o.worker, w->bodies.sent_rows, progress_seconds(&w->progress));
	bodies_print(&w->bodies);
	if (cli_interrupted())
		cli_complain(WORK, "ended by a signal; what was not done goes to others");
	return rc == OVER ? CLI_DONE : CLI_FAILED;
}

static int run(struct worker *w)
{
	if (bodies_limits(&w->bodies, &w->call, BODIES_BYTES_DEFAULT) < 0 ||
	    lease_init(&w->lease, &w->call, w->o.round) < 0)
		return CLI_FAILED;
	call_path(&w->call, "rounds", w->o.round, w->o.score ? "logprobs" : "responses", NULL);
	buf_str(&w->url, buf_view(&w->call.url));
	buf_byte(&w->url, '\0');
	w->bodies.url = w->url.p;
	w->call.stubborn = true;
	progress_init(&w->progress, WORK, 0);
	return finish(w, work(w));
}

int round_work(int argc, char **argv)
{
	struct worker w = {.child = CHILD_NONE};
	int rc = work_options(&w.o, argc, argv);

	if (rc != VERB_GO)
		return rc;
	cli_catch_signals();
	call_open(&w.call, WORK, w.o.base.server);
	bodies_init(&w.bodies, WORK, w.call.fetch, &w.progress);
	tasks_init(&w.tasks, w.o.score);
	rc = run(&w);
	tasks_release(&w.tasks);
	bodies_release(&w.bodies);
	call_close(&w.call);
	split_release(&w.split);
	buf_release(&w.heard);
	buf_release(&w.lines);
	lease_release(&w.lease);
	buf_release(&w.url);
	return rc;
}
