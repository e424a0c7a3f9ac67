/* SPDX-License-Identifier: BSD-3-Clause */
/* POSIX locks and flock that do not wait (row 29). */
#include <fcntl.h>
#include <sys/file.h>

#include "func.h"

#define ALL 0, GUEST_LOCK_END

static const char *const both[] = { "-o", "posix_lock,flock", NULL };
static const char *const only_posix[] = { "-o", "flock,posix_lock,no_flock", NULL };
static const char *const only_flock[] = { "-o", "posix_lock,flock,no_posix_lock", NULL };

static uint64_t node, fh;

static void start(const char *const *args)
{
	func_start_with(args, NULL);
	host_text("f", "0123456789");
	node = func_node("f");
	fh = func_open(node, O_RDWR);
}

static int lock(uint64_t owner, uint32_t type, uint64_t first, uint64_t last)
{
	return guest_setlk(&fx.g, &(struct guest_lock){ node, fh, owner, first, last, type, 0 });
}

static int lock_flock(uint64_t by, uint32_t type)
{
	return guest_setlk(&fx.g, &(struct guest_lock){ node, by, 7, ALL, type, FUSE_LK_FLOCK });
}

static struct fuse_file_lock get(uint64_t owner, uint32_t type, uint64_t first, uint64_t last)
{
	struct guest_lock l = { node, fh, owner, first, last, type, 0 };
	struct fuse_file_lock held;

	ok(guest_getlk(&fx.g, &l, &held));
	return held;
}

/* A process of the host tries the same; the lock is gone again when this returns. */
static bool host_gets(short type, off_t first, off_t len)
{
	struct flock l = { .l_type = type, .l_start = first, .l_len = len };
	int fd = host(open(host_path("f"), O_RDWR | O_CLOEXEC));
	bool got = fcntl(fd, F_OFD_SETLK, &l) == 0;

	close(fd);
	return got;
}

static bool host_gets_flock(int how)
{
	int fd = host(open(host_path("f"), O_RDWR | O_CLOEXEC));
	bool got = flock(fd, how | LOCK_NB) == 0;

	close(fd);
	return got;
}

START_TEST(guest_has_its_locks_to_itself_unless_it_is_asked_otherwise)
{
	struct fuse_file_lock held;
	struct guest_lock l = { .type = F_RDLCK, .end = 1 };

	start(NULL);
	l.node = node;
	l.fh = fh;
	ck_assert(!(fx.init.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS)));
	fails(lock(1, F_WRLCK, ALL), ENOSYS);
	fails(guest_setlkw(&fx.g, &l), ENOSYS);
	fails(guest_getlk(&fx.g, &l, &held), ENOSYS);
	fails(lock_flock(fh, F_WRLCK), ENOSYS);
	func_end();
}
END_TEST

START_TEST(each_kind_has_an_option_and_the_last_one_counts)
{
	start(only_posix);
	ck_assert(fx.init.flags & FUSE_POSIX_LOCKS);
	ck_assert(!(fx.init.flags & FUSE_FLOCK_LOCKS));
	ok(lock(1, F_WRLCK, ALL));
	fails(lock_flock(fh, F_WRLCK), ENOSYS);
	func_end();

	start(only_flock);
	ck_assert(fx.init.flags & FUSE_FLOCK_LOCKS);
	ck_assert(!(fx.init.flags & FUSE_POSIX_LOCKS));
	fails(lock(1, F_WRLCK, ALL), ENOSYS);
	ok(lock_flock(fh, F_WRLCK));
	func_end();
}
END_TEST

START_TEST(guest_that_does_not_offer_locks_has_none)
{
	func_start_daemon(both);
	func_connect(NULL);
	ok(guest_init(&fx.g, GUEST_MINOR,
		      GUEST_INIT_FLAGS & ~(uint64_t)(FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS),
		      &fx.init));
	host_text("f", "");
	node = func_node("f");
	fh = func_open(node, O_RDWR);
	ck_assert(!(fx.init.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS)));
	fails(lock(1, F_WRLCK, ALL), ENOSYS);
	fails(lock_flock(fh, F_WRLCK), ENOSYS);
	func_end();
}
END_TEST

START_TEST(owners_exclude_each_other_and_hosts_processes)
{
	start(both);
	ok(lock(1, F_WRLCK, 0, 9));
	ok(lock(1, F_WRLCK, 0, 9));
	fails(lock(2, F_WRLCK, 5, 20), EAGAIN);
	fails(lock(2, F_RDLCK, 9, 9), EAGAIN);
	ok(lock(2, F_WRLCK, 10, 20));
	ck_assert(!host_gets(F_WRLCK, 0, 1));
	ck_assert(!host_gets(F_RDLCK, 20, 1));
	ck_assert(host_gets(F_WRLCK, 21, 0));
	ok(lock(1, F_UNLCK, 0, 9));
	ck_assert(host_gets(F_WRLCK, 0, 10));
	ok(lock(2, F_WRLCK, 0, 9));
	ok(lock(3, F_UNLCK, ALL));
	func_end();
}
END_TEST

