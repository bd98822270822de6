/* score_run.h - one run over a round's unscored responses. Loop's thread,
 * unless said otherwise; not from within a fetch's done, but for run_poke. */
#ifndef PREFD_SERVICE_SCORE_RUN_H
#define PREFD_SERVICE_SCORE_RUN_H

#include <pthread.h>
#include <stdatomic.h>

#include "score.h"

/* An engine's places, which all runs that ask it share. */
struct gate {
	struct gate *next;
	char *id;
	uint32_t in_flight, max;
	int users; /* sides */
};

enum ask_state { ASK_READY, ASK_SENT, ASK_RESTING, ASK_READING };

/* One response and one model. */
struct ask {
	struct ask *next, **at;
	struct side *side;
	struct arena arena;
	struct str response;
	struct engine_ids ids;
	enum ask_state state;
	enum engine_form form;
	int tries;       /* in this form */
	int64_t due_us;  /* of ASK_RESTING; of clock_steady_us */
	struct buf body; /* of the answer */
	enum score_failure failed;
	double logprob;
};

struct asks {
	struct ask *head;
	uint32_t n;
};

/* One model of the run's round, and its engine. */
struct side {
	struct run *run;
	int model; /* 0 the policy, 1 the reference */
	bool wanted;
	struct engine_row engine;
	struct gate *gate;
	bool echo;        /* the engine knows only the older form */
	bool exhausted;   /* no page is left */
	struct asks ready, out; /* not begun; begun, each with a place of the gate */
	uint64_t turn;          /* when it last got a place, in places */
	/* While a page is read these are the pool's. */
	bool reading;
	struct buf after; /* the last prompt that was read */
	struct asks page;
	int64_t page_failed[SCORE_FAILURE_COUNT];
	bool page_last;
	struct err err;
};

struct delivery;

struct run {
	struct run *next;
	struct scores *scores;
	struct arena arena;
	struct round_row round; /* what the store needs of it */
	struct side side[2];
	struct fetches *fetches;
	int working;           /* pages and answers on the pool */
	struct asks scored;    /* to be delivered */
	struct delivery *delivery;
	int64_t deliver_at_us; /* not before; of clock_steady_us */
	bool refused;          /* the round takes no more */
	_Atomic bool stop;     /* asked to; any thread */
	bool over;             /* nothing of it is left but its report */
	bool replaced;         /* by a later run; the scores' mutex */
	struct scoring report; /* the scores' mutex */
};

struct scores {
	struct service *service;
	pthread_mutex_t mutex; /* guards the lists' links, replaced and report */
	struct run *fresh;     /* begun, not taken over by the loop */
	struct run *runs;      /* changed by the loop's thread alone */
	struct gate *gates;
	bool draining, poked;
	uint64_t turn;         /* places given so far */
	int64_t wake_us;       /* of the alarm that comes first; 0: none */
};

/* --- score_ask.c --------------------------------------------------------------------- */

/* Lists are any thread's that owns them. */
void asks_put(struct asks *l, struct ask *a);
void asks_take(struct asks *l, struct ask *a);
void asks_free(struct asks *l);
/* Everything of `from`; its order turns round. */
void asks_move(struct asks *to, struct asks *from);
void ask_free(struct ask *a);
/* It is no longer out and gives its place back. */
void ask_leave(struct ask *a);
/* Whether the side has something to ask, and its engine a place for it. */
bool run_may_ask(const struct side *d);
void run_ask(struct side *d);
/* Sends those of the side again whose rest is over. */
void asks_send_due(struct side *d, int64_t now_us);
/* Adds to a counter of the run's report. */
void run_count(struct run *r, int64_t *counter, int64_t n);
bool run_running(const struct run *r);

/* --- score_run.c --------------------------------------------------------------------- */

/* Any thread. */
struct run *run_new(struct scores *x, const struct score_plan *plan);
/* Nothing of it is on the pool, and the writer has ended or it is over. */
void run_free(struct run *r);
/* Pages, deliveries, tries that are due; the run's end. */
void run_go_on(struct run *r);
/* When it must go on by itself; 0: others will tell. */
int64_t run_due_us(const struct run *r);

/* --- score.c --------------------------------------------------------------------------- */

/* Lets all runs go on soon. Also from within a fetch's done. */
void scores_poke(struct scores *x);
/* The same at once. */
void scores_go_on(void *scores);

#endif
