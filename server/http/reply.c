#include "reply.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/zip.h"
#include "request.h"
#include "trail.h"

enum { PACK_FROM_BYTES = 1024, BUDGET_FROM_BYTES = 4096, RETRY_DEFAULT_SECONDS = 1, STREAM_BLOCK_BYTES = 64 * 1024 };

struct reply {
	bool ok;
};

static const struct reply made = {true}, failed = {false};

bool reply_ok(const struct reply *reply)
{
	return reply->ok;
}

/* --- problems ------------------------------------------------------------------------ */

/* RFC 9457. problem_more holds whole members. */
static void print_problem(struct buf *b, const struct request *r, const struct answer *a)
{
	const struct err *e = &a->err;

	buf_lit(b, "{\"type\":\"/problems/");
	buf_z(b, problem_slug(e->problem));
	buf_lit(b, "\",\"title\":");
	json_put_string(b, str_of(problem_title(e->problem)));
	buf_printf(b, ",\"status\":%d,\"detail\":", a->status);
	json_put_string(b, str_of(e->detail));
	if (r->target.path.p) {
		buf_lit(b, ",\"instance\":");
		json_put_string(b, r->target.path);
	}
	if (e->pointer[0]) {
		buf_lit(b, ",\"pointer\":");
		json_put_string(b, str_of(e->pointer));
	}
	if (a->problem_more.n) {
		buf_byte(b, ',');
		buf_str(b, buf_view(&a->problem_more));
	}
	buf_byte(b, '}');
}

/* What the service said becomes status, type and body. */
static void settle(struct request *r, struct answer *a)
{
	if (a->status == 0 && a->err.problem == P_NONE)
		err_set(&a->err, P_INTERNAL, "no answer was made");
	if (a->err.problem == P_NONE)
		return;
	if (a->status < 400)
		a->status = problem_status(a->err.problem);
	buf_clear(&a->body);
	print_problem(&a->body, r, a);
	a->type = "application/problem+json";
	if (a->retry_after_s == 0 && (a->status == 429 || a->status == 503))
		a->retry_after_s = RETRY_DEFAULT_SECONDS;
}

/* --- headers ---------------------------------------------------------------------------- */

static void add(struct MHD_Response *m, const char *name, const char *value)
{
	MHD_add_response_header(m, name, value);
}

static bool has(const struct answer *a, const char *name)
{
	for (int i = 0; i < a->headers; i++)
		if (strcmp(a->header[i].name, name) == 0)
			return true;
	return false;
}

static void add_headers(struct request *r, struct MHD_Response *m, const struct answer *a)
{
	char seconds[16];

	add(m, "X-Request-Id", r->id);
	add(m, "X-Content-Type-Options", "nosniff");
	if (a->status != 204 && a->status != 304)
		add(m, "Content-Type", a->type ? a->type : "application/json");
	if (!has(a, "Cache-Control"))
		add(m, "Cache-Control", "no-store");
	if (!has(a, "Vary"))
		add(m, "Vary", "Accept-Encoding");
	for (int i = 0; i < a->headers; i++)
		add(m, a->header[i].name, a->header[i].value);
	if (r->allow[0] && a->status == 405)
		add(m, "Allow", r->allow);
	trail_headers(r, m);
	if (a->status == 401)
		add(m, "WWW-Authenticate", "Bearer realm=\"prefd\"");
	if (a->retry_after_s > 0) {
		snprintf(seconds, sizeof seconds, "%d", a->retry_after_s);
		add(m, "Retry-After", seconds);
	}
	if (r->close || atomic_load(&r->h->draining))
		add(m, "Connection", "close");
}

/* --- answers ------------------------------------------------------------------------------- */

static const struct reply *queue(struct request *r, struct MHD_Response *m, struct answer *a)
{
	enum MHD_Result rc;

	if (m == NULL) {
		log_error("http", "no memory for an answer path=%.*s", STR_ARG(r->target.path));
		return &failed;
	}
	add_headers(r, m, a);
	r->state = REQUEST_DONE;
	r->status = a->status;
	reaper_phase(&r->h->reaper, r->watch, PHASE_SEND);
	rc = MHD_queue_response(r->connection, (unsigned)a->status, m);
	MHD_destroy_response(m);
	metric_add(M_HTTP_REQUESTS, 1);
	if (a->status >= 500)
		metric_add(M_HTTP_ERRORS, 1);
	return rc == MHD_YES ? &made : &failed;
}

static void pack(struct request *r, struct answer *a)
{
	enum coding coding = coding_accepted(request_header(r, "Accept-Encoding"));
	struct buf packed = BUF_INIT;

	if (coding == CODING_IDENTITY || a->body.n < PACK_FROM_BYTES)
		return;
	zip_whole(coding, buf_view(&a->body), &packed);
	buf_release(&a->body);
	a->body = packed;
	answer_header(a, "Content-Encoding", "%s", coding_name(coding));
}

/* An answer stays in memory until its reader has taken it. All of them share a
 * budget; beyond it a large one is not sent, and its bytes go at once. */
