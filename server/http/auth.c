#include "auth.h"

#include "base/clock.h"
#include "words.h"

/* --- while no token exists ---------------------------------------------------------------- */

static struct str without_port(struct str host)
{
	for (size_t i = host.n; i > 0 && host.p[i - 1] != ']'; i--)
		if (host.p[i - 1] == ':')
			return (struct str){host.p, i - 1};
	return host;
}

/* 127.0.0.0/8, written as four numbers: "127.evil.example" is a name. */
static bool is_127(struct str host)
{
	size_t dots = 0;

	if (host.n < 9 || memcmp(host.p, "127.", 4) != 0)
		return false;
	for (size_t i = 0; i < host.n; i++) {
		if (host.p[i] == '.')
			dots++;
		else if (host.p[i] < '0' || host.p[i] > '9')
			return false;
	}
	return dots == 3;
}

bool host_is_loopback(struct str host)
{
	host = without_port(host);
	return same_word(host, "localhost") || same_word(host, "[::1]") || is_127(host);
}

static bool origin_is_loopback(struct str origin)
{
	size_t scheme = origin.n > 7 && memcmp(origin.p, "http://", 7) == 0    ? 7
	                : origin.n > 8 && memcmp(origin.p, "https://", 8) == 0 ? 8
	                                                                        : 0;

	return scheme && host_is_loopback((struct str){origin.p + scheme, origin.n - scheme});
}

/* A browser on this machine may be shown a page by anybody, who then asks us
 * through it: by another name for our address, or from another origin. */
static int check_neighbour(struct request *r, struct err *e)
{
	struct str host = request_header(r, "Host"), origin = request_header(r, "Origin");

	if (host.p && !host_is_loopback(str_trim(host)))
		return err_set(e, P_FORBIDDEN, "no token exists, so only this machine may ask, by a name of its own "
		                               "(localhost, 127.0.0.1), not as Host: %.*s", STR_ARG(host));
	if (origin.p && !origin_is_loopback(str_trim(origin)))
		return err_set(e, P_FORBIDDEN, "no token exists, so no page from elsewhere may ask (Origin: %.*s)",
		               STR_ARG(origin));
	return 0;
}

/* --- the token ------------------------------------------------------------------------------ */

/* STR_NONE: none of the kind that prefd knows. */
static struct str bearer(const struct request *r)
{
	struct str h = request_header(r, "Authorization");
	struct str scheme = {h.p, 6};

	if (h.n < 7 || !same_word(scheme, "Bearer") || h.p[6] != ' ')
		return STR_NONE;
	return str_trim((struct str){h.p + 7, h.n - 7});
}

static int check_scope(const struct request *r, struct err *e)
{
	if (access_scope(&r->access, r->route->scope))
		return 0;
	return err_set(e, P_FORBIDDEN, "this token lacks the scope %s", scope_words[r->route->scope]);
}

/* --- the dataset ------------------------------------------------------------------------------ */

static int owner(struct request *r, struct str *dataset, struct err *e)
{
	const char *pattern = r->route->pattern;

	if (strstr(pattern, "{dataset}")) {
		*dataset = r->param[0];
		return 0;
	}
	if (strstr(pattern, "{snapshot}"))
		return service_snapshot_owner(r->h->service, r->param[0], &r->arena, dataset, e);
	if (strstr(pattern, "{round}"))
		return service_round_owner(r->h->service, r->param[0], &r->arena, dataset, e);
	*dataset = STR_NONE; /* of the whole daemon */
	return 0;
}

static int hide(const struct request *r, struct err *e)
{
	bool snapshot = strstr(r->route->pattern, "{snapshot}") != NULL, round = strstr(r->route->pattern, "{round}") != NULL;

	return err_set(e, snapshot ? P_UNKNOWN_SNAPSHOT : round ? P_UNKNOWN_ROUND : P_UNKNOWN_DATASET,
	               "there is no %s \"%.*s\"", snapshot ? "snapshot" : round ? "round" : "dataset",
	               STR_ARG(r->param[0]));
}

/* What belongs to no dataset may be read by everybody who may read, and
 * changed by those alone who may change everything. */
static int check_dataset(struct request *r, struct err *e)
{
	struct str dataset;

	if (access_everywhere(&r->access) || r->route->scope == SCOPE_OPEN)
		return 0;
	if (owner(r, &dataset, e) < 0)
		return -1;
	if (dataset.p)
		return access_dataset(&r->access, dataset) ? 0 : hide(r, e);
	if (r->route->scope == SCOPE_ADMIN)
		return err_set(e, P_FORBIDDEN, "a token that is limited to some datasets may not do this");
	return 0;
}

/* ?dataset= of lists. */
static int check_listed(const struct request *r, struct err *e)
{
	for (int i = 0; i < r->target.queries; i++)
		if (str_eq(r->target.query[i].name, STR("dataset")) && !access_dataset(&r->access, r->target.query[i].value))
			return err_set(e, P_UNKNOWN_DATASET, "there is no dataset \"%.*s\"", STR_ARG(r->target.query[i].value));
	return 0;
}

int auth_enter(struct request *r, struct err *e)
{
	if (r->route->scope == SCOPE_OPEN)
		return tokens_closed(service_tokens(r->h->service)) ? 0 : check_neighbour(r, e);
	if (tokens_enter(service_tokens(r->h->service), bearer(r), &r->access, e) < 0)
		return -1;
	if (r->access.token == NULL)
		return check_neighbour(r, e);
	if (rates_enter(r->h->rates, r->access.token, clock_steady_us(), &r->left, &r->retry_after_s, e) < 0)
		return -1;
	return check_scope(r, e) < 0 || check_dataset(r, e) < 0 || check_listed(r, e) < 0 ? -1 : 0;
}
