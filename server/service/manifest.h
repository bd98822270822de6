/* manifest.h - what a backup says of itself: manifest.json, its last file. */
#ifndef PREFD_SERVICE_MANIFEST_H
#define PREFD_SERVICE_MANIFEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "copies.h"

enum { MANIFEST_VERSION = 1, MANIFEST_BYTES_MAX = 256 << 20 };
#define MANIFEST_FILE "manifest.json"
#define DATABASE_FILE "prefd.db"
#define TOKENS_FILE "tokens.json"
#define SNAPSHOTS_DIR "snapshots"

struct manifest_file {
	struct str name; /* in the backup's folder */
	struct content content;
};

struct manifest {
	struct str text; /* as it stands in the file */
	int64_t schema;
	struct manifest_file *file;
	size_t files;
};

/* Writing: begin, datasets, files, end; into a buffer. */
struct manifest_writer {
	struct buf text;
	bool files; /* datasets are over */
};
void manifest_begin(struct manifest_writer *w, int64_t now_us, int schema);
void manifest_dataset(struct manifest_writer *w, struct str name, int64_t seq);
void manifest_file(struct manifest_writer *w, struct str name, const struct content *c);
void manifest_end(struct manifest_writer *w);

/* Of the backup in dir; all in the arena. P_UNKNOWN_BACKUP: there is none;
 * P_CONFLICT: a newer prefd made it; P_INTERNAL: it is not what prefd writes, or
 * names other files than a backup has. */
int manifest_read(struct arena *a, const char *dir, struct manifest *m, struct err *e);

#endif
