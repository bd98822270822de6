/* A server on the loopback answers with what the test wrote down, and keeps
 * what it was sent. Every wait in it ends after 10 s. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fetch.h"
#include "base/zip.h"

enum { REPLIES = 4 };

struct server {
	int listener, conn;
	int connections;
	char url[64];
	pthread_t thread;
	size_t count;
	struct buf replies[REPLIES]; /* an empty one: no answer at all */
	struct buf seen[REPLIES];
};

static struct server server;
static struct fetch *fetch;
static struct fetch_reply reply;
static struct err err;

/* --- the server ----------------------------------------------------------------------- */

static void limit_waits(int fd)
{
	struct timeval ten = {10, 0};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof ten);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &ten, sizeof ten);
}

static void send_all(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		s.p += n;
		s.n -= (size_t)n;
	}
}

/* Bytes that the request still lacks: those of its body, or 1 in the headers. */
static size_t lacking(struct buf *seen)
{
	const char *end, *length;
	size_t want;

	*buf_room(seen, 1) = '\0';
	if ((end = strstr(seen->p, "\r\n\r\n")) == NULL)
		return 1;
	length = strcasestr(seen->p, "\r\nContent-Length:");
	want = (size_t)(end + 4 - seen->p) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
	return want > seen->n ? want - seen->n : 0;
}

static bool read_request(int fd, struct buf *seen)
{
	bool continued = false;

	for (size_t more = 1; more > 0; more = lacking(seen)) {
		ssize_t n;

		if (!continued && seen->n > 0 && strcasestr(seen->p, "100-continue") && strstr(seen->p, "\r\n\r\n")) {
			send_all(fd, STR("HTTP/1.1 100 Continue\r\n\r\n"));
			continued = true;
		}
		n = recv(fd, buf_room(seen, 65536), 65536, 0);
		if (n <= 0)
			return false;
		seen->n += (size_t)n;
	}
	return true;
}

static void *serve(void *ctx)
{
	struct server *s = ctx;

	for (size_t i = 0; i < s->count; i++) {
		bool again = s->conn >= 0 && read_request(s->conn, &s->seen[i]);

		if (!again) {
			if (s->conn >= 0)
				close(s->conn);
			if ((s->conn = accept(s->listener, NULL, NULL)) < 0)
				return NULL;
			limit_waits(s->conn);
			s->connections++;
			if (!read_request(s->conn, &s->seen[i]))
				return NULL;
		}
		send_all(s->conn, buf_view(&s->replies[i]));
		if (s->replies[i].n > 0 && memmem(s->replies[i].p, s->replies[i].n, "Connection: close", 17)) {
			close(s->conn);
			s->conn = -1;
		}
	}
	return NULL;
}

static int open_server(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;

	(void)state;
	memset(&server, 0, sizeof server);
	server.conn = -1;
	server.listener = socket(AF_INET, SOCK_STREAM, 0);
	limit_waits(server.listener);
	if (bind(server.listener, (struct sockaddr *)&a, n) < 0 || listen(server.listener, 8) < 0 ||
	    getsockname(server.listener, (struct sockaddr *)&a, &n) < 0)
		return -1;
	snprintf(server.url, sizeof server.url, "http://127.0.0.1:%d/v1/x", ntohs(a.sin_port));
	fetch = fetch_new();
	fetch_reply_init(&reply);
	return 0;
}

static int close_server(void **state)
{
	(void)state;
	fetch_free(fetch);
	fetch_reply_release(&reply);
	if (server.conn >= 0)
		close(server.conn);
	close(server.listener);
	for (int i = 0; i < REPLIES; i++) {
		buf_release(&server.replies[i]);
		buf_release(&server.seen[i]);
	}
	return 0;
}

static void will_answer(const char *head, struct str body)
{
	struct buf *b = &server.replies[server.count++];

	buf_printf(b, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head, body.n);
	buf_str(b, body);
}

static void start(void)
{
	assert_int_equal(pthread_create(&server.thread, NULL, serve, &server), 0);
}

