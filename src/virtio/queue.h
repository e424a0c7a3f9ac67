/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A split virtqueue (VIRTIO 1.2, 2.7), device side.
 *
 * Set up and stopped by the control thread while nobody serves it. While it
 * runs, one thread at a time pops; any thread may push and notify, under a
 * short lock of the queue's own. Addresses and indices that a new worker needs
 * are in the queue's record in the arena; pointers are private.
 *
 * Whatever a guest does wrong stops this queue and no other: it is logged once,
 * the error eventfd is raised, and the queue stays stopped until the front-end
 * stops and starts it again.
 */
#ifndef VIRTIO_QUEUE_H
#define VIRTIO_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/inflight.h"
#include "base/scope.h"
#include "virtio/chain.h"
#include "virtio/dirty.h"
#include "virtio/memmap.h"

/* In the arena. */
struct queue_record {
	uint64_t desc, avail, used; /* front-end addresses */
	uint64_t log; /* guest address of the used ring, for the dirty log */
	uint32_t addr_flags; /* VHOST_USER_VRING_F_* */
	uint32_t num; /* descriptors; 0: not set */
	uint32_t start_no; /* counts starts; a completion carries it */
	uint16_t last_avail; /* the next avail entry to pop */
	uint16_t used_idx; /* the next used entry to fill */
	uint8_t have_addr, enabled, started;
	uint8_t named; /* the front-end has spoken of this queue */
	uint8_t fresh; /* it is to begin a new start when it runs */
	uint8_t broken; /* by its driver, since it began */
	int32_t kick_fd, call_fd, err_fd; /* 0: none (never a descriptor here) */
	uint64_t order; /* requests popped */
};

struct queue {
	/* Constant while the queue runs. */
	unsigned int index; /* vhost-user queue index; 0 is hiprio */
	struct queue_record *record;
	struct inflight *inflight; /* one per head */
	const struct memmap *map;
	struct dirty *dirty;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t num;
	bool event_idx;
	bool mapped;
	atomic_bool broken;

	/* The popping thread's. */
	uint16_t avail_seen _cacheline_; /* avail index last read */
	atomic_bool popped; /* something, since the ring began */
	/* Requests that a worker which died has left, a list by head; set before
	 * the queue is served. */
	uint32_t again;

	pthread_mutex_t lock _cacheline_; /* rank 30 */
	uint16_t notified; /* lock: used index at the last notification */
	bool notified_valid; /* lock: false until the first after a start */
	/* lock to write: parked requests that are complete now, a list by head */
	_Atomic uint32_t done;
	/* lock; that of a head in the other list is the popping thread's */
	uint32_t *done_next;
};

#define QUEUE_NO_HEAD UINT32_MAX

int queue_init(struct queue *q, unsigned int index,
	       struct queue_record *record, struct inflight *inflight,
	       const struct memmap *map, struct dirty *dirty);
void queue_destroy(struct queue *q);

/* Set-up; control thread, queue not served. Errors are -errno. */
int queue_set_num(struct queue *q, uint32_t num);
int queue_set_addr(struct queue *q, uint64_t desc, uint64_t avail,
		   uint64_t used, uint64_t log, uint32_t flags);
int queue_set_base(struct queue *q, uint32_t base);

/* Stores a descriptor (consumed; -1 for none) and closes the older one. */
void queue_set_fd(int32_t *where, int *fd);

/* The ring has been given all it needs and may be served. */
bool queue_runnable(const struct queue *q);

/* Whether the ring's addresses can be translated, as queue_map() says it. */
int queue_check_addr(const struct queue *q, bool event_idx);

/*
 * Translates the ring's addresses; begins a new start of the ring with
 * @restart. -EFAULT if a ring is not within guest memory, -EINVAL if it is not
 * aligned (VIRTIO 1.2, 2.7).
 */
int queue_map(struct queue *q, bool event_idx, bool restart);
void queue_unmap(struct queue *q);

/* Ends the present start: later completions of its requests are dropped. */
void queue_forget_requests(struct queue *q);

/* The same, but for the one with this head: it is part of the new start. */
void queue_forget_requests_but(struct queue *q, uint32_t head);

/*
 * Goes on where a worker that died has left the queue: checks its record, and
 * translates the ring's addresses if it runs. What was being pushed is pushed;
 * what was taken and not answered is to be had from queue_pop_again(), oldest
 * first. -EPROTO if the record makes no sense, or as queue_map().
 */
int queue_attach(struct queue *q, bool event_idx);

/* Whether a record's values are among those that it can have. */
bool queue_record_is_sane(const struct queue_record *rec);

/*
 * Pops the next chain. c->iov must be there. Returns 1, 0 if the ring is
 * empty, or -EBADMSG when the guest broke the ring (said in the log).
 */
int queue_pop(struct queue *q, struct chain *c);

/* Something was popped since the ring began. Any thread. */
static inline bool queue_popped(const struct queue *q)
{
	return atomic_load_explicit((atomic_bool *)&q->popped,
				    memory_order_relaxed);
}

/* True if a pop would find something. For the popping thread. */
bool queue_has_more(const struct queue *q);

/* How many requests the guest says that there are to be popped. Likewise. */
uint16_t queue_waiting(const struct queue *q);

/*
 * Puts a chain on the used ring with @len bytes written into it. Any thread.
 * False if the ring has been restarted since; the chain is then dropped.
 */
bool queue_push(struct queue *q, const struct chain *c, uint32_t len);

/*
 * Completes a request that was parked: its result waits for the popping thread,
 * which the caller wakes. Any thread. False, and nothing is done, if the ring
 * was restarted since the request was popped.
 */
bool queue_complete(struct queue *q, uint16_t head, uint32_t start_no,
		    int result);

/* Whether queue_complete() would do anything now. Any thread. */
bool queue_waits_for(struct queue *q, uint32_t start_no);

/* The next one that a worker which died has left; returns as queue_pop(). For
 * the popping thread. */
int queue_pop_again(struct queue *q, struct chain *c);

/*
 * The next parked one that is complete, for the popping thread: the chain is
 * walked again, since the guest's memory may have moved meanwhile. Returns as
 * queue_pop().
 */
int queue_pop_done(struct queue *q, struct chain *c, uint64_t *ret_unique,
		   int *ret_result);

/* Descriptors of the ring, or 0 if it does not run. Any thread. */
uint32_t queue_size(struct queue *q);

/* Interrupts the guest if its event index asks for it, and returns whether it
 * does. Any thread. */
bool queue_notify(struct queue *q);

/* The same, whatever the guest asks for: its interrupt is a new one. */
void queue_notify_anyway(struct queue *q);

/*
 * Before the popping thread sleeps: asks the guest for a kick. Returns true if
 * something came in the meantime, and the thread must not sleep.
 */
bool queue_arm(struct queue *q);

/* Asks the guest for no kicks while the queue is being served. */
void queue_disarm(struct queue *q);

#endif
