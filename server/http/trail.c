#include "trail.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/clock.h"
#include "service/audit.h"

/* --- the audit log -------------------------------------------------------------------- */

static void print_address(const struct request *r, char out[INET6_ADDRSTRLEN])
{
	const union MHD_ConnectionInfo *i = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *a = i ? i->client_addr : NULL;

	snprintf(out, INET6_ADDRSTRLEN, "unknown");
	if (a && a->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, out, INET6_ADDRSTRLEN);
	else if (a && a->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, out, INET6_ADDRSTRLEN);
}

struct str trail_path(struct request *r)
{
	static const char front[] = "prefd_";
	struct str path = r->target.path;
	const char *at = path.n ? memmem(path.p, path.n, front, sizeof front - 1) : NULL;
	size_t keep = at ? (size_t)(at - path.p) + sizeof front - 1 + TOKEN_ID_CHARS : path.n;

	return keep < path.n ? arena_printf(&r->arena, "%.*s...", (int)keep, path.p) : path;
}

/* While the daemon is open everybody may do everything: what only an admin may
 * later is written down, and who was refused. */
static bool worth_a_line(const struct request *r)
{
	bool reads = str_eq(r->method, STR("GET")) || str_eq(r->method, STR("HEAD"));

	if (r->status == 401 || r->status == 403 || r->status == 429)
		return true;
	return !reads && r->route && (r->access.token || r->route->scope == SCOPE_ADMIN);
}

static void write_line(struct request *r)
{
	const struct token *t = r->access.token;
	char address[INET6_ADDRSTRLEN];
	struct audit_entry x = {
		.request = r->id,
		.token = t ? t->id : STR_NONE,
		.name = t ? t->name : STR_NONE,
		.method = r->method,
		.path = trail_path(r),
		.about = r->about,
		.status = r->status,
		.received = r->body.received,
		.sent = r->sent,
	};

	print_address(r, address);
	x.address = str_of(address);
	audit_write(r->h->audit, &x);
}

void trail_leave(struct request *r)
{
	if (worth_a_line(r))
		write_line(r);
	if (r->status != 429) /* who asks too early gets no deeper into debt by it */
		rates_charge(r->h->rates, r->access.token, r->body.received + r->sent, clock_steady_us());
}

/* --- limits ------------------------------------------------------------------------------ */

/* "what";q=a;w=1 and "what";r=b;t=c */
static void add_pair(struct MHD_Response *m, const char *what, const char *unit, int64_t a, int64_t b, int64_t c)
{
	char value[96];

	snprintf(value, sizeof value, "\"%s\";q=%lld;w=1%s", what, (long long)a, unit);
	MHD_add_response_header(m, "RateLimit-Policy", value);
	snprintf(value, sizeof value, "\"%s\";r=%lld;t=%lld", what, (long long)b, (long long)c);
	MHD_add_response_header(m, "RateLimit", value);
}

void trail_headers(const struct request *r, struct MHD_Response *m)
{
	const struct token *t = r->access.token;

	if (t && t->requests_per_second)
		add_pair(m, "requests", "", t->requests_per_second, r->left.requests, r->left.requests_s);
	if (t && t->bytes_per_second)
		add_pair(m, "bytes", ";qu=\"content-bytes\"", t->bytes_per_second, r->left.bytes, r->left.bytes_s);
}
