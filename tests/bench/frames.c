/* frames.c - what compressed batches cost, and what stored frames would save.
 *
 *   frames BATCH.ndjson...      batches as `GET .../batch` gives them, format trl
 *
 *   copy         texts and what stands between them, copied: no compression
 *   zstd.N       the whole batch anew at level N; "new" with a context each time
 *   gzip.N       likewise
 *   frames.N     each text was stored as a frame of level N; they are copied one
 *                behind the other, and what stands between them (glue) goes as
 *                frames of one raw block
 *   dict.N       the same, the frames made with a dictionary of these texts
 *   example.N    each example is one stored frame: what the finest storing could
 *                gain, though a view would then have to be stored as well
 * A text is the content of a user's or an assistant's message; a system message
 * carries the goal, so it is made anew each time and is glue.
 *
 * One line each: way, bytes a batch, ratio to copy, microseconds of CPU a batch
 * to pack and to unpack, bytes of stored frames for a byte of text. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zdict.h>
#include <zlib.h>
#include <zstd.h>

enum {
	BATCHES_MAX = 512,
	DICT_BYTES = 110 * 1024, /* zstd's own default */
	ROUNDS = 3,
	GLUE_FRAME_BYTES = 12, /* magic 4, descriptor 1, size 4, block's header 3 */
	GLUE_BYTES_MAX = 64 * 1024,
};
static const double ROUND_S = 0.12;

struct piece {
	const char *p;
	char *frame; /* NULL for glue, and for texts that do not shrink */
	size_t n, frame_n;
};

struct batch {
	char *p;
	size_t n, pieces;
	struct piece *piece;
};

enum kind { COPY, ZSTD, ZSTD_NEW, GZIP, FRAMES, DICT, EXAMPLE };

struct way {
	const char *name;
	enum kind kind;
	int level;
};

static const struct way ways[] = {
	{"copy", COPY, 0},         {"zstd.-5", ZSTD, -5},    {"zstd.-1", ZSTD, -1},      {"zstd.1", ZSTD, 1},
	{"zstd.1new", ZSTD_NEW, 1}, {"zstd.3", ZSTD, 3},      {"zstd.3new", ZSTD_NEW, 3}, {"gzip.1", GZIP, 1},
	{"gzip.6", GZIP, 6},       {"frames.3", FRAMES, 3},  {"frames.9", FRAMES, 9},    {"frames.19", FRAMES, 19},
	{"dict.3", DICT, 3},       {"dict.19", DICT, 19},    {"example.3", EXAMPLE, 3},  {"example.19", EXAMPLE, 19},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

static struct batch batch[BATCHES_MAX];
static size_t batches, largest;
static char *packed, *plain; /* room for the largest batch either way */
static size_t room;
static ZSTD_CCtx *cctx;
static ZSTD_DCtx *dctx;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "frames: %s\n", what);
	exit(1);
}

static void *get(size_t n)
{
	void *p = malloc(n ? n : 1);

	must(p != NULL, "no memory");
	return p;
}

/* --- batches and their pieces ---------------------------------------------------- */

static void add_piece(struct batch *b, const char *from, const char *to)
{
	if (from == to)
		return;
	b->piece = realloc(b->piece, (b->pieces + 1) * sizeof *b->piece);
	must(b->piece != NULL, "no memory");
	b->piece[b->pieces++] = (struct piece){.p = from, .n = (size_t)(to - from)};
}

/* The first content of a user or an assistant at or behind p; NULL: none. */
static const char *next_text(const char *p, const char *end)
{
	static const char *const marks[] = {"\"user\",\"content\":\"", "\"assistant\",\"content\":\""};
	const char *first = NULL;

	for (int i = 0; i < 2; i++) {
		const char *at = memmem(p, (size_t)(end - p), marks[i], strlen(marks[i]));

		if (at != NULL && (first == NULL || at + strlen(marks[i]) < first))
			first = at + strlen(marks[i]);
	}
	return first;
}

static const char *string_end(const char *p, const char *end)
{
	while (p < end && *p != '"')
		p += *p == '\\' ? 2 : 1;
	must(p < end, "a batch breaks off in a text");
	return p;
}

/* Pieces in turn: glue, text, glue, text, ..., glue. Or the lines. */
static void cut(struct batch *b, bool lines)
{
	const char *p = b->p, *end = b->p + b->n, *text;

	for (size_t j = 0; j < b->pieces; j++)
		free(b->piece[j].frame);
	b->pieces = 0;
	while (lines && p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		must(nl != NULL, "a batch is not NDJSON");
		add_piece(b, p, nl + 1);
		p = nl + 1;
	}
	while (!lines && (text = next_text(p, end)) != NULL) {
		add_piece(b, p, text);
		p = string_end(text, end);
		add_piece(b, text, p);
	}
	add_piece(b, p, end);
}

