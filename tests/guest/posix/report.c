/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "posix.h"

#define REPORT_MAX (256 * 1024)

struct report {
	char name[128];
	atomic_int posted;              /* see post() */
	atomic_size_t len;              /* several processes may speak at once */
	char text[REPORT_MAX];
};

static struct report *report;
static char prefix[200];

int report_init(void)
{
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	return report == MAP_FAILED ? -1 : 0;
}

void report_start(const char *name)
{
	snprintf(report->name, sizeof(report->name), "%s", name);
	atomic_store(&report->len, 0);
	atomic_store(&report->posted, 0);
	prefix[0] = 0;
}

void report_end(const char *how)
{
	fwrite(report->text, 1, report->len, stdout);
	printf("%s\tend\t%s\n", report->name, how);
	fflush(stdout);
}

static void add(const char *line, size_t n)
{
	size_t at = atomic_fetch_add(&report->len, n);

	if (at + n <= REPORT_MAX)
		memcpy(report->text + at, line, n);
	else
		abort();
}

void with(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(prefix, sizeof(prefix), format, ap);
	va_end(ap);
}

static void say(const char *what, const char *outcome, const char *want)
{
	char line[1500];
	int n = snprintf(line, sizeof(line), "%s\t%s%s%s\t%s%s%s\n", report->name, prefix,
			 *prefix ? ": " : "", what, outcome, want ? " !" : "", want ? want : "");

	if (n < 0 || (size_t)n >= sizeof(line))
		abort();
	add(line, (size_t)n);
}

static const char *result(long r, char *buf, size_t size)
{
	const char *name = r < 0 ? strerrorname_np((int)-r) : NULL;

	if (name)
		return name;
	snprintf(buf, size, "%ld", r);
	return buf;
}

long step_ok(const char *what, long r)
{
	char buf[32];

	say(what, r < 0 ? result(r, buf, sizeof(buf)) : "ok", r < 0 ? "ok" : NULL);
	return r;
}

long step_no(const char *what, long r, int err)
{
	char buf[32];

	say(what, r < 0 ? result(r, buf, sizeof(buf)) : "ok",
	    r == -err ? NULL : strerrorname_np(err));
	return r;
}

long step_is(const char *what, long r, long want)
{
	char buf[32], buf2[32];

	say(what, result(r, buf, sizeof(buf)), r == want ? NULL : result(want, buf2, sizeof(buf2)));
	return r;
}

long step_try(const char *what, long r)
{
	char buf[32];

	say(what, r < 0 ? result(r, buf, sizeof(buf)) : "ok", NULL);
	return r;
}

long step_gives(const char *what, long r)
{
	char buf[32];

	say(what, result(r, buf, sizeof(buf)), NULL);
	return r;
}

long step_need(const char *what, long r)
{
	char buf[32], line[64];

	if (r >= 0)
		return step_try(what, r);
	snprintf(line, sizeof(line), "%s, no more", result(r, buf, sizeof(buf)));
	say(what, line, NULL);
	return r;
}

void step_yes(const char *what, bool b)
{
	say(what, b ? "yes" : "no", b ? NULL : "yes");
}

void step_ask(const char *what, bool b)
{
	say(what, b ? "yes" : "no", NULL);
}

/* Printable, and not longer than a line should be. */
static const char *shown(const char *s, char *buf, size_t size)
{
	size_t n = 0, full = strlen(s);

	for (const char *p = s; *p && n + 24 < size; p++) {
		if (isprint((unsigned char)*p) && *p != '\\')
			buf[n++] = *p;
		else
			n += (size_t)snprintf(buf + n, size - n, "\\%03o", (unsigned char)*p);
		if (p[1] && n + 24 >= size)
			n += (size_t)snprintf(buf + n, size - n, "...(%zu)", full);
	}
	snprintf(buf + n, size - n, "%s", full ? "" : "(empty)");
	return buf;
}

void step_text_is(const char *what, const char *s, const char *want)
{
	char a[300], b[300];

	shown(s, a, sizeof(a));
	say(what, a, strcmp(s, want) == 0 ? NULL : shown(want, b, sizeof(b)));
}

void step_text(const char *what, const char *s)
{
	char buf[300];

	say(what, shown(s, buf, sizeof(buf)), NULL);
}

void post(int n)
{
	atomic_store(&report->posted, n);
}

void await(int n)
{
	while (atomic_load(&report->posted) < n)
		nap(1);
}
