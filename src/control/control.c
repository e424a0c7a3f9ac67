/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/control.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "control/report.h"

/* A trace is sent on this often. */
#define TRACE_MS 50
/* A client that does not read for so long is dropped. */
#define SEND_MS 1000
/* More than a client can hold it up. */
#define STOP_SEC 2

enum { POLL_LISTEN, POLL_WAKE, POLL_CLIENTS };

/* All or nothing; the socket has a time limit. syscalls: sendto */
static int send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* What a report wrote, as one message. */
struct answer {
	FILE *f;
	char *text;
	size_t len;
};

static int answer_open(struct answer *a)
{
	a->text = NULL;
	a->f = open_memstream(&a->text, &a->len);
	return a->f ? 0 : -ENOMEM;
}

static int answer_send(struct answer *a, int fd)
{
	int r = fclose(a->f) == 0 ? send_all(fd, a->text, a->len) : -ENOMEM;

	free(a->text);
	return r;
}

static bool anybody_drains(const struct control *c)
{
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		if (c->client[i].fd >= 0 && c->client[i].drains)
			return true;
	return false;
}

static void drop(struct control *c, struct control_client *cl)
{
	bool drained = cl->drains;

	if (cl->traces)
		trace_unwatch(&c->view.dev->trace);
	(void)fd_close(&cl->fd);
	*cl = (struct control_client){ .fd = -1 };
	if (drained && !anybody_drains(c)) {
		device_drain(c->view.dev, false);
		log_info("control socket: requests are served again");
	}
}

/* --- what a client may say --- */

static void on_status(struct control *c, struct control_client *cl, char *args,
		     FILE *f)
{
	report_status(&c->view, f);
}

static void on_stats(struct control *c, struct control_client *cl, char *args,
		    FILE *f)
{
	report_stats(&c->view, f);
}

static void on_log_level(struct control *c, struct control_client *cl,
			char *args, FILE *f)
{
	int level = args ? log_level_of(args) : -EINVAL;

	if (level < 0) {
		report_error(f, "off, error, warn, info, debug or trace is wanted");
		return;
	}
	log_set_level((enum log_level)level);
	report_done(f, "log-level");
}

/* One "op=NAME" or "slow=MICROSECONDS". NULL, or what is wrong. */
static const char *trace_filter(struct control_client *cl, char *item)
{
	char *end = item;

	if (strncmp(item, "op=", 3) == 0) {
		cl->only = report_opcode(item + 3);
		return cl->only ? NULL : "no op is called that";
	}
	if (strncmp(item, "slow=", 5) == 0)
		cl->slow_ns = strtoull(item + 5, &end, 10) * 1000;
	return end != item && *end == '\0' && item[5] ?
		       NULL : "op=NAME or slow=MICROSECONDS is wanted";
}

static void on_trace(struct control *c, struct control_client *cl, char *args,
		    FILE *f)
{
	const char *wrong = NULL;
	char *at = NULL;

	for (char *item = args ? strtok_r(args, " ", &at) : NULL;
	     item && !wrong; item = strtok_r(NULL, " ", &at))
		wrong = trace_filter(cl, item);
	if (!wrong && trace_watch(&c->view.dev->trace) < 0)
		wrong = strerror(ENOMEM);
	if (wrong) {
		report_error(f, wrong);
		return;
	}
	cl->traces = true;
	report_done(f, "trace");
}

/* Answered when all stands still; over when the client hangs up, so that a guest
 * is never left standing by somebody who has gone. */
static void on_drain(struct control *c, struct control_client *cl, char *args,
		    FILE *f)
{
	cl->drains = true;
	log_info("control socket: no more requests are served for now");
	device_drain(c->view.dev, true);
}

static const struct {
	const char *word;
	void (*fn)(struct control *c, struct control_client *cl, char *args,
		   FILE *f);
} commands[] = {
	{ "status", on_status }, { "stats", on_stats },
	{ "trace", on_trace },	 { "log-level", on_log_level },
	{ "drain", on_drain },
};

static void carry_out(struct control *c, struct control_client *cl, char *line,
		      FILE *f)
{
	char *args = strchr(line, ' ');

	if (args)
		*args++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(line, commands[i].word) == 0) {
			commands[i].fn(c, cl, args, f);
			return;
		}
	report_error(f, "status, stats, trace, log-level or drain is wanted");
}

static int obey(struct control *c, struct control_client *cl, char *line)
{
	struct answer a;
	int r = answer_open(&a);

	if (r < 0)
		return r;
	carry_out(c, cl, line, a.f);
	return answer_send(&a, cl->fd);
}

/* syscalls: recvfrom */
static int receive(struct control *c, struct control_client *cl)
{
	ssize_t n = recv(cl->fd, cl->line + cl->have,
			 sizeof(cl->line) - 1 - cl->have, MSG_DONTWAIT);
	char *end;
	int r = 0;

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -EPIPE;
	cl->have += (size_t)n;
	cl->line[cl->have] = '\0';
	while (r == 0 && (end = memchr(cl->line, '\n', cl->have)) != NULL) {
		size_t used = (size_t)(end + 1 - cl->line);

		*end = '\0';
		/* One that waits for something has said all it may. */
		r = cl->traces || cl->drains ? -EPIPE : obey(c, cl, cl->line);
		cl->have -= used;
		memmove(cl->line, end + 1, cl->have);
	}
	/* No command is that long. */
	return cl->have == sizeof(cl->line) - 1 ? -EPIPE : r;
}

