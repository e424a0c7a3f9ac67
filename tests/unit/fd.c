/* SPDX-License-Identifier: BSD-3-Clause */
/* base/fd: every descriptor is counted, closed once, and leaves errno alone. */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(opened_and_closed)
{
	int fd = fd_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0), old = fd;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fd_count(), 1);
	ck_ok(fd_close(&fd));
	ck_assert_int_eq(fd, -1);
	ck_assert(!is_open(old));
	ck_assert_int_eq(fd_count(), 0);
	ck_ok(fd_close(&fd));
	ck_assert_int_eq(fd_count(), 0);
}
END_TEST

START_TEST(failures_count_nothing)
{
	ck_assert_int_eq(fd_openat(AT_FDCWD, "/nowhere/at/all", O_RDONLY, 0),
			 -ENOENT);
	ck_assert_int_eq(fd_openat(-1, "x", O_RDONLY, 0), -EBADF);
	ck_assert_int_eq(fd_dup(-1), -EBADF);
	ck_assert_int_eq(fd_eventfd(0, INT_MAX), -EINVAL);
	ck_assert_int_eq(fd_count(), 0);
}
END_TEST

START_TEST(every_kind_is_counted)
{
	int a = fd_adopt(dup(STDERR_FILENO)), b = fd_dup(STDERR_FILENO);
	int c = fd_eventfd(3, EFD_NONBLOCK);

	ck_assert_int_eq(fd_count(), 3);
	ck_assert_int_eq(fcntl(b, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(c, F_GETFD), FD_CLOEXEC);
	ck_assert_uint_eq(unit_eventfd_take(c), 3);
	ck_ok(fd_close(&a));
	ck_ok(fd_close(&b));
	ck_ok(fd_close(&c));
	ck_assert_int_eq(fd_count(), 0);
}
END_TEST

START_TEST(close_keeps_errno)
{
	int fd = fd_dup(STDERR_FILENO);

	errno = 4711;
	ck_ok(fd_close(&fd));
	ck_assert_int_eq(errno, 4711);
	ck_ok(fd_close(&fd));
	ck_assert_int_eq(errno, 4711);
}
END_TEST

START_TEST(scope_closes_what_it_owns)
{
	int handed;
	{
		_cleanup_close_ int mine = fd_dup(STDERR_FILENO);
		_cleanup_close_ int other = fd_dup(STDERR_FILENO);
		_cleanup_close_ int none = -EINVAL;

		handed = fd_take(&other);
		ck_assert_int_eq(other, -1);
		ck_assert(mine >= 0 && none < 0);
		ck_assert_int_eq(fd_count(), 2);
	}
	ck_assert_int_eq(fd_count(), 1);
	ck_assert(is_open(handed));
	ck_ok(fd_close(&handed));
}
END_TEST

/* A bug of ours: it must not go on. */
START_TEST(closing_twice_aborts)
{
	int fd = fd_dup(STDERR_FILENO), copy = fd;
	struct capture c;

	capture_begin(&c);
	ck_ok(fd_close(&fd));
	(void)fd_close(&copy);
}
END_TEST

START_TEST(names)
{
	static const int numbers[] = { 0, 1, 9, 10, 99, 100, 12345, 1000000,
				       INT_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char want[16];

		snprintf(want, sizeof(want), "%d", numbers[i]);
		ck_assert_str_eq(fd_name(numbers[i]).s, want);
	}
}
END_TEST

static void open_and_close(void *arg, unsigned int no)
{
	for (int i = 0; i < 2000; i++) {
		int fd = fd_dup(STDERR_FILENO);

		must(fd >= 0);
		must(fd_close(&fd) == 0);
	}
}

START_TEST(count_is_right_with_threads)
{
	unit_threads(8, open_and_close, NULL);
	ck_assert_int_eq(fd_count(), 0);
}
END_TEST

/* What a guest asks for ends before what the daemon itself needs. */
START_TEST(guest_leaves_a_reserve)
{
	struct rlimit rl = { 64, 64 };
	int fd[64], n = 0, own;

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &rl), 0);
	fd_set_reserve();
	while (n < 64 && (fd[n] = fd_open_for_guest(AT_FDCWD, "/dev/null",
						    O_RDONLY, 0)) >= 0)
		n++;
	ck_assert_int_eq(fd[n], -ENFILE);
	ck_assert_int_eq(n, 48);
	ck_assert_int_eq(fd_dup(STDERR_FILENO), -ENFILE);
	ck_assert_int_eq(fd_count(), 48);
	own = fd_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);
	ck_assert_int_ge(own, 0);
	own = fd_eventfd(0, 0);
	ck_assert_int_ge(own, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fd");
	TCase *tc = unit_tcase(s, "descriptors", 10);

	tcase_add_test(tc, opened_and_closed);
	tcase_add_test(tc, failures_count_nothing);
	tcase_add_test(tc, every_kind_is_counted);
	tcase_add_test(tc, close_keeps_errno);
	tcase_add_test(tc, scope_closes_what_it_owns);
	tcase_add_test_raise_signal(tc, closing_twice_aborts, SIGABRT);
	tcase_add_test(tc, names);
	tcase_add_test(tc, count_is_right_with_threads);
	tcase_add_test(tc, guest_leaves_a_reserve);
	return unit_run(s);
}
