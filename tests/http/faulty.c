/* faulty.c - stands before the C library in a process under test (LD_PRELOAD)
 * and lets chosen operations fail on demand.
 *
 * Demand and answer lie in a mapped file that the test shares with the process
 * (FAULTY_CONTROL): which kinds of operation, how many of them still pass, how
 * many fail then, and with what errno. Files count from the folder on that
 * FAULTY_FOLDER names, so neither sockets nor the log are touched. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { WRITE = 1, SYNC = 2, TRUNCATE = 4, OPEN = 8, NAME = 16, READ = 32, ALLOC = 64, LATER = 128 };

/* LATER: only from the moment that a file of the folder is opened. */

/* As faulty.py sees it: little-endian, no padding. */
struct control {
	_Atomic uint32_t kinds;  /* that count; 0: all goes well */
	_Atomic int32_t error;   /* errno of a failure; 0: a write is cut short; -1: it is said to be done */
	_Atomic int64_t pass;    /* operations that still pass */
	_Atomic int64_t fail;    /* operations that fail behind them */
	_Atomic int64_t seen;    /* operations of the kinds since armed */
	_Atomic int64_t failed;  /* of these */
};

static struct control *control;
static char folder[256];

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *p, size_t n);

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("FAULTY_CONTROL"), *at = getenv("FAULTY_FOLDER");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (p == MAP_FAILED || at == NULL)
		return;
	snprintf(folder, sizeof folder, "%s", at);
	control = p;
}

static int fails(enum kind kind)
{
	struct control *c = control;

	if (c == NULL || !(atomic_load(&c->kinds) & kind) || (atomic_load(&c->kinds) & LATER))
		return 0;
	atomic_fetch_add(&c->seen, 1);
	if (atomic_fetch_sub(&c->pass, 1) > 0 || atomic_fetch_sub(&c->fail, 1) <= 0)
		return 0;
	atomic_fetch_add(&c->failed, 1);
	errno = kind == ALLOC ? ENOMEM : atomic_load(&c->error);
	return 1;
}

static int ours(const char *path)
{
	return control && strncmp(path, folder, strlen(folder)) == 0;
}

static int ours_fd(int fd)
{
	char link[64], path[512];
	ssize_t n;

	if (control == NULL || atomic_load(&control->kinds) == 0)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n > 0 ? n : 0] = '\0';
	return ours(path);
}

/* --- files ------------------------------------------------------------------------- */

/* A write that is cut short comes through with half of its bytes. */
#define WRITE_BODY(call, half) \
	if (!ours_fd(fd) || !fails(WRITE)) \
		return call; \
	if (errno == -1) \
		return (ssize_t)n; \
	return errno == 0 && n > 1 ? half : -1

ssize_t write(int fd, const void *p, size_t n)
{
	WRITE_BODY(syscall(SYS_write, fd, p, n), syscall(SYS_write, fd, p, n / 2));
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	WRITE_BODY(syscall(SYS_pwrite64, fd, p, n, at), syscall(SYS_pwrite64, fd, p, n / 2, at));
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite64(fd, p, n, at);
}

ssize_t pread64(int fd, void *p, size_t n, off64_t at)
{
	return ours_fd(fd) && fails(READ) ? -1 : syscall(SYS_pread64, fd, p, n, at);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	return pread64(fd, p, n, at);
}

int fsync(int fd)
{
	return ours_fd(fd) && fails(SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return ours_fd(fd) && fails(SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int ftruncate64(int fd, off64_t n)
{
	return ours_fd(fd) && fails(TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, n);
}

int ftruncate(int fd, off_t n)
{
	return ftruncate64(fd, n);
}

#define OPEN_BODY \
	mode_t mode = 0; \
	va_list ap; \
	va_start(ap, flags); \
	if (flags & (O_CREAT | O_TMPFILE)) \
		mode = va_arg(ap, mode_t); \
	va_end(ap); \
	if (ours(path)) \
		atomic_fetch_and(&control->kinds, ~(uint32_t)LATER); \
	if (ours(path) && fails(OPEN)) \
		return -1; \
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode)

int open64(const char *path, int flags, ...)
{
	OPEN_BODY;
}

int open(const char *path, int flags, ...)
{
	OPEN_BODY;
}

int mkostemp(char *path, int flags)
{
	static _Atomic unsigned n;

	if (ours(path) && fails(OPEN))
		return -1;
	snprintf(path + strlen(path) - 6, 7, "%06u", (unsigned)getpid() * 131 % 1000 * 1000 + atomic_fetch_add(&n, 1) % 1000);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
}

int rename(const char *from, const char *to)
{
	return ours(to) && fails(NAME) ? -1 : (int)syscall(SYS_rename, from, to);
}

int unlink(const char *path)
{
	return ours(path) && fails(NAME) ? -1 : (int)syscall(SYS_unlink, path);
}

/* --- memory ------------------------------------------------------------------------ */

void *malloc(size_t n)
{
	return fails(ALLOC) ? NULL : __libc_malloc(n);
}

void *calloc(size_t count, size_t size)
{
	return fails(ALLOC) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *p, size_t n)
{
	return fails(ALLOC) ? NULL : __libc_realloc(p, n);
}
