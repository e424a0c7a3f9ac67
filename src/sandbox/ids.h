/* SPDX-License-Identifier: BSD-3-Clause */
/* The id maps of a user namespace. */
#ifndef SANDBOX_IDS_H
#define SANDBOX_IDS_H

#include <stdint.h>
#include <sys/types.h>

#include "config.h"

/* Adds ":INSIDE:OUTSIDE:COUNT:". 0, -EINVAL, -E2BIG (too many), -EEXIST (it
 * overlaps with one that is there). */
int ids_add(struct id_ranges *map, const char *text);

/* What holds without --uid-map: this id alone, the same inside. */
void ids_set_one(struct id_ranges *map, uint32_t id);

/*
 * Gives the namespace of @pid, a child that waits for it, its maps: by writing
 * them, where the kernel lets this process, else through newuidmap and
 * newgidmap. 0, or -errno said in the log.
 */
int ids_write(pid_t pid, const struct id_ranges *uids,
	      const struct id_ranges *gids);

#endif
