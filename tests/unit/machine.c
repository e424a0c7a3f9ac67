/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fd.h"
#include "unit.h"

#define WAIT_MS 20000U

uint64_t machine_in(unsigned int i, uint16_t head)
{
	return i * MACHINE_PART + MACHINE_DATA + head * (uint64_t)MACHINE_SLOT;
}

uint64_t machine_out(unsigned int i, uint16_t head)
{
	return machine_in(i, head) + MACHINE_SLOT;
}

static void configure(struct machine *m, unsigned int i, uint16_t base)
{
	struct queue *q = &m->w[i]->queue;
	int kick = fd_dup(m->d[i].kick_fd);

	device_hold(&m->dev, m->w[i]);
	driver_configure(&m->d[i], q, base);
	q->record->started = 1;
	q->record->enabled = 1;
	ck_ok(crew_set_kick(m->w[i], &kick));
	q->record->fresh = 1;
	ck_ok(device_update(&m->dev, m->w[i]));
}

void machine_start_ring(struct machine *m, unsigned int i, uint32_t num)
{
	if (m->d[i].num)
		driver_destroy(&m->d[i]);
	driver_init(&m->d[i], &m->g, i * MACHINE_PART, num, true, 0);
	configure(m, i, 0);
}

void machine_resume_ring(struct machine *m, unsigned int i)
{
	configure(m, i, m->w[i]->queue.record->last_avail);
}

void machine_start(struct machine *m, unsigned int n, uint32_t num)
{
	machine_start_with(m, n, num, -1, 0);
}

void machine_start_with(struct machine *m, unsigned int n, uint32_t num,
			long pool, unsigned int poll_us)
{
	memset(m, 0, sizeof(*m));
	client_start_bare(&m->c, CACHE_AUTO);
	m->control_fd = fd_eventfd(0, EFD_NONBLOCK);
	m->n = n;
	ck_ok(device_init(&m->dev, &m->c.arena, &m->c.session, m->control_fd));
	device_set_pool(&m->dev, pool);
	device_set_poll(&m->dev, poll_us);
	m->dev.event_idx = true;
	gmem_init(&m->g, &m->dev.map);
	gmem_add(&m->g, 0, MACHINE_QUEUES * MACHINE_PART);
	for (unsigned int i = 0; i < n; i++) {
		ck_ok(device_queue(&m->dev, i + 1, &m->w[i]));
		machine_start_ring(m, i, num);
	}
}

void machine_stop(struct machine *m)
{
	ck_ok(device_destroy(&m->dev));
	for (unsigned int i = 0; i < m->n; i++)
		driver_destroy(&m->d[i]);
	gmem_destroy(&m->g);
	ck_ok(fd_close(&m->control_fd));
	client_stop(&m->c);
}

void machine_offer(struct machine *m, unsigned int i, uint16_t head,
		   const struct call *k, uint32_t room)
{
	must(k->in_len <= MACHINE_SLOT);
	must(room <= MACHINE_SLOT);
	gmem_write(&m->g, machine_in(i, head), k->in, k->in_len);
	driver_desc(&m->d[i], head, machine_in(i, head), (uint32_t)k->in_len,
		    room ? VRING_DESC_F_NEXT : 0, head + 1);
	if (room)
		driver_desc(&m->d[i], head + 1, machine_out(i, head), room,
			    VRING_DESC_F_WRITE, 0);
	driver_offer(&m->d[i], head);
}

void machine_kick(struct machine *m, unsigned int i)
{
	(void)driver_kick(&m->d[i]);
}

void machine_control(struct machine *m)
{
	if (unit_eventfd_take(m->control_fd))
		device_run_exclusives(&m->dev);
}

bool machine_wait(struct machine *m, unsigned int i, unsigned int ms,
		  struct vring_used_elem *ret, int *ret_error)
{
	struct pollfd p[2] = { { .fd = m->d[i].call_fd, .events = POLLIN },
			       { .fd = m->control_fd, .events = POLLIN } };
	uint64_t end = unit_now_ms() + ms;

	for (;;) {
		machine_control(m);
		(void)unit_eventfd_take(m->d[i].call_fd);
		(void)driver_want_call(&m->d[i]);
		if (driver_take(&m->d[i], ret))
			break;
		if (unit_now_ms() >= end)
			return false;
		poll(p, 2, 10);
	}
	if (ret_error && ret->len) {
		struct fuse_out_header h;

		must(ret->len >= sizeof(h));
		gmem_read(&m->g, machine_out(i, (uint16_t)ret->id), &h,
			  sizeof(h));
		must(h.len == ret->len);
		*ret_error = h.error;
	}
	return true;
}

int machine_call(struct machine *m, unsigned int i, const struct call *k)
{
	struct vring_used_elem e;
	int error = 0;

	machine_offer(m, i, 0, k, 4096);
	machine_kick(m, i);
	must(machine_wait(m, i, WAIT_MS, &e, &error));
	must(e.id == 0);
	return error;
}

int machine_init_session(struct machine *m, unsigned int i)
{
	struct fuse_init_in in = { .major = 7, .minor = 31 };
	struct call k;

	call_begin(&k, FUSE_INIT, 0);
	call_put(&k, &in, sizeof(in));
	return machine_call(m, i, &k);
}
