/* build_page.h - a page of a build: prompts as they stood at the pinned number,
 * their pairs, and the texts of what the pairs use. Reading one touches nothing
 * but the page, the connection and the counts, so it may go on beside the
 * writing of the page before it. */
#ifndef PREFD_SERVICE_BUILD_PAGE_H
#define PREFD_SERVICE_BUILD_PAGE_H

#include "pick.h"
#include "store/round.h"

/* A page begins small and grows as long as its prompts are. */
enum { PAGE_PROMPTS_FIRST = 64 };

struct page_source {
	const struct recipe *recipe;
	const struct picker *picker;
	const struct dataset *dataset;
	const struct round_row *round; /* where the recipe has terms */
	int64_t seq;
	bool texts;        /* only prompts with a pair, and their texts */
	uint32_t prompts;  /* of the next page */
	struct pick_counts *counts;
};

struct page_prompt {
	struct read_prompt prompt;
	struct picked picked;
};

struct build_page {
	struct arena arena;
	struct page_prompt *at;
	uint32_t n;
	uint32_t seen;   /* prompts that were read; 0: there are no more */
	struct str last; /* id of the last one */
};

/* What of a prompt the recipe asks for (enum read_what). */
unsigned page_what(const struct recipe *r);

/* The page after the prompt `after` (STR_NONE: the first), in one short read.
 * P_GONE: a text, or a prompt of the round, was deleted meanwhile. */
int page_read(struct build_page *p, struct page_source *src, struct store *db, struct str after, struct err *e);

#endif
