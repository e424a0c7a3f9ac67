/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A split virtqueue, driver side.
 *
 * Event index, the two races: after publishing we must look at avail_event behind a full
 * barrier (the device stores it, then looks at avail->idx once more), and after asking for a
 * call we must look at used->idx once more behind a full barrier. ring_wait() never looks at
 * used->idx without having been called, except for that one look and at its time-out: a
 * completion found only then was not notified, and is counted in `lost`.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ring.h"
#include "wait.h"

static uint16_t load_acquire(const uint16_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store_release(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static int lay_out(struct ring *r, unsigned int region)
{
	size_t desc = 16 * (size_t)r->size;
	size_t avail = 6 + 2 * (size_t)r->size;
	size_t used = 6 + 8 * (size_t)r->size;
	int err = mem_alloc(r->mem, region, desc, 4096, &r->desc_buf);

	if (err == 0)
		err = mem_alloc(r->mem, region, avail, 4096, &r->avail_buf);
	if (err == 0)
		err = mem_alloc(r->mem, region, used, 4096, &r->used_buf);
	r->desc = (struct vring_desc *)r->desc_buf.host;
	r->avail = (struct vring_avail *)r->avail_buf.host;
	r->used = (struct vring_used *)r->used_buf.host;
	return err;
}

int ring_init(struct ring *r, struct mem *mem, unsigned int region, unsigned int index,
	      uint32_t size, bool event_idx, uint16_t base)
{
	*r = (struct ring){ .mem = mem, .index = index, .size = size,
			    .event_idx = event_idx, .kick_fd = -1, .call_fd = -1 };

	int err = lay_out(r, region);

	if (err < 0)
		return err;
	r->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->slot = calloc(size, sizeof(*r->slot));
	if (r->kick_fd < 0 || r->call_fd < 0 || !r->slot) {
		ring_free(r);
		return -ENOMEM;
	}
	ring_reset(r, base);
	return 0;
}

void ring_free(struct ring *r)
{
	if (r->kick_fd >= 0)
		close(r->kick_fd);
	if (r->call_fd >= 0)
		close(r->call_fd);
	free(r->slot);
	r->kick_fd = r->call_fd = -1;
	r->slot = NULL;
}

void ring_reset(struct ring *r, uint16_t base)
{
	uint64_t v;

	(void)!read(r->call_fd, &v, sizeof(v));
	memset(r->desc, 0, r->desc_buf.len);
	memset(r->avail, 0, r->avail_buf.len);
	memset(r->used, 0, r->used_buf.len);
	for (uint32_t i = 0; i < r->size; i++)
		r->slot[i] = (struct ring_slot){ .next = i + 1 };
	r->free_head = 0;
	r->nfree = r->size;
	r->avail_idx = r->kicked_idx = r->used_idx = base;
	r->used->idx = base;
	*ring_used_event(r) = base;
	store_release(&r->avail->idx, base);
}

void ring_desc(struct ring *r, unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags,
	       uint16_t next)
{
	r->desc[i] = (struct vring_desc){ .addr = gpa, .len = len, .flags = flags, .next = next };
}

int ring_take(struct ring *r, unsigned int n, void *cookie)
{
	if (n == 0 || n > r->nfree)
		return -ENOSPC;

	uint16_t head = r->free_head, last = head;

	for (unsigned int i = 1; i < n; i++)
		last = r->slot[last].next;
	r->free_head = r->slot[last].next;
	r->nfree -= n;
	r->slot[head].count = n;
	r->slot[head].cookie = cookie;
	return head;
}

static void give_back(struct ring *r, uint16_t head)
{
	uint16_t last = head;
	unsigned int n = r->slot[head].count;

	for (unsigned int i = 1; i < n; i++)
		last = r->slot[last].next;
	r->slot[last].next = r->free_head;
	r->free_head = head;
	r->nfree += n;
	r->slot[head].count = 0;
}

void ring_publish(struct ring *r, uint16_t head)
{
	r->avail->ring[r->avail_idx & (r->size - 1)] = head;
	r->avail_idx++;
	store_release(&r->avail->idx, r->avail_idx);
}

static int add_indirect(struct ring *r, const struct ring_piece *piece, unsigned int nr,
			unsigned int nw, const struct mem_buf *table, void *cookie)
{
	struct vring_desc *d = (struct vring_desc *)table->host;
	unsigned int n = nr + nw;

	if (n * sizeof(*d) > table->len)
		return -ENOSPC;

	int head = ring_take(r, 1, cookie);

	if (head < 0)
		return head;
	for (unsigned int i = 0; i < n; i++)
		d[i] = (struct vring_desc){
			.addr = piece[i].gpa,
			.len = piece[i].len,
			.flags = (i + 1 < n ? VRING_DESC_F_NEXT : 0) |
				 (i >= nr ? VRING_DESC_F_WRITE : 0),
			.next = i + 1 < n ? i + 1 : 0,
		};
	ring_desc(r, head, table->gpa, n * sizeof(*d), VRING_DESC_F_INDIRECT, 0);
	return head;
}

static int add_direct(struct ring *r, const struct ring_piece *piece, unsigned int nr,
		      unsigned int nw, void *cookie)
{
	unsigned int n = nr + nw;
	int head = ring_take(r, n, cookie);

	if (head < 0)
		return head;
	for (unsigned int i = 0, at = head; i < n; i++, at = r->slot[at].next)
		ring_desc(r, at, piece[i].gpa, piece[i].len,
			  (i + 1 < n ? VRING_DESC_F_NEXT : 0) |
				  (i >= nr ? VRING_DESC_F_WRITE : 0),
			  i + 1 < n ? r->slot[at].next : 0);
	return head;
}

int ring_add(struct ring *r, const struct ring_piece *piece, unsigned int nr, unsigned int nw,
	     const struct mem_buf *table, void *cookie)
{
	int head = table ? add_indirect(r, piece, nr, nw, table, cookie)
			 : add_direct(r, piece, nr, nw, cookie);

	if (head >= 0)
		ring_publish(r, head);
	return head;
}

void ring_kick_always(struct ring *r)
{
	uint64_t one = 1;

	r->kicked_idx = r->avail_idx;
	r->kicks++;
	(void)!write(r->kick_fd, &one, sizeof(one));
}

bool ring_kick(struct ring *r)
{
	bool wanted;

	if (r->kicked_idx == r->avail_idx)
		return false;
	full_barrier();
	if (r->event_idx)
		wanted = vring_need_event(load_acquire(ring_avail_event(r)), r->avail_idx,
					  r->kicked_idx);
	else
		wanted = !(load_acquire(&r->used->flags) & VRING_USED_F_NO_NOTIFY);
	r->kicked_idx = r->avail_idx;
	if (wanted)
		ring_kick_always(r);
	return wanted;
}

int ring_poll(struct ring *r, struct ring_done *ret)
{
	if (load_acquire(&r->used->idx) == r->used_idx)
		return 0;

	struct vring_used_elem e = r->used->ring[r->used_idx & (r->size - 1)];

	if (e.id >= r->size || r->slot[e.id].count == 0)
		return -EPROTO;
	r->used_idx++;
	*ret = (struct ring_done){ e.id, e.len, r->slot[e.id].cookie };
	give_back(r, e.id);
	return 1;
}

/* Ask for a call at the next completion, or for none. Not at all without a full barrier after. */
static void ask_call(struct ring *r, bool on)
{
	if (r->event_idx)
		store_release(ring_used_event(r), on ? r->used_idx : r->used_idx - 1);
	else
		store_release(&r->avail->flags, on ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
	full_barrier();
}

int ring_wait(struct ring *r, struct ring_done *ret, int timeout_ms)
{
	int64_t deadline = wait_now_ms() + timeout_ms;
	int n = ring_poll(r, ret);

	while (n == 0) {
		ask_call(r, true);
		n = ring_poll(r, ret);
		if (n != 0)
			break;

		struct pollfd p = { .fd = r->call_fd, .events = POLLIN };
		int64_t left = deadline - wait_now_ms();
		int got = left > 0 ? poll(&p, 1, left) : 0;

		if (got == 0) {
			n = ring_poll(r, ret);
			r->lost += n > 0;
			return n ? n : -ETIMEDOUT;
		}

		uint64_t v;

		if (got > 0 && read(r->call_fd, &v, sizeof(v)) > 0)
			r->calls += v;
		n = ring_poll(r, ret);
	}
	return n;
}

int ring_spin(struct ring *r, struct ring_done *ret, int timeout_ms)
{
	int64_t deadline = 0;

	ask_call(r, false);
	for (unsigned int i = 1;; i++) {
		int n = ring_poll(r, ret);

		if (n != 0)
			return n;
		if (i % 4096)
			continue;
		if (!deadline)
			deadline = wait_now_ms() + timeout_ms;
		else if (wait_now_ms() > deadline)
			return -ETIMEDOUT;
	}
}

void ring_sleep(struct ring *r)
{
	struct pollfd p = { .fd = r->call_fd, .events = POLLIN };
	uint64_t v;

	ask_call(r, true);
	if (load_acquire(&r->used->idx) != r->used_idx)
		return;
	if (read(r->call_fd, &v, sizeof(v)) > 0)
		r->calls += v;
	else if (errno == EAGAIN)
		poll(&p, 1, -1);
}

void ring_mute(struct ring *r)
{
	ask_call(r, false);
}
