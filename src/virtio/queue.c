/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio/queue.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/reserve.h"
#include "wire/vhost_user.h"

#define DONE_NEXT_SIZE (WIRE_VRING_SIZE_MAX * sizeof(uint32_t))

int queue_init(struct queue *q, unsigned int index,
	       struct queue_record *record, struct inflight *inflight,
	       const struct memmap *map, struct dirty *dirty)
{
	void *p = reserve(DONE_NEXT_SIZE);

	if (!p)
		return -ENOMEM;
	memset(q, 0, sizeof(*q));
	q->done_next = p;
	q->done = QUEUE_NO_HEAD;
	q->again = QUEUE_NO_HEAD;
	q->index = index;
	q->record = record;
	q->inflight = inflight;
	q->map = map;
	q->dirty = dirty;
	pthread_mutex_init(&q->lock, NULL);
	return 0;
}

void queue_destroy(struct queue *q)
{
	munmap(q->done_next, DONE_NEXT_SIZE);
	pthread_mutex_destroy(&q->lock);
}

/*
 * What is still in flight when a ring is reset, the session ends or the guest
 * begins anew was parked: nobody waits for it any more.
 */
void queue_forget_requests_but(struct queue *q, uint32_t head)
{
	uint32_t n = q->record->num;

	pthread_mutex_lock(&q->lock);
	q->record->start_no++;
	q->done = QUEUE_NO_HEAD;
	q->again = QUEUE_NO_HEAD;
	/* Nothing in flight: leave the records' untouched memory alone. */
	if (q->record->last_avail == q->record->used_idx)
		n = 0;
	for (uint32_t i = 0; i < n; i++)
		if (i != head && inflight_phase(&q->inflight[i]))
			inflight_set(&q->inflight[i], INFLIGHT_NONE, 0);
	pthread_mutex_unlock(&q->lock);
}

void queue_forget_requests(struct queue *q)
{
	queue_forget_requests_but(q, QUEUE_NO_HEAD);
}

int queue_set_num(struct queue *q, uint32_t num)
{
	if (num > WIRE_VRING_SIZE_MAX || !is_power_of_2(num))
		return -EINVAL;
	if (num != q->record->num)
		queue_forget_requests(q);
	q->record->num = num;
	return 0;
}

int queue_set_addr(struct queue *q, uint64_t desc, uint64_t avail,
		   uint64_t used, uint64_t log, uint32_t flags)
{
	if (flags & ~VHOST_USER_VRING_F_LOG)
		return -EINVAL;
	if (desc != q->record->desc || avail != q->record->avail ||
	    used != q->record->used)
		queue_forget_requests(q);
	q->record->desc = desc;
	q->record->avail = avail;
	q->record->used = used;
	q->record->log = log;
	q->record->addr_flags = flags;
	q->record->have_addr = 1;
	return 0;
}

int queue_set_base(struct queue *q, uint32_t base)
{
	if (base > UINT16_MAX)
		return -EINVAL;
	/* A driver that goes on where it was may have parked requests; one
	 * that begins anew has none. */
	if (base != q->record->last_avail)
		queue_forget_requests(q);
	q->record->last_avail = (uint16_t)base;
	return 0;
}

/* Descriptor 0 is never one of these (main() sees to it), and records are
 * born zeroed: so 0 stands for "none". */
void queue_set_fd(int32_t *where, int *fd)
{
	int old = *where ? *where : -1;

	*where = *fd >= 0 ? fd_take(fd) : 0;
	(void)fd_close(&old);
}

bool queue_runnable(const struct queue *q)
{
	const struct queue_record *rec = q->record;

	return rec->started && rec->enabled && rec->num && rec->have_addr;
}

static void *ring_part(const struct queue *q, uint64_t uaddr, size_t size,
		       size_t align, int *r)
{
	void *p = memmap_uaddr(q->map, uaddr, size);

	if (!p)
		*r = -EFAULT;
	else if ((uintptr_t)p % align)
		*r = -EINVAL;
	return p;
}

