/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "base/fd.h"
#include "unit.h"

static size_t avail_offset(uint32_t num)
{
	return num * sizeof(struct vring_desc);
}

static size_t used_offset(uint32_t num)
{
	size_t end = avail_offset(num) + sizeof(struct vring_avail) + num * 2 + 2;

	return round_up(end, 4096);
}

size_t driver_size(uint16_t num)
{
	return round_up(used_offset(num) + sizeof(struct vring_used) +
				num * sizeof(struct vring_used_elem) + 2,
			4096);
}

static int new_eventfd(void)
{
	int fd = fd_eventfd(0, EFD_NONBLOCK);

	must(fd >= 0);
	return fd;
}

void driver_init(struct driver *d, struct gmem *g, uint64_t at, uint32_t num,
		 bool event_idx, uint16_t base)
{
	char *p = gmem_ptr(g, at, driver_size((uint16_t)num));

	memset(d, 0, sizeof(*d));
	d->g = g;
	d->at = at;
	d->num = (uint16_t)num;
	d->event_idx = event_idx;
	memset(p, 0, driver_size(d->num));
	d->desc = (void *)p;
	d->avail = (void *)(p + avail_offset(num));
	d->used = (void *)(p + used_offset(num));
	d->avail_idx = base;
	d->kicked = base;
	d->used_idx = base;
	store_le16(&d->avail->idx, base);
	store_le16(&d->used->idx, base);
	d->kick_fd = new_eventfd();
	d->call_fd = new_eventfd();
	d->err_fd = new_eventfd();
}

void driver_destroy(struct driver *d)
{
	(void)fd_close(&d->kick_fd);
	(void)fd_close(&d->call_fd);
	(void)fd_close(&d->err_fd);
}

void driver_configure(const struct driver *d, struct queue *q, uint16_t base)
{
	uint64_t at = d->at + GMEM_UADDR;
	int call = fd_dup(d->call_fd), err = fd_dup(d->err_fd);

	ck_ok(queue_set_num(q, d->num));
	ck_ok(queue_set_addr(q, at, at + avail_offset(d->num),
			     at + used_offset(d->num),
			     d->at + used_offset(d->num), 0));
	ck_ok(queue_set_base(q, base));
	queue_set_fd(&q->record->call_fd, &call);
	queue_set_fd(&q->record->err_fd, &err);
}

void driver_desc(struct driver *d, uint16_t i, uint64_t gpa, uint32_t len,
		 uint16_t flags, uint16_t next)
{
	must(i < d->num);
	d->desc[i] = (struct vring_desc){ .addr = gpa, .len = len,
					  .flags = flags, .next = next };
}

void driver_offer(struct driver *d, uint16_t head)
{
	store_le16(&d->avail->ring[d->avail_idx & (d->num - 1)], head);
	d->avail_idx++;
}

void driver_publish(struct driver *d)
{
	store_release_le16(&d->avail->idx, d->avail_idx);
}

static uint16_t *avail_event(const struct driver *d)
{
	return (uint16_t *)&d->used->ring[d->num];
}

static uint16_t *used_event(const struct driver *d)
{
	return &d->avail->ring[d->num];
}

bool driver_kick(struct driver *d)
{
	const uint64_t one = 1;
	uint16_t old = d->kicked;
	bool wanted;

	driver_publish(d);
	barrier_full();
	d->kicked = d->avail_idx;
	if (d->event_idx)
		wanted = vring_need_event(load_le16(avail_event(d)),
					  d->avail_idx, old);
	else
		wanted = !(load_le16(&d->used->flags) & VRING_USED_F_NO_NOTIFY);
	if (wanted)
		must(write(d->kick_fd, &one, sizeof(one)) == sizeof(one));
	return wanted;
}

bool driver_take(struct driver *d, struct vring_used_elem *ret)
{
	if (load_acquire_le16(&d->used->idx) == d->used_idx)
		return false;
	*ret = d->used->ring[d->used_idx & (d->num - 1)];
	d->used_idx++;
	return true;
}

bool driver_want_call(struct driver *d)
{
	if (d->event_idx)
		store_le16(used_event(d), d->used_idx);
	else
		store_le16(&d->avail->flags, 0);
	barrier_full();
	return load_acquire_le16(&d->used->idx) != d->used_idx;
}

void driver_want_no_call(struct driver *d)
{
	if (!d->event_idx)
		store_le16(&d->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}
