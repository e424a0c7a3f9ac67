/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a service manager such as systemd hands over in the environment: a
 * socket, and a place to say that the daemon is ready (sd_listen_fds(3) and
 * sd_notify(3) have the protocols).
 */
#ifndef KEEPER_MANAGER_H
#define KEEPER_MANAGER_H

/*
 * Looks for the one socket that a service manager has passed to this process.
 * *ret_fd is -1 if there is none. -EINVAL, said in the log, if there are more.
 */
int manager_socket(int *ret_fd);

/*
 * Opens the way to whoever waits for the readiness; for the launcher, before it
 * gives up what that may take. -1 if nobody waits, or it cannot be had, which is
 * said in the log.
 */
int manager_connect(void);

/* VMMs can connect. Consumes *fd; -1: nobody waits. */
void manager_ready(int *fd);

#endif
