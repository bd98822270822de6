#include "http/httpd.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/notify.h"
#include "handlers.h"
#include "listen.h"
#include "service/audit.h"
#include "tls.h"
#include "trail.h"
#include "words.h"

enum {
	TICK_MS = 500,
	POLL_MS = 10,
	CONNECTION_MEMORY_BYTES = 32 * 1024, /* headers and a piece of the body; cleared for each request */
	LAST_WORDS_SECONDS = 2,              /* for the answers to what the stop has ended */
	LIBRARY_LINES_PER_SECOND = 5,
};

/* --- the library's calls, on its threads ---------------------------------------------- */

static void *on_line(void *ctx, const char *target, struct MHD_Connection *c)
{
	struct request *r = request_new(ctx, c, str_of(target ? target : ""));

	reaper_line(&r->h->reaper, r->watch);
	return r;
}

static enum MHD_Result result(const struct reply *reply)
{
	return reply_ok(reply) ? MHD_YES : MHD_NO;
}

/* An answer before the body is read ends the connection: so only what must not
 * or cannot be read to its end is refused here, everything else behind it. */
static bool refuse_now(const struct request *r)
{
	if (r->refused.problem == P_NONE)
		return false;
	if (r->close)
		return true;
	if (!r->body.expected)
		return false;
	return same_word(request_header(r, "Expect"), "100-continue") ||
	       (r->body.declared != UINT64_MAX && r->body.declared > body_discard_bytes(r));
}

/* The first call: the headers are there. */
static enum MHD_Result on_head(struct request *r, const char *method, const char *version)
{
	request_head(r, str_of(method), str_of(version));
	reaper_phase(&r->h->reaper, r->watch, r->body.expected ? PHASE_BODY : PHASE_WORK);
	if (!refuse_now(r))
		return MHD_YES;
	r->close = true;
	return result(reply_problem(r, &r->refused));
}

static enum MHD_Result on_body(struct request *r, const char *p, size_t n)
{
	reaper_body(r->watch, n);
	return body_feed(r, p, n) ? MHD_YES : MHD_NO;
}

/* The last call, and the first after a wait: everything is there. */
static enum MHD_Result on_end(struct request *r)
{
	reaper_phase(&r->h->reaper, r->watch, PHASE_WORK);
	return result(request_finish(r));
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n, void **request)
{
	struct request *r = *request;
	size_t bytes = *n;

	(void)ctx;
	(void)c;
	(void)url;
	*n = 0; /* every call takes all that it is given */
	if (r->state == REQUEST_LINE)
		return on_head(r, method, version);
	return bytes > 0 ? on_body(r, data, bytes) : on_end(r);
}

static void on_done(void *ctx, struct MHD_Connection *c, void **request, enum MHD_RequestTerminationCode how)
{
	struct request *r = *request;
	struct str path;

	(void)ctx;
	(void)c;
	if (r == NULL)
		return;
	path = trail_path(r);
	log_debug("http", "request=%s method=%.*s path=%.*s status=%d ended=%d us=%lld", r->id, STR_ARG(r->method),
	          STR_ARG(path), r->status, (int)how, (long long)(clock_steady_us() - r->began_us));
	reaper_phase(&r->h->reaper, r->watch, PHASE_HEAD);
	trail_leave(r);
	request_free(r);
	*request = NULL;
}

static void on_connection(void *ctx, struct MHD_Connection *c, void **socket, enum MHD_ConnectionNotificationCode what)
{
	struct httpd *h = ctx;

	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*socket = reaper_open(&h->reaper, MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
	else
		reaper_close(&h->reaper, *socket);
}

/* The library's own lines, mostly about what clients did: some of them. */
static void on_library_log(void *ctx, const char *fmt, va_list ap)
{
	struct httpd *h = ctx;
	int64_t second = clock_steady_us() / 1000000;
	char line[400];
	size_t n;

	if (atomic_exchange(&h->library_second, second) != second)
		atomic_store(&h->library_lines, 0);
	if (atomic_fetch_add(&h->library_lines, 1) >= LIBRARY_LINES_PER_SECOND)
		return;
	vsnprintf(line, sizeof line, fmt, ap);
	n = strcspn(line, "\n");
	log_info("http", "libmicrohttpd=\"%.*s\"", (int)n, line);
}

/* --- start -------------------------------------------------------------------------------- */

static void tick(void *ctx)
{
	struct httpd *h = ctx;
	int64_t now = clock_steady_us();

	waiting_tick(&h->waiting, now);
	tls_look(h->tls, false, now);
	reaper_tick(&h->reaper, now);
}

/* From the drain on nobody new comes in: a connection is closed as soon as it is
 * accepted. MHD_quiesce_daemon would be the library's way, but with epoll and a
 * pool it aborts the process when a thread takes the listening socket out of its
 * set at the same moment. */
static enum MHD_Result on_accept(void *ctx, const struct sockaddr *address, socklen_t n)
{
	struct httpd *h = ctx;

	(void)address;
	(void)n;
	return atomic_load(&h->draining) && h->passed_fd < 0 ? MHD_NO : MHD_YES;
}

static struct MHD_Daemon *start_library(struct httpd *h)
{
	const struct conf *c = h->conf;
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_callback()},
		{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
		{MHD_OPTION_END, 0, NULL},
	};

	if (h->tls)
		flags |= MHD_USE_TLS;
	else
		tls[0] = tls[2];

	/* A pool of one is what the library does without a pool. */
	return MHD_start_daemon(flags, 0, on_accept, h, on_request, h,
	                        MHD_OPTION_EXTERNAL_LOGGER, on_library_log, h,
	                        MHD_OPTION_LISTEN_SOCKET, h->listen_fd,
	                        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)(c->http_threads > 1 ? c->http_threads : 0),
	                        MHD_OPTION_CONNECTION_LIMIT, (unsigned)c->http_connections,
	                        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)c->address_connections,
	                        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)c->idle_seconds,
	                        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
	                        MHD_OPTION_URI_LOG_CALLBACK, on_line, h,
	                        MHD_OPTION_NOTIFY_COMPLETED, on_done, h,
	                        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
	                        MHD_OPTION_ARRAY, tls,
	                        MHD_OPTION_END);
}