static void finish(void)
{
	assert_int_equal(pthread_join(server.thread, NULL), 0);
}

static int get(void)
{
	struct fetch_request q = {.method = "GET", .url = server.url, .seconds = 10};

	return fetch_do(fetch, &q, &reply, &err);
}

static const char *seen(int i)
{
	*buf_room(&server.seen[i], 1) = '\0';
	return server.seen[i].p;
}

#define BODY_IS(lit) assert_true(str_eq(buf_view(&reply.body), STR(lit)))

/* --- requests and replies ---------------------------------------------------------------- */

static void a_plain_get_without_a_proxy(void **state)
{
	(void)state;
	/* Nobody listens there: a client that heeded it would fail. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	will_answer("200 OK\r\nContent-Type: application/json; charset=utf-8", STR("{\"a\":1}"));
	start();
	assert_int_equal(get(), 0);
	finish();
	unsetenv("http_proxy");
	assert_int_equal(reply.status, 200);
	BODY_IS("{\"a\":1}");
	assert_true(str_eq(buf_view(&reply.content_type), STR("application/json; charset=utf-8")));
	assert_int_equal(reply.location.n, 0);
	assert_int_equal(reply.retry_after_seconds, -1);
	assert_int_equal(strncmp(seen(0), "GET /v1/x HTTP/1.1\r\n", 20), 0);
	assert_null(strcasestr(seen(0), "\r\nContent-Type:"));
	assert_null(strcasestr(seen(0), "\r\nContent-Length:"));
}

static void a_post_with_headers_and_bytes(void **state)
{
	static const char *const headers[] = {"Content-Type: application/x-ndjson", "Authorization: Bearer t0ken", NULL};
	struct fetch_request q = {"POST", server.url, headers, {"a\0b\r\n\r\nc", 8}, 10, false};

	(void)state;
	will_answer("201 Created\r\nLocation: /v1/snapshots/s1", STR(""));
	start();
	assert_int_equal(fetch_do(fetch, &q, &reply, &err), 0);
	finish();
	assert_int_equal(reply.status, 201);
	assert_true(str_eq(buf_view(&reply.location), STR("/v1/snapshots/s1")));
	assert_int_equal(strncmp(seen(0), "POST ", 5), 0);
	assert_non_null(strstr(seen(0), "\r\nContent-Type: application/x-ndjson\r\n"));
	assert_non_null(strstr(seen(0), "\r\nAuthorization: Bearer t0ken\r\n"));
	assert_non_null(strstr(seen(0), "\r\nContent-Length: 8\r\n"));
	assert_memory_equal(seen(0) + server.seen[0].n - 8, "a\0b\r\n\r\nc", 8);
}

static void a_large_post(void **state)
{
	size_t n = 4 << 20;
	char *body = malloc(n);
	struct fetch_request q = {"POST", server.url, NULL, {body, n}, 30, false};

	(void)state;
	memset(body, 'x', n);
	will_answer("200 OK", STR("ok"));
	start();
	assert_int_equal(fetch_do(fetch, &q, &reply, &err), 0);
	finish();
	BODY_IS("ok");
	assert_int_equal(reply.status, 200); /* not 100 */
	assert_memory_equal(server.seen[0].p + server.seen[0].n - n, body, n);
	free(body);
}

static void other_methods(void **state)
{
	static const char *const methods[] = {"PUT", "DELETE", "HEAD", "POST"};

	(void)state;
	for (int i = 0; i < 4; i++)
		will_answer("200 OK", i == 2 ? STR("") : STR("ok"));
	start();
	for (int i = 0; i < 4; i++) {
		struct fetch_request q = {methods[i], server.url, NULL, STR_NONE, 10, false};

		assert_int_equal(fetch_do(fetch, &q, &reply, &err), 0);
		assert_int_equal(reply.body.n, i == 2 ? 0 : 2);
	}
	finish();
	for (int i = 0; i < 4; i++) {
		assert_int_equal(strncmp(seen(i), methods[i], strlen(methods[i])), 0);
		assert_int_equal(strstr(seen(i), "Content-Length: 0\r\n") != NULL, i == 0 || i == 3);
		assert_null(strcasestr(seen(i), "\r\nContent-Type:"));
	}
	assert_int_equal(server.connections, 1);
}

