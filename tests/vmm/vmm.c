/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole machine in one call, in the order in which QEMU talks to a back-end. */
#include <errno.h>
#include <sys/eventfd.h>

#include "vmm.h"

#define USUAL_MEM_SIZE	(64ull << 20)
#define USUAL_GPA	0x40000000ull

int vmm_ring_addr(struct vmm *v, struct ring *r, bool log)
{
	struct vu_addr a = {
		.index = r->index,
		.flags = log,
		.desc = mem_uaddr(&v->mem, r->desc_buf.gpa),
		.used = mem_uaddr(&v->mem, r->used_buf.gpa),
		.avail = mem_uaddr(&v->mem, r->avail_buf.gpa),
		.log = log ? r->used_buf.gpa : 0,
	};

	return front_set_vring_addr(&v->front, &a);
}

int vmm_ring_start(struct vmm *v, struct ring *r, unsigned int base)
{
	struct front *f = &v->front;
	int err = front_set_vring_num(f, r->index, r->size);

	if (err == 0)
		err = front_set_vring_base(f, r->index, base);
	if (err == 0)
		err = vmm_ring_addr(v, r, false);
	if (err == 0)
		err = front_set_vring_fd(f, VU_SET_VRING_CALL, r->index, r->call_fd);
	/* QEMU hands over an eventfd that is already signalled: a ring starts at its first
	 * kick, and requests may be waiting whose own kick went to a device that is gone */
	if (err == 0 && eventfd_write(r->kick_fd, 1) < 0)
		err = -errno;
	if (err == 0)
		err = front_set_vring_fd(f, VU_SET_VRING_KICK, r->index, r->kick_fd);
	if (err == 0 && (f->features & VU_F_PROTOCOL_FEATURES))
		err = front_set_vring_enable(f, r->index, true);
	return err;
}

int vmm_ring_stop(struct vmm *v, struct ring *r, unsigned int *ret_base)
{
	return front_get_vring_base(&v->front, r->index, ret_base);
}

static int start_memory(struct vmm *v, const struct vmm_opts *o)
{
	struct mem_spec usual = { .gpa = USUAL_GPA,
				  .size = o->mem_size ? o->mem_size : USUAL_MEM_SIZE };
	const struct mem_spec *spec = o->regions ? o->regions : &usual;
	unsigned int n = o->regions ? o->nregions : 1;

	for (unsigned int i = 0; i < n; i++) {
		int r = mem_add(&v->mem, &spec[i]);

		if (r < 0)
			return r;
	}
	return front_set_mem_table(&v->front, &v->mem);
}

static int start_rings(struct vmm *v, const struct vmm_opts *o)
{
	unsigned int n = 1 + (o->request_queues ? o->request_queues : 1);
	bool event_idx = v->front.features & VU_F_EVENT_IDX;

	if (n > VMM_QUEUES_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < n; i++) {
		int r = ring_init(&v->ring[i], &v->mem, 0, i,
				  o->queue_size ? o->queue_size : 1024, event_idx, o->base);

		if (r < 0)
			return r;
		v->nrings = i + 1;
		if (!o->stopped)
			r = vmm_ring_start(v, &v->ring[i], o->base);
		if (r < 0)
			return r;
	}
	return 0;
}

static int start_attached(struct vmm *v, const struct vmm_opts *opts)
{
	struct vmm_opts o = opts ? *opts : (struct vmm_opts){ 0 };
	int r = front_negotiate(&v->front, VMM_FEATURES & ~VU_F_LOG_ALL & ~o.without,
				VMM_PROTOCOL_FEATURES & ~o.without_protocol);

	if (r == 0)
		r = start_memory(v, &o);
	if (r == 0)
		r = start_rings(v, &o);
	if (r < 0)
		vmm_stop(v);
	return r;
}

int vmm_start_on(struct vmm *v, int sock, const struct vmm_opts *opts)
{
	mem_init(&v->mem);
	v->nrings = 0;
	front_attach(&v->front, sock);
	return start_attached(v, opts);
}

int vmm_start(struct vmm *v, const char *socket_path, const struct vmm_opts *opts)
{
	mem_init(&v->mem);
	v->nrings = 0;
	v->front.sock = -1;

	int r = front_connect(&v->front, socket_path);

	return r < 0 ? r : start_attached(v, opts);
}

void vmm_stop(struct vmm *v)
{
	front_close(&v->front);
	for (unsigned int i = 0; i < v->nrings; i++)
		ring_free(&v->ring[i]);
	v->nrings = 0;
	mem_free(&v->mem);
}
