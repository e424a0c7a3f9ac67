/* SPDX-License-Identifier: BSD-3-Clause */
/* --reconnect: one front-end after the other, each as if it were the first. */
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>

#include "func.h"

static const char *const args[] = { "--reconnect", "-o", "posix_lock,flock", NULL };
static const char waiting[] = "Waiting for vhost-user socket connection...";

static unsigned int times_waiting(void)
{
	unsigned int n = 0;

	for (const char *at = daemon_log(&fx.d); (at = strstr(at, waiting)); at++)
		n++;
	return n;
}

static void next_front_end(unsigned int no)
{
	for (int i = 0; i < 1000 && times_waiting() < no; i++)
		wait_sleep_ms(wait_scaled(10));
	ck_assert_uint_eq(times_waiting(), no);
	func_connect(NULL);
	func_init_session();
}

/* It runs on, and only a signal ends it: with 1, as ever. */
static void end_by_signal(void)
{
	daemon_kill(&fx.d, SIGTERM);
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(6000)), 1);
	ck_assert(!daemon_log_sanitizer(&fx.d));
	daemon_discard(&fx.d);
}

START_TEST(front_ends_come_and_go)
{
	int fds = 0;

	func_start_daemon(args);
	for (unsigned int i = 1; i <= 20; i++) {
		char name[16];
		struct fuse_entry_out e;
		struct fuse_open_out o;

		next_front_end(i);
		snprintf(name, sizeof(name), "f%u", i);
		ok(guest_create(&fx.g, FUSE_ROOT_ID, name, O_RDWR, 0644, 0, &e, &o));
		ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, o.fh, name, 2, 0)), 2);
		func_hang_up();
		host_is(name, name, 2);
		if (i == 2)
			fds = daemon_fds_settle(&fx.d, 0, 300);
	}
	ck_assert_int_le(daemon_fds_settle(&fx.d, fds, 2000), fds);
	end_by_signal();
}
END_TEST

/* Numbers of one guest's are none to the next; its locks and open files are gone. */
START_TEST(nothing_is_left_of_the_one_before)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	struct fuse_attr_out a;
	char byte;
	int fd;

	func_start_daemon(args);
	next_front_end(1);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o));
	ok(guest_setlk(&fx.g, &(struct guest_lock){ .node = e.nodeid, .fh = o.fh, .owner = 7,
						    .type = F_WRLCK, .flags = FUSE_LK_FLOCK }));
	func_hang_up();
	next_front_end(2);
	fails(guest_getattr(&fx.g, e.nodeid, GUEST_NO_FH, &a), EBADF);
	fails(guest_read(&fx.g, FUSE_ROOT_ID, o.fh, &byte, 1, 0), EBADF);
	fd = host(open(host_path("f"), O_RDWR | O_CLOEXEC));
	host(flock(fd, LOCK_EX | LOCK_NB));
	close(fd);
	func_hang_up();
	end_by_signal();
}
END_TEST

/* One that breaks the protocol ends its own session alone. */
START_TEST(front_end_that_misbehaves_is_not_the_last)
{
	struct vu_header h = { 9999, VU_VERSION, 0 };

	func_start_daemon(args);
	ok(front_connect(&fx.v.front, fx.d.socket));
	ok(front_send_bytes(&fx.v.front, &h, sizeof(h), NULL, 0));
	ck_assert(daemon_log_wait(&fx.d, "is not known", 5000));
	front_close(&fx.v.front);
	next_front_end(2);
	func_hang_up();
	end_by_signal();
}
END_TEST

START_TEST(worker_that_dies_between_two_front_ends)
{
	func_start_daemon(args);
	next_front_end(1);
	func_hang_up();
	for (int i = 0; i < 1000 && times_waiting() < 2; i++)
		wait_sleep_ms(wait_scaled(10));
	host(kill(daemon_worker(&fx.d), SIGKILL));
	next_front_end(2);
	host(kill(daemon_worker(&fx.d), SIGKILL));

	struct fuse_attr_out a;

	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	func_hang_up();
	next_front_end(3);
	func_hang_up();
	end_by_signal();
}
END_TEST

/* The socket and its lock stay as well, whoever made them. */
START_TEST(inherited_socket_is_listened_on_again)
{
	struct daemon_opts o = { .args = args, .inherit = true };

	ok(daemon_start(&fx.d, &o));
	next_front_end(1);
	func_hang_up();
	next_front_end(2);
	func_hang_up();
	end_by_signal();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("reconnect", argc, argv);
	func_test_long(front_ends_come_and_go, 60);
	func_test(nothing_is_left_of_the_one_before);
	func_test(front_end_that_misbehaves_is_not_the_last);
	func_test(worker_that_dies_between_two_front_ends);
	func_test(inherited_socket_is_listened_on_again);
	return func_done();
}
