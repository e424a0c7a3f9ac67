/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The launcher: the process that was started and that is seen from outside. It
 * makes the keeper and waits for it, tells a service manager when VMMs can
 * connect, passes signals on, removes the socket and
 * returns the status. It has no capabilities, and neither memory of the guest
 * nor descriptors of the share.
 */
#ifndef KEEPER_LAUNCH_H
#define KEEPER_LAUNCH_H

#include <stdbool.h>

#include "config.h"

struct listener;

/*
 * Serves one front-end on the listener. Returns the exit status, in each of the
 * three processes; *ret_child tells the launcher, who has to close the listener,
 * from the others, to whom only the exit is left. *root_fd is consumed, and so is
 * *starter_fd (-1: nobody waits for background_ready()).
 */
int launch_run(struct config *cfg, struct listener *listener, int *root_fd,
	       int *starter_fd, bool *ret_child);

#endif
