/* print.h - what several answers have in common. */
#ifndef PREFD_SERVICE_PRINT_H
#define PREFD_SERVICE_PRINT_H

#include "base/buf.h"
#include "store/dataset.h"
#include "store/stats.h"

/* {"id",…} of GET /v1/datasets/{dataset}. */
void print_dataset(struct buf *b, const struct dataset *d);
/* `,"key":` and a string, or null when it is absent. */
void print_member(struct buf *b, const char *key, struct str value);
/* `],"next":` and the cursor behind a full page, or null at the end, and `}`. */
void print_page_end(struct buf *b, bool full, struct str cursor);
void print_number_member(struct buf *b, const char *key, double value);
void print_count_member(struct buf *b, const char *key, int64_t value);
void print_time_member(struct buf *b, const char *key, int64_t us);
/* ,"histogram":{"bin_edges":[…],"counts":[…]} */
void print_histogram(struct buf *b, uint32_t bins, const double *edge, const int64_t *count);

#endif
