/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lookup counts that a worker's death leaves right (fs/tally.h), and what a new
 * worker makes of the nodes that it finds.
 */
#include <fcntl.h>
#include <string.h>

#include "base/recall.h"
#include "fs/node_hash.h"
#include "fs/node_place.h"

/* Each store after the one before it, as far as a death can tell. */
static void carry_out(struct node *n, struct journal *j, struct tally *t)
{
	__atomic_store_n(&n->lookups, j->lookups, __ATOMIC_RELEASE);
	atomic_store_explicit(&t->n, j->n, memory_order_release);
	atomic_store_explicit(&j->node, 0, memory_order_release);
}

void node_set_lookups(struct node_table *t, struct node *n, uint64_t lookups,
		      struct tally *tally, uint32_t tally_n)
{
	uint32_t shard = slots_index(&t->slots, n) % SLOTS_SHARDS;
	struct journal *j = &t->journal[shard];

	if (!tally) {
		n->lookups = lookups;
		return;
	}
	j->lookups = lookups;
	j->tally = tally->number;
	j->n = tally_n;
	atomic_store_explicit(&j->node, slots_id(&t->slots, n),
			      memory_order_release);
	carry_out(n, j, tally);
}

void node_raise(struct node_table *t, struct node *n, struct tally *tally)
{
	if (!tally_note(tally, slots_id(&t->slots, n)))
		tally = NULL;
	node_set_lookups(t, n, n->lookups + 1, tally, tally_count(tally) + 1);
}

/* What a journal says is right only if all of it makes sense. */
static void replay(struct node_table *t, struct journal *j, uint32_t shard)
{
	uint64_t id = atomic_load(&j->node);
	uint32_t index = (uint32_t)(id & (SLOTS_MAX - 1));
	struct node *n = slots_at(&t->slots, index);

	if (id == 0)
		return;
	if (index >= t->slots.max || index % SLOTS_SHARDS != shard ||
	    slots_id(&t->slots, n) != id || j->tally == 0 ||
	    j->tally > t->n_tallies || j->n > TALLY_NODES_MAX)
		atomic_store(&j->node, 0);
	else
		carry_out(n, j, &t->tally[j->tally - 1]);
}

/* The file that a descriptor is open on is the one that the record tells of.
 * syscalls: statx */
static bool is_same_file(const struct node *n, int fd)
{
	struct statx stx;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
		     STATX_TYPE | STATX_INO | STATX_MNT_ID, &stx) == 0 &&
	       node_has_key(n, &stx) && (stx.stx_mode & S_IFMT) == n->mode;
}

/* A handle is looked at when it is opened: ESTALE. */
static bool has_handle(struct node_table *t, const struct node *n)
{
	return n->handle_len && n->handle_len <= FHANDLE_MAX &&
	       mounts_attach_user(&t->mounts, n->mount, n->mnt_id);
}

/* A node that nobody holds was being made, or let go. */
static bool keep(void *ctx, void *record)
{
	struct node_table *t = ctx;
	struct node *n = record;
	int fd = n->fd;

	if (n->lookups == 0)
		return false;
	if (fd >= 0 && (!is_same_file(n, fd) || recall_fd(fd) < 0))
		return false;
	if (has_handle(t, n))
		return true;
	n->handle_len = 0;
	return fd >= 0 || node_place_is_sound(n);
}

void node_table_attach(struct node_table *t)
{
	struct node *n = NULL;
	int fd;

	for (uint32_t i = 0; i < SLOTS_SHARDS; i++)
		replay(t, &t->journal[i], i);
	slots_attach(&t->slots, keep);
	while ((n = slots_next(&t->slots, n)) != NULL) {
		fd = n->fd;
		if (fd >= 0)
			node_fd_put(t, n, &fd);
		else if (n->handle_len)
			node_fds_attach(&t->fds);
		else
			atomic_store(&t->any_placed, true);
		if (!(n->flags & NODE_UNHASHED))
			node_chain_in(t, n);
	}
	mounts_attach_end(&t->mounts);
}

void node_unlook(struct node_table *t, struct tally *tally)
{
	uint32_t n = tally_count(tally);

	if (!n)
		return;
	n--;
	(void)node_forget_for(t, tally->node[n], 1, tally, n);
	/* A node that is gone has changed nothing. */
	atomic_store_explicit(&tally->n, n, memory_order_release);
}
