/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What becomes of a queue whose worker has died, between any two instructions.
 *
 * Theory of operation (vhost-user, "Inflight I/O tracking", split rings). One
 * thread pops, and one at a time pushes, so at most one request is half popped
 * and at most one half pushed.
 *
 * Popped: order and avail index go into the request's record, then its phase,
 * then both counts of the queue. A record whose order is one more than the
 * queue's was being popped: the counts follow from it.
 *
 * Pushed: the used index that it gets goes into the record, then the phase
 * KNOWN, then the guest's used index, then the queue's own, then the phase NONE.
 * A KNOWN one whose index is not the queue's present one is there already; so
 * is one whose index the guest's has passed. What the guest writes there itself
 * changes what becomes of its own request, and nothing else.
 */
#include <errno.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "base/log.h"
#include "virtio/queue.h"
#include "wire/vhost_user.h"

bool queue_record_is_sane(const struct queue_record *rec)
{
	return rec->num <= WIRE_VRING_SIZE_MAX &&
	       (rec->num == 0 || is_power_of_2(rec->num)) &&
	       rec->have_addr <= 1 && rec->enabled <= 1 && rec->started <= 1 &&
	       rec->named <= 1 && rec->fresh <= 1 && rec->broken <= 1 &&
	       rec->kick_fd >= 0 && rec->call_fd >= 0 && rec->err_fd >= 0;
}

static int damaged(const struct queue *q, const char *what, uint32_t head)
{
	log_error("queue %u: the record of request %u says what cannot be: %s",
		  q->index, head, what);
	return -EPROTO;
}

static void finish_pop(struct queue *q, const struct inflight *fl)
{
	struct queue_record *rec = q->record;

	if (fl->order != rec->order + 1)
		return;
	rec->last_avail = (uint16_t)(fl->avail_at + 1);
	__atomic_store_n(&rec->order, fl->order, __ATOMIC_RELEASE);
}

static int finish_push(struct queue *q, uint32_t head)
{
	struct inflight *fl = &q->inflight[head];
	struct queue_record *rec = q->record;
	struct chain c = {
		.head = (uint16_t)head,
		.start_no = rec->start_no,
		.record = fl,
	};

	if (!q->mapped)
		return damaged(q, "known, and no ring", head);
	if (fl->used_at == rec->used_idx &&
	    load_le16(&q->used->idx) == rec->used_idx) {
		/* What it wrote is in the dirty log already. */
		queue_push(q, &c, (uint32_t)fl->result);
		return 0;
	}
	if (fl->used_at == rec->used_idx)
		rec->used_idx++;
	inflight_set(fl, INFLIGHT_NONE, 0);
	return 0;
}

/* Nobody knows which marks of the used ring were still to come. */
static void log_used_ring(struct queue *q)
{
	const struct queue_record *rec = q->record;

	if (q->mapped && dirty_logging(q->dirty) &&
	    rec->addr_flags & VHOST_USER_VRING_F_LOG)
		dirty_mark_gpa(q->dirty, rec->log,
			       sizeof(struct vring_used) +
				       rec->num *
					       sizeof(struct vring_used_elem));
}

static int settle(struct queue *q, uint32_t head)
{
	struct inflight *fl = &q->inflight[head];
	unsigned int phase = inflight_phase(fl), deaths = inflight_deaths(fl);

	if (phase == INFLIGHT_NONE)
		return 0;
	if (phase >= INFLIGHT_PHASES)
		return damaged(q, "phase", head);
	if (fl->order == 0 || fl->order > q->record->order + 1)
		return damaged(q, "order", head);
	finish_pop(q, fl);
	if (phase == INFLIGHT_KNOWN)
		return finish_push(q, head);
	if (phase == INFLIGHT_ACTING && deaths < INFLIGHT_DEATHS_MAX)
		deaths++;
	inflight_set(fl, INFLIGHT_TAKEN, deaths);
	return 1;
}

/* Into the list, which is sorted by age. Few are in flight without being parked,
 * and parked ones come mostly in their order. */
static void list_again(struct queue *q, uint32_t head)
{
	uint64_t order = q->inflight[head].order;
	uint32_t *at = &q->again;

	while (*at != QUEUE_NO_HEAD && q->inflight[*at].order < order)
		at = &q->done_next[*at];
	q->done_next[head] = *at;
	*at = head;
}

int queue_attach(struct queue *q, bool event_idx)
{
	struct queue_record *rec = q->record;
	int r;

	if (!queue_record_is_sane(rec))
		return -EPROTO;
	if (queue_runnable(q) && !rec->fresh) {
		r = queue_map(q, event_idx, false);
		if (r < 0)
			return r;
	}
	atomic_store(&q->broken, rec->broken);
	atomic_store(&q->popped, rec->order != 0);
	log_used_ring(q);
	q->again = QUEUE_NO_HEAD;
	for (uint32_t i = 0; i < rec->num; i++) {
		r = settle(q, i);
		if (r < 0)
			return r;
		if (r > 0)
			list_again(q, i);
	}
	q->avail_seen = rec->last_avail;
	return 0;
}
