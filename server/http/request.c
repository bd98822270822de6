#include "auth.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/metric.h"

enum { TEXT_MAX_BYTES = 256, CURSOR_MAX_BYTES = 1024, KEY_MAX_BYTES = 128, LIST_DEFAULT = 100 };

/* --- life --------------------------------------------------------------------------- */

void request_refuse(struct request *r, const struct err *e)
{
	if (r->refused.problem == P_NONE)
		r->refused = *e;
}

struct request *request_new(struct httpd *h, struct MHD_Connection *c, struct str raw)
{
	struct request *r = heap_zalloc(1, sizeof *r);
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct err e = {0};

	r->h = h;
	r->connection = c;
	r->watch = info->socket_context;
	r->began_us = clock_steady_us();
	arena_init(&r->arena);
	buf_init(&r->body.text);
	if (target_parse(&r->arena, raw, &r->target, &e) != 0) {
		r->target.path = STR_NONE;
		request_refuse(r, &e);
	}
	atomic_fetch_add(&h->active, 1);
	return r;
}

void request_free(struct request *r)
{
	struct httpd *h = r->h;

	body_release(&r->body);
	access_end(&r->access);
	if (r->pending)
		pending_unref(r->pending);
	arena_release(&r->arena);
	atomic_fetch_add(&h->answers_left, r->answer_bytes);
	heap_free(r);
	atomic_fetch_sub(&h->active, 1);
}

/* --- headers -------------------------------------------------------------------------- */

struct str request_header(const struct request *r, const char *name)
{
	return str_of(MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name));
}

static enum MHD_Result see_header(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_n,
                                  const char *value, size_t value_n)
{
	(void)kind;
	gate_header(ctx, (struct str){name, name_n}, (struct str){value ? value : "", value_n});
	return MHD_YES;
}

static int pass_gate(struct request *r, struct str version, struct err *e)
{
	struct gate g;

	gate_init(&g);
	MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, see_header, &g);
	if (gate_end(&g, version, e) != 0)
		return -1;
	r->body.expected = gate_has_body(&g);
	r->body.declared = g.codings ? UINT64_MAX : g.length;
	*e = r->refused;
	return r->refused.problem == P_NONE ? 0 : -1;
}

static bool id_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
	       c == ':' || c == '-';
}

bool request_id_valid(struct str id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!id_byte(id.p[i]))
			return false;
	return id.n > 0 && id.n <= REQUEST_ID_BYTES;
}

static void take_id(struct request *r)
{
	struct str id = request_header(r, "X-Request-Id");

	if (!request_id_valid(id)) {
		random_hex(r->id, 16);
		return;
	}
	memcpy(r->id, id.p, id.n);
	r->id[id.n] = '\0';
}

static int check_target(struct request *r, struct err *e)
{
	for (int i = 0; i < PARAMS_MAX; i++)
		if (r->param[i].p && !path_id_valid(r->param[i]))
			return err_set(e, P_INVALID, "an id in the path does not match [A-Za-z0-9][A-Za-z0-9._:-]{0,127}");
	return route_check_query(r->route, &r->target, e);
}

void request_head(struct request *r, struct str method, struct str version)
{
	struct err e = {0};

	r->method = arena_str(&r->arena, method);
	r->state = REQUEST_BODY;
	take_id(r);
	if (pass_gate(r, version, &e) != 0) {
		metric_add(M_HTTP_REFUSED, 1);
		r->close = true;
		request_refuse(r, &e);
		return;
	}
	r->route = route_find(r->method, &r->target, r->param, r->allow, &e);
	if (r->route == NULL || auth_enter(r, &e) != 0 || check_target(r, &e) != 0 || body_begin(r, &e) != 0)
		request_refuse(r, &e);
}

const struct reply *request_finish(struct request *r)
{
	struct err e = {0};

	if (r->state == REQUEST_WAITING) {
		struct answer *a = &r->pending->answer;

		if (a->status != 0 || a->err.problem != P_NONE)
			return reply_answer(r, a);
		pending_unref(r->pending);
		r->pending = NULL;
		r->again = true;
	} else if (r->refused.problem == P_NONE && body_end(r, &e) != 0) {
		request_refuse(r, &e);
	}
	return r->refused.problem == P_NONE ? r->route->handler(r) : reply_problem(r, &r->refused);
}

/* Keys of tokens that are limited to some datasets are their own: whoever holds
 * one can neither meet other people's keys nor be in their way. */
static struct str key_of_token(struct request *r, struct str key)
{
	if (access_everywhere(&r->access))
		return key;
	return arena_printf(&r->arena, "%.*s %.*s", STR_ARG(r->access.token->id), STR_ARG(key));
}

