/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The message table: which vhost-user messages there are, and when each may
 * come with what. Checked in one place (server.c) before the handler runs.
 */
#ifndef VHOST_MSGTABLE_H
#define VHOST_MSGTABLE_H

#include <stdint.h>

#include "vhost/server.h"

/* What a handler returns besides -errno, which ends the session. */
enum msg_result {
	MSG_DONE = 0, /* acknowledged, if the front-end wants that */
	MSG_REPLIED = 1, /* the handler has sent the reply itself */
	MSG_REFUSED = 2, /* acknowledged as failed; the session goes on */
};

enum msg_state {
	ST_ANY = 0,
	ST_OWNED = 1 << 0, /* after SET_OWNER */
	ST_STOPPED = 1 << 1, /* the ring that it names is stopped or disabled */
};

#define MSG_NO_FEATURE 0xff

struct msg_row {
	const char *name;
	int (*fn)(struct server *s, struct msg *m);
	uint16_t size_min, size_max; /* of the payload, in bytes */
	uint8_t fds_min; /* descriptors that must come with it */
	uint8_t protocol; /* bit that must be agreed, or MSG_NO_FEATURE */
	uint32_t state;
};

/* The row of a request, or NULL. */
const struct msg_row *msg_row(uint32_t request);

/* on_feature.c */
int on_get_features(struct server *s, struct msg *m);
int on_set_features(struct server *s, struct msg *m);
int on_get_protocol_features(struct server *s, struct msg *m);
int on_set_protocol_features(struct server *s, struct msg *m);
int on_set_owner(struct server *s, struct msg *m);
int on_reset(struct server *s, struct msg *m);
int on_get_queue_num(struct server *s, struct msg *m);
int on_set_backend_req_fd(struct server *s, struct msg *m);
int on_get_config(struct server *s, struct msg *m);
int on_set_config(struct server *s, struct msg *m);
/* on_mem.c */
int on_set_mem_table(struct server *s, struct msg *m);
int on_add_mem_reg(struct server *s, struct msg *m);
int on_rem_mem_reg(struct server *s, struct msg *m);
int on_get_max_mem_slots(struct server *s, struct msg *m);
int on_set_log_base(struct server *s, struct msg *m);
int on_set_log_fd(struct server *s, struct msg *m);
/* on_ring.c */
int on_set_vring_num(struct server *s, struct msg *m);
int on_set_vring_addr(struct server *s, struct msg *m);
int on_set_vring_base(struct server *s, struct msg *m);
int on_get_vring_base(struct server *s, struct msg *m);
int on_set_vring_kick(struct server *s, struct msg *m);
int on_set_vring_call(struct server *s, struct msg *m);
int on_set_vring_err(struct server *s, struct msg *m);
int on_set_vring_enable(struct server *s, struct msg *m);

/* For the handlers: sends the reply and returns MSG_REPLIED, or -errno. */
int msg_reply(struct server *s, const struct msg *m, const void *payload,
	      uint32_t size);
int msg_reply_u64(struct server *s, const struct msg *m, uint64_t value);

/* Says in the log that guest memory is not shared, and what to do. -EPROTO. */
int msg_not_shared(void);

/* Takes descriptor @i of a message; -1 if there is none. */
int msg_take_fd(struct msg *m, size_t i);

#endif