struct ring_parts {
	void *desc, *avail, *used;
};

static int find_ring(const struct queue *q, bool event_idx,
		     struct ring_parts *ret)
{
	const struct queue_record *rec = q->record;
	size_t num = rec->num, event = event_idx ? sizeof(uint16_t) : 0;
	int r = 0;

	ret->desc = ring_part(q, rec->desc, num * sizeof(struct vring_desc),
			      VRING_DESC_ALIGN_SIZE, &r);
	ret->avail = ring_part(q, rec->avail,
			       sizeof(struct vring_avail) + num * 2 + event,
			       VRING_AVAIL_ALIGN_SIZE, &r);
	ret->used = ring_part(q, rec->used,
			      sizeof(struct vring_used) +
				      num * sizeof(struct vring_used_elem) +
				      event,
			      VRING_USED_ALIGN_SIZE, &r);
	return r;
}

int queue_check_addr(const struct queue *q, bool event_idx)
{
	struct ring_parts parts;

	return find_ring(q, event_idx, &parts);
}

int queue_map(struct queue *q, bool event_idx, bool restart)
{
	struct queue_record *rec = q->record;
	struct ring_parts parts;
	int r = find_ring(q, event_idx, &parts);

	if (r < 0)
		return r;
	pthread_mutex_lock(&q->lock);
	q->desc = parts.desc;
	q->avail = parts.avail;
	q->used = parts.used;
	q->num = (uint16_t)rec->num;
	q->event_idx = event_idx;
	q->mapped = true;
	pthread_mutex_unlock(&q->lock);
	q->avail_seen = rec->last_avail;
	if (restart) {
		uint16_t used_idx = load_le16(&q->used->idx);

		/* Parked requests of this ring are those of a driver that goes
		 * on where it was. One that begins anew may come to the same
		 * avail index, but not with as many requests unanswered. */
		if (used_idx != rec->used_idx)
			queue_forget_requests(q);
		pthread_mutex_lock(&q->lock);
		rec->used_idx = used_idx;
		q->notified_valid = false;
		pthread_mutex_unlock(&q->lock);
		atomic_store(&q->popped, false);
		rec->broken = 0;
		atomic_store(&q->broken, false);
	}
	return 0;
}

void queue_unmap(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->mapped = false;
	q->desc = NULL;
	q->avail = NULL;
	q->used = NULL;
	pthread_mutex_unlock(&q->lock);
}

static int ring_break(struct queue *q, const char *what, unsigned int n)
{
	const uint64_t one = 1;

	if (atomic_exchange(&q->broken, true))
		return -EBADMSG;
	q->record->broken = 1;
	log_warn("queue %u stopped: its driver broke the ring: descriptor chain %u %s",
		 q->index, n, what);
	if (q->record->err_fd &&
	    write(q->record->err_fd, &one, sizeof(one)) < 0) {
		/* It is full: the front-end has been told before. */
	}
	return -EBADMSG;
}

static int check_avail(struct queue *q)
{
	uint16_t idx, last = q->record->last_avail;

	if (q->avail_seen != last)
		return 1;
	/* Entries after the index; pairs with the driver's release of it. */
	idx = load_acquire_le16(&q->avail->idx);
	if (idx == last)
		return 0;
	if ((uint16_t)(idx - last) > q->num)
		return ring_break(q, "is not there: the avail index jumped",
				  idx);
	q->avail_seen = idx;
	return 1;
}

bool queue_has_more(const struct queue *q)
{
	return !atomic_load_explicit(&q->broken, memory_order_relaxed) &&
	       load_acquire_le16(&q->avail->idx) != q->record->last_avail;
}

/* No more than a ring has room for, whatever the guest says. */
uint16_t queue_waiting(const struct queue *q)
{
	uint16_t n = (uint16_t)(load_le16(&q->avail->idx) -
				q->record->last_avail);

	return atomic_load_explicit(&q->broken, memory_order_relaxed) ||
			       n > q->num ?
		       0 :
		       n;
}

