/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The keeper: the launcher's child, and pid 1 of the sandbox if that has a pid
 * namespace. It holds the arena and, through a descriptor table shared with the
 * worker, everything that the worker opens; it waits, passes signals on and
 * returns the status. It has one thread, no capability in effect, and reads
 * nothing that a guest wrote.
 *
 * The worker is a clone with memory of its own (no CLONE_VM) and the keeper's
 * descriptors (CLONE_FILES). If it dies, another one is started in its place
 * (keeper/restart.h).
 */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "config.h"

/* Exit statuses. */
enum {
	STATUS_OK = 0, /* the front-end went away, as it does when a VM ends */
	STATUS_FAILED = 1, /* start-up failed, a signal, a front-end's fault */
	STATUS_WORKER_DIED = 70, /* the worker was killed, or a bug killed it */
};

/* What the launcher is told while there is no status yet: VMMs can connect. */
#define KEEPER_READY 0xff

/* The worker's "I am about to end", with its status as the signal's value. */
#define KEEPER_SIG_ENDING SIGUSR1

struct keeper {
	struct arena arena;
	int *fds; /* all descriptors that were open before the first worker */
	int n_fds;
	unsigned int deaths; /* of workers */
	int link_fd; /* to the launcher, who is told the state; not the keeper's own */
	int stop_fd; /* eventfd: the worker is to end */
	int listen_fd; /* a worker closes it once it has its connection */
	int root_fd; /* O_PATH, the share; stays open for every worker */
	int proc_fd; /* O_PATH, a /proc that shows the worker */
	int control_fd; /* the control socket, listening; -1: none */
	uint64_t started_ms; /* on the monotonic clock */
};

/* Blocks the signals that the keeper will wait for: from the moment when there
 * is something to be cleaned up, they must not end the process by themselves. */
void keeper_block_signals(void);

/* Those of them that the launcher waits for as well. */
void keeper_launch_signals(sigset_t *set);

/* Tells the launcher a status to end with, or, from the first worker, KEEPER_READY. */
void keeper_tell(const struct keeper *k, int what);

/*
 * Starts a worker, and others in the place of dead ones, and waits for the end.
 * Returns the exit status, in the keeper and in the worker; *ret_in_worker tells
 * which of them this is. In the
 * worker the only thing left to do is to exit. @k has the /proc already; both
 * descriptors are consumed.
 */
int keeper_run(const struct config *cfg, struct keeper *k, int *listen_fd,
	       int *root_fd, bool *ret_in_worker);

#endif
