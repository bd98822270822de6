/* export.c - all examples of a view, streamed in stored order. */
#include "base/heap.h"
#include "inside.h"
#include "service/snapshots.h"
#include "show.h"

enum { PIECE_BYTES = 64 * 1024 };

struct export {
	struct service *service;
	struct show show;
	uint64_t next;
};

int snapshots_export(struct service *s, struct str snapshot, const struct view_query *view,
                     struct export **out, struct answer *head, struct err *e)
{
	struct export *x = heap_zalloc(1, sizeof *x);

	x->service = s;
	if (show_open(&x->show, s, snapshot, view, VIEW_FORMATS, e) < 0) {
		heap_free(x);
		return -1;
	}
	head->status = 200;
	head->type = "application/x-ndjson";
	answer_header(head, "X-Revision", "%.*s", STR_ARG(x->show.opened->row.revision));
	*out = x;
	return 0;
}

int export_next(struct export *x, struct buf *out, struct err *e)
{
	size_t until = out->n + PIECE_BYTES;

	while (x->next < x->show.examples && out->n < until) {
		if (show_put(&x->show, x->service, &x->next, 1, '\n', out, e) < 0)
			return -1;
		x->next++;
	}
	return x->next < x->show.examples;
}

void export_close(struct export *x)
{
	if (x == NULL)
		return;
	show_close(&x->show);
	heap_free(x);
}
