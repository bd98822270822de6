/* Servers on the loopback, one thread a connection, each of which behaves in
 * one way. Every wait in them ends after 10 s; a guard of 20 s fails a loop
 * that does not end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fetch_async.h"
#include "base/heap.h"

enum { CONNECTIONS = 64, HUGE_BYTES = 1 << 20, SLOW_US = 200 * 1000 };

enum manner { ECHO, SLOW, SILENT, CLOSING, CUT, HUGE, ENDLESS_HEADERS, REDIRECT, BUSY, DRIP, NO_HTTP };

struct server {
	int listener, port;
	enum manner manner;
	pthread_t thread, each[CONNECTIONS];
	int fd[CONNECTIONS];
	_Atomic int connections, requests, at_once, most_at_once;
};

static struct server server;
static struct loop *loop;
static struct fetches *fetches;

/* --- the server ------------------------------------------------------------------ */

static bool send_all(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		s.p += n;
		s.n -= (size_t)n;
	}
	return true;
}

/* The body of one request; false at the connection's end. */
static bool read_request(int fd, struct buf *seen, struct str *body)
{
	buf_clear(seen);
	for (;;) {
		const char *end, *length;
		ssize_t n;

		*buf_room(seen, 1) = '\0';
		end = seen->n > 0 ? strstr(seen->p, "\r\n\r\n") : NULL;
		length = end ? strcasestr(seen->p, "\r\nContent-Length:") : NULL;
		if (length) {
			size_t want = strtoul(length + 17, NULL, 10);

			*body = (struct str){end + 4, seen->n - (size_t)(end + 4 - seen->p)};
			if (body->n >= want)
				return true;
		}
		n = recv(fd, buf_room(seen, 65536), 65536, 0);
		if (n <= 0)
			return false;
		seen->n += (size_t)n;
	}
}

static void send_echo(int fd, struct str body)
{
	char head[128];

	snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", body.n);
	send_all(fd, str_of(head));
	send_all(fd, body);
}

static void send_pieces(int fd, const char *head, const char *piece, int pieces, useconds_t pause)
{
	bool going = send_all(fd, str_of(head));

	for (int i = 0; going && i < pieces; i++) {
		going = send_all(fd, str_of(piece));
		if (pause)
			usleep(pause);
	}
}

/* Whether the connection goes on. */
static bool behave(enum manner manner, int fd, struct str body)
{
	char byte;

	switch (manner) {
	case SLOW:
		usleep(SLOW_US);
		/* fall through */
	case ECHO:
		send_echo(fd, body);
		return true;
	case SILENT:
		return recv(fd, &byte, 1, 0) > 0; /* until the other side leaves */
	case CLOSING:
		return false;
	case CUT:
		send_all(fd, STR("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789"));
		return false;
	case HUGE:
		send_pieces(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "0123456789abcdef", HUGE_BYTES / 16, 0);
		return false;
	case ENDLESS_HEADERS:
		send_pieces(fd, "HTTP/1.1 200 OK\r\n", "X-More: 0123456789\r\n", 100000, 0);
		return false;
	case REDIRECT:
		send_all(fd, STR("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"));
		return true;
	case BUSY:
		send_all(fd, STR("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"));
		return true;
	case DRIP:
		send_pieces(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "x", 100, 20 * 1000);
		return false;
	default:
		send_all(fd, STR("SSH-2.0-OpenSSH\r\n"));
		return false;
	}
}

static void *serve_one(void *ctx)
{
	int fd = *(int *)ctx, now;
	struct buf seen = BUF_INIT;
	struct str body;

	while (read_request(fd, &seen, &body)) {
		bool on;

		atomic_fetch_add(&server.requests, 1);
		now = atomic_fetch_add(&server.at_once, 1) + 1;
		if (now > atomic_load(&server.most_at_once))
			atomic_store(&server.most_at_once, now);
		on = behave(server.manner, fd, body);
		atomic_fetch_sub(&server.at_once, 1);
		if (!on)
			break;
	}
	shutdown(fd, SHUT_RDWR);
	buf_release(&seen);
	return NULL;
}

static void *serve(void *ctx)
{
	struct timeval ten = {10, 0};

	(void)ctx;
	while (server.connections < CONNECTIONS) {
		int i = server.connections, fd = accept(server.listener, NULL, NULL);

		if (fd < 0)
			break;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof ten);
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &ten, sizeof ten);
		server.fd[i] = fd;
		pthread_create(&server.each[i], NULL, serve_one, &server.fd[i]);
		server.connections++;
	}
	return NULL;
}

