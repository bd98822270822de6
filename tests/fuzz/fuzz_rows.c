/* Rows of every kind and form: what is taken survives packing and unpacking. */
#include "../../server/service/rows.h"
#include "fuzz.h"

static const struct attribute declared[1] = {{{"helpfulness", 11}, 1, 5}};
static const struct dataset dataset = {.attribute = declared, .attributes = 1};
static const struct round_row round_of = {
	.mode = ROUND_SAMPLE, .policy = {"p", 1}, .reference = {"a/r", 3}, .per_prompt = 4};

/* The first byte says which row it is to be. */
static struct row_rules rules_of(uint8_t choice)
{
	struct row_rules r = {.kind = choice % 5, .dataset = &dataset, .round = &round_of};

	if (r.kind == ROW_RECORD)
		r.format = choice / 5 % FORMAT_COUNT;
	r.fix_overall = choice & 0x80;
	if (choice & 0x40)
		r.judge = STR("judge");
	return r;
}

static void must_survive(struct arena *a, const struct row *row)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	struct row again = {0};
	struct err e = {0};

	row_pack(&once, row);
	MUST(row_unpack(a, buf_view(&once), &again, &e) == 0);
	row_pack(&twice, &again);
	MUST(str_eq(buf_view(&once), buf_view(&twice)));
	buf_release(&once);
	buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct row_rules rules;
	struct row row = {0};
	struct err e = {0};
	struct arena a;

	if (size == 0)
		return 0;
	rules = rules_of(data[0]);
	arena_init(&a);
	if (row_read(&a, &rules, text_of(data + 1, size - 1), &row, &e) < 0)
		must_explain(&e);
	else
		must_survive(&a, &row);
	arena_release(&a);
	return 0;
}
