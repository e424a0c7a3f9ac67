/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log: one line a call, to standard error (unbuffered) or to syslog.
 *
 * Any thread may log; a line is one write(2), so lines never mix. Nothing on
 * the request path formats a line unless the level asks for it.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

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

/* Set once, before the second thread. */
void log_init(enum log_level level, bool to_syslog);

/* The level in force: a thing to test before doing work only for the log. */
extern enum log_level log_level_now;

void log_line(enum log_level level, const char *fmt, ...) _printf_(2, 3);

/* Logs "...: strerror(-err)" as an error and returns @err (a -errno). */
int log_err(int err, const char *fmt, ...) _printf_(2, 3);

#define log_at(level, ...)                                                     \
	do {                                                                   \
		if (__builtin_expect((level) <= log_level_now, 0))             \
			log_line(level, __VA_ARGS__);                          \
	} while (0)

#define log_error(...) log_at(LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_trace(...) log_at(LOG_LEVEL_TRACE, __VA_ARGS__)

#endif