static int open_listener(int *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t n = sizeof a;

	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(listen(fd, CONNECTIONS), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void start(enum manner manner)
{
	server.manner = manner;
	pthread_create(&server.thread, NULL, serve, NULL);
}

static void guard(void *ctx)
{
	(void)ctx;
	fail_msg("the loop did not end");
}

static int setup(void **state)
{
	(void)state;
	memset(&server, 0, sizeof server);
	server.listener = open_listener(&server.port);
	loop = loop_new();
	loop_every(loop, 20000, guard, NULL);
	fetches = fetches_new(loop);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fetches_free(fetches);
	loop_free(loop);
	shutdown(server.listener, SHUT_RDWR);
	if (server.thread)
		pthread_join(server.thread, NULL);
	for (int i = 0; i < server.connections; i++) {
		shutdown(server.fd[i], SHUT_RDWR);
		pthread_join(server.each[i], NULL);
		close(server.fd[i]);
	}
	close(server.listener);
	return 0;
}

/* --- posts --------------------------------------------------------------------------- */

struct got {
	enum fetch_end end;
	int status, calls;
	int64_t retry_after;
	struct buf body;
	char why[200];
};

static int left; /* answers that the loop waits for */

static void keep(void *ctx, const struct fetch_answer *a)
{
	struct got *g = ctx;

	g->calls++;
	g->end = a->end;
	g->status = a->status;
	g->retry_after = a->retry_after_seconds;
	buf_str(&g->body, a->body);
	snprintf(g->why, sizeof g->why, "%s", a->why ? a->why : "");
	if (--left == 0)
		loop_stop(loop);
}

static void post_to(int port, const char *body, uint32_t timeout_ms, size_t max, struct got *g)
{
	char url[64];
	struct fetch_post q = {url, str_of(body), timeout_ms, max};

	snprintf(url, sizeof url, "http://127.0.0.1:%d/v1/x", port);
	*g = (struct got){.end = FETCH_BAD_URL};
	left++;
	fetches_post(fetches, &q, keep, g);
	assert_int_equal(g->calls, 0);
	memset(url, '#', sizeof url - 1); /* it was copied */
}

/* One post, to its end. */
static struct got get(enum manner manner, uint32_t timeout_ms, size_t max)
{
	struct got g;

	start(manner);
	post_to(server.port, "{\"a\":1}", timeout_ms, max, &g);
	loop_run(loop);
	assert_int_equal(g.calls, 1);
	return g;
}

static void fails(enum manner manner, enum fetch_end end)
{
	struct got g = get(manner, 5000, 65536);

	assert_int_equal(g.end, end);
	assert_int_equal(g.status, 0);
	assert_int_equal(g.body.n, 0);
	assert_true(g.why[0] != '\0');
	buf_release(&g.body);
}

static void headers_count_too(void **state)
{
	struct got g = get(ECHO, 5000, 7);

	(void)state;
	assert_int_equal(g.end, FETCH_TOO_LARGE); /* its headers are longer than 7 bytes */
	buf_release(&g.body);
}

static void an_answer_is_whole(void **state)
{
	struct got g = get(ECHO, 5000, 64);

	(void)state;
	assert_int_equal(g.end, FETCH_ANSWERED);
	assert_int_equal(g.status, 200);
	assert_int_equal(g.retry_after, -1);
	assert_int_equal(g.body.n, 7);
	assert_memory_equal(g.body.p, "{\"a\":1}", 7);
	buf_release(&g.body);
}

static void a_status_is_an_answer(void **state)
{
	struct got g = get(BUSY, 5000, 65536);

	(void)state;
	assert_int_equal(g.end, FETCH_ANSWERED);
	assert_int_equal(g.status, 429);
	assert_int_equal(g.retry_after, 7);
	assert_int_equal(g.body.n, 4);
	buf_release(&g.body);
}

static void a_redirect_is_not_followed(void **state)
{
	struct got g = get(REDIRECT, 5000, 65536);

	(void)state;
	assert_int_equal(g.end, FETCH_ANSWERED);
	assert_int_equal(g.status, 307);
	assert_int_equal(server.requests, 1);
}

static void silence_ends_with_the_timeout(void **state)
{
	int64_t began = clock_steady_us();
	struct got g = get(SILENT, 300, 65536);
	int64_t took = clock_steady_us() - began;

	(void)state;
	assert_int_equal(g.end, FETCH_TIMED_OUT);
	assert_true(took >= 290 * 1000 && took < 5 * 1000 * 1000);
}

static void the_timeout_is_of_the_whole(void **state)
{
	struct got g = get(DRIP, 300, 65536);

	(void)state;
	assert_int_equal(g.end, FETCH_TIMED_OUT);
	assert_int_equal(g.body.n, 0);
}

static void what_is_no_answer_is_said(void **state)
{
	(void)state;
	fails(CLOSING, FETCH_CUT);
}

static void a_cut_answer_is_none(void **state)
{
	(void)state;
	fails(CUT, FETCH_CUT);
}

static void another_protocol_is_no_answer(void **state)
{
	(void)state;
	fails(NO_HTTP, FETCH_CUT);
}

static void a_body_has_a_limit(void **state)
{
	(void)state;
	fails(HUGE, FETCH_TOO_LARGE);
}

static void headers_have_a_limit(void **state)
{
	(void)state;
	fails(ENDLESS_HEADERS, FETCH_TOO_LARGE);
}

static void a_closed_port_is_unreachable(void **state)
{
	int port, fd = open_listener(&port);
	struct got g;

	(void)state;
	close(fd);
	post_to(port, "", 5000, 65536, &g);
	loop_run(loop);
	assert_int_equal(g.end, FETCH_UNREACHABLE);
	assert_true(g.why[0] != '\0');
}

static void other_schemes_are_bad_urls(void **state)
{
	static const char *const url[] = {"ftp://127.0.0.1/", "file:///etc/hostname", "::", ""};
	struct got g[4] = {0};

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct fetch_post q = {url[i], STR("{}"), 5000, 65536};

		left++;
		fetches_post(fetches, &q, keep, &g[i]);
	}
	loop_run(loop);
	for (int i = 0; i < 4; i++)
		assert_int_equal(g[i].end, FETCH_BAD_URL);
}

static void many_go_side_by_side(void **state)
{
	struct got g[32];
	char body[32][32];
	int64_t began;

	(void)state;
	start(SLOW);
	began = clock_steady_us();
	for (int i = 0; i < 32; i++) {
		snprintf(body[i], sizeof body[i], "{\"n\":%d}", i);
		post_to(server.port, body[i], 10000, 65536, &g[i]);
	}
	loop_run(loop);
	/* One after another they would take 32 · 0.2 s = 6.4 s. */
	assert_true(clock_steady_us() - began < 3 * 1000 * 1000);
	assert_true(server.most_at_once > 8);
	for (int i = 0; i < 32; i++) {
		assert_int_equal(g[i].end, FETCH_ANSWERED);
		assert_int_equal(g[i].body.n, strlen(body[i]));
		assert_memory_equal(g[i].body.p, body[i], g[i].body.n);
		buf_release(&g[i].body);
	}
}

/* --- one after another ------------------------------------------------------------------- */

struct chain {
	int links;
	struct got got;
};

static void next_link(void *ctx, const struct fetch_answer *a)
{
	struct chain *c = ctx;

	assert_int_equal(a->end, FETCH_ANSWERED);
	if (--c->links > 0) {
		char url[64];
		struct fetch_post q = {url, STR("{}"), 5000, 65536};

		snprintf(url, sizeof url, "http://127.0.0.1:%d/", server.port);
		fetches_post(fetches, &q, next_link, c);
		return;
	}
	keep(&c->got, a);
	buf_release(&c->got.body);
}

static void a_done_may_post_and_connections_stay(void **state)
{
	char url[64];
	struct chain c = {.links = 50};
	struct fetch_post q = {url, STR("{}"), 5000, 65536};

	(void)state;
	start(ECHO);
	left = 1;
	snprintf(url, sizeof url, "http://127.0.0.1:%d/", server.port);
	fetches_post(fetches, &q, next_link, &c);
	loop_run(loop);
	assert_int_equal(server.requests, 50);
	assert_int_equal(server.connections, 1);
}

static void stop_dropped(void *ctx)
{
	fetches_free(fetches);
	fetches = NULL;
	*(bool *)ctx = true;
	loop_stop(loop);
}

static void what_is_freed_is_never_told(void **state)
{
	struct got g[8];
	bool freed = false;

	(void)state;
	start(SILENT);
	for (int i = 0; i < 8; i++)
		post_to(server.port, "{}", 10000, 65536, &g[i]);
	loop_after(loop, 150, stop_dropped, &freed);
	loop_run(loop);
	assert_true(freed);
	for (int i = 0; i < 8; i++)
		assert_int_equal(g[i].calls, 0);
	left = 0;
}

static void a_stopped_loop_lets_them_end(void **state)
{
	struct got g;

	(void)state;
	start(SLOW);
	post_to(server.port, "{}", 10000, 65536, &g);
	loop_stop(loop);
	loop_run(loop);
	assert_int_equal(g.calls, 1);
	assert_int_equal(g.end, FETCH_ANSWERED);
	buf_release(&g.body);
}

/* --- alarms ---------------------------------------------------------------------------------- */

static void note(void *ctx)
{
	*(int64_t *)ctx = clock_steady_us();
	if (--left == 0)
		loop_stop(loop);
}

static void an_alarm_comes_once_and_not_early(void **state)
{
	int64_t began = clock_steady_us(), at[3] = {0}, never = 0;

	(void)state;
	left = 3;
	loop_after(loop, 120, note, &at[0]);
	loop_after(loop, 40, note, &at[1]);
	loop_after(loop, 0, note, &at[2]);
	loop_after(loop, 15000, note, &never);
	loop_run(loop);
	assert_true(at[0] - began >= 119 * 1000);
	assert_true(at[1] - began >= 39 * 1000 && at[1] < at[0]);
	assert_true(at[2] != 0 && at[2] < at[1]);
	assert_int_equal(never, 0);
	loop_after(loop, 0, note, &never); /* after the stop: never */
	loop_run(loop);
	assert_int_equal(never, 0);
}

/* --- URLs --------------------------------------------------------------------------------------- */

static void assert_host(const char *url, const char *host)
{
	struct buf b = BUF_INIT;
	struct err e = {0};

	assert_int_equal(url_read(str_of(url), &b, &e), 0);
	assert_int_equal(b.n, strlen(host));
	assert_memory_equal(b.p, host, b.n);
	buf_release(&b);
}

static void hosts_are_read_as_curl_reads_them(void **state)
{
	(void)state;
	assert_host("http://127.0.0.1:8000", "127.0.0.1");
	assert_host("https://Engine.Example:8000/proxy/", "engine.example");
	assert_host("HTTP://LOCALHOST", "localhost");
	assert_host("http://[::1]:30000", "[::1]");
	/* Short and whole-number forms of the same address. */
	assert_host("http://127.1/", "127.0.0.1");
	assert_host("http://2130706433/", "127.0.0.1");
	assert_host("http://127.0.0.1.evil.example/", "127.0.0.1.evil.example");
}

static void urls_hold_nothing_else(void **state)
{
	static const char *const bad[] = {
		"", "x", "127.0.0.1:8000", "ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/",
		"http://127.0.0.1@evil.example/", "http://u:p@127.0.0.1/", "http://127.0.0.1/?a=1",
		"http://127.0.0.1/#a", "http://127.0.0.1:99999/", "http:// 127.0.0.1/", "http://127.0.0.1/\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct buf b = BUF_INIT;
		struct err e = {0};

		if (url_read(str_of(bad[i]), &b, &e) == 0)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(e.problem, P_INVALID);
		buf_release(&b);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(headers_count_too),
		T(an_answer_is_whole),
		T(a_status_is_an_answer),
		T(a_redirect_is_not_followed),
		T(silence_ends_with_the_timeout),
		T(the_timeout_is_of_the_whole),
		T(what_is_no_answer_is_said),
		T(a_cut_answer_is_none),
		T(another_protocol_is_no_answer),
		T(a_body_has_a_limit),
		T(headers_have_a_limit),
		T(a_closed_port_is_unreachable),
		T(other_schemes_are_bad_urls),
		T(many_go_side_by_side),
		T(a_done_may_post_and_connections_stay),
		T(what_is_freed_is_never_told),
		T(a_stopped_loop_lets_them_end),
		T(an_alarm_comes_once_and_not_early),
		cmocka_unit_test(hosts_are_read_as_curl_reads_them),
		cmocka_unit_test(urls_hold_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
