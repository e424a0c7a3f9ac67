/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * idmount FROM TO FILE-ID MOUNT-ID COUNT - an idmapped mount of FROM at TO
 *
 * Users and groups FILE-ID ... of the files are MOUNT-ID ... below TO. The mount(8) of the
 * guest is older than its X-mount.idmap.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void write_map(pid_t pid, const char *name, char **arg)
{
	char path[64], line[100];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	snprintf(line, sizeof(line), "%s %s %s", arg[0], arg[1], arg[2]);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		err(1, "%s", path);
	close(fd);
}

/* A user namespace that lives as long as its descriptor. */
static int make_userns(char **arg)
{
	int up[2], fd;
	char path[64], c;
	pid_t pid;

	if (pipe(up) < 0)
		err(1, "pipe");
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) < 0)
			err(1, "unshare");
		if (write(up[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(up[1]);
	if (read(up[0], &c, 1) != 1)
		errx(1, "no user namespace");
	write_map(pid, "uid_map", arg);
	write_map(pid, "gid_map", arg);
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return fd;
}

int main(int argc, char **argv)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int tree;

	if (argc != 6)
		errx(2, "usage: idmount FROM TO FILE-ID MOUNT-ID COUNT");
	attr.userns_fd = make_userns(argv + 3);
	tree = (int)syscall(SYS_open_tree, AT_FDCWD, argv[1], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		err(1, "%s", argv[1]);
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0)
		err(1, "idmapped mount");
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, argv[2], MOVE_MOUNT_F_EMPTY_PATH) < 0)
		err(1, "%s", argv[2]);
	return 0;
}
