/* resume.h - how far an import came, in a small file of the user's.
 *
 * ${XDG_STATE_HOME:-~/.local/state}/prefd/import-<place>-<import>, two hashes:
 * of the file and where it goes, and of all that makes it the same import. It only saves time: posting rows again is harmless,
 * so a file that cannot be read or written is no error. */
#ifndef PREFD_CLI_RESUME_H
#define PREFD_CLI_RESUME_H

#include <stdint.h>
#include "base/buf.h"
#include "base/hash.h"

struct resume {
	char path[4096]; /* "": progress is not kept */
};

struct resume_point {
	uint64_t rows;     /* done, from the source's beginning */
	uint64_t rejected; /* of these */
};

/* parts: everything that makes it the same import; the first `place` of them say
 * what goes where, whatever the file holds now. */
void resume_init(struct resume *r, const struct str *parts, size_t place, size_t n);
/* Zeros when there is nothing to go on from. */
struct resume_point resume_load(const struct resume *r);
void resume_save(const struct resume *r, struct resume_point at);
/* All of the same place: what is left of the file's former contents too. */
void resume_forget(const struct resume *r);

#endif
