/* browse.c - facts for people's eyes: datasets, prompts, a judge's queue. */
#include <stdio.h>

#include "base/heap.h"
#include "base/json.h"
#include "browse.h"
#include "fields.h"
#include "pick.h"
#include "print.h"
#include "service/tokens.h"
#include "store/round.h"

/* A page ends at its limit of rows or, however long those are, soon after this
 * many bytes; it is read in small steps, so that no more is held than is shown. */
enum { PAGE_BYTES_MAX = 8 << 20, PAGE_STEP_ROWS = 8 };
/* A prompt is shown whole; one with more than this is not shown at all. */
enum { PROMPT_CHARACTERS_MAX = 64 << 20 };

int browse_begin(struct browsing *w, struct service *s, struct str dataset, struct answer *out, struct err *e)
{
	*w = (struct browsing){.service = s, .b = &out->body};
	arena_init(&w->arena);
	if (reader_get(s, &w->db, e) < 0)
		return -1;
	out->status = 200;
	return dataset.p ? store_dataset_get(w->db, &w->arena, dataset, &w->dataset, e) : 0;
}

int browse_end(struct browsing *w, int rc)
{
	reader_put(w->service, w->db);
	arena_release(&w->arena);
	return rc;
}

/* --- datasets -------------------------------------------------------------------------- */

int browse_datasets(struct service *s, const struct access *who, struct str after, uint32_t limit,
                    struct answer *out, struct err *e)
{
	struct page page = {who, after, limit, STR_NONE};
	struct browsing w;
	struct dataset *d;
	uint32_t n = 0, asked;

	if (browse_begin(&w, s, STR_NONE, out, e) < 0)
		return browse_end(&w, -1);
	buf_lit(w.b, "{\"datasets\":[");
	do {
		asked = page.left;
		if (store_dataset_list(w.db, &w.arena, page.after, asked, &d, &n, e) < 0)
			return browse_end(&w, -1);
		for (uint32_t i = 0; i < n; i++)
			if (page_shows(&page, w.b, d[i].name, d[i].name))
				print_dataset(w.b, &d[i]);
	} while (n == asked && page.left > 0);
	print_page_end(w.b, page.left == 0, page.shown);
	return browse_end(&w, 0);
}

int browse_dataset(struct service *s, struct str name, struct answer *out, struct err *e)
{
	struct browsing w;

	if (browse_begin(&w, s, name, out, e) < 0)
		return browse_end(&w, -1);
	print_dataset(w.b, &w.dataset);
	return browse_end(&w, 0);
}

/* --- prompts ----------------------------------------------------------------------------- */

static void print_prompt_head(struct buf *b, const struct read_prompt *p)
{
	buf_byte(b, '{');
	print_member(b, "id", p->id);
	json_put_key(b, "messages");
	buf_str(b, p->messages);
	print_member(b, "split", p->split);
	print_member(b, "source", p->source);
	json_put_key(b, "metadata");
	buf_str(b, p->metadata.p ? p->metadata : STR("null"));
}

/* One step of a page of prompts; n rows came, `last` is the cursor behind them. */
static int print_prompts(struct browsing *w, struct str after, struct str split, uint32_t limit,
                         uint32_t *n, struct str *last, struct err *e)
{
	struct read_prompt *p;

	if (store_prompt_page(w->db, &w->arena, &w->dataset, after, split, limit, SEQ_LATEST, READ_MESSAGES, &p, n, e) < 0)
		return -1;
	for (uint32_t i = 0; i < *n; i++) {
		json_put_comma(w->b);
		print_prompt_head(w->b, &p[i]);
		print_count_member(w->b, "responses", p[i].responses);
		buf_byte(w->b, '}');
		*last = p[i].id;
	}
	return 0;
}

int browse_prompts(struct service *s, struct str dataset, struct str after, struct str split,
                   uint32_t limit, struct answer *out, struct err *e)
{
	struct browsing w;
	uint32_t n, step;

	if (browse_begin(&w, s, dataset, out, e) < 0)
		return browse_end(&w, -1);
	buf_lit(w.b, "{\"prompts\":[");
	do {
		step = limit < PAGE_STEP_ROWS ? limit : PAGE_STEP_ROWS;
		if (print_prompts(&w, after, split, step, &n, &after, e) < 0)
			return browse_end(&w, -1);
		limit -= n;
	} while (n == step && limit > 0 && w.b->n < PAGE_BYTES_MAX);
	print_page_end(w.b, n == step, after);
	return browse_end(&w, 0);
}

