#include "reaper.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/metric.h"

#define SECOND_US INT64_C(1000000)

void reaper_init(struct reaper *r, int header_seconds, int idle_seconds)
{
	pthread_mutex_init(&r->mutex, NULL);
	r->head = NULL;
	r->header_us = header_seconds * SECOND_US;
	r->idle_us = idle_seconds * SECOND_US;
}

void reaper_destroy(struct reaper *r)
{
	pthread_mutex_destroy(&r->mutex);
}

struct watch *reaper_open(struct reaper *r, int fd)
{
	struct watch *w = heap_zalloc(1, sizeof *w);

	w->fd = fd;
	atomic_init(&w->phase, PHASE_HEAD);
	atomic_init(&w->deadline_us, clock_steady_us() + r->header_us);
	pthread_mutex_lock(&r->mutex);
	w->next = r->head;
	w->at = &r->head;
	if (w->next)
		w->next->at = &w->next;
	r->head = w;
	pthread_mutex_unlock(&r->mutex);
	metric_add(M_HTTP_CONNECTIONS, 1);
	return w;
}

void reaper_close(struct reaper *r, struct watch *w)
{
	pthread_mutex_lock(&r->mutex);
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	pthread_mutex_unlock(&r->mutex);
	heap_free(w);
	metric_add(M_HTTP_CONNECTIONS, -1);
}

void reaper_line(struct reaper *r, struct watch *w)
{
	int64_t deadline = clock_steady_us() + r->header_us;

	if (deadline < atomic_load(&w->deadline_us))
		atomic_store(&w->deadline_us, deadline);
}

void reaper_body(struct watch *w, size_t bytes)
{
	atomic_fetch_add_explicit(&w->received, bytes, memory_order_relaxed);
}

void reaper_phase(struct reaper *r, struct watch *w, enum phase phase)
{
	int64_t now = clock_steady_us();

	/* An idle connection may wait idle_us for its next request, which then
	 * has header_us more: a trickle of headers ends here at the latest. */
	if (phase == PHASE_HEAD)
		atomic_store(&w->deadline_us, now + r->idle_us + r->header_us);
	atomic_store(&w->received, 0);
	atomic_store(&w->window_us, now);
	atomic_store(&w->phase, (int)phase);
}

/* Bytes of ours that the client's system has acknowledged so far. */
static uint64_t acknowledged(int fd)
{
	struct tcp_info info = {0};
	socklen_t n = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
		return 0;
	return info.tcpi_bytes_acked;
}

/* The bytes moved since the window began; at its end the next one begins. */
static bool window_slow(struct watch *w, int phase, int64_t now_us)
{
	uint64_t acked, moved;

	if (now_us - atomic_load(&w->window_us) < SLOW_WINDOW_SECONDS * SECOND_US)
		return false;
	acked = phase == PHASE_SEND ? acknowledged(w->fd) : 0;
	moved = phase == PHASE_SEND ? acked - w->acked : atomic_load(&w->received);
	if (moved < SLOWEST_BYTES_PER_SECOND * SLOW_WINDOW_SECONDS)
		return true;
	w->acked = acked;
	atomic_store(&w->received, 0);
	atomic_store(&w->window_us, now_us);
	return false;
}

static bool too_slow(struct watch *w, int64_t now_us)
{
	int phase = atomic_load(&w->phase);

	if (phase == PHASE_HEAD)
		return now_us > atomic_load(&w->deadline_us);
	return phase != PHASE_WORK && window_slow(w, phase, now_us);
}

void reaper_tick(struct reaper *r, int64_t now_us)
{
	static const char *const doing[] = {"headers", "body", "work", "reading the answer"};

	pthread_mutex_lock(&r->mutex);
	for (struct watch *w = r->head; w; w = w->next) {
		if (!too_slow(w, now_us))
			continue;
		log_debug("http", "slow client ended in=\"%s\"", doing[atomic_load(&w->phase)]);
		shutdown(w->fd, SHUT_RDWR);
		/* Not again before its thread has noticed. */
		atomic_store(&w->deadline_us, INT64_MAX);
		atomic_store(&w->window_us, INT64_MAX / 2);
	}
	pthread_mutex_unlock(&r->mutex);
}
