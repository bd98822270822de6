/* round_report.h - what is told of a round. */
#ifndef PREFD_SERVICE_ROUND_REPORT_H
#define PREFD_SERVICE_ROUND_REPORT_H

#include "base/buf.h"
#include "store/round.h"

struct scoring;

/* {"id",…} of GET /v1/rounds/{round}: the document, then its progress as of now.
 * scoring: of its last run, or NULL. */
int report_round(struct buf *b, struct store *db, struct arena *a, const struct round_row *row,
                 const struct scoring *scoring, struct err *e);
/* {"rescoring", "alpha", "beta", "prompts", …}, as POST …/rescore answers. */
void report_rescoring(struct buf *b, const struct rescoring_row *x);

#endif
