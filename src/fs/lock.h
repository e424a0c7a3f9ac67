/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The locks that a guest holds on the share, if it may have them there at all
 * (-o posix_lock, -o flock): what the ops do with them. See lock_table.h for
 * who holds what, lock_host.h for the host's side, lock_wait.h for waiting.
 */
#ifndef FS_LOCK_H
#define FS_LOCK_H

#include "fs/lock_table.h"
#include "fs/lock_wait.h"
#include "fs/share.h"

/* NULL in struct fs if both options are off; then none of these does anything. */
struct locks {
	struct lock_table table;
	struct lock_retry retry;
};

int locks_create(struct fs *fs, const struct arena *arena);
/* After locks_stop(), if requests were ever served. */
void locks_destroy(struct fs *fs);

/* Ends waiting for good: from here on no parked request is completed. Any thread
 * may be in the other functions still. -ETIMEDOUT if one hangs in the host. */
int locks_stop(struct fs *fs);

/* Drops all locks and all waiters, which are completed by nobody. No op runs. */
void locks_reset(struct fs *fs);

/*
 * Takes or releases a lock. If others have it: -EAGAIN, or with @park
 * REQUEST_PARKED, to be completed through fs->parking, or -EDEADLK.
 */
int lock_set(struct fs *fs, const struct lock_want *want,
	     const struct request_token *park);

/*
 * Whether a POSIX lock could be had. 1: no, *ret_held says why and *ret_pid
 * whose it is, 0 if it is none of this guest's. 0: it could. Else -errno.
 */
int lock_test(struct fs *fs, const struct lock_want *want,
	      struct lock_span *ret_held, uint32_t *ret_pid);

/* A process of the guest has closed an open file: its POSIX locks on the node
 * go, and its waits by that file end. */
void lock_flush(struct fs *fs, uint64_t nodeid, uint64_t owner, uint64_t fh);

/* An open file goes, whose number is worth nothing any more: so do the locks
 * that were taken by it, and its waits. @fd: its descriptor. */
void lock_release(struct fs *fs, uint64_t nodeid, uint64_t fh, int fd);

/* The guest has forgotten a node, whose number is worth nothing any more. */
void lock_forget_node(struct fs *fs, uint64_t nodeid);

#endif
