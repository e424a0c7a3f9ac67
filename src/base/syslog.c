/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/syslog.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syslog.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"

static int fd = -1;
static int pid; /* as it is outside, whatever namespace sends */

/* syscalls(syslog): connect */
static int dial(void)
{
	static const struct sockaddr_un where = {
		.sun_family = AF_UNIX,
		.sun_path = "/dev/log",
	};

	return connect(fd, (const struct sockaddr *)&where, sizeof(where));
}

/* syscalls(start): socket:AF_UNIX */
void syslog_open(void)
{
	pid = (int)getpid();
	if (fd >= 0)
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	fd_adopt(fd);
	(void)dial();
}

/* A syslog that was started anew is found again where there is a way to it.
 * syscalls(syslog): sendmsg */
void syslog_send(int priority, const char *line, size_t len)
{
	char head[48];
	int n = snprintf(head, sizeof(head), "<%d>virtiofsd[%d]: ",
			 LOG_DAEMON | priority, pid);
	struct iovec iov[2] = { { head, (size_t)n }, { (char *)line, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	if (fd < 0 || sendmsg(fd, &msg, MSG_NOSIGNAL) >= 0)
		return;
	if ((errno == ECONNREFUSED || errno == ENOTCONN) && dial() == 0 &&
	    sendmsg(fd, &msg, MSG_NOSIGNAL) < 0) {
		/* Nobody to tell. */
	}
}

int syslog_fd(void)
{
	return fd;
}
