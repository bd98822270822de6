/* log.h - one line an event on standard error, logfmt. Any thread.
 *
 * Never a text of a prompt or a response, never a secret: ids, counts, times. */
#ifndef PREFD_BASE_LOG_H
#define PREFD_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
/* log_info("writer", "commit requests=%d", n) →
 * time=… level=info room=writer commit requests=3 */
void log_write(enum log_level level, const char *room, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(room, ...) log_write(LOG_ERROR, room, __VA_ARGS__)
#define log_warn(room, ...) log_write(LOG_WARN, room, __VA_ARGS__)
#define log_info(room, ...) log_write(LOG_INFO, room, __VA_ARGS__)
#define log_debug(room, ...) log_write(LOG_DEBUG, room, __VA_ARGS__)

#endif
