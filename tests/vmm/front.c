/* SPDX-License-Identifier: BSD-3-Clause */
/* The vhost-user socket, front-end side: bytes and descriptors out, messages in. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "front.h"
#include "wait.h"

void front_attach(struct front *f, int sock)
{
	*f = (struct front){ .sock = sock, .timeout_ms = wait_scaled(20000) };
}

int front_connect(struct front *f, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);

	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (s < 0)
		return -errno;
	if (connect(s, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int r = -errno;

		close(s);
		return r;
	}
	front_attach(f, s);
	return 0;
}

void front_close(struct front *f)
{
	if (f->sock >= 0)
		close(f->sock);
	f->sock = -1;
}

/* Send all of iov; the descriptors go with the first byte. */
static int send_all(int sock, struct iovec *iov, size_t niov, const int *fds,
		    unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FRONT_FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = niov };

	if (nfds > FRONT_FDS_MAX)
		return -EINVAL;
	if (nfds) {
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));

		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	while (mh.msg_iovlen) {
		ssize_t n = sendmsg(sock, &mh, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE ? -ECONNRESET : -errno;
		mh.msg_control = NULL;
		mh.msg_controllen = 0;
		while (mh.msg_iovlen && (size_t)n >= mh.msg_iov->iov_len) {
			n -= mh.msg_iov->iov_len;
			mh.msg_iov++;
			mh.msg_iovlen--;
		}
		if (mh.msg_iovlen) {
			mh.msg_iov->iov_base = (char *)mh.msg_iov->iov_base + n;
			mh.msg_iov->iov_len -= n;
		}
	}
	return 0;
}

int front_send_bytes(struct front *f, const void *bytes, size_t len, const int *fds,
		     unsigned int nfds)
{
	struct iovec iov = { (void *)bytes, len };

	return send_all(f->sock, &iov, 1, fds, nfds);
}

int front_send(struct front *f, uint32_t request, uint32_t flags, const void *payload,
	       uint32_t size, const int *fds, unsigned int nfds)
{
	struct vu_header h = { .request = request, .flags = flags | VU_VERSION, .size = size };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)payload, size } };

	return send_all(f->sock, iov, size ? 2 : 1, fds, nfds);
}

static int wait_readable(struct front *f, int64_t deadline)
{
	struct pollfd p = { .fd = f->sock, .events = POLLIN };
	int64_t left = deadline - wait_now_ms();
	int r = left > 0 ? poll(&p, 1, left) : 0;

	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	return r ? 0 : -ETIMEDOUT;
}

static void take_fds(struct msghdr *mh, struct front_msg *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;

		unsigned int n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		memcpy(msg->fds, CMSG_DATA(c), n * sizeof(int));
		msg->nfds = n;
	}
}

/* Receive exactly len bytes; 0, or -ECONNRESET at the end of the stream. */
static int recv_all(struct front *f, void *buf, size_t len, struct front_msg *msg,
		    int64_t deadline)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(FRONT_FDS_MAX * sizeof(int))];
	} control;

	for (size_t at = 0; at < len;) {
		struct iovec iov = { (char *)buf + at, len - at };
		struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1,
				     .msg_control = &control, .msg_controllen = sizeof(control) };
		int r = wait_readable(f, deadline);

		if (r < 0)
			return r;

		ssize_t n = recvmsg(f->sock, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ECONNRESET;
		take_fds(&mh, msg);
		at += n;
	}
	return 0;
}

int front_recv(struct front *f, struct front_msg *ret)
{
	int64_t deadline = wait_now_ms() + f->timeout_ms;

	ret->nfds = 0;

	int r = recv_all(f, &ret->head, sizeof(ret->head), ret, deadline);

	if (r < 0)
		return r;
	if (ret->head.size > sizeof(ret->payload))
		return -EPROTO;
	return recv_all(f, ret->payload, ret->head.size, ret, deadline);
}

bool front_hung_up(struct front *f, int timeout_ms)
{
	int64_t deadline = wait_now_ms() + timeout_ms;
	char buf[4096];

	for (;;) {
		ssize_t n = recv(f->sock, buf, sizeof(buf), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
		if (n > 0)
			continue;
		if (errno != EAGAIN && errno != EINTR)
			return false;
		if (wait_readable(f, deadline) < 0)
			return false;
	}
}
