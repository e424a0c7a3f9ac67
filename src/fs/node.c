/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The records lie in a slot table (base/slots.h). Each of its shards has a hash
 * table over the keys of its records, chained by index through the slots'
 * private words; the shard's lock covers both. The shard follows from the key,
 * so that find-or-insert is one critical section under one lock.
 *
 * The hash tables grow by linear hashing: one bucket is split whenever there
 * are more records than buckets, so that no request ever pays for a whole
 * rehash. Buckets live in memory that is reserved at the start and touched only
 * as the table grows.
 */
#include "fs/node.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/fd.h"

#define BUCKETS_MAX (SLOTS_MAX / SLOTS_SHARDS)

struct node_shard {
	uint32_t *bucket; /* index + 1 of the first node; 0: empty */
	uint32_t n_buckets; /* in use; 2^k + the next one to be split */
	uint32_t mask; /* 2^k - 1 */
	uint32_t n_nodes;
} _cacheline_;

struct key {
	uint64_t ino, mnt_id;
	uint32_t dev_major, dev_minor;
};

static struct key key_of(const struct node *n)
{
	return (struct key){ n->ino, n->mnt_id, n->dev_major, n->dev_minor };
}

static bool key_equal(const struct key *k, const struct node *n)
{
	return k->ino == n->ino && k->mnt_id == n->mnt_id &&
	       k->dev_major == n->dev_major && k->dev_minor == n->dev_minor;
}

/* The finalizer of a well-known 64-bit mixer (multiply, fold) over the key. */
static uint64_t key_hash(const struct key *k)
{
	uint64_t h = k->ino * 0x9e3779b97f4a7c15ULL;

	h ^= ((uint64_t)k->dev_major << 32 | k->dev_minor) +
	     (k->mnt_id << 17);
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ULL;
	h ^= h >> 32;
	return h;
}

static uint32_t shard_no(uint64_t hash)
{
	return (uint32_t)(hash % SLOTS_SHARDS);
}

static uint32_t bucket_no(const struct node_shard *sh, uint64_t hash)
{
	uint32_t h = (uint32_t)(hash >> 8), b = h & sh->mask;

	/* Buckets below the split point have been split already. */
	if (b < sh->n_buckets - (sh->mask + 1))
		b = h & (sh->mask * 2 + 1);
	return b;
}

static struct node *node_at(const struct node_table *t, uint32_t index)
{
	return slots_at(&t->slots, index);
}

static uint32_t *next_of(struct node_table *t, uint32_t index)
{
	return &t->slots.private[index].next;
}

static void chain_in(struct node_table *t, struct node_shard *sh,
		     struct node *n, uint64_t hash)
{
	uint32_t *bucket = &sh->bucket[bucket_no(sh, hash)];
	uint32_t index = slots_index(&t->slots, n);

	*next_of(t, index) = *bucket;
	*bucket = index + 1;
}

/* Splits one bucket in two; the table then has one more. */
static void grow(struct node_table *t, struct node_shard *sh)
{
	uint32_t from, list;

	if (sh->n_buckets == BUCKETS_MAX)
		return;
	from = sh->n_buckets - (sh->mask + 1);
	list = sh->bucket[from];
	sh->bucket[from] = 0;
	sh->n_buckets++;
	if (sh->n_buckets == (sh->mask + 1) * 2)
		sh->mask = sh->mask * 2 + 1;
	while (list) {
		struct node *n = node_at(t, list - 1);
		struct key k = key_of(n);

		list = *next_of(t, list - 1);
		chain_in(t, sh, n, key_hash(&k));
	}
}

static void chain_out(struct node_table *t, struct node_shard *sh,
		      struct node *n)
{
	struct key k = key_of(n);
	uint32_t *at = &sh->bucket[bucket_no(sh, key_hash(&k))];
	uint32_t index = slots_index(&t->slots, n);

	while (*at != index + 1) {
		ASSERT(*at != 0);
		at = next_of(t, *at - 1);
	}
	*at = *next_of(t, index);
	sh->n_nodes--;
}

static struct node *find(struct node_table *t, const struct node_shard *sh,
			 const struct key *k, uint64_t hash)
{
	uint32_t i = sh->bucket[bucket_no(sh, hash)];

	while (i && !key_equal(k, node_at(t, i - 1)))
		i = *next_of(t, i - 1);
	return i ? node_at(t, i - 1) : NULL;
}

/* A new node with no lookups, pinned once. Shard lock held. */
static struct node *insert(struct node_table *t, uint32_t shard,
			   const struct key *k, uint64_t hash, uint32_t mode,
			   int *fd)
{
	struct node_shard *sh = &t->shard[shard];
	struct node *n = slots_alloc(&t->slots, shard);

	if (!n)
		return NULL;
	n->ino = k->ino;
	n->mnt_id = k->mnt_id;
	n->dev_major = k->dev_major;
	n->dev_minor = k->dev_minor;
	n->mode = mode & S_IFMT;
	n->fd = fd_take(fd);
	slots_commit(&t->slots, n);
	if (sh->n_nodes++ >= sh->n_buckets)
		grow(t, sh);
	chain_in(t, sh, n, hash);
	return n;
}

static uint64_t nodeid_of(const struct node_table *t, const struct node *n)
{
	return n == t->root ? NODE_ROOT_ID : slots_id(&t->slots, n);
}

