#include "rates.h"

#include <pthread.h>

#include "base/heap.h"

#define UNIT INT64_C(1000000) /* levels are in millionths of a request or byte */
enum { RETRY_MAX_SECONDS = 3600 };
#define CHARGE_MAX_BYTES (INT64_C(1) << 42) /* of one request; so no level overflows */

struct slot {
	char id[TOKEN_ID_CHARS];
	int64_t seen_us;         /* 0: free */
	int64_t requests, bytes; /* levels at seen_us */
};

struct rates {
	pthread_mutex_t mutex;
	struct slot slot[TOKENS_MAX];
};

struct rates *rates_new(void)
{
	struct rates *r = heap_zalloc(1, sizeof *r);

	pthread_mutex_init(&r->mutex, NULL);
	return r;
}

void rates_free(struct rates *r)
{
	if (r == NULL)
		return;
	pthread_mutex_destroy(&r->mutex);
	heap_free(r);
}

static bool limited(const struct token *t)
{
	return t && (t->requests_per_second || t->bytes_per_second);
}

/* --- a bucket -------------------------------------------------------------------------- */

static int64_t filled(int64_t level, int64_t per_second, int64_t elapsed_us)
{
	int64_t full = per_second * UNIT;

	if (per_second == 0 || elapsed_us > (full - level) / per_second)
		return full;
	return level + elapsed_us * per_second;
}

/* Whole seconds until the level is there, at least one. */
static int64_t seconds_to(int64_t level, int64_t wanted, int64_t per_second)
{
	int64_t s = level < wanted ? (wanted - level + per_second * UNIT - 1) / (per_second * UNIT) : 1;

	return s < 1 ? 1 : s > RETRY_MAX_SECONDS ? RETRY_MAX_SECONDS : s;
}

/* The token's own slot, or else the one that was used longest ago: there are as
 * many as there can be tokens, so that one's token is gone. */
static struct slot *find(struct rates *r, const struct token *t)
{
	struct slot *oldest = r->slot;

	for (struct slot *s = r->slot; s < r->slot + TOKENS_MAX; s++) {
		if (s->seen_us && memcmp(s->id, t->id.p, TOKEN_ID_CHARS) == 0)
			return s;
		if (s->seen_us < oldest->seen_us)
			oldest = s;
	}
	memcpy(oldest->id, t->id.p, TOKEN_ID_CHARS);
	oldest->seen_us = 0;
	return oldest;
}

static struct slot *refill(struct rates *r, const struct token *t, int64_t now_us)
{
	struct slot *s = find(r, t);
	bool fresh = s->seen_us == 0;
	int64_t elapsed = now_us > s->seen_us ? now_us - s->seen_us : 0;

	s->requests = fresh ? t->requests_per_second * UNIT : filled(s->requests, t->requests_per_second, elapsed);
	s->bytes = fresh ? t->bytes_per_second * UNIT : filled(s->bytes, t->bytes_per_second, elapsed);
	if (fresh || elapsed > 0)
		s->seen_us = now_us;
	return s;
}

/* --- the door ------------------------------------------------------------------------------ */

static int take(struct slot *s, const struct token *t, int *retry_s, struct err *e)
{
	if (t->requests_per_second && s->requests < UNIT) {
		*retry_s = (int)seconds_to(s->requests, UNIT, t->requests_per_second);
		return err_set(e, P_TOO_MANY, "this token may ask %lld times a second", (long long)t->requests_per_second);
	}
	if (t->bytes_per_second && s->bytes < 0) {
		*retry_s = (int)seconds_to(s->bytes, 0, t->bytes_per_second);
		return err_set(e, P_TOO_MANY, "this token may move %lld bytes a second", (long long)t->bytes_per_second);
	}
	if (t->requests_per_second)
		s->requests -= UNIT;
	return 0;
}

int rates_enter(struct rates *r, const struct token *t, int64_t now_us, struct rate_left *left, int *retry_s,
                struct err *e)
{
	struct slot *s;
	int rc;

	if (!limited(t))
		return 0;
	pthread_mutex_lock(&r->mutex);
	s = refill(r, t, now_us);
	rc = take(s, t, retry_s, e);
	left->requests = s->requests / UNIT;
	left->bytes = s->bytes > 0 ? s->bytes / UNIT : 0;
	left->requests_s = t->requests_per_second ? seconds_to(s->requests, UNIT, t->requests_per_second) : 0;
	left->bytes_s = t->bytes_per_second ? seconds_to(s->bytes, 0, t->bytes_per_second) : 0;
	pthread_mutex_unlock(&r->mutex);
	return rc;
}

void rates_charge(struct rates *r, const struct token *t, uint64_t bytes, int64_t now_us)
{
	if (t == NULL || t->bytes_per_second == 0)
		return;
	pthread_mutex_lock(&r->mutex);
	refill(r, t, now_us)->bytes -= (bytes < CHARGE_MAX_BYTES ? (int64_t)bytes : CHARGE_MAX_BYTES) * UNIT;
	pthread_mutex_unlock(&r->mutex);
}
