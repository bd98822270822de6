#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
	BAR_CELLS = PROGRESS_BAR_BYTES - 3,
	TERMINAL_EVERY_US = 100 * 1000,
	PLAIN_EVERY_US = 5 * 1000 * 1000,
	LINE_BYTES = 200,
};

void progress_init(struct progress *p, const char *command, uint64_t size_bytes)
{
	*p = (struct progress){.command = command, .terminal = isatty(STDERR_FILENO), .size_bytes = size_bytes};
	progress_begin(p, 0);
}

void progress_begin(struct progress *p, uint64_t read_bytes)
{
	p->began_us = clock_steady_us();
	p->shown_us = p->began_us;
	p->began_read = read_bytes;
}

double progress_seconds(const struct progress *p)
{
	return (double)(clock_steady_us() - p->began_us) / 1e6;
}

static void put_amounts(char line[LINE_BYTES], const struct progress_state *s, double seconds)
{
	double rate = seconds > 0 ? (double)s->rows / seconds : 0;

	snprintf(line, LINE_BYTES, "%" PRIu64 " rows, %.1f MB, %.0f rows/s", s->rows, (double)s->bytes / 1e6, rate);
}

/* The source's bytes tell how far it is: rows are not known beforehand. */
static void put_left(const struct progress *p, const struct progress_state *s, double seconds, char line[LINE_BYTES])
{
	double share = (double)s->read_bytes / (double)p->size_bytes;
	double done = (double)(s->read_bytes - p->began_read);
	size_t n = strlen(line);
	int left;

	snprintf(line + n, LINE_BYTES - n, ", %.0f %%", 100 * share);
	if (done <= 0)
		return;
	left = (int)(seconds * (double)(p->size_bytes - s->read_bytes) / done + 0.5);
	n = strlen(line);
	snprintf(line + n, LINE_BYTES - n, ", %d:%02d left", left / 60, left % 60);
}

void progress_bar(double share, char bar[PROGRESS_BAR_BYTES])
{
	int full = (int)(share * BAR_CELLS);

	bar[0] = '[';
	for (int i = 0; i < BAR_CELLS; i++)
		bar[i + 1] = i < full ? '#' : '.';
	strcpy(bar + BAR_CELLS + 1, "]");
}

void progress_show(struct progress *p, const struct progress_state *s)
{
	int64_t now = clock_steady_us();
	bool sized = p->size_bytes > 0 && s->read_bytes <= p->size_bytes;
	char line[LINE_BYTES], bar[PROGRESS_BAR_BYTES] = "";

	if (now - p->shown_us < (p->terminal ? TERMINAL_EVERY_US : PLAIN_EVERY_US))
		return;
	p->shown_us = now;
	put_amounts(line, s, progress_seconds(p));
	if (sized) {
		put_left(p, s, progress_seconds(p), line);
		progress_bar((double)s->read_bytes / (double)p->size_bytes, bar);
	}
	if (p->terminal)
		fprintf(stderr, "\r%s%s%s\033[K", bar, bar[0] ? " " : "", line);
	else
		fprintf(stderr, "prefd %s: %s\n", p->command, line);
	p->drawn = p->terminal;
}

void progress_clear(struct progress *p)
{
	if (p->drawn)
		fprintf(stderr, "\r\033[K");
	p->drawn = false;
}
