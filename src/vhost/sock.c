/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/sock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/fd.h"

void sock_init(struct sock *s, int fd)
{
	s->fd = fd;
	s->have = 0;
	s->msg.n_fds = 0;
}

void sock_next(struct sock *s)
{
	for (size_t i = 0; i < s->msg.n_fds; i++)
		(void)fd_close(&s->msg.fd[i]);
	s->msg.n_fds = 0;
	s->have = 0;
}

void sock_close(struct sock *s)
{
	sock_next(s);
	(void)fd_close(&s->fd);
}

static void take_fds(struct sock *s, struct msghdr *mh)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			fd_adopt(fd);
			if (s->msg.n_fds < SOCK_FDS_MAX)
				s->msg.fd[s->msg.n_fds++] = fd;
			else
				(void)fd_close(&fd);
		}
	}
}

/* syscalls: recvmsg */
static ssize_t receive(struct sock *s, void *to, size_t len)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(SOCK_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = to, .iov_len = len };
	struct msghdr mh = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(s->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return -errno;
	take_fds(s, &mh);
	return n == 0 ? -EPIPE : n;
}

int sock_receive(struct sock *s)
{
	for (;;) {
		size_t head = sizeof(s->msg.h), want = head;
		char *to = (char *)&s->msg.h + s->have;
		ssize_t n;

		if (s->have >= head) {
			if (s->msg.h.size > sizeof(s->msg.p))
				return -EMSGSIZE;
			want += s->msg.h.size;
			to = (char *)&s->msg.p + (s->have - head);
		}
		if (s->have >= head && s->have == want)
			return 1;
		n = receive(s, to, want - s->have);
		if (n < 0)
			return n == -EAGAIN || n == -EINTR ? 0 : (int)n;
		s->have += (size_t)n;
	}
}

/* syscalls: sendmsg */
int sock_reply(struct sock *s, uint32_t request, const void *payload,
	       uint32_t size)
{
	struct vhost_user_header h = {
		.request = request,
		.flags = VHOST_USER_VERSION | VHOST_USER_REPLY,
		.size = size,
	};
	struct iovec iov[2] = {
		{ .iov_base = &h, .iov_len = sizeof(h) },
		{ .iov_base = (void *)payload, .iov_len = size },
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = size ? 2 : 1 };
	ssize_t n = sendmsg(s->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(h) + size ? 0 : -EAGAIN;
}
