/* SPDX-License-Identifier: BSD-3-Clause */
/* Locks of processes in one system: POSIX, open file description, flock; leases. */
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "posix.h"

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start,
			       .l_len = len };
}

static int lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = range(type, start, len);

	return fcntl(fd, cmd, &l);
}

/* Who stands in the way, as "r 10+5" or "free"; the process is right if it is the parent. */
static const char *blocker(int fd, short type, off_t start, off_t len)
{
	static char buf[64];
	struct flock l = range(type, start, len);

	if (fcntl(fd, F_GETLK, &l) < 0)
		snprintf(buf, sizeof(buf), "(%s)", strerrorname_np(errno));
	else if (l.l_type == F_UNLCK)
		snprintf(buf, sizeof(buf), "free");
	else
		snprintf(buf, sizeof(buf), "%c %lld+%lld%s", l.l_type == F_RDLCK ? 'r' : 'w',
			 (long long)l.l_start, (long long)l.l_len,
			 l.l_pid == getppid() ? "" : " of another");
	return buf;
}

static int file(void)
{
	put("f", fill('x', 1000));
	return opened("f", O_RDWR);
}

CHECK(lock_posix_conflicts)
{
	int fd = file();

	OK(lock(fd, F_SETLK, F_WRLCK, 10, 10));
	OK(lock(fd, F_SETLK, F_RDLCK, 50, 10));
	CHILD {
		int own = opened("f", O_RDWR);

		NO(lock(own, F_SETLK, F_WRLCK, 15, 1), EAGAIN);
		NO(lock(own, F_SETLK, F_RDLCK, 15, 1), EAGAIN);
		NO(lock(own, F_SETLK, F_WRLCK, 55, 1), EAGAIN);
		OK(lock(own, F_SETLK, F_RDLCK, 55, 1));
		OK(lock(own, F_SETLK, F_WRLCK, 20, 30));
		OK(lock(own, F_SETLK, F_WRLCK, 0, 10));
		NO(lock(own, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
		TEXT_IS(blocker(own, F_WRLCK, 0, 0), "w 10+10");
		TEXT_IS(blocker(own, F_RDLCK, 50, 10), "free");
		TEXT_IS(blocker(own, F_WRLCK, 50, 10), "r 50+10");
	}
	TEXT_IS(blocker(fd, F_WRLCK, 0, 0), "free");
}

CHECK(lock_posix_splits_and_merges)
{
	int fd = file();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 100));
	OK(lock(fd, F_SETLK, F_UNLCK, 40, 20));
	CHILD {
		TEXT_IS(blocker(fd, F_WRLCK, 0, 100), "w 0+40");
		TEXT_IS(blocker(fd, F_WRLCK, 40, 20), "free");
		TEXT_IS(blocker(fd, F_WRLCK, 40, 100), "w 60+40");
	}
	OK(lock(fd, F_SETLK, F_RDLCK, 10, 10));
	CHILD {
		TEXT_IS(blocker(fd, F_WRLCK, 10, 1), "r 10+10");
		TEXT_IS(blocker(fd, F_WRLCK, 20, 1), "w 20+20");
		TEXT_IS(blocker(fd, F_WRLCK, 5, 1), "w 0+10");
	}
	OK(lock(fd, F_SETLK, F_WRLCK, 10, 50));
	CHILD
		TEXT_IS(blocker(fd, F_RDLCK, 50, 1), "w 0+100");
	OK(lock(fd, F_SETLK, F_WRLCK, 100, 0));
	CHILD
		TEXT_IS(blocker(fd, F_RDLCK, 5000, 1), "w 0+0");
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 0));
	CHILD
		TEXT_IS(blocker(fd, F_WRLCK, 0, 0), "free");
}

CHECK(lock_posix_dropped_by_any_close)
{
	int fd = file(), other;

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	other = opened("f", O_RDONLY);
	CHILD
		TEXT_IS(blocker(fd, F_WRLCK, 0, 1), "w 0+0");
	OK(close(other));
	CHILD
		TEXT_IS(blocker(fd, F_WRLCK, 0, 1), "free");
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(close(dup(fd)));
	CHILD
		TEXT_IS(blocker(fd, F_WRLCK, 0, 1), "free");
}

CHECK(lock_posix_not_inherited)
{
	int fd = file();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	CHILD {
		NO(lock(fd, F_SETLK, F_WRLCK, 0, 10), EAGAIN);
		OK(lock(fd, F_SETLK, F_UNLCK, 0, 10));
		close(fd);
	}
	CHILD
		TEXT_IS(blocker(fd, F_WRLCK, 0, 1), "w 0+10");
}

CHECK(lock_posix_dropped_at_exit)
{
	int fd = file();

	CHILD
		OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 0));
}

