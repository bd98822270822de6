/* aside.h - a thread that does one thing at a time beside its owner.
 *
 *      idle --aside_begin--> at work --aside_end--> idle
 *
 * What the owner wrote before aside_begin the work sees, and what it wrote the
 * owner sees behind aside_end. Where no thread can be had the work is done at
 * once. */
#ifndef PREFD_SERVICE_ASIDE_H
#define PREFD_SERVICE_ASIDE_H

struct aside;

/* The thread begins with the first work. */
struct aside *aside_new(void);
/* Idle. NULL is allowed. */
void aside_free(struct aside *a);
/* Idle. */
void aside_begin(struct aside *a, void (*work)(void *), void *ctx);
/* Waits for the work, if there is any. */
void aside_end(struct aside *a);

#endif
