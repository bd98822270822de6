/* print.h - what several answers have in common. */
#ifndef PREFD_SERVICE_PRINT_H
#define PREFD_SERVICE_PRINT_H

#include "base/buf.h"
#include "service/tokens.h"
#include "store/dataset.h"
#include "store/stats.h"

/* {"id",…} of GET /v1/datasets/{dataset}. */
void print_dataset(struct buf *b, const struct dataset *d);
/* `,"key":` and a string, or null when it is absent. */
void print_member(struct buf *b, const char *key, struct str value);
/* A page of a list that shows only what somebody may see. */
struct page {
	const struct access *who;
	struct str after; /* where the next reading of the store begins */
	uint32_t left;    /* rows that still fit */
	struct str shown; /* the last one shown: the next page's cursor */
};
/* Steps behind this row; true when it is to be printed, and then the comma was. */
bool page_shows(struct page *p, struct buf *b, struct str dataset, struct str cursor);
/* `],"next":` and the cursor behind a full page, or null at the end, and `}`. */
void print_page_end(struct buf *b, bool full, struct str cursor);
void print_number_member(struct buf *b, const char *key, double value);
void print_count_member(struct buf *b, const char *key, int64_t value);
void print_time_member(struct buf *b, const char *key, int64_t us);
/* ,"histogram":{"bin_edges":[…],"counts":[…]} */
void print_histogram(struct buf *b, uint32_t bins, const double *edge, const int64_t *count);

#endif
