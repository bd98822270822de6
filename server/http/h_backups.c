#include "handlers.h"
#include "service/backup.h"

const struct reply *h_backup_put(struct request *r)
{
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	return reply_outcome(r, backups_put(r->h->service, r->param[0], &a, &e), &a, &e);
}

const struct reply *h_backup_get(struct request *r)
{
	struct err e = {0};
	struct answer a;

	answer_init(&a);
	return reply_outcome(r, backups_get(r->h->service, r->param[0], &a, &e), &a, &e);
}

const struct reply *h_backups_list(struct request *r)
{
	struct str after = STR_NONE;
	struct err e = {0};
	struct answer a;
	uint32_t limit;

	answer_init(&a);
	if (query_after(r, &after, &e) != 0 || query_limit(r, &limit, &e) != 0)
		return reply_problem(r, &e);
	return reply_outcome(r, backups_list(r->h->service, after, limit, &a, &e), &a, &e);
}
