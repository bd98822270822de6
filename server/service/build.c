#include "build.h"

#include "base/clock.h"
#include "base/heap.h"
#include "service/snapshots.h"

/* A page begins small and grows as long as its prompts are. */
enum { PAGE_PROMPTS_FIRST = 64, PAGE_PROMPTS_MOST = 256, PAGE_BYTES_LOW = 2 << 20, PAGE_BYTES_HIGH = 16 << 20 };

enum phase { PHASE_NEW, PHASE_RANKING, PHASE_WRITING, PHASE_OVER };

struct build {
	struct arena arena; /* as long as the build */
	struct build_spec spec;
	enum phase phase;
	struct recipe recipe;
	struct picker picker;
	struct dataset dataset;
	unsigned what; /* enum read_what */
	uint64_t prompts_total, prompts_seen;
	struct buf after; /* the last prompt's id; empty at the start */
	uint32_t page_prompts;
	struct arena page, prompt;
	struct ranks ranks;
	struct compiler compiler;
	struct sha256 hash;
	struct build_result result;
};

struct build *build_new(const struct build_spec *spec)
{
	struct build *b = heap_zalloc(1, sizeof *b);

	b->spec = *spec;
	b->spec.dir = arena_strdup(&b->arena, spec->dir);
	b->spec.dataset = arena_str(&b->arena, spec->dataset);
	b->spec.recipe = arena_str(&b->arena, spec->recipe);
	b->page_prompts = PAGE_PROMPTS_FIRST;
	b->ranks.fd = -1;
	return b;
}

void build_free(struct build *b)
{
	if (b == NULL)
		return;
	snap_abandon(b->compiler.writer);
	buf_release(&b->compiler.scratch);
	ranks_release(&b->ranks);
	buf_release(&b->after);
	arena_release(&b->prompt);
	arena_release(&b->page);
	arena_release(&b->arena);
	heap_free(b);
}

double build_progress(const struct build *b)
{
	double passes = b->recipe.goal == GOAL_QUANTILE ? 2 : 1;
	double part = b->prompts_total > 0 ? (double)b->prompts_seen / (double)b->prompts_total : 0;

	if (b->phase == PHASE_OVER)
		return 1;
	part = part > 1 ? 1 : part;
	return (part + (b->phase == PHASE_WRITING ? passes - 1 : 0)) / passes;
}

const struct build_result *build_result(const struct build *b)
{
	return &b->result;
}

/* --- beginning ----------------------------------------------------------------------- */

static unsigned what_to_read(const struct recipe *r)
{
	return READ_SCORES | (r->pairing.strategy == PAIR_COMPARISONS ? READ_VOTES : 0) |
	       (r->reference.p ? READ_LOGPROBS : 0);
}

static int find_dataset(struct build *b, struct store *db, struct err *e)
{
	struct dataset_stats stats;
	int rc = store_dataset_get(db, &b->arena, b->spec.dataset, &b->dataset, e);

	if (rc == 0 && b->dataset.key != b->spec.dataset_key)
		return err_set(e, P_UNKNOWN_DATASET, "the dataset was deleted, and another has its name now");
	if (rc < 0 || store_stats(db, &b->page, &b->dataset, &stats, e) < 0)
		return -1;
	b->prompts_total = (uint64_t)stats.prompts;
	return 0;
}

static int begin_writing(struct build *b, struct err *e)
{
	struct buf hashed = BUF_INIT;

	sha256_init(&b->hash);
	sha256_add(&b->hash, "prefd-revision-1\n", strlen("prefd-revision-1\n"));
	recipe_print(&hashed, &b->recipe, RECIPE_HASHED);
	sha256_field(&b->hash, buf_view(&hashed));
	buf_release(&hashed);
	b->compiler.recipe = &b->recipe;
	b->compiler.ranks = &b->ranks;
	b->compiler.hash = &b->hash;
	b->compiler.life = &b->arena;
	buf_clear(&b->after);
	b->prompts_seen = 0;
	memset(&b->result.counts, 0, sizeof b->result.counts);
	b->phase = PHASE_WRITING;
	return snap_create(&b->compiler.writer, b->spec.dir, e);
}

static int begin(struct build *b, struct store *db, struct err *e)
{
	if (recipe_load(&b->arena, b->spec.recipe, &b->recipe, e) < 0 || find_dataset(b, db, e) < 0)
		return -1;
	picker_init(&b->picker, &b->recipe, &b->arena);
	b->what = what_to_read(&b->recipe);
	if (b->recipe.goal != GOAL_QUANTILE)
		return begin_writing(b, e);
	b->phase = PHASE_RANKING;
	return ranks_open(&b->ranks, b->spec.dir, e);
}

/* --- a page ------------------------------------------------------------------------------ */

