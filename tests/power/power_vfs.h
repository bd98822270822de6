/* power_vfs.h - an SQLite VFS that passes everything to the system's and keeps
 * a log of what would matter to a power cut: every write, truncation, sync,
 * creation and deletion, in order. One thread. */
#ifndef POWER_VFS_H
#define POWER_VFS_H

#include <stddef.h>
#include <stdint.h>

enum power_kind { POWER_CREATE, POWER_WRITE, POWER_TRUNCATE, POWER_SYNC, POWER_DELETE };

enum { POWER_FILES = 3 }; /* database, WAL, rollback journal */

struct power_op {
	enum power_kind kind;
	int file;       /* 0 … POWER_FILES - 1 */
	int64_t offset; /* of a write; the new size of a truncation */
	size_t n;       /* bytes of a write; of a deletion: 1 if the folder was synced */
	char *data;
};

struct power_log {
	struct power_op *op;
	size_t n, cap;
};

/* Makes the VFS "power" known. Returns its log. */
struct power_log *power_vfs_register(void);
void power_log_clear(struct power_log *log);
/* The name of a file inside the data folder. */
const char *power_file_name(int file);

#endif
