/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting for locks, without a thread that waits.
 *
 * A request whose lock is not to be had is parked: what is left of it is a
 * waiter's record (lock_table.h), which stands in its node's line. A pass goes
 * along that line and gives everybody what is free by then, so among those who
 * wait the first to come is the first to be served. What a newcomer can have at
 * once it gets at once, as on the host: to hold it back for one who waits could
 * make a deadlock where there is none.
 *
 * When is a pass made? After each unlock of this guest on the node, by the
 * thread that has carried it out. For locks of others on the host, one thread
 * tries again, after 1 ms at first and up to 50 ms later on. It is made when it
 * is first needed, and sleeps without a time-out while nobody waits for such a
 * lock.
 *
 * Passes run with the node's stripe held.
 */
#ifndef FS_LOCK_WAIT_H
#define FS_LOCK_WAIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fs/lock_table.h"
#include "fs/share.h"

struct lock_retry {
	pthread_t thread;
	bool have_thread; /* table lock, as all here but the atomic */
	bool fresh; /* somebody new to be polled for */
	bool busy; /* the thread is at work on nodes and handles */
	bool hold; /* it is to stay outside */
	uint32_t number; /* of its last round */
	pthread_cond_t wake, idle;
	atomic_bool stopped; /* for good: nobody is completed any more */
};

void lock_retry_init(struct lock_retry *r);
void lock_retry_destroy(struct lock_retry *r);

/*
 * Parks a request. @polled: it is not for an owner of this guest that it waits.
 * REQUEST_PARKED, -EDEADLK, or -ENOLCK.
 */
int lock_park(struct fs *fs, const struct lock_want *want,
	      const struct request_token *token, bool polled);

/* Goes along the line of a node. */
void lock_pass(struct fs *fs, uint64_t nodeid);

/* An owner has got more on a node. If it waits itself, in another thread, that
 * may have closed a circle with those who now wait for it: they get EDEADLK. */
void lock_granted(struct fs *fs, uint64_t nodeid, uint64_t owner);

/* The same before somebody joins the line, for those who wait for others than
 * this guest: no unlock has told of what may be free by now. */
void lock_pass_polled(struct fs *fs, uint64_t nodeid);

/* Ends waits on a node with -EBADF: those by this open file and of this owner;
 * NULL: any. */
void lock_end_waits(struct fs *fs, uint64_t nodeid, const uint64_t *fh,
		    const uint64_t *owner);

/* Keeps the retry thread outside, and waits until it is there; lets it go on. */
void lock_retry_hold(struct fs *fs);
void lock_retry_resume(struct fs *fs);

/* Ends the thread; afterwards no request is completed any more. -ETIMEDOUT if
 * some thread hangs in a lock call of the host. */
int lock_retry_stop(struct fs *fs);

#endif
