/* metric.h - counters and gauges, as a table; Prometheus text. Any thread. */
#ifndef PREFD_BASE_METRIC_H
#define PREFD_BASE_METRIC_H

#include <stdatomic.h>
#include <stdint.h>
#include "base/buf.h"

/* X(NAME, kind, "name", "help") */
#define METRICS(X) \
	X(HTTP_REQUESTS, counter, "prefd_http_requests_total", "Requests answered") \
	X(HTTP_ERRORS, counter, "prefd_http_errors_total", "Requests answered with 5xx") \
	X(HTTP_REFUSED, counter, "prefd_http_refused_total", "Requests refused by the gate") \
	X(HTTP_SUSPENDED, gauge, "prefd_http_suspended", "Requests that wait for the writer or a job") \
	X(HTTP_CONNECTIONS, gauge, "prefd_http_connections", "Open connections") \
	X(BODY_BYTES, counter, "prefd_body_bytes_total", "Bytes of request bodies, unpacked") \
	X(ROWS_ACCEPTED, counter, "prefd_rows_accepted_total", "Rows stored or found unchanged") \
	X(ROWS_REJECTED, counter, "prefd_rows_rejected_total", "Rows refused") \
	X(GROUPS, counter, "prefd_commit_groups_total", "Group commits") \
	X(GROUP_REQUESTS, counter, "prefd_commit_requests_total", "Requests committed") \
	X(COMMIT_US, counter, "prefd_commit_microseconds_total", "Time spent in COMMIT, fsync included") \
	X(COMMIT_FAILED, counter, "prefd_commit_failed_total", "Group commits that failed") \
	X(CHECKPOINTS, counter, "prefd_checkpoints_total", "WAL checkpoints") \
	X(BATCHES, counter, "prefd_batches_total", "Minibatches served") \
	X(EXAMPLES, counter, "prefd_examples_total", "Examples served in minibatches") \
	X(BATCH_BYTES, counter, "prefd_batch_bytes_total", "Bytes of minibatches, before compression") \
	X(SNAPSHOTS_BUILT, counter, "prefd_snapshots_built_total", "Snapshot files built") \
	X(SNAPSHOTS_DAMAGED, counter, "prefd_snapshots_damaged_total", "Snapshot files found damaged") \
	X(JOBS, gauge, "prefd_jobs", "Jobs that wait or run") \
	X(SPOOL_BYTES, gauge, "prefd_spool_bytes", "Bytes in spools") \
	X(AUDIT_LOST, counter, "prefd_audit_lost_total", "Lines of the audit log that could not be written") \
	X(STORE_READ_ONLY, gauge, "prefd_store_read_only", "1 after a failed fsync or commit")

enum metric {
#define X(name, kind, text, help) M_##name,
	METRICS(X)
#undef X
	METRIC_COUNT
};

extern _Atomic int64_t metric_values[METRIC_COUNT];

static inline void metric_add(enum metric m, int64_t n)
{
	atomic_fetch_add_explicit(&metric_values[m], n, memory_order_relaxed);
}
static inline void metric_set(enum metric m, int64_t n)
{
	atomic_store_explicit(&metric_values[m], n, memory_order_relaxed);
}
void metric_print(struct buf *b);

#endif
