/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --daemonize: the processes go on without whoever started them.
 *
 * What is wrong at the start is still said on standard error, and is the exit
 * status that is waited for; from then on the log goes to syslog. The launcher has
 * standard descriptors of its own, keeper and worker have one set between them.
 */
#ifndef KEEPER_BACKGROUND_H
#define KEEPER_BACKGROUND_H

#include <stdbool.h>

/*
 * Makes a child that goes on in a session of its own. In the child: 0, and a
 * descriptor for background_ready(). In the parent, when the child is ready or
 * has ended: 1, and the status to end with. Or -errno.
 */
int background_begin(int *ret_fd, int *ret_status);

/* Opens what background_leave() needs. Before any sandbox. -errno, said in the log. */
int background_prepare(void);

/* Gives the standard descriptors up; the log goes to syslog. */
void background_leave(void);

/* The child: VMMs can connect. Does that, lets the parent end and consumes *fd. */
void background_ready(int *fd);

#endif
