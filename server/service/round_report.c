#include "round_report.h"

#include "base/clock.h"
#include "base/json.h"
#include "print.h"
#include "round_spec.h"
#include "score.h"
#include "store/snapshot.h"

static const char *const state_words[] = {[ROUND_OPEN] = "open", [ROUND_CLOSED] = "closed"};

static void print_share(struct buf *b, int64_t wanted, int64_t there)
{
	buf_byte(b, '{');
	print_count_member(b, "wanted", wanted);
	print_count_member(b, "there", there);
	buf_byte(b, '}');
}

static void print_progress(struct buf *b, const struct round_row *row, const struct round_progress *p)
{
	print_count_member(b, "prompts", p->prompts);
	json_put_key(b, "responses");
	print_share(b, p->responses_wanted, p->responses_there);
	json_put_key(b, "logprobs");
	buf_byte(b, '{');
	json_put_key_str(b, row->policy);
	print_share(b, p->logprobs_wanted[0], p->logprobs_there[0]);
	json_put_key_str(b, row->reference);
	print_share(b, p->logprobs_wanted[1], p->logprobs_there[1]);
	buf_byte(b, '}');
	print_count_member(b, "leases", p->leases);
}

void report_rescoring(struct buf *b, const struct rescoring_row *x)
{
	buf_byte(b, '{');
	print_count_member(b, "rescoring", x->number);
	print_number_member(b, "alpha", x->alpha);
	print_number_member(b, "beta", x->beta);
	buf_byte(b, ',');
	buf_str(b, x->result);
	buf_byte(b, '}');
}

static int print_rescorings(struct buf *b, struct store *db, struct arena *a, struct str round, struct err *e)
{
	struct rescoring_row *x;
	uint32_t n;

	if (store_rescoring_list(db, a, round, &x, &n, e) < 0)
		return -1;
	json_put_key(b, "rescorings");
	buf_byte(b, '[');
	for (uint32_t i = 0; i < n; i++) {
		json_put_comma(b);
		report_rescoring(b, &x[i]);
	}
	buf_byte(b, ']');
	return 0;
}

/* Ids of those that were published, and of those whose recipe names the round. */
static int print_snapshots(struct buf *b, struct store *db, struct arena *a, struct str round, struct err *e)
{
	struct str *id;
	uint32_t n;

	if (store_snapshot_of_round(db, a, round, &id, &n, e) < 0)
		return -1;
	json_put_key(b, "snapshots");
	buf_byte(b, '[');
	for (uint32_t i = 0; i < n; i++) {
		json_put_comma(b);
		json_put_string(b, id[i]);
	}
	buf_byte(b, ']');
	return 0;
}

int report_round(struct buf *b, struct store *db, struct arena *a, const struct round_row *row,
                 const struct scoring *scoring, struct err *e)
{
	struct round_progress progress;
	struct round_spec spec;

	if (round_spec_load(a, row->spec, &spec, e) < 0 ||
	    store_round_progress(db, row, clock_now_us(), &progress, e) < 0)
		return -1;
	buf_byte(b, '{');
	print_member(b, "id", row->id);
	print_member(b, "name", row->name);
	print_member(b, "dataset", row->dataset);
	print_member(b, "state", str_of(state_words[row->state]));
	round_spec_print(b, &spec, SPEC_SHOWN);
	print_progress(b, row, &progress);
	if (scoring)
		print_scoring(b, scoring);
	else
		print_member(b, "scoring", STR_NONE);
	if (print_rescorings(b, db, a, row->id, e) < 0 || print_snapshots(b, db, a, row->id, e) < 0)
		return -1;
	print_time_member(b, "created_at", row->created_at);
	buf_byte(b, '}');
	return 0;
}
