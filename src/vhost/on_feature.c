/* SPDX-License-Identifier: BSD-3-Clause */
/* Features, ownership, configuration space: what the two sides agree on. */
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/log.h"
#include "vhost/msgtable.h"
#include "wire/vring.h"

#define BIT(n) (1ULL << (n))

uint64_t server_features(const struct server *s)
{
	return BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) |
	       BIT(VIRTIO_RING_F_INDIRECT_DESC) | BIT(VHOST_F_LOG_ALL_BIT) |
	       BIT(VHOST_USER_F_PROTOCOL_FEATURES_BIT);
}

uint64_t server_protocol_features(const struct server *s)
{
	uint64_t bits = BIT(VHOST_USER_PROTOCOL_F_MQ) |
			BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) |
			BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
			BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
			BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
			BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);

	/* The configuration space is the front-end's own affair, unless this
	 * side knows the tag. */
	if (s->cfg->tag)
		bits |= BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	return bits;
}

int on_get_features(struct server *s, struct msg *m)
{
	return msg_reply_u64(s, m, server_features(s));
}

static void enable_all(struct device *dev)
{
	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX; i++)
		if (dev->crew[i])
			dev->queue_record[i].enabled = 1;
}

/* May come while rings run: a migration turns the dirty log on and off so. */
int on_set_features(struct server *s, struct msg *m)
{
	struct device *dev = s->dev;

	if (m->p.u64 & ~server_features(s)) {
		log_error("front-end: SET_FEATURES with features that were not offered (0x%llx)",
			  (unsigned long long)(m->p.u64 & ~server_features(s)));
		return -EPROTO;
	}
	device_quiesce(dev);
	s->record->features = m->p.u64;
	dev->event_idx = m->p.u64 & BIT(VIRTIO_RING_F_EVENT_IDX);
	dev->dirty.enabled = m->p.u64 & BIT(VHOST_F_LOG_ALL_BIT);
	/* "Rings start enabled" where SET_VRING_ENABLE is unknown. */
	if (!(m->p.u64 & BIT(VHOST_USER_F_PROTOCOL_FEATURES_BIT)))
		enable_all(dev);
	device_resume(dev);
	return MSG_DONE;
}

int on_get_protocol_features(struct server *s, struct msg *m)
{
	return msg_reply_u64(s, m, server_protocol_features(s));
}

int on_set_protocol_features(struct server *s, struct msg *m)
{
	if (m->p.u64 & ~server_protocol_features(s)) {
		log_error("front-end: SET_PROTOCOL_FEATURES with features that were not offered (0x%llx)",
			  (unsigned long long)(m->p.u64 &
					       ~server_protocol_features(s)));
		return -EPROTO;
	}
	s->record->protocol = m->p.u64;
	return MSG_DONE;
}

int on_set_owner(struct server *s, struct msg *m)
{
	s->record->owned = 1;
	return MSG_DONE;
}

/* RESET_DEVICE, and RESET_OWNER, which it replaces. The owner stays. */
int on_reset(struct server *s, struct msg *m)
{
	device_reset(s->dev);
	return MSG_DONE;
}

int on_get_queue_num(struct server *s, struct msg *m)
{
	return msg_reply_u64(s, m, VHOST_USER_QUEUES_MAX);
}

/* Nothing is sent on it yet. It is held, as a front-end takes its end for that
 * of the daemon. */
int on_set_backend_req_fd(struct server *s, struct msg *m)
{
	int fd = msg_take_fd(m, 0);

	queue_set_fd(&s->record->backend_fd, &fd);
	return MSG_DONE;
}

int on_get_config(struct server *s, struct msg *m)
{
	struct vhost_user_config *c = &m->p.config;
	struct wire_virtio_fs_config fs = { 0 };
	uint32_t offset = c->offset, size = c->size;

	if (size > sizeof(c->data) || offset >= sizeof(fs))
		return msg_reply(s, m, NULL, 0); /* how this message fails */
	memcpy(fs.tag, s->cfg->tag, strnlen(s->cfg->tag, sizeof(fs.tag)));
	fs.num_request_queues = htole32(1);
	memset(c->data, 0, sizeof(c->data));
	memcpy(c->data, (const char *)&fs + offset,
	       min_size(size, sizeof(fs) - offset));
	return msg_reply(s, m, c,
			 (uint32_t)offsetof(struct vhost_user_config, data) +
				 size);
}

/* VIRTIO 1.2, 5.11.4: the driver may write none of the fields. */
int on_set_config(struct server *s, struct msg *m)
{
	return MSG_REFUSED;
}
