#include "http/pulse.h"

#include <stdio.h>

#include "base/fetch.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/notify.h"
#include "listen.h"

enum { BEATS = 4, ASK_SECONDS = 5 };

struct pulse {
	struct service *service;
	struct loop *loop;
	char url[URL_BYTES + 16];
	int64_t writes, answers; /* how many there were at the last beat */
	bool asking;             /* /healthz, on the loop's pool */
};

static int64_t metric_of(enum metric m)
{
	return atomic_load_explicit(&metric_values[m], memory_order_relaxed);
}

static int64_t writes_done(void)
{
	return metric_of(M_GROUPS) + metric_of(M_COMMIT_FAILED);
}

/* What comes back does not matter: the counter of answers tells. */
static void ask(void *ctx)
{
	struct pulse *p = ctx;
	struct fetch_request q = {.method = "GET", .url = p->url, .seconds = ASK_SECONDS, .any_certificate = true};
	struct fetch *f = fetch_new();
	struct fetch_reply r;
	struct err e;

	fetch_reply_init(&r);
	fetch_do(f, &q, &r, &e);
	fetch_reply_release(&r);
	fetch_free(f);
}

static void asked(void *ctx)
{
	struct pulse *p = ctx;

	p->asking = false;
}

static void ask_both(struct pulse *p)
{
	service_probe(p->service);
	if (p->asking)
		return;
	p->asking = true;
	loop_work(p->loop, ask, asked, p);
}

static void beat(void *ctx)
{
	struct pulse *p = ctx;
	int64_t writes = writes_done(), answers = metric_of(M_HTTP_REQUESTS);
	bool full = metric_of(M_HTTP_CONNECTIONS) >= service_conf(p->service)->http_connections;
	bool writer = writes != p->writes, http = answers != p->answers || full;

	if (writer && http) {
		p->writes = writes;
		p->answers = answers;
		notify_send("WATCHDOG=1");
	} else {
		log_warn("pulse", "no beat writer=%s http=%s", writer ? "works" : "stuck", http ? "answers" : "silent");
	}
	ask_both(p);
}

struct pulse *pulse_start(const struct httpd *h, struct service *s, struct loop *loop)
{
	int64_t period_ms = notify_watchdog_us() / 1000 / BEATS;
	struct pulse *p;

	if (period_ms == 0)
		return NULL;
	p = heap_zalloc(1, sizeof *p);
	p->service = s;
	p->loop = loop;
	p->writes = writes_done();
	p->answers = metric_of(M_HTTP_REQUESTS);
	snprintf(p->url, sizeof p->url, "%s/healthz", httpd_url(h));
	loop_every(loop, (uint64_t)period_ms, beat, p);
	ask_both(p);
	return p;
}

void pulse_free(struct pulse *p)
{
	heap_free(p);
}