CHECK(lock_posix_errors)
{
	int r, w, rw = file();

	r = opened("f", O_RDONLY);
	w = opened("f", O_WRONLY);
	NO(lock(r, F_SETLK, F_WRLCK, 0, 1), EBADF);
	NO(lock(w, F_SETLK, F_RDLCK, 0, 1), EBADF);
	OK(lock(r, F_SETLK, F_RDLCK, 0, 1));
	NO(lock(rw, F_SETLK, F_WRLCK, -1, 1), EINVAL);
	NO(lock(rw, F_SETLK, F_WRLCK, 0, -1), EINVAL);
	OK(lock(rw, F_SETLK, F_WRLCK, 10, -5));
	NO(lock(rw, F_SETLK, 77, 0, 1), EINVAL);
	OK(lock(rw, F_SETLK, F_WRLCK, 0x7ffffffffffffffe, 1));
	NO(lock(rw, F_SETLK, F_WRLCK, 0x7ffffffffffffffe, 10), EOVERFLOW);
	NO(lock(opened("f", O_PATH), F_SETLK, F_RDLCK, 0, 1), EBADF);
	TRY(lock(opened(".", O_RDONLY), F_SETLK, F_RDLCK, 0, 1));
}

CHECK(lock_posix_from_current_and_end)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -10, .l_len = 5 };
	int fd = file();

	OK(fcntl(fd, F_SETLK, &l));
	CHILD
		TEXT_IS(blocker(fd, F_WRLCK, 0, 0), "w 990+5");
	OK(lseek(fd, 100, SEEK_SET));
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 1, .l_len = 2 };
	OK(fcntl(fd, F_SETLK, &l));
	CHILD
		TEXT_IS(blocker(fd, F_WRLCK, 0, 500), "w 101+2");
}

/* A waiter gets the lock once it is free, and not before. */
static void waiter(int fd, int cmd, short type)
{
	int how = fork();

	if (how == 0) {
		int own = opened("f", O_RDWR);

		post(1);
		with("waiter");
		OK(lock(own, cmd, type, 0, 10));
		TEXT_IS(fd_content(own, 0, 5), "after");
		_exit(0);
	}
	await(1);
	nap(100);
	OK(pwrite(fd, "after", 5, 0));
	OK(lock(fd, cmd == F_SETLKW ? F_SETLK : F_OFD_SETLK, F_UNLCK, 0, 10));
	OK(waitpid(how, NULL, 0));
}

CHECK(lock_posix_waiter)
{
	int fd = file();

	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	waiter(fd, F_SETLKW, F_WRLCK);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 10));
	waiter(fd, F_SETLKW, F_RDLCK);
}

CHECK(lock_ofd_waiter)
{
	int fd = file();

	OK(lock(fd, F_OFD_SETLK, F_WRLCK, 0, 10));
	waiter(fd, F_OFD_SETLKW, F_WRLCK);
}

CHECK(lock_posix_wait_ended_by_exit)
{
	int fd = file(), status;
	pid_t pid = fork();

	if (pid == 0) {
		lock(fd, F_SETLK, F_WRLCK, 0, 0);
		post(1);
		nap(100);
		_exit(0);
	}
	await(1);
	OK(lock(fd, F_SETLKW, F_WRLCK, 0, 0));
	OK(waitpid(pid, &status, 0));
}

static void nothing(int number)
{
	(void)number;
}

CHECK(lock_posix_deadlock)
{
	struct sigaction sa = { .sa_handler = nothing };
	int fd = file();
	pid_t pid;

	sigaction(SIGUSR1, &sa, NULL);
	OK(lock(fd, F_SETLK, F_WRLCK, 0, 1));
	pid = fork();
	if (pid == 0) {
		lock(fd, F_SETLK, F_WRLCK, 1, 1);
		post(1);
		_exit(lock(fd, F_SETLKW, F_WRLCK, 0, 1) == 0 ? 0 : 1);
	}
	await(1);
	nap(100);
	NO(lock(fd, F_SETLKW, F_WRLCK, 1, 1), EDEADLK);
	OK(lock(fd, F_SETLK, F_UNLCK, 0, 1));
	OK(waitpid(pid, NULL, 0));
}

CHECK(lock_ofd)
{
	int a = file(), b;

	b = opened("f", O_RDWR);
	OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 10));
	NO(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	NO(lock(b, F_OFD_SETLK, F_RDLCK, 5, 1), EAGAIN);
	OK(lock(b, F_OFD_SETLK, F_WRLCK, 10, 1));
	NO(lock(a, F_SETLK, F_WRLCK, 0, 10), EAGAIN);
	CHILD {
		OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 5));
		NO(lock(opened("f", O_RDWR), F_OFD_SETLK, F_WRLCK, 0, 5), EAGAIN);
		close(a);
	}
	NO(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	OK(close(dup(a)));
	NO(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1), EAGAIN);
	OK(close(a));
	OK(lock(b, F_OFD_SETLK, F_WRLCK, 5, 1));
}

