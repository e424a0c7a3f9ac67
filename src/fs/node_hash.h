/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes by what identifies a file on the host: a hash table for each shard of the
 * node table, chained by index through the slots' private words. For node*.c.
 *
 * The shard follows from the key, so that find-or-insert is one critical section
 * under one lock: the shard's, which all of these need to be held but for hashing
 * (or one thread alone in the table).
 *
 * The hash tables grow by linear hashing: one bucket is split whenever there
 * are more records than buckets, so that no request ever pays for a whole
 * rehash. Buckets live in memory that is reserved at the start and touched only
 * as the table grows.
 */
#ifndef FS_NODE_HASH_H
#define FS_NODE_HASH_H

#include "fs/node.h"

struct node_key {
	uint64_t ino, mnt_id;
	uint32_t dev_major, dev_minor;
};

struct node_key node_key_of(const struct node *n);
struct node_key node_key_from(const struct statx *stx);

uint64_t node_key_hash(const struct node_key *k);
uint32_t node_shard_no(uint64_t hash);

/* No nodes in any shard. 0 or -errno. */
int node_hash_init(struct node_table *t);
void node_hash_reset(struct node_table *t);
void node_hash_destroy(struct node_table *t);

void node_chain_in(struct node_table *t, struct node *n);
void node_chain_out(struct node_table *t, struct node *n);

/* The node with this key that comes after @n in its chain, or the first one; NULL
 * if there is none. */
struct node *node_chain_find(struct node_table *t, const struct node_key *k,
			     uint64_t hash, struct node *n);

#endif
