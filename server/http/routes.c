#include "http/routes.h"

#include <stdio.h>

#include "handlers.h"
#include "route.h"

#define D "/v1/datasets/{dataset}"
#define S "/v1/snapshots/{snapshot}"
#define R "/v1/rounds/{round}"
#define E "/v1/engines/{engine}"
#define T "/v1/tokens"
#define ROWS "on_error on_conflict"
#define VIEW "augment placement format"
#define BATCH "seed epoch offset batch_size rank world_size tail shuffle wait " VIEW

static const struct route routes[] = {
	{"GET", "/", SCOPE_OPEN, BODY_NONE, "", h_dashboard, NULL},
	{"GET", "/healthz", SCOPE_OPEN, BODY_NONE, "", h_healthz, NULL},
	{"GET", "/readyz", SCOPE_OPEN, BODY_NONE, "", h_readyz, NULL},
	{"GET", "/metrics", SCOPE_READ, BODY_NONE, "", h_metrics, NULL},
	{"GET", "/openapi.json", SCOPE_OPEN, BODY_NONE, "", h_openapi, NULL},
	{"GET", "/v1/limits", SCOPE_OPEN, BODY_NONE, "", h_limits, NULL},
	{"GET", "/v1/version", SCOPE_OPEN, BODY_NONE, "", h_version, NULL},

	{"GET", "/v1/datasets", SCOPE_READ, BODY_NONE, "after limit", h_datasets_list, NULL},
	{"GET", D, SCOPE_READ, BODY_NONE, "", h_dataset_get, NULL},
	{"PUT", D, SCOPE_ADMIN, BODY_DOCUMENT, "", h_dataset_put, NULL},
	{"DELETE", D, SCOPE_ADMIN, BODY_NONE, "confirm", h_dataset_delete, NULL},
	{"GET", D "/stats", SCOPE_READ, BODY_NONE, "", h_dataset_stats, NULL},

	{"POST", D "/records", SCOPE_INGEST, BODY_ROWS, ROWS " format judge fix_overall", h_rows, rows_records},
	{"POST", D "/scores", SCOPE_INGEST, BODY_ROWS, ROWS, h_rows, rows_scores},
	{"POST", D "/comparisons", SCOPE_INGEST, BODY_ROWS, ROWS, h_rows, rows_comparisons},

	{"GET", D "/responses", SCOPE_READ, BODY_NONE, "unscored_by attribute round model after limit", h_unscored, NULL},
	{"GET", D "/prompts", SCOPE_READ, BODY_NONE, "after limit split", h_prompts_list, NULL},
	{"GET", D "/prompts/{prompt}", SCOPE_READ, BODY_NONE, "ledger", h_prompt_get, NULL},
	{"DELETE", D "/prompts/{prompt}", SCOPE_ADMIN, BODY_NONE, "", h_prompt_delete, NULL},

	{"POST", D "/snapshots", SCOPE_ADMIN, BODY_DOCUMENT, "wait", h_snapshot_create, NULL},
	{"GET", "/v1/snapshots", SCOPE_READ, BODY_NONE, "dataset after limit", h_snapshots_list, NULL},
	{"GET", S, SCOPE_READ, BODY_NONE, "wait", h_snapshot_get, NULL},
	{"DELETE", S, SCOPE_ADMIN, BODY_NONE, "", h_snapshot_delete, NULL},
	{"GET", S "/batch", SCOPE_TRAIN, BODY_NONE, BATCH, h_batch, NULL},
	{"GET", S "/export", SCOPE_TRAIN, BODY_NONE, VIEW, h_export, NULL},
	{"GET", S "/rows", SCOPE_READ, BODY_NONE, "offset length " VIEW, h_snapshot_rows, NULL},
	{"GET", S "/statistics", SCOPE_READ, BODY_NONE, "", h_snapshot_statistics, NULL},

	{"POST", D "/rounds", SCOPE_ADMIN, BODY_DOCUMENT, "", h_round_create, NULL},
	{"GET", "/v1/rounds", SCOPE_READ, BODY_NONE, "dataset after limit", h_rounds_list, NULL},
	{"GET", R, SCOPE_READ, BODY_NONE, "", h_round_get, NULL},
	{"POST", R "/close", SCOPE_ADMIN, BODY_NONE, "", h_round_close, NULL},
	{"POST", R "/rescore", SCOPE_ADMIN, BODY_DOCUMENT, "", h_round_rescore, NULL},
	{"GET", R "/rewards", SCOPE_READ, BODY_NONE, "prompt rescoring after limit", h_round_rewards, NULL},
	{"POST", R "/publish", SCOPE_ADMIN, BODY_DOCUMENT, "wait", h_round_publish, NULL},
	{"POST", R "/leases", SCOPE_TRAIN, BODY_DOCUMENT, "", h_lease_take, NULL},
	{"POST", R "/leases/{lease}/renew", SCOPE_TRAIN, BODY_NONE, "", h_lease_renew, NULL},
	{"DELETE", R "/leases/{lease}", SCOPE_TRAIN, BODY_NONE, "", h_lease_end, NULL},
	{"POST", R "/responses", SCOPE_TRAIN, BODY_ROWS, "on_error", h_rows, rows_samples},
	{"POST", R "/logprobs", SCOPE_TRAIN, BODY_ROWS, "on_error", h_rows, rows_logprobs},
	{"POST", R "/score", SCOPE_ADMIN, BODY_NONE, "", h_round_score, NULL},

	{"POST", "/v1/implicit-rewards", SCOPE_TRAIN, BODY_DOCUMENT, "", h_implicit_rewards, NULL},

	{"GET", "/v1/engines", SCOPE_READ, BODY_NONE, "after limit", h_engines_list, NULL},
	{"GET", E, SCOPE_READ, BODY_NONE, "", h_engine_get, NULL},
	{"PUT", E, SCOPE_ADMIN, BODY_DOCUMENT, "", h_engine_put, NULL},
	{"DELETE", E, SCOPE_ADMIN, BODY_NONE, "", h_engine_delete, NULL},

	{"GET", T, SCOPE_ADMIN, BODY_NONE, "", h_tokens_list, NULL},
	{"POST", T, SCOPE_ADMIN, BODY_DOCUMENT, "", h_token_create, NULL},
	{"DELETE", T "/{token}", SCOPE_ADMIN, BODY_NONE, "", h_token_revoke, NULL},

	{"GET", "/v1/backups", SCOPE_ADMIN, BODY_NONE, "after limit", h_backups_list, NULL},
	{"GET", "/v1/backups/{backup}", SCOPE_ADMIN, BODY_NONE, "", h_backup_get, NULL},
	{"PUT", "/v1/backups/{backup}", SCOPE_ADMIN, BODY_NONE, "", h_backup_put, NULL},
};

