#include <stdio.h>

#include "base/embedded.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/metric.h"
#include "handlers.h"
#include "service/engines.h"
#include "service/rounds.h"
#include "service/snapshots.h"
#include "store/record.h"

static const struct reply *say(struct request *r, struct answer *a, const char *type)
{
	a->status = 200;
	a->type = type;
	return reply_answer(r, a);
}

static const struct reply *say_text(struct request *r, struct str text, const char *type)
{
	struct answer a;

	answer_init(&a);
	buf_str(&a.body, text);
	return say(r, &a, type);
}

const struct reply *h_healthz(struct request *r)
{
	return say_text(r, STR("{\"status\":\"ok\"}"), NULL);
}

const struct reply *h_readyz(struct request *r)
{
	struct err e = {0};

	if (service_ready(r->h->service, &e) != 0)
		return reply_problem(r, &e);
	return say_text(r, STR("{\"status\":\"ready\"}"), NULL);
}

const struct reply *h_metrics(struct request *r)
{
	struct answer a;

	answer_init(&a);
	metric_print(&a.body);
	return say(r, &a, "text/plain; version=0.0.4; charset=utf-8");
}

const struct reply *h_version(struct request *r)
{
	return say_text(r, STR("{\"name\":\"prefd\",\"version\":\"" PREFD_VERSION "\",\"api\":\"v1\"}"), NULL);
}

static void put_limit(struct buf *b, const char *name, int64_t value)
{
	json_put_key(b, name);
	buf_printf(b, "%lld", (long long)value);
}

const struct reply *h_limits(struct request *r)
{
	const struct conf *c = r->h->conf;
	struct answer a;

	answer_init(&a);
	buf_byte(&a.body, '{');
	put_limit(&a.body, "body_bytes", c->body_bytes);
	put_limit(&a.body, "document_bytes", c->document_bytes);
	put_limit(&a.body, "row_bytes", c->row_bytes);
	put_limit(&a.body, "rows", c->rows);
	put_limit(&a.body, "responses_per_prompt", RESPONSES_PER_PROMPT_MAX);
	put_limit(&a.body, "series", SERIES_MAX);
	put_limit(&a.body, "pairs_per_prompt", PAIRS_PER_PROMPT_MAX);
	put_limit(&a.body, "batch_size", c->batch_size);
	put_limit(&a.body, "batch_bytes", c->batch_bytes);
	put_limit(&a.body, "json_depth", JSON_DEPTH_MAX);
	put_limit(&a.body, "json_members", JSON_MEMBERS_MAX);
	put_limit(&a.body, "target_bytes", TARGET_MAX_BYTES);
	put_limit(&a.body, "list_length", LIST_MAX_LENGTH);
	put_limit(&a.body, "rows_length", ROWS_MAX_LENGTH);
	put_limit(&a.body, "wait_seconds", WAIT_MAX_SECONDS);
	put_limit(&a.body, "samples_per_prompt", ROUND_RESPONSES_MAX);
	put_limit(&a.body, "lease_prompts", LEASE_PROMPTS_MAX);
	put_limit(&a.body, "lease_seconds", LEASE_SECONDS_MAX);
	put_limit(&a.body, "engine_tokens", ENGINE_TOKENS_MAX);
	put_limit(&a.body, "engine_in_flight", ENGINE_IN_FLIGHT_MAX);
	put_limit(&a.body, "engine_seconds", c->engine_seconds);
	put_limit(&a.body, "suspend_seconds", c->suspend_seconds);
	put_limit(&a.body, "suspended_requests", c->suspended_requests);
	put_limit(&a.body, "header_seconds", c->header_seconds);
	put_limit(&a.body, "idle_seconds", c->idle_seconds);
	put_limit(&a.body, "body_bytes_per_second", SLOWEST_BYTES_PER_SECOND);
	put_limit(&a.body, "connections", c->http_connections);
	put_limit(&a.body, "address_connections", c->address_connections);
	put_limit(&a.body, "tokens", TOKENS_MAX);
	put_limit(&a.body, "token_datasets", TOKEN_DATASETS_MAX);
	buf_byte(&a.body, '}');
	return say(r, &a, NULL);
}

const struct reply *h_openapi(struct request *r)
{
	return say_text(r, EMBEDDED(openapi), NULL);
}

/* --- the dashboard ---------------------------------------------------------------------- */

static void base64(const uint8_t *p, size_t n, struct buf *out)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);

		buf_byte(out, digits[v >> 18]);
		buf_byte(out, digits[v >> 12 & 63]);
		buf_byte(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
		buf_byte(out, i + 2 < n ? digits[v & 63] : '=');
	}
}

/* " 'sha256-…'" of what stands between the tags; " 'none'" without them. */
static void put_source(struct buf *out, struct str page, const char *open, const char *close)
{
	const char *from = memmem(page.p, page.n, open, strlen(open));
	const char *to = from ? memmem(from, (size_t)(page.p + page.n - from), close, strlen(close)) : NULL;
	uint8_t hash[SHA256_BYTES];

	if (to == NULL) {
		buf_lit(out, " 'none'");
		return;
	}
	from += strlen(open);
	sha256_of(from, (size_t)(to - from), hash);
	buf_lit(out, " 'sha256-");
	base64(hash, sizeof hash, out);
	buf_byte(out, '\'');
}

void dashboard_policy(char *out, size_t n)
{
	struct buf b = BUF_INIT;

	buf_lit(&b, "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
	            "frame-ancestors 'none'; img-src data:; script-src");
	put_source(&b, EMBEDDED(dashboard), "<script>", "</script>");
	buf_lit(&b, "; style-src");
	put_source(&b, EMBEDDED(dashboard), "<style>", "</style>");
	snprintf(out, n, "%.*s", STR_ARG(buf_view(&b)));
	buf_release(&b);
}

const struct reply *h_dashboard(struct request *r)
{
	struct answer a;

	answer_init(&a);
	buf_str(&a.body, EMBEDDED(dashboard));
	answer_header(&a, "Content-Security-Policy", "%s", r->h->page_policy);
	answer_header(&a, "Referrer-Policy", "no-referrer");
	answer_header(&a, "X-Frame-Options", "DENY");
	answer_header(&a, "Cache-Control", "no-cache");
	return say(r, &a, "text/html; charset=utf-8");
}
