/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting for locks (SETLKW): who is woken by what, in which order, and what is a deadlock. */
#include <dirent.h>
#include <sys/file.h>

#include "lockers.h"

/* --- woken by this guest --- */

START_TEST(free_lock_is_granted_at_once)
{
	lockers_start();
	ok(guest_setlkw(&fx.g, &(struct guest_lock){ node, fh, 1, ALL, F_WRLCK, 0 }));
	ok(guest_setlkw(&fx.g, &(struct guest_lock){ node, fh, 1, ALL, F_UNLCK, 0 }));
	ok(guest_setlkw(&fx.g, &(struct guest_lock){ node, fh, 2, ALL, F_WRLCK, 0 }));
	lockers_end();
}
END_TEST

START_TEST(unlock_wakes)
{
	lockers_start();
	ok(set(posix(1, F_WRLCK, 0, 9)));
	ask_and_wait(0, posix(2, F_WRLCK, 5, 20));
	ok(set(posix(1, F_UNLCK, 0, 4)));
	expect_waiting(0);
	ok(set(posix(1, F_UNLCK, 5, 9)));
	ok(answer(0));
	fails(set(posix(1, F_RDLCK, 20, 20)), EAGAIN);
	ok(set(posix(1, F_WRLCK, 0, 4)));
	lockers_end();
}
END_TEST

START_TEST(downgrade_wakes_readers)
{
	lockers_start();
	ok(set(posix(1, F_WRLCK, ALL)));
	ask_and_wait(0, posix(2, F_RDLCK, ALL));
	ask_and_wait(1, posix(3, F_WRLCK, ALL));
	ask_and_wait(2, posix(4, F_RDLCK, 3, 3));
	ok(set(posix(1, F_RDLCK, ALL)));
	ok(answer(0));
	ok(answer(2));
	expect_waiting(1);
	ok(set(posix(1, F_UNLCK, ALL)));
	ok(set(posix(2, F_UNLCK, ALL)));
	expect_waiting(1);
	ok(set(posix(4, F_UNLCK, ALL)));
	ok(answer(1));
	lockers_end();
}
END_TEST

START_TEST(flush_of_the_holder_wakes)
{
	lockers_start();
	ok(set(posix(1, F_WRLCK, ALL)));
	ask_and_wait(0, posix(2, F_WRLCK, ALL));
	ok(guest_flush_owner(&fx.g, node, fh, 3));
	expect_waiting(0);
	ok(guest_flush_owner(&fx.g, node, fh, 1));
	ok(answer(0));
	lockers_end();
}
END_TEST

START_TEST(release_of_the_holder_wakes)
{
	lockers_start();

	uint64_t mine = func_open(node, O_RDWR), his = func_open(node, O_RDWR);
	struct guest_lock l = posix(1, F_WRLCK, ALL);

	l.fh = mine;
	ok(set(l));
	ok(set(whole(mine, F_WRLCK)));
	ask_and_wait(0, posix(2, F_WRLCK, ALL));
	ask_and_wait(1, whole(his, F_RDLCK));
	ok(guest_release_flock(&fx.g, node, mine, 7));
	ok(answer(0));
	ok(answer(1));
	lockers_end();
}
END_TEST

START_TEST(flock_waits_too)
{
	lockers_start();

	uint64_t b = func_open(node, O_RDWR), c = func_open(node, O_RDWR);

	ok(set(whole(fh, F_WRLCK)));
	ask_and_wait(0, whole(b, F_RDLCK));
	ask_and_wait(1, whole(c, F_RDLCK));
	ok(set(whole(fh, F_RDLCK)));
	ok(answer(0));
	ok(answer(1));
	/* all three change theirs: each gives up what it had, the last one gets it */
	ask_and_wait(0, whole(b, F_WRLCK));
	ask_and_wait(1, whole(c, F_WRLCK));
	ok(set(whole(fh, F_UNLCK)));
	ok(answer(0));
	expect_waiting(1);
	ok(set(whole(b, F_UNLCK)));
	ok(answer(1));
	lockers_end();
}
END_TEST

START_TEST(first_come_first_served)
{
	lockers_start();
	ok(set(posix(1, F_WRLCK, ALL)));
	for (unsigned int i = 0; i < LOCKERS; i++)
		ask_and_wait(i, posix(10 + i, F_WRLCK, i, 100));
	ok(set(posix(1, F_UNLCK, ALL)));
	for (unsigned int i = 0; i < LOCKERS; i++) {
		ok(answer(i));
		for (unsigned int k = i + 1; k < LOCKERS; k++)
			ck_assert(!answered(k));
		ok(set(posix(10 + i, F_UNLCK, ALL)));
	}
	lockers_end();
}
END_TEST

