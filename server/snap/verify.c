#include "inside.h"

/* Verifying: every block, and then that the tables fit together. */

struct tally {
	uint64_t message, pair; /* first ones of the next prompt */
	struct str last_id;
};

/* Ids ascend strictly, so that equal ids mean the same prompt. */
static int verify_pairs(struct snap *s, struct str prompt_id, const struct snap_prompt_rec *rec,
                        struct err *e)
{
	struct snap_view view;

	for (uint32_t i = 0; i < rec->pairs; i++) {
		if (snap_pair_at(s, rec->first_pair + i, &view, e) < 0)
			return -1;
		if (!str_eq(view.prompt_id, prompt_id))
			return snap_is_damaged(e, "a pair stands under another prompt");
	}
	return 0;
}

static int verify_prompt(struct snap *s, uint64_t number, struct tally *t, struct err *e)
{
	const struct snap_prompt_rec *rec = snap_record(s, SECTION_PROMPTS, number, e);
	struct snap_view view;
	struct snap_message message;

	if (rec == NULL || snap_prompt_at(s, (uint32_t)number, &view, e) < 0)
		return -1;
	if (number > 0 && str_cmp(t->last_id, view.prompt_id) >= 0)
		return snap_is_damaged(e, "its prompts are out of order");
	if (rec->first_message != t->message || rec->first_pair != t->pair ||
	    rec->pairs > snap_pairs(s) - t->pair)
		return snap_is_damaged(e, "its prompts do not follow each other");
	for (uint32_t m = 0; m < rec->messages; m++)
		if (snap_message_at(s, &view, m, &message, e) < 0)
			return -1;
	t->message += rec->messages;
	t->pair += rec->pairs;
	t->last_id = view.prompt_id;
	return verify_pairs(s, view.prompt_id, rec, e);
}

int snap_verify(struct snap *s, struct err *e)
{
	uint64_t blocks = snap_count(s, SECTION_SUMS);
	struct tally t = {0};

	for (uint64_t block = 0; block < blocks; block++)
		if (snap_check_block(s, block, e) < 0)
			return -1;
	for (uint64_t p = 0; p < snap_prompts(s); p++)
		if (verify_prompt(s, p, &t, e) < 0)
			return -1;
	if (t.message != snap_count(s, SECTION_MESSAGES) || t.pair != snap_pairs(s))
		return snap_is_damaged(e, "records are left over");
	return snap_intact(s, e);
}
