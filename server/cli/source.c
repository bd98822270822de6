#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "client.h"

/* Small pieces: what was read of a packed file is what the progress shows. */
enum { CHUNK_BYTES = 16 * 1024, SNIFF_BYTES = 4 };

int source_open(struct source *s, const char *path, struct err *e)
{
	struct stat st;

	*s = (struct source){.fd = STDIN_FILENO};
	if (strcmp(path, "-") == 0)
		return 0;
	s->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st) < 0)
		return err_set(e, P_BAD_REQUEST, "%s: %s", path, strerror(errno));
	s->path = realpath(path, NULL);
	if (S_ISREG(st.st_mode)) {
		s->size_bytes = (uint64_t)st.st_size;
		s->mtime_ns = st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
	}
	return 0;
}

void source_close(struct source *s)
{
	if (s->fd > STDIN_FILENO)
		close(s->fd);
	free(s->path); /* realpath's */
	*s = (struct source){.fd = -1};
}

/* At least `least` bytes unless the source ends. -1 failed, -2 interrupted. */
static ssize_t read_some(struct source *s, char *p, size_t least, size_t most, struct err *e)
{
	size_t n = 0;

	while (n < least) {
		ssize_t got = read(s->fd, p + n, most - n);

		if (cli_interrupted())
			return -2;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(e, P_BAD_REQUEST, "reading: %s", strerror(errno));
		if (got == 0)
			break;
		n += (size_t)got;
	}
	s->read_bytes += n;
	return (ssize_t)n;
}

struct reading {
	struct source *source;
	uint64_t blank_lines; /* in front of the first row */
	struct split split;
	bool begun; /* the first byte that is not white space was seen */
	size_t row_bytes;
	split_row_fn *row;
	void *ctx;
};

/* White space and the byte order mark in front say nothing about the kind. */
static bool says_nothing(char c)
{
	return strchr(" \t\r\n\xEF\xBB\xBF", c) && c != '\0';
}

/* A line at a time, so that its number is known while its row is handed out. */
static int feed_lines(struct reading *r, const char *p, size_t n, struct err *e)
{
	const char *end = p + n, *newline;

	while ((newline = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		int rc = split_feed(&r->split, p, (size_t)(newline + 1 - p), e);

		if (rc != 0)
			return rc;
		r->source->line++;
		p = newline + 1;
	}
	return split_feed(&r->split, p, (size_t)(end - p), e);
}

static int on_text(void *ctx, const char *p, size_t n, struct err *e)
{
	struct reading *r = ctx;

	while (!r->begun && n > 0 && says_nothing(*p)) {
		r->blank_lines += *p == '\n';
		p++;
		n--;
	}
	if (n == 0)
		return 0;
	if (!r->begun) {
		split_init(&r->split, *p == '[' ? SPLIT_JSON : SPLIT_NDJSON, r->row_bytes, r->row, r->ctx);
		r->source->line = *p == '[' ? 0 : r->blank_lines + 1;
		r->begun = true;
	}
	return r->source->line ? feed_lines(r, p, n, e) : split_feed(&r->split, p, n, e);
}

/* A plain file may have any first bytes, few of them or none. */
static enum coding coding_of_file(const char *p, size_t n)
{
	enum coding c = n < SNIFF_BYTES ? CODING_IDENTITY : coding_sniff(p, n);

	return c == CODING_UNKNOWN ? CODING_IDENTITY : c;
}

static int read_all(struct source *s, char *chunk, struct unzip **unzip, struct reading *r, struct err *e)
{
	ssize_t n = read_some(s, chunk, SNIFF_BYTES, CHUNK_BYTES, e);
	int rc = 0;

	if (n >= 0)
		*unzip = unzip_new(coding_of_file(chunk, (size_t)n), UINT64_MAX, on_text, r);
	while (n > 0 && rc == 0) {
		rc = unzip_feed(*unzip, chunk, (size_t)n, e);
		if (rc == 0)
			n = read_some(s, chunk, 1, CHUNK_BYTES, e);
	}
	if (n == -2)
		return SOURCE_INTERRUPTED;
	if (n < 0 || rc != 0)
		return n < 0 ? -1 : rc;
	rc = unzip_end(*unzip, e);
	return rc == 0 && r->begun ? split_end(&r->split, e) : rc;
}

int source_rows(struct source *s, size_t row_bytes, split_row_fn *row, void *ctx, struct err *e)
{
	struct reading r = {.source = s, .row_bytes = row_bytes, .row = row, .ctx = ctx};
	struct unzip *unzip = NULL;
	char *chunk = heap_alloc(CHUNK_BYTES);
	int rc = read_all(s, chunk, &unzip, &r, e);

	unzip_free(unzip);
	split_release(&r.split);
	heap_free(chunk);
	return rc;
}