static int check_loopback(const struct httpd *h, const struct address *a, const char *what, struct err *e)
{
	if (a->loopback || tokens_closed(service_tokens(h->service)))
		return 0;
	return err_set(e, P_BAD_REQUEST,
	               "listen: %s is not a loopback address; while no token exists prefd serves 127.0.0.1 and [::1] only; "
	               "`prefd token create` makes the first",
	               what);
}

int httpd_check(const char *listen, struct err *e)
{
	struct address a;

	return address_parse(listen, &a, e);
}

/* A handshake is part of a client's headers. */
static int open_tls(struct httpd *h, struct err *e)
{
	const struct conf *c = h->conf;

	return tls_open(&h->tls, c->tls_cert, c->tls_key, (int)(c->header_seconds + c->idle_seconds), e);
}

static int open_address(struct httpd *h, struct err *e)
{
	struct address a;

	if (notify_socket(&h->passed_fd, e) != 0)
		return -1;
	h->listen_fd = h->passed_fd;
	if (h->listen_fd >= 0) {
		address_of(h->listen_fd, &a);
		if (check_loopback(h, &a, "the service manager's socket", e) != 0)
			return -1;
	} else if (address_parse(h->conf->listen, &a, e) != 0 || check_loopback(h, &a, h->conf->listen, e) != 0 ||
	           listen_open(&a, &h->listen_fd, e) != 0) {
		return -1;
	}
	h->port = listen_name(h->listen_fd, h->tls != NULL, h->url);
	if (!a.loopback && h->tls == NULL)
		log_warn("http", "no tls_cert: beyond this machine, tokens and texts can be read on the way, "
		                 "unless something in front speaks TLS");
	return 0;
}

static void httpd_free(struct httpd *h)
{
	if (h->listen_fd >= 0)
		close(h->listen_fd);
	waiting_destroy(&h->waiting);
	reaper_destroy(&h->reaper);
	audit_close(h->audit);
	rates_free(h->rates);
	tls_close(h->tls);
	heap_free(h);
}

int httpd_start(struct httpd **out, struct service *s, struct loop *loop, struct err *e)
{
	struct httpd *h = heap_zalloc(1, sizeof *h);

	h->service = s;
	h->conf = service_conf(s);
	h->listen_fd = -1;
	atomic_init(&h->documents_left, h->conf->documents_bytes);
	atomic_init(&h->answers_left, h->conf->answers_bytes);
	waiting_init(&h->waiting, (int)h->conf->suspended_requests);
	reaper_init(&h->reaper, (int)h->conf->header_seconds, (int)h->conf->idle_seconds);
	dashboard_policy(h->page_policy, sizeof h->page_policy);
	h->rates = rates_new();
	if (audit_open(&h->audit, h->conf->data, h->conf->audit_log, e) == 0 && open_tls(h, e) == 0 &&
	    open_address(h, e) == 0) {
		h->daemon = start_library(h);
		if (h->daemon)
			h->listen_fd = -1; /* the library's own from here on */
		else
			err_set(e, P_UNAVAILABLE, "the HTTP library does not start");
	}
	if (h->daemon == NULL) {
		httpd_free(h);
		return -1;
	}
	loop_every(loop, TICK_MS, tick, h);
	*out = h;
	return 0;
}

void httpd_reload(struct httpd *h)
{
	struct err e = {0};

	if (audit_reopen(h->audit, h->conf->data, h->conf->audit_log, &e) < 0)
		log_error("http", "%s; the old one goes on", e.detail);
	tls_look(h->tls, true, clock_steady_us());
}

int httpd_port(const struct httpd *h)
{
	return h->port;
}

const char *httpd_url(const struct httpd *h)
{
	return h->url;
}

/* --- stop ----------------------------------------------------------------------------------- */

/* The library's socket is put aside where it is the service manager's: whoever
 * comes now waits in it for the next start. The library is still woken for each
 * and finds nobody, which costs a drain some CPU. It would also shut the socket
 * down at its end, for all who hold it. */
void httpd_quiesce(struct httpd *h)
{
	if (atomic_load(&h->draining))
		return;
	if (h->passed_fd >= 0)
		listen_let_go(h->passed_fd);
	atomic_store(&h->draining, true);
}

bool httpd_idle(const struct httpd *h)
{
	return atomic_load(&h->active) == 0;
}

/* The last answers leave. The loop does not turn any more, so deadlines are
 * watched here. */
static void last_words(struct httpd *h)
{
	int64_t until = clock_steady_us() + LAST_WORDS_SECONDS * INT64_C(1000000);

	while (!httpd_idle(h) && clock_steady_us() < until) {
		tick(h);
		nanosleep(&(struct timespec){0, POLL_MS * 1000000}, NULL);
	}
}

void httpd_stop(struct httpd *h)
{
	httpd_quiesce(h);
	waiting_close(&h->waiting);
	last_words(h);
	MHD_stop_daemon(h->daemon);
	httpd_free(h);
}
