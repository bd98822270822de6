/* build_page.h - a page of a build: prompts as they stood at the pinned number,
 * their pairs, and the texts of what the pairs use. Reading one touches nothing
 * but the page, the connection and the counts, so it may go on beside the
 * writing of the page before it. */
#ifndef PREFD_SERVICE_BUILD_PAGE_H
#define PREFD_SERVICE_BUILD_PAGE_H

#include "gather.h"
#include "store/round.h"

/* A page begins small and grows as long as its prompts are. */
enum { PAGE_PROMPTS_FIRST = 64 };

struct page_source {
	const struct recipe *recipe;
	const struct picker *picker;
	const struct dataset *dataset;
	const struct round_row *round; /* where the recipe has terms */
	struct gathered *gathered; /* where the prompts are taken from; NULL: the tables */
	int64_t seq;
	bool all;          /* prompts without a pair too */
	bool texts;        /* what the pairs use */
	uint32_t prompts;  /* of the next page */
	int64_t arrived;   /* the last prompt that was read from the tables, or 0 */
	struct buf after;  /* the id of the last one of a round, or of those gathered; empty at the start */
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
	uint64_t characters; /* of prompts with a pair and their responses */
	uint32_t seen; /* prompts that were looked at; 0: there are no more */
};

/* What of a prompt the recipe asks for (enum read_what). */
unsigned page_what(const struct recipe *r);

/* The next page, in one short read: in order of arrival out of the dataset's
 * tables, else in order of ids. P_GONE: something of it was deleted meanwhile. */
int page_read(struct build_page *p, struct page_source *src, struct store *db, struct err *e);

#endif
