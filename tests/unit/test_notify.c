#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"
#include "folder_kit.h"

enum { PASSED_FD = 3 }; /* the protocol's */

static char dir[] = "/tmp/prefd_notify_XXXXXX";

/* --- the manager's end ---------------------------------------------------------------- */

/* A datagram socket bound to the path, or behind an @ to the abstract name. */
static int manager_at(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	size_t n = strlen(name);

	assert_true(fd >= 0 && n < sizeof a.sun_path);
	memcpy(a.sun_path, name, n);
	if (name[0] == '@')
		a.sun_path[0] = '\0';
	assert_int_equal(bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)), 0);
	return fd;
}

static const char *heard(int fd)
{
	static char text[2048];
	ssize_t n = recv(fd, text, sizeof text - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void to_a_path(void **state)
{
	char name[64];
	int fd;

	(void)state;
	snprintf(name, sizeof name, "%s/notify", dir);
	fd = manager_at(name);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_send("READY=1\nSTATUS=listening on %s", "http://127.0.0.1:80"), 1);
	assert_string_equal(heard(fd), "READY=1\nSTATUS=listening on http://127.0.0.1:80");
	assert_int_equal(notify_send("WATCHDOG=1"), 1);
	assert_int_equal(notify_send("STOPPING=1"), 1);
	assert_string_equal(heard(fd), "WATCHDOG=1");
	assert_string_equal(heard(fd), "STOPPING=1");
	close(fd);
	/* The manager went away: said, and no signal. */
	assert_int_equal(notify_send("WATCHDOG=1"), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

static void to_an_abstract_name(void **state)
{
	char name[64];
	int fd;

	(void)state;
	snprintf(name, sizeof name, "@%s", dir);
	fd = manager_at(name);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_send("READY=1"), 1);
	assert_string_equal(heard(fd), "READY=1");
	close(fd);
}

static void to_nobody(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_send("READY=1"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_send("READY=1"), 0);
}

static void wrong_names_and_too_long_lines(void **state)
{
	char name[200];

	(void)state;
	setenv("NOTIFY_SOCKET", "relative/path", 1);
	assert_int_equal(notify_send("READY=1"), -1);
	assert_int_equal(errno, EINVAL);
	setenv("NOTIFY_SOCKET", "@", 1);
	assert_int_equal(notify_send("READY=1"), -1);
	memset(name, 'x', sizeof name - 1); /* a path holds 108 bytes */
	name[0] = '/';
	name[sizeof name - 1] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_send("READY=1"), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(notify_send("STATUS=%1000d", 1), -1);
	assert_int_equal(errno, EMSGSIZE);
	unsetenv("NOTIFY_SOCKET");
}

static void the_watchdogs_interval(void **state)
{
	char pid[32];

	(void)state;
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(notify_watchdog_us(), 0);
	setenv("WATCHDOG_USEC", "3000000", 1);
	assert_int_equal(notify_watchdog_us(), 3000000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_us(), 0); /* another process is watched */
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_us(), 3000000);
	for (int i = 0; i < 5; i++) {
		setenv("WATCHDOG_USEC", (const char *const[]){"", "-5", "5s", "99999999999999999999", " 5"}[i], 1);
		assert_int_equal(notify_watchdog_us(), 0);
	}
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* --- a socket that the manager passes ----------------------------------------------------- */

static int tcp(bool listening)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	if (listening)
		assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* Puts fd (and nothing else) in the protocol's place, as `count` sockets for `pid`. */
static void pass(int fd, int pid, const char *count)
{
	char text[32];

	if (fd != PASSED_FD) {
		assert_int_equal(dup2(fd, PASSED_FD), PASSED_FD);
		close(fd);
	}
	snprintf(text, sizeof text, "%d", pid);
	setenv("LISTEN_PID", text, 1);
	setenv("LISTEN_FDS", count, 1);
	setenv("LISTEN_FDNAMES", "prefd.socket", 1);
}

static void no_variable_is_left(void)
{
	assert_null(getenv("LISTEN_PID"));
	assert_null(getenv("LISTEN_FDS"));
	assert_null(getenv("LISTEN_FDNAMES"));
}

static void a_listening_socket_is_taken(void **state)
{
	struct err e = {0};
	int fd = 0;

	(void)state;
	pass(tcp(true), (int)getpid(), "1");
	assert_int_equal(notify_socket(&fd, &e), 0);
	assert_int_equal(fd, PASSED_FD);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	no_variable_is_left();
	/* Once. */
	assert_int_equal(notify_socket(&fd, &e), 0);
	assert_int_equal(fd, -1);
	close(PASSED_FD);
}

static void anothers_socket_is_let_be(void **state)
{
	struct err e = {0};
	int fd = 0;

	(void)state;
	pass(tcp(true), (int)getppid(), "1");
	assert_int_equal(notify_socket(&fd, &e), 0);
	assert_int_equal(fd, -1);
	no_variable_is_left();
	close(PASSED_FD);
}

static void refused(int fd, const char *count, const char *said)
{
	struct err e = {0};
	int got = 0;

	pass(fd, (int)getpid(), count);
	assert_int_equal(notify_socket(&got, &e), -1);
	assert_int_equal(e.problem, P_BAD_REQUEST);
	assert_string_equal(e.detail, said);
	assert_int_equal(got, -1);
	no_variable_is_left();
	close(PASSED_FD);
}

static void what_is_no_socket_to_listen_on(void **state)
{
	static const char no_socket[] = "the service manager passed no listening TCP socket";
	char name[64];

	(void)state;
	refused(open("/dev/null", O_RDONLY), "1", no_socket);
	refused(tcp(false), "1", no_socket);
	refused(socket(AF_INET, SOCK_DGRAM, 0), "1", no_socket);
	snprintf(name, sizeof name, "%s/datagrams", dir);
	refused(manager_at(name), "1", no_socket);
	refused(tcp(true), "2", "the service manager passed 2 sockets; prefd takes one");
	refused(tcp(true), "0", "the service manager passed 0 sockets; prefd takes one");
	refused(tcp(true), "many", "the service manager passed 0 sockets; prefd takes one");
}

static int set_up(void **state)
{
	(void)state;
	/* The protocol's descriptor must be free for the tests. */
	return mkdtemp(dir) && fcntl(PASSED_FD, F_GETFD) < 0 ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return folder_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(to_a_path),
		cmocka_unit_test(to_an_abstract_name),
		cmocka_unit_test(to_nobody),
		cmocka_unit_test(wrong_names_and_too_long_lines),
		cmocka_unit_test(the_watchdogs_interval),
		cmocka_unit_test(a_listening_socket_is_taken),
		cmocka_unit_test(anothers_socket_is_let_be),
		cmocka_unit_test(what_is_no_socket_to_listen_on),
	};

	close(PASSED_FD); /* whatever the runner left open there */
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