CHECK(lock_ofd_pid_must_be_zero)
{
	struct flock l = range(F_WRLCK, 0, 1);
	int fd = file();

	l.l_pid = getpid();
	NO(fcntl(fd, F_OFD_SETLK, &l), EINVAL);
	l.l_pid = 0;
	OK(fcntl(fd, F_OFD_SETLK, &l));
	l = range(F_WRLCK, 0, 1);
	OK(fcntl(opened("f", O_RDWR), F_OFD_GETLK, &l));
	YES(l.l_pid == -1);
	IS(l.l_type, F_WRLCK);
}

CHECK(lock_flock)
{
	int a = file(), b, d;

	b = opened("f", O_RDONLY);
	OK(flock(a, LOCK_EX | LOCK_NB));
	NO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	NO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(flock(a, LOCK_SH | LOCK_NB));
	OK(flock(b, LOCK_SH | LOCK_NB));
	NO(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(flock(b, LOCK_UN));
	OK(flock(a, LOCK_EX | LOCK_NB));
	d = dup(a);
	OK(close(a));
	NO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
	OK(flock(d, LOCK_UN));
	OK(flock(b, LOCK_EX | LOCK_NB));
	OK(close(b));
	OK(flock(d, LOCK_EX | LOCK_NB));
	NO(flock(d, 77), EINVAL);
}

CHECK(lock_flock_inherited)
{
	int a = file();

	OK(flock(a, LOCK_EX | LOCK_NB));
	CHILD {
		OK(flock(a, LOCK_EX | LOCK_NB));
		NO(flock(opened("f", O_RDWR), LOCK_EX | LOCK_NB), EWOULDBLOCK);
		close(a);
	}
	NO(flock(opened("f", O_RDWR), LOCK_EX | LOCK_NB), EWOULDBLOCK);
	CHILD
		OK(flock(a, LOCK_UN));
	OK(flock(opened("f", O_RDWR), LOCK_EX | LOCK_NB));
}

CHECK(lock_flock_of_any_mode_and_kind)
{
	file();
	dir("d", 0755);
	OK(flock(opened("f", O_RDONLY), LOCK_EX | LOCK_NB));
	OK(flock(opened("d", O_RDONLY), LOCK_EX | LOCK_NB));
	NO(flock(opened("d", O_RDONLY), LOCK_SH | LOCK_NB), EWOULDBLOCK);
	NO(flock(opened("f", O_PATH), LOCK_SH), EBADF);
}

CHECK(lock_flock_waiter)
{
	int fd = file();
	pid_t pid;

	OK(flock(fd, LOCK_EX));
	pid = fork();
	if (pid == 0) {
		int own = opened("f", O_RDWR);

		post(1);
		with("waiter");
		OK(flock(own, LOCK_EX));
		TEXT_IS(fd_content(own, 0, 5), "after");
		_exit(0);
	}
	await(1);
	nap(100);
	OK(pwrite(fd, "after", 5, 0));
	OK(flock(fd, LOCK_UN));
	OK(waitpid(pid, NULL, 0));
}

CHECK(lock_flock_and_posix_are_strangers)
{
	int a = file(), b;

	b = opened("f", O_RDWR);
	OK(flock(a, LOCK_EX | LOCK_NB));
	OK(lock(b, F_SETLK, F_WRLCK, 0, 0));
	CHILD {
		NO(lock(b, F_SETLK, F_WRLCK, 0, 0), EAGAIN);
		OK(flock(a, LOCK_EX | LOCK_NB));
	}
}

CHECK(lock_through_hard_link)
{
	int a = file(), b;

	OK(link("f", "g"));
	b = opened("g", O_RDWR);
	OK(flock(a, LOCK_EX | LOCK_NB));
	NO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
	OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 0));
	NO(lock(b, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN);
	OK(unlink("g"));
	OK(rename("f", "h"));
	NO(lock(b, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN);
}

CHECK(lock_of_unlinked_file)
{
	int a = file(), b;

	b = opened("f", O_RDWR);
	OK(unlink("f"));
	OK(lock(a, F_OFD_SETLK, F_WRLCK, 0, 0));
	NO(lock(b, F_OFD_SETLK, F_WRLCK, 0, 0), EAGAIN);
	OK(flock(a, LOCK_EX | LOCK_NB));
	NO(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
}

CHECK(lock_lease)
{
	int fd = file(), r;

	r = opened("f", O_RDONLY);
	OK(close(fd));
	NEED(fcntl(r, F_SETLEASE, F_RDLCK));
	IS(fcntl(r, F_GETLEASE), F_RDLCK);
	signal(SIGIO, nothing);
	NO(open("f", O_WRONLY | O_NONBLOCK), EWOULDBLOCK);
	OK(fcntl(r, F_SETLEASE, F_UNLCK));
	OK(open("f", O_WRONLY | O_NONBLOCK));
}
