/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes: the host's files that the guest holds a reference to.
 *
 * A node is found by what identifies a file on the host, (device, inode, mount
 * id), and named towards the guest by an id (base/slots.h). It lives until the
 * guest's lookup count is zero and no thread is at work on it.
 *
 * A match on the key counts only while the node has a descriptor of the file
 * open, since that keeps the inode number from being used again. Today every
 * node has one; ops reach it through node_pin() alone, so that this can change.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/slots.h"

#define NODE_ROOT_ID 1U

/* In the arena. */
struct node {
	struct slot_head head;
	uint64_t ino;
	uint64_t mnt_id;
	uint32_t dev_major, dev_minor;
	uint64_t lookups; /* shard lock: the guest's count */
	int32_t fd; /* O_PATH */
	uint32_t mode; /* S_IFMT part; a file's type never changes */
};

struct node_table {
	struct slots slots;
	struct node *root; /* NODE_ROOT_ID; always pinned */
	struct node_shard *shard; /* SLOTS_SHARDS of them */
};

/* A node that a thread is at work on, and its descriptor for as long. */
struct node_pin {
	struct node_table *table; /* NULL: empty */
	struct node *node;
	int fd;
};

/* *root_fd is consumed. */
int node_table_init(struct node_table *t, const struct arena *arena,
		    int *root_fd);
void node_table_destroy(struct node_table *t);

/* Forgets every node but the root. No other thread in the table. */
void node_table_clear(struct node_table *t);

/* How many nodes there are, the root included. */
uint64_t node_table_count(struct node_table *t);

/*
 * Gets at a node by the guest's number: 0, or -EBADF if it holds no such node.
 * Any thread, no lock.
 */
int node_pin(struct node_table *t, uint64_t nodeid, struct node_pin *ret);
void node_unpin(struct node_pin *p);
#define _cleanup_unpin_ _cleanup_(node_unpin)

static inline bool node_is_root(const struct node_pin *p)
{
	return p->node == p->table->root;
}

static inline bool node_is_dir(const struct node_pin *p)
{
	return S_ISDIR(p->node->mode);
}

/*
 * Finds or makes the node of the file behind the O_PATH descriptor *fd, whose
 * statx is @stx, and raises the guest's lookup count by one: in one critical
 * section, before the reply is written. *fd is consumed. -ENFILE: table full.
 */
int node_enter(struct node_table *t, const struct statx *stx, int *fd,
	       uint64_t *ret_nodeid);

/*
 * Lowers the guest's count by @n, at most to zero: what a guest says too much
 * is ignored. Unknown numbers and the root too. Returns whether that was the
 * end of the number.
 */
bool node_forget(struct node_table *t, uint64_t nodeid, uint64_t n);

#endif
