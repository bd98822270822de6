/* handlers.h - what the table of routes calls: one function a route, in the
 * h_*.c file of its resource. Each reads the query, calls the service once and
 * returns a reply. */
#ifndef PREFD_HTTP_HANDLERS_H
#define PREFD_HTTP_HANDLERS_H

#include "request.h"

typedef const struct reply *handler(struct request *r);

/* posting.c: what a POST says outside its body. */
struct posting {
	int wait_s; /* ?wait; 0 where the route takes none */
	struct origin_key origin;
};
/* reply_later() for such a POST; work's args are a struct posting. */
const struct reply *reply_posting(struct request *r, reply_work *work);

/* h_meta.c */
handler h_dashboard, h_healthz, h_readyz, h_metrics, h_openapi, h_limits, h_version;
/* Works out the Content-Security-Policy of the embedded page, once. */
void dashboard_policy(char *out, size_t n);

/* h_datasets.c */
handler h_datasets_list, h_dataset_get, h_dataset_put, h_dataset_delete, h_dataset_stats;

/* h_ingest.c */
handler h_rows;
int rows_records(struct request *r, struct ingest_options *o, struct err *e);
int rows_scores(struct request *r, struct ingest_options *o, struct err *e);
int rows_comparisons(struct request *r, struct ingest_options *o, struct err *e);

/* h_prompts.c */
handler h_unscored, h_prompts_list, h_prompt_get, h_prompt_delete;

/* h_snapshots.c */
handler h_snapshot_create, h_snapshots_list, h_snapshot_get, h_snapshot_delete;
handler h_batch, h_export, h_snapshot_rows, h_snapshot_statistics;

/* h_rounds.c */
handler h_round_create, h_rounds_list, h_round_get, h_round_close, h_round_rescore, h_round_rewards;
handler h_round_publish;
handler h_lease_take, h_lease_renew, h_lease_end;
int rows_samples(struct request *r, struct ingest_options *o, struct err *e);
int rows_logprobs(struct request *r, struct ingest_options *o, struct err *e);
/* h_implicit.c */
handler h_implicit_rewards;

/* h_engines.c */
handler h_engine_put, h_engine_get, h_engines_list, h_engine_delete, h_round_score;

/* h_tokens.c */
handler h_tokens_list, h_token_create, h_token_revoke;

/* h_backups.c */
handler h_backups_list, h_backup_get, h_backup_put;

#endif