START_TEST(readers_share_and_writers_do_not)
{
	start(both);
	ok(lock(1, F_RDLCK, ALL));
	ok(lock(2, F_RDLCK, ALL));
	ck_assert(host_gets(F_RDLCK, 0, 0));
	ck_assert(!host_gets(F_WRLCK, 0, 0));
	/* an upgrade that is not to be had leaves what there is */
	fails(lock(1, F_WRLCK, 3, 5), EAGAIN);
	fails(lock(3, F_WRLCK, 3, 5), EAGAIN);
	ok(lock(2, F_UNLCK, ALL));
	fails(lock(3, F_WRLCK, 3, 5), EAGAIN);
	ok(lock(1, F_WRLCK, 3, 5));
	fails(lock(2, F_RDLCK, 4, 4), EAGAIN);
	ok(lock(2, F_RDLCK, 6, 6));
	/* a downgrade lets readers in again */
	ok(lock(1, F_RDLCK, 4, 4));
	ok(lock(2, F_RDLCK, 4, 4));
	fails(lock(2, F_RDLCK, 3, 3), EAGAIN);
	fails(lock(2, F_RDLCK, 5, 5), EAGAIN);
	func_end();
}
END_TEST

START_TEST(unlocking_the_middle_leaves_both_ends)
{
	start(both);
	ok(lock(1, F_WRLCK, 0, 99));
	ok(lock(1, F_UNLCK, 40, 59));
	ok(lock(2, F_WRLCK, 40, 59));
	fails(lock(2, F_WRLCK, 39, 39), EAGAIN);
	fails(lock(2, F_WRLCK, 60, 60), EAGAIN);
	ck_assert(!host_gets(F_RDLCK, 0, 40));
	ck_assert(!host_gets(F_RDLCK, 60, 40));
	ok(lock(2, F_UNLCK, ALL));
	ck_assert(host_gets(F_WRLCK, 40, 20));
	func_end();
}
END_TEST

START_TEST(getlk_says_who_holds_what)
{
	struct fuse_file_lock held;

	start(both);
	fx.g.pid = 1234;
	ok(lock(1, F_WRLCK, 10, 19));
	fx.g.pid = 77;
	ok(lock(2, F_RDLCK, 30, GUEST_LOCK_END));
	held = get(3, F_RDLCK, 0, 9);
	ck_assert_uint_eq(held.type, F_UNLCK);
	held = get(3, F_RDLCK, 15, 25);
	ck_assert_uint_eq(held.type, F_WRLCK);
	ck_assert_uint_eq(held.start, 10);
	ck_assert_uint_eq(held.end, 19);
	ck_assert_uint_eq(held.pid, 1234);
	held = get(3, F_RDLCK, 30, 40);
	ck_assert_uint_eq(held.type, F_UNLCK);
	held = get(3, F_WRLCK, 25, 40);
	ck_assert_uint_eq(held.type, F_RDLCK);
	ck_assert_uint_eq(held.start, 30);
	ck_assert_uint_eq(held.end, GUEST_LOCK_END);
	ck_assert_uint_eq(held.pid, 77);
	/* the first of them, and nobody is in one's own way */
	held = get(3, F_WRLCK, ALL);
	ck_assert_uint_eq(held.start, 10);
	held = get(1, F_WRLCK, 0, 29);
	ck_assert_uint_eq(held.type, F_UNLCK);
	func_end();
}
END_TEST

START_TEST(getlk_and_setlk_see_locks_of_the_host)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = 100, .l_len = 50 };
	struct fuse_file_lock held;

	start(both);

	int fd = host(open(host_path("f"), O_RDWR | O_CLOEXEC));

	host(fcntl(fd, F_SETLK, &l));
	fails(lock(1, F_RDLCK, 120, 120), EAGAIN);
	/* first without anything of one's own there, then with */
	for (int i = 0; i < 2; i++) {
		held = get(1, F_RDLCK, ALL);
		ck_assert_uint_eq(held.type, F_WRLCK);
		ck_assert_uint_eq(held.start, 100);
		ck_assert_uint_eq(held.end, 149);
		/* no process of the guest */
		ck_assert_uint_eq(held.pid, 0);
		ok(lock(1, F_WRLCK, 0, 99));
		fails(lock(1, F_WRLCK, 0, 100), EAGAIN);
	}
	close(fd);
	ok(lock(1, F_WRLCK, ALL));
	func_end();
}
END_TEST

