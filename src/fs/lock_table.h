/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who holds which locks, and who waits for one: data only, no system calls on
 * the share (lock.c makes them).
 *
 * An owner is a (node, owner number, kind): for POSIX locks the guest's number
 * of a process or of an open file, for flock the open file itself. A record of
 * it exists while it holds something. It lies in the arena with its descriptor,
 * so that the locks outlive a worker; which ranges it has is private, since the
 * host can be asked for it (/proc/self/fdinfo). Waiters are private too: their
 * requests stay in flight, and may be redone.
 *
 * Two kinds of locks. Owners and waiters of a node belong to its stripe (rank
 * 17), which is held over the whole of an operation, system calls included: so
 * what this table says of a node and what the host thinks are one. The table's
 * own lock (rank 18) covers every list and is held for a moment only; it is
 * taken in here. What belongs to a node is changed with both held, and read with
 * either: the search for deadlocks looks at all nodes.
 */
#ifndef FS_LOCK_TABLE_H
#define FS_LOCK_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/slots.h"
#include "fs/lock_range.h"
#include "fs/request.h"

/* Each owner needs a descriptor, as handles do. */
#define LOCK_OWNERS_MAX HANDLES_MAX
#define LOCK_WAITERS_MAX 4096U
#define LOCK_BUCKETS 1024U
#define LOCK_STRIPES 64U

enum lock_kind { LOCK_POSIX = 1, LOCK_FLOCK = 2 };

/* What a request asks for. */
struct lock_want {
	uint64_t nodeid;
	uint64_t owner; /* flock: the same as @fh */
	uint64_t fh; /* the open file that it came by */
	uint32_t kind; /* enum lock_kind */
	uint32_t pid; /* the guest's, for GETLK of others */
	struct lock_span span;
};

/* In the arena. */
struct lock_owner {
	struct slot_head head;
	uint64_t nodeid, owner;
	uint64_t fh; /* by which it got its last lock */
	int32_t fd; /* an open file description of its own; flock: -1 */
	uint32_t kind;
	uint32_t pid; /* the guest's, of its last lock */
};

/* What else there is to an owner, by slot index. */
struct lock_links {
	uint32_t ranges; /* lock_range.h */
	uint32_t next_node, next_owner; /* index + 1: hash chains */
};

/* Numbers are index + 1; 0: none. */
struct lock_waiter {
	struct lock_want want;
	struct request_token token;
	uint32_t next, prev; /* its node's bucket: first come, first served */
	uint32_t next_owner, prev_owner; /* its owner's bucket; free list */
	uint32_t visited; /* by the search with this number */
	uint32_t passed; /* by the retry thread's pass with this number */
	bool polled; /* for a lock of somebody else on the host */
	bool waiting; /* false: free */
};

struct lock_table {
	struct slots slots; /* of struct lock_owner */
	pthread_mutex_t stripe[LOCK_STRIPES]; /* rank 17, by node */
	pthread_mutex_t lock; /* rank 18; all below */
	struct lock_pool pool;
	struct lock_links *links;
	struct lock_waiter *waiter; /* LOCK_WAITERS_MAX */
	uint32_t waiter_free, waiters_used; /* free list; ever in use */
	uint32_t n_polled;
	uint32_t search; /* number of the last search */
	uint32_t by_node[LOCK_BUCKETS], by_owner[LOCK_BUCKETS]; /* owners */
	uint32_t first[LOCK_BUCKETS], last[LOCK_BUCKETS]; /* waiters by node */
	uint32_t waits[LOCK_BUCKETS]; /* waiters by owner */
	/* Read without any lock to see that there is nothing to be done. */
	_Atomic uint32_t n_owners, n_waiters;
	uint32_t stack[LOCK_WAITERS_MAX]; /* of the search */
};

/* @t is zeroed memory. 0 or -errno, and then destroy all the same. */
int lock_table_init(struct lock_table *t, const struct arena *arena);
void lock_table_destroy(struct lock_table *t);

/* Takes over the owners that a worker which died has left, without their
 * ranges; lock_attach() sees to these. */
void lock_table_attach(struct lock_table *t);

/* Closes and forgets everything. The table's lock held, no stripe in use. */
void lock_table_clear(struct lock_table *t);

pthread_mutex_t *lock_stripe(struct lock_table *t, uint64_t nodeid);

/* Nothing is held and nobody waits: any thread, no lock. */
static inline bool lock_table_idle(struct lock_table *t)
{
	return !atomic_load(&t->n_owners) && !atomic_load(&t->n_waiters);
}

/* All that follow: with the node's stripe held. */

/* The record of @want's owner on its node, or NULL. */
struct lock_owner *lock_owner_find(struct lock_table *t,
				   const struct lock_want *want);

/* Makes one; *fd (-1 for flock) is consumed. -ENOLCK: table full. */
int lock_owner_add(struct lock_table *t, const struct lock_want *want, int *fd,
		   struct lock_owner **ret);

/* Forgets an owner with its ranges and closes its descriptor. */
void lock_owner_drop(struct lock_table *t, struct lock_owner *o);

/* The owners of a node one by one; @prev NULL: the first. */
struct lock_owner *lock_owner_next(struct lock_table *t, uint64_t nodeid,
				   const struct lock_owner *prev);

/* It holds nothing. */
bool lock_owner_empty(struct lock_table *t, const struct lock_owner *o);

/* Takes out what a change may need, or -ENOLCK; see lock_range.h. */
int lock_reserve(struct lock_table *t, struct lock_spare *ret);

/* Notes what the host has granted or released; gives back what is left of
 * @spare. Returns what lock_list_set() does. */
bool lock_owner_set(struct lock_table *t, struct lock_owner *o,
		    const struct lock_want *want, struct lock_spare *spare);
void lock_unreserve(struct lock_table *t, struct lock_spare *spare);

/*
 * Whether another owner of this guest holds what stands in the way. *ret_held
 * (may be NULL) is the first such range, *ret_pid who has it.
 */
bool lock_conflict(struct lock_table *t, const struct lock_want *want,
		   struct lock_span *ret_held, uint32_t *ret_pid);

/* Whether this owner is one of them. */
bool lock_in_way(struct lock_table *t, const struct lock_want *want,
		 uint64_t owner);

/* Whether waiting for @want would close a circle of waiting owners. */
bool lock_deadlock(struct lock_table *t, const struct lock_want *want);

/* The owner waits for something, on whatever node. */
bool lock_owner_waits(struct lock_table *t, uint64_t owner);

/*
 * Puts a waiter at the end of its node's line. -EDEADLK if it would wait for
 * itself, -ENOLCK if there are too many already.
 */
int lock_wait_add(struct lock_table *t, const struct lock_want *want,
		  const struct request_token *token, bool polled,
		  struct lock_waiter **ret);
void lock_wait_remove(struct lock_table *t, struct lock_waiter *w);
void lock_wait_poll(struct lock_table *t, struct lock_waiter *w, bool polled);

/* The waiters of a node in their order; @prev NULL: the first. */
struct lock_waiter *lock_wait_next(struct lock_table *t, uint64_t nodeid,
				   const struct lock_waiter *prev);

#endif