int request_idempotency_key(struct request *r, struct str *key, struct err *e)
{
	struct str k = request_header(r, "Idempotency-Key");

	*key = k;
	if (k.p == NULL)
		return 0;
	for (size_t i = 0; i < k.n; i++)
		if (k.p[i] < ' ' || k.p[i] > '~')
			return err_set(e, P_INVALID, "Idempotency-Key holds more than printable ASCII");
	if (k.n == 0 || k.n > KEY_MAX_BYTES)
		return err_set(e, P_INVALID, "Idempotency-Key is not 1 to %d bytes long", KEY_MAX_BYTES);
	*key = key_of_token(r, k);
	return 0;
}

struct str request_line(struct request *r)
{
	return arena_printf(&r->arena, "%.*s %.*s", STR_ARG(r->method), STR_ARG(r->target.path));
}

int request_origin(struct request *r, struct origin_key *o, struct err *e)
{
	struct sha256 h;

	if (request_idempotency_key(r, &o->key, e) != 0)
		return -1;
	sha256_init(&h);
	sha256_field(&h, r->method);
	sha256_field(&h, r->target.path);
	sha256_field(&h, buf_view(&r->body.text));
	sha256_end(&h, o->hash);
	return 0;
}

/* --- the query --------------------------------------------------------------------------- */

/* p NULL when it is absent. */
static struct str query_value(const struct request *r, const char *name)
{
	for (int i = 0; i < r->target.queries; i++)
		if (str_eq(r->target.query[i].name, str_of(name)))
			return r->target.query[i].value;
	return STR_NONE;
}

static int query_wrong(struct err *e, enum problem p, const char *name, const char *what)
{
	char pointer[sizeof e->pointer];

	snprintf(pointer, sizeof pointer, "?%s", name);
	return err_at(e, p, pointer, "%s %s", name, what);
}

static int check_text(struct str s, const char *name, size_t max, struct err *e)
{
	if (s.n == 0 || s.n > max)
		return query_wrong(e, P_INVALID, name, s.n ? "is too long" : "is empty");
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
			return query_wrong(e, P_INVALID, name, "holds a control character");
	return 0;
}

int query_text(const struct request *r, const char *name, struct str *out, struct err *e)
{
	struct str s = query_value(r, name);

	if (s.p == NULL)
		return 0;
	*out = s;
	return check_text(s, name, TEXT_MAX_BYTES, e);
}

int query_after(const struct request *r, struct str *out, struct err *e)
{
	struct str s = query_value(r, "after");

	if (s.n == 0)
		return 0;
	*out = s;
	return check_text(s, "after", CURSOR_MAX_BYTES, e);
}

int query_whole(const struct request *r, const char *name, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
	struct str s = query_value(r, name);
	char range[80];
	uint64_t v = 0;

	if (s.p == NULL)
		return 0;
	snprintf(range, sizeof range, "is not a whole number from %llu to %llu", (unsigned long long)min,
	         (unsigned long long)max);
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned)(s.p[i] - '0');

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return query_wrong(e, P_INVALID, name, range);
		v = v * 10 + digit;
	}
	if (s.n == 0 || v < min || v > max)
		return query_wrong(e, P_INVALID, name, range);
	*out = v;
	return 0;
}

int query_word(const struct request *r, const char *name, const char *const *words, int *out, struct err *e)
{
	struct str s = query_value(r, name);
	char known[160] = "is none of";

	if (s.p == NULL)
		return 0;
	for (int i = 0; words[i]; i++) {
		size_t n = strlen(known);

		if (str_eq(s, str_of(words[i]))) {
			*out = i;
			return 0;
		}
		snprintf(known + n, sizeof known - n, "%s %s", i ? "," : "", words[i]);
	}
	return query_wrong(e, P_UNKNOWN_KEY, name, known);
}

int query_bool(const struct request *r, const char *name, bool *out, struct err *e)
{
	static const char *const words[] = {"false", "true", NULL};
	int word = *out;

	if (query_word(r, name, words, &word, e) != 0)
		return -1;
	*out = word == 1;
	return 0;
}

int query_wait(const struct request *r, int *out, struct err *e)
{
	uint64_t seconds = 0;

	if (query_whole(r, "wait", 0, WAIT_MAX_SECONDS, &seconds, e) != 0)
		return -1;
	*out = (int)seconds;
	return 0;
}

int query_limit(const struct request *r, uint32_t *out, struct err *e)
{
	uint64_t limit = LIST_DEFAULT;

	if (query_whole(r, "limit", 1, LIST_MAX_LENGTH, &limit, e) != 0)
		return -1;
	*out = (uint32_t)limit;
	return 0;
}