/* One who waits for bytes that are taken does not keep others from free ones. */
START_TEST(what_is_free_is_granted_past_those_who_wait)
{
	lockers_start();
	ok(set(posix(1, F_WRLCK, 0, 9)));
	ask_and_wait(0, posix(2, F_WRLCK, 0, 99));
	ok(guest_setlkw(&fx.g, &(struct guest_lock){ node, fh, 3, 50, 60, F_WRLCK, 0 }));
	ok(guest_setlkw(&fx.g, &(struct guest_lock){ node, fh, 1, 10, 19, F_WRLCK, 0 }));
	ok(set(posix(1, F_UNLCK, ALL)));
	expect_waiting(0);
	ok(set(posix(3, F_UNLCK, ALL)));
	ok(answer(0));
	lockers_end();
}
END_TEST

START_TEST(waiters_delay_nobody)
{
	static struct fuse_attr_out a;

	lockers_start();

	int fd = host_lock(F_WRLCK, 0, 10, F_OFD_SETLK);

	ok(set(posix(1, F_WRLCK, 10, 20)));
	ask_and_wait(0, posix(2, F_WRLCK, 0, 5));
	ask_and_wait(1, posix(2, F_WRLCK, 10, 10));
	for (unsigned int i = 0; i < 2; i++) {
		/* on the very queues that the waiters came by */
		struct call c;

		ok(call_init(&c, &fx.v.mem, 0, 0, 4096, 64));
		for (int n = 0; n < 200; n++) {
			int64_t began = wait_now_ms();

			guest_begin_on(&locker[i], &c, FUSE_GETATTR, node);
			call_arg(&c, sizeof(struct fuse_getattr_in));
			call_room(&c, sizeof(a));
			ok(call_submit(&c, locker[i].ring, locker[i].layout));
			ring_kick(locker[i].ring);
			ok(guest_wait_for(&locker[i], &c));
			ck_assert_int_lt(wait_now_ms() - began, wait_scaled(1000));
		}
		call_free(&c);
	}
	close(fd);
	ok(answer(0));
	ok(set(posix(1, F_UNLCK, ALL)));
	ok(answer(1));
	lockers_end();
}
END_TEST

/* --- others on the host --- */

static void expect_soon(unsigned int i, int64_t since)
{
	ok(answer(i));
	/* It takes 50 ms at most; the rest is for a machine that is busy. */
	ck_assert_msg(wait_now_ms() - since <= wait_scaled(1000), "after %d ms",
		      (int)(wait_now_ms() - since));
}

START_TEST(locks_of_the_host_are_waited_for)
{
	static const int how[] = { F_SETLK, F_OFD_SETLK };

	lockers_start();
	for (int i = 0; i < 2; i++) {
		int fd = host_lock(F_WRLCK, 5, 5, how[i]);

		ask_and_wait(0, posix(1, F_RDLCK, 0, 5));
		ask_and_wait(1, posix(2, F_RDLCK, 9, 20));
		wait_sleep_ms(100);
		ck_assert(!answered(0) && !answered(1));

		int64_t now = wait_now_ms();

		close(fd);
		expect_soon(0, now);
		expect_soon(1, now);
		ok(set(posix(1, F_UNLCK, ALL)));
		ok(set(posix(2, F_UNLCK, ALL)));
	}
	lockers_end();
}
END_TEST

START_TEST(flock_of_the_host_is_waited_for)
{
	lockers_start();

	int fd = host(open(host_path("f"), O_RDWR | O_CLOEXEC));

	host(flock(fd, LOCK_EX));
	ask_and_wait(0, whole(fh, F_RDLCK));
	wait_sleep_ms(100);
	ck_assert(!answered(0));

	int64_t now = wait_now_ms();

	close(fd);
	expect_soon(0, now);
	lockers_end();
}
END_TEST

/* First somebody here is in the way, then somebody there. */
START_TEST(host_may_be_in_the_way_after_the_guest)
{
	lockers_start();
	ok(set(posix(1, F_WRLCK, 0, 9)));

	int fd = host_lock(F_WRLCK, 10, 10, F_OFD_SETLK);

	ask_and_wait(0, posix(2, F_WRLCK, 0, 19));
	ok(set(posix(1, F_UNLCK, ALL)));
	expect_waiting(0);

	int64_t now = wait_now_ms();

	close(fd);
	expect_soon(0, now);
	lockers_end();
}
END_TEST

