/* loop.h - the main thread's event loop (libuv).
 *
 * One loop a process, run by the main thread: signals, ticks, and jobs, whose
 * steps run on libuv's pool. Only loop_call and loop_work_* may be called from
 * other threads. */
#ifndef PREFD_BASE_LOOP_H
#define PREFD_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

typedef void loop_fn(void *ctx);

struct loop *loop_new(void);
/* Runs until loop_stop; then lets running work end. Work that a done callback
 * begins after loop_stop runs as well: who goes step by step ends by itself. */
void loop_run(struct loop *l);
/* Ends the loop if loop_stop has not; calls that were not run are dropped. */
void loop_free(struct loop *l);
/* From the loop's own thread. */
void loop_stop(struct loop *l);
/* SIGINT/SIGTERM/SIGHUP arrive as calls on the loop's thread. */
void loop_on_signal(struct loop *l, int signum, loop_fn *fn, void *ctx);
/* Every period_ms, on the loop's thread. */
void loop_every(struct loop *l, uint64_t period_ms, loop_fn *fn, void *ctx);
/* Once, delay_ms from now, on the loop's thread; never after loop_stop. */
void loop_after(struct loop *l, uint64_t delay_ms, loop_fn *fn, void *ctx);
/* Any thread: runs fn(ctx) soon on the loop's thread, in order of the calls. */
void loop_call(struct loop *l, loop_fn *fn, void *ctx);
/* On the loop's thread: runs work(ctx) on the pool, then done(ctx) on the loop. */
void loop_work(struct loop *l, loop_fn *work, loop_fn *done, void *ctx);

#endif
