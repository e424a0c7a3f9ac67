/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_RING_H
#define VMM_RING_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mem.h"

#define RING_SIZE_MAX 32768

struct ring_piece {
	uint64_t gpa;
	uint32_t len;
};

/* What the driver remembers about a descriptor: free, or head of a chain in flight. */
struct ring_slot {
	void *cookie;
	uint16_t next;		/* free list, or the chain's next */
	uint16_t count;		/* descriptors of the chain; 0: not the head of one in flight */
};

/*
 * The driver's side of one split virtqueue (virtio 1.2, 2.7). One thread at a time. Everything
 * is open to tests: they may write to the three parts as they please, and the members below are
 * this side's own view.
 */
struct ring {
	struct mem *mem;
	unsigned int index;		/* queue number */
	uint32_t size;
	bool event_idx;
	struct mem_buf desc_buf, avail_buf, used_buf;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	int kick_fd, call_fd;

	uint16_t avail_idx;		/* next entry to fill */
	uint16_t kicked_idx;		/* avail_idx at the last look at avail_event */
	uint16_t used_idx;		/* next entry to take */
	uint16_t free_head;
	uint32_t nfree;
	struct ring_slot *slot;

	uint64_t kicks;			/* notifications sent */
	uint64_t calls;			/* notifications received */
	uint64_t lost;			/* completions that nobody told us of: must stay 0 */
};

struct ring_done {
	uint16_t id;
	uint32_t len;
	void *cookie;
};

/* ring_init() - lay a ring out in the region, each part on pages of its own, starting at `base` */
int ring_init(struct ring *r, struct mem *mem, unsigned int region, unsigned int index,
	      uint32_t size, bool event_idx, uint16_t base);
void ring_free(struct ring *r);
/* ring_reset() - forget everything in flight and start again at `base` */
void ring_reset(struct ring *r, uint16_t base);

/*
 * ring_add() - make a chain of nr readable and nw writable pieces available
 *
 * table: guest memory for an indirect table of (nr + nw) descriptors, or NULL for a chain in
 * the ring itself. It stays in use until the chain comes back. Does not kick.
 * Returns the head, or -ENOSPC.
 */
int ring_add(struct ring *r, const struct ring_piece *piece, unsigned int nr, unsigned int nw,
	     const struct mem_buf *table, void *cookie);

/* Raw: take n free descriptors (chained by slot[].next), write one, publish a head. */
int ring_take(struct ring *r, unsigned int n, void *cookie);
void ring_desc(struct ring *r, unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags,
	       uint16_t next);
void ring_publish(struct ring *r, uint16_t head);

/* ring_kick() - notify the device if it wants that for what was added since the last time */
bool ring_kick(struct ring *r);
void ring_kick_always(struct ring *r);

/* ring_poll() - 1 and the next completion, 0 if there is none, -EPROTO if it makes no sense */
int ring_poll(struct ring *r, struct ring_done *ret);
/* ring_wait() - the same, sleeping on the call eventfd; -ETIMEDOUT */
int ring_wait(struct ring *r, struct ring_done *ret, int timeout_ms);
/* ring_spin() - the same, burning CPU, asking the device for no notifications */
int ring_spin(struct ring *r, struct ring_done *ret, int timeout_ms);

/*
 * ring_sleep() - return when there may be a completion: at once if there is one, else after a
 * notification or a signal. One system call a sleep if the call eventfd is a blocking one; no
 * time-out.
 */
void ring_sleep(struct ring *r);
/* ring_mute() - ask the device for no notifications, for those who poll */
void ring_mute(struct ring *r);

/* The two event index words, at the ends of the two rings */
static inline uint16_t *ring_used_event(struct ring *r)
{
	return &r->avail->ring[r->size];
}

static inline uint16_t *ring_avail_event(struct ring *r)
{
	return (uint16_t *)&r->used->ring[r->size];
}

#endif
