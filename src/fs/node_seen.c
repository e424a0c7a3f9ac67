/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of the guest's files without opening them. */
#include "fs/node.h"

#include <unistd.h>

#include "base/fd.h"

/* Counts the guest's lookup, unless the last one was taken back meanwhile. Shard
 * lock held. */
static bool meet(struct node_table *t, struct node *n, uint64_t size,
		 struct tally *tally)
{
	if (n->lookups == 0 || n->flags & NODE_UNHASHED)
		return false;
	node_raise(t, n, tally);
	n->size = size;
	return true;
}

/* As node_meet(), if the guess is right and the node has its descriptor. */
static bool meet_guess(struct node_table *t, const struct statx *stx,
		       uint32_t guess, struct tally *tally, uint64_t *ret_nodeid)
{
	struct node *n = slots_peek(&t->slots, guess);
	bool met;

	if (!n || n == t->root)
		return false;
	pthread_mutex_lock(node_lock(t, n));
	met = slots_peek(&t->slots, guess) && node_has_key(n, stx) &&
	      !(node_class(n) & FSCLASS_UNSTABLE) && atomic_load(&n->fd) >= 0 &&
	      meet(t, n, stx->stx_size, tally);
	if (met)
		*ret_nodeid = slots_id(&t->slots, n);
	pthread_mutex_unlock(node_lock(t, n));
	return met;
}

/*
 * Its descriptor pins the inode, so that the number cannot be another file's. One
 * that comes back by its handle shows that the inode was there all the time.
 */
bool node_meet(struct node_table *t, const struct statx *stx, uint32_t guess,
	       struct tally *tally, uint64_t *ret_nodeid)
{
	struct node *n;
	bool met = false;
	int fd;

	if (meet_guess(t, stx, guess, tally, ret_nodeid))
		return true;
	n = node_find(t, stx);
	if (!n)
		return false;
	if (n != t->root && !(node_class(n) & FSCLASS_UNSTABLE) &&
	    (!node_by_handle_alone(n) || node_fd_revive(t, n, &fd) == 0)) {
		pthread_mutex_lock(node_lock(t, n));
		met = meet(t, n, stx->stx_size, tally);
		pthread_mutex_unlock(node_lock(t, n));
	}
	*ret_nodeid = node_id(t, n);
	slots_put(&t->slots, n);
	return met;
}

/* syscalls: readlink readlinkat */
void node_path(struct node_table *t, uint64_t nodeid, char *buf, size_t size)
{
	struct node *n = node_get(t, nodeid);
	int fd = n ? atomic_load(&n->fd) : -1;
	ssize_t len = -1;

	if (fd >= 0)
		len = readlink(fd_name(fd).s, buf, size - 1);
	if (n)
		slots_put(&t->slots, n);
	if (len < 0)
		buf[len = 0] = '?';
	buf[len ? len : 1] = '\0';
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
