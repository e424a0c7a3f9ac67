/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/node_hash.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/reserve.h"

#define BUCKETS_MAX (SLOTS_MAX / SLOTS_SHARDS)

struct node_shard {
	uint32_t *bucket; /* index + 1 of the first node; 0: empty */
	uint32_t n_buckets; /* in use; 2^k + the next one to be split */
	uint32_t mask; /* 2^k - 1 */
	uint32_t n_nodes;
} _cacheline_;

struct node_key node_key_of(const struct node *n)
{
	return (struct node_key){ n->ino, n->mnt_id, n->dev_major,
				  n->dev_minor };
}

struct node_key node_key_from(const struct statx *stx)
{
	return (struct node_key){ stx->stx_ino, stx->stx_mnt_id,
				  stx->stx_dev_major, stx->stx_dev_minor };
}

static bool key_equal(const struct node_key *k, const struct node *n)
{
	return k->ino == n->ino && k->mnt_id == n->mnt_id &&
	       k->dev_major == n->dev_major && k->dev_minor == n->dev_minor;
}

bool node_has_key(const struct node *n, const struct statx *stx)
{
	struct node_key k = node_key_from(stx);

	return key_equal(&k, n);
}

/* The finalizer of a well-known 64-bit mixer (multiply, fold) over the key. */
uint64_t node_key_hash(const struct node_key *k)
{
	uint64_t h = k->ino * 0x9e3779b97f4a7c15ULL;

	h ^= ((uint64_t)k->dev_major << 32 | k->dev_minor) +
	     (k->mnt_id << 17);
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ULL;
	h ^= h >> 32;
	return h;
}

uint32_t node_shard_no(uint64_t hash)
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
		struct node_key k = node_key_of(n);

		list = *next_of(t, list - 1);
		chain_in(t, sh, n, node_key_hash(&k));
	}
}

void node_chain_in(struct node_table *t, struct node *n)
{
	struct node_key k = node_key_of(n);
	uint64_t hash = node_key_hash(&k);
	struct node_shard *sh = &t->shard[node_shard_no(hash)];

	if (sh->n_nodes++ >= sh->n_buckets)
		grow(t, sh);
	chain_in(t, sh, n, hash);
}

void node_chain_out(struct node_table *t, struct node *n)
{
	struct node_key k = node_key_of(n);
	uint64_t hash = node_key_hash(&k);
	struct node_shard *sh = &t->shard[node_shard_no(hash)];
	uint32_t *at = &sh->bucket[bucket_no(sh, hash)];
	uint32_t index = slots_index(&t->slots, n);

	while (*at != index + 1) {
		ASSERT(*at != 0);
		at = next_of(t, *at - 1);
	}
	*at = *next_of(t, index);
	sh->n_nodes--;
}

struct node *node_chain_find(struct node_table *t, const struct node_key *k,
			     uint64_t hash, struct node *n)
{
	const struct node_shard *sh = &t->shard[node_shard_no(hash)];
	uint32_t i = n ? *next_of(t, slots_index(&t->slots, n)) :
			 sh->bucket[bucket_no(sh, hash)];

	while (i && !key_equal(k, node_at(t, i - 1)))
		i = *next_of(t, i - 1);
	return i ? node_at(t, i - 1) : NULL;
}

/* syscalls: madvise */
void node_hash_reset(struct node_table *t)
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

int node_hash_init(struct node_table *t)
{
	size_t size = (size_t)SLOTS_SHARDS * BUCKETS_MAX * sizeof(uint32_t);
	uint32_t *buckets;

	t->shard = aligned_alloc(64, SLOTS_SHARDS * sizeof(*t->shard));
	if (!t->shard)
		return -ENOMEM;
	memset(t->shard, 0, SLOTS_SHARDS * sizeof(*t->shard));
	buckets = reserve(size);
	if (!buckets)
		return -ENOMEM;
	for (uint32_t i = 0; i < SLOTS_SHARDS; i++)
		t->shard[i].bucket = buckets + (size_t)i * BUCKETS_MAX;
	node_hash_reset(t);
	return 0;
}

/* syscalls: munmap */
void node_hash_destroy(struct node_table *t)
{
	if (t->shard && t->shard[0].bucket)
		munmap(t->shard[0].bucket, (size_t)SLOTS_SHARDS * BUCKETS_MAX *
						   sizeof(uint32_t));
	free(t->shard);
	t->shard = NULL;
}
