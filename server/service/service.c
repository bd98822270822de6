#include "service/service.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "backups.h"
#include "base/heap.h"
#include "inside.h"
#include "score.h"
#include "service/tokens.h"

enum { TICK_MS = 1000, HOUSEKEEPING_TICKS = 10 };
#define DISK_LOW_BYTES (16LL << 20) /* below this /readyz says so */

static int make_dir(const char *path, struct err *e)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return err_set(e, errno == ENOSPC ? P_STORAGE_FULL : P_INTERNAL, "cannot make the folder %s: %s", path,
	               strerror(errno));
}

static void tick(void *ctx)
{
	struct service *s = ctx;

	snapshots_tick(s);
	if (s->ticks++ % HOUSEKEEPING_TICKS == 0)
		writer_tick(s);
}

int service_open(struct service **out, const struct conf *conf, struct loop *loop, struct err *e)
{
	struct service *s = heap_zalloc(1, sizeof *s);

	s->conf = conf;
	s->loop = loop;
	s->spools.dir = conf->data;
	atomic_init(&s->spools.left_bytes, conf->spool_bytes);
	snprintf(s->snap_dir, sizeof s->snap_dir, "%s/snapshots", conf->data);
	if (make_dir(conf->data, e) < 0 || make_dir(s->snap_dir, e) < 0 || writer_start(&s->writer, conf, e) < 0) {
		heap_free(s);
		return -1;
	}
	s->readers = readers_new(conf->data);
	s->known = known_new();
	s->scores = scores_new(s);
	s->backups = backups_new(s);
	if (tokens_open(&s->tokens, conf->data, e) < 0 || snapshots_start(s, e) < 0) {
		service_close(s);
		return -1;
	}
	loop_every(loop, TICK_MS, tick, s);
	*out = s;
	return 0;
}

void service_drain(struct service *s)
{
	scores_drain(s->scores);
	snapshots_drain(s);
	backups_drain(s->backups);
}

void service_close(struct service *s)
{
	if (s == NULL)
		return;
	snapshots_drain(s);
	backups_free(s->backups);
	writer_stop(s->writer); /* what it still settles may be a snapshot */
	snapshots_stop(s);
	scores_free(s->scores);
	readers_free(s->readers);
	known_free(s->known);
	tokens_close(s->tokens);
	heap_free(s);
}

const struct conf *service_conf(const struct service *s)
{
	return s->conf;
}

int service_ready(struct service *s, struct err *e)
{
	struct statvfs fs;

	if (writer_failed(s->writer))
		return err_set(e, P_UNAVAILABLE, "the store failed and takes no more writes; see the log");
	if (statvfs(s->conf->data, &fs) == 0 && (long long)fs.f_bavail * (long long)fs.f_frsize < DISK_LOW_BYTES)
		return err_set(e, P_STORAGE_FULL, "less than %lld bytes are left on the disk of the data folder",
		               DISK_LOW_BYTES);
	return 0;
}
