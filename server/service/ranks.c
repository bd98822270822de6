#include "ranks.h"

#include "align/goal.h"

int ranks_open(struct ranks *r, const char *dir, struct err *e)
{
	*r = (struct ranks){.n = 0};
	return side_open(&r->side, dir, e);
}

int ranks_add(struct ranks *r, const double *x, size_t n, struct err *e)
{
	r->n += n;
	return side_add(&r->side, x, n * sizeof *x, e);
}

int ranks_seal(struct ranks *r, struct err *e)
{
	void *p;

	if (side_seal(&r->side, e) < 0 || side_map(&r->side, &p, e) < 0)
		return -1;
	r->sorted = p;
	if (r->n > 0)
		goal_sort(r->sorted, r->n);
	return 0;
}

void ranks_release(struct ranks *r)
{
	side_close(&r->side);
	*r = (struct ranks){.side.fd = -1};
}
