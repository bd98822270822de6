#include "build.h"

#include "base/clock.h"
#include "base/heap.h"
#include "aside.h"
#include "build_page.h"
#include "service/snapshots.h"
#include "store/snapshot.h"

enum phase { PHASE_NEW, PHASE_GATHERING, PHASE_RANKING, PHASE_DRAWING, PHASE_WRITING, PHASE_REPLAYING, PHASE_OVER };

struct build {
	struct arena arena; /* as long as the build */
	struct build_spec spec;
	enum phase phase;
	struct recipe recipe;
	struct picker picker;
	struct dataset dataset;
	struct round_row round;     /* where the rewards are a round's */
	struct replaying *replay;   /* of a published one; NULL: none */
	uint64_t prompts_total, prompts_seen;
	struct page_source source;
	struct build_page page[2];  /* one is used while the next is read */
	struct build_page *next;    /* read already, or NULL */
	struct aside *aside;        /* reads it */
	struct gathered gathered;   /* where the dataset itself is asked */
	struct arena prompt;
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
	b->source.prompts = PAGE_PROMPTS_FIRST;
	b->ranks.side.fd = b->gathered.prompts.fd = b->gathered.places.fd = -1;
	b->aside = aside_new();
	return b;
}

void build_free(struct build *b)
{
	if (b == NULL)
		return;
	aside_free(b->aside);
	snap_abandon(b->compiler.writer);
	buf_release(&b->compiler.scratch);
	ranks_release(&b->ranks);
	replaying_free(b->replay);
	gather_close(&b->gathered);
	buf_release(&b->source.after);
	arena_release(&b->prompt);
	arena_release(&b->page[0].arena);
	arena_release(&b->page[1].arena);
	arena_release(&b->arena);
	heap_free(b);
}

double build_progress(const struct build *b)
{
	double passes = b->recipe.has_terms && b->recipe.goal != GOAL_QUANTILE ? 1 : 2;
	double part = b->prompts_total > 0 ? (double)b->prompts_seen / (double)b->prompts_total : 0;

	if (b->phase == PHASE_OVER)
		return 1;
	part = part > 1 ? 1 : part;
	return (part + (b->phase >= PHASE_WRITING ? passes - 1 : 0)) / passes;
}

const struct build_result *build_result(const struct build *b)
{
	return &b->result;
}

/* --- beginning ----------------------------------------------------------------------- */

static int find_dataset(struct build *b, struct store *db, struct err *e)
{
	struct dataset_stats stats;
	int rc = store_dataset_get(db, &b->arena, b->spec.dataset, &b->dataset, e);

	if (rc == 0 && b->dataset.key != b->spec.dataset_key)
		return err_set(e, P_UNKNOWN_DATASET, "the dataset was deleted, and another has its name now");
	if (rc < 0 || store_stats(db, &b->arena, &b->dataset, &stats, e) < 0)
		return -1;
	b->prompts_total = (uint64_t)stats.prompts;
	return 0;
}

static int find_round(struct build *b, struct store *db, struct err *e)
{
	struct round_progress progress;

	if (store_round_get(db, &b->arena, b->recipe.made_from.round, &b->round, e) < 0 ||
	    store_round_progress(db, &b->round, 0, &progress, e) < 0)
		return -1;
	b->prompts_total = (uint64_t)progress.prompts;
	return 0;
}

/* What was revoked must not come back through its file. */
static int find_replay(struct build *b, struct store *db, struct err *e)
{
	struct snapshot_row row;

	if (store_snapshot_get(db, &b->arena, b->recipe.made_from.snapshot, &row, e) < 0)
		return -1;
	if (row.state == SNAPSHOT_REVOKED)
		return err_set(e, P_UNKNOWN_SNAPSHOT, "snapshot %.*s, whose pairs are replayed, was revoked", STR_ARG(row.id));
	return replaying_open(&b->replay, &b->recipe, b->spec.dir, e);
}

static struct str lineage_of(struct build *b)
{
	struct buf text = BUF_INIT;
	struct str s;