static void take_budget(struct request *r, struct answer *a)
{
	int64_t n = (int64_t)a->body.cap;
	struct err e;

	if (n < BUDGET_FROM_BYTES)
		return;
	if (atomic_fetch_sub(&r->h->answers_left, n) >= n) {
		r->answer_bytes = n;
		return;
	}
	atomic_fetch_add(&r->h->answers_left, n);
	err_set(&e, P_UNAVAILABLE, "answers that wait for slow readers take all of the %lld bytes they may have",
	        (long long)r->h->conf->answers_bytes);
	answer_problem(a, &e);
	a->headers = 0;
	settle(r, a);
}

const struct reply *reply_packed(struct request *r, struct answer *a)
{
	struct MHD_Response *m;
	const struct reply *reply;

	settle(r, a);
	take_budget(r, a);
	r->sent = a->body.n;
	if (a->body.n > 0) {
		m = MHD_create_response_from_buffer_with_free_callback(a->body.n, a->body.p, heap_free);
		if (m)
			a->body = BUF_INIT;
	} else {
		m = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
	}
	reply = queue(r, m, a);
	answer_release(a);
	return reply;
}

const struct reply *reply_answer(struct request *r, struct answer *a)
{
	settle(r, a);
	pack(r, a);
	return reply_packed(r, a);
}

const struct reply *reply_problem(struct request *r, const struct err *e)
{
	struct answer a;

	answer_init(&a);
	answer_problem(&a, e);
	a.retry_after_s = r->retry_after_s;
	return reply_answer(r, &a);
}

const struct reply *reply_outcome(struct request *r, int rc, struct answer *a, const struct err *e)
{
	if (rc != 0)
		answer_problem(a, e);
	return reply_answer(r, a);
}

/* --- streams ---------------------------------------------------------------------------------- */

struct stream {
	struct export *export;
	struct zip *zip; /* NULL: as it is */
	struct buf raw;  /* the last pieces, before packing */
	struct buf out;  /* ready to send, from `at` on */
	size_t at;
	bool end;
	uint64_t *sent; /* the request's: it lives until the last byte is read */
	char id[REQUEST_ID_BYTES + 1];
};

static int stream_fill(struct stream *s)
{
	struct buf *into = s->zip ? &s->raw : &s->out;
	struct err e = {0};
	int more;

	buf_clear(&s->raw);
	buf_clear(&s->out);
	s->at = 0;
	more = export_next(s->export, into, &e);
	if (more < 0) {
		log_warn("http", "export broken off request=%s detail=\"%s\"", s->id, e.detail);
		return -1;
	}
	s->end = more == 0;
	if (s->zip)
		zip_feed(s->zip, buf_view(&s->raw), s->end, &s->out);
	return 0;
}

static ssize_t stream_read(void *ctx, uint64_t pos, char *to, size_t max)
{
	struct stream *s = ctx;
	size_t n;

	(void)pos;
	while (s->at == s->out.n) {
		if (s->end)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (stream_fill(s) != 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	n = s->out.n - s->at < max ? s->out.n - s->at : max;
	memcpy(to, s->out.p + s->at, n);
	s->at += n;
	*s->sent += n;
	return (ssize_t)n;
}

static void stream_free(void *ctx)
{
	struct stream *s = ctx;

	export_close(s->export);
	if (s->zip)
		zip_free(s->zip);
	buf_release(&s->raw);
	buf_release(&s->out);
	heap_free(s);
}

const struct reply *reply_export(struct request *r, struct answer *head, struct export *x)
{
	enum coding coding = coding_accepted(request_header(r, "Accept-Encoding"));
	struct stream *s = heap_zalloc(1, sizeof *s);
	struct MHD_Response *m;
	const struct reply *reply;

	s->export = x;
	s->sent = &r->sent;
	memcpy(s->id, r->id, sizeof s->id);
	if (coding != CODING_IDENTITY) {
		s->zip = zip_new(coding);
		answer_header(head, "Content-Encoding", "%s", coding_name(coding));
	}
	m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, stream_read, s, stream_free);
	if (m == NULL)
		stream_free(s);
	reply = queue(r, m, head);
	answer_release(head);
	return reply;
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* Any thread. Nothing of the request is touched once it can run again. */
static void resume(void *ctx)
{
	struct request *r = ctx;
	struct httpd *h = r->h;

	waiting_remove(&h->waiting, &r->waiter);
	MHD_resume_connection(r->connection);
	waiting_release(&h->waiting);
}

const struct reply *reply_later(struct request *r, int wait_s, reply_work *work, const void *args)
{
	int64_t limit_us = (r->h->conf->suspend_seconds + wait_s) * INT64_C(1000000);
	struct err e;

	if (!waiting_reserve(&r->h->waiting)) {
		err_set(&e, P_UNAVAILABLE, "too many requests are waiting; try again");
		return reply_problem(r, &e);
	}
	r->pending = pending_new(resume, r);
	r->state = REQUEST_WAITING;
	/* Suspended first: the work may be done before `work` returns, and a
	 * resume that comes before the suspend would be lost. */
	MHD_suspend_connection(r->connection);
	waiting_add(&r->h->waiting, &r->waiter, r->pending, clock_steady_us() + limit_us);
	work(r, r->pending, args);
	return &made;
}
