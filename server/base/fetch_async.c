/* fetch_async.c - libcurl says which sockets and which time it waits for,
 * libuv tells it when they are there. */
#include "base/fetch_async.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>

#include "base/heap.h"
#include "base/log.h"
#include "loop_inside.h"

/* One post, while it runs. */
struct call {
	struct call *next, **at;
	struct fetches *fetches;
	CURL *curl;
	fetch_done *done;
	void *ctx;
	size_t max_bytes, header_bytes;
	bool too_large;
	struct buf body;
	char why[CURL_ERROR_SIZE];
};

/* Handles of libuv live until it has closed them, which is later than their
 * owner may. */
struct alarm {
	uv_timer_t timer; /* data: the fetches */
};
struct watched {
	uv_poll_t poll; /* data: the fetches */
	curl_socket_t fd;
};

struct fetches {
	uv_loop_t *uv;
	CURLM *multi;
	struct curl_slist *headers;
	struct alarm *alarm;
	struct call *calls;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	log_error("fetch", "cannot go on: %s", what);
	abort();
}

/* --- what comes back -------------------------------------------------------------- */

static size_t on_header(char *p, size_t size, size_t count, void *ctx)
{
	struct call *k = ctx;
	size_t n = size * count;

	(void)p;
	k->header_bytes += n;
	k->too_large = k->header_bytes > k->max_bytes;
	return k->too_large ? 0 : n;
}

static size_t on_body(char *p, size_t size, size_t count, void *ctx)
{
	struct call *k = ctx;
	size_t n = size * count;

	k->too_large = n > k->max_bytes - k->body.n;
	if (k->too_large)
		return n + 1; /* another count than what came stops the call */
	buf_add(&k->body, p, n);
	return n;
}

/* An unsupported protocol is the URL's, or what answered a request. */
static bool was_sent(const struct call *k)
{
	long bytes = 0;

	curl_easy_getinfo(k->curl, CURLINFO_REQUEST_SIZE, &bytes);
	return bytes > 0;
}

static enum fetch_end end_of(const struct call *k, CURLcode rc)
{
	if (k->too_large)
		return FETCH_TOO_LARGE;
	switch (rc) {
	case CURLE_OK:
		return FETCH_ANSWERED;
	case CURLE_OPERATION_TIMEDOUT:
		return FETCH_TIMED_OUT;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return was_sent(k) ? FETCH_CUT : FETCH_BAD_URL;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
		return FETCH_UNREACHABLE;
	default:
		return FETCH_CUT;
	}
}

static int64_t retry_after(CURL *c)
{
	struct curl_header *h;
	curl_off_t seconds = 0;

	if (curl_easy_header(c, "Retry-After", 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return -1;
	curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &seconds);
	return seconds;
}

static void call_free(struct call *k)
{
	*k->at = k->next;
	if (k->next)
		k->next->at = k->at;
	curl_multi_remove_handle(k->fetches->multi, k->curl);
	curl_easy_cleanup(k->curl);
	buf_release(&k->body);
	heap_free(k);
}

static void finish(struct call *k, CURLcode rc)
{
	struct fetch_answer a = {.end = end_of(k, rc), .retry_after_seconds = -1, .body = buf_view(&k->body)};
	long status = 0;

	if (a.end == FETCH_ANSWERED) {
		curl_easy_getinfo(k->curl, CURLINFO_RESPONSE_CODE, &status);
		a.status = (int)status;
		a.retry_after_seconds = retry_after(k->curl);
	} else {
		a.why = a.end == FETCH_TOO_LARGE ? "the answer is too large" : k->why[0] ? k->why : curl_easy_strerror(rc);
		a.body = STR("");
	}
	k->done(k->ctx, &a);
	call_free(k);
}

static void tell(struct fetches *f)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(f->multi, &left))) {
		CURLcode rc = m->data.result; /* the message goes with its handle */
		struct call *k;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&k);
		finish(k, rc);
	}
}

/* --- curl and the loop --------------------------------------------------------------- */

static void act(struct fetches *f, curl_socket_t fd, int events)
{
	int running;

	curl_multi_socket_action(f->multi, fd, events, &running);
	tell(f);
}

static void on_ready(uv_poll_t *h, int status, int events)
{
	struct watched *w = (struct watched *)h;
	int what = status < 0 ? CURL_CSELECT_ERR : 0;

	if (events & UV_READABLE)
		what |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		what |= CURL_CSELECT_OUT;
	act(h->data, w->fd, what);
}

static void free_handle(uv_handle_t *h)
{
	heap_free(h);
}

static struct watched *watched_new(struct fetches *f, curl_socket_t fd)
{
	struct watched *w = heap_zalloc(1, sizeof *w);

	w->fd = fd;
	must(uv_poll_init_socket(f->uv, &w->poll, fd) == 0, "poll");
	w->poll.data = f;
	curl_multi_assign(f->multi, fd, w);
	return w;
}

