/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of the guest's files without opening them. */
#include "fs/node.h"

/* A pinned node that was found by its key: counts the guest's lookup, unless the
 * last one was taken back meanwhile. */
static bool meet(struct node_table *t, struct node *n, uint64_t size,
		 struct tally *tally)
{
	bool live;

	pthread_mutex_lock(node_lock(t, n));
	live = n->lookups > 0 && !(n->flags & NODE_UNHASHED);
	if (live) {
		node_raise(t, n, tally);
		n->size = size;
	}
	pthread_mutex_unlock(node_lock(t, n));
	return live;
}

/*
 * Its descriptor pins the inode, so that the number cannot be another file's. One
 * that comes back by its handle shows that the inode was there all the time.
 */
bool node_meet(struct node_table *t, const struct statx *stx,
	       struct tally *tally, uint64_t *ret_nodeid)
{
	struct node *n = node_find(t, stx);
	bool met = false;
	int fd;

	if (!n)
		return false;
	if (n != t->root && !(node_class(n) & FSCLASS_UNSTABLE) &&
	    (!node_by_handle_alone(n) || node_fd_revive(t, n, &fd) == 0))
		met = meet(t, n, stx->stx_size, tally);
	*ret_nodeid = node_id(t, n);
	slots_put(&t->slots, n);
	return met;
}

uint64_t node_size(struct node_table *t, uint64_t nodeid)
{
	struct node *n = node_get(t, nodeid);
	uint64_t size;

	if (!n)
		return UINT64_MAX;
	size = n->size;
	slots_put(&t->slots, n);
	return size;
}

void node_saw_size(struct node_table *t, uint64_t nodeid, uint64_t size)
{
	struct node *n = node_get(t, nodeid);

	if (!n)
		return;
	n->size = size;
	slots_put(&t->slots, n);
}
