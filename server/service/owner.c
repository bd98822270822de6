/* owner.c - which dataset a snapshot or a round belongs to. */
#include "inside.h"
#include "store/round.h"
#include "store/snapshot.h"

struct tokens *service_tokens(struct service *s)
{
	return s->tokens;
}

int service_snapshot_owner(struct service *s, struct str id, struct arena *a, struct str *dataset, struct err *e)
{
	struct snapshot_row row;
	struct store *db;
	int rc = reader_get(s, &db, e);

	if (rc == 0)
		rc = store_snapshot_get(db, a, id, &row, e);
	if (rc == 0)
		*dataset = row.dataset;
	reader_put(s, db);
	return rc;
}

int service_round_owner(struct service *s, struct str id, struct arena *a, struct str *dataset, struct err *e)
{
	struct round_row row;
	struct store *db;
	int rc = reader_get(s, &db, e);

	if (rc == 0)
		rc = store_round_get(db, a, id, &row, e);
	if (rc == 0)
		*dataset = row.dataset;
	reader_put(s, db);
	return rc;
}