/* How often threads of the worker went to sleep so far. */
static long switches(void)
{
	long total = 0, n;
	char path[300];

	snprintf(path, sizeof(path), "/proc/%d/task", (int)daemon_worker(&fx.d));

	DIR *tasks = opendir(path);

	for (struct dirent *e; tasks && (e = readdir(tasks));) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status",
			 (int)daemon_worker(&fx.d), e->d_name);

		FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		char line[256];

		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1)
				total += n;
		if (f)
			fclose(f);
	}
	if (tasks)
		closedir(tasks);
	return total;
}

START_TEST(nobody_wakes_up_when_nobody_waits)
{
	if (func_sanitized())
		func_skip("sanitizers have threads of their own");
	lockers_start();

	int fd = host_lock(F_WRLCK, 0, 0, F_OFD_SETLK);

	ask_and_wait(0, posix(1, F_WRLCK, ALL));

	long before = switches();

	wait_sleep_ms(300);
	ck_assert_int_gt(switches(), before);
	close(fd);
	ok(answer(0));
	/* one who waits for another of this guest needs no looking after */
	ask_and_wait(1, posix(2, F_WRLCK, ALL));
	wait_sleep_ms(100);
	before = switches();
	wait_sleep_ms(300);
	ck_assert_int_eq(switches(), before);
	ok(set(posix(1, F_UNLCK, ALL)));
	ok(answer(1));
	lockers_end();
}
END_TEST

START_TEST(two_machines_on_one_share)
{
	const char *args[] = { "-o", "posix_lock,flock", "--shared-dir", NULL, NULL };
	struct daemon d2;
	struct vmm v2;
	struct guest g2;
	struct fuse_entry_out e;
	struct fuse_open_out o;

	lockers_start();
	args[3] = fx.d.share;
	ok(daemon_start(&d2, &(struct daemon_opts){ .args = args }));
	ok(vmm_start(&v2, d2.socket, NULL));
	ok(guest_attach(&g2, &v2, 1, 4096));
	ok(guest_init(&g2, GUEST_MINOR, GUEST_INIT_FLAGS, NULL));
	ok(guest_walk(&g2, "f", &e));
	ok(guest_open(&g2, e.nodeid, O_RDWR, &o));

	struct guest_lock there = { e.nodeid, o.fh, 1, 0, 9, F_WRLCK, 0 };

	for (int i = 0; i < 3; i++) {
		ok(guest_setlk(&g2, &there));
		fails(set(posix(1, F_WRLCK, 0, 0)), EAGAIN);
		ask_and_wait(0, posix(1, F_WRLCK, 0, 9));
		there.type = F_UNLCK;
		ok(guest_setlk(&g2, &there));
		there.type = F_WRLCK;
		ok(answer(0));
		fails(guest_setlk(&g2, &there), EAGAIN);
		ok(guest_setlkw_send(&g2, &g2.call, &there));
		wait_sleep_ms(20);
		ok(set(posix(1, F_UNLCK, ALL)));
		ok(guest_wait_for(&g2, &g2.call));
	}
	ask_and_wait(0, posix(1, F_WRLCK, 0, 9));
	guest_detach(&g2);
	vmm_stop(&v2);
	ck_assert_int_eq(daemon_stop(&d2), 0);
	ok(answer(0));
	lockers_end();
}
END_TEST

/* --- deadlocks --- */

START_TEST(circle_of_two_is_refused)
{
	lockers_start();
	ok(set(posix(1, F_WRLCK, 0, 0)));
	ok(set(posix(2, F_WRLCK, 1, 1)));
	ask_and_wait(0, posix(1, F_WRLCK, 1, 1));
	ask(1, posix(2, F_RDLCK, 0, 0));
	fails(answer(1), EDEADLK);
	/* SETLK does not wait, so it is no part of a circle */
	fails(set(posix(2, F_RDLCK, 0, 0)), EAGAIN);
	ok(set(posix(2, F_UNLCK, ALL)));
	ok(answer(0));
	lockers_end();
}
END_TEST

