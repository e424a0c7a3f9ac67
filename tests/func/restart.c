/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker dies, and another one goes on where it was (DESIGN 5): nodes, open files, directories,
 * locks, the session, memory and rings are as they were, and nothing is left over.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "killer.h"
#include "lockers.h"

/* A message is over for the daemon a moment after it is for the front-end. */
#define MESSAGE_MS 50

static void start(void)
{
	func_start_with(killer_args, NULL);
}

/* What a session has goes on; so does the daemon's end. */
START_TEST(an_idle_guest_goes_on)
{
	struct fuse_entry_out e;
	struct fuse_open_out o, od;
	char buf[16], names[4096];

	start();
	host_text("old", "before");
	host(mkdir(host_path("dir"), 0755));
	host_text("dir/in", "inside");

	uint64_t old = func_node("old"), dir = func_node("dir");
	uint64_t of = func_open(old, O_RDWR);

	ok(guest_create(&fx.g, FUSE_ROOT_ID, "new", O_RDWR, 0644, 0, &e, &o));
	ok(guest_write(&fx.g, e.nodeid, o.fh, "12345", 5, 0));
	ok(guest_opendir(&fx.g, dir, &od));
	for (int i = 0; i < 5; i++) {
		killer_kill(i % 2 && !func_sanitized() ? SIGSEGV : SIGKILL);
		ck_assert_int_eq(ok(guest_read(&fx.g, old, of, buf, sizeof(buf), 0)), 6);
		ck_assert_mem_eq(buf, "before", 6);
		ck_assert_int_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, buf, 16, 0)), 5);
		ck_assert_int_gt(ok(guest_readdir(&fx.g, dir, od.fh, 0, names, 4096)), 0);
		ck_assert_uint_eq(func_node("old"), old);
		ck_assert_uint_eq(func_node("dir"), dir);
		ok(guest_forget(&fx.g, old, 1));
		ck_assert_uint_eq(func_attr(old).size, 6);
	}
	ok(guest_release(&fx.g, old, of));
	ok(guest_release(&fx.g, e.nodeid, o.fh));
	func_end();
}
END_TEST

START_TEST(nothing_is_left_of_a_hundred_workers)
{
	int before;

	start();
	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, name);
		func_open(func_node(name), O_RDONLY);
	}
	killer_kill(SIGKILL);
	before = daemon_fds(&fx.d);
	for (int i = 0; i < 100; i++)
		killer_kill(SIGKILL);
	ck_assert_int_eq(daemon_fds(&fx.d), before);
	ck_assert_uint_eq(func_attr(func_node("f3")).size, 2);
	func_end();
}
END_TEST

START_TEST(what_was_unlinked_and_open_is_still_there)
{
	char buf[8];

	start();
	host_text("f", "data");

	uint64_t n = func_node("f"), f = func_open(n, O_RDONLY);

	ok(guest_unlink(&fx.g, FUSE_ROOT_ID, "f"));
	killer_kill(SIGKILL);
	ck_assert_int_eq(ok(guest_read(&fx.g, n, f, buf, 8, 0)), 4);
	ck_assert_uint_eq(func_attr(n).nlink, 0);
	func_end();
}
END_TEST

/* Requests that come while nobody serves, and kicks that nobody reads. */
START_TEST(requests_that_come_meanwhile_are_served)
{
	start();
	host_text("f", "x");

	uint64_t n = func_node("f");

	for (int i = 0; i < 20; i++) {
		kill(daemon_worker(&fx.d), SIGKILL);
		ck_assert_uint_eq(func_attr(n).size, 1);
		killer_wait_next();
	}
	func_end();
}
END_TEST

START_TEST(before_a_front_end_came)
{
	func_start_daemon(killer_args);
	killer_kill(SIGKILL);
	func_connect(NULL);
	func_init_session();
	wait_sleep_ms(MESSAGE_MS);
	killer_kill(SIGKILL);
	func_end();
}
END_TEST

static void expect_status(int want)
{
	int status = daemon_wait(&fx.d, wait_scaled(5000));

	ck_assert_msg(status == want, "ended with %d, not %d", status, want);
}

