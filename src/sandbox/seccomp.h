/* SPDX-License-Identifier: BSD-3-Clause */
/* Which system calls the three processes may make. */
#ifndef SANDBOX_SECCOMP_H
#define SANDBOX_SECCOMP_H

#include "config.h"

enum sandbox_process { PROCESS_LAUNCHER, PROCESS_KEEPER, PROCESS_WORKER };

/*
 * Puts the filter on this process, for good: no_new_privs is set. A filter of
 * the keeper is the worker's, too, as far as that one allows; so the keeper's
 * allows what the worker's does. 0, or -errno said in the log.
 */
int seccomp_close(const struct config *cfg, enum sandbox_process who);

#endif