START_TEST(circle_of_three_over_two_files_is_refused)
{
	lockers_start();
	host_text("g", "");

	uint64_t g = func_node("g"), gfh = func_open(g, O_RDWR);

	ok(set(posix(1, F_WRLCK, 0, 0)));
	ok(set((struct guest_lock){ g, gfh, 2, ALL, F_RDLCK, 0 }));
	ok(set(posix(3, F_RDLCK, 2, 2)));
	ask_and_wait(0, (struct guest_lock){ g, gfh, 1, 9, 9, F_WRLCK, 0 });
	ask_and_wait(1, posix(2, F_WRLCK, 2, 2));
	ask(2, posix(3, F_RDLCK, 0, 0));
	fails(answer(2), EDEADLK);
	ok(set(posix(3, F_UNLCK, ALL)));
	ok(answer(1));
	ok(set((struct guest_lock){ g, gfh, 2, ALL, F_UNLCK, 0 }));
	ok(answer(0));
	lockers_end();
}
END_TEST

START_TEST(upgrade_by_both_readers_is_a_circle)
{
	lockers_start();
	ok(set(posix(1, F_RDLCK, ALL)));
	ok(set(posix(2, F_RDLCK, ALL)));
	ask_and_wait(0, posix(1, F_WRLCK, ALL));
	ask(1, posix(2, F_WRLCK, ALL));
	fails(answer(1), EDEADLK);
	ok(set(posix(2, F_UNLCK, ALL)));
	ok(answer(0));
	lockers_end();
}
END_TEST

START_TEST(waiting_in_a_row_is_no_circle)
{
	lockers_start();
	for (unsigned int i = 0; i < LOCKERS; i++)
		ok(set(posix(1 + i, F_WRLCK, i, i)));
	/* each for the next; the last one for a lock that is not one of them */
	ok(set(posix(90, F_WRLCK, 90, 90)));
	ask_and_wait(LOCKERS - 1, posix(LOCKERS, F_WRLCK, 90, 90));
	for (unsigned int i = 0; i < LOCKERS - 1; i++)
		ask_and_wait(i, posix(1 + i, F_WRLCK, i + 1, i + 1));
	ok(set(posix(90, F_UNLCK, ALL)));
	for (unsigned int i = LOCKERS; i-- > 0;) {
		ok(answer(i));
		ok(set(posix(1 + i, F_UNLCK, ALL)));
	}
	lockers_end();
}
END_TEST

/* Two threads of owner 1: one holds on to what owner 2 wants, the other waits for owner 2. That
 * comes about by a grant, not by a new wait. */
START_TEST(circle_that_a_grant_closes_is_found)
{
	lockers_start();
	ok(set(posix(2, F_WRLCK, 2, 2)));
	ok(set(posix(3, F_WRLCK, 0, 0)));
	ask_and_wait(0, posix(1, F_WRLCK, 2, 2));
	ask_and_wait(1, posix(1, F_WRLCK, 0, 0));
	ask_and_wait(2, posix(2, F_WRLCK, 0, 0));
	ok(set(posix(3, F_UNLCK, ALL)));
	ok(answer(1));
	fails(answer(2), EDEADLK);
	expect_waiting(0);
	ok(set(posix(1, F_UNLCK, ALL)));
	/* now what one gets who does not wait at all */
	ok(set(posix(3, F_WRLCK, 0, 0)));
	ask_and_wait(2, posix(2, F_WRLCK, 0, 1));
	ok(set(posix(1, F_WRLCK, 1, 1)));
	fails(answer(2), EDEADLK);
	ok(set(posix(2, F_UNLCK, ALL)));
	ok(answer(0));
	lockers_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("lock_wait", argc, argv);
	func_test(free_lock_is_granted_at_once);
	func_test(unlock_wakes);
	func_test(downgrade_wakes_readers);
	func_test(flush_of_the_holder_wakes);
	func_test(release_of_the_holder_wakes);
	func_test(flock_waits_too);
	func_test(first_come_first_served);
	func_test(what_is_free_is_granted_past_those_who_wait);
	func_test(waiters_delay_nobody);
	func_test(locks_of_the_host_are_waited_for);
	func_test(flock_of_the_host_is_waited_for);
	func_test(host_may_be_in_the_way_after_the_guest);
	func_test(nobody_wakes_up_when_nobody_waits);
	func_test(two_machines_on_one_share);
	func_test(circle_of_two_is_refused);
	func_test(circle_of_three_over_two_files_is_refused);
	func_test(upgrade_by_both_readers_is_a_circle);
	func_test(waiting_in_a_row_is_no_circle);
	func_test(circle_that_a_grant_closes_is_found);
	return func_done();
}
