/* SPDX-License-Identifier: BSD-3-Clause */
#include "keeper/manager.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* The first of the descriptors that are passed. */
#define FIRST_FD 3

/* What was meant for another process, which has started this one, is not taken. */
static int socket_passed(int *ret_fd)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	char self[16];

	*ret_fd = -1;
	snprintf(self, sizeof(self), "%d", (int)getpid());
	if (!pid || !n || strcmp(pid, self) != 0)
		return 0;
	if (strcmp(n, "1") != 0) {
		log_error("the service manager passes %s sockets: one is wanted", n);
		return -EINVAL;
	}
	*ret_fd = FIRST_FD;
	return 0;
}

int manager_socket(int *ret_fd)
{
	int r = socket_passed(ret_fd);

	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return r;
}

/* syscalls(start): socket:AF_UNIX connect */
static int connect_to(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len = strlen(name);
	_cleanup_close_ int fd = -1;

	if ((name[0] != '/' && name[0] != '@') || len >= sizeof(un.sun_path))
		return -EINVAL;
	memcpy(un.sun_path, name, len);
	if (name[0] == '@') /* an abstract one; its name ends with its length */
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	fd_adopt(fd);
	if (connect(fd, (struct sockaddr *)&un,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return -errno;
	return fd_take(&fd);
}

int manager_connect(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	bool waits = name && *name;
	int fd = waits ? connect_to(name) : -1;

	if (waits && fd < 0)
		log_warn("nobody hears at NOTIFY_SOCKET=%s that the daemon is ready: %s",
			 name, strerror(-fd));
	unsetenv("NOTIFY_SOCKET");
	return fd < 0 ? -1 : fd;
}

/* syscalls(launcher): write close */
void manager_ready(int *fd)
{
	static const char ready[] = "READY=1";

	if (*fd >= 0 && write(*fd, ready, strlen(ready)) < 0)
		log_warn("cannot tell the service manager that the daemon is ready: %s",
			 strerror(errno));
	(void)fd_close(fd);
}
