/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fences around the three processes, in the order in which they close.
 *
 *	launcher	sandbox_fork()		then sandbox_close_launcher()
 *	keeper		sandbox_enter()		then sandbox_close_keeper()
 *	worker		sandbox_open_worker()	then sandbox_close_worker()
 *
 * Every function returns 0 or -errno, which it has said in the log. What was
 * asked for and cannot be had is an error; nothing is left out in silence.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <sys/types.h>

#include "config.h"

/* The ends of a connection between launcher and keeper. */
struct sandbox_link {
	int launcher, keeper;
};

/*
 * Makes the process that becomes the keeper, in namespaces of its own if that
 * is the mode. In the parent, returns the child's pid; in the child 0. Each
 * keeps its end of the connection. @cfg gets the id maps that hold.
 */
pid_t sandbox_fork(struct config *cfg, struct sandbox_link *ret_link);

/* The launcher has nothing to do any more but wait, pass signals on, and
 * remove its files. */
int sandbox_close_launcher(const struct config *cfg);

/*
 * In the child: waits for its ids, makes sure that it does not outlive the
 * launcher, and closes the host's tree off. *root_fd is the share, then and
 * afterwards; *ret_proc_fd a /proc that shows the worker itself.
 */
int sandbox_enter(const struct config *cfg, int link_fd, int *root_fd,
		  int *ret_proc_fd);

/* Before the keeper makes its first worker: capabilities, Landlock, seccomp. */
int sandbox_close_keeper(const struct config *cfg, int root_fd, int proc_fd);

/* First thing in a worker: its capabilities come into effect. */
int sandbox_open_worker(void);

/* Last thing before it makes its second thread and reads what others wrote. */
int sandbox_close_worker(const struct config *cfg);

#endif
