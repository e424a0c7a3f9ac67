/* SPDX-License-Identifier: BSD-3-Clause */
/* One function per vhost-user message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front.h"

/* The reply's fds are not wanted here. */
static void drop_fds(struct front_msg *msg)
{
	for (unsigned int i = 0; i < msg->nfds; i++)
		close(msg->fds[i]);
	msg->nfds = 0;
}

/* Wait for the reply to `request`: any_size, or exactly size bytes into ret. */
static int reply_to(struct front *f, uint32_t request, void *ret, uint32_t size, bool any_size)
{
	struct front_msg *msg = malloc(sizeof(*msg));

	if (!msg)
		return -ENOMEM;

	int r = front_recv(f, msg);

	if (r == 0) {
		drop_fds(msg);
		if (msg->head.request != request || !(msg->head.flags & VU_REPLY) ||
		    (msg->head.flags & 3) != VU_VERSION ||
		    (!any_size && msg->head.size != size))
			r = -EPROTO;
		else if (ret)
			memcpy(ret, msg->payload, size);
	}
	free(msg);
	return r;
}

int front_tell(struct front *f, uint32_t request, const void *payload, uint32_t size,
	       const int *fds, unsigned int nfds)
{
	int r = front_send(f, request, f->ack ? VU_NEED_REPLY : 0, payload, size, fds, nfds);
	uint64_t no = 0;

	if (r < 0 || !f->ack)
		return r;
	r = reply_to(f, request, &no, sizeof(no), false);
	if (r < 0)
		return r;
	return no ? -EREMOTEIO : 0;
}

int front_ask(struct front *f, uint32_t request, const void *payload, uint32_t size,
	      void *ret, uint32_t ret_size)
{
	int r = front_send(f, request, 0, payload, size, NULL, 0);

	return r < 0 ? r : reply_to(f, request, ret, ret_size, false);
}

int front_ask_u64(struct front *f, uint32_t request, uint64_t *ret)
{
	return front_ask(f, request, NULL, 0, ret, sizeof(*ret));
}

int front_tell_u64(struct front *f, uint32_t request, uint64_t value)
{
	return front_tell(f, request, &value, sizeof(value), NULL, 0);
}

int front_negotiate(struct front *f, uint64_t features, uint64_t protocol_features)
{
	int r = front_ask_u64(f, VU_GET_FEATURES, &f->features);

	if (r < 0)
		return r;
	f->features &= features;
	if (f->features & VU_F_PROTOCOL_FEATURES) {
		r = front_ask_u64(f, VU_GET_PROTOCOL_FEATURES, &f->protocol_features);
		if (r < 0)
			return r;
		f->protocol_features &= protocol_features;
		r = front_tell_u64(f, VU_SET_PROTOCOL_FEATURES, f->protocol_features);
		if (r < 0)
			return r;
		f->ack = f->protocol_features & VU_P_REPLY_ACK;
	}
	r = front_tell(f, VU_SET_OWNER, NULL, 0, NULL, 0);
	return r < 0 ? r : front_set_features(f, f->features);
}

int front_set_features(struct front *f, uint64_t features)
{
	int r = front_tell_u64(f, VU_SET_FEATURES, features);

	if (r == 0)
		f->features = features;
	return r;
}

static struct vu_region region_wire(const struct mem_region *r)
{
	return (struct vu_region){ r->gpa, r->size, r->uaddr, r->offset };
}

int front_set_mem_table(struct front *f, const struct mem *m)
{
	struct {
		uint32_t n, padding;
		struct vu_region region[FRONT_FDS_MAX];
	} msg = { 0 };
	int fds[FRONT_FDS_MAX];

	for (unsigned int i = 0; i < m->n; i++) {
		if (m->region[i].fd < 0)
			continue;
		if (msg.n == FRONT_FDS_MAX)
			return -E2BIG;
		fds[msg.n] = m->region[i].fd;
		msg.region[msg.n++] = region_wire(&m->region[i]);
	}
	return front_tell(f, VU_SET_MEM_TABLE, &msg, 8 + msg.n * sizeof(msg.region[0]),
			  fds, msg.n);
}

