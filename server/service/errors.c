#include "errors.h"

#include "base/json.h"

void row_errors_init(struct row_errors *r, struct arena *a)
{
	*r = (struct row_errors){.arena = a};
}

void row_errors_add(struct row_errors *r, uint64_t row, const struct err *e)
{
	r->total++;
	r->conflicts += e->problem == P_CONFLICT;
	if (r->count == ROW_ERRORS_NAMED_MAX)
		return;
	if (r->named == NULL)
		r->named = ARENA_ARRAY(r->arena, struct row_error, ROW_ERRORS_NAMED_MAX);
	r->named[r->count++] = (struct row_error){row, e->problem, arena_strdup(r->arena, e->pointer),
	                                          arena_strdup(r->arena, e->detail)};
}

static void print_one(struct buf *b, const struct row_error *x)
{
	json_put_comma(b);
	buf_printf(b, "{\"row\":%llu,\"pointer\":", (unsigned long long)x->row);
	json_put_string(b, str_of(x->pointer));
	buf_lit(b, ",\"detail\":");
	json_put_string(b, str_of(x->detail));
	buf_byte(b, '}');
}

void row_errors_print(struct buf *b, struct row_errors *const *lists, int n)
{
	uint32_t at[4] = {0}, named = 0;
	uint64_t total = 0;

	for (int i = 0; i < n; i++)
		total += lists[i]->total;
	buf_lit(b, "\"errors\":[");
	for (; named < ROW_ERRORS_NAMED_MAX; named++) {
		int next = -1;

		for (int i = 0; i < n; i++)
			if (at[i] < lists[i]->count &&
			    (next < 0 || lists[i]->named[at[i]].row < lists[next]->named[at[next]].row))
				next = i;
		if (next < 0)
			break;
		print_one(b, &lists[next]->named[at[next]++]);
	}
	buf_byte(b, ']');
	if (total > 0)
		buf_printf(b, ",\"errors_total\":%llu", (unsigned long long)total);
}

int row_errors_refuse(const struct row_errors *r, uint64_t rows, struct answer *out, struct err *e)
{
	struct row_errors *const one[1] = {(struct row_errors *)r};
	const struct row_error *first = &r->named[0];
	enum problem p = P_CONFLICT;

	for (uint32_t i = 0; i < r->count && p == P_CONFLICT; i++)
		p = r->named[i].problem;
	/* More than are named, and only those behind them are no conflicts. */
	if (p == P_CONFLICT && r->conflicts < r->total)
		p = P_UNKNOWN_ID;
	row_errors_print(&out->problem_more, one, 1);
	return err_set(e, p, "%llu of %llu rows refused, nothing stored; row %llu%s%s: %s",
	               (unsigned long long)r->total, (unsigned long long)rows, (unsigned long long)first->row,
	               first->pointer[0] ? " at " : "", first->pointer, first->detail);
}
