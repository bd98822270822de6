/* progress.h - how far a long command is, on standard error.
 *
 * On a terminal one line that is drawn again, with a bar and the time left
 * when the size is known; else a plain line now and then. */
#ifndef PREFD_CLI_PROGRESS_H
#define PREFD_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *command;
	bool terminal, drawn;
	uint64_t size_bytes; /* of the source; 0: not known */
	int64_t began_us, shown_us;
	uint64_t began_read; /* read bytes when the work began */
};

/* One look at the work: rows and bytes sent, bytes of the source read. */
struct progress_state {
	uint64_t rows, bytes, read_bytes;
};

void progress_init(struct progress *p, const char *command, uint64_t size_bytes);
/* The clock runs from here: what is skipped before is not work. */
void progress_begin(struct progress *p, uint64_t read_bytes);
/* Shows it, unless it was shown a moment ago. */
void progress_show(struct progress *p, const struct progress_state *s);
/* Takes the line off the terminal, before something else is printed. */
void progress_clear(struct progress *p);
double progress_seconds(const struct progress *p);

/* "[######..........]" of a share from 0 to 1. */
enum { PROGRESS_BAR_BYTES = 27 };
void progress_bar(double share, char bar[PROGRESS_BAR_BYTES]);

#endif