/* --- what is told unasked --- */

static bool wants(const struct control_client *cl, const struct trace_record *r)
{
	return cl->fd >= 0 && cl->traces &&
	       (!cl->only || cl->only == r->opcode) && r->ns >= cl->slow_ns;
}

static void send_report(struct control *c, struct control_client *cl,
			const struct trace_record *r, uint64_t missed)
{
	struct answer a;

	if (answer_open(&a) < 0)
		return;
	if (missed)
		report_missed(a.f, missed);
	if (r)
		report_request(&c->view, r, a.f);
	if (answer_send(&a, cl->fd) < 0)
		drop(c, cl);
}

static void send_traces(struct control *c)
{
	struct trace_record r;
	uint64_t missed = 0;

	while (trace_next(&c->view.dev->trace, &r, &missed)) {
		for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
			if (wants(&c->client[i], &r))
				send_report(c, &c->client[i], &r, missed);
		missed = 0;
	}
}

static void tell_drained(struct control *c)
{
	struct answer a;

	if (!atomic_load(&c->view.dev->drained))
		return;
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++) {
		struct control_client *cl = &c->client[i];

		if (cl->fd < 0 || !cl->drains || cl->drain_told ||
		    answer_open(&a) < 0)
			continue;
		report_done(a.f, "drained");
		cl->drain_told = true;
		if (answer_send(&a, cl->fd) < 0)
			drop(c, cl);
	}
}

/* --- the thread --- */

/* syscalls: accept4 setsockopt */
static void accept_client(struct control *c)
{
	const struct timeval limit = { .tv_sec = SEND_MS / 1000 };
	int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	fd_adopt(fd);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	for (unsigned int i = 0; i < CONTROL_CLIENTS && fd >= 0; i++)
		if (c->client[i].fd < 0)
			c->client[i].fd = fd_take(&fd);
	(void)fd_close(&fd); /* one too many */
}

/* Fills in the descriptors to wait for; returns how long, in ms. */
static int prepare(const struct control *c,
		   struct pollfd p[POLL_CLIENTS + CONTROL_CLIENTS])
{
	int ms = -1;

	p[POLL_LISTEN] = (struct pollfd){ c->listen_fd, POLLIN, 0 };
	p[POLL_WAKE] = (struct pollfd){ c->wake_fd, POLLIN, 0 };
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++) {
		p[POLL_CLIENTS + i] =
			(struct pollfd){ c->client[i].fd, POLLIN, 0 };
		if (c->client[i].fd >= 0 && c->client[i].traces)
			ms = TRACE_MS;
	}
	return ms;
}

/* syscalls: poll ppoll read prctl:PR_SET_NAME */
static void *control_main(void *arg)
{
	struct control *c = arg;
	struct pollfd p[POLL_CLIENTS + CONTROL_CLIENTS];
	uint64_t n;

	(void)prctl(PR_SET_NAME, "control");
	while (!atomic_load(&c->stop)) {
		if (poll(p, ARRAY_SIZE(p), prepare(c, p)) < 0)
			continue;
		if (p[POLL_WAKE].revents && read(c->wake_fd, &n, sizeof(n)) < 0)
			log_debug("control socket: eventfd: %s", strerror(errno));
		if (p[POLL_LISTEN].revents)
			accept_client(c);
		for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
			if (p[POLL_CLIENTS + i].fd >= 0 &&
			    p[POLL_CLIENTS + i].revents &&
			    receive(c, &c->client[i]) < 0)
				drop(c, &c->client[i]);
		tell_drained(c);
		send_traces(c);
	}
	return NULL;
}

/* The device's control thread: queues stand still, or go on. */
static void wake(void *ctx)
{
	const struct control *c = ctx;
	const uint64_t one = 1;

	if (write(c->wake_fd, &one, sizeof(one)) < 0)
		log_debug("control socket: eventfd: %s", strerror(errno));
}

int control_start(struct control *c, const struct control_view *view,
		  int listen_fd)
{
	int r;

	memset(c, 0, sizeof(*c));
	c->view = *view;
	c->listen_fd = listen_fd;
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		c->client[i].fd = -1;
	c->wake_fd = fd_eventfd(0, EFD_NONBLOCK);
	if (c->wake_fd < 0)
		return c->wake_fd;
	view->dev->on_drain = wake;
	view->dev->on_drain_ctx = c;
	r = pthread_create(&c->thread, NULL, control_main, c);
	c->have_thread = r == 0;
	return -r;
}

int control_stop(struct control *c)
{
	struct timespec deadline;

	if (!c->have_thread)
		return 0;
	atomic_store(&c->stop, true);
	wake(c);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += STOP_SEC;
	if (pthread_timedjoin_np(c->thread, NULL, &deadline))
		return -ETIMEDOUT;
	c->have_thread = false;
	for (unsigned int i = 0; i < CONTROL_CLIENTS; i++)
		if (c->client[i].fd >= 0)
			drop(c, &c->client[i]);
	c->view.dev->on_drain = NULL;
	(void)fd_close(&c->wake_fd);
	return 0;
}
