#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	READ_BYTES = 64 * 1024,
	GRACE_MS = 10 * 1000,   /* after the end of its input */
	SIGNALLED_MS = 5 * 1000, /* after SIGTERM */
	POLL_MS = 10,
};

/* --- starting ------------------------------------------------------------------------ */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* In the new process: only what is safe between fork and exec. */
static void become(const char *command, int in, int out)
{
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) {
		close_range(STDERR_FILENO + 1, ~0U, 0);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	}
	_exit(127);
}

int child_start(struct child *c, const char *command, struct err *e)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	pid_t pid = -1;

	*c = CHILD_NONE;
	if (pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0)
		pid = fork();
	if (pid == 0)
		become(command, in[0], out[1]);
	if (pid < 0) {
		err_set(e, P_INTERNAL, "the command cannot be started: %s", strerror(errno));
		close_fd(&in[1]);
		close_fd(&out[0]);
	} else {
		setpgid(pid, pid); /* here too: whoever comes first */
		*c = (struct child){pid, in[1], out[0]};
		fcntl(c->in, F_SETFL, O_NONBLOCK);
		fcntl(c->out, F_SETFL, O_NONBLOCK);
	}
	close_fd(&in[0]);
	close_fd(&out[1]);
	return pid < 0 ? -1 : 0;
}

/* --- talking ------------------------------------------------------------------------- */

void child_wait(const struct child *c, bool more, int ms)
{
	struct pollfd fds[2] = {{c->out, POLLIN, 0}, {more ? c->in : -1, POLLOUT, 0}};

	poll(fds, 2, ms); /* negative descriptors are passed over */
}

size_t child_write(struct child *c, const char *p, size_t n)
{
	ssize_t done = c->in >= 0 ? write(c->in, p, n) : 0;

	if (done < 0 && errno != EAGAIN && errno != EINTR)
		close_fd(&c->in);
	return done > 0 ? (size_t)done : 0;
}

void child_read(struct child *c, struct buf *out)
{
	ssize_t got = c->out >= 0 ? read(c->out, buf_room(out, READ_BYTES), READ_BYTES) : 0;

	if (got > 0)
		out->n += (size_t)got;
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(&c->out);
}

void child_close_input(struct child *c)
{
	close_fd(&c->in);
}

/* --- ending -------------------------------------------------------------------------- */

/* Whether it ended within ms. */
static bool reaped(struct child *c, int ms, int *status)
{
	const struct timespec pause = {0, POLL_MS * 1000000};

	for (int waited = 0;; waited += POLL_MS) {
		pid_t pid = waitpid(c->pid, status, WNOHANG);

		if (pid != 0)
			return pid == c->pid;
		if (waited >= ms)
			return false;
		nanosleep(&pause, NULL);
	}
}

void child_end(struct child *c, bool at_once, char how[CHILD_HOW_BYTES])
{
	int status = 0;
	bool over;

	how[0] = '\0';
	close_fd(&c->in);
	close_fd(&c->out);
	if (c->pid == 0)
		return;
	over = !at_once && reaped(c, GRACE_MS, &status);
	if (!over) {
		kill(-c->pid, SIGTERM);
		over = reaped(c, SIGNALLED_MS, &status);
	}
	if (!over) {
		kill(-c->pid, SIGKILL);
		waitpid(c->pid, &status, 0);
	}
	if (WIFSIGNALED(status))
		snprintf(how, CHILD_HOW_BYTES, "signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		snprintf(how, CHILD_HOW_BYTES, "status %d", WEXITSTATUS(status));
	*c = CHILD_NONE;
}
