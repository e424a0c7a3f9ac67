/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_FRONT_H
#define VMM_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mem.h"
#include "proto.h"

#define FRONT_PAYLOAD_MAX	65536
#define FRONT_FDS_MAX		253	/* the kernel's own bound (SCM_MAX_FD) */

/*
 * The front-end's end of one vhost-user socket. With `ack` set (front_negotiate() sets it when
 * REPLY_ACK was agreed), every message that has no reply of its own asks for an acknowledgement
 * and waits for it.
 *
 * All functions return 0 or -errno: -EREMOTEIO when the back-end said no (a non-zero
 * acknowledgement), -ECONNRESET when it hung up, -ETIMEDOUT, -EPROTO when its answer is not one.
 */
struct front {
	int sock;
	bool ack;
	int timeout_ms;
	uint64_t features;		/* as offered, then as agreed */
	uint64_t protocol_features;
};

struct front_msg {
	struct vu_header head;
	uint8_t payload[FRONT_PAYLOAD_MAX];
	int fds[FRONT_FDS_MAX];
	unsigned int nfds;
};

/* --- transport (front.c): nothing is checked, anything can be sent --- */

int front_connect(struct front *f, const char *path);
void front_attach(struct front *f, int sock);
void front_close(struct front *f);

int front_send_bytes(struct front *f, const void *bytes, size_t len,
		     const int *fds, unsigned int nfds);
int front_send(struct front *f, uint32_t request, uint32_t flags, const void *payload,
	       uint32_t size, const int *fds, unsigned int nfds);
/* The caller closes what is in ret->fds. */
int front_recv(struct front *f, struct front_msg *ret);
/* front_hung_up() - true once the back-end has closed the socket (waits up to timeout_ms) */
bool front_hung_up(struct front *f, int timeout_ms);

/* --- messages (front_msg.c) --- */

/* front_tell() - a message without a reply of its own, acknowledged if that was agreed */
int front_tell(struct front *f, uint32_t request, const void *payload, uint32_t size,
	       const int *fds, unsigned int nfds);
/* front_ask() - a message with a reply of exactly ret_size bytes */
int front_ask(struct front *f, uint32_t request, const void *payload, uint32_t size,
	      void *ret, uint32_t ret_size);
int front_ask_u64(struct front *f, uint32_t request, uint64_t *ret);
int front_tell_u64(struct front *f, uint32_t request, uint64_t value);

/* front_negotiate() - agree on what both sides have of the two sets; f->features and
 * f->protocol_features say what that was. Sends SET_OWNER too. */
int front_negotiate(struct front *f, uint64_t features, uint64_t protocol_features);

int front_set_features(struct front *f, uint64_t features);
int front_set_mem_table(struct front *f, const struct mem *m);
int front_add_mem_reg(struct front *f, const struct mem *m, unsigned int region);
int front_rem_mem_reg(struct front *f, const struct mem *m, unsigned int region);

int front_set_vring_num(struct front *f, unsigned int index, unsigned int num);
int front_set_vring_base(struct front *f, unsigned int index, unsigned int base);
int front_get_vring_base(struct front *f, unsigned int index, unsigned int *ret_base);
int front_set_vring_addr(struct front *f, const struct vu_addr *addr);
/* request: VU_SET_VRING_KICK, CALL or ERR; fd -1: none comes with it */
int front_set_vring_fd(struct front *f, uint32_t request, unsigned int index, int fd);
int front_set_vring_enable(struct front *f, unsigned int index, bool enable);

int front_set_log_base(struct front *f, int fd, uint64_t size, uint64_t offset);
int front_set_log_fd(struct front *f, int fd);
int front_get_config(struct front *f, uint32_t offset, uint32_t size, void *ret);
int front_set_config(struct front *f, uint32_t offset, const void *data, uint32_t size);
int front_set_backend_req_fd(struct front *f, int fd);
int front_reset_device(struct front *f);

#endif
