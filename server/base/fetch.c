#include "base/fetch.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#include "base/heap.h"
#include "base/log.h"

struct fetch {
	CURL *curl;
	char why[CURL_ERROR_SIZE];
	const char *authorities; /* NULL: the system's */
	struct buf bearer; /* the whole header, with a NUL; empty: none */
};

/* One call, while it runs. */
struct call {
	struct fetch *fetch;
	const struct fetch_request *request;
	struct fetch_reply *reply;
	fetch_body_fn *body; /* NULL: into the reply */
	void *ctx;
	struct err *e;
	int stopped; /* what the callback returned, or -1 for a limit */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	log_error("fetch", "no memory for %s", what);
	abort();
}

struct fetch *fetch_new(void)
{
	struct fetch *f = heap_zalloc(1, sizeof *f);

	f->curl = curl_easy_init();
	must(f->curl != NULL, "curl");
	return f;
}

void fetch_free(struct fetch *f)
{
	if (f == NULL)
		return;
	curl_easy_cleanup(f->curl);
	buf_release(&f->bearer);
	heap_free(f);
}

void fetch_bearer(struct fetch *f, struct str token)
{
	buf_clear(&f->bearer);
	buf_printf(&f->bearer, "Authorization: Bearer %.*s", STR_ARG(token));
	buf_byte(&f->bearer, '\0');
}

void fetch_authorities(struct fetch *f, const char *path)
{
	f->authorities = path;
}

void fetch_reply_init(struct fetch_reply *r)
{
	memset(r, 0, sizeof *r);
	r->retry_after_seconds = -1;
}

void fetch_reply_release(struct fetch_reply *r)
{
	buf_release(&r->content_type);
	buf_release(&r->location);
	buf_release(&r->body);
	fetch_reply_init(r);
}

static void clear_reply(struct fetch_reply *r)
{
	r->status = 0;
	r->retry_after_seconds = -1;
	buf_clear(&r->content_type);
	buf_clear(&r->location);
	buf_clear(&r->body);
}

/* --- what goes out ------------------------------------------------------------------- */

/* A name, a colon, a value without control characters: nothing that could
 * begin a header of its own. */
static bool good_header(const char *h)
{
	const char *colon = strchr(h, ':');

	if (colon == NULL || colon == h)
		return false;
	for (const char *p = h; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127 || (p < colon && *p == ' '))
			return false;
	return true;
}

static struct curl_slist *append(struct curl_slist *list, const char *header)
{
	struct curl_slist *longer = curl_slist_append(list, header);

	must(longer != NULL, "headers");
	return longer;
}

static int make_headers(const struct fetch *f, const struct fetch_request *q, struct curl_slist **list, struct err *e)
{
	bool typed = false;

	*list = NULL;
	if (f->bearer.n > 0 && !good_header(f->bearer.p))
		return err_set(e, P_BAD_REQUEST, "the token holds what no header may");
	if (f->bearer.n > 0)
		*list = append(*list, f->bearer.p);
	for (const char *const *h = q->headers; h && *h; h++) {
		if (!good_header(*h))
			return err_set(e, P_BAD_REQUEST, "a header must be 'Name: value' without control characters");
		typed = typed || strncasecmp(*h, "content-type:", 13) == 0;
		*list = append(*list, *h);
	}
	/* Without a type of ours curl would call every body a form. */
	if (!typed)
		*list = append(*list, "Content-Type:");
	return 0;
}

static void set_method(CURL *c, const struct fetch_request *q)
{
	bool posts = strcmp(q->method, "POST") == 0 || strcmp(q->method, "PUT") == 0;

	if (q->body.p || posts) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body.p ? q->body.p : "");
	}
	if (strcmp(q->method, "HEAD") == 0)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	else
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

/* --- what comes back ------------------------------------------------------------------ */

static bool is_success(int status)
{
	return status >= 200 && status <= 299;
}

static int keep_piece(struct call *k, const char *p, size_t n)
{
	if (n > FETCH_REPLY_BYTES - k->reply->body.n)
		return err_set(k->e, P_TOO_LARGE, "%s: the reply is more than %d bytes", k->request->url, FETCH_REPLY_BYTES);
	buf_add(&k->reply->body, p, n);
	return 0;
}

/* curl's callback: another count than what came stops the call. */
static size_t on_body(char *p, size_t size, size_t count, void *ctx)
{
	struct call *k = ctx;
	size_t n = size * count;
	long status = 0;

	curl_easy_getinfo(k->fetch->curl, CURLINFO_RESPONSE_CODE, &status);
	if (k->body && is_success((int)status))
		k->stopped = k->body(k->ctx, p, n, k->e);
	else
		k->stopped = keep_piece(k, p, n);
	return k->stopped == 0 ? n : n + 1;
}

static void take_header(CURL *c, const char *name, struct buf *into)
{
	struct curl_header *h;

	if (curl_easy_header(c, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK)
		buf_z(into, h->value);
}

static void take_headers(CURL *c, struct fetch_reply *r)
{
	struct curl_header *h;
	curl_off_t seconds = 0;
	long status = 0;

	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	r->status = (int)status;
	take_header(c, "Content-Type", &r->content_type);
	take_header(c, "Location", &r->location);
	if (curl_easy_header(c, "Retry-After", 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return;
	curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &seconds);
	r->retry_after_seconds = seconds;
}

static enum problem problem_of(CURLcode rc)
{
	switch (rc) {
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return P_BAD_REQUEST;
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_WRITE_ERROR: /* curl's own decoders; ours is told apart by `stopped` */
		return P_BROKEN_BODY;
	default:
		return P_UNAVAILABLE;
	}
}

static void set_options(struct call *k, struct curl_slist *headers)
{
	CURL *c = k->fetch->curl;

	curl_easy_reset(c); /* keeps the connection */
	curl_easy_setopt(c, CURLOPT_URL, k->request->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_PROXY, "");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)FETCH_CONNECT_SECONDS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)FETCH_STALL_SECONDS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)k->request->seconds);
	curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, ""); /* all that curl unpacks */
	curl_easy_setopt(c, CURLOPT_USERAGENT, "prefd");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, k->fetch->why);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, k);
	if (k->fetch->authorities)
		curl_easy_setopt(c, CURLOPT_CAINFO, k->fetch->authorities);
	if (k->request->any_certificate) {
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	set_method(c, k->request);
}

static int perform(struct call *k, struct curl_slist *headers)
{
	struct fetch *f = k->fetch;
	CURLcode rc;

	set_options(k, headers);
	f->why[0] = '\0';
	rc = curl_easy_perform(f->curl);
	if (k->stopped != 0)
		return k->stopped;
	if (rc != CURLE_OK)
		return err_set(k->e, problem_of(rc), "%s %s: %s", k->request->method, k->request->url,
		               f->why[0] ? f->why : curl_easy_strerror(rc));
	take_headers(f->curl, k->reply);
	return 0;
}

int fetch_stream(struct fetch *f, const struct fetch_request *q, fetch_body_fn *body, void *ctx,
                 struct fetch_reply *r, struct err *e)
{
	struct call k = {f, q, r, body, ctx, e, 0};
	struct curl_slist *headers;
	int rc;

	clear_reply(r);
	rc = make_headers(f, q, &headers, e);
	if (rc == 0)
		rc = perform(&k, headers);
	curl_slist_free_all(headers);
	/* Options point into this call. */
	curl_easy_reset(f->curl);
	return rc;
}

int fetch_do(struct fetch *f, const struct fetch_request *q, struct fetch_reply *r, struct err *e)
{
	return fetch_stream(f, q, NULL, NULL, r, e);
}
