#include "service/answer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/heap.h"

void answer_init(struct answer *a)
{
	memset(a, 0, sizeof *a);
}

void answer_release(struct answer *a)
{
	buf_release(&a->body);
	buf_release(&a->problem_more);
}

void answer_header(struct answer *a, const char *name, const char *fmt, ...)
{
	struct answer_header *h;
	va_list ap;

	if (a->headers == ANSWER_HEADERS_MAX)
		return;
	h = &a->header[a->headers++];
	h->name = name;
	va_start(ap, fmt);
	vsnprintf(h->value, sizeof h->value, fmt, ap);
	va_end(ap);
}

int answer_problem(struct answer *a, const struct err *e)
{
	a->err = *e;
	a->status = problem_status(e->problem);
	buf_clear(&a->body);
	return -1;
}

struct pending *pending_new(void (*resume)(void *ctx), void *ctx)
{
	struct pending *p = heap_zalloc(1, sizeof *p);

	atomic_init(&p->taken, 0);
	atomic_init(&p->refs, 1);
	answer_init(&p->answer);
	p->resume = resume;
	p->ctx = ctx;
	return p;
}

void pending_ref(struct pending *p)
{
	atomic_fetch_add(&p->refs, 1);
}

void pending_unref(struct pending *p)
{
	if (atomic_fetch_sub(&p->refs, 1) > 1)
		return;
	answer_release(&p->answer);
	if (p->drop)
		p->drop(p->kept);
	heap_free(p);
}

void pending_keep(struct pending *p, void (*drop)(void *kept), void *kept)
{
	if (p == NULL) {
		drop(kept);
		return;
	}
	p->drop = drop;
	p->kept = kept;
}

bool pending_take(struct pending *p)
{
	return atomic_exchange(&p->taken, 1) == 0;
}

void pending_finish(struct pending *p)
{
	p->resume(p->ctx);
}

void pending_fail(struct pending *p, const struct err *e)
{
	if (!pending_take(p))
		return;
	answer_problem(&p->answer, e);
	pending_finish(p);
}
