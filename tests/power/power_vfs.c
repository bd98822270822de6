#include "power_vfs.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

static const char *const suffix[POWER_FILES] = {"prefd.db", "prefd.db-wal", "prefd.db-journal"};

static struct power_log the_log;
static sqlite3_vfs *real;

struct power_file {
	sqlite3_file base;
	int id; /* -1: of no interest */
	sqlite3_file *real;
};

const char *power_file_name(int file)
{
	return suffix[file];
}

static int file_id(const char *path)
{
	const char *name = path ? strrchr(path, '/') : NULL;

	for (int i = 0; name && i < POWER_FILES; i++)
		if (strcmp(name + 1, suffix[i]) == 0)
			return i;
	return -1;
}

static void record(int file, enum power_kind kind, int64_t offset, const void *data, size_t n)
{
	struct power_log *l = &the_log;

	if (file < 0)
		return;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 1024;
		l->op = heap_realloc(l->op, l->cap * sizeof *l->op);
	}
	l->op[l->n] = (struct power_op){kind, file, offset, n, NULL};
	if (data) {
		l->op[l->n].data = heap_alloc(n);
		memcpy(l->op[l->n].data, data, n);
	}
	l->n++;
}

void power_log_clear(struct power_log *log)
{
	for (size_t i = 0; i < log->n; i++)
		heap_free(log->op[i].data);
	heap_free(log->op);
	*log = (struct power_log){0};
}

/* --- a file ------------------------------------------------------------------------ */

static struct power_file *of(sqlite3_file *f)
{
	return (struct power_file *)f;
}

static int f_close(sqlite3_file *f)
{
	return of(f)->real->pMethods->xClose(of(f)->real);
}

static int f_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at)
{
	return of(f)->real->pMethods->xRead(of(f)->real, p, n, at);
}

static int f_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	record(of(f)->id, POWER_WRITE, at, p, (size_t)n);
	return of(f)->real->pMethods->xWrite(of(f)->real, p, n, at);
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	record(of(f)->id, POWER_TRUNCATE, size, NULL, 0);
	return of(f)->real->pMethods->xTruncate(of(f)->real, size);
}

static int f_sync(sqlite3_file *f, int flags)
{
	(void)flags;
	record(of(f)->id, POWER_SYNC, 0, NULL, 0);
	return SQLITE_OK; /* nothing needs to reach this machine's disk */
}

static int f_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return of(f)->real->pMethods->xFileSize(of(f)->real, size);
}

static int f_lock(sqlite3_file *f, int level)
{
	return of(f)->real->pMethods->xLock(of(f)->real, level);
}

static int f_unlock(sqlite3_file *f, int level)
{
	return of(f)->real->pMethods->xUnlock(of(f)->real, level);
}

static int f_reserved(sqlite3_file *f, int *out)
{
	return of(f)->real->pMethods->xCheckReservedLock(of(f)->real, out);
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
	return of(f)->real->pMethods->xFileControl(of(f)->real, op, arg);
}

static int f_sector(sqlite3_file *f)
{
	return of(f)->real->pMethods->xSectorSize(of(f)->real);
}

static int f_traits(sqlite3_file *f)
{
	return of(f)->real->pMethods->xDeviceCharacteristics(of(f)->real);
}

static int f_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **out)
{
	return of(f)->real->pMethods->xShmMap(of(f)->real, region, size, extend, out);
}

static int f_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	return of(f)->real->pMethods->xShmLock(of(f)->real, offset, n, flags);
}

static void f_shm_barrier(sqlite3_file *f)
{
	of(f)->real->pMethods->xShmBarrier(of(f)->real);
}

static int f_shm_unmap(sqlite3_file *f, int delete_it)
{
	return of(f)->real->pMethods->xShmUnmap(of(f)->real, delete_it);
}

static const sqlite3_io_methods file_methods = {
	.iVersion = 2, /* no memory mapping */
	.xClose = f_close,
	.xRead = f_read,
	.xWrite = f_write,
	.xTruncate = f_truncate,
	.xSync = f_sync,
	.xFileSize = f_size,
	.xLock = f_lock,
	.xUnlock = f_unlock,
	.xCheckReservedLock = f_reserved,
	.xFileControl = f_control,
	.xSectorSize = f_sector,
	.xDeviceCharacteristics = f_traits,
	.xShmMap = f_shm_map,
	.xShmLock = f_shm_lock,
	.xShmBarrier = f_shm_barrier,
	.xShmUnmap = f_shm_unmap,
};

/* --- the VFS ------------------------------------------------------------------------- */

static int v_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
	struct power_file *p = of(f);
	int there = 0, rc;

	(void)v;
	p->id = file_id(name);
	p->real = (sqlite3_file *)(p + 1);
	p->base.pMethods = NULL;
	if (name)
		real->xAccess(real, name, SQLITE_ACCESS_EXISTS, &there);
	rc = real->xOpen(real, name, p->real, flags, out_flags);
	if (rc == SQLITE_OK) {
		p->base.pMethods = &file_methods;
		if (!there)
			record(p->id, POWER_CREATE, 0, NULL, 0);
	}
	return rc;
}

static int v_delete(sqlite3_vfs *v, const char *name, int sync_folder)
{
	(void)v;
	record(file_id(name), POWER_DELETE, 0, NULL, sync_folder != 0);
	return real->xDelete(real, name, sync_folder);
}

static int v_access(sqlite3_vfs *v, const char *name, int flags, int *out)
{
	(void)v;
	return real->xAccess(real, name, flags, out);
}

static int v_full_path(sqlite3_vfs *v, const char *name, int n, char *out)
{
	(void)v;
	return real->xFullPathname(real, name, n, out);
}

static int v_randomness(sqlite3_vfs *v, int n, char *out)
{
	(void)v;
	return real->xRandomness(real, n, out);
}

static int v_sleep(sqlite3_vfs *v, int us)
{
	(void)v;
	return real->xSleep(real, us);
}

static int v_time(sqlite3_vfs *v, double *out)
{
	(void)v;
	return real->xCurrentTime(real, out);
}

static int v_last_error(sqlite3_vfs *v, int n, char *out)
{
	(void)v;
	return real->xGetLastError(real, n, out);
}

static int v_time64(sqlite3_vfs *v, sqlite3_int64 *out)
{
	(void)v;
	return real->xCurrentTimeInt64(real, out);
}

struct power_log *power_vfs_register(void)
{
	static sqlite3_vfs vfs = {
		.iVersion = 2,
		.zName = "power",
		.xOpen = v_open,
		.xDelete = v_delete,
		.xAccess = v_access,
		.xFullPathname = v_full_path,
		.xRandomness = v_randomness,
		.xSleep = v_sleep,
		.xCurrentTime = v_time,
		.xGetLastError = v_last_error,
		.xCurrentTimeInt64 = v_time64,
	};

	real = sqlite3_vfs_find(NULL);
	vfs.szOsFile = (int)sizeof(struct power_file) + real->szOsFile;
	vfs.mxPathname = real->mxPathname;
	sqlite3_vfs_register(&vfs, 0);
	return &the_log;
}
