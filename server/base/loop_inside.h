/* loop_inside.h - the loop's handles, for files of base/ that watch sockets. */
#ifndef PREFD_BASE_LOOP_INSIDE_H
#define PREFD_BASE_LOOP_INSIDE_H

#include <uv.h>

#include "base/loop.h"

/* For handles on it: each has its data set from the beginning, which tells
 * loop_stop to leave it alone, and is closed by whoever opened it, at the
 * latest before loop_free. Loop's thread. */
uv_loop_t *loop_uv(struct loop *l);

#endif