static int rank_prompt(struct build *b, const struct read_prompt *prompt, struct err *e)
{
	struct picked picked;
	uint32_t *at;
	double *x;
	size_t n;

	pick_prompt(&b->picker, prompt, &b->prompt, &picked, &b->result.counts);
	x = ARENA_ARRAY(&b->prompt, double, picked.n);
	at = ARENA_ARRAY(&b->prompt, uint32_t, picked.n);
	n = pick_centred(&picked, x, at);
	return ranks_add(&b->ranks, x, n, e);
}

static int check_pairs(const struct build *b, const struct read_prompt *prompt, struct err *e)
{
	unsigned long long n = prompt->responses, pairs = n * (n - (n > 0)) / 2;

	if (b->recipe.pairing.strategy != PAIR_ALL || pairs <= PAIRS_PER_PROMPT_MAX)
		return 0;
	return err_at(e, P_INVALID, "/recipe/pairing/strategy",
	              "the prompt %.*s has %llu responses: `all` could make %llu pairs of them, more than %d",
	              STR_ARG(prompt->id), n, pairs, PAIRS_PER_PROMPT_MAX);
}

static int write_prompt(struct build *b, struct store *db, const struct read_prompt *prompt, struct err *e)
{
	struct picked picked;

	if (!pick_prompt(&b->picker, prompt, &b->prompt, &picked, &b->result.counts))
		return 0;
	b->result.prompts++;
	return compile_prompt(&b->compiler, db, prompt, &picked, &b->prompt, e);
}

static void fit_page(struct build *b)
{
	if (b->page.used > PAGE_BYTES_HIGH && b->page_prompts > 1)
		b->page_prompts /= 2;
	else if (b->page.used < PAGE_BYTES_LOW && b->page_prompts < PAGE_PROMPTS_MOST)
		b->page_prompts *= 2;
}

static int take_page(struct build *b, struct store *db, struct err *e)
{
	struct str split = str_eq(b->recipe.split, STR("*")) ? STR_NONE : b->recipe.split;
	struct str after = b->after.n > 0 ? buf_view(&b->after) : STR_NONE;
	unsigned what = b->what | (b->phase == PHASE_WRITING ? READ_MESSAGES : 0);
	struct read_prompt *prompt;
	uint32_t n;

	arena_reset(&b->page);
	if (store_prompt_page(db, &b->page, &b->dataset, after, split, b->page_prompts, b->spec.seq, what, &prompt,
	                      &n, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		arena_reset(&b->prompt);
		if (!pick_in_scope(&b->recipe, &prompt[i]))
			continue;
		if (check_pairs(b, &prompt[i], e) < 0)
			return -1;
		if ((b->phase == PHASE_RANKING ? rank_prompt(b, &prompt[i], e) : write_prompt(b, db, &prompt[i], e)) < 0)
			return -1;
	}
	if (n == 0)
		return 0;
	b->prompts_seen += n;
	buf_clear(&b->after);
	buf_str(&b->after, prompt[n - 1].id);
	fit_page(b);
	return 1;
}

/* One moment a page: its texts cost a third less than each on its own.
 * 1: there may be more, 0: that was all, -1. */
static int do_page(struct build *b, struct store *db, struct err *e)
{
	int rc;

	if (store_read_begin(db, e) < 0)
		return -1;
	rc = take_page(b, db, e);
	store_read_end(db);
	return rc;
}

/* --- the end ----------------------------------------------------------------------------- */

static int finish(struct build *b, struct err *e)
{
	struct snap_writer *w = b->compiler.writer;
	struct buf meta = BUF_INIT;
	uint8_t hash[SHA256_BYTES];
	int rc;

	sha256_end(&b->hash, hash);
	hex_of(hash, sizeof hash, b->result.revision);
	buf_lit(&meta, "{\"lineage\":[],\"recipe\":");
	recipe_print(&meta, &b->recipe, RECIPE_HASHED);
	buf_byte(&meta, '}');
	b->compiler.writer = NULL; /* snap_finish ends it */
	rc = snap_finish(w, str_of(b->result.revision), buf_view(&meta), b->compiler.found.flags, &b->result.bytes, e);
	buf_release(&meta);
	return rc;
}

static int next_phase(struct build *b, struct err *e)
{
	if (b->phase == PHASE_RANKING)
		return ranks_seal(&b->ranks, e) < 0 ? -1 : begin_writing(b, e);
	b->phase = PHASE_OVER;
	return finish(b, e);
}

enum build_state build_step(struct build *b, struct store *db, int64_t budget_us, struct err *e)
{
	int64_t until = clock_steady_us() + budget_us;
	int rc = b->phase == PHASE_NEW ? begin(b, db, e) : 0;

	while (rc >= 0 && b->phase != PHASE_OVER) {
		rc = do_page(b, db, e);
		if (rc == 0)
			rc = next_phase(b, e);
		if (clock_steady_us() >= until)
			break;
	}
	b->result.found = b->compiler.found;
	if (rc < 0)
		return BUILD_FAILED;
	return b->phase == PHASE_OVER ? BUILD_DONE : BUILD_MORE;
}
