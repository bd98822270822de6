/* reaper.h - ends connections of clients that are too slow.
 *
 * libmicrohttpd's timeout counts silence only: a client that sends a byte a
 * second would live for ever. A watch follows one connection through
 *
 *      HEAD --headers are there--> BODY or WORK --answer queued--> SEND --> HEAD
 *
 * HEAD has a deadline; BODY and SEND must move SLOWEST_BYTES_PER_SECOND over
 * each SLOW_WINDOW_SECONDS; WORK is ours and is not the client's fault. An
 * ended connection is shut down, never closed: its thread does that. */
#ifndef PREFD_HTTP_REAPER_H
#define PREFD_HTTP_REAPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { SLOWEST_BYTES_PER_SECOND = 1024, SLOW_WINDOW_SECONDS = 10 };

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_WORK, PHASE_SEND };

/* Written by the connection's thread, read by the reaper. */
struct watch {
	struct watch *next, **at;
	int fd;
	_Atomic int phase;
	_Atomic int64_t deadline_us; /* of PHASE_HEAD */
	_Atomic int64_t window_us;   /* when this window began */
	_Atomic uint64_t received;   /* bytes of the body in this window */
	uint64_t acked;              /* the reaper's: bytes acknowledged at the window's begin */
};

struct reaper {
	pthread_mutex_t mutex; /* guards the list; held over shutdown(2), so that fd is still ours */
	struct watch *head;
	int64_t header_us, idle_us;
};

void reaper_init(struct reaper *r, int header_seconds, int idle_seconds);
void reaper_destroy(struct reaper *r);
/* A new connection, and its end. Connection's thread. */
struct watch *reaper_open(struct reaper *r, int fd);
void reaper_close(struct reaper *r, struct watch *w);
/* The request line is there: the headers' time runs. */
void reaper_line(struct reaper *r, struct watch *w);
void reaper_body(struct watch *w, size_t bytes); /* more of the body is there */
void reaper_phase(struct reaper *r, struct watch *w, enum phase phase);
/* Shuts down the slow ones. The loop's thread, about once a second. */
void reaper_tick(struct reaper *r, int64_t now_us);

#endif
