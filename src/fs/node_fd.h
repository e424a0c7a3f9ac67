/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors of nodes: who keeps one, who gives it up, how one comes back.
 *
 * A guest may hold more nodes than a process may have descriptors. Up to a
 * budget every node keeps its O_PATH descriptor, and nothing here costs a
 * system call. Beyond it each new descriptor is paid for with that of a node
 * that was not used for a while: its file handle is taken and recorded, then the
 * descriptor is closed. When the guest comes back to it, node_pin() opens it
 * again by the handle, one call.
 *
 * Nodes without a usable handle keep their descriptors, and with them everyone
 * when handles need a capability that the daemon does not have. Then the guest
 * gets ENFILE at the limit.
 *
 * The budget is of all descriptors in the process: a guest with many open files
 * has fewer nodes with descriptors.
 */
#ifndef FS_NODE_FD_H
#define FS_NODE_FD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/scope.h"
#include "config.h"
#include "fs/fhandle.h"

struct node;
struct node_table;

/* So many descriptors are open before nodes begin to give theirs up, if the
 * limit of the process allows for them. */
#define NODE_FDS_AUTO 65536L
#define NODE_FDS_PREFER 4096L

#define NODE_GATES 16U

struct node_fds {
	enum handle_mode mode;
	long budget; /* LONG_MAX: nobody gives anything up */
	_Atomic uint32_t *owner; /* by descriptor: index of its node + 1, or 0 */
	uint32_t n_owner;
	_Atomic uint32_t top; /* highest descriptor ever seen here, + 1 */
	_Atomic uint32_t hand; /* where the search for a cold node goes on */
	atomic_bool short_of; /* some nodes may be backed by handles alone */
	atomic_bool begun; /* ... and all who take names away know it */
	struct {
		_Atomic uint32_t n _cacheline_;
	} gate[NODE_GATES]; /* removals that do not know it */
};

/* @root_fd is the share's; *ret_mount_fd is what its mount's handles are opened
 * by, or -1. */
int node_fds_init(struct node_fds *f, enum handle_mode mode, int root_fd,
		  int *ret_mount_fd);
void node_fds_destroy(struct node_fds *f);

/* No node has a descriptor any more. */
void node_fds_clear(struct node_fds *f);

/* After a worker's death, before there is another thread: there are nodes that
 * are backed by their handles alone. */
void node_fds_attach(struct node_fds *f);

/* Puts *fd (taken) behind the node. Shard lock held, or nobody knows it yet. */
void node_fd_put(struct node_table *t, struct node *n, int *fd);

/* Takes a node's descriptor from it; -1 if it has none. Likewise. */
int node_fd_take(struct node_table *t, struct node *n);

/* Records a node's handle, and the mount entry that it is a user of now. */
void node_handle_put(struct node *n, const struct fhandle *fh, uint32_t mount);
struct fhandle node_handle(const struct node *n);

/* A pinned node has none: opens it by its handle, or in its place. 0 or -errno. No
 * lock held. */
int node_fd_revive(struct node_table *t, struct node *n, int *ret_fd);

/* More descriptors may be open than the budget has: pays for one. No lock
 * held. */
void node_fds_balance(struct node_table *t);

/* Sees to it that nodes give up descriptors from now on, whatever the budget.
 * True if some were closed. For fs_relieve(). */
bool node_fds_relieve(void *table);

#endif
