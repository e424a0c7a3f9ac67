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
#include "base/recall.h"

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

static struct key key_from(const struct statx *stx)
{
	return (struct key){ stx->stx_ino, stx->stx_mnt_id,
			     stx->stx_dev_major, stx->stx_dev_minor };
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

/* The node with this key that comes after @n in its chain, or the first one. */
static struct node *find(struct node_table *t, const struct node_shard *sh,
			 const struct key *k, uint64_t hash, struct node *n)
{
	uint32_t i = n ? *next_of(t, slots_index(&t->slots, n)) :
			 sh->bucket[bucket_no(sh, hash)];

	while (i && !key_equal(k, node_at(t, i - 1)))
		i = *next_of(t, i - 1);
	return i ? node_at(t, i - 1) : NULL;
}

/* What node_enter() knows of the file that it enters. */
struct arrival {
	struct key key;
	uint64_t hash;
	uint32_t shard;
	uint16_t mode;
	unsigned int class; /* FSCLASS_* */
	uint64_t size;
	bool asked; /* for the handle, which is there if it has a length */
	struct fhandle handle;
	uint32_t mount; /* the entry that goes with the handle, if wanted */
	int fd;
};

void node_table_chain(struct node_table *t, struct node *n)
{
	struct key k = key_of(n);
	uint64_t hash = key_hash(&k);
	struct node_shard *sh = &t->shard[shard_no(hash)];

	if (sh->n_nodes++ >= sh->n_buckets)
		grow(t, sh);
	chain_in(t, sh, n, hash);
}

/* A new node with no lookups, pinned once. Shard lock held. */
static struct node *insert(struct node_table *t, struct arrival *a)
{
	struct node *n = slots_alloc(&t->slots, a->shard);

	if (!n)
		return NULL;
	n->ino = a->key.ino;
	n->mnt_id = a->key.mnt_id;
	n->dev_major = a->key.dev_major;
	n->dev_minor = a->key.dev_minor;
	n->mode = a->mode & S_IFMT;
	n->flags = (uint16_t)(a->class << NODE_CLASS_SHIFT);
	node_fd_put(t, n, &a->fd);
	if (a->mount != MOUNTS_MAX) {
		node_handle_put(n, &a->handle, a->mount);
		a->mount = MOUNTS_MAX; /* the node's now */
	}
	slots_commit(&t->slots, n);
	node_table_chain(t, n);
	return n;
}

uint64_t node_id(const struct node_table *t, const struct node *n)
{
	return n == t->root ? NODE_ROOT_ID : slots_id(&t->slots, n);
}

/*
 * A node with the key of the arrival is its node? -EAGAIN: that depends on the
 * handle.
 */
static int matches(const struct arrival *a, const struct node *n)
{
	struct fhandle fh;

	if (!node_by_handle_alone(n) &&
	    !(node_class(n) & FSCLASS_UNSTABLE && n->handle_len))
		return true;
	if (!a->asked)
		return -EAGAIN;
	fh = node_handle(n);
	return fhandle_equal(&a->handle, &fh);
}

/*
 * The arrival's node, pinned, or NULL: it is to be made. -EAGAIN as above. A node
 * that is backed by another handle is gone from the host, since its inode's
 * number is in use again. Shard lock held.
 */
static int find_node(struct node_table *t, const struct arrival *a,
		     struct node **ret)
{
	struct node_shard *sh = &t->shard[a->shard];
	struct node *n = NULL, *stale = NULL;
	int r = 0;

	while ((n = find(t, sh, &a->key, a->hash, n)) != NULL) {
		r = matches(a, n);
		if (r != 0)
			break;
		if (node_by_handle_alone(n))
			stale = n;
	}
	if (r < 0)
		return r;
	if (n)
		slots_pin(&t->slots, n);
	if (stale) {
		chain_out(t, sh, stale);
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
	/* Here is the descriptor that it had given up. */
	if (node_by_handle_alone(n))
		node_fd_put(t, n, &a->fd);
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

int node_enter_for(struct node_table *t, const struct node_pin *dir,
		   const struct statx *stx, int *fd, struct tally *tally,
		   uint64_t *ret_nodeid)
{
	struct arrival a = { .key = key_from(stx), .mode = stx->stx_mode,
			     .size = stx->stx_size,
			     .mount = MOUNTS_MAX, .fd = fd_take(fd) };
	pthread_mutex_t *lock;
	struct node *n;
	int r;

	a.hash = key_hash(&a.key);
	a.shard = shard_no(a.hash);
	lock = &t->slots.shard[a.shard].lock;
	r = prepare(t, dir, &a);
	while (r == 0) {
		pthread_mutex_lock(lock);
		r = enter_locked(t, &a, tally, &n);
		if (r == 0)
			*ret_nodeid = node_id(t, n);
		pthread_mutex_unlock(lock);
		if (r != -EAGAIN)
			break;
		ask_for_handle(&a);
		r = 0;
	}
	arrival_end(t, &a);
	if (r < 0)
		return r;
	slots_put(&t->slots, n);
	node_fds_balance(t);
	return 0;
}

int node_enter(struct node_table *t, const struct node_pin *dir,
	       const struct statx *stx, int *fd, uint64_t *ret_nodeid)
{
	return node_enter_for(t, dir, stx, fd, NULL, ret_nodeid);
}

bool node_has_key(const struct node *n, const struct statx *stx)
{
	struct key k = key_from(stx);

	return key_equal(&k, n);
}

struct node *node_find(struct node_table *t, const struct statx *stx)
{
	struct key k = key_from(stx);
	uint64_t hash = key_hash(&k);
	uint32_t shard = shard_no(hash);
	struct node *n;

	pthread_mutex_lock(&t->slots.shard[shard].lock);
	n = find(t, &t->shard[shard], &k, hash, NULL);
	if (n)
		slots_pin(&t->slots, n);
	pthread_mutex_unlock(&t->slots.shard[shard].lock);
	return n;
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
	if (fd < 0 && n->handle_len)
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
		chain_out(t, &t->shard[shard], n);
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
		r = shards_init(t);
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
	shards_reset(t);
	slots_clear(&t->slots);
	node_fds_clear(&t->fds);
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
	mounts_destroy(&t->mounts);
	node_fds_destroy(&t->fds);
	memset(t, 0, sizeof(*t));
}

uint64_t node_table_count(struct node_table *t)
{
	return slots_count(&t->slots);
}