	if (!b->recipe.has_terms)
		return STR("");
	print_lineage(&text, &b->recipe);
	s = arena_str(&b->arena, buf_view(&text));
	buf_release(&text);
	return s;
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
	b->compiler.lineage = lineage_of(b);
	if (b->recipe.has_terms)
		b->compiler.origin = b->recipe.terms.sampled ? ORIGIN_ON_POLICY : ORIGIN_RESCORED;
	if (b->recipe.has_terms) /* a pass before this one has counted the same */
		memset(&b->result.counts, 0, sizeof b->result.counts);
	else
		b->source.gathered = &b->gathered;
	b->compiler.escaped = !b->recipe.has_terms;
	buf_clear(&b->source.after);
	b->prompts_seen = 0;
	b->phase = PHASE_WRITING;
	b->source.texts = true;
	b->source.all = false;
	return snap_create(&b->compiler.writer, b->spec.dir, e);
}

static int begin_phase(struct build *b, struct err *e)
{
	bool ranked = b->recipe.goal == GOAL_QUANTILE;

	if (b->recipe.has_terms && !ranked)
		return begin_writing(b, e);
	b->phase = b->recipe.has_terms ? PHASE_RANKING : PHASE_GATHERING;
	b->source.all = ranked;
	b->source.texts = !b->recipe.has_terms;
	if (ranked && ranks_open(&b->ranks, b->spec.dir, e) < 0)
		return -1;
	return b->recipe.has_terms ? 0 : gather_open(&b->gathered, b->spec.dir, e);
}

static int begin(struct build *b, struct store *db, struct err *e)
{
	if (recipe_load(&b->arena, b->spec.recipe, &b->recipe, e) < 0 || find_dataset(b, db, e) < 0)
		return -1;
	if (b->recipe.has_terms && find_round(b, db, e) < 0)
		return -1;
	if (b->recipe.has_replay && find_replay(b, db, e) < 0)
		return -1;
	picker_init(&b->picker, &b->recipe, &b->arena);
	b->source.recipe = &b->recipe;
	b->source.picker = &b->picker;
	b->source.dataset = &b->dataset;
	b->source.round = &b->round;
	b->source.seq = b->spec.seq;
	b->source.counts = &b->result.counts;
	return begin_phase(b, e);
}

/* --- a prompt ---------------------------------------------------------------------------- */

static int rank_prompt(struct build *b, const struct read_prompt *prompt, const struct picked *picked, struct err *e)
{
	double *x = ARENA_ARRAY(&b->prompt, double, picked->n);
	uint32_t *at = ARENA_ARRAY(&b->prompt, uint32_t, picked->n);

	if (b->replay && picked->pairs.n > 0)
		replaying_tell(b->replay, prompt->id, prompt->messages_hash);
	return ranks_add(&b->ranks, x, pick_centred(picked, x, at), e);
}

static int gather_prompt(struct build *b, const struct read_prompt *prompt, const struct picked *picked, struct err *e)
{
	if (b->source.all && rank_prompt(b, prompt, picked, e) < 0)
		return -1;
	if (picked->pairs.n == 0)
		return 0;
	return gather_put(&b->gathered, prompt, picked, (uint32_t)b->recipe.attributes, b->recipe.reference, e);
}

static int write_prompt(struct build *b, const struct read_prompt *prompt, const struct picked *picked, struct err *e)
{
	if (b->replay && !replaying_takes(b->replay))
		return 0;
	if (b->replay && replaying_put(b->replay, &b->compiler, prompt->id, 0, e) < 0)
		return -1;
	b->result.prompts++;
	return compile_prompt(&b->compiler, prompt, picked, &b->prompt, e);
}

/* --- a page ------------------------------------------------------------------------------ */

static int use_prompt(struct build *b, const struct read_prompt *prompt, const struct picked *picked, struct err *e)
{
	switch (b->phase) {
	case PHASE_GATHERING:
		return gather_prompt(b, prompt, picked, e);
	case PHASE_RANKING:
		return rank_prompt(b, prompt, picked, e);
	default:
		return write_prompt(b, prompt, picked, e);
	}
}

