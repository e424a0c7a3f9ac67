/* SPDX-License-Identifier: BSD-3-Clause */
/* How a file that was found becomes a node, or is known to be one. */
#include <errno.h>

#include "base/fd.h"
#include "fs/node_hash.h"
#include "fs/node_place.h"

/* What node_enter() knows of the file that it enters. */
struct arrival {
	struct node_key key;
	uint64_t hash;
	uint32_t shard;
	uint16_t mode;
	unsigned int class; /* FSCLASS_* */
	uint64_t size;
	bool asked; /* for the handle, which is there if it has a length */
	struct fhandle handle;
	uint32_t mount; /* the entry that goes with the handle, if wanted */
	uint64_t born;
	/* One of these: what it was opened as, or where it is. */
	int fd;
	const struct node_place *place;
};

/* A new node with no lookups, pinned once. Shard lock held. */
static struct node *insert(struct node_table *t, struct arrival *a)
{
	struct node *n = slots_alloc(&t->slots, a->shard);

	if (!n)
		return NULL;
	n->ino = a->key.ino;
	n->mnt_id = (uint32_t)a->key.mnt_id;
	n->dev_major = a->key.dev_major;
	n->dev_minor = a->key.dev_minor;
	n->mode = a->mode & S_IFMT;
	n->flags = (uint16_t)(a->class << NODE_CLASS_SHIFT);
	node_fd_put(t, n, &a->fd);
	if (a->mount != MOUNTS_MAX) {
		node_handle_put(n, &a->handle, a->mount);
		a->mount = MOUNTS_MAX; /* the node's now */
	}
	if (a->place)
		node_place_put(t, n, a->place);
	slots_commit(&t->slots, n);
	node_chain_in(t, n);
	return n;
}

/*
 * A node with the key of the arrival is its node? -EAGAIN: that depends on the
 * handle.
 */
static int matches(const struct arrival *a, const struct node *n)
{
	struct fhandle fh;

	if (node_by_place_alone(n))
		return node_is_placed_file(n, &n->place, a->mode, a->born);
	if (!node_by_handle_alone(n) &&
	    !(node_class(n) & FSCLASS_UNSTABLE && n->handle_len))
		return true;
	if (!a->asked) /* for which it has to be open */
		return -EAGAIN;
	fh = node_handle(n);
	return fhandle_equal(&a->handle, &fh);
}

/*
 * The arrival's node, pinned, or NULL: it is to be made. -EAGAIN as above. A node
 * that is backed by another handle, or was born at another time, is gone from the host,
 * since its inode's number is in use again. Shard lock held.
 */
static int find_node(struct node_table *t, const struct arrival *a,
		     struct node **ret)
{
	struct node *n = NULL, *stale = NULL;
	int r = 0;

	while ((n = node_chain_find(t, &a->key, a->hash, n)) != NULL) {
		r = matches(a, n);
		if (r != 0)
			break;
		if (node_by_handle_alone(n) || node_by_place_alone(n))
			stale = n;
	}
	if (r < 0)
		return r;
	if (n)
		slots_pin(&t->slots, n);
	if (stale) {
		node_chain_out(t, stale);
		stale->flags |= NODE_UNHASHED;
	}
	*ret = n;
	return 0;
}

/* Shard lock held. -EAGAIN: the handle has to be known. */
static int enter_locked(struct node_table *t, struct arrival *a,
			struct tally *tally, struct node **ret)
{
	struct node *n;
	int r = find_node(t, a, &n);

	if (r < 0)
		return r;
	if (!n)
		n = insert(t, a);
	if (!n)
		return -ENFILE;
	/* Here is the descriptor that it had given up, or never had. */
	if (a->fd >= 0 && atomic_load(&n->fd) < 0)
		node_fd_put(t, n, &a->fd);
	if (a->place)
		node_place_put(t, n, a->place);
	node_raise(t, n, tally);
	n->size = a->size;
	*ret = n;
	return 0;
}

/* A file that has none is the same as no other: it keeps its descriptor. */
static void ask_for_handle(struct arrival *a)
{
	if (fhandle_get(a->fd, &a->handle) < 0)
		a->handle.len = 0;
	a->asked = true;
}

/* Who insists on handles, or cannot go by numbers, has it from the start. */
static int prepare(struct node_table *t, const struct node_pin *dir,
		   struct arrival *a)
{
	int r;

	a->class = dir && dir->node->mnt_id == a->key.mnt_id ?
			   node_class(dir->node) :
			   fsclass_of(a->fd);
	if (!(a->class & FSCLASS_UNSTABLE) && t->fds.mode != HANDLES_MANDATORY)
		return 0;
	ask_for_handle(a);
	r = -EOPNOTSUPP;
	if (a->handle.len)
		r = mounts_get(&t->mounts, a->key.mnt_id, a->fd);
	if (r < 0)
		return t->fds.mode == HANDLES_MANDATORY ? r : 0;
	a->mount = (uint32_t)r;
	return 0;
}

static void arrival_end(struct node_table *t, struct arrival *a)
{
	int fd = -1;

	(void)fd_close(&a->fd);
	if (a->mount != MOUNTS_MAX)
		mounts_put(&t->mounts, a->mount, &fd);
	(void)fd_close(&fd);
}

static struct arrival arrival_of(const struct statx *stx)
{
	struct arrival a = { .key = node_key_from(stx), .mode = stx->stx_mode,
			     .size = stx->stx_size, .mount = MOUNTS_MAX,
			     .born = node_born(stx), .fd = -1 };

	a.hash = node_key_hash(&a.key);
	a.shard = node_shard_no(a.hash);
	return a;
}

/* 0, with the node pinned; -EAGAIN as above; or -ENFILE. */
static int enter(struct node_table *t, struct arrival *a, struct tally *tally,
		 struct node **ret, uint64_t *ret_nodeid)
{
	pthread_mutex_t *lock = &t->slots.shard[a->shard].lock;
	int r;

	pthread_mutex_lock(lock);
	r = enter_locked(t, a, tally, ret);
	if (r == 0)
		*ret_nodeid = node_id(t, *ret);
	pthread_mutex_unlock(lock);
	return r;
}

int node_enter_for(struct node_table *t, const struct node_pin *dir,
		   const struct statx *stx, int *fd, struct tally *tally,
		   uint64_t *ret_nodeid)
{
	struct arrival a = arrival_of(stx);
	struct node *n;
	int r;

	a.fd = fd_take(fd);
	r = prepare(t, dir, &a);
	if (r == 0)
		r = enter(t, &a, tally, &n, ret_nodeid);
	if (r == -EAGAIN) {
		ask_for_handle(&a);
		r = enter(t, &a, tally, &n, ret_nodeid);
	}
	arrival_end(t, &a);
	if (r < 0)
		return r;
	slots_put(&t->slots, n);
	node_fds_balance(t);
	return 0;
}

int node_enter_place(struct node_table *t, const struct node_pin *dir,
		     const char *name, const struct statx *stx,
		     struct tally *tally, uint64_t *ret_nodeid)
{
	struct arrival a = arrival_of(stx);
	struct node_place place;
	struct node *n;
	int r;

	if (!node_place_of(t, dir, name, stx, &place))
		return -EAGAIN;
	a.class = node_class(dir->node);
	a.place = &place;
	r = enter(t, &a, tally, &n, ret_nodeid);
	if (r == 0)
		slots_put(&t->slots, n);
	return r;
}

int node_enter(struct node_table *t, const struct node_pin *dir,
	       const struct statx *stx, int *fd, uint64_t *ret_nodeid)
{
	return node_enter_for(t, dir, stx, fd, NULL, ret_nodeid);
}
