#include "base/metric.h"

#include <inttypes.h>

_Atomic int64_t metric_values[METRIC_COUNT];

static const struct {
	const char *name, *kind, *help;
} table[METRIC_COUNT] = {
#define X(metric, sort, text, about) [M_##metric] = {text, #sort, about},
	METRICS(X)
#undef X
};

void metric_print(struct buf *b)
{
	for (int m = 0; m < METRIC_COUNT; m++) {
		int64_t v = atomic_load_explicit(&metric_values[m], memory_order_relaxed);

		buf_printf(b, "# HELP %s %s\n", table[m].name, table[m].help);
		buf_printf(b, "# TYPE %s %s\n", table[m].name, table[m].kind);
		buf_printf(b, "%s %" PRId64 "\n", table[m].name, v);
	}
}
