/* SPDX-License-Identifier: BSD-3-Clause */
/* Fifos, sockets and device nodes: they work in the guest alone, and never on the host. */
#include <poll.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "posix.h"

static const char *const devices[] = { "null", "zero", "big", "odd", "block", "none" };

CHECK_EACH(special_device, devices)
{
	static const struct {
		mode_t type;
		unsigned int major, minor;
	} dev[] = {
		{ S_IFCHR, 1, 3 }, { S_IFCHR, 1, 5 }, { S_IFCHR, 511, 262143 }, { S_IFCHR, 259, 300 },
		{ S_IFBLK, 259, 1 }, { S_IFCHR, 0, 0 },
	};
	struct stat st;

	OK(mknod("d", dev[nr].type | 0640, makedev(dev[nr].major, dev[nr].minor)));
	OK(lstat("d", &st));
	YES((st.st_mode & S_IFMT) == dev[nr].type);
	IS(major(st.st_rdev), dev[nr].major);
	IS(minor(st.st_rdev), dev[nr].minor);
	IS(st.st_size, 0);
	IS(mode("d"), 0640);
	OK(rename("d", "e"));
	OK(link("e", "f"));
	IS(nlink("f"), 2);
	OK(chmod("f", 0600));
	OK(chown("f", 5, 6));
	IS(uid("e"), 5);
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	NO(truncate("f", 0), EINVAL);
	NO(mknod("f", S_IFREG, 0), EEXIST);
}

CHECK(special_device_opened)
{
	char buf[4];
	int fd;

	OK(mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
	NEED(fd = open("zero", O_RDWR));
	IS(read(fd, buf, 4), 4);
	IS(buf[0] | buf[3], 0);
	IS(write(fd, "x", 1), 1);
	OK(mknod("none", S_IFCHR | 0666, makedev(240, 77)));
	NO(open("none", O_RDONLY), ENXIO);
}

CHECK(special_fifo)
{
	char buf[16];
	int r, w;

	OK(mkfifo("p", 0644));
	NO(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	OK(r = open("p", O_RDONLY | O_NONBLOCK));
	IS(read(r, buf, 1), 0);
	OK(w = open("p", O_WRONLY | O_NONBLOCK));
	NO(read(r, buf, 1), EAGAIN);
	IS(write(w, "through", 7), 7);
	IS(read(r, buf, 16), 7);
	NO(lseek(r, 0, SEEK_SET), ESPIPE);
	OK(unlink("p"));
	IS(write(w, "on", 2), 2);
	IS(read(r, buf, 16), 2);
	OK(close(w));
	IS(read(r, buf, 1), 0);
	IS(fd_nlink(r), 0);
}

CHECK(special_fifo_between_processes)
{
	char buf[16];
	int fd;
	pid_t pid;

	OK(mkfifo("p", 0644));
	pid = fork();
	if (pid == 0) {
		fd = open("p", O_WRONLY);
		_exit(write(fd, "child says", 10) == 10 ? 0 : 1);
	}
	OK(fd = open("p", O_RDONLY));
	IS(read(fd, buf, 16), 10);
	OK(waitpid(pid, NULL, 0));
	IS(size("p"), 0);
}

CHECK(special_fifo_rights)
{
	OK(mkfifo("p", 0622));
	OK(chmod("p", 0622));
	AS(USER, USER) {
		NO(open("p", O_RDONLY | O_NONBLOCK), EACCES);
		NO(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	}
	OK(mkfifo("q", 0644));
	NO(mkfifo("q", 0644), EEXIST);
	NO(open("p", O_RDONLY | O_CREAT | O_EXCL | O_NONBLOCK, 0644), EEXIST);
	OK(open("p", O_RDWR | O_CREAT | O_NONBLOCK, 0644));
	OK(open("p", O_RDWR | O_TRUNC | O_NONBLOCK));
}

CHECK(special_socket)
{
	struct sockaddr_un a = { AF_UNIX, "sock" };
	char buf[8];
	int s, c, n;

	s = socket(AF_UNIX, SOCK_STREAM, 0);
	OK(bind(s, (struct sockaddr *)&a, sizeof(a)));
	TEXT_IS(kind("sock"), "socket");
	GIVES(mode("sock"));
	OK(listen(s, 1));
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	OK(n = accept(s, NULL, NULL));
	IS(write(c, "hello", 5), 5);
	IS(read(n, buf, 8), 5);
	NO(bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	NO(open("sock", O_RDWR), ENXIO);
	OK(rename("sock", "sock2"));
	strcpy(a.sun_path, "sock2");
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	OK(unlink("sock2"));
	NO(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)), ENOENT);
}

CHECK(special_socket_rights)
{
	struct sockaddr_un a = { AF_UNIX, "d/sock" };
	int s;

	dir("d", 0755);
	s = socket(AF_UNIX, SOCK_DGRAM, 0);
	OK(bind(s, (struct sockaddr *)&a, sizeof(a)));
	OK(chmod("d/sock", 0700));
	AS(USER, USER)
		NO(connect(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&a, sizeof(a)), EACCES);
	OK(chmod("d/sock", 0777));
	AS(USER, USER)
		OK(connect(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&a, sizeof(a)));
	OK(mknod("plain", S_IFSOCK | 0777, 0));
	strcpy(a.sun_path, "plain");
	NO(connect(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
}

CHECK(special_socket_by_user)
{
	struct sockaddr_un a = { AF_UNIX, "open/sock" };

	dir("open", 0777);
	AS(USER, USER) {
		umask(027);
		OK(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&a, sizeof(a)));
	}
	IS(uid("open/sock"), USER);
	IS(mode("open/sock"), 0750);
}

CHECK(special_poll)
{
	struct pollfd p = { .events = POLLIN | POLLOUT };

	put("f", "");
	p.fd = opened("f", O_RDWR);
	IS(poll(&p, 1, 0), 1);
	IS(p.revents, POLLIN | POLLOUT);
	p.fd = opened(".", O_RDONLY);
	IS(poll(&p, 1, 0), 1);
}
