/* SPDX-License-Identifier: BSD-3-Clause */
/* The worker: the process that serves the queues. */
#ifndef KEEPER_SERVICE_H
#define KEEPER_SERVICE_H

#include <stddef.h>
#include <sys/types.h>

#include "keeper/keeper.h"

/* How large each section of the arena is. */
void service_arena_sizes(size_t sizes[ARENA_SECTIONS]);

/* Serves one front-end, from the connection to its end. Returns the exit
 * status. @keeper is the parent: if it dies, so does the worker. */
int service_run(const struct config *cfg, struct keeper *k, pid_t keeper);

#endif
