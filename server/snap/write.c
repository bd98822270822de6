#include "snap/write.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/heap.h"
#include "layout.h"
#include "snap/read.h"
#include "stream.h"

#define TEMP_PREFIX "tmp-"

struct snap_writer {
	char *dir;
	char path[STREAM_PATH_BYTES]; /* of the file while it has no name of its own */
	struct stream file;           /* what follows the header; the pool goes here at once */
	struct stream table[SECTION_META]; /* messages, prompts, responses, pairs; [SECTION_POOL] unused */
	uint64_t pool;                /* bytes of it */
	struct buf sums;              /* 8 bytes a block: 128 a MiB of file */
	struct buf last_id;           /* of the last prompt: the order is checked */
	bool begun;                   /* last_id holds one */
	bool failed;                  /* something is half done: finishing is refused */
};

static const struct str roles[ROLE_COUNT] = {
	[ROLE_SYSTEM] = {"system", 6},
	[ROLE_USER] = {"user", 4},
	[ROLE_ASSISTANT] = {"assistant", 9},
	[ROLE_TOOL] = {"tool", 4},
};

static const struct str origins[ORIGIN_COUNT] = {
	[ORIGIN_JUDGED] = {"judged", 6},
	[ORIGIN_ON_POLICY] = {"on_policy", 9},
	[ORIGIN_RESCORED] = {"rescored", 8},
	[ORIGIN_REPLAY] = {"replay", 6},
};

struct str role_name(enum role r)
{
	return roles[r];
}

struct str origin_name(enum origin o)
{
	return origins[o];
}

enum role role_of(struct str name)
{
	int r = 0;

	while (r < ROLE_COUNT && !str_eq(name, roles[r]))
		r++;
	return (enum role)r;
}

static uint64_t records(const struct snap_writer *w, enum snap_section s)
{
	return w->table[s].total / section_record(s);
}

int snap_create(struct snap_writer **out, const char *dir, struct err *e)
{
	char path[STREAM_PATH_BYTES];
	int fd = temp_open(dir, path, e);
	struct snap_writer *w;

	if (fd < 0)
		return -1;
	w = heap_zalloc(1, sizeof *w);
	w->dir = heap_strdup(dir);
	memcpy(w->path, path, sizeof path);
	buf_init(&w->sums);
	buf_init(&w->last_id);
	stream_init(&w->file, fd, w->dir, &w->sums);
	for (int s = SECTION_MESSAGES; s < SECTION_META; s++)
		stream_init(&w->table[s], -1, w->dir, NULL);
	*out = w;
	return 0;
}

/* Frees the writer; the file stays where it is. */
static void writer_free(struct snap_writer *w)
{
	stream_release(&w->file);
	for (int s = SECTION_MESSAGES; s < SECTION_META; s++)
		stream_release(&w->table[s]);
	buf_release(&w->sums);
	buf_release(&w->last_id);
	heap_free(w->dir);
	heap_free(w);
}

void snap_abandon(struct snap_writer *w)
{
	if (w == NULL)
		return;
	unlink(w->path);
	writer_free(w);
}

/* Checked before anything of a prompt is written: what the caller must keep. */

static int check_length(struct str s, struct err *e)
{
	if (s.n > UINT32_MAX)
		return err_set(e, P_TOO_LARGE, "a text of a snapshot is longer than 4 GiB");
	return 0;
}

static void pieces_of(const struct snap_response *r, struct str piece[PIECE_COUNT])
{
	piece[PIECE_TEXT] = r->text;
	piece[PIECE_ID] = r->id;
	piece[PIECE_SCORE] = r->score;
	piece[PIECE_GOAL] = r->goal;
	piece[PIECE_GOAL_TEXT] = r->goal_text;
	piece[PIECE_REF_LOGP] = r->ref_logp;
}

static int check_response(const struct snap_response *r, struct err *e)
{
	struct str piece[PIECE_COUNT];

	pieces_of(r, piece);
	if (r->text.p == NULL || r->id.p == NULL)
		return err_set(e, P_INTERNAL, "a response came without text or id");
	for (int i = 0; i < PIECE_COUNT; i++)
		if (check_length(piece[i], e) < 0)
			return -1;
	return 0;
}

static int check_pair(const struct snap_pair *pair, uint32_t responses, struct err *e)
{
	if (pair->chosen >= responses || pair->rejected >= responses ||
	    (unsigned)pair->origin >= ORIGIN_COUNT || (unsigned)pair->plain > 1)
		return err_set(e, P_INTERNAL, "a pair came with a wrong index, origin or flag");
	return 0;
}

