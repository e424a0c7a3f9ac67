/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/recall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/reserve.h"

/* A bit for each number that a descriptor can have; untouched pages are free. */
#define SET_SIZE ((size_t)(INT_MAX / 8) + 1)

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

int recall_begin(void)
{
	void *p = reserve(SET_SIZE);

	if (!p)
		return -ENOMEM;
	fd_named = p;
	fd_count_reset();
	return 0;
}

bool recall_runs(void)
{
	return fd_named;
}

static bool is_named(int fd)
{
	return fd_named[fd / 8] >> (fd % 8) & 1;
}

/* syscalls: fcntl:F_GETFD */
int recall_fd(int fd)
{
	ASSERT(fd_named);
	if (fd < 0 || is_named(fd) || fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	fd_adopt(fd);
	return 0;
}

/* The number that a name in /proc/self/fd is, or -1. */
static int number_of(const char *name)
{
	long n = 0;

	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return -1;
		n = n * 10 + (*name - '0');
	}
	return n <= INT_MAX ? (int)n : -1;
}

/* Calls @fn for each open descriptor but the one that this takes. It may close
 * it: the kernel looks for the next number each time. syscalls: getdents64 */
static int for_each_fd(int at_fd, const char *path,
		       int (*fn)(void *ctx, int fd), void *ctx)
{
	_cleanup_close_ int dir = fd_openat(at_fd, path,
					    O_RDONLY | O_DIRECTORY, 0);
	_Alignas(struct linux_dirent64) char buf[4096];
	long n = dir, r = 0;

	while (r >= 0 && n >= 0) {
		n = syscall(SYS_getdents64, dir, buf, sizeof(buf));
		if (n <= 0)
			return n < 0 ? -errno : 0;
		for (long at = 0; at < n && r >= 0;) {
			const struct linux_dirent64 *d = (const void *)(buf + at);
			int fd = number_of(d->d_name);

			at += d->d_reclen;
			if (fd >= 0 && fd != dir)
				r = fn(ctx, fd);
		}
	}
	return (int)(n < 0 ? n : r);
}

static int close_unnamed(void *ctx, int fd)
{
	int *n = ctx;

	if (is_named(fd))
		return 0;
	fd = fd_adopt(fd);
	(void)fd_close(&fd);
	(*n)++;
	return 0;
}

/* syscalls: munmap */
int recall_end(void)
{
	int n = 0, r = for_each_fd(AT_FDCWD, ".", close_unnamed, &n);

	munmap(fd_named, SET_SIZE);
	fd_named = NULL;
	return r < 0 ? r : n;
}

struct list {
	int *fd;
	int n, room;
};

static int append(void *ctx, int fd)
{
	struct list *l = ctx;

	if (l->n == l->room) {
		int room = l->room * 2 + 16;
		int *more = realloc(l->fd, (size_t)room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->fd = more;
		l->room = room;
	}
	l->fd[l->n++] = fd;
	return 0;
}

int recall_list(int proc_fd, int **ret_fds)
{
	struct list l = { 0 };
	int r = for_each_fd(proc_fd, "self/fd", append, &l);

	if (r < 0) {
		free(l.fd);
		return r;
	}
	*ret_fds = l.fd;
	return l.n;
}