START_TEST(a_limit_of_deaths_ends_it)
{
	static const char *const args[] = { "--restart-limit=2/60", NULL };

	func_start_with(args, NULL);
	killer_kill(SIGKILL);
	killer_kill(SIGKILL);
	kill(daemon_worker(&fx.d), SIGKILL);
	expect_status(70);
	ck_assert(daemon_log_has(&fx.d, "3 workers have died in the last 60 s"));
	func_hang_up();
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(the_limit_is_one_of_time)
{
	static const char *const args[] = { "--restart-limit=1/1", NULL };

	func_start_with(args, NULL);
	for (int i = 0; i < 3; i++) {
		killer_kill(SIGKILL);
		wait_sleep_ms(1100);
	}
	ck_assert_uint_eq(func_attr(FUSE_ROOT_ID).nlink, 2);
	func_end();
}
END_TEST

START_TEST(no_restart_ends_at_once)
{
	static const char *const args[] = { "--no-restart", NULL };

	func_start_with(args, NULL);
	kill(daemon_worker(&fx.d), SIGKILL);
	expect_status(70);
	ck_assert(daemon_log_has(&fx.d, "died of signal 9"));
	func_hang_up();
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(signals_still_end_it)
{
	start();
	killer_kill(SIGKILL);
	daemon_kill(&fx.d, SIGTERM);
	expect_status(1);
	func_hang_up();
	daemon_discard(&fx.d);
}
END_TEST

/* Half a message is lost with the worker that read it. */
START_TEST(death_inside_a_message_ends_the_session)
{
	struct vu_header h = { VU_SET_FEATURES, VU_VERSION, 8 };

	start();
	ok(front_send_bytes(&fx.v.front, &h, 10, NULL, 0));
	wait_sleep_ms(50);
	kill(daemon_worker(&fx.d), SIGKILL);
	expect_status(70);
	ck_assert(front_hung_up(&fx.v.front, wait_scaled(2000)));
	ck_assert(daemon_log_has(&fx.d, "in the middle of a message"));
	func_hang_up();
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(messages_after_it_are_handled)
{
	unsigned int base;

	start();
	host_text("f", "x");
	killer_kill(SIGKILL);
	ok(vmm_ring_stop(&fx.v, &fx.v.ring[1], &base));
	wait_sleep_ms(MESSAGE_MS);
	killer_kill(SIGKILL);
	ok(vmm_ring_start(&fx.v, &fx.v.ring[1], base));
	wait_sleep_ms(MESSAGE_MS);
	ck_assert_uint_eq(func_attr(func_node("f")).size, 1);
	killer_kill(SIGKILL);
	ok(front_set_mem_table(&fx.v.front, &fx.v.mem));
	ck_assert_uint_eq(func_attr(func_node("f")).size, 1);
	func_end();
}
END_TEST

START_TEST(a_guest_that_was_stopped_begins_anew)
{
	start();
	ok(guest_destroy(&fx.g));
	killer_kill(SIGKILL);
	func_init_session();
	host_text("f", "x");
	killer_kill(SIGKILL);
	ck_assert_uint_eq(func_attr(func_node("f")).size, 1);
	func_end();
}
END_TEST

/* --- locks --- */

static void start_locks(void)
{
	static const char *const args[] = { "-o", "posix_lock,flock", "--restart-limit=1000/0",
					    NULL };

	lockers_start_with(args);
}

START_TEST(locks_are_held_by_the_next_worker)
{
	start_locks();

	uint64_t other = func_open(node, O_RDWR);

	ok(set(posix(1, F_WRLCK, 0, 9)));
	ok(set(posix(1, F_RDLCK, 20, GUEST_LOCK_END)));
	ok(set(whole(fh, F_RDLCK)));
	killer_kill(SIGKILL);
	fails(set(posix(2, F_RDLCK, 5, 5)), EAGAIN);
	fails(set(posix(2, F_WRLCK, 20, 20)), EAGAIN);
	ok(set(posix(2, F_WRLCK, 10, 19)));
	ok(set(posix(2, F_RDLCK, 20, 30)));
	fails(set(whole(other, F_WRLCK)), EAGAIN);
	ok(set(whole(other, F_RDLCK)));
	ck_assert(!host_is_free());
	killer_kill(SIGKILL);
	ok(set(posix(1, F_UNLCK, ALL)));
	ok(set(posix(2, F_UNLCK, ALL)));
	ok(set(whole(fh, F_UNLCK)));
	ok(set(whole(other, F_UNLCK)));
	ck_assert(host_is_free());
	lockers_end();
}
END_TEST

START_TEST(who_waits_for_a_lock_goes_on_waiting)
{
	start_locks();
	ok(set(posix(1, F_WRLCK, ALL)));
	ask_and_wait(0, posix(2, F_WRLCK, 0, 4));
	ask_and_wait(1, posix(3, F_WRLCK, 5, 6));
	for (int i = 0; i < 3; i++)
		killer_kill(SIGKILL);
	expect_waiting(0);
	expect_waiting(1);
	ok(set(posix(1, F_UNLCK, 0, 4)));
	ok(answer(0));
	expect_waiting(1);
	ok(set(posix(1, F_UNLCK, ALL)));
	ok(answer(1));
	lockers_end();
}
END_TEST

START_TEST(who_waits_for_the_host_goes_on_waiting)
{
	int host_fd;

	start_locks();
	host_fd = host_lock(F_WRLCK, 0, 0, F_OFD_SETLK);
	ask_and_wait(0, posix(2, F_WRLCK, ALL));
	killer_kill(SIGKILL);
	expect_waiting(0);
	close(host_fd);
	ok(answer(0));
	lockers_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("restart", argc, argv);
	func_test(an_idle_guest_goes_on);
	func_test_long(nothing_is_left_of_a_hundred_workers, 60);
	func_test(what_was_unlinked_and_open_is_still_there);
	func_test(requests_that_come_meanwhile_are_served);
	func_test(before_a_front_end_came);
	func_test(a_limit_of_deaths_ends_it);
	func_test(the_limit_is_one_of_time);
	func_test(no_restart_ends_at_once);
	func_test(signals_still_end_it);
	func_test(death_inside_a_message_ends_the_session);
	func_test(messages_after_it_are_handled);
	func_test(a_guest_that_was_stopped_begins_anew);
	func_test(locks_are_held_by_the_next_worker);
	func_test(who_waits_for_a_lock_goes_on_waiting);
	func_test(who_waits_for_the_host_goes_on_waiting);
	return func_done();
}
