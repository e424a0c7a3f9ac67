/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control socket (--control-socket): what an operator may ask and say.
 *
 * A client sends one line and gets lines of JSON (doc/watching.md has the protocol);
 * virtiofsctl is one. A thread of its own answers, from
 * counters that the serving threads keep anyway and the tables' own counts: it
 * takes no lock of theirs but for moments. It is started after the filter, and
 * asleep while nobody asks.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vhost/server.h"

/* Clients at the same time. */
#define CONTROL_CLIENTS 8U

/* What there is to be seen. All of it outlives the thread. */
struct control_view {
	const struct config *cfg;
	struct server *server;
	struct device *dev;
	struct fs *fs;
	struct session *session;
	int proc_fd; /* a /proc that shows this process */
	uint64_t started_ms; /* the daemon, on the monotonic clock */
	uint64_t worker_ms; /* this worker */
	unsigned int replaced; /* workers that died */
};

struct control_client {
	int fd; /* -1: none */
	bool traces, drains, drain_told;
	/* What it wants to see of a trace: */
	uint32_t only; /* an opcode; 0: all */
	uint64_t slow_ns;
	size_t have; /* bytes of its line so far */
	char line[256];
};

struct control {
	struct control_view view;
	struct control_client client[CONTROL_CLIENTS];
	int listen_fd; /* borrowed */
	int wake_fd; /* eventfd */
	atomic_bool stop;
	uint64_t missed; /* records of the trace */
	pthread_t thread;
	bool have_thread;
};

/* Starts the thread; 0 or -errno. */
int control_start(struct control *c, const struct control_view *view,
		  int listen_fd);

/* Ends it, before anything in the view goes: 0, or -ETIMEDOUT if it hangs. */
int control_stop(struct control *c);

#endif
