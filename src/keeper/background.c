/* SPDX-License-Identifier: BSD-3-Clause */
#include "keeper/background.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "keeper/keeper.h"

static int null_fd = -1;

/* The connection says that it is ready, or ends with it. */
static int wait_for(pid_t child, int fd)
{
	int status;
	char byte;

	if (read(fd, &byte, 1) == 1)
		return STATUS_OK;
	if (waitpid(child, &status, 0) == child && WIFEXITED(status))
		return WEXITSTATUS(status);
	return STATUS_FAILED;
}

int background_begin(int *ret_fd, int *ret_status)
{
	int fds[2], r = fd_socketpair(fds);
	pid_t child = r < 0 ? -1 : fork();

	if (r == 0 && child < 0)
		r = -errno;
	if (r < 0)
		return log_err(r, "--daemonize");
	if (child > 0) {
		(void)fd_close(&fds[1]);
		*ret_status = wait_for(child, fds[0]);
		(void)fd_close(&fds[0]);
		return 1;
	}
	(void)fd_close(&fds[0]);
	setsid();
	*ret_fd = fds[1];
	return 0;
}

int background_prepare(void)
{
	null_fd = fd_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
	return null_fd < 0 ? log_err(null_fd, "/dev/null") : 0;
}

/* syscalls(keeper): dup2 dup3 close
 * syscalls(launcher): dup2 dup3 close */
void background_leave(void)
{
	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		dup2(null_fd, i);
	log_to_syslog(true);
}

/* syscalls(launcher): write close */
void background_ready(int *fd)
{
	background_leave();
	if (write(*fd, "", 1) < 0)
		log_debug("whoever started it has not waited");
	(void)fd_close(fd);
}