static int on_socket(CURL *c, curl_socket_t fd, int what, void *ctx, void *assigned)
{
	struct watched *w = assigned;
	struct fetches *f = ctx;
	int events = 0;

	(void)c;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			curl_multi_assign(f->multi, fd, NULL);
			uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, free_handle);
		}
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	if (w == NULL)
		w = watched_new(f, fd);
	must(uv_poll_start(&w->poll, events, on_ready) == 0, "poll");
	return 0;
}

static void on_alarm(uv_timer_t *h)
{
	act(h->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *m, long ms, void *ctx)
{
	struct fetches *f = ctx;

	(void)m;
	if (ms < 0) {
		uv_timer_stop(&f->alarm->timer);
		return 0;
	}
	uv_update_time(f->uv);
	must(uv_timer_start(&f->alarm->timer, on_alarm, (uint64_t)ms, 0) == 0, "timer");
	return 0;
}

/* --- the door ---------------------------------------------------------------------------- */

static struct curl_slist *append(struct curl_slist *list, const char *header)
{
	struct curl_slist *longer = curl_slist_append(list, header);

	must(longer != NULL, "no memory for headers");
	return longer;
}

struct fetches *fetches_new(struct loop *l)
{
	struct fetches *f = heap_zalloc(1, sizeof *f);

	f->uv = loop_uv(l);
	f->multi = curl_multi_init();
	must(f->multi != NULL, "no memory for curl");
	f->alarm = heap_zalloc(1, sizeof *f->alarm);
	must(uv_timer_init(f->uv, &f->alarm->timer) == 0, "timer");
	f->alarm->timer.data = f;
	f->headers = append(f->headers, "Content-Type: application/json");
	f->headers = append(f->headers, "Accept: application/json");
	f->headers = append(f->headers, "Expect:"); /* bodies go at once, whatever their size */
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	return f;
}

void fetches_free(struct fetches *f)
{
	if (f == NULL)
		return;
	while (f->calls)
		call_free(f->calls);
	curl_multi_cleanup(f->multi);
	curl_slist_free_all(f->headers);
	uv_timer_stop(&f->alarm->timer);
	uv_close((uv_handle_t *)&f->alarm->timer, free_handle);
	heap_free(f);
}

static void set_options(struct call *k, const struct fetch_post *q)
{
	long timeout = q->timeout_ms > 0 ? (long)q->timeout_ms : 1; /* 0 would be for ever */
	CURL *c = k->curl;

	curl_easy_setopt(c, CURLOPT_URL, q->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, timeout < FETCH_CONNECT_MS ? timeout : (long)FETCH_CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "prefd");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, k->fetches->headers);
	curl_easy_setopt(c, CURLOPT_POST, 1L);
	curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
	curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, q->body.p ? q->body.p : "");
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, k->why);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, k);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, k);
	curl_easy_setopt(c, CURLOPT_PRIVATE, k);
}

void fetches_post(struct fetches *f, const struct fetch_post *q, fetch_done *done, void *ctx)
{
	struct call *k = heap_zalloc(1, sizeof *k);

	k->fetches = f;
	k->done = done;
	k->ctx = ctx;
	k->max_bytes = q->max_bytes;
	k->curl = curl_easy_init();
	must(k->curl != NULL, "no memory for curl");
	k->next = f->calls;
	k->at = &f->calls;
	if (k->next)
		k->next->at = &k->next;
	f->calls = k;
	set_options(k, q);
	must(curl_multi_add_handle(f->multi, k->curl) == CURLM_OK, "curl takes no more");
}

/* --- URLs -------------------------------------------------------------------------------------- */

static bool has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool there = curl_url_get(u, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return there;
}

static bool scheme_taken(CURLU *u)
{
	char *text = NULL;
	bool taken = curl_url_get(u, CURLUPART_SCHEME, &text, 0) == CURLUE_OK &&
	             (strcmp(text, "http") == 0 || strcmp(text, "https") == 0);

	curl_free(text);
	return taken;
}

static int read_parts(CURLU *u, const char *url, struct buf *host, struct err *e)
{
	char *text = NULL;

	if (curl_url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &text, 0) != CURLUE_OK)
		return err_set(e, P_INVALID, "is not a URL like http://127.0.0.1:8000");
	for (const char *p = text; *p; p++)
		buf_byte(host, (char)tolower((unsigned char)*p));
	curl_free(text);
	if (!scheme_taken(u))
		return err_set(e, P_INVALID, "must begin with http:// or https://");
	if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
		return err_set(e, P_INVALID, "must not hold a user or a password");
	if (has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT))
		return err_set(e, P_INVALID, "must not hold a query or a fragment");
	return 0;
}

int url_read(struct str url, struct buf *host, struct err *e)
{
	CURLU *u = curl_url();
	struct buf z = BUF_INIT;
	int rc;

	must(u != NULL, "no memory for curl");
	buf_str(&z, url);
	buf_byte(&z, '\0');
	rc = memchr(url.p, '\0', url.n) ? err_set(e, P_INVALID, "must not hold a NUL") : read_parts(u, z.p, host, e);
	buf_release(&z);
	curl_url_cleanup(u);
	return rc;
}