static void one_connection_and_nothing_left_of_the_last_reply(void **state)
{
	(void)state;
	will_answer("503 Service Unavailable\r\nRetry-After: 7\r\nContent-Type: application/problem+json\r\nLocation: /l",
	            STR("{\"title\":\"Not now\"}"));
	will_answer("204 No Content", STR(""));
	start();
	assert_int_equal(get(), 0);
	assert_int_equal(reply.status, 503);
	assert_int_equal(reply.retry_after_seconds, 7);
	BODY_IS("{\"title\":\"Not now\"}");
	assert_int_equal(get(), 0);
	finish();
	assert_int_equal(reply.status, 204);
	assert_int_equal(reply.retry_after_seconds, -1);
	assert_int_equal(reply.body.n + reply.content_type.n + reply.location.n, 0);
	assert_int_equal(server.connections, 1);
}

static void redirects_are_not_followed(void **state)
{
	(void)state;
	will_answer("302 Found\r\nLocation: http://127.0.0.1:1/elsewhere", STR(""));
	start();
	assert_int_equal(get(), 0);
	finish();
	assert_int_equal(reply.status, 302);
	assert_true(str_eq(buf_view(&reply.location), STR("http://127.0.0.1:1/elsewhere")));
}

static void packed_replies(void **state)
{
	struct buf gzip = BUF_INIT, zstd = BUF_INIT;

	(void)state;
	zip_whole(CODING_GZIP, STR("packed by gzip"), &gzip);
	zip_whole(CODING_ZSTD, STR("packed by zstd"), &zstd);
	will_answer("200 OK\r\nContent-Encoding: gzip", buf_view(&gzip));
	will_answer("200 OK\r\nContent-Encoding: zstd", buf_view(&zstd));
	gzip.p[12] ^= 0x55;
	will_answer("200 OK\r\nContent-Encoding: gzip", buf_view(&gzip));
	start();
	assert_int_equal(get(), 0);
	BODY_IS("packed by gzip");
	assert_int_equal(get(), 0);
	BODY_IS("packed by zstd");
	assert_int_equal(get(), -1);
	assert_int_equal(err.problem, P_BROKEN_BODY);
	finish();
	assert_non_null(strcasestr(seen(0), "\r\nAccept-Encoding:"));
	assert_non_null(strstr(seen(0), "zstd"));
	buf_release(&gzip);
	buf_release(&zstd);
}

/* 65 MiB of zeros, packed to some hundred KiB. */
static void a_reply_beyond_the_limit(void **state)
{
	char *zeros = calloc(65, 1 << 20);
	struct buf gzip = BUF_INIT;

	(void)state;
	zip_whole(CODING_GZIP, (struct str){zeros, (size_t)65 << 20}, &gzip);
	free(zeros);
	will_answer("200 OK\r\nConnection: close\r\nContent-Encoding: gzip", buf_view(&gzip));
	start();
	assert_int_equal(get(), -1);
	finish();
	assert_int_equal(err.problem, P_TOO_LARGE);
	assert_true(reply.body.n <= FETCH_REPLY_BYTES);
	buf_release(&gzip);
}

/* --- streams ----------------------------------------------------------------------------- */

static int collect(void *ctx, const char *p, size_t n, struct err *e)
{
	(void)e;
	buf_add(ctx, p, n);
	return 0;
}

static int refuse(void *ctx, const char *p, size_t n, struct err *e)
{
	(void)p;
	(void)n;
	++*(int *)ctx;
	return err_set(e, P_STORAGE_FULL, "no room here");
}

