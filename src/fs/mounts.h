/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mounts whose files are backed by handles: a handle is opened through a
 * descriptor on its mount.
 *
 * The share's own mount is always there. One below it gets an entry, and a
 * descriptor, with the first node on it that needs one, and loses both with the
 * last, so that the host can unmount it.
 */
#ifndef FS_MOUNTS_H
#define FS_MOUNTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/scope.h"

#define MOUNTS_MAX 1024U

/* In the arena. */
struct mount_record {
	uint64_t mnt_id;
	int32_t fd; /* any but O_PATH; 0: the entry is free */
	uint32_t reserved;
};

struct mounts {
	struct mount_record *record;
	uint32_t users[MOUNTS_MAX]; /* lock: nodes that have the entry */
	uint32_t n; /* lock: entries up to the last one in use */
	pthread_mutex_t lock; /* rank 25 */
};

#define MOUNT_ROOT 0U

/* Entry 0 is the mount of the share; *fd (consumed) may be -1: there are no
 * handles then. */
void mounts_init(struct mounts *m, const struct arena *arena, uint64_t mnt_id,
		 int *fd);
void mounts_destroy(struct mounts *m);

/*
 * The entry of the mount @mnt_id, with one more user. It is made, if need be,
 * with a descriptor that is opened through @path_fd, an O_PATH descriptor of
 * something on it. -errno: it is not to be had this way.
 */
int mounts_get(struct mounts *m, uint64_t mnt_id, int path_fd);

/* One user less. What is to be closed with the last one goes to *ret_fd. */
void mounts_put(struct mounts *m, uint32_t index, int *ret_fd);

/*
 * After a worker's death: counts in a node that has this entry, if the entry is
 * one of its mount; with its first user, its descriptor is recalled (see
 * base/recall.h). When all are in, entries without a user are free.
 */
bool mounts_attach_user(struct mounts *m, uint32_t index, uint64_t mnt_id);
void mounts_attach_end(struct mounts *m);

/* Any descriptor on the mount. The caller is a user of the entry. */
static inline int mounts_fd(const struct mounts *m, uint32_t index)
{
	return m->record[index].fd;
}

#endif
