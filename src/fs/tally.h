/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a request has given to the guest or taken from it so far, in the arena:
 * lookup counts of nodes and open files. If its worker dies before the reply is
 * pushed, the guest has none of it, and the next worker takes it back.
 *
 * There is one for each thread that serves requests, and it belongs to the
 * request with its order number. A change of a node's count is written down in
 * the journal of the node's shard first, with what the tally is to say then, and
 * carried out from there: whoever attaches carries it out again. So the two
 * never differ, whenever the worker dies.
 */
#ifndef FS_TALLY_H
#define FS_TALLY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* One READDIRPLUS gives no more: it reads 32 KiB of entries of 24 bytes. */
#define TALLY_NODES_MAX 1366U

struct tally {
	uint64_t order; /* of the request: tally_order() */
	uint32_t number; /* of this tally, + 1 */
	_Atomic uint32_t n; /* nodes that were given; forgets that were done */
	uint64_t node[TALLY_NODES_MAX]; /* their ids */
};

/* A change of a node's lookup count that is under way. One for each shard. */
struct journal {
	_Atomic uint64_t node; /* its id; 0: none. Stored last, cleared last */
	uint64_t lookups; /* what the count is to be */
	uint32_t tally; /* number of the tally, + 1, and ... */
	uint32_t n; /* ... what it is to say */
};

/* Tells a request from all others: the number of its queue, and its order in
 * that (base/inflight.h). */
static inline uint64_t tally_order(unsigned int queue, uint64_t order)
{
	return (uint64_t)queue << 48 | (order & (UINT64_MAX >> 16));
}

/* Begins for a request, unless it has begun before; @n is what it says then. NULL:
 * nobody will want to know. */
void tally_begin(struct tally *t, uint64_t order, uint32_t n);

static inline uint32_t tally_count(const struct tally *t)
{
	return t ? atomic_load_explicit((_Atomic uint32_t *)&t->n,
					memory_order_relaxed) : 0;
}

/* Notes the node that the next count will be of. False: there is no room. */
bool tally_note(struct tally *t, uint64_t nodeid);

#endif
