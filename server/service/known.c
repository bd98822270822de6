/* known.c - datasets as the first pass checks rows against: read once, kept
 * until one changes. Without it every single score would cost the connection's
 * thread a read of the database, of pages that the last commit has changed. */
#include "base/hash.h"
#include "base/heap.h"
#include "inside.h"

enum { KNOWN_SLOTS = 64 };

struct known_slot {
	struct arena arena;
	struct dataset dataset; /* name.p NULL: free */
	uint64_t change;        /* as of this change */
};

struct known {
	pthread_mutex_t mutex;
	uint64_t change; /* how often any dataset has changed */
	struct known_slot slot[KNOWN_SLOTS];
};

struct known *known_new(void)
{
	struct known *k = heap_zalloc(1, sizeof *k);

	pthread_mutex_init(&k->mutex, NULL);
	return k;
}

void known_free(struct known *k)
{
	if (k == NULL)
		return;
	for (int i = 0; i < KNOWN_SLOTS; i++)
		arena_release(&k->slot[i].arena);
	pthread_mutex_destroy(&k->mutex);
	heap_free(k);
}

void known_changed(struct service *s)
{
	pthread_mutex_lock(&s->known->mutex);
	s->known->change++;
	pthread_mutex_unlock(&s->known->mutex);
}

static struct dataset copy(struct arena *a, const struct dataset *d)
{
	struct attribute *at = ARENA_ARRAY(a, struct attribute, d->attributes);
	struct dataset out = *d;

	for (uint32_t i = 0; i < d->attributes; i++) {
		at[i] = d->attribute[i];
		at[i].name = arena_str(a, at[i].name);
	}
	out.attribute = at;
	out.name = arena_str(a, d->name);
	out.description = arena_str(a, d->description);
	return out;
}

static struct known_slot *slot_of(struct known *k, struct str name)
{
	return &k->slot[xxh3(name.p, name.n) % KNOWN_SLOTS];
}

/* False: *change is what a row read from now on is good for. */
static bool look(struct known *k, struct arena *a, struct str name, struct dataset *out, uint64_t *change)
{
	const struct known_slot *slot = slot_of(k, name);
	bool found;

	pthread_mutex_lock(&k->mutex);
	*change = k->change;
	found = slot->change == k->change && slot->dataset.name.p && str_eq(slot->dataset.name, name);
	if (found)
		*out = copy(a, &slot->dataset);
	pthread_mutex_unlock(&k->mutex);
	return found;
}

static void keep(struct known *k, const struct dataset *d, uint64_t change)
{
	struct known_slot *slot = slot_of(k, d->name);

	pthread_mutex_lock(&k->mutex);
	arena_release(&slot->arena);
	slot->dataset = copy(&slot->arena, d);
	slot->change = change;
	pthread_mutex_unlock(&k->mutex);
}

int known_dataset(struct service *s, struct arena *a, struct str name, struct dataset *out, struct err *e)
{
	struct store *db;
	uint64_t change;
	int rc;

	if (look(s->known, a, name, out, &change))
		return 0;
	if (reader_get(s, &db, e) < 0)
		return -1;
	rc = store_dataset_get(db, a, name, out, e);
	reader_put(s, db);
	if (rc == 0)
		keep(s->known, out, change);
	return rc;
}
