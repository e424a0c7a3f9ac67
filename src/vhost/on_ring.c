/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings: where they are, and when they start and stop. */
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "vhost/msgtable.h"

static int find_queue(struct server *s, const struct msg *m, uint32_t index,
		      struct crew **ret)
{
	int r = device_queue(s->dev, index, ret);

	if (r < 0)
		return log_err(r, "front-end: %s for queue %u",
			       msg_row(m->h.request)->name, index);
	if (msg_row(m->h.request)->state & ST_STOPPED &&
	    (*ret)->queue.record->started && (*ret)->queue.record->enabled) {
		log_error("front-end: %s while queue %u runs",
			  msg_row(m->h.request)->name, index);
		return -EPROTO;
	}
	return 0;
}

static int wrong_value(const struct msg *m, uint32_t index, int r)
{
	return r < 0 ? log_err(r, "front-end: bad value in %s of queue %u",
			       msg_row(m->h.request)->name, index) :
		       MSG_DONE;
}

/* Starts the ring if it has all it needs by now. */
static int update(struct server *s, struct crew *crew)
{
	int r = device_update(s->dev, crew);

	if (r < 0)
		return log_err(r, "front-end: the ring of queue %u cannot be used",
			       crew->queue.index);
	return MSG_DONE;
}

int on_set_vring_num(struct server *s, struct msg *m)
{
	struct crew *crew;
	int r = find_queue(s, m, m->p.state.index, &crew);

	if (r < 0)
		return r;
	/* User-Mode Linux only disables its rings before it sets them anew. */
	crew->queue.record->fresh = 1;
	return wrong_value(m, crew->queue.index,
			   queue_set_num(&crew->queue, m->p.state.num));
}

/* May come for a ring that runs, to have it logged or not. */
int on_set_vring_addr(struct server *s, struct msg *m)
{
	const struct vhost_user_vring_addr *a = &m->p.addr;
	struct crew *crew;
	int r = find_queue(s, m, a->index, &crew);

	if (r < 0)
		return r;
	device_hold(s->dev, crew);
	r = queue_set_addr(&crew->queue, a->desc, a->avail, a->used, a->log,
			   a->flags);
	/* QEMU leaves out the memory that it has no descriptor for. */
	if (s->dev->map.n == 0)
		return msg_not_shared();
	/* A wrong address is said here, not at the start. */
	if (r == 0)
		r = queue_check_addr(&crew->queue, s->dev->event_idx);
	if (r < 0)
		return wrong_value(m, a->index, r);
	return update(s, crew);
}

int on_set_vring_base(struct server *s, struct msg *m)
{
	struct crew *crew;
	int r = find_queue(s, m, m->p.state.index, &crew);

	if (r < 0)
		return r;
	/*
	 * A ring that goes on goes on where it stopped. From anywhere else it
	 * is a new driver's, whose device was reset: the guest was, most likely,
	 * and may never mount again. What it held ends here, not at its INIT.
	 */
	if (m->p.state.num != crew->queue.record->last_avail)
		device_end_session(s->dev);
	crew->queue.record->fresh = 1;
	return wrong_value(m, crew->queue.index,
			   queue_set_base(&crew->queue, m->p.state.num));
}

int on_get_vring_base(struct server *s, struct msg *m)
{
	struct vhost_user_vring_state out = { .index = m->p.state.index };
	struct crew *crew;
	int none = -1;
	int r = find_queue(s, m, out.index, &crew);

	if (r < 0)
		return r;
	out.num = device_stop_queue(s->dev, crew);
	r = crew_set_kick(crew, &none);
	ASSERT(r == 0); /* there is nothing to poll */
	return msg_reply(s, m, &out, sizeof(out));
}

/* The descriptor that comes with a KICK, CALL or ERR message, or -1. */
static int take_vring_fd(struct server *s, struct msg *m, struct crew **ret_crew,
			 int *ret_fd)
{
	int r = find_queue(s, m, m->p.u64 & VHOST_USER_VRING_INDEX_MASK, ret_crew);

	if (r < 0)
		return r;
	*ret_fd = -1;
	if (m->p.u64 & VHOST_USER_VRING_NOFD)
		return 0;
	*ret_fd = msg_take_fd(m, 0);
	if (*ret_fd >= 0)
		return 0;
	log_error("front-end: %s without a descriptor",
		  msg_row(m->h.request)->name);
	return -EPROTO;
}

int on_set_vring_kick(struct server *s, struct msg *m)
{
	struct crew *crew;
	int fd, r = take_vring_fd(s, m, &crew, &fd);

	if (r < 0)
		return r;
	device_hold(s->dev, crew);
	if (!crew->queue.record->started) {
		crew->queue.record->started = 1;
		crew->queue.record->fresh = 1;
	}
	r = crew_set_kick(crew, &fd);
	if (r < 0)
		return log_err(r, "front-end: the kick descriptor of queue %u cannot be polled",
			       crew->queue.index);
	if (!(s->record->features >> VHOST_USER_F_PROTOCOL_FEATURES_BIT & 1))
		crew->queue.record->enabled = 1;
	return update(s, crew);
}

int on_set_vring_call(struct server *s, struct msg *m)
{
	struct crew *crew;
	int fd, r = take_vring_fd(s, m, &crew, &fd);

	if (r < 0)
		return r;
	device_hold(s->dev, crew);
	queue_set_fd(&crew->queue.record->call_fd, &fd);
	/* What was completed before had nobody to tell. */
	if (crew->queue.mapped)
		atomic_store(&crew->tell_anyway, true);
	return update(s, crew);
}

int on_set_vring_err(struct server *s, struct msg *m)
{
	struct crew *crew;
	int fd, r = take_vring_fd(s, m, &crew, &fd);

	if (r < 0)
		return r;
	device_hold(s->dev, crew);
	queue_set_fd(&crew->queue.record->err_fd, &fd);
	return update(s, crew);
}

int on_set_vring_enable(struct server *s, struct msg *m)
{
	struct crew *crew;
	int r = find_queue(s, m, m->p.state.index, &crew);

	if (r < 0)
		return r;
	if (m->p.state.num > 1)
		return wrong_value(m, crew->queue.index, -EINVAL);
	device_hold(s->dev, crew);
	crew->queue.record->enabled = (uint8_t)m->p.state.num;
	return update(s, crew);
}
