/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log: one line a call, to standard error (unbuffered) or to syslog.
 *
 * Any thread may log; a line is one write(2), so lines never mix. Nothing on
 * the request path formats a line unless the level asks for it.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/scope.h"

enum log_level {
	LOG_LEVEL_OFF,
	LOG_LEVEL_ERR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_TRACE,
};

/* Set once, before the second thread. With syslog, the way there is open from now
 * on, and taken unless log_to_syslog() is to say when. */
void log_init(enum log_level level, bool to_syslog);
void log_to_syslog(bool to_syslog);

/* The level in force (enum log_level): a thing to test before doing work only for
 * the log. */
extern _Atomic int log_level_now;

/* Another one, for this process. Any thread. */
void log_set_level(enum log_level level);

/* A level's name, and the level with a name, or -EINVAL. */
const char *log_level_name(enum log_level level);
int log_level_of(const char *name);

/*
 * Says at start, as a warning or for information, what was asked for or would be
 * usual and is not to be had; kept for whoever asks. One thread alone.
 */
void log_lacking(enum log_level level, const char *fmt, ...) _printf_(2, 3);
const char *log_lacking_line(unsigned int i); /* NULL: there are no more */

void log_line(enum log_level level, const char *fmt, ...) _printf_(2, 3);

/* Logs "...: strerror(-err)" as an error and returns @err (a -errno). */
int log_err(int err, const char *fmt, ...) _printf_(2, 3);

static inline enum log_level log_now(void)
{
	return (enum log_level)atomic_load_explicit(&log_level_now,
						    memory_order_relaxed);
}

/* Whether an error has been logged by this process: one line is enough. */
bool log_has_erred(void);

#define log_at(level, ...)                                                     \
	do {                                                                   \
		if (__builtin_expect((level) <= log_now(), 0))                 \
			log_line(level, __VA_ARGS__);                          \
	} while (0)

#define log_error(...) log_at(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_trace(...) log_at(LOG_LEVEL_TRACE, __VA_ARGS__)

#endif