static int check_order(const struct snap_writer *w, const struct snap_prompt *p, struct err *e)
{
	if (p->id.p == NULL)
		return err_set(e, P_INTERNAL, "a prompt came without an id");
	if (w->begun && str_cmp(buf_view(&w->last_id), p->id) >= 0)
		return err_set(e, P_INTERNAL, "prompts came out of order");
	return check_length(p->id, e);
}

static int check_prompt(const struct snap_writer *w, const struct snap_prompt *p, struct err *e)
{
	if (check_order(w, p, e) < 0)
		return -1;
	/* Records name prompts and responses by 32 bits. */
	if (records(w, SECTION_RESPONSES) + p->responses > UINT32_MAX ||
	    records(w, SECTION_PROMPTS) >= UINT32_MAX)
		return err_set(e, P_TOO_LARGE, "a snapshot holds at most 4,294,967,295 responses");
	for (uint32_t i = 0; i < p->messages; i++) {
		if ((unsigned)p->message[i].role >= ROLE_COUNT || p->message[i].content.p == NULL)
			return err_set(e, P_INTERNAL, "a message came without role or content");
		if (check_length(p->message[i].content, e) < 0)
			return -1;
	}
	for (uint32_t i = 0; i < p->responses; i++)
		if (check_response(&p->response[i], e) < 0)
			return -1;
	for (uint32_t i = 0; i < p->pairs; i++)
		if (check_pair(&p->pair[i], p->responses, e) < 0)
			return -1;
	return 0;
}

/* Appends to the pool; `at` is where it begins there. */
static int put_text(struct snap_writer *w, struct str s, uint64_t *at, struct err *e)
{
	*at = w->pool;
	w->pool += s.n;
	return stream_add(&w->file, s.p, s.n, e);
}

static int put_messages(struct snap_writer *w, const struct snap_prompt *p, struct err *e)
{
	for (uint32_t i = 0; i < p->messages; i++) {
		struct snap_message_rec rec = {
			.length = (uint32_t)p->message[i].content.n,
			.role = (uint32_t)p->message[i].role,
		};

		if (put_text(w, p->message[i].content, &rec.offset, e) < 0 ||
		    stream_add(&w->table[SECTION_MESSAGES], &rec, sizeof rec, e) < 0)
			return -1;
	}
	return 0;
}

static int put_response(struct snap_writer *w, const struct snap_response *r, uint32_t prompt,
                        struct err *e)
{
	/* One NaN for all: the bits of another would be other bytes. */
	struct snap_response_rec rec = {
		.offset = w->pool,
		.reward = isnan(r->reward) ? (double)NAN : r->reward,
		.prompt = prompt,
	};
	struct str piece[PIECE_COUNT];
	uint64_t at;

	pieces_of(r, piece);
	for (int i = 0; i < PIECE_COUNT; i++) {
		rec.length[i] = (uint32_t)piece[i].n;
		if (piece[i].p == NULL)
			rec.absent |= UINT32_C(1) << i;
		if (put_text(w, piece[i], &at, e) < 0)
			return -1;
	}
	return stream_add(&w->table[SECTION_RESPONSES], &rec, sizeof rec, e);
}

static int put_pair(struct snap_writer *w, const struct snap_pair *pair, uint64_t first_response,
                    struct err *e)
{
	struct snap_pair_rec rec = {
		.chosen = (uint32_t)first_response + pair->chosen,
		.rejected = (uint32_t)first_response + pair->rejected,
		.lineage = pair->lineage,
		.origin = (uint8_t)pair->origin,
		.plain = (uint8_t)pair->plain,
	};

	memcpy(rec.id, pair->id, sizeof rec.id);
	return stream_add(&w->table[SECTION_PAIRS], &rec, sizeof rec, e);
}

static int put_prompt(struct snap_writer *w, const struct snap_prompt *p, struct err *e)
{
	uint32_t number = (uint32_t)records(w, SECTION_PROMPTS);
	uint64_t first_response = records(w, SECTION_RESPONSES);
	struct snap_prompt_rec rec = {
		.id_length = (uint32_t)p->id.n,
		.messages = p->messages,
		.first_message = records(w, SECTION_MESSAGES),
		.first_pair = records(w, SECTION_PAIRS),
		.pairs = p->pairs,
	};

	if (put_text(w, p->id, &rec.id, e) < 0 || put_messages(w, p, e) < 0)
		return -1;
	for (uint32_t i = 0; i < p->responses; i++)
		if (put_response(w, &p->response[i], number, e) < 0)
			return -1;
	for (uint32_t i = 0; i < p->pairs; i++)
		if (put_pair(w, &p->pair[i], first_response, e) < 0)
			return -1;
	return stream_add(&w->table[SECTION_PROMPTS], &rec, sizeof rec, e);
}