static bool is_text(const struct batch *b, const struct piece *x)
{
	return x->p > b->p && x->p[-1] == '"' && memcmp(x->p - 11, "\"content\":\"", 11) == 0;
}

static void load(const char *path)
{
	struct batch *b = &batch[batches++];
	FILE *f = fopen(path, "rb");
	long n;

	must(batches < BATCHES_MAX, "too many batches");
	must(f != NULL && fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) > 0, path);
	rewind(f);
	b->n = (size_t)n;
	b->p = get(b->n);
	must(fread(b->p, 1, b->n, f) == b->n, path);
	fclose(f);
	largest = b->n > largest ? b->n : largest;
}

/* --- stored frames ----------------------------------------------------------------- */

static ZSTD_CDict *make_dict(int level, ZSTD_DDict **d)
{
	size_t total = 0, count = 0, i = 0, used = 0, *size, n;
	char *all, *dict = get(DICT_BYTES);

	for (size_t k = 0; k < batches; k++)
		total += batch[k].n, count += batch[k].pieces;
	all = get(total);
	size = get(count * sizeof *size);
	for (size_t k = 0; k < batches; k++)
		for (size_t j = 0; j < batch[k].pieces; j++)
			if (is_text(&batch[k], &batch[k].piece[j])) {
				memcpy(all + used, batch[k].piece[j].p, batch[k].piece[j].n);
				used += size[i++] = batch[k].piece[j].n;
			}
	n = ZDICT_trainFromBuffer(dict, DICT_BYTES, all, size, (unsigned)i);
	must(!ZDICT_isError(n), "no dictionary");
	*d = ZSTD_createDDict(dict, n);
	free(all);
	free(size);
	return ZSTD_createCDict(dict, n, level); /* keeps a copy */
}

/* Bytes of frames for a byte of text. */
static double store_frames(struct batch *b, int level, const ZSTD_CDict *dict, bool all, size_t *texts)
{
	size_t frames = 0;

	for (size_t j = 0; j < b->pieces; j++) {
		struct piece *x = &b->piece[j];
		size_t n;

		x->frame = NULL;
		if (!all && !is_text(b, x))
			continue;
		n = dict ? ZSTD_compress_usingCDict(cctx, packed, room, x->p, x->n, dict)
		         : ZSTD_compressCCtx(cctx, packed, room, x->p, x->n, level);
		must(!ZSTD_isError(n), "a text cannot be packed");
		*texts += x->n;
		if (n >= x->n)
			continue; /* goes raw */
		x->frame = memcpy(get(n), packed, n);
		x->frame_n = n;
		frames += n;
	}
	return (double)frames;
}

/* --- packing and unpacking ----------------------------------------------------------- */

/* One frame of one raw block (RFC 8878): as much glue as lies in from ... to. */
static size_t put_glue(char *out, const struct piece *from, const struct piece *to)
{
	size_t n = 0;
	uint32_t size, block;

	for (const struct piece *x = from; x < to; x++) {
		memcpy(out + GLUE_FRAME_BYTES + n, x->p, x->n);
		n += x->n;
	}
	must(n <= GLUE_BYTES_MAX, "too much glue for a block");
	size = (uint32_t)n;
	block = (uint32_t)n << 3 | 1; /* raw, the last */
	memcpy(out, "\x28\xB5\x2F\xFD\xA0", 5); /* single segment, size in 4 bytes */
	memcpy(out + 5, &size, 4);
	memcpy(out + 9, &block, 3);
	return GLUE_FRAME_BYTES + n;
}

static size_t concatenate(const struct batch *b)
{
	const struct piece *x = b->piece, *end = b->piece + b->pieces;
	char *out = packed;

	while (x < end) {
		const struct piece *from = x;

		while (x < end && x->frame == NULL)
			x++;
		if (x > from)
			out += put_glue(out, from, x);
		for (; x < end && x->frame != NULL; x++) {
			memcpy(out, x->frame, x->frame_n);
			out += x->frame_n;
		}
	}
	return (size_t)(out - packed);
}