struct one_region {
	uint64_t padding;
	struct vu_region region;
};

int front_add_mem_reg(struct front *f, const struct mem *m, unsigned int region)
{
	struct one_region msg = { 0, region_wire(&m->region[region]) };

	return front_tell(f, VU_ADD_MEM_REG, &msg, sizeof(msg), &m->region[region].fd, 1);
}

int front_rem_mem_reg(struct front *f, const struct mem *m, unsigned int region)
{
	struct one_region msg = { 0, region_wire(&m->region[region]) };

	return front_tell(f, VU_REM_MEM_REG, &msg, sizeof(msg), NULL, 0);
}

static int tell_state(struct front *f, uint32_t request, unsigned int index, unsigned int num)
{
	struct vu_state s = { index, num };

	return front_tell(f, request, &s, sizeof(s), NULL, 0);
}

int front_set_vring_num(struct front *f, unsigned int index, unsigned int num)
{
	return tell_state(f, VU_SET_VRING_NUM, index, num);
}

int front_set_vring_base(struct front *f, unsigned int index, unsigned int base)
{
	return tell_state(f, VU_SET_VRING_BASE, index, base);
}

int front_get_vring_base(struct front *f, unsigned int index, unsigned int *ret_base)
{
	struct vu_state s = { index, 0 }, got;
	int r = front_ask(f, VU_GET_VRING_BASE, &s, sizeof(s), &got, sizeof(got));

	if (r < 0)
		return r;
	if (got.index != index)
		return -EPROTO;
	*ret_base = got.num;
	return 0;
}

int front_set_vring_addr(struct front *f, const struct vu_addr *addr)
{
	return front_tell(f, VU_SET_VRING_ADDR, addr, sizeof(*addr), NULL, 0);
}

int front_set_vring_fd(struct front *f, uint32_t request, unsigned int index, int fd)
{
	uint64_t v = index | (fd < 0 ? VU_VRING_NOFD : 0);

	return front_tell(f, request, &v, sizeof(v), &fd, fd >= 0);
}

int front_set_vring_enable(struct front *f, unsigned int index, bool enable)
{
	return tell_state(f, VU_SET_VRING_ENABLE, index, enable);
}

int front_set_log_base(struct front *f, int fd, uint64_t size, uint64_t offset)
{
	struct vu_log log = { size, offset };
	int r = front_send(f, VU_SET_LOG_BASE, 0, &log, sizeof(log), &fd, 1);

	return r < 0 ? r : reply_to(f, VU_SET_LOG_BASE, NULL, 0, true);
}

int front_set_log_fd(struct front *f, int fd)
{
	return front_tell(f, VU_SET_LOG_FD, NULL, 0, &fd, 1);
}

int front_get_config(struct front *f, uint32_t offset, uint32_t size, void *ret)
{
	struct vu_config c = { .offset = offset, .size = size }, got;
	uint32_t len = offsetof(struct vu_config, data) + size;

	if (size > sizeof(c.data))
		return -EINVAL;

	int r = front_ask(f, VU_GET_CONFIG, &c, len, &got, len);

	if (r < 0)
		return r;
	if (got.size != size || got.offset != offset)
		return -EPROTO;
	memcpy(ret, got.data, size);
	return 0;
}

int front_set_config(struct front *f, uint32_t offset, const void *data, uint32_t size)
{
	struct vu_config c = { .offset = offset, .size = size };

	if (size > sizeof(c.data))
		return -EINVAL;
	memcpy(c.data, data, size);
	return front_tell(f, VU_SET_CONFIG, &c, offsetof(struct vu_config, data) + size,
			  NULL, 0);
}

int front_set_backend_req_fd(struct front *f, int fd)
{
	return front_tell(f, VU_SET_BACKEND_REQ_FD, NULL, 0, &fd, 1);
}

int front_reset_device(struct front *f)
{
	return front_tell(f, VU_RESET_DEVICE, NULL, 0, NULL, 0);
}
