#include "round_text.h"

#include "client.h"
#include "progress.h"

/* --- parts ----------------------------------------------------------------------- */

void round_number(struct buf *out, const struct json *number)
{
	if (number && json_type(number) == JSON_NUMBER)
		buf_printf(out, "%.6g", json_number(number));
	else
		buf_byte(out, '-');
}

void round_counts(struct buf *out, const struct json *counts)
{
	const char *glue = "";

	for (const struct json *c = counts ? json_first(counts) : NULL; c; c = json_next(c)) {
		if (json_type(c) != JSON_NUMBER || json_number(c) == 0)
			continue;
		buf_printf(out, "%s%.0f %.*s", glue, json_number(c), STR_ARG(json_key(c)));
		glue = ", ";
	}
	if (*glue == '\0')
		buf_lit(out, "none");
}

static void put_why(struct buf *out, const struct json *made, const char *what)
{
	const struct json *counts = made ? json_get(made, what) : NULL;

	if (counts == NULL || json_size(counts) == 0)
		return;
	buf_printf(out, "; %s: ", what);
	round_counts(out, counts);
}

bool round_has_pairs(const char *command, const struct json *made)
{
	struct buf why = BUF_INIT;

	if (cli_number(made, "pairs", 0) > 0)
		return true;
	put_why(&why, made, "skipped");
	put_why(&why, made, "dropped");
	cli_complain(command, "it has 0 pairs%.*s", STR_ARG(buf_view(&why)));
	buf_release(&why);
	return false;
}

void rescoring_line(struct buf *out, const struct json *rescoring)
{
	const struct json *gap = json_get(rescoring, "length_gap");

	buf_lit(out, "alpha ");
	round_number(out, json_get(rescoring, "alpha"));
	buf_lit(out, ", beta ");
	round_number(out, json_get(rescoring, "beta"));
	buf_printf(out, ": %.0f pairs of %.0f prompts", cli_number(rescoring, "pairs", 0),
	           cli_number(rescoring, "prompts", 0));
	buf_printf(out, ", length gap %.1f to %.1f", cli_number(gap, "before", 0), cli_number(gap, "after", 0));
}

/* --- how far -------------------------------------------------------------------- */

static struct share share_of(const struct json *object)
{
	return (struct share){cli_number(object, "wanted", 0), cli_number(object, "there", 0)};
}

static struct share logprobs_of(const struct json *round, const char *which)
{
	const struct json *all = json_get(round, "logprobs");
	struct str model = cli_text(round, which);

	for (const struct json *m = all ? json_first(all) : NULL; m; m = json_next(m))
		if (str_eq(json_key(m), model))
			return share_of(m);
	return (struct share){0, 0};
}

struct round_shares round_shares(const struct json *round)
{
	return (struct round_shares){share_of(json_get(round, "responses")), logprobs_of(round, "policy"),
	                             logprobs_of(round, "reference"), str_eq(cli_text(round, "state"), STR("closed"))};
}

bool round_complete(const struct round_shares *s)
{
	return s->responses.there >= s->responses.wanted && s->policy.there >= s->policy.wanted &&
	       s->reference.there >= s->reference.wanted;
}

/* --- the block ------------------------------------------------------------------- */

static const char *responses_word(const struct json *round)
{
	return str_eq(cli_text(round, "responses_from"), STR("dataset")) ? "responses" : "samples";
}

static void put_bar(struct buf *out, const char *what, struct share s)
{
	char bar[PROGRESS_BAR_BYTES];

	progress_bar(s.wanted > 0 ? s.there / s.wanted : 1, bar);
	buf_printf(out, "  %-10s %s %.0f of %.0f\n", what, bar, s.there, s.wanted);
}

static void put_head(struct buf *out, const struct json *round)
{
	struct str previous = cli_text(round, "previous");

	buf_printf(out, "%.*s: %.*s, %.0f prompts of %.*s", STR_ARG(cli_text(round, "id")),
	           STR_ARG(cli_text(round, "state")), cli_number(round, "prompts", 0), STR_ARG(cli_text(round, "dataset")));
	if (previous.p)
		buf_printf(out, ", after %.*s", STR_ARG(previous));
	buf_printf(out, "\n  %.*s against %.*s\n", STR_ARG(cli_text(round, "policy")), STR_ARG(cli_text(round, "reference")));
}

static void put_rescorings(struct buf *out, const struct json *round)
{
	const struct json *list = json_get(round, "rescorings");

	for (const struct json *x = list ? json_first(list) : NULL; x; x = json_next(x)) {
		buf_printf(out, "  %-10s %.0f: ", "rescoring", cli_number(x, "rescoring", 0));
		rescoring_line(out, x);
		buf_byte(out, '\n');
	}
}

/* What engines do about it, if any were asked. */
static void put_scoring(struct buf *out, const struct json *round)
{
	const struct json *x = json_get(round, "scoring");

	if (x == NULL || json_type(x) != JSON_OBJECT)
		return;
	buf_printf(out, "  %-10s %.*s: %.0f asked, %.0f delivered, failed ", "scoring", STR_ARG(cli_text(x, "state")),
	           cli_number(x, "asked", 0), cli_number(x, "delivered", 0));
	round_counts(out, json_get(x, "failed"));
	buf_byte(out, '\n');
}

static void put_snapshots(struct buf *out, const struct json *round)
{
	const struct json *list = json_get(round, "snapshots");

	for (const struct json *x = list ? json_first(list) : NULL; x; x = json_next(x))
		if (json_type(x) == JSON_STRING)
			buf_printf(out, "  %-10s %.*s\n", "snapshot", STR_ARG(json_string(x)));
}

void round_block(struct buf *out, const struct json *round)
{
	struct round_shares s = round_shares(round);

	put_head(out, round);
	put_bar(out, responses_word(round), s.responses);
	put_bar(out, "policy", s.policy);
	put_bar(out, "reference", s.reference);
	buf_printf(out, "  %-10s %.0f\n", "leases", cli_number(round, "leases", 0));
	put_scoring(out, round);
	put_rescorings(out, round);
	put_snapshots(out, round);
}

void round_samples(struct buf *out, const struct json *round)
{
	struct share s = share_of(json_get(round, "responses"));

	buf_printf(out, "%s %.0f of %.0f", responses_word(round), s.there, s.wanted);
}

void round_line(struct buf *out, const struct json *round)
{
	struct round_shares s = round_shares(round);

	buf_printf(out, "%.*s: %.*s, ", STR_ARG(cli_text(round, "id")), STR_ARG(cli_text(round, "state")));
	round_samples(out, round);
	buf_printf(out, ", policy %.0f of %.0f, reference %.0f of %.0f", s.policy.there, s.policy.wanted,
	           s.reference.there, s.reference.wanted);
	buf_printf(out, ", leases %.0f", cli_number(round, "leases", 0));
}

bool round_scoring(const struct json *round, bool *failed)
{
	const struct json *x = json_get(round, "scoring"), *reasons = x ? json_get(x, "failed") : NULL;
	struct str state = cli_text(x, "state");

	*failed = !str_eq(state, STR("done")) || (reasons && json_size(reasons) > 0);
	return str_eq(state, STR("running"));
}
