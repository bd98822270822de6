/* round_text.h - a round as a person reads it. */
#ifndef PREFD_CLI_ROUND_TEXT_H
#define PREFD_CLI_ROUND_TEXT_H

#include "base/buf.h"
#include "base/json.h"

/* How far it is. All is there when each is; a closed round gets no further. */
struct round_shares {
	struct share {
		double wanted, there;
	} responses, policy, reference;
	bool closed;
};

struct round_shares round_shares(const struct json *round);
bool round_complete(const struct round_shares *s);
/* Whether engines are being asked; failed: they were not, or in vain for some. */
bool round_scoring(const struct json *round, bool *failed);

/* Several lines, with bars. */
void round_block(struct buf *out, const struct json *round);
/* One line, without bars and without a newline. */
void round_line(struct buf *out, const struct json *round);
/* "alpha 0.001, beta 0.1: 140 pairs of 144 prompts, …" of a rescoring. */
void rescoring_line(struct buf *out, const struct json *rescoring);
/* "samples 20 of 24": what is there of what is wanted. */
void round_samples(struct buf *out, const struct json *round);
/* "3 tied, 1 too_few_responses" of an object of counts; "none". */
void round_counts(struct buf *out, const struct json *counts);
/* On standard error, when a rescoring or a snapshot has no pairs: so, and why.
 * Whether it has some. NULL: none, for reasons unknown. */
bool round_has_pairs(const char *command, const struct json *made);
/* At most six significant digits; "-" for what is no number. */
void round_number(struct buf *out, const struct json *number);

#endif
