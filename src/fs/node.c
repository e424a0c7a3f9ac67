/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The records lie in a slot table (base/slots.h). Each of its shards has a hash
 * table over the keys of its records (fs/node_hash.h); the shard's lock covers both.
 * How a file becomes a node is in node_enter.c, what stands behind one in node_fd.c
 * and node_place.c, what is known of it without opening it in node_seen.c.
 */
#include "fs/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/recall.h"
#include "fs/node_hash.h"

uint64_t node_id(const struct node_table *t, const struct node *n)
{
	return n == t->root ? NODE_ROOT_ID : slots_id(&t->slots, n);
}

struct node *node_get(struct node_table *t, uint64_t nodeid)
{
	struct node *n = t->root;

	if (nodeid == NODE_ROOT_ID) {
		slots_pin(&t->slots, n);
		return n;
	}
	n = slots_get(&t->slots, nodeid);
	/* The root's own slot number is not one of the guest's. */
	if (n == t->root) {
		slots_put(&t->slots, n);
		return NULL;
	}
	return n;
}

int node_pin(struct node_table *t, uint64_t nodeid, struct node_pin *ret)
{
	struct node *n = node_get(t, nodeid);
	int fd, r = 0;

	if (!n)
		return -EBADF;
	fd = atomic_load_explicit(&n->fd, memory_order_acquire);
	if (fd < 0)
		r = node_fd_revive(t, n, &fd);
	if (r < 0) {
		slots_put(&t->slots, n);
		return r;
	}
	ret->table = t;
	ret->node = n;
	ret->fd = fd;
	return 0;
}

void node_unpin(struct node_pin *p)
{
	if (!p->table)
		return;
	slots_put(&p->table->slots, p->node);
	p->table = NULL;
}

bool node_forget(struct node_table *t, uint64_t nodeid, uint64_t count)
{
	return node_forget_for(t, nodeid, count, NULL, 0);
}

bool node_forget_for(struct node_table *t, uint64_t nodeid, uint64_t count,
		     struct tally *tally, uint32_t tally_n)
{
	struct node *n;
	uint32_t shard;
	bool gone;

	if (nodeid == NODE_ROOT_ID)
		return false;
	n = node_get(t, nodeid);
	if (!n)
		return false;
	shard = slots_index(&t->slots, n) % SLOTS_SHARDS;
	pthread_mutex_lock(&t->slots.shard[shard].lock);
	node_set_lookups(t, n, n->lookups - min_u64(count, n->lookups), tally,
			 tally_n);
	gone = n->lookups == 0 && slots_kill(&t->slots, n);
	if (gone && !(n->flags & NODE_UNHASHED))
		node_chain_out(t, n);
	pthread_mutex_unlock(&t->slots.shard[shard].lock);
	slots_put(&t->slots, n);
	return gone;
}

static struct slot_fds reclaim(void *ctx, void *record)
{
	struct node_table *t = ctx;
	struct node *n = record;
	struct slot_fds fds = { { node_fd_take(t, n), -1 } };

	if (n->handle_len)
		mounts_put(&t->mounts, n->mount, &fds.fd[1]);
	n->handle_len = 0;
	return fds;
}

/* The root's node is always there, pinned; the guest's lookups of it do not
 * count. */
static int root_enter(struct node_table *t, const struct statx *stx,
		      int *root_fd)
{
	uint64_t id;
	int r = node_enter(t, NULL, stx, root_fd, &id);

	if (r == 0)
		t->root = slots_get(&t->slots, id); /* put by node_table_clear() */
	return r;
}

#define ROOT_MASK (STATX_BASIC_STATS | STATX_MNT_ID)

/* syscalls: statx */
int node_table_init(struct node_table *t, const struct arena *arena,
		    enum handle_mode mode, int *root_fd)
{
	_cleanup_close_ int fd = fd_take(root_fd), mount_fd = -1;
	struct statx stx;
	int r;

	memset(t, 0, sizeof(*t));
	if (statx(fd, "", AT_EMPTY_PATH, ROOT_MASK, &stx) < 0)
		return -errno;
	r = node_fds_init(&t->fds, mode, fd, &mount_fd);
	if (r < 0)
		return r;
	mounts_init(&t->mounts, arena, stx.stx_mnt_id, &mount_fd);
	r = slots_init(&t->slots, arena, ARENA_NODES, sizeof(struct node),
		       reclaim, t);
	if (r == 0)
		r = node_hash_init(t);
	t->journal = arena_section(arena, ARENA_JOURNALS);
	t->tally = arena_section(arena, ARENA_TALLIES);
	t->n_tallies = (uint32_t)(arena_section_size(arena, ARENA_TALLIES) /
				  sizeof(*t->tally));
	if (r == 0 && recall_runs())
		node_table_attach(t);
	if (r == 0)
		r = root_enter(t, &stx, &fd);
	if (r < 0)
		node_table_destroy(t);
	return r;
}

void node_table_clear(struct node_table *t)
{
	const struct node *root = t->root;
	struct statx stx = {
		.stx_ino = root->ino,
		.stx_mnt_id = root->mnt_id,
		.stx_dev_major = root->dev_major,
		.stx_dev_minor = root->dev_minor,
		.stx_mode = root->mode,
	};
	int root_fd = node_fd_take(t, t->root);
	int r;

	slots_put(&t->slots, t->root);
	t->root = NULL;
	node_hash_reset(t);
	slots_clear(&t->slots);
	node_fds_clear(&t->fds);
	atomic_store(&t->any_placed, false);
	r = root_enter(t, &stx, &root_fd);
	ASSERT(r == 0); /* the table is empty */
}

void node_table_destroy(struct node_table *t)
{
	if (t->root)
		slots_put(&t->slots, t->root);
	if (t->slots.private)
		slots_clear(&t->slots);
	node_hash_destroy(t);
	slots_destroy(&t->slots);
	mounts_destroy(&t->mounts);
	node_fds_destroy(&t->fds);
	memset(t, 0, sizeof(*t));
}

uint64_t node_table_count(struct node_table *t)
{
	return slots_count(&t->slots);
}
