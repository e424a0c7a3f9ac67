/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user socket: messages with a header and, perhaps, descriptors.
 *
 * Never blocks: a front-end that sends half a message and waits keeps nobody
 * from anything but itself.
 */
#ifndef VHOST_SOCK_H
#define VHOST_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/vhost_user.h"

#define SOCK_PAYLOAD_MAX 4096U
/* As many as a front-end can send in one message (SCM_MAX_FD of Linux). */
#define SOCK_FDS_MAX 253U

struct msg {
	struct vhost_user_header h;
	union {
		uint64_t u64;
		struct vhost_user_vring_state state;
		struct vhost_user_vring_addr addr;
		struct vhost_user_mem_table mem;
		struct vhost_user_single_region region;
		struct vhost_user_log log;
		struct vhost_user_config config;
		uint8_t bytes[SOCK_PAYLOAD_MAX];
	} p;
	int fd[SOCK_FDS_MAX]; /* owned; -1 once taken */
	size_t n_fds;
};

struct sock {
	int fd;
	size_t have; /* bytes of the message being received */
	struct msg msg;
};

void sock_init(struct sock *s, int fd);

/* Closes the socket and what a message still holds. */
void sock_close(struct sock *s);

/*
 * Goes on receiving. Returns 1 when s->msg is complete (and stays so until
 * sock_next()), 0 when there is no more for now, -EPIPE at the end of the
 * stream, -EMSGSIZE for a payload that no message has, or -errno.
 */
int sock_receive(struct sock *s);

/* Closes the descriptors that nobody has taken from the message. */
void sock_next(struct sock *s);

/* Answers request @request with @size bytes. 0 or -errno; -EAGAIN if the front-end
 * does not read what it is sent. */
int sock_reply(struct sock *s, uint32_t request, const void *payload,
	       uint32_t size);

#endif
