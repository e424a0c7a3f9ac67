/* SPDX-License-Identifier: BSD-3-Clause */
/* What a daemon is doing, once a second: the difference of two answers. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "ctl.h"

#define OPS_MAX 64U

/* One op between two answers. */
struct row {
	const char *op;
	double rate, errors, bytes; /* a second */
	double p50, p99; /* us */
};

struct screen {
	bool terminal;
	struct termios was;
	unsigned int lines; /* left to be written; many, if it is no terminal */
};

static volatile sig_atomic_t stopped;

static void on_stop(int sig)
{
	stopped = 1;
}

static struct json_object *same_op(struct json_object *stats, const char *op)
{
	struct json_object *ops = ctl_at(stats, "/ops");

	for (size_t i = 0; ops && i < json_object_array_length(ops); i++) {
		struct json_object *o = json_object_array_get_idx(ops, i);

		if (strcmp(ctl_text(o, "/op"), op) == 0)
			return o;
	}
	return NULL;
}

/* How many there were in the bucket that begins at @from. */
static double in_bucket(struct json_object *op, uint64_t from)
{
	struct json_object *list = ctl_at(op, "/latency");

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *pair = json_object_array_get_idx(list, i);

		if (ctl_number(pair, "/0") == from)
			return ctl_real(pair, "/2");
	}
	return 0;
}

/* The latency, in us, that a part of the requests between the two was not above. */
static double quantile(struct json_object *now, struct json_object *before,
		       double part)
{
	struct json_object *list = ctl_at(now, "/latency");
	size_t n = list ? json_object_array_length(list) : 0;
	double all = ctl_real(now, "/timed") - ctl_real(before, "/timed");
	double seen = 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *pair = json_object_array_get_idx(list, i);

		seen += ctl_real(pair, "/2") -
			in_bucket(before, ctl_number(pair, "/0"));
		if (seen > 0 && seen >= part * all)
			return (ctl_real(pair, "/0") + ctl_real(pair, "/1")) /
			       2000;
	}
	return 0;
}

static int by_rate(const void *a, const void *b)
{
	double x = ((const struct row *)a)->rate, y = ((const struct row *)b)->rate;

	return x < y ? 1 : x > y ? -1 : 0;
}

static unsigned int rows_between(struct json_object *now,
				 struct json_object *before, double seconds,
				 struct row row[OPS_MAX])
{
	struct json_object *ops = ctl_at(now, "/ops");
	unsigned int n = 0;

	for (size_t i = 0; ops && i < json_object_array_length(ops); i++) {
		struct json_object *a = json_object_array_get_idx(ops, i);
		struct json_object *b = same_op(before, ctl_text(a, "/op"));
		double count = ctl_real(a, "/count") - ctl_real(b, "/count");

		if (count <= 0 || n == OPS_MAX)
			continue;
		row[n++] = (struct row){
			.op = ctl_text(a, "/op"),
			.rate = count / seconds,
			.errors = (ctl_real(a, "/errors") -
				   ctl_real(b, "/errors")) / seconds,
			.bytes = (ctl_real(a, "/bytes") -
				  ctl_real(b, "/bytes")) / seconds,
			.p50 = quantile(a, b, 0.5),
			.p99 = quantile(a, b, 0.99),
		};
	}
	qsort(row, n, sizeof(*row), by_rate);
	return n;
}

static void __attribute__((format(printf, 2, 3)))
line(struct screen *s, const char *fmt, ...)
{
	va_list ap;

	if (s->lines == 0)
		return;
	s->lines--;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	fputs(s->terminal ? "\033[K\n" : "\n", stdout);
}

static void show_head(struct screen *s, struct json_object *st,
		      const struct row *row, unsigned int n)
{
	double rate = 0, bytes = 0, errors = 0;
	struct show_buf a;

	for (unsigned int i = 0; i < n; i++) {
		rate += row[i].rate;
		errors += row[i].errors;
		bytes += row[i].bytes;
	}
	line(s, "%s%s", ctl_text(st, "/shared-dir"),
	     ctl_bool(st, "/drained") ? "  STANDS STILL (drain)" :
	     ctl_bool(st, "/session/mounted") ? "" :
	     ctl_bool(st, "/session/connected") ? "  not mounted" :
						  "  no VMM");
	line(s, "%.0f requests/s   %.0f errors/s   %s/s", rate, errors,
	     show_bytes(bytes, &a));
	line(s, "%llu nodes   %llu open   %llu/%llu descriptors   %s   %llu threads%s%s",
	     (unsigned long long)ctl_number(st, "/nodes"),
	     (unsigned long long)ctl_number(st, "/handles"),
	     (unsigned long long)ctl_number(st, "/descriptors/open"),
	     (unsigned long long)ctl_number(st, "/descriptors/limit"),
	     show_bytes(ctl_real(st, "/memory/private"), &a),
	     (unsigned long long)ctl_number(st, "/worker/threads"),
	     ctl_number(st, "/worker/replaced") ? "   workers replaced: " : "",
	     ctl_number(st, "/worker/replaced") ?
		     ctl_text(st, "/worker/replaced") : "");
}

