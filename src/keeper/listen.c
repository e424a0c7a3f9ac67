/* SPDX-License-Identifier: BSD-3-Clause */
#include "keeper/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define PID_SUFFIX ".pid"

struct pid_path {
	char s[sizeof(((struct sockaddr_un *)0)->sun_path) + sizeof(PID_SUFFIX)];
};

static struct pid_path pid_path(const char *socket_path)
{
	struct pid_path p;

	snprintf(p.s, sizeof(p.s), "%s%s", socket_path, PID_SUFFIX);
	return p;
}

/* The file that has the lock is still the one that has the name: the daemon
 * before us removes it on its way out. */
static bool still_there(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int lock_pid_file(const char *path)
{
	for (;;) {
		_cleanup_close_ int fd = fd_openat(AT_FDCWD, path,
						   O_RDWR | O_CREAT | O_NOFOLLOW,
						   0644);

		if (fd < 0)
			return log_err(fd, "cannot open %s", path);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno != EWOULDBLOCK)
				return log_err(-errno, "cannot lock %s", path);
			log_error("%s is locked: another virtiofsd serves this socket",
				  path);
			return -EBUSY;
		}
		if (still_there(fd, path))
			return fd_take(&fd);
	}
}

static int write_pid(int fd, const char *path)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 || write(fd, text, (size_t)n) != n)
		return log_err(errno ? -errno : -EIO, "cannot write %s", path);
	return 0;
}

static int set_group(const char *path, const char *name)
{
	struct group *gr = getgrnam(name);

	if (!gr) {
		log_error("no group is called %s (--socket-group)", name);
		return -EINVAL;
	}
	if (chown(path, (uid_t)-1, gr->gr_gid) < 0)
		return log_err(-errno, "cannot give %s to the group %s", path,
			       name);
	return 0;
}

static int remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : log_err(-errno, "%s", path);
	if (!S_ISSOCK(st.st_mode)) {
		log_error("%s exists and is not a socket", path);
		return -EEXIST;
	}
	return unlink(path) < 0 ? log_err(-errno, "cannot remove %s", path) : 0;
}

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	strcpy(un.sun_path, path); /* its length was checked */
	return un;
}

static int bind_path(int fd, const char *path, const char *group)
{
	struct sockaddr_un un = address(path);
	mode_t old = umask(group ? 0117 : 0177);
	int r;

	r = bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ? -errno : 0;
	umask(old);
	if (r < 0)
		return log_err(r, "cannot bind to %s", path);
	if (group)
		r = set_group(path, group);
	if (r == 0 && listen(fd, 1) < 0)
		r = log_err(-errno, "cannot listen on %s", path);
	if (r < 0)
		unlink(path);
	return r;
}

/* A socket that listens there. @group: who may connect besides this user, or NULL. */
static int make_socket(const char *path, const char *group, int flags)
{
	_cleanup_close_ int fd = socket(AF_UNIX,
					SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int r;

	if (fd < 0)
		return log_err(-errno, "socket");
	r = bind_path(fd_adopt(fd), path, group);
	return r < 0 ? r : fd_take(&fd);
}

static int open_path(const struct config *cfg, struct listener *ret)
{
	struct pid_path pid = pid_path(cfg->socket_path);
	_cleanup_close_ int fd = -1, pid_fd = -1;
	int r;

	r = lock_pid_file(pid.s);
	if (r < 0)
		return r;
	pid_fd = r;
	r = remove_stale(cfg->socket_path);
	if (r == 0)
		r = fd = make_socket(cfg->socket_path, cfg->socket_group, 0);
	if (r >= 0)
		r = write_pid(pid_fd, pid.s);
	if (r < 0) {
		unlink(pid.s);
		return r;
	}
	ret->fd = fd_take(&fd);
	ret->pid_fd = fd_take(&pid_fd);
	ret->path = cfg->socket_path;
	return 0;
}

static int sock_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static int open_inherited(const struct config *cfg, struct listener *ret)
{
	int fd = cfg->listen_fd;

	if (sock_option(fd, SO_DOMAIN) != AF_UNIX ||
	    sock_option(fd, SO_ACCEPTCONN) != 1) {
		log_error("descriptor %d, which was inherited, is not a listening Unix socket",
			  fd);
		return -EINVAL;
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return log_err(-errno, "descriptor %d", fd);
	ret->fd = fd_adopt(fd);
	return 0;
}

/* Another daemon's socket is not taken away from it. */
static int remove_unanswered(const char *path)
{
	struct sockaddr_un un = address(path);
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return log_err(-errno, "socket");
	fd_adopt(fd);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		return remove_stale(path);
	log_error("%s: somebody answers there already", path);
	return -EADDRINUSE;
}

static int open_control(const char *path, struct listener *ret)
{
	int r = remove_unanswered(path);

	if (r == 0)
		r = make_socket(path, NULL, SOCK_NONBLOCK);
	if (r < 0)
		return r;
	ret->control_fd = r;
	ret->control_path = path;
	return 0;
}

int listener_open(const struct config *cfg, struct listener *ret)
{
	int r;

	*ret = (struct listener){ .fd = -1, .pid_fd = -1, .control_fd = -1 };
	r = cfg->socket_path ? open_path(cfg, ret) : open_inherited(cfg, ret);
	if (r == 0 && cfg->control_socket)
		r = open_control(cfg->control_socket, ret);
	if (r < 0)
		listener_close(ret);
	return r;
}

/* syscalls(launcher): unlink unlinkat close */
void listener_close(struct listener *l)
{
	if (l->path) {
		struct pid_path pid = pid_path(l->path);

		unlink(l->path);
		unlink(pid.s);
	}
	if (l->control_path)
		unlink(l->control_path);
	(void)fd_close(&l->fd);
	(void)fd_close(&l->pid_fd);
	(void)fd_close(&l->control_fd);
}
