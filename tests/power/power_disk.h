/* power_disk.h - what a power cut leaves of a log of operations.
 *
 * Synced is there. Of what was not synced yet, any 512-byte sectors of any
 * writes may be, in any combination: later ones without earlier ones, half a
 * page, half a frame. A file that was never synced may not exist. */
#ifndef POWER_DISK_H
#define POWER_DISK_H

#include "base/buf.h"
#include "power_vfs.h"

struct power_disk {
	struct buf durable[POWER_FILES];
	int exists[POWER_FILES];
	const struct power_op **pending; /* since the last sync of their file, in order */
	size_t n, cap;
};

struct power_rng {
	uint64_t state; /* not 0 */
};
uint64_t power_draw(struct power_rng *r, uint64_t n);

void power_disk_release(struct power_disk *d);
/* One more operation happened. */
void power_disk_step(struct power_disk *d, const struct power_op *op);
/* The power fails now: writes the files that are left into the folder. */
void power_disk_cut(const struct power_disk *d, struct power_rng *r, const char *folder);

#endif
