/* SPDX-License-Identifier: BSD-3-Clause */
#include "keeper/launch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "keeper/background.h"
#include "keeper/keeper.h"
#include "keeper/listen.h"
#include "keeper/manager.h"
#include "sandbox/sandbox.h"

/*
 * As pid 1 of its namespace, the keeper is not gone before its worker is, and
 * a worker that hangs in the host's kernel may not go at all. So the keeper says
 * its status on the connection first, and has so long to follow it. That, and
 * what the keeper takes for itself (keeper.c), is below 5 s.
 */
#ifdef __SANITIZE_ADDRESS__
#define FOLLOW_MS 3000 /* the leak checker works at a process's end */
#else
#define FOLLOW_MS 300
#endif
/* From a signal on, if the keeper does not even say anything. */
#define SILENT_MS 4700

struct launch {
	pid_t keeper;
	int link_fd; /* to the keeper; -1: it has hung up */
	int signal_fd;
	/* To those who wait for the readiness; -1: nobody does. */
	int notify_fd, starter_fd;
	int64_t deadline; /* ms of the monotonic clock; 0: none */
	int status; /* when that is over */
};

static void be_gone_within(struct launch *l, int ms, int status)
{
	l->deadline = (int64_t)clock_ms() + ms;
	l->status = status;
}

/* True when the keeper has ended. syscalls(launcher): wait4 */
static bool reap(struct launch *l)
{
	int status;

	if (waitpid(l->keeper, &status, WNOHANG) != l->keeper)
		return false;
	if (WIFEXITED(status)) {
		l->status = WEXITSTATUS(status);
	} else if (!l->deadline) {
		log_error("the keeper died of signal %d (%s)", WTERMSIG(status),
			  strsignal(WTERMSIG(status)));
		l->status = STATUS_WORKER_DIED;
	}
	return true;
}

/* True when the keeper has ended. syscalls(launcher): read kill */
static bool on_signal(struct launch *l)
{
	struct signalfd_siginfo info;

	if (read(l->signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo == SIGCHLD)
		return reap(l);
	kill(l->keeper, (int)info.ssi_signo);
	if (!l->deadline)
		be_gone_within(l, SILENT_MS, STATUS_FAILED);
	return false;
}

/* syscalls(launcher): close */
static void on_link(struct launch *l)
{
	unsigned char what;
	bool told = read(l->link_fd, &what, 1) == 1;

	if (told && what == KEEPER_READY) {
		manager_ready(&l->notify_fd);
		if (l->starter_fd >= 0)
			background_ready(&l->starter_fd);
		return;
	}
	if (told)
		be_gone_within(l, FOLLOW_MS, what);
	(void)fd_close(&l->link_fd);
}

/* syscalls(launcher): poll ppoll */
static int wait_for_keeper(struct launch *l)
{
	for (;;) {
		struct pollfd p[2] = {
			{ .fd = l->signal_fd, .events = POLLIN },
			{ .fd = l->link_fd, .events = POLLIN },
		};
		int64_t left = l->deadline - (int64_t)clock_ms();

		if (l->deadline && left <= 0) {
			log_warn("the keeper does not end: it is left behind");
			kill(l->keeper, SIGKILL);
			return l->status;
		}
		if (poll(p, 2, l->deadline ? (int)left : -1) < 0)
			continue;
		if (p[1].revents)
			on_link(l);
		if (p[0].revents && on_signal(l))
			return l->status;
	}
}

/* The socket has to have an end when the worker closes it, and the share when
 * the host unmounts it. */
static int wait_outside(const struct config *cfg, struct listener *listener,
			int *root_fd, int *starter_fd,
			struct sandbox_link *link, pid_t keeper)
{
	struct launch l = { .keeper = keeper, .link_fd = link->launcher,
			    .starter_fd = fd_take(starter_fd) };
	sigset_t set;
	int status;

	(void)fd_close(&listener->fd);
	(void)fd_close(&listener->control_fd);
	(void)fd_close(root_fd);
	keeper_launch_signals(&set);
	l.signal_fd = fd_signalfd(&set);
	l.notify_fd = manager_connect();
	if (l.signal_fd < 0 || sandbox_close_launcher(cfg) < 0) {
		kill(keeper, SIGKILL);
		return STATUS_FAILED;
	}
	status = wait_for_keeper(&l);
	(void)fd_close(&l.signal_fd);
	(void)fd_close(&l.notify_fd);
	(void)fd_close(&l.starter_fd);
	(void)fd_close(&l.link_fd);
	return status;
}

static int keep(const struct config *cfg, struct listener *listener,
		int *root_fd, struct sandbox_link *link)
{
	struct keeper k = { .link_fd = link->keeper, .stop_fd = -1,
			    .listen_fd = -1, .root_fd = -1, .proc_fd = -1,
			    .control_fd = -1, .started_ms = clock_ms() };
	bool in_worker = false;
	int status;

	/* The lock is the launcher's, who is gone in time. */
	(void)fd_close(&listener->pid_fd);
	k.control_fd = fd_take(&listener->control_fd);
	if (sandbox_enter(cfg, link->keeper, root_fd, &k.proc_fd) < 0)
		return STATUS_FAILED;
	status = keeper_run(cfg, &k, &listener->fd, root_fd, &in_worker);
	if (!in_worker)
		keeper_tell(&k, status);
	return status;
}

int launch_run(struct config *cfg, struct listener *listener, int *root_fd,
	       int *starter_fd, bool *ret_child)
{
	struct sandbox_link link;
	pid_t keeper = sandbox_fork(cfg, &link);

	*ret_child = keeper == 0;
	if (keeper < 0)
		return STATUS_FAILED;
	if (keeper)
		return wait_outside(cfg, listener, root_fd, starter_fd, &link,
				    keeper);
	(void)fd_close(starter_fd);
	return keep(cfg, listener, root_fd, &link);
}