int snap_put(struct snap_writer *w, const struct snap_prompt *p, struct err *e)
{
	if (check_prompt(w, p, e) < 0 || put_prompt(w, p, e) < 0) {
		w->failed = true;
		return -1;
	}
	buf_clear(&w->last_id);
	buf_str(&w->last_id, p->id);
	w->begun = true;
	return 0;
}

/* Zeros up to where the next section begins, then its place in the header. */
static int begin_section(struct snap_writer *w, struct snap_header *h, enum snap_section s,
                         uint64_t length, struct err *e)
{
	static const char zeros[SNAP_ALIGN];

	if (stream_add(&w->file, zeros, snap_pad(w->file.total), e) < 0)
		return -1;
	h->section[s] = (struct snap_section_rec){
		.kind = (uint32_t)s,
		.record = section_record(s),
		.offset = SNAP_HEADER_BYTES + w->file.total,
		.length = length,
	};
	return 0;
}

/* Everything between the header and the sums. */
static int put_sections(struct snap_writer *w, struct snap_header *h, struct str meta, struct err *e)
{
	h->section[SECTION_POOL] = (struct snap_section_rec){
		.kind = SECTION_POOL,
		.record = section_record(SECTION_POOL),
		.offset = SNAP_HEADER_BYTES,
		.length = w->pool,
	};
	for (int s = SECTION_MESSAGES; s < SECTION_META; s++)
		if (begin_section(w, h, (enum snap_section)s, w->table[s].total, e) < 0 ||
		    stream_copy(&w->table[s], &w->file, e) < 0)
			return -1;
	if (begin_section(w, h, SECTION_META, meta.n, e) < 0 ||
	    stream_add(&w->file, meta.p, meta.n, e) < 0 ||
	    begin_section(w, h, SECTION_SUMS, 0, e) < 0)
		return -1;
	return stream_flush(&w->file, e);
}

/* The sums, which no sum covers but the header's, and then the header. */
static int put_header(struct snap_writer *w, struct snap_header *h, struct str revision,
                      uint32_t flags, struct err *e)
{
	struct snap_section_rec *sums = &h->section[SECTION_SUMS];

	sums->length = w->sums.n;
	memcpy(h->magic, SNAP_MAGIC, sizeof h->magic);
	h->version = SNAP_VERSION;
	h->flags = flags;
	h->length = sums->offset + sums->length;
	memcpy(h->revision, revision.p, SNAP_REVISION_BYTES);
	h->messages = records(w, SECTION_MESSAGES);
	h->prompts = records(w, SECTION_PROMPTS);
	h->responses = records(w, SECTION_RESPONSES);
	h->pairs = records(w, SECTION_PAIRS);
	h->sums_sum = xxh3(w->sums.p, w->sums.n);
	h->sum = xxh3(h, offsetof(struct snap_header, sum));
	if (write_at(w->file.fd, w->sums.p, w->sums.n, sums->offset, e) < 0)
		return -1;
	return write_at(w->file.fd, h, sizeof *h, 0, e);
}

static int sync_dir(const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fd < 0 || fsync(fd) < 0 ? storage_err(e, "syncing the folder of") : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

static int check_end(const struct snap_writer *w, struct str revision, struct str meta, struct err *e)
{
	if (w->failed)
		return err_set(e, P_INTERNAL, "a snapshot cannot be finished after a failure");
	if (!snap_is_revision(revision) || meta.p == NULL)
		return err_set(e, P_INTERNAL, "a snapshot needs a revision and its meta");
	return 0;
}

static int make_visible(struct snap_writer *w, struct str revision, struct err *e)
{
	char path[SNAP_PATH_BYTES];

	snap_path(w->dir, revision, path);
	if (fdatasync(w->file.fd) < 0)
		return storage_err(e, "syncing");
	if (rename(w->path, path) < 0)
		return storage_err(e, "renaming");
	return sync_dir(w->dir, e);
}

int snap_finish(struct snap_writer *w, struct str revision, struct str meta, uint32_t flags,
                uint64_t *bytes, struct err *e)
{
	struct snap_header *h = heap_zalloc(1, sizeof *h);
	int rc = -1;

	if (check_end(w, revision, meta, e) == 0 && put_sections(w, h, meta, e) == 0 &&
	    put_header(w, h, revision, flags, e) == 0)
		rc = make_visible(w, revision, e);
	*bytes = h->length;
	heap_free(h);
	if (rc < 0)
		snap_abandon(w);
	else
		writer_free(w);
	return rc;
}

void snap_sweep(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	if (d == NULL)
		return;
	while ((entry = readdir(d)) != NULL)
		if (strncmp(entry->d_name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
			unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
}
