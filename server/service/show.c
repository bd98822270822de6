#include "show.h"

static int check_view(const struct show *x, struct err *e)
{
	const struct opened *o = x->opened;
	uint32_t flags = snap_flags(o->snap);

	if (x->view.augment != AUGMENT_NONE && flags & SNAP_OUTSIDE_SCALE)
		return err_at(e, P_VIEW, "?augment", "no goals can be stated: %.*s", STR_ARG(o->outside));
	if (x->view.format == VIEW_TRL_TEXT && flags & SNAP_NOT_TEXT)
		return err_at(e, P_VIEW, "?format",
		              "trl_text takes a system message and one user message; prompt %.*s has another conversation",
		              STR_ARG(o->not_text));
	if (x->view.format == VIEW_LLAMAFACTORY && flags & SNAP_NOT_TURNS)
		return err_at(e, P_VIEW, "?format",
		              "llamafactory takes turns of user and assistant, ending with the user; prompt %.*s does not",
		              STR_ARG(o->not_turns));
	return 0;
}

int show_open(struct show *x, struct service *s, struct str snapshot, const struct view_query *q, int formats,
              struct err *e)
{
	if (shelf_get(s, snapshot, &x->opened, e) < 0)
		return -1;
	if (view_make(&x->view, &x->opened->recipe, q, formats, e) < 0 || check_view(x, e) < 0) {
		show_close(x);
		return -1;
	}
	x->examples = view_examples(x->view.augment, snap_pairs(x->opened->snap));
	return 0;
}

void show_close(struct show *x)
{
	view_release(&x->view);
	shelf_put(x->opened);
	x->opened = NULL;
}

int show_put(struct show *x, struct service *s, const uint64_t *examples, size_t n, char end, struct buf *b,
             struct err *e)
{
	int rc = view_put(&x->view, x->opened->snap, examples, n, end, b, e);

	/* What was copied may have been zeros, and what was refused for them too. */
	if (snap_damaged(x->opened->snap))
		rc = err_set(e, P_DAMAGED, "the snapshot's file was cut short, or its medium failed");
	if (rc < 0 && e->problem == P_DAMAGED)
		shelf_damaged(s, x->opened);
	return rc;
}

size_t show_bytes(const struct show *x, uint64_t n)
{
	uint64_t pairs = snap_pairs(x->opened->snap);
	uint64_t each = pairs ? snap_bytes(x->opened->snap) / pairs : 0;

	return (size_t)(n * (each + view_overhead(&x->view)));
}