static int use_page(struct build *b, const struct build_page *page, struct err *e)
{
	int rc = 0;

	for (uint32_t i = 0; i < page->n && rc == 0; i++) {
		const struct page_prompt *p = &page->at[i];

		arena_reset(&b->prompt);
		rc = use_prompt(b, &p->prompt, &p->picked, e);
	}
	b->prompts_seen += page->seen;
	return rc;
}

/* Reading one page, aside or at once. */
struct fetching {
	struct build *build;
	struct build_page *page;
	struct store *db;
	int rc;
	struct err err;
};

static void fetch(void *arg)
{
	struct fetching *f = arg;

	f->rc = page_read(f->page, &f->build->source, f->db, &f->err);
}

static int fetched(struct fetching *f, struct err *e)
{
	if (f->rc < 0)
		*e = f->err;
	else
		f->build->next = f->page;
	return f->rc;
}

/* While a page is used, the next one is read; whoever returns has both.
 * 1: there may be more, 0: that was all, -1. */
static int do_page(struct build *b, struct store *db, struct err *e)
{
	struct fetching f = {.build = b, .page = &b->page[0], .db = db};
	struct build_page *page;
	struct err later;
	int rc;

	if (b->next == NULL) {
		fetch(&f);
		if (fetched(&f, e) < 0)
			return -1;
	}
	page = b->next;
	b->next = NULL;
	if (page->seen == 0)
		return 0;
	f = (struct fetching){.build = b, .page = &b->page[page == &b->page[0]], .db = db};
	aside_begin(b->aside, fetch, &f);
	rc = use_page(b, page, e);
	aside_end(b->aside);
	if (fetched(&f, rc < 0 ? &later : e) < 0)
		rc = -1;
	return rc < 0 ? -1 : 1;
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
	buf_lit(&meta, "{\"lineage\":[");
	if (b->recipe.has_terms)
		print_lineage(&meta, &b->recipe);
	if (b->recipe.has_replay) {
		buf_byte(&meta, ',');
		print_replay_lineage(&meta, &b->recipe);
	}
	buf_lit(&meta, "],\"recipe\":");
	recipe_print(&meta, &b->recipe, RECIPE_HASHED);
	buf_byte(&meta, '}');
	b->compiler.writer = NULL; /* snap_finish ends it */
	rc = snap_finish(w, str_of(b->result.revision), buf_view(&meta), b->compiler.found.flags, &b->result.bytes, e);
	buf_release(&meta);
	return rc;
}

static int next_phase(struct build *b, struct err *e)
{
	switch (b->phase) {
	case PHASE_GATHERING:
		if (b->source.all && ranks_seal(&b->ranks, e) < 0)
			return -1;
		return gather_seal(&b->gathered, e) < 0 ? -1 : begin_writing(b, e);
	case PHASE_RANKING:
		if (ranks_seal(&b->ranks, e) < 0)
			return -1;
		if (b->replay == NULL)
			return begin_writing(b, e);
		b->phase = PHASE_DRAWING;
		return 0;
	case PHASE_DRAWING:
		b->result.replay = replaying_result(b->replay);
		b->result.prompts += b->result.replay.taken; /* one pair each */
		return begin_writing(b, e);
	case PHASE_WRITING:
		b->phase = b->replay ? PHASE_REPLAYING : PHASE_OVER;
		return b->replay ? 0 : finish(b, e);
	default:
		b->phase = PHASE_OVER;
		return finish(b, e);
	}
}

/* Some of the phase: 1: there is more of it, 0: it is done, -1. */
static int go_on(struct build *b, struct store *db, int64_t until, struct err *e)
{
	if (b->phase == PHASE_DRAWING)
		return replaying_draw(b->replay, until, e);
	if (b->phase == PHASE_REPLAYING)
		return replaying_put(b->replay, &b->compiler, STR_NONE, until, e);
	return do_page(b, db, e);
}

enum build_state build_step(struct build *b, struct store *db, int64_t budget_us, struct err *e)
{
	int64_t until = clock_steady_us() + budget_us;
	int rc = b->phase == PHASE_NEW ? begin(b, db, e) : 0;

	while (rc >= 0 && b->phase != PHASE_OVER) {
		rc = go_on(b, db, until, e);
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
