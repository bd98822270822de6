#include "map.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout.h"
#include "snap/read.h"

/* Where the file has an odd length it is damaged anyway. */
static uint64_t read_tail(const struct map *m)
{
	return *(const volatile uint64_t *)(m->p + (m->length - sizeof m->tail) / SNAP_ALIGN * SNAP_ALIGN);
}

/* No advice to the kernel: batches jump about, but each jump reads a whole
 * block to check it, which the ordinary read-ahead serves best. */
static int map_file(struct map *m, int fd, struct err *e)
{
	struct stat st;
	void *p;

	if (fstat(fd, &st) < 0)
		return err_set(e, P_INTERNAL, "looking at a snapshot file: %s", strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size < SNAP_HEADER_BYTES)
		return err_set(e, P_DAMAGED, "a snapshot file is damaged: it is too short");
	m->length = (uint64_t)st.st_size;
	p = mmap(NULL, m->length, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return err_set(e, P_INTERNAL, "mapping a snapshot file: %s", strerror(errno));
	m->p = p;
	m->watch = fault_watch(p, m->length);
	if (m->watch == NULL)
		return err_set(e, P_UNAVAILABLE, "%d snapshot files are open, and there may be no more", FAULT_MAPPINGS_MAX);
	m->tail = read_tail(m);
	return 0;
}

static int open_file(const char *dir, struct str revision, struct err *e)
{
	char path[SNAP_PATH_BYTES];
	int fd;

	if (!snap_is_revision(revision))
		return err_set(e, P_UNKNOWN_SNAPSHOT, "a revision is 64 lower-case hex digits");
	snap_path(dir, revision, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(e, P_UNKNOWN_SNAPSHOT, "there is no file of this revision");
	if (fd < 0)
		return err_set(e, P_INTERNAL, "opening a snapshot file: %s", strerror(errno));
	return fd;
}

int map_open(struct map *m, const char *dir, struct str revision, struct err *e)
{
	int fd = open_file(dir, revision, e);
	int rc;

	*m = (struct map){.p = NULL};
	if (fd < 0)
		return -1;
	rc = map_file(m, fd, e);
	close(fd);
	if (rc < 0)
		map_close(m);
	return rc;
}

void map_close(struct map *m)
{
	fault_unwatch(m->watch);
	if (m->p)
		munmap((void *)(uintptr_t)m->p, m->length);
	*m = (struct map){.p = NULL};
}

/* A file that is cut short loses its end first: reading it fails then or, where
 * only a part of the last page is gone, gives zeros. So what was read from a
 * page whose own rest was cut off does not pass either. */
bool map_damaged(const struct map *m)
{
	return read_tail(m) != m->tail || fault_seen(m->watch);
}
