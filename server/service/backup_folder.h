/* backup_folder.h - a backup while it is made.
 *
 *     <folder>/.lock                  held by whoever makes one
 *     <folder>/.unfinished-<name>/    until all of it is on the disk
 *     <folder>/<name>/                whole, from one rename on
 *         prefd.db                    the database as at one commit, without a log
 *         snapshots/<revision>.snap   those of the ready snapshots that were sound
 *         tokens.json                 if there is one: hashes, no token
 *         manifest.json               what it holds: lengths and SHA-256
 *
 * What was cut short is swept by the next one. One thread at a time. */
#ifndef PREFD_SERVICE_BACKUP_FOLDER_H
#define PREFD_SERVICE_BACKUP_FOLDER_H

#include "manifest.h"

struct backup_folder {
	const char *data; /* the data folder */
	const _Atomic bool *stop;
	_Atomic int64_t *bytes; /* grows with what is copied */
	char folder[COPY_PATH_BYTES], part[COPY_PATH_BYTES], whole[COPY_PATH_BYTES];
	char database[COPY_PATH_BYTES]; /* where the database is copied to, between begin and finish */
	struct manifest_writer manifest;
	int lock_fd;
	bool begun;
};

/* data, folder, stop, bytes are set. P_CONFLICT: another one is made there, or
 * one of this name is there. */
int backup_folder_begin(struct backup_folder *b, struct str name, struct err *e);
/* The database is whole at b->database: adds the rest and gives it its name. */
int backup_folder_finish(struct backup_folder *b, struct err *e);
/* Always, after begin: what is not whole goes. */
void backup_folder_end(struct backup_folder *b);

#endif
