/* SPDX-License-Identifier: BSD-3-Clause */
/* The socket that a VMM connects to, with the lock that goes with it, and the one
 * that an operator does. */
#ifndef KEEPER_LISTEN_H
#define KEEPER_LISTEN_H

#include "config.h"

struct listener {
	int fd; /* listening; -1: none */
	int pid_fd; /* holds the lock on <socket>.pid; -1: none */
	const char *path; /* of the socket, if it is ours to remove */
	int control_fd; /* the control socket, listening; -1: none */
	const char *control_path;
};

/*
 * Opens the socket as the configuration says: with a path, takes the lock on
 * <path>.pid (and writes this process's id there), removes a stale socket, binds
 * and listens; or takes the inherited one. The same with the control socket, whose
 * name is free unless somebody answers there. 0, or -errno, said in the log.
 */
int listener_open(const struct config *cfg, struct listener *ret);

/* Removes the sockets and the pid file and gives the lock back. */
void listener_close(struct listener *l);

#endif
