/* fill DIR DATASET PROMPTS RESPONSES SCORES BYTES
 *
 * Fills a data folder through the store's own doors, without HTTP and without
 * fsync: PROMPTS prompts, each with RESPONSES responses of some BYTES with
 * SCORES scores each. For lines that measure beside a large database. The
 * daemon must not run on the folder meanwhile; the store's lock sees to it. */
#include "made.h"
#include "store/store.h"

enum { ROWS_AT_ONCE = 1000 };

struct plan {
	struct str dataset;
	uint64_t prompts;
	uint32_t responses, scores;
	size_t bytes;
};

static void begin(struct store *s)
{
	struct err e = {0};

	if (store_begin(s, &e) < 0 || store_savepoint(s, &e) < 0)
		die("begin", &e);
}

static void commit(struct store *s)
{
	struct err e = {0};

	if (store_release(s, &e) < 0 || store_commit(s, &e) < 0 || store_checkpoint(s, false, &e) < 0)
		die("commit", &e);
}

static void make_dataset(struct store *s, struct str name)
{
	struct dataset_change c = {.name = name};
	struct err e = {0};
	bool created;

	begin(s);
	if (store_dataset_put(s, &c, MADE_NOW, &created, &e) < 0)
		die("dataset", &e);
	commit(s);
}

static void fill(struct store *s, const struct plan *p)
{
	struct counts counts = {0};
	struct err e = {0};
	struct arena a;

	arena_init(&a);
	for (uint64_t i = 0; i < p->prompts;) {
		begin(s);
		for (uint64_t end = i + ROWS_AT_ONCE; i < end && i < p->prompts; i++) {
			struct row row = made_record(&a, i, p->responses, p->scores, p->bytes);

			if (store_put(s, p->dataset, &row, CONFLICT_REFUSE, MADE_NOW, &counts, &e) < 0)
				die("put", &e);
			arena_reset(&a);
		}
		commit(s);
	}
	printf("%llu scores\n", (unsigned long long)counts.scores_created);
	arena_release(&a);
}

int main(int argc, char **argv)
{
	struct store_options o = {.writer = true, .sync = STORE_SYNC_OFF};
	struct err e = {0};
	struct plan p;
	struct store *s;

	if (argc != 7) {
		fputs("usage: fill DIR DATASET PROMPTS RESPONSES SCORES BYTES\n", stderr);
		return 2;
	}
	o.dir = argv[1];
	p = (struct plan){str_of(argv[2]), strtoull(argv[3], NULL, 10), (uint32_t)strtoul(argv[4], NULL, 10),
	                  (uint32_t)strtoul(argv[5], NULL, 10), strtoull(argv[6], NULL, 10)};
	if (store_open(&s, &o, &e) < 0)
		die(o.dir, &e);
	make_dataset(s, p.dataset);
	fill(s, &p);
	store_close(s);
	return 0;
}
