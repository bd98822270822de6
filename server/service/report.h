/* report.h - snapshots as they are told of. Any thread. */
#ifndef PREFD_SERVICE_REPORT_H
#define PREFD_SERVICE_REPORT_H

#include "build.h"
#include "store/snapshot.h"

/* What came of a build for one snapshot, as its row keeps it: examples,
 * prompts, pairs, skipped, dropped, warnings, and why some views are impossible
 * (not_text, not_turns: a prompt's id; outside: a sentence). r: its own recipe. */
void report_result(struct buf *b, const struct build_result *result, const struct recipe *r);
/* Whether the snapshot's own view is impossible, and so the snapshot failed:
 * 0, or -1 with P_GOAL_SCALE or P_VIEW. */
int report_verdict(const struct findings *found, const struct recipe *r, struct err *e);

/* A problem as a row keeps it; and back, which always returns -1. */
void report_problem(struct buf *b, const struct err *e);
int problem_read(struct str problem, struct err *e);

/* The answer of GET /v1/snapshots/{snapshot}. progress: of one being built. */
int report_snapshot(struct buf *b, const struct snapshot_row *row, double progress, struct err *e);

#endif
