/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/* A front-end hands over three descriptors a queue and one a memory region. */
#define RESERVE_MAX 640

static atomic_long in_use;
uint8_t *fd_named;
static long guest_limit = LONG_MAX;
static bool (*relieve)(void *ctx);
static void *relieve_ctx;

static int counted(int fd)
{
	if (fd < 0)
		return -errno;
	atomic_fetch_add_explicit(&in_use, 1, memory_order_relaxed);
	if (__builtin_expect(fd_named != NULL, 0))
		fd_named[fd / 8] |= (uint8_t)(1U << (fd % 8));
	return fd;
}

/* syscalls: openat */
int fd_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	return counted(openat(dirfd, path, flags | O_CLOEXEC, mode));
}

/* syscalls(keeper): prlimit64 */
void fd_set_reserve(void)
{
	struct rlimit rl;
	long n, reserve;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur > INT_MAX)
		return;
	n = (long)rl.rlim_cur;
	reserve = n / 4 < RESERVE_MAX ? n / 4 : RESERVE_MAX;
	guest_limit = n - reserve;
}

long fd_guest_limit(void)
{
	return guest_limit;
}

void fd_set_relief(bool (*fn)(void *ctx), void *ctx)
{
	relieve = fn;
	relieve_ctx = ctx;
}

/* A guest may come here as often as it likes: said once. */
static bool at_limit(void)
{
	static atomic_flag said = ATOMIC_FLAG_INIT;

	if (!atomic_flag_test_and_set(&said))
		log_warn("the guest needs more than the %ld descriptors that the limit of open files leaves it: it gets ENFILE (see --rlimit-nofile)",
			 guest_limit);
	return false;
}

static bool guest_may_open(void)
{
	if (fd_count() < guest_limit)
		return true;
	if (relieve && relieve(relieve_ctx) && fd_count() < guest_limit)
		return true;
	return at_limit();
}

int fd_open_for_guest(int dirfd, const char *path, int flags, mode_t mode)
{
	return guest_may_open() ? fd_openat(dirfd, path, flags, mode) : -ENFILE;
}

/* syscalls(handles): open_by_handle_at */
int fd_open_handle_for_guest(int mount_fd, struct file_handle *handle,
			     int flags)
{
	return guest_may_open() ? counted(open_by_handle_at(mount_fd, handle,
							    flags | O_CLOEXEC)) :
				  -ENFILE;
}

int fd_adopt(int fd)
{
	ASSERT(fd >= 0);
	return counted(fd);
}

/* syscalls: eventfd2 */
int fd_eventfd(unsigned int initial, int flags)
{
	return counted(eventfd(initial, flags | EFD_CLOEXEC));
}

/* syscalls(start): signalfd4 */
int fd_signalfd(const sigset_t *set)
{
	return counted(signalfd(-1, set, SFD_CLOEXEC));
}

/* syscalls(start): socketpair */
int fd_socketpair(int ret[2])
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) < 0)
		return -errno;
	fd_adopt(ret[0]);
	fd_adopt(ret[1]);
	return 0;
}

/* syscalls: fcntl:F_DUPFD_CLOEXEC */
int fd_dup(int fd)
{
	return guest_may_open() ? counted(fcntl(fd, F_DUPFD_CLOEXEC, 0)) :
				  -ENFILE;
}

/* syscalls: close */
int fd_close(int *fd)
{
	int saved = errno, r = 0;

	if (*fd < 0)
		return 0;
	if (close(*fd) < 0 && errno != EINTR)
		r = -errno;
	ASSERT(r != -EBADF);
	*fd = -1;
	atomic_fetch_sub_explicit(&in_use, 1, memory_order_relaxed);
	errno = saved;
	return r;
}

long fd_count(void)
{
	return atomic_load_explicit(&in_use, memory_order_relaxed);
}

void fd_count_reset(void)
{
	atomic_store_explicit(&in_use, 0, memory_order_relaxed);
}

struct fd_name fd_name(int fd)
{
	struct fd_name name;
	char *p = name.s + sizeof(name.s);
	unsigned int n = (unsigned int)fd;
	char *out = name.s;

	ASSERT(fd >= 0);
	*--p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	while ((*out++ = *p++) != '\0')
		;
	return name;
}
