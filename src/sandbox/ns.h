/* SPDX-License-Identifier: BSD-3-Clause */
/* Namespaces and the root directory. */
#ifndef SANDBOX_NS_H
#define SANDBOX_NS_H

#include <sys/types.h>

#include "config.h"

/*
 * Makes a child process, as fork() does, which has namespaces of its own if
 * @cfg says namespace: pid and net, and a user namespace where this process may
 * not make the others without, or if ids are to be mapped. Returns as fork()
 * does, or -errno, said in the log.
 */
pid_t ns_fork(const struct config *cfg);

/*
 * In the parent: gives the child its ids, if it needs them. @uids and @gids are
 * those of the configuration after ns_default_ids().
 */
int ns_write_ids(const struct config *cfg, pid_t child);

/* Fills in the maps that hold when none were asked for, if ns_fork() is going
 * to make a user namespace. */
int ns_default_ids(struct config *cfg);

/*
 * In the child, once it has its ids: takes all of the host's tree but the share
 * out of reach. *root_fd is the share, and afterwards the share as it is seen
 * from within; *ret_proc_fd a /proc, O_PATH. 0, or -errno said in the log.
 */
int ns_close_off(const struct config *cfg, int *root_fd, int *ret_proc_fd);

#endif
