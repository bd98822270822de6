/* score.h - rounds whose log-probabilities the daemon asks engines for.
 *
 *      begin --> RUNNING --all asked, all told--> DONE
 *                   |
 *                   +--the round is closed, drain, the store fails--> STOPPED
 *
 * A run is in memory alone: what is missing is known from the facts, so the
 * next one goes on. It walks over the round's unscored responses page by page,
 * for each model that has an engine, and delivers through the writer in groups. */
#ifndef PREFD_SERVICE_SCORE_H
#define PREFD_SERVICE_SCORE_H

#include "engine.h"
#include "inside.h"

enum scoring_state { SCORING_RUNNING, SCORING_DONE, SCORING_STOPPED };

/* How far a run is; log-probabilities. One that was asked was delivered or has
 * failed when its run is done; only missing_token_ids and too_many_tokens fail
 * without being asked. */
struct scoring {
	enum scoring_state state;
	int64_t asked, delivered;
	int64_t failed[SCORE_FAILURE_COUNT];
};

/* Of a round whose engines were looked up. */
struct score_plan {
	struct round_row round;
	bool wanted[2]; /* policy, reference */
	struct engine_row engine[2];
};

struct scores *scores_new(struct service *s);
/* After the writer's end. Loop's thread. */
void scores_free(struct scores *x);
/* Copies the plan. Nothing happens when the round's run goes on already. Any thread. */
void scores_begin(struct scores *x, const struct score_plan *plan);
/* The round's run ends soon, if there is one. Any thread. */
void scores_stop(struct scores *x, struct str round);
/* The last run of the round since the start; false: none. Any thread. */
bool scores_get(struct scores *x, struct str round, struct scoring *out);
/* Loop's thread, before the loop ends: every run stops, and none begins. */
void scores_drain(struct scores *x);

/* `,"scoring":{"state",…}` */
void print_scoring(struct buf *b, const struct scoring *x);

#endif
