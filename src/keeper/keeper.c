/* SPDX-License-Identifier: BSD-3-Clause */
#include "keeper/keeper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "keeper/service.h"

/* A worker that was told to stop has this long before it is killed, and as
 * many milliseconds to be gone after that. */
#define STOP_MS 4000
#define KILL_MS 500

static void wanted_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGCHLD);
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
	return 0;
}

/* syscalls: clone */
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

static int died(int wait_status, bool stopping)
{
	if (WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	if (stopping)
		return STATUS_FAILED;
	log_error("the worker died of signal %d (%s)", WTERMSIG(wait_status),
		  strsignal(WTERMSIG(wait_status)));
	return STATUS_WORKER_DIED;
}

static struct timespec *timeout(long ms, struct timespec *ts)
{
	ts->tv_sec = ms / 1000;
	ts->tv_nsec = ms % 1000 * 1000000;
	return ts;
}

/* syscalls: rt_sigtimedwait wait4 kill write */
static int watch(const struct keeper *k, pid_t worker, const sigset_t *set)
{
	bool stopping = false, killed = false;
	struct timespec ts;
	int status, sig;

	for (;;) {
		struct timespec *t = NULL;

		if (stopping)
			t = timeout(killed ? KILL_MS : STOP_MS, &ts);
		sig = sigtimedwait(set, NULL, t);
		if (reap(worker, &status))
			return died(status, stopping);
		if (sig < 0 && errno == EAGAIN) {
			if (killed)
				return STATUS_FAILED; /* stuck in the kernel */
			log_warn("the worker does not stop: it is killed");
			kill(worker, SIGKILL);
			killed = true;
		} else if (sig > 0 && sig != SIGCHLD && !stopping) {
			log_info("%s: shutting down", strsignal(sig));
			tell_worker_to_stop(k);
			stopping = true;
		}
	}
}

int keeper_run(const struct config *cfg, int *listen_fd, int *root_fd,
	       bool *ret_in_worker)
{
	struct keeper k = { .stop_fd = -1, .listen_fd = -1, .root_fd = -1 };
	pid_t self = getpid(), worker;
	sigset_t set;

	*ret_in_worker = false;
	if (setup(&k, listen_fd, root_fd) < 0)
		return STATUS_FAILED;
	wanted_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);

	worker = start_worker();
	if (worker == 0) {
		*ret_in_worker = true;
		return service_run(cfg, &k, self);
	}
	if (worker < 0) {
		log_err(worker, "cannot start the worker");
		return STATUS_FAILED;
	}
	return watch(&k, worker, &set);
}