static double between(struct json_object *a, struct json_object *b,
		      const char *what, double seconds)
{
	return (ctl_real(a, what) - ctl_real(b, what)) / seconds;
}

static void show_queues(struct screen *s, struct json_object *now,
			struct json_object *before, double seconds)
{
	struct json_object *qs = ctl_at(now, "/queues");
	size_t n = qs ? json_object_array_length(qs) : 0;

	line(s, " ");
	line(s, "%-14s %10s %9s %9s %9s %9s", "queue", "requests/s", "kicks/s",
	     "told/s", "polls/s", "that paid");
	for (size_t i = 0; i < n; i++) {
		struct json_object *a = json_object_array_get_idx(qs, i), *b;
		char path[32];

		snprintf(path, sizeof(path), "/queues/%zu", i);
		b = ctl_at(before, path);
		line(s, "%-14llu %10.0f %9.0f %9.0f %9.0f %9.0f",
		     (unsigned long long)ctl_number(a, "/index"),
		     between(a, b, "/requests", seconds),
		     between(a, b, "/kicks", seconds),
		     between(a, b, "/notifications", seconds),
		     between(a, b, "/polls", seconds),
		     between(a, b, "/polls_paid", seconds));
	}
}

static void show_rows(struct screen *s, const struct row *row, unsigned int n)
{
	struct show_buf bytes, p50, p99;

	line(s, " ");
	line(s, "%-14s %10s %9s %12s %9s %9s", "op", "requests/s",
	     "errors/s", "bytes/s", "p50", "p99");
	for (unsigned int i = 0; i < n; i++)
		line(s, "%-14s %10.0f %9.0f %12s %9s %9s", row[i].op,
		     row[i].rate, row[i].errors, show_bytes(row[i].bytes, &bytes),
		     show_us(row[i].p50, &p50), show_us(row[i].p99, &p99));
}

static void show(struct screen *s, struct json_object *status,
		 struct json_object *now, struct json_object *before,
		 double seconds)
{
	struct winsize size = { .ws_row = 24 };
	struct row row[OPS_MAX];
	unsigned int n = rows_between(now, before, seconds, row);

	s->lines = 1000;
	if (s->terminal) {
		(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
		s->lines = size.ws_row > 1 ? size.ws_row - 1U : 1000;
		fputs("\033[H", stdout);
	}
	show_head(s, status, row, n);
	show_queues(s, now, before, seconds);
	show_rows(s, row, n);
	fputs(s->terminal ? "\033[J" : "\n", stdout);
	fflush(stdout);
}

static void screen_open(struct screen *s)
{
	struct termios raw;

	s->terminal = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) &&
		      tcgetattr(STDIN_FILENO, &s->was) == 0;
	if (!s->terminal)
		return;
	raw = s->was;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	fputs("\033[?1049h\033[?25l\033[2J", stdout);
}

static void screen_close(struct screen *s)
{
	if (!s->terminal)
		return;
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &s->was);
}

/* For so long, or until somebody wants no more (q, Ctrl-C). */
static bool sleep_on(const struct screen *s, double seconds)
{
	struct pollfd p = { .fd = s->terminal ? STDIN_FILENO : -1,
			    .events = POLLIN };
	char c;

	if (poll(&p, 1, (int)(seconds * 1000)) < 0 && errno != EINTR)
		return false;
	if (p.revents && (read(STDIN_FILENO, &c, 1) != 1 || c == 'q'))
		return false;
	return !stopped;
}

static double seconds_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Returns false when the daemon answers no more. */
static bool look(const struct ctl *c, struct screen *s,
		 struct json_object **before, double *since)
{
	struct json_object *status = ctl_ask(c, "status");
	struct json_object *now = status ? ctl_ask(c, "stats") : NULL;
	double at = seconds_now();

	/* A worker that was replaced has begun anew. */
	if (now && *before &&
	    ctl_real(now, "/uptime") < ctl_real(*before, "/uptime")) {
		json_object_put(*before);
		*before = json_object_new_object();
	}
	if (now && *before)
		show(s, status, now, *before, at - *since);
	json_object_put(status);
	json_object_put(*before);
	*before = now;
	*since = at;
	return now != NULL;
}

int top(const struct ctl *c, double interval, unsigned long count)
{
	const struct sigaction sa = { .sa_handler = on_stop };
	struct json_object *before = NULL;
	struct screen s = { 0 };
	double since = 0;
	bool there = look(c, &s, &before, &since);

	if (!there)
		return CTL_FAILED;
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	screen_open(&s);
	for (unsigned long n = 0; there && (n < count || count == 0); n++) {
		if (!sleep_on(&s, interval))
			break;
		there = look(c, &s, &before, &since);
	}
	screen_close(&s);
	json_object_put(before);
	return there ? CTL_OK : CTL_FAILED;
}
