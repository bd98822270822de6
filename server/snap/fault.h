/* fault.h - mappings whose pages may fail.
 *
 * A page of a mapped file that the kernel cannot give (the file was cut short,
 * the medium failed) raises SIGBUS. For a mapping that is watched, zeros take
 * the page's place, the mapping counts as failed, and the reader goes on: so
 * whoever reads asks fault_seen after reading and before using what was read.
 * SIGBUS from anywhere else ends the process, as it does without this. */
#ifndef PREFD_SNAP_FAULT_H
#define PREFD_SNAP_FAULT_H

#include <stdbool.h>
#include <stddef.h>

/* As many as open_snapshots may be, and about as many mappings as Linux gives
 * a process (vm.max_map_count). */
enum { FAULT_MAPPINGS_MAX = 65536 };

struct fault_watch;

/* Between mmap and the first read. n > 0 bytes, both multiples of a page or
 * rounded up to one. NULL: FAULT_MAPPINGS_MAX are watched. Any thread. */
struct fault_watch *fault_watch(const void *from, size_t n);
/* After the last read and before munmap. NULL is allowed. */
void fault_unwatch(struct fault_watch *w);
/* Whether zeros may have been read, by any thread. */
bool fault_seen(const struct fault_watch *w);

#endif