static size_t gzip(const struct batch *b, int level)
{
	z_stream z = {0};

	must(deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflate");
	z.next_in = (z_const Bytef *)b->p;
	z.avail_in = (uInt)b->n;
	z.next_out = (Bytef *)packed;
	z.avail_out = (uInt)room;
	must(deflate(&z, Z_FINISH) == Z_STREAM_END, "deflate");
	deflateEnd(&z);
	return z.total_out;
}

static size_t zstd(const struct batch *b, int level, bool anew)
{
	ZSTD_CCtx *c = anew ? ZSTD_createCCtx() : cctx;
	size_t n = ZSTD_compressCCtx(c, packed, room, b->p, b->n, level);

	must(!ZSTD_isError(n), "zstd");
	if (anew)
		ZSTD_freeCCtx(c);
	return n;
}

static size_t pack(const struct way *w, const struct batch *b)
{
	size_t n = 0;

	switch (w->kind) {
	case COPY:
		for (size_t j = 0; j < b->pieces; n += b->piece[j++].n)
			memcpy(packed + n, b->piece[j].p, b->piece[j].n);
		return n;
	case ZSTD:
	case ZSTD_NEW:
		return zstd(b, w->level, w->kind == ZSTD_NEW);
	case GZIP:
		return gzip(b, w->level);
	default:
		return concatenate(b);
	}
}

static size_t unpack(const struct way *w, size_t n)
{
	ZSTD_inBuffer in = {packed, n, 0};
	ZSTD_outBuffer out = {plain, room, 0};
	z_stream z = {.next_in = (Bytef *)packed, .avail_in = (uInt)n, .next_out = (Bytef *)plain, .avail_out = (uInt)room};

	if (w->kind == COPY) {
		memcpy(plain, packed, n);
		return n;
	}
	if (w->kind == GZIP) {
		must(inflateInit2(&z, 15 + 16) == Z_OK && inflate(&z, Z_FINISH) == Z_STREAM_END, "inflate");
		inflateEnd(&z);
		return z.total_out;
	}
	while (in.pos < in.size)
		must(!ZSTD_isError(ZSTD_decompressStream(dctx, &out, &in)), "unpacking");
	return out.pos;
}

/* --- measuring ------------------------------------------------------------------------ */

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of three. */
static double median(const double *v)
{
	double low = v[0] < v[1] ? v[0] : v[1], high = v[0] < v[1] ? v[1] : v[0];

	return v[2] < low ? low : v[2] > high ? high : v[2];
}

/* Every batch in turn, so that none stays in a cache; microseconds each. */
static void time_way(const struct way *w, double *pack_us, double *unpack_us)
{
	double packing = 0, unpacking = 0;
	size_t done = 0;

	while (packing + unpacking < ROUND_S || done < batches) {
		const struct batch *b = &batch[done++ % batches];
		double t = cpu_s(), u;
		size_t n = pack(w, b);

		u = cpu_s();
		must(unpack(w, n) == b->n, "another length comes back");
		unpacking += cpu_s() - u;
		packing += u - t;
	}
	*pack_us = 1e6 * packing / (double)done;
	*unpack_us = 1e6 * unpacking / (double)done;
}

static void measure(const struct way *w)
{
	double stored = 0, pack_us[ROUNDS], unpack_us[ROUNDS];
	size_t texts = 0, bytes = 0, all = 0;
	ZSTD_DDict *ddict = NULL;
	ZSTD_CDict *cdict = w->kind == DICT ? make_dict(w->level, &ddict) : NULL;

	must(!ZSTD_isError(ZSTD_DCtx_refDDict(dctx, ddict)), "dictionary");
	for (size_t k = 0; k < batches; k++) {
		cut(&batch[k], w->kind == EXAMPLE);
		if (w->kind >= FRAMES)
			stored += store_frames(&batch[k], w->level, cdict, w->kind == EXAMPLE, &texts);
	}
	for (size_t k = 0; k < batches; k++) {
		size_t n = pack(w, &batch[k]);

		must(unpack(w, n) == batch[k].n && memcmp(plain, batch[k].p, batch[k].n) == 0, "other bytes come back");
		bytes += n;
		all += batch[k].n;
	}
	for (int r = 0; r < ROUNDS; r++)
		time_way(w, &pack_us[r], &unpack_us[r]);
	printf("%-10s %8zu %6.3f %9.1f %9.1f %6.3f\n", w->name, bytes / batches, (double)bytes / (double)all,
	       median(pack_us), median(unpack_us), texts ? stored / (double)texts : 0);
	ZSTD_freeCDict(cdict);
	ZSTD_freeDDict(ddict);
}

int main(int argc, char **argv)
{
	must(argc > 1, "usage: frames BATCH.ndjson...");
	for (int i = 1; i < argc; i++)
		load(argv[i]);
	/* Glue's headers are more than zstd's own margin where texts are tiny. */
	room = ZSTD_compressBound(largest) + largest;
	packed = get(room);
	plain = get(room);
	cctx = ZSTD_createCCtx();
	dctx = ZSTD_createDCtx();
	must(cctx != NULL && dctx != NULL, "no memory");
	for (int i = 0; i < WAYS; i++)
		measure(&ways[i]);
	return 0;
}
