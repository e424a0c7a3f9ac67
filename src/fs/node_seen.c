/* SPDX-License-Identifier: BSD-3-Clause */
/* What is known of the guest's files without opening them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "fs/node_hash.h"
#include "fs/node_place.h"

struct node *node_find(struct node_table *t, const struct statx *stx)
{
	struct node_key k = node_key_from(stx);
	uint64_t hash = node_key_hash(&k);
	uint32_t shard = node_shard_no(hash);
	struct node *n;

	pthread_mutex_lock(&t->slots.shard[shard].lock);
	n = node_chain_find(t, &k, hash, NULL);
	if (n)
		slots_pin(&t->slots, n);
	pthread_mutex_unlock(&t->slots.shard[shard].lock);
	return n;
}

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

/* The file is certain to be the node's. Shard lock held. */
static bool is_surely(const struct node_table *t, const struct node *n,
		      const struct node_pin *dir, const char *name,
		      const struct statx *stx)
{
	if (!node_has_key(n, stx))
		return false;
	if (node_by_place_alone(n))
		return node_is_placed_file(n, &n->place, stx->stx_mode,
					   node_born(stx)) &&
		       n->place.dir == node_id(t, dir->node) &&
		       strcmp(n->place.name, name) == 0;
	return !(node_class(n) & FSCLASS_UNSTABLE) &&
	       atomic_load((_Atomic int32_t *)&n->fd) >= 0;
}

bool node_meet_guess(struct node_table *t, const struct node_pin *dir,
		     const char *name, const struct statx *stx,
		     uint32_t guess, struct tally *tally, uint64_t *ret_nodeid)
{
	struct node *n = guess ? slots_peek(&t->slots, guess) : NULL;
	bool met;

	if (!n || n == t->root)
		return false;
	pthread_mutex_lock(node_lock(t, n));
	met = slots_peek(&t->slots, guess) && is_surely(t, n, dir, name, stx) &&
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
bool node_meet(struct node_table *t, const struct statx *stx,
	       struct tally *tally, uint64_t *ret_nodeid)
{
	struct node *n;
	bool met = false;
	int fd;

	n = node_find(t, stx);
	if (!n)
		return false;
	if (n != t->root && !(node_class(n) & FSCLASS_UNSTABLE) &&
	    !node_by_place_alone(n) &&
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
static ssize_t path_of_fd(int fd, char *buf, size_t size)
{
	return fd < 0 ? -1 : readlink(fd_name(fd).s, buf, size - 1);
}

static ssize_t path_of_place(struct node_table *t, const struct node_place *p,
			     char *buf, size_t size)
{
	struct node *dir = node_get(t, p->dir);
	ssize_t len;
	int n;

	if (!dir)
		return -1;
	len = path_of_fd(atomic_load(&dir->fd), buf, size);
	slots_put(&t->slots, dir);
	if (len < 0)
		return -1;
	n = snprintf(buf + len, size - (size_t)len, "/%s", p->name);
	return (ssize_t)min_size((size_t)(len + n), size - 1);
}

void node_path(struct node_table *t, uint64_t nodeid, char *buf, size_t size)
{
	struct node *n = node_get(t, nodeid);
	struct node_place place;
	ssize_t len = -1;

	if (n && node_place_get(t, n, &place))
		len = path_of_place(t, &place, buf, size);
	else if (n)
		len = path_of_fd(atomic_load(&n->fd), buf, size);
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
