/* SPDX-License-Identifier: BSD-3-Clause */
#include "keeper/keeper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/recall.h"
#include "keeper/restart.h"
#include "keeper/service.h"
#include "sandbox/sandbox.h"

/* A worker that was told to stop has this long before it is killed, and as
 * many milliseconds to be gone after that. */
#define STOP_MS 4000
#define KILL_MS 500

void keeper_launch_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGCHLD);
}

static void wanted_signals(sigset_t *set)
{
	keeper_launch_signals(set);
	sigaddset(set, KEEPER_SIG_ENDING);
}

void keeper_block_signals(void)
{
	sigset_t set;

	wanted_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int setup(struct keeper *k, int *listen_fd, int *root_fd)
{
	size_t sizes[ARENA_SECTIONS];
	int r;

	service_arena_sizes(sizes);
	r = arena_create(sizes, &k->arena);
	if (r < 0)
		return log_err(r, "cannot make the arena");
	k->stop_fd = fd_eventfd(0, 0);
	if (k->stop_fd < 0)
		return log_err(k->stop_fd, "eventfd");
	k->listen_fd = fd_take(listen_fd);
	k->root_fd = fd_take(root_fd);
	r = recall_list(k->proc_fd, &k->fds);
	if (r < 0)
		return log_err(r, "/proc");
	k->n_fds = r;
	return 0;
}

/* syscalls(keeper): clone:CLONE_WORKER_FLAGS */
static pid_t start_worker(void)
{
	long pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	return pid < 0 ? -errno : (pid_t)pid;
}

static void tell_worker_to_stop(const struct keeper *k)
{
	const uint64_t one = 1;

	if (write(k->stop_fd, &one, sizeof(one)) < 0)
		log_err(-errno, "cannot stop the worker");
}

/* True when the worker has ended; its wait status is then stored. */
static bool reap(pid_t worker, int *ret_status)
{
	pid_t pid;

	while ((pid = waitpid(-1, ret_status, WNOHANG)) > 0)
		if (pid == worker)
			return true;
	return false;
}

/* What the keeper knows of an end that is under way. */
struct ending {
	uint64_t deadline; /* ms of the monotonic clock; 0: nobody is to end */
	int status; /* to return if the worker does not end by itself */
	bool asked; /* by a signal to the keeper */
	bool killed;
	int died_of; /* a signal that nobody here has sent; 0: none */
};

static void begin_end(struct ending *e, int status)
{
	if (e->deadline)
		return;
	e->deadline = clock_ms() + STOP_MS;
	e->status = status;
}

static int exit_status(int wait_status, struct ending *e)
{
	if (WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	if (e->killed || e->asked)
		return e->status;
	if (!e->deadline) /* else it was on its way out */
		e->died_of = WTERMSIG(wait_status);
	else
		log_error("the worker died of signal %d at its end",
			  WTERMSIG(wait_status));
	return STATUS_WORKER_DIED;
}

static void on_signal(const struct keeper *k, pid_t worker, struct ending *e,
		      const siginfo_t *info)
{
	switch (info->si_signo) {
	case SIGCHLD:
		return;
	case KEEPER_SIG_ENDING:
		if (info->si_pid == worker)
			begin_end(e, info->si_value.sival_int);
		return;
	default:
		if (e->asked)
			return;
		log_info("%s: shutting down", strsignal(info->si_signo));
		tell_worker_to_stop(k);
		begin_end(e, STATUS_FAILED);
		e->asked = true;
	}
}

/* Returns false when there is nothing left to wait for. */
static bool on_deadline(pid_t worker, struct ending *e)
{
	if (e->killed)
		return false; /* stuck in the host's kernel */
	log_warn("the worker does not end: it is killed");
	kill(worker, SIGKILL);
	e->killed = true;
	e->deadline = clock_ms() + KILL_MS;
	return true;
}

/* syscalls(keeper): rt_sigtimedwait wait4 kill write */
static int watch(const struct keeper *k, pid_t worker, const sigset_t *set,
		 struct ending *e)
{
	int status;

	for (;;) {
		struct timespec ts = { 0 };
		siginfo_t info;
		int sig;

		if (e->deadline) {
			uint64_t now = clock_ms();
			uint64_t left = e->deadline > now ? e->deadline - now : 0;

			ts.tv_sec = (time_t)(left / 1000);
			ts.tv_nsec = (long)(left % 1000) * 1000000;
		}
		sig = sigtimedwait(set, &info, e->deadline ? &ts : NULL);
		if (reap(worker, &status))
			return exit_status(status, e);
		if (sig > 0)
			on_signal(k, worker, e, &info);
		else if (errno == EAGAIN && !on_deadline(worker, e))
			return e->status;
	}
}

/* Returns the status to end with; in a worker as well. */
static int run_workers(const struct config *cfg, struct keeper *k,
		       bool *ret_in_worker)
{
	static struct restarts restarts;
	pid_t self = getpid(), worker;
	sigset_t set;
	int status;

	wanted_signals(&set);
	for (;;) {
		struct ending e = { 0 };

		worker = start_worker();
		if (worker == 0) {
			*ret_in_worker = true;
			return service_run(cfg, k, self);
		}
		if (worker < 0) {
			log_err(worker, "cannot start the worker");
			return k->deaths ? STATUS_WORKER_DIED : STATUS_FAILED;
		}
		/* The first worker says what is wrong while somebody reads it. */
		if (cfg->daemonize)
			log_to_syslog(true);
		status = watch(k, worker, &set, &e);
		if (!e.died_of ||
		    !restart_decide(&restarts, cfg, k, e.died_of,
				    clock_ms()))
			return status;
		k->deaths++;
	}
}

/* syscalls(keeper): write */
void keeper_tell(const struct keeper *k, int what)
{
	const unsigned char byte = (unsigned char)what;

	if (write(k->link_fd, &byte, 1) < 0)
		log_debug("the launcher is gone");
}

int keeper_run(const struct config *cfg, struct keeper *k, int *listen_fd,
	       int *root_fd, bool *ret_in_worker)
{
	int status;

	*ret_in_worker = false;
	if (setup(k, listen_fd, root_fd) < 0 ||
	    sandbox_close_keeper(cfg, k->root_fd, k->proc_fd) < 0)
		return STATUS_FAILED;
	status = run_workers(cfg, k, ret_in_worker);
	free(k->fds);
	return status;
}
