#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { LINE_BYTES = 2048 }; /* longer lines are cut */

static _Atomic int threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
	atomic_store(&threshold, (int)level);
}

/* One event is one line, whatever a text holds. */
static void blank_controls(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] < ' ' || p[i] == 127)
			p[i] = ' ';
}

void log_write(enum log_level level, const char *room, const char *fmt, ...)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	char line[LINE_BYTES], now[CLOCK_TEXT_BYTES];
	int saved = errno, n, m;
	size_t len;
	va_list ap;

	if ((int)level > atomic_load(&threshold))
		return;
	clock_print(clock_now_us(), now);
	n = snprintf(line, sizeof line, "time=%s level=%s room=%s ", now, names[level], room);
	va_start(ap, fmt);
	m = vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
	va_end(ap);
	len = (size_t)n + (m > 0 ? (size_t)m : 0);
	if (len > sizeof line - 1)
		len = sizeof line - 1;
	blank_controls(line, len);
	line[len] = '\n'; /* in the NUL's place */
	/* One write, so that lines of threads do not mix. A log that cannot be
	 * written is no reason to stop serving. */
	while (write(STDERR_FILENO, line, len + 1) < 0 && errno == EINTR)
		;
	errno = saved;
}
