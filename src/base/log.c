/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/syslog.h"

#define LINE_MAX_LEN 1024

#define LACKING_MAX 8U

_Atomic int log_level_now = LOG_LEVEL_INFO;
static bool use_syslog;
static atomic_bool erred;
static char lacking[LACKING_MAX][256];
static unsigned int n_lacking;

static const struct {
	const char *word; /* as an option has it */
	const char *name; /* as a line of the log has it */
	int priority;
} levels[] = {
	[LOG_LEVEL_OFF] = { "off", "off", LOG_ERR },
	[LOG_LEVEL_ERR] = { "error", "error", LOG_ERR },
	[LOG_LEVEL_WARN] = { "warn", "warning", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "info", "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", "debug", LOG_DEBUG },
	[LOG_LEVEL_TRACE] = { "trace", "trace", LOG_DEBUG },
};

void log_init(enum log_level level, bool to_syslog)
{
	log_set_level(level);
	use_syslog = to_syslog;
	if (to_syslog)
		syslog_open();
}

void log_set_level(enum log_level level)
{
	atomic_store(&log_level_now, (int)level);
}

const char *log_level_name(enum log_level level)
{
	return levels[level].word;
}

int log_level_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i].word, name) == 0)
			return (int)i;
	/* an older spelling */
	return strcmp(name, "err") == 0 ? LOG_LEVEL_ERR : -EINVAL;
}

void log_to_syslog(bool to_syslog)
{
	use_syslog = to_syslog;
}

bool log_has_erred(void)
{
	return atomic_load(&erred);
}

/* At debug level: "[2026-01-31 12:00:00.123456] [tid] ", UTC. */
static size_t prefix_debug(char *buf, size_t size)
{
	struct timespec now;
	struct tm tm;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = snprintf(buf, size,
		     "[%04d-%02d-%02d %02d:%02d:%02d.%06ld] [%ld] ",
		     tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		     tm.tm_min, tm.tm_sec, now.tv_nsec / 1000,
		     (long)syscall(SYS_gettid));
	return n < 0 ? 0 : (size_t)n;
}

static void log_vline(enum log_level level, const char *suffix,
		      const char *fmt, va_list ap)
{
	char buf[LINE_MAX_LEN];
	size_t len = 0;
	int saved = errno, n;

	if (level == LOG_LEVEL_ERR)
		atomic_store(&erred, true);

	if (!use_syslog) {
		if (log_now() >= LOG_LEVEL_DEBUG)
			len = prefix_debug(buf, sizeof(buf));
		n = snprintf(buf + len, sizeof(buf) - len, "virtiofsd: %s%s",
			     level == LOG_LEVEL_INFO ? "" : levels[level].name,
			     level == LOG_LEVEL_INFO ? "" : ": ");
		len += (size_t)n;
	}
	n = vsnprintf(buf + len, sizeof(buf) - len - 1, fmt, ap);
	len += n < 0 ? 0 : (size_t)n;
	if (suffix && len < sizeof(buf) - 1) {
		n = snprintf(buf + len, sizeof(buf) - len - 1, ": %s", suffix);
		len += n < 0 ? 0 : (size_t)n;
	}
	if (len > sizeof(buf) - 2)
		len = sizeof(buf) - 2;

	/* A name from the guest or the command line must not forge a line. */
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)buf[i] < 0x20 || buf[i] == 0x7f)
			buf[i] = '?';

	if (use_syslog) {
		syslog_send(levels[level].priority, buf, len);
	} else {
		buf[len++] = '\n';
		if (write(STDERR_FILENO, buf, len) < 0) {
			/* Nobody to tell. */
		}
	}
	errno = saved;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > log_now())
		return;
	va_start(ap, fmt);
	log_vline(level, NULL, fmt, ap);
	va_end(ap);
}

int log_err(int err, const char *fmt, ...)
{
	va_list ap;

	if (LOG_LEVEL_ERR > log_now())
		return err;
	va_start(ap, fmt);
	log_vline(LOG_LEVEL_ERR, strerror(-err), fmt, ap);
	va_end(ap);
	return err;
}

void log_lacking(enum log_level level, const char *fmt, ...)
{
	char line[sizeof(lacking[0])];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	log_line(level, "%s", line);
	if (n_lacking < LACKING_MAX)
		memcpy(lacking[n_lacking++], line, sizeof(line));
}

const char *log_lacking_line(unsigned int i)
{
	return i < n_lacking ? lacking[i] : NULL;
}