static void print_score(struct buf *b, const struct read_score *x, bool ledger)
{
	static const char *const status[] = {[SCORE_FAILED] = "failed", [SCORE_ABSTAINED] = "abstained", [SCORE_OK] = "ok"};

	json_put_comma(b);
	buf_byte(b, '{');
	print_member(b, "judge", x->s.judge);
	print_member(b, "attribute", x->s.attribute);
	json_put_key(b, "value");
	if (x->s.status == SCORE_OK)
		json_put_number(b, x->s.value);
	else
		buf_lit(b, "null");
	print_member(b, "status", str_of(status[x->s.status]));
	print_time_member(b, "at", x->s.at);
	print_member(b, "rationale", x->s.rationale);
	if (ledger) {
		json_put_key(b, "current");
		buf_z(b, x->current ? "true" : "false");
	}
	buf_byte(b, '}');
}

static void print_logprobs(struct buf *b, const struct read_response *r)
{
	json_put_key(b, "logprobs");
	buf_byte(b, '{');
	for (uint32_t i = 0; i < r->logprobs; i++) {
		json_put_key_str(b, r->logprob[i].l.model);
		json_put_number(b, r->logprob[i].l.logprob);
	}
	buf_byte(b, '}');
}

static void print_response(struct buf *b, const struct read_response *r, const double *reward, bool ledger)
{
	json_put_comma(b);
	buf_byte(b, '{');
	print_member(b, "id", r->id);
	print_member(b, "text", r->text);
	print_member(b, "model", r->model);
	print_member(b, "round", r->round);
	print_count_member(b, "characters", r->characters);
	json_put_key(b, "tokens");
	if (r->tokens >= 0)
		buf_printf(b, "%lld", (long long)r->tokens);
	else
		buf_lit(b, "null");
	print_member(b, "finish_reason", r->finish_reason);
	print_logprobs(b, r);
	json_put_key(b, "scores");
	buf_byte(b, '[');
	for (uint32_t i = 0; i < r->scores; i++)
		print_score(b, &r->score[i], ledger);
	buf_byte(b, ']');
	json_put_key(b, "reward");
	if (reward)
		json_put_number(b, *reward);
	else
		buf_lit(b, "null");
	buf_byte(b, '}');
}

static void print_vote(struct buf *b, const struct read_prompt *p, const struct read_vote *v, bool ledger)
{
	json_put_comma(b);
	buf_byte(b, '{');
	print_member(b, "judge", v->judge);
	print_member(b, "chosen", p->response[v->chosen].id);
	print_member(b, "rejected", p->response[v->rejected].id);
	print_number_member(b, "strength", v->strength);
	print_time_member(b, "at", v->at);
	if (ledger) {
		json_put_key(b, "current");
		buf_z(b, v->current ? "true" : "false");
	}
	buf_byte(b, '}');
}

/* The rewards that the default recipe would give now; NULL where it gives none. */
static int default_rewards(struct browsing *w, const struct read_prompt *p, double **reward, struct err *e)
{
	struct dataset_stats stats;
	struct recipe_post post;
	struct picker picker;

	if (recipe_read_post(&w->arena, STR("{\"recipe\":{}}"), &post, e) < 0 ||
	    store_stats(w->db, &w->arena, &w->dataset, &stats, e) < 0 ||
	    recipe_resolve(&post.recipe, &w->arena, &w->dataset, &stats, e) < 0)
		return -1;
	picker_init(&picker, &post.recipe, &w->arena);
	for (uint32_t i = 0; i < p->responses; i++) {
		reward[i] = ARENA_NEW(&w->arena, double);
		if (!pick_reward(&picker, &p->response[i], &w->arena, reward[i]))
			reward[i] = NULL;
	}
	return 0;
}

/* By the narrow rows, before any text is read. */
static int check_size(struct browsing *w, struct str prompt, struct err *e)
{
	struct read_prompt p;
	uint64_t characters;

	if (store_prompt_get(w->db, &w->arena, &w->dataset, prompt, SEQ_LATEST, 0, &p, e) < 0)
		return -1;
	characters = p.characters;
	for (uint32_t i = 0; i < p.responses; i++)
		characters += p.response[i].characters;
	if (characters <= PROMPT_CHARACTERS_MAX)
		return 0;
	return err_set(e, P_TOO_LARGE, "the prompt and its %u responses hold %llu characters; %d can be shown at once",
	               p.responses, (unsigned long long)characters, PROMPT_CHARACTERS_MAX);
}

int browse_prompt(struct service *s, struct str dataset, struct str prompt, bool ledger,
                  struct answer *out, struct err *e)
{
	unsigned what = READ_MESSAGES | READ_TEXTS | READ_SCORES | READ_RATIONALES | READ_VOTES | READ_LOGPROBS |
	                (ledger ? READ_LEDGER : 0);
	struct browsing w;
	struct read_prompt p;
	double **reward;