static void a_stream_goes_to_the_callback(void **state)
{
	struct fetch_request q = {.method = "GET", .url = server.url, .seconds = 10};
	struct buf got = BUF_INIT, text = BUF_INIT;
	int calls = 0;

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_printf(&text, "{\"pair\":\"%d\"}\n", i);
	will_answer("200 OK\r\nContent-Type: application/x-ndjson", buf_view(&text));
	will_answer("410 Gone", STR("{\"title\":\"gone\"}"));
	will_answer("200 OK", STR("some text"));
	start();
	assert_int_equal(fetch_stream(fetch, &q, collect, &got, &reply, &err), 0);
	assert_true(str_eq(buf_view(&got), buf_view(&text)));
	assert_int_equal(reply.body.n, 0);
	assert_true(str_eq(buf_view(&reply.content_type), STR("application/x-ndjson")));
	/* A problem is no data. */
	buf_clear(&got);
	assert_int_equal(fetch_stream(fetch, &q, collect, &got, &reply, &err), 0);
	assert_int_equal(reply.status, 410);
	assert_int_equal(got.n, 0);
	BODY_IS("{\"title\":\"gone\"}");
	assert_int_equal(fetch_stream(fetch, &q, refuse, &calls, &reply, &err), -1);
	finish();
	assert_int_equal(calls, 1);
	assert_int_equal(err.problem, P_STORAGE_FULL);
	assert_string_equal(err.detail, "no room here");
	buf_release(&got);
	buf_release(&text);
}

/* --- what fails ----------------------------------------------------------------------------- */

static void a_reply_cut_short(void **state)
{
	(void)state;
	buf_z(&server.replies[server.count++], "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nhalf");
	start();
	assert_int_equal(get(), -1);
	finish();
	assert_int_equal(err.problem, P_UNAVAILABLE);
}

static void no_answer_within_the_seconds(void **state)
{
	struct fetch_request q = {.method = "GET", .url = server.url, .seconds = 1};
	int64_t began = clock_steady_us();

	(void)state;
	server.count = 1; /* reads, and says nothing */
	start();
	assert_int_equal(fetch_do(fetch, &q, &reply, &err), -1);
	finish();
	assert_int_equal(err.problem, P_UNAVAILABLE);
	assert_in_range(clock_steady_us() - began, 900000, 5000000);
}

static void nobody_listens(void **state)
{
	(void)state;
	close(server.listener);
	server.listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(get(), -1);
	assert_int_equal(err.problem, P_UNAVAILABLE);
	assert_non_null(strstr(err.detail, server.url));
}

static void what_is_not_sent_at_all(void **state)
{
	static const char *const urls[] = {"file:///etc/hostname", "ftp://127.0.0.1/x", "", "http://", "http://a b/",
	                                   "http://127.0.0.1:99999/"};
	static const char *const bad[] = {"no colon", ": empty", "X-A: b\r\nX-C: d", "X-A: \x7F", "X A: b", "X-A: b\n"};

	(void)state;
	for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
		struct fetch_request q = {.method = "GET", .url = urls[i], .seconds = 5};

		assert_int_equal(fetch_do(fetch, &q, &reply, &err), -1);
		assert_int_equal(err.problem, P_BAD_REQUEST);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const char *headers[] = {"X-Good: 1", bad[i], NULL};
		struct fetch_request q = {.method = "GET", .url = server.url, .headers = headers, .seconds = 5};

		assert_int_equal(fetch_do(fetch, &q, &reply, &err), -1);
		assert_int_equal(err.problem, P_BAD_REQUEST);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_server, close_server)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_get_without_a_proxy),
		TEST(a_post_with_headers_and_bytes),
		TEST(a_large_post),
		TEST(other_methods),
		TEST(one_connection_and_nothing_left_of_the_last_reply),
		TEST(redirects_are_not_followed),
		TEST(packed_replies),
		TEST(a_reply_beyond_the_limit),
		TEST(a_stream_goes_to_the_callback),
		TEST(a_reply_cut_short),
		TEST(no_answer_within_the_seconds),
		TEST(nobody_listens),
		TEST(what_is_not_sent_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
