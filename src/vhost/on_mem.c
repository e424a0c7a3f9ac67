/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory and the log of what was written to it. */
#include <errno.h>

#include "base/log.h"
#include "vhost/msgtable.h"

int msg_not_shared(void)
{
	log_error("the guest's memory is not shared with this process: start the VM with a shared memory back-end (QEMU: memory-backend-memfd with share=on; libvirt: <access mode='shared'/>; cloud-hypervisor: --memory shared=on)");
	return -EPROTO;
}

static int add_region(struct server *s, struct msg *m, size_t i,
		      const struct vhost_user_region *reg)
{
	int fd = msg_take_fd(m, i);
	int r;

	if (fd < 0)
		return msg_not_shared();
	r = memmap_add(&s->dev->map, reg->guest_addr, reg->size,
		       reg->user_addr, reg->mmap_offset, &fd);
	if (r < 0)
		return log_err(r, "front-end: memory region of 0x%llx bytes at 0x%llx cannot be mapped",
			       (unsigned long long)reg->size,
			       (unsigned long long)reg->guest_addr);
	log_debug("memory region 0x%llx + 0x%llx",
		  (unsigned long long)reg->guest_addr,
		  (unsigned long long)reg->size);
	return 0;
}

int on_set_mem_table(struct server *s, struct msg *m)
{
	const struct vhost_user_mem_table *t = &m->p.mem;
	int r = 0;

	if (t->nregions > VHOST_USER_MEM_TABLE_REGIONS ||
	    m->h.size < 8 + t->nregions * sizeof(t->region[0])) {
		log_error("front-end: SET_MEM_TABLE of %u regions in %u bytes",
			  t->nregions, m->h.size);
		return -EPROTO;
	}
	/* QEMU leaves out the memory that it has no descriptor for. */
	if (t->nregions == 0)
		return msg_not_shared();

	device_quiesce(s->dev);
	memmap_clear(&s->dev->map);
	for (uint32_t i = 0; i < t->nregions && r == 0; i++)
		r = add_region(s, m, i, &t->region[i]);
	if (r == 0)
		device_resume(s->dev);
	return r;
}

int on_add_mem_reg(struct server *s, struct msg *m)
{
	int r;

	device_quiesce(s->dev);
	r = add_region(s, m, 0, &m->p.region.region);
	if (r == 0)
		device_resume(s->dev);
	return r;
}

int on_rem_mem_reg(struct server *s, struct msg *m)
{
	const struct vhost_user_region *reg = &m->p.region.region;
	int r;

	device_quiesce(s->dev);
	r = memmap_remove(&s->dev->map, reg->guest_addr, reg->size,
			  reg->user_addr);
	device_resume(s->dev);
	if (r < 0)
		log_error("front-end: REM_MEM_REG of a region that is not there (0x%llx)",
			  (unsigned long long)reg->guest_addr);
	return r;
}

int on_get_max_mem_slots(struct server *s, struct msg *m)
{
	return msg_reply_u64(s, m, MEMMAP_REGIONS_MAX);
}

int on_set_log_base(struct server *s, struct msg *m)
{
	const struct vhost_user_log log = m->p.log;
	int fd = msg_take_fd(m, 0);
	int r;

	device_quiesce(s->dev);
	r = dirty_set_log(&s->dev->dirty, log.mmap_size, log.mmap_offset, &fd);
	device_resume(s->dev);
	if (r < 0)
		return log_err(r, "front-end: the dirty log cannot be mapped");
	return msg_reply_u64(s, m, 0);
}

/* An eventfd for "the log was written": the log is read at the front-end's own
 * pace by all that are known. */
int on_set_log_fd(struct server *s, struct msg *m)
{
	return MSG_DONE;
}