	if (browse_begin(&w, s, dataset, out, e) < 0 || check_size(&w, prompt, e) < 0 ||
	    store_prompt_get(w.db, &w.arena, &w.dataset, prompt, SEQ_LATEST, what, &p, e) < 0)
		return browse_end(&w, -1);
	reward = ARENA_ARRAY(&w.arena, double *, p.responses);
	if (default_rewards(&w, &p, reward, e) < 0)
		return browse_end(&w, -1);
	print_prompt_head(w.b, &p);
	json_put_key(w.b, "responses");
	buf_byte(w.b, '[');
	for (uint32_t i = 0; i < p.responses; i++)
		print_response(w.b, &p.response[i], reward[i], ledger);
	buf_byte(w.b, ']');
	json_put_key(w.b, "comparisons");
	buf_byte(w.b, '[');
	for (uint32_t i = 0; i < p.votes; i++)
		print_vote(w.b, &p, &p.vote[i], ledger);
	buf_lit(w.b, "]}");
	return browse_end(&w, 0);
}

/* --- a judge's queue ---------------------------------------------------------------------- */

static int parse_cursor(struct str after, struct unscored *u, struct err *e)
{
	long long prompt, response;
	char text[64], tail;

	if (!after.p)
		return 0;
	snprintf(text, sizeof text, "%.*s", STR_ARG(after));
	if (sscanf(text, "%lld.%lld%c", &prompt, &response, &tail) != 2 || prompt < 0 || response < 0)
		return err_at(e, P_INVALID, "?after", "is no cursor that prefd gave out");
	u->after_prompt = prompt;
	u->after_response = response;
	return 0;
}

/* The round's key; a round of another dataset has no responses here. */
static int find_round(struct browsing *w, struct str id, int64_t *key, struct err *e)
{
	struct round_row round;
	int rc = store_round_get(w->db, &w->arena, id, &round, e);

	if (rc < 0 && e->problem != P_UNKNOWN_ROUND)
		return -1;
	if (rc < 0 || round.dataset_key != w->dataset.key)
		return err_at(e, P_UNKNOWN_ID, "?round", "%.*s has no round %.*s", STR_ARG(w->dataset.name), STR_ARG(id));
	*key = round.key;
	return 0;
}

static int unscored_from(struct browsing *w, const struct unscored_query *q, struct unscored *u, struct err *e)
{
	*u = (struct unscored){.judge = q->unscored_by, .attribute = q->attribute, .model = q->model,
	                       .limit = q->limit};
	if (!u->judge.p || !name_valid(u->judge))
		return err_at(e, P_INVALID, "?unscored_by", "the judge's name is required");
	if (!u->attribute.p)
		u->attribute = STR("overall");
	if (q->round.p && find_round(w, q->round, &u->round, e) < 0)
		return -1;
	return parse_cursor(q->after, u, e);
}

static void print_unscored(struct buf *b, const struct unscored_row *row)
{
	json_put_comma(b);
	buf_byte(b, '{');
	print_member(b, "id", row->response_id);
	print_member(b, "text", row->text);
	print_member(b, "model", row->model);
	json_put_key(b, "prompt");
	buf_byte(b, '{');
	print_member(b, "id", row->prompt_id);
	json_put_key(b, "messages");
	buf_str(b, row->messages);
	buf_lit(b, "}}");
}

/* One step of a page; the query's cursor moves on. */
static int print_queue(struct browsing *w, struct unscored *u, bool *more, struct err *e)
{
	struct unscored_row *row;
	int64_t cursor[2];
	uint32_t n, limit = u->limit;

	u->limit = limit < PAGE_STEP_ROWS ? limit : PAGE_STEP_ROWS;
	if (store_unscored(w->db, &w->arena, &w->dataset, u, &row, &n, more, cursor, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		print_unscored(w->b, &row[i]);
	u->after_prompt = cursor[0];
	u->after_response = cursor[1];
	u->limit = limit - n;
	return n > 0;
}

int browse_unscored(struct service *s, struct str dataset, const struct unscored_query *q,
                    struct answer *out, struct err *e)
{
	struct browsing w;
	struct unscored u;
	bool more;
	int rc;

	if (browse_begin(&w, s, dataset, out, e) < 0 || unscored_from(&w, q, &u, e) < 0)
		return browse_end(&w, -1);
	buf_lit(w.b, "{\"responses\":[");
	do {
		rc = print_queue(&w, &u, &more, e);
		if (rc < 0)
			return browse_end(&w, -1);
		/* A step that found nothing has looked far enough for one call. */
	} while (rc > 0 && more && u.limit > 0 && w.b->n < PAGE_BYTES_MAX);
	print_page_end(w.b, more, arena_printf(&w.arena, "%lld.%lld", (long long)u.after_prompt, (long long)u.after_response));
	return browse_end(&w, 0);
}
