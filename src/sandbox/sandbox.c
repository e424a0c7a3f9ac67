/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The staircase. See doc/security.md for what each process has left in the end.
 *
 * Should: only ever go down. Mustn't: know what the processes do.
 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "sandbox/caps.h"
#include "sandbox/landlock.h"
#include "sandbox/ns.h"
#include "sandbox/seccomp.h"

pid_t sandbox_fork(struct config *cfg, struct sandbox_link *ret_link)
{
	int r = ns_default_ids(cfg), fds[2];
	const char go = 0;
	pid_t child;

	if (r < 0)
		return r;
	r = fd_socketpair(fds);
	if (r < 0)
		return log_err(r, "socketpair");
	*ret_link = (struct sandbox_link){ .launcher = fds[0], .keeper = fds[1] };
	child = ns_fork(cfg);
	/* A descriptor that both have must be closed in both. */
	if (child != 0)
		(void)fd_close(&ret_link->keeper);
	else
		(void)fd_close(&ret_link->launcher);
	if (child <= 0)
		return child;
	r = ns_write_ids(cfg, child);
	if (r == 0 && write(ret_link->launcher, &go, 1) != 1)
		r = log_err(-errno, "cannot start the keeper");
	if (r < 0) {
		kill(child, SIGKILL);
		return r;
	}
	return child;
}

/* No program that is started could gain what is given up here. */
static int renounce(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return log_err(-errno, "no_new_privs");
	return 0;
}

int sandbox_close_launcher(const struct config *cfg)
{
	int r = renounce();

	if (r < 0)
		return r;
	r = caps_drop();
	if (r < 0)
		return log_err(r, "cannot give up the launcher's capabilities");
	return seccomp_close(cfg, PROCESS_LAUNCHER);
}

/* The launcher's signal comes when it dies after this, an end of its connection
 * if it has died before. */
static int follow_launcher(int link_fd)
{
	struct pollfd p = { .fd = link_fd };

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return log_err(-errno, "PDEATHSIG");
	return poll(&p, 1, 0) > 0 ? -ESRCH : 0;
}

int sandbox_enter(const struct config *cfg, int link_fd, int *root_fd,
		  int *ret_proc_fd)
{
	char go;
	int r;

	if (read(link_fd, &go, 1) != 1)
		return -ESRCH; /* the launcher has said what was wrong */
	r = ns_close_off(cfg, root_fd, ret_proc_fd);
	return r < 0 ? r : follow_launcher(link_fd);
}

int sandbox_close_keeper(const struct config *cfg, int root_fd, int proc_fd)
{
	uint64_t caps;
	int r = caps_wanted(cfg, &caps);
	bool by_handle;

	if (r < 0)
		return r;
	r = renounce();
	if (r < 0)
		return r;
	/* A worker of the same user must not look into it. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return log_err(-errno, "PR_SET_DUMPABLE");
	by_handle = cfg->handles != HANDLES_NEVER && caps & 1U << CAP_DAC_READ_SEARCH;
	r = landlock_close(root_fd, proc_fd, by_handle);
	if (r < 0)
		return r;
	r = caps_limit(caps);
	if (r < 0)
		return log_err(r, "cannot limit the capabilities");
	return seccomp_close(cfg, PROCESS_KEEPER);
}

/* Its own files below /proc have to be its own.
 * syscalls(keeper): prctl:PR_SET_DUMPABLE */
int sandbox_open_worker(void)
{
	int r = caps_raise();

	if (r < 0)
		return log_err(r, "the worker's capabilities");
	if (prctl(PR_SET_DUMPABLE, 1) < 0)
		return log_err(-errno, "PR_SET_DUMPABLE");
	return 0;
}

int sandbox_close_worker(const struct config *cfg)
{
	return seccomp_close(cfg, PROCESS_WORKER);
}
