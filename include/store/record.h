/* record.h - writing facts. Writer only, inside a savepoint.
 *
 * A row is checked whole before anything of it is written, by reads, never by
 * a failed statement; so a refused row leaves nothing behind. */
#ifndef PREFD_STORE_RECORD_H
#define PREFD_STORE_RECORD_H

#include "store/dataset.h"
#include "store/row.h"

enum { RESPONSES_PER_PROMPT_MAX = 4096 };
/* Pairs of a judge and an attribute that scored in one dataset, and judges of its comparisons, together. */
enum { SERIES_MAX = 16384 };

enum on_conflict { CONFLICT_REFUSE, CONFLICT_KEEP, CONFLICT_REPLACE };

struct counts {
	uint64_t prompts_created, prompts_unchanged, prompts_replaced;
	uint64_t responses_created, responses_unchanged, responses_replaced;
	uint64_t scores_created, scores_revised, scores_unchanged;
	uint64_t comparisons_created, comparisons_revised, comparisons_unchanged;
};

/* Applies one row to the dataset. `dataset` names it; the store keeps its
 * state (sequence numbers, clock, ranges) for the length of the group.
 * now_us: time of arrival of facts without `at`; the store makes it rise.
 * P_UNKNOWN_DATASET; P_UNKNOWN_ID: a response that is not there, or two of
 * different prompts compared; P_CONFLICT: same id, other content (never under
 * CONFLICT_KEEP; under CONFLICT_REPLACE only for a response of another
 * prompt). What CONFLICT_KEEP keeps takes no scores of the text that came.
 * P_INVALID: a value outside the attribute's declared range, or more
 * responses than a prompt may have. */
int store_put(struct store *s, struct str dataset, const struct row *r, enum on_conflict policy,
              int64_t now_us, struct counts *counts, struct err *e);

/* Removes at most `limit` rows that hang on the prompt, the prompt itself
 * last. To be called again until it is gone before the transaction commits:
 * half a prompt must never be seen. 1: there is more, 0: it is gone, -1 (P_UNKNOWN_PROMPT, …). */
int store_prompt_delete(struct store *s, struct str dataset, struct str prompt, uint32_t limit, struct err *e);

#endif
