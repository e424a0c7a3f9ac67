/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The only place where descriptors are opened and closed.
 *
 * Keeper and worker share one descriptor table, so that open files outlive a
 * worker. That makes descriptors state: each one is opened here, then recorded
 * in the arena; cleared there, then closed here.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/scope.h"

/*
 * openat(2) with O_CLOEXEC. Returns the descriptor or -errno.
 * Any thread.
 */
int fd_openat(int dirfd, const char *path, int flags, mode_t mode);

/*
 * The same for what a guest asks for, as it may ask for ever: -ENFILE once only
 * those are left that the daemon itself may need (fd_set_reserve()).
 */
int fd_open_for_guest(int dirfd, const char *path, int flags, mode_t mode);

/* The same by a file handle (open_by_handle_at(2)). */
struct file_handle;
int fd_open_handle_for_guest(int mount_fd, struct file_handle *handle,
			     int flags);

/* Reads RLIMIT_NOFILE and sets a part of it aside. Before the second thread. */
void fd_set_reserve(void);

/* How many descriptors there may be before guests get -ENFILE. */
long fd_guest_limit(void);

/*
 * Whom to ask for descriptors when that many are open: @relieve closes some
 * that it can do without and says whether it did. Called with whatever locks
 * its caller holds. NULL: nobody. While no other thread opens anything.
 */
void fd_set_relief(bool (*relieve)(void *ctx), void *ctx);

/* Takes a descriptor that something else made (a socket call, SCM_RIGHTS). */
int fd_adopt(int fd);

/* A new eventfd (EFD_CLOEXEC), or -errno. */
int fd_eventfd(unsigned int initial, int flags);

/* A signalfd for the set, whose signals are blocked; or -errno. */
int fd_signalfd(const sigset_t *set);

/* Two connected Unix stream sockets. 0 or -errno. */
int fd_socketpair(int ret[2]);

/* A duplicate of @fd for a guest (F_DUPFD_CLOEXEC), or -errno. */
int fd_dup(int fd);

/*
 * Closes *fd if it is one, sets it to -1, keeps errno. Returns what close(2)
 * said, as -errno: a FLUSH has to know it. EINTR is no reason to try again,
 * since Linux has freed the number by then.
 */
int fd_close(int *fd);

/* Hands the descriptor over: returns it, leaves -1. */
static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* How many descriptors were opened or taken here and are not closed yet. */
long fd_count(void);

/* For base/recall.c: what was opened by another process is not counted. While
 * there is a set of numbers, what is opened or taken here is noted there. */
void fd_count_reset(void);
extern uint8_t *fd_named;

/* A descriptor's name below /proc/self/fd, which is every thread's working
 * directory: reopening needs no path of the share. */
struct fd_name {
	char s[12];
};
struct fd_name fd_name(int fd);

static inline void cleanup_fd(int *fd)
{
	(void)fd_close(fd);
}
#define _cleanup_close_ _cleanup_(cleanup_fd)

#endif