/* Not before what was stored earlier: a worker that dies between the two leaves
 * the first alone. */
static void store_next16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void store_next64(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static bool load_chain(struct queue *q, uint16_t head, struct chain *c)
{
	const char *wrong = chain_walk(c, q->map, q->desc, q->num, head);

	if (wrong) {
		ring_break(q, wrong, head);
		return false;
	}
	c->head = head;
	c->start_no = q->record->start_no;
	c->record = &q->inflight[head];
	return true;
}

/* syscalls: write */
int queue_pop(struct queue *q, struct chain *c)
{
	struct queue_record *rec = q->record;
	struct inflight *fl;
	uint16_t head;
	int r;

	if (atomic_load_explicit(&q->broken, memory_order_relaxed))
		return -EBADMSG;
	r = check_avail(q);
	if (r <= 0)
		return r;
	head = load_le16(&q->avail->ring[rec->last_avail & (q->num - 1)]);
	if (head >= q->num)
		return ring_break(q, "is outside the ring", head);
	fl = &q->inflight[head];
	if (inflight_phase(fl) != INFLIGHT_NONE)
		return ring_break(q, "was given twice", head);

	if (!load_chain(q, head, c))
		return -EBADMSG;
	/* Whoever finds a record with an order to come sets both counts by it
	 * (queue_attach.c). */
	fl->order = rec->order + 1;
	fl->avail_at = rec->last_avail;
	inflight_set(fl, INFLIGHT_TAKEN, 0);
	store_next16(&rec->last_avail, (uint16_t)(fl->avail_at + 1));
	store_next64(&rec->order, fl->order);
	if (!queue_popped(q))
		atomic_store_explicit(&q->popped, true, memory_order_relaxed);
	return 1;
}

bool queue_complete(struct queue *q, uint16_t head, uint32_t start_no, int result)
{
	struct inflight *fl = &q->inflight[head];
	bool ours;

	pthread_mutex_lock(&q->lock);
	ours = q->record->start_no == start_no;
	if (ours) {
		fl->result = result;
		q->done_next[head] = q->done;
		q->done = head;
	}
	pthread_mutex_unlock(&q->lock);
	return ours;
}

bool queue_waits_for(struct queue *q, uint32_t start_no)
{
	bool ours;

	pthread_mutex_lock(&q->lock);
	ours = q->record->start_no == start_no;
	pthread_mutex_unlock(&q->lock);
	return ours;
}

int queue_pop_again(struct queue *q, struct chain *c)
{
	uint32_t head = q->again;

	if (head == QUEUE_NO_HEAD)
		return 0;
	if (atomic_load_explicit(&q->broken, memory_order_relaxed))
		return -EBADMSG;
	q->again = q->done_next[head];
	return load_chain(q, (uint16_t)head, c) ? 1 : -EBADMSG;
}

int queue_pop_done(struct queue *q, struct chain *c, uint64_t *ret_unique,
		   int *ret_result)
{
	struct inflight *fl;
	uint32_t head;

	if (atomic_load_explicit(&q->done, memory_order_relaxed) ==
	    QUEUE_NO_HEAD)
		return 0;
	if (atomic_load_explicit(&q->broken, memory_order_relaxed))
		return -EBADMSG;
	pthread_mutex_lock(&q->lock);
	head = q->done;
	if (head != QUEUE_NO_HEAD)
		q->done = q->done_next[head];
	pthread_mutex_unlock(&q->lock);
	if (head == QUEUE_NO_HEAD)
		return 0;

	fl = &q->inflight[head];
	*ret_unique = fl->unique;
	*ret_result = fl->result;
	return load_chain(q, (uint16_t)head, c) ? 1 : -EBADMSG;
}

/* The data before the used entry, so that a log that names the entry's page
 * as clean never lets a dirty page of data be missed. */
static void log_written(struct queue *q, const struct chain *c, uint32_t len)
{
	const struct iovec *iov = chain_write_iov(c);

	for (size_t i = 0; i < c->n_write && len; i++) {
		size_t now = min_size(len, iov[i].iov_len);

		dirty_mark(q->dirty, iov[i].iov_base, now);
		len -= (uint32_t)now;
	}
}

static void log_used(struct queue *q, size_t offset, size_t len)
{
	if (q->record->addr_flags & VHOST_USER_VRING_F_LOG)
		dirty_mark_gpa(q->dirty, q->record->log + offset, len);
}

bool queue_push(struct queue *q, const struct chain *c, uint32_t len)
{
	struct queue_record *rec = q->record;
	bool logging = dirty_logging(q->dirty);
	uint16_t slot;

	if (logging)
		log_written(q, c, len);
	pthread_mutex_lock(&q->lock);
	if (c->start_no != rec->start_no) {
		pthread_mutex_unlock(&q->lock);
		return false;
	}
	c->record->result = (int32_t)len;
	c->record->used_at = rec->used_idx;
	inflight_enter(c->record, INFLIGHT_KNOWN);
	slot = rec->used_idx & (q->num - 1);
	store_le32(&q->used->ring[slot].id, c->head);
	store_le32(&q->used->ring[slot].len, len);
	/* Entry before index; pairs with the driver's acquire of used->idx. The
	 * guest's index before ours: see queue_attach.c. */
	store_release_le16(&q->used->idx, (uint16_t)(rec->used_idx + 1));
	store_next16(&rec->used_idx, (uint16_t)(rec->used_idx + 1));
	if (logging) {
		log_used(q, offsetof(struct vring_used, ring[slot]),
			 sizeof(struct vring_used_elem));
		log_used(q, offsetof(struct vring_used, idx), sizeof(uint16_t));
	}
	inflight_set(c->record, INFLIGHT_NONE, 0);
	pthread_mutex_unlock(&q->lock);
	return true;
}

static uint16_t *used_event(const struct queue *q)
{
	return &q->avail->ring[q->num];
}

static uint16_t *avail_event(const struct queue *q)
{
	return (uint16_t *)&q->used->ring[q->num];
}

static bool must_notify(struct queue *q)
{
	uint16_t old = q->notified, now = q->record->used_idx;
	bool valid = q->notified_valid;

	if (valid && old == now)
		return false;
	/* The used index before a look at what the driver asks for; pairs with
	 * the driver's barrier between used_event and used->idx. */
	barrier_full();
	q->notified = now;
	q->notified_valid = true;
	if (!q->event_idx)
		return !(load_le16(&q->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	return !valid || vring_need_event(load_le16(used_event(q)), now, old);
}

uint32_t queue_size(struct queue *q)
{
	uint32_t size;

	pthread_mutex_lock(&q->lock);
	size = q->mapped ? q->num : 0;
	pthread_mutex_unlock(&q->lock);
	return size;
}

bool queue_notify(struct queue *q)
{
	const uint64_t one = 1;
	bool needed;

	pthread_mutex_lock(&q->lock);
	needed = q->mapped && must_notify(q);
	pthread_mutex_unlock(&q->lock);
	if (needed && q->record->call_fd &&
	    write(q->record->call_fd, &one, sizeof(one)) < 0)
		log_debug("queue %u: cannot notify the guest: %s", q->index,
			  strerror(errno));
	return needed;
}

void queue_notify_anyway(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->notified_valid = false;
	pthread_mutex_unlock(&q->lock);
	(void)queue_notify(q);
}

bool queue_arm(struct queue *q)
{
	if (atomic_load_explicit(&q->broken, memory_order_relaxed))
		return false;
	if (q->event_idx)
		store_le16(avail_event(q), q->record->last_avail);
	else
		store_le16(&q->used->flags, 0);
	/* The wish for a kick before the last look; pairs with the driver's
	 * barrier between avail->idx and avail_event. */
	barrier_full();
	return queue_has_more(q);
}

void queue_disarm(struct queue *q)
{
	/* With an event index, the old one asks for nothing new by itself. */
	if (!q->event_idx)
		store_le16(&q->used->flags, VRING_USED_F_NO_NOTIFY);
}
