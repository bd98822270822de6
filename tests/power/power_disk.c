#include "power_disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/heap.h"

enum { SECTOR = 512 };

/* xorshift64*: the same images in every run. */
uint64_t power_draw(struct power_rng *r, uint64_t n)
{
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return (uint64_t)(((unsigned __int128)(r->state * 2685821657736338717u) * n) >> 64);
}

void power_disk_release(struct power_disk *d)
{
	for (int i = 0; i < POWER_FILES; i++)
		buf_release(&d->durable[i]);
	heap_free(d->pending);
	*d = (struct power_disk){0};
}

static void put(struct buf *file, int64_t at, const char *p, size_t n)
{
	size_t end = (size_t)at + n;

	if (end > file->n) {
		memset(buf_room(file, end - file->n), 0, end - file->n);
		file->n = end;
	}
	memcpy(file->p + at, p, n);
}

static void apply_whole(struct buf *file, int *exists, const struct power_op *op)
{
	if (op->kind == POWER_WRITE)
		put(file, op->offset, op->data, op->n);
	else if (op->kind == POWER_TRUNCATE && (size_t)op->offset < file->n)
		file->n = (size_t)op->offset;
	else if (op->kind == POWER_DELETE)
		buf_clear(file);
	*exists = op->kind != POWER_DELETE;
}

/* A file's pending operations have reached the disk. */
static void settle(struct power_disk *d, int file)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->n; i++)
		if (d->pending[i]->file == file)
			apply_whole(&d->durable[file], &d->exists[file], d->pending[i]);
		else
			d->pending[kept++] = d->pending[i];
	d->n = kept;
}

static int has_pending(const struct power_disk *d, int file, enum power_kind kind)
{
	for (size_t i = 0; i < d->n; i++)
		if (d->pending[i]->file == file && d->pending[i]->kind == kind)
			return 1;
	return 0;
}

/* The folder was synced: deletions and creations are for good, contents are not. */
static void settle_folder(struct power_disk *d)
{
	for (int i = 0; i < POWER_FILES; i++)
		if (has_pending(d, i, POWER_DELETE))
			settle(d, i); /* nothing is written to a file behind its deletion in this log */
		else if (has_pending(d, i, POWER_CREATE))
			d->exists[i] = 1;
}

void power_disk_step(struct power_disk *d, const struct power_op *op)
{
	if (op->kind == POWER_SYNC) {
		/* SQLite syncs the folder with the first sync of a new log or journal. */
		if (op->file > 0 && has_pending(d, op->file, POWER_CREATE))
			settle_folder(d);
		settle(d, op->file);
		return;
	}
	if (d->n == d->cap) {
		d->cap = d->cap ? 2 * d->cap : 256;
		d->pending = heap_realloc(d->pending, d->cap * sizeof *d->pending);
	}
	d->pending[d->n++] = op;
	if (op->kind == POWER_DELETE && op->n)
		settle_folder(d);
}

/* Each sector with a chance of keep in 8. */
static void apply_torn(struct buf *file, const struct power_op *op, struct power_rng *r, uint64_t keep)
{
	for (size_t at = 0, n; at < op->n; at += n) {
		n = SECTOR - (size_t)((op->offset + (int64_t)at) % SECTOR);
		n = n < op->n - at ? n : op->n - at;
		if (power_draw(r, 8) < keep)
			put(file, op->offset + (int64_t)at, op->data + at, n);
	}
}

static void cut_file(const struct power_disk *d, int file, struct power_rng *r, uint64_t keep, struct buf *out,
                     int *exists)
{
	buf_clear(out);
	buf_str(out, buf_view(&d->durable[file]));
	*exists = d->exists[file];
	for (size_t i = 0; i < d->n; i++) {
		const struct power_op *op = d->pending[i];

		if (op->file != file)
			continue;
		if (op->kind == POWER_WRITE)
			apply_torn(out, op, r, keep);
		else if (power_draw(r, 8) < keep)
			apply_whole(out, exists, op);
	}
}

static void write_file(const char *folder, const char *name, const struct buf *b)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(buf_view(b).p, 1, b->n, f) != b->n || fclose(f) != 0) {
		perror(path);
		exit(2);
	}
}

void power_disk_cut(const struct power_disk *d, struct power_rng *r, const char *folder)
{
	static const uint64_t chance[] = {0, 1, 4, 7, 8};
	uint64_t keep = chance[power_draw(r, 5)];
	struct buf b = BUF_INIT;
	int exists;

	for (int i = 0; i < POWER_FILES; i++) {
		cut_file(d, i, r, keep, &b, &exists);
		if (exists)
			write_file(folder, power_file_name(i), &b);
	}
	buf_release(&b);
}