START_TEST(flush_releases_what_its_owner_has_on_that_file)
{
	start(both);
	host_text("g", "");

	uint64_t other = func_node("g"), other_fh = func_open(other, O_RDWR);

	ok(lock(1, F_WRLCK, 0, 9));
	ok(lock(2, F_WRLCK, 10, 19));
	ok(guest_setlk(&fx.g, &(struct guest_lock){ other, other_fh, 1, ALL, F_WRLCK, 0 }));

	int fds = daemon_fds(&fx.d);

	ok(guest_flush_owner(&fx.g, node, fh, 3));
	fails(lock(3, F_WRLCK, 0, 9), EAGAIN);
	ok(guest_flush_owner(&fx.g, node, fh, 1));
	ck_assert_int_eq(daemon_fds(&fx.d), fds - 1);
	ck_assert(host_gets(F_WRLCK, 0, 10));
	ck_assert(!host_gets(F_WRLCK, 10, 10));
	fails(guest_setlk(&fx.g, &(struct guest_lock){ other, other_fh, 2, 5, 5, F_RDLCK, 0 }),
	      EAGAIN);
	func_end();
}
END_TEST

/* Its owner is the open file itself: nothing but RELEASE says that it is gone. */
START_TEST(release_drops_locks_of_the_open_file)
{
	start(both);

	uint64_t second = func_open(node, O_RDWR);

	ok(guest_setlk(&fx.g, &(struct guest_lock){ node, second, 99, 0, 9, F_WRLCK, 0 }));
	ok(lock(1, F_WRLCK, 10, 19));
	ok(guest_flush_owner(&fx.g, node, second, 5));
	ok(guest_release(&fx.g, node, second));
	ck_assert(host_gets(F_WRLCK, 0, 10));
	ck_assert(!host_gets(F_WRLCK, 10, 10));
	ok(lock(1, F_WRLCK, ALL));
	func_end();
}
END_TEST

START_TEST(flock_is_between_open_files)
{
	start(both);

	uint64_t second = func_open(node, O_RDONLY), third = func_open(node, O_RDWR);

	ok(lock_flock(fh, F_RDLCK));
	ok(lock_flock(second, F_RDLCK));
	ck_assert(host_gets_flock(LOCK_SH));
	ck_assert(!host_gets_flock(LOCK_EX));
	fails(lock_flock(third, F_WRLCK), EAGAIN);
	ok(lock_flock(second, F_UNLCK));
	fails(lock_flock(third, F_WRLCK), EAGAIN);
	ok(lock_flock(fh, F_WRLCK));
	fails(lock_flock(second, F_RDLCK), EAGAIN);
	ck_assert(!host_gets_flock(LOCK_SH));
	/* the other kind of lock is another matter */
	ok(lock(1, F_WRLCK, ALL));
	/* downgrade */
	ok(lock_flock(fh, F_RDLCK));
	ok(lock_flock(second, F_RDLCK));
	func_end();
}
END_TEST

/* As on the host: it is given up before the new one is tried for. */
START_TEST(flock_that_cannot_be_changed_is_lost)
{
	start(both);

	uint64_t second = func_open(node, O_RDWR);

	ok(lock_flock(fh, F_RDLCK));
	ok(lock_flock(second, F_RDLCK));
	fails(lock_flock(fh, F_WRLCK), EAGAIN);
	ok(lock_flock(second, F_WRLCK));
	fails(lock_flock(fh, F_RDLCK), EAGAIN);
	func_end();
}
END_TEST

START_TEST(release_unlocks_flock)
{
	start(both);

	uint64_t second = func_open(node, O_RDWR);

	ok(lock_flock(fh, F_WRLCK));
	fails(lock_flock(second, F_WRLCK), EAGAIN);
	/* a close of one of several descriptors is none of its business */
	ok(guest_flush_owner(&fx.g, node, fh, 1));
	fails(lock_flock(second, F_WRLCK), EAGAIN);
	ok(guest_release_flock(&fx.g, node, fh, 7));
	ck_assert(host_gets_flock(LOCK_EX));
	ok(lock_flock(second, F_WRLCK));
	func_end();
}
END_TEST

