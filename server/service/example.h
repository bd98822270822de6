/* example.h - one example at work: what view.c and forms.c share. */
#ifndef PREFD_SERVICE_EXAMPLE_H
#define PREFD_SERVICE_EXAMPLE_H

#include "view.h"

/* One example at work. Chosen and rejected are as they will stand: the twin of
 * the lower goal has already changed their places. */
struct example {
	const struct view *view;
	struct snap *snap;
	const struct snap_view *pair;
	const struct snap_response *chosen, *rejected;
	const char *twin;
	struct str goal; /* as it stands in the prompt; STR_NONE: none */
	uint32_t goal_at; /* the message that the goal goes before; NEW_MESSAGE */
	struct buf *b;
	struct err *e;
};
#define NEW_MESSAGE UINT32_MAX

static inline void put(struct buf *b, const char *p, size_t n)
{
	char *to = b->cap - b->n >= n ? b->p + b->n : buf_room(b, n);

	memcpy(to, p, n);
	b->n += n;
}

#define put_lit(b, lit) put((b), "" lit, sizeof(lit) - 1)

static inline void put_str(struct buf *b, struct str s)
{
	if (s.n > 0)
		put(b, s.p, s.n);
}

/* --- view.c ------------------------------------------------------------------------- */

int example_message(const struct example *x, uint32_t m, struct snap_message *out);
/* The template's text with the goal in it. */
void put_goal(const struct example *x);
/* The text of message i, with the goal in front where it belongs. */
void put_content(const struct example *x, uint32_t i, const struct snap_message *m);
/* The messages, without the brackets. */
int put_messages(const struct example *x);
void put_answer(struct buf *b, struct str text);

/* --- forms.c ------------------------------------------------------------------------ */

int put_openrlhf(const struct example *x);
int put_llamafactory(const struct example *x);

#endif
