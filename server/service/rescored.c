#include "rescored.h"

#include <stdio.h>

#include "print.h"

/* --- parameters ---------------------------------------------------------------------- */

#define AT(member) offsetof(struct rescore_params, member)

static const struct field fields[] = {
	{"alpha", read_alpha, AT(alpha), false},
	{"beta", read_beta, AT(beta), false},
	{"length", read_length_unit, AT(length), false},
	{"min_responses", read_minimum, AT(min_responses), false},
};

static int read_params(struct arena *a, struct str text, struct rescore_params *p, struct err *e)
{
	struct reading r = {a, text, NULL};
	const struct json *v = json_parse(a, text, JSON_DEPTH_MAX, e);

	if (v == NULL)
		return -1;
	e->pointer[0] = '\0';
	return fields_read(&r, v, fields, FIELD_COUNT(fields), p, e);
}

int rescore_params_read(struct arena *a, struct str text, const struct round_spec *round,
                        struct rescore_params *out, struct err *e)
{
	*out = (struct rescore_params){round->beta, round->alpha, round->length, round->min_responses};
	return text.n > 0 ? read_params(a, text, out, e) : 0;
}

int rescore_params_load(struct arena *a, struct str text, struct rescore_params *out, struct err *e)
{
	*out = (struct rescore_params){0};
	if (read_params(a, text, out, e) == 0)
		return 0;
	return err_set(e, P_INTERNAL, "the stored parameters of a rescoring cannot be read");
}

void rescore_params_print(struct buf *b, const struct rescore_params *p)
{
	buf_byte(b, '{');
	if (p->alpha.found)
		print_member(b, "alpha", STR("auto"));
	else
		print_number_member(b, "alpha", p->alpha.value);
	print_number_member(b, "beta", p->beta);
	print_member(b, "length", p->length == LENGTH_TOKENS ? STR("tokens") : STR("characters"));
	print_count_member(b, "min_responses", p->min_responses);
	buf_byte(b, '}');
}

struct terms rescore_terms(const struct round_row *row, const struct rescore_params *p)
{
	return (struct terms){
		.policy = row->policy,
		.reference = row->reference,
		.sampled = row->mode == ROUND_SAMPLE,
		.beta = p->beta,
		.rule = {
			.exclude_finish_reason = row->exclude_finish_reason,
			.excludes = row->excludes,
			.min_characters = row->min_characters,
			.max_characters = row->max_characters,
			.in_tokens = p->length == LENGTH_TOKENS,
		},
	};
}

/* --- a rescoring ------------------------------------------------------------------------ */

int rescored_get(struct store *db, struct arena *a, struct str round, int64_t number, struct rescored *out,
                 struct err *e)
{
	struct rescore_params p;

	if (store_round_get(db, a, round, &out->round, e) < 0 ||
	    store_rescoring_get(db, a, round, number, &out->row, e) < 0 ||
	    rescore_params_load(a, out->row.params, &p, e) < 0)
		return -1;
	out->min_responses = (uint32_t)p.min_responses;
	out->terms = rescore_terms(&out->round, &p);
	out->terms.alpha = out->row.alpha;
	return 0;
}

/* 0: it is this dataset's. A round that is another's is as unknown as one that
 * is nobody's. Ids in a document are values, not the path: 422. */
static int want_round(struct store *db, struct arena *a, const struct dataset *d, struct str id, const char *pointer,
                      struct err *e)
{
	struct round_row row;
	int rc = store_round_get(db, a, id, &row, e);

	if (rc < 0 && e->problem != P_UNKNOWN_ROUND)
		return -1;
	if (rc < 0 || row.dataset_key != d->key)
		return err_at(e, P_UNKNOWN_ID, pointer, "%.*s has no round %.*s", STR_ARG(d->name), STR_ARG(id));
	return 0;
}

static int check_rounds(const struct recipe *r, struct store *db, struct arena *a, const struct dataset *d, struct err *e)
{
	for (size_t i = 0; i < r->rounds.n; i++) {
		char pointer[64];

		snprintf(pointer, sizeof pointer, "/recipe/filters/rounds/%zu", i);
		if (want_round(db, a, d, r->rounds.at[i], pointer, e) < 0)
			return -1;
	}
	return 0;
}

int rescored_resolve(struct recipe *r, struct store *db, struct arena *a, const struct dataset *d, int64_t *seq,
                     struct err *e)
{
	struct rescored x;

	if (check_rounds(r, db, a, d, e) < 0)
		return -1;
	if (r->made_from.round.p == NULL)
		return 0;
	if (want_round(db, a, d, r->made_from.round, "/recipe/reward/round", e) < 0)
		return -1;
	if (rescored_get(db, a, r->made_from.round, r->made_from.rescoring, &x, e) < 0)
		return e->problem == P_UNKNOWN_RESCORING
		               ? err_at(e, P_UNKNOWN_ID, "/recipe/reward/rescoring", "the round has no rescoring %lld",
		                        (long long)r->made_from.rescoring)
		               : -1;
	r->made_from.rescoring = x.row.number;
	r->has_terms = true;
	r->terms = x.terms;
	*seq = x.row.seq;
	return 0;
}