enum { ROUTES = sizeof routes / sizeof *routes };

void routes_print(void)
{
	for (int i = 0; i < ROUTES; i++)
		printf("%s %s %s\n", routes[i].method, routes[i].pattern, scope_words[routes[i].scope]);
}

/* Walks pattern and segments side by side; ids go into params. An empty
 * segment (a slash too many) is no id and fits nothing. */
static bool matches(const char *pattern, const struct target *t, struct str params[PARAMS_MAX])
{
	int i = 0, ids = 0;

	for (pattern++; *pattern; i++) {
		size_t n = strcspn(pattern, "/");

		if (i >= t->segments || t->segment[i].n == 0)
			return false;
		if (*pattern == '{')
			params[ids++] = t->segment[i];
		else if (!str_eq(t->segment[i], (struct str){pattern, n}))
			return false;
		pattern += n + (pattern[n] == '/');
	}
	return i == t->segments;
}

static void add_allowed(char allow[64], const char *method)
{
	size_t n = strlen(allow);

	snprintf(allow + n, 64 - n, "%s%s%s", n ? ", " : "", method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

const struct route *route_find(struct str method, const struct target *t, struct str params[PARAMS_MAX],
                               char allow[64], struct err *e)
{
	struct str wanted = str_eq(method, STR("HEAD")) ? STR("GET") : method;

	allow[0] = '\0';
	for (int i = 0; i < ROUTES; i++) {
		if (t->segments > SEGMENTS_MAX || !matches(routes[i].pattern, t, params))
			continue;
		if (str_eq(wanted, str_of(routes[i].method)))
			return &routes[i];
		add_allowed(allow, routes[i].method);
	}
	if (allow[0])
		err_set(e, P_METHOD, "this path takes %s", allow);
	else
		err_set(e, P_NO_ROUTE, "there is nothing at this path; GET /openapi.json names all that there is");
	return NULL;
}

/* Whether `name` is one of the words of `list`. */
static bool listed(const char *list, struct str name)
{
	while (*list) {
		size_t n = strcspn(list, " ");

		if (str_eq(name, (struct str){list, n}))
			return true;
		list += n + (list[n] == ' ');
	}
	return false;
}

int route_check_query(const struct route *route, const struct target *t, struct err *e)
{
	char pointer[sizeof e->pointer]; /* as long, so that it is cut at a code point */

	for (int i = 0; i < t->queries; i++) {
		struct str name = t->query[i].name;

		snprintf(pointer, sizeof pointer, "?%.*s", STR_ARG(name));
		if (!listed(route->queries, name))
			return err_at(e, P_UNKNOWN_KEY, pointer, "%s takes %s%s", route->pattern,
			              route->queries[0] ? "only the query parameters " : "no query parameters", route->queries);
		for (int j = 0; j < i; j++)
			if (str_eq(name, t->query[j].name))
				return err_at(e, P_INVALID, pointer, "the query parameter is given twice");
	}
	return 0;
}
