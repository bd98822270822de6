/* dataset.h - datasets, their attributes and goal scale. */
#ifndef PREFD_STORE_DATASET_H
#define PREFD_STORE_DATASET_H

#include "store/store.h"

struct attribute {
	struct str name;
	double min, max; /* min < max; the declared range */
};

struct dataset {
	int64_t key;
	struct str name;
	struct str description; /* may be STR_NONE */
	double goal_min, goal_max;
	int64_t seq;        /* the last number taken; a snapshot pins it */
	int64_t created_at; /* microseconds since 1970 */
	const struct attribute *attribute; /* declared ones, in byte order of names */
	uint32_t attributes;
};

/* What PUT asks for; what is absent stays as it is. */
struct dataset_change {
	struct str name;
	struct str description; /* STR_NONE: as it is */
	const struct attribute *attribute;
	uint32_t attributes;
	bool has_goal_scale;
	double goal_min, goal_max;
};

/* P_UNKNOWN_DATASET. A dataset that is being deleted is unknown. */
int store_dataset_get(struct store *s, struct arena *a, struct str name, struct dataset *out, struct err *e);
/* Writer, inside a savepoint. created says whether it is new (goal scale 1 to
 * 10 unless said). P_RANGE_FIXED: an attribute with scores has another range,
 * or has none and values outside the new one; the pointer names it. */
int store_dataset_put(struct store *s, const struct dataset_change *c, int64_t now_us, bool *created, struct err *e);
/* In byte order of names, those after `after` (STR_NONE: from the start). */
int store_dataset_list(struct store *s, struct arena *a, struct str after, uint32_t limit,
                       struct dataset **out, uint32_t *n, struct err *e);
/* Writer: marks it as going; from now on it is unknown, and its name is free
 * once store_dataset_sweep is done. Its snapshots become revoked. */
int store_dataset_delete(struct store *s, struct str name, struct err *e);
/* Writer, inside a transaction: removes at most `limit` rows of datasets that
 * are going. 1: there is more, 0: nothing left, -1 failed. */
int store_dataset_sweep(struct store *s, uint32_t limit, struct err *e);

#endif