int node_enter(struct node_table *t, const struct statx *stx, int *fd_taken,
	       uint64_t *ret_nodeid)
{
	_cleanup_close_ int fd = fd_take(fd_taken);
	struct key k = { stx->stx_ino, stx->stx_mnt_id, stx->stx_dev_major,
			 stx->stx_dev_minor };
	uint64_t hash = key_hash(&k);
	uint32_t shard = shard_no(hash);
	pthread_mutex_t *lock = &t->slots.shard[shard].lock;
	struct node *n;

	pthread_mutex_lock(lock);
	n = find(t, &t->shard[shard], &k, hash);
	if (n)
		slots_pin(&t->slots, n);
	else
		n = insert(t, shard, &k, hash, stx->stx_mode, &fd);
	if (n) {
		n->lookups++;
		*ret_nodeid = nodeid_of(t, n);
	}
	pthread_mutex_unlock(lock);
	if (!n)
		return -ENFILE;
	slots_put(&t->slots, n);
	return 0;
}

int node_pin(struct node_table *t, uint64_t nodeid, struct node_pin *ret)
{
	struct node *n = t->root;

	if (nodeid == NODE_ROOT_ID)
		slots_pin(&t->slots, n);
	else
		n = slots_get(&t->slots, nodeid);
	/* The root's own slot number is not one of the guest's. */
	if (n == t->root && nodeid != NODE_ROOT_ID) {
		slots_put(&t->slots, n);
		n = NULL;
	}
	if (!n)
		return -EBADF;
	ret->table = t;
	ret->node = n;
	ret->fd = n->fd;
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
	_cleanup_unpin_ struct node_pin p = { 0 };
	uint32_t shard;
	bool gone;

	if (nodeid == NODE_ROOT_ID || node_pin(t, nodeid, &p) < 0)
		return false;
	shard = slots_index(&t->slots, p.node) % SLOTS_SHARDS;
	pthread_mutex_lock(&t->slots.shard[shard].lock);
	p.node->lookups -= min_u64(count, p.node->lookups);
	gone = p.node->lookups == 0 && slots_kill(&t->slots, p.node);
	if (gone)
		chain_out(t, &t->shard[shard], p.node);
	pthread_mutex_unlock(&t->slots.shard[shard].lock);
	return gone;
}

static int reclaim(void *ctx, void *record)
{
	struct node *n = record;
	int fd = n->fd;

	n->fd = -1;
	return fd;
}

static void shards_reset(struct node_table *t)
{
	for (uint32_t i = 0; i < SLOTS_SHARDS; i++) {
		struct node_shard *sh = &t->shard[i];

		madvise(sh->bucket, BUCKETS_MAX * sizeof(*sh->bucket),
			MADV_DONTNEED);
		sh->mask = 3;
		sh->n_buckets = 4;
		sh->n_nodes = 0;
	}
}

/* syscalls: mmap madvise */
static int shards_init(struct node_table *t)
{
	size_t size = (size_t)SLOTS_SHARDS * BUCKETS_MAX * sizeof(uint32_t);
	uint32_t *buckets;

	t->shard = aligned_alloc(64, SLOTS_SHARDS * sizeof(*t->shard));
	if (!t->shard)
		return -ENOMEM;
	memset(t->shard, 0, SLOTS_SHARDS * sizeof(*t->shard));
	buckets = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (buckets == MAP_FAILED)
		return -errno;
	for (uint32_t i = 0; i < SLOTS_SHARDS; i++)
		t->shard[i].bucket = buckets + (size_t)i * BUCKETS_MAX;
	shards_reset(t);
	return 0;
}

/* The root's node is always there; the guest's lookups of it do not count. */
static int root_enter(struct node_table *t, const struct statx *stx,
		      int *root_fd)
{
	uint64_t id;
	int r = node_enter(t, stx, root_fd, &id);

	if (r == 0)
		t->root = slots_get(&t->slots, id); /* put by node_table_clear() */
	return r;
}

/* syscalls: statx */
static int root_init(struct node_table *t, int *root_fd)
{
	struct statx stx;

	if (statx(*root_fd, "", AT_EMPTY_PATH,
		  STATX_BASIC_STATS | STATX_MNT_ID, &stx) < 0)
		return -errno;
	return root_enter(t, &stx, root_fd);
}

int node_table_init(struct node_table *t, const struct arena *arena,
		    int *root_fd)
{
	int r;

	memset(t, 0, sizeof(*t));
	r = slots_init(&t->slots, arena, ARENA_NODES, sizeof(struct node),
		       reclaim, t);
	if (r == 0)
		r = shards_init(t);
	if (r == 0)
		r = root_init(t, root_fd);
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
		.stx_mode = (uint16_t)root->mode,
	};
	int root_fd = fd_take(&t->root->fd);
	int r;

	slots_put(&t->slots, t->root);
	t->root = NULL;
	shards_reset(t);
	slots_clear(&t->slots);
	r = root_enter(t, &stx, &root_fd);
	ASSERT(r == 0); /* the table is empty */
}

void node_table_destroy(struct node_table *t)
{
	if (t->root)
		slots_put(&t->slots, t->root);
	if (t->slots.private)
		slots_clear(&t->slots);
	if (t->shard && t->shard[0].bucket)
		munmap(t->shard[0].bucket, (size_t)SLOTS_SHARDS * BUCKETS_MAX *
						   sizeof(uint32_t));
	free(t->shard);
	slots_destroy(&t->slots);
	memset(t, 0, sizeof(*t));
}

uint64_t node_table_count(struct node_table *t)
{
	return slots_count(&t->slots);
}