START_TEST(nonsense_is_refused)
{
	struct fuse_file_lock held;
	struct fuse_open_out dir;
	struct guest_lock l;

	start(both);
	fails(lock(1, 7, 0, 1), EINVAL);
	fails(lock(1, F_RDLCK, 2, 1), EINVAL);
	fails(lock(1, F_RDLCK, 0, UINT64_MAX), EINVAL);
	fails(lock(1, F_RDLCK, 1ULL << 63, 1ULL << 63), EINVAL);
	ok(lock(1, F_RDLCK, GUEST_LOCK_END, GUEST_LOCK_END));

	l = (struct guest_lock){ node, fh, 1, ALL, F_UNLCK, 0 };
	fails(guest_getlk(&fx.g, &l, &held), EINVAL);
	l = (struct guest_lock){ node, fh, 1, ALL, F_WRLCK, FUSE_LK_FLOCK };
	fails(guest_getlk(&fx.g, &l, &held), EINVAL);

	ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &dir));
	l = (struct guest_lock){ node, dir.fh, 1, ALL, F_WRLCK, 0 };
	fails(guest_setlk(&fx.g, &l), EBADF);
	l = (struct guest_lock){ node, fh + 1, 1, ALL, F_WRLCK, 0 };
	fails(guest_setlk(&fx.g, &l), EBADF);
	l = (struct guest_lock){ node + 1, fh, 1, ALL, F_WRLCK, 0 };
	fails(guest_setlk(&fx.g, &l), EBADF);
	func_end();
}
END_TEST

START_TEST(locks_leave_no_descriptor_behind)
{
	start(both);
	ok(lock(1, F_WRLCK, 0, 0));
	ok(lock(1, F_UNLCK, ALL));

	int fds = daemon_fds(&fx.d);

	for (uint64_t owner = 1; owner <= 50; owner++)
		ok(lock(owner, F_WRLCK, owner * 10, owner * 10 + 5));
	ck_assert_int_eq(daemon_fds(&fx.d), fds + 50);
	/* one that is refused has none */
	fails(lock(51, F_WRLCK, 10, 10), EAGAIN);
	ck_assert_int_eq(daemon_fds(&fx.d), fds + 50);
	for (uint64_t owner = 1; owner <= 25; owner++)
		ok(lock(owner, F_UNLCK, ALL));
	ck_assert_int_eq(daemon_fds(&fx.d), fds + 25);
	/* what is left goes with the node */
	ok(guest_forget(&fx.g, node, 1));
	ck_assert_int_lt(daemon_fds_settle(&fx.d, fds, 2000), fds + 1);
	func_end();
}
END_TEST

START_TEST(new_session_has_no_locks)
{
	start(both);
	ok(lock(1, F_WRLCK, ALL));
	ok(lock_flock(fh, F_WRLCK));
	func_init_session();
	ck_assert(host_gets(F_WRLCK, 0, 0));
	ck_assert(host_gets_flock(LOCK_EX));
	node = func_node("f");
	fh = func_open(node, O_RDWR);
	ok(lock(2, F_WRLCK, ALL));
	ok(lock_flock(fh, F_WRLCK));
	ok(guest_destroy(&fx.g));
	ck_assert(host_gets(F_WRLCK, 0, 0));
	ck_assert(host_gets_flock(LOCK_EX));
	func_end();
}
END_TEST

START_TEST(files_that_can_only_be_read_can_be_read_locked)
{
	static const char *const args[] = { "-o", "posix_lock", "--readonly", NULL };

	func_start_daemon(args);
	host_text("f", "x");
	func_connect(NULL);
	func_init_session();
	node = func_node("f");
	fh = func_open(node, O_RDONLY);
	ok(lock(1, F_RDLCK, ALL));
	ck_assert(!host_gets(F_WRLCK, 0, 0));
	ok(lock(1, F_UNLCK, ALL));
	ck_assert(host_gets(F_WRLCK, 0, 0));
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("lock", argc, argv);
	func_test(guest_has_its_locks_to_itself_unless_it_is_asked_otherwise);
	func_test(each_kind_has_an_option_and_the_last_one_counts);
	func_test(guest_that_does_not_offer_locks_has_none);
	func_test(owners_exclude_each_other_and_hosts_processes);
	func_test(readers_share_and_writers_do_not);
	func_test(unlocking_the_middle_leaves_both_ends);
	func_test(getlk_says_who_holds_what);
	func_test(getlk_and_setlk_see_locks_of_the_host);
	func_test(flush_releases_what_its_owner_has_on_that_file);
	func_test(release_drops_locks_of_the_open_file);
	func_test(flock_is_between_open_files);
	func_test(flock_that_cannot_be_changed_is_lost);
	func_test(release_unlocks_flock);
	func_test(nonsense_is_refused);
	func_test(locks_leave_no_descriptor_behind);
	func_test(new_session_has_no_locks);
	func_test(files_that_can_only_be_read_can_be_read_locked);
	return func_done();
}
