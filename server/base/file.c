#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static int fail(struct err *e, const char *what, const char *path)
{
	enum problem p = errno == ENOSPC || errno == EDQUOT ? P_STORAGE_FULL : P_INTERNAL;

	return err_set(e, p, "cannot %s %s: %s", what, path, strerror(errno));
}

/* --- which version ------------------------------------------------------------------- */

static void mark_of(const struct stat *s, struct file_mark *m)
{
	*m = (struct file_mark){
		.device = s->st_dev,
		.inode = s->st_ino,
		.bytes = (uint64_t)s->st_size,
		.changed_ns = s->st_mtim.tv_sec * INT64_C(1000000000) + s->st_mtim.tv_nsec,
	};
}

int file_look(const char *path, struct file_mark *mark, struct err *e)
{
	struct stat s;

	*mark = (struct file_mark){0};
	if (stat(path, &s) < 0)
		return errno == ENOENT ? 0 : fail(e, "look at", path);
	mark_of(&s, mark);
	return 0;
}

bool file_same(const struct file_mark *a, const struct file_mark *b)
{
	return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes && a->changed_ns == b->changed_ns;
}

/* --- reading --------------------------------------------------------------------------- */

static int read_all(int fd, const char *path, size_t most_bytes, struct buf *out, struct err *e)
{
	ssize_t n;

	do {
		n = read(fd, buf_room(out, most_bytes - out->n + 1), most_bytes - out->n + 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(e, "read", path);
		out->n += (size_t)n;
		if (out->n > most_bytes)
			return err_set(e, P_TOO_LARGE, "%s: more than %zu bytes", path, most_bytes);
	} while (n != 0);
	return 0;
}

int file_read(const char *path, size_t most_bytes, struct buf *out, struct file_mark *mark, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat s;
	int rc;

	*mark = (struct file_mark){0};
	if (fd < 0)
		return errno == ENOENT ? 0 : fail(e, "open", path);
	rc = fstat(fd, &s) < 0 ? fail(e, "look at", path) : read_all(fd, path, most_bytes, out, e);
	if (rc == 0)
		mark_of(&s, mark);
	close(fd);
	return rc;
}

/* --- replacing ------------------------------------------------------------------------- */

static int write_all(int fd, struct str bytes)
{
	while (bytes.n > 0) {
		ssize_t n = write(fd, bytes.p, bytes.n);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			bytes.p += n;
			bytes.n -= (size_t)n;
		}
	}
	return fsync(fd);
}

/* The new name survives a power cut only once its folder was synced. */
static int sync_folder_of(const char *path, struct err *e)
{
	char dir[PATH_BYTES];
	char *slash;
	int fd, rc;

	snprintf(dir, sizeof dir, "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 || fsync(fd) < 0 ? fail(e, "sync the folder of", path) : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

int file_replace(const char *path, struct str bytes, mode_t mode, struct err *e)
{
	char part[PATH_BYTES];
	int fd, rc;

	if ((size_t)snprintf(part, sizeof part, "%s.part", path) >= sizeof part)
		return err_set(e, P_BAD_REQUEST, "the path is too long: %s", path);
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0)
		return fail(e, "make", part);
	rc = fchmod(fd, mode) < 0 || write_all(fd, bytes) < 0 ? fail(e, "write", part) : 0;
	close(fd);
	if (rc == 0 && rename(part, path) < 0)
		rc = fail(e, "rename to", path);
	if (rc < 0)
		unlink(part);
	return rc < 0 ? -1 : sync_folder_of(path, e);
}

/* --- locking ---------------------------------------------------------------------------- */

int file_lock(const char *path, int *fd, struct err *e)
{
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (*fd < 0)
		return fail(e, "open", path);
	while (flock(*fd, LOCK_EX) < 0)
		if (errno != EINTR) {
			close(*fd);
			return fail(e, "lock", path);
		}
	return 0;
}

void file_unlock(int fd)
{
	close(fd);
}
