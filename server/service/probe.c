/* probe.c - an empty write that goes through the writer's queue like any other:
 * when it is through, the writer's counters say that its thread turns. */
#include "base/heap.h"
#include "inside.h"

struct probe {
	struct work work;
	struct service *service;
};

static int apply(struct work *w, struct store *db, struct answer *out, struct err *e)
{
	(void)w;
	(void)db;
	(void)out;
	(void)e;
	return 0;
}

static void settled(struct work *w, bool committed, const struct answer *out, bool *keep)
{
	struct probe *p = (struct probe *)w;

	(void)committed;
	(void)out;
	(void)keep;
	atomic_store(&p->service->probing, false);
	heap_free(p);
}

void service_probe(struct service *s)
{
	struct probe *p;

	if (atomic_exchange(&s->probing, true))
		return;
	p = heap_zalloc(1, sizeof *p);
	p->service = s;
	p->work.apply = apply;
	p->work.settled = settled;
	writer_submit(s, &p->work);
}
