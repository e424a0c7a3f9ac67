/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Attributes: SETATTR and GETATTR, READLINK, STATFS, special files, caching times (rows 12, 13,
 * 25, 28). What the guest is told is compared with what the host shows.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>

#include "func.h"

/* --- SETATTR --- */

START_TEST(mode_is_set)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = S_IFREG | 0640 };
	struct fuse_attr_out a;

	func_start();
	host_text("f", "x");
	host(mkdir(host_path("d"), 0755));

	uint64_t n = func_node("f");

	ok(guest_setattr(&fx.g, n, &in, &a));
	ck_assert_uint_eq(host_stat("f").st_mode, S_IFREG | 0640);

	struct stat st = host_stat("f");

	func_attr_is(&a.attr, &st);
	ok(guest_chmod(&fx.g, n, 06711));
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 06711);
	ok(guest_chmod(&fx.g, func_node("d"), 01777));
	ck_assert_uint_eq(host_stat("d").st_mode & 07777, 01777);

	in.valid |= FATTR_FH;
	in.fh = func_open(n, O_RDWR);
	in.mode = 0600;
	ok(guest_setattr(&fx.g, n, &in, &a));
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 0600);
	func_end();
}
END_TEST

START_TEST(owner_and_group_are_set_one_by_one)
{
	func_need_root();
	func_start();
	host_text("f", "x");
	host(symlink("f", host_path("l")));

	uint64_t n = func_node("f");

	ok(guest_chown(&fx.g, n, 1234, 5678));
	ck_assert_uint_eq(host_stat("f").st_uid, 1234);
	ck_assert_uint_eq(host_stat("f").st_gid, 5678);
	ok(guest_chown(&fx.g, n, 1, -1));
	ck_assert_uint_eq(host_stat("f").st_uid, 1);
	ck_assert_uint_eq(host_stat("f").st_gid, 5678);
	ok(guest_chown(&fx.g, n, -1, 2));
	ck_assert_uint_eq(host_stat("f").st_uid, 1);
	ck_assert_uint_eq(host_stat("f").st_gid, 2);

	/* a link's own owner, not its target's */
	ok(guest_chown(&fx.g, func_node("l"), 77, 88));
	ck_assert_uint_eq(host_stat("l").st_uid, 77);
	ck_assert_uint_eq(host_stat("f").st_uid, 1);
	func_end();
}
END_TEST

START_TEST(setattr_of_nothing_is_a_change)
{
	struct fuse_setattr_in in = { 0 };
	struct fuse_attr_out out;

	func_start();
	host_text("f", "x");

	uint64_t n = func_node("f");
	struct stat before = host_stat("f"), after;

	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	ok(guest_setattr(&fx.g, n, &in, &out));
	after = host_stat("f");
	ck_assert_mem_ne(&after.st_ctim, &before.st_ctim, sizeof(after.st_ctim));
	ck_assert_mem_eq(&after.st_mtim, &before.st_mtim, sizeof(after.st_mtim));
	ck_assert_uint_eq(after.st_uid, before.st_uid);
	func_end();
}
END_TEST

START_TEST(size_is_set_by_node_and_by_handle)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_FH, .size = 7 };
	struct fuse_attr_out a;

	func_start();
	host_text("f", "0123456789");

	uint64_t n = func_node("f");

	ok(guest_truncate(&fx.g, n, 5));
	ck_assert_int_eq(host_stat("f").st_size, 5);
	ok(guest_truncate(&fx.g, n, 5ull << 30));
	ck_assert_int_eq(host_stat("f").st_size, 5ll << 30);
	in.fh = func_open(n, O_RDWR);
	ok(guest_setattr(&fx.g, n, &in, &a));
	ck_assert_int_eq(host_stat("f").st_size, 7);
	ck_assert_uint_eq(a.attr.size, 7);
	fails(guest_truncate(&fx.g, n, UINT64_MAX), EINVAL);
	ck_assert_int_eq(host_stat("f").st_size, 7);
	func_end();
}
END_TEST

START_TEST(size_of_what_has_none_is_an_error)
{
	func_start();
	host(mkdir(host_path("d"), 0755));
	host(mkfifo(host_path("p"), 0600));
	host(symlink("f", host_path("l")));
	host_text("f", "target");
	fails(guest_truncate(&fx.g, func_node("d"), 0), EISDIR);
	ck_assert_int_lt(guest_truncate(&fx.g, func_node("p"), 0), 0);
	ck_assert_int_lt(guest_truncate(&fx.g, func_node("l"), 0), 0);
	ck_assert_int_eq(host_stat("f").st_size, 6);
	func_end();
}
END_TEST

START_TEST(times_are_set_to_the_nanosecond)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_ATIME | FATTR_MTIME,
		.atime = 1000000000, .atimensec = 123456789,
		.mtime = 2000000000, .mtimensec = 987654321,
	};
	struct fuse_attr_out a;

	func_start();
	host_text("f", "x");
	host(symlink("f", host_path("l")));

	uint64_t n = func_node("f");

	ok(guest_setattr(&fx.g, n, &in, &a));

	struct stat st = host_stat("f");

	ck_assert_int_eq(st.st_atim.tv_sec, 1000000000);
	ck_assert_int_eq(st.st_atim.tv_nsec, 123456789);
	ck_assert_int_eq(st.st_mtim.tv_sec, 2000000000);
	ck_assert_int_eq(st.st_mtim.tv_nsec, 987654321);
	func_attr_is(&a.attr, &st);

	/* one of the two, before the epoch */
	in.valid = FATTR_MTIME;
	in.mtime = -5;
	in.mtimensec = 1;
	ok(guest_setattr(&fx.g, n, &in, NULL));
	st = host_stat("f");
	ck_assert_int_eq(st.st_atim.tv_nsec, 123456789);
	ck_assert_int_eq(st.st_mtim.tv_sec, -5);
	ck_assert_int_eq(st.st_mtim.tv_nsec, 1);

	/* a symlink's own */
	in.mtime = 12345;
	ok(guest_setattr(&fx.g, func_node("l"), &in, NULL));
	ck_assert_int_eq(host_stat("l").st_mtim.tv_sec, 12345);
	ck_assert_int_eq(host_stat("f").st_mtim.tv_sec, -5);
	func_end();
}
END_TEST

START_TEST(times_are_set_to_now)
{
	struct fuse_setattr_in in = { .valid = FATTR_ATIME | FATTR_ATIME_NOW | FATTR_MTIME |
					       FATTR_MTIME_NOW };
	struct timespec old[2] = { { 1, 0 }, { 1, 0 } };

	func_start();
	host_text("f", "x");
	host(utimensat(AT_FDCWD, host_path("f"), old, 0));
	ok(guest_setattr(&fx.g, func_node("f"), &in, NULL));

	struct stat st = host_stat("f");

	ck_assert_int_le(time(NULL) - st.st_atim.tv_sec, 20);
	ck_assert_int_le(time(NULL) - st.st_mtim.tv_sec, 20);
	func_end();
}
END_TEST

START_TEST(setattr_of_several_things_at_once)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME,
		.mode = 0604, .size = 2, .mtime = 1234567, .mtimensec = 5,
	};
	struct fuse_attr_out a;

	func_start();
	host_text("f", "hello");
	ok(guest_setattr(&fx.g, func_node("f"), &in, &a));

	struct stat st = host_stat("f");

	ck_assert_uint_eq(st.st_mode & 07777, 0604);
	ck_assert_int_eq(st.st_size, 2);
	ck_assert_int_eq(st.st_mtim.tv_sec, 1234567);
	func_attr_is(&a.attr, &st);
	func_end();
}
END_TEST

START_TEST(wrong_handles_are_ebadf_in_getattr_and_setattr)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_FH, .fh = 4711 };
	struct fuse_attr_out a;
	struct fuse_open_out o;

	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f"), fh = func_open(n, O_RDWR);

	fails(guest_setattr(&fx.g, n, &in, NULL), EBADF);
	ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &o));
	in.fh = o.fh;
	fails(guest_setattr(&fx.g, n, &in, NULL), EBADF);
	ok(guest_release(&fx.g, n, fh));
	in.fh = fh;
	fails(guest_setattr(&fx.g, n, &in, NULL), EBADF);
	ck_assert_int_eq(host_stat("f").st_size, 5);
	ok(guest_getattr(&fx.g, n, GUEST_NO_FH, &a));
	func_end();
}
END_TEST

START_TEST(getattr_by_handle)
{
	struct fuse_attr_out a;

	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f"), fh = func_open(n, O_RDONLY);
	struct stat st = host_stat("f");

	ok(guest_getattr(&fx.g, n, fh, &a));
	func_attr_is(&a.attr, &st);
	func_end();
}
END_TEST

/* --- READLINK, STATFS, special files --- */

START_TEST(readlink_gives_the_target_to_the_byte)
{
	char target[4096], buf[8192];

	func_start();
	memset(target, 't', sizeof(target));
	target[4095] = '\0';
	host(symlink(target, host_path("long")));
	host(symlink("x", host_path("short")));
	host_text("file", "x");
	ck_assert_int_eq(ok(guest_readlink(&fx.g, func_node("long"), buf, sizeof(buf))), 4095);
	ck_assert_mem_eq(buf, target, 4095);
	ck_assert_int_eq(ok(guest_readlink(&fx.g, func_node("short"), buf, sizeof(buf))), 1);
	fails(guest_readlink(&fx.g, func_node("file"), buf, sizeof(buf)), EINVAL);
	fails(guest_readlink(&fx.g, FUSE_ROOT_ID, buf, sizeof(buf)), EINVAL);
	func_end();
}
END_TEST

START_TEST(statfs_tells_what_the_host_shows)
{
	struct fuse_statfs_out s;
	struct statvfs v;

	func_start();
	host_text("f", "x");
	ok(guest_statfs(&fx.g, FUSE_ROOT_ID, &s));
	host(statvfs(fx.d.share, &v));
	ck_assert_uint_eq(s.st.blocks * s.st.frsize, v.f_blocks * v.f_frsize);
	ck_assert_uint_eq(s.st.files, v.f_files);
	ck_assert_uint_eq(s.st.namelen, v.f_namemax);
	ck_assert_uint_gt(s.st.bsize, 0);
	ck_assert_uint_eq(s.st.frsize, s.st.bsize);
	ok(guest_statfs(&fx.g, func_node("f"), &s));
	func_end();
}
END_TEST

static void never_opens(const char *name)
{
	struct fuse_open_out o;
	static const uint32_t flags[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_NONBLOCK,
					  O_WRONLY | O_TRUNC };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		int r = guest_open(&fx.g, func_node(name), flags[i], &o);

		ck_assert_msg(r < 0 && r != -ENOSYS && r != -ETIMEDOUT, "%s: %d", name, r);
	}
	ck_assert_int_lt(guest_opendir(&fx.g, func_node(name), &o), 0);
	ck_assert_int_lt(guest_truncate(&fx.g, func_node(name), 0), 0);
	guest_fsync(&fx.g, func_node(name), GUEST_NO_FH, false);
	ck_assert_int_eq(daemon_opened(&fx.d, host_path(name)), 0);
}

START_TEST(special_files_are_never_opened)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	func_start();
	host(mkfifo(host_path("fifo"), 0666));

	int s = host(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", host_path("sock"));
	host(bind(s, (struct sockaddr *)&sa, sizeof(sa)));
	host(symlink("/dev/null", host_path("link")));
	never_opens("fifo");
	never_opens("sock");
	never_opens("link");
	ck_assert_int_eq(open(host_path("fifo"), O_WRONLY | O_NONBLOCK | O_CLOEXEC), -1);
	func_end();
}
END_TEST

START_TEST(device_nodes_are_never_opened)
{
	func_need_root();
	func_start();
	host(mknod(host_path("null"), S_IFCHR | 0666, makedev(1, 3)));
	host(mknod(host_path("ram"), S_IFBLK | 0666, makedev(7, 200)));
	never_opens("null");
	never_opens("ram");
	func_end();
}
END_TEST

/* --- caching times --- */

static void expect_timeout(const char *cache, uint64_t seconds)
{
	struct fuse_entry_out e;
	struct fuse_attr_out a;

	func_start_with((const char *[]){ cache, NULL }, NULL);
	host_text("f", "x");
	e = func_entry("f");
	ck_assert_msg(e.entry_valid == seconds && e.attr_valid == seconds, "%s: %llu %llu", cache,
		      (unsigned long long)e.entry_valid, (unsigned long long)e.attr_valid);
	ok(guest_getattr(&fx.g, e.nodeid, GUEST_NO_FH, &a));
	ck_assert_uint_eq(a.attr_valid, seconds);
	ck_assert_uint_eq(a.attr_valid_nsec, 0);
	func_end();
}

START_TEST(cache_policy_says_how_long_the_guest_may_keep)
{
	expect_timeout("--cache=never", 0);
	expect_timeout("--cache=auto", 1);
	expect_timeout("--cache=always", 86400);
	expect_timeout("--cache=metadata", 86400);
}
END_TEST

static void expect_open_flags(const char *cache, uint32_t file, uint32_t dir)
{
	struct fuse_open_out o;

	func_start_with((const char *[]){ cache, NULL }, NULL);
	host_text("f", "x");
	ok(guest_open(&fx.g, func_node("f"), O_RDONLY, &o));
	ck_assert_msg((o.open_flags & (FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE)) == file,
		      "%s, file: %#x", cache, o.open_flags);
	ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &o));
	ck_assert_msg((o.open_flags & (FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE)) == dir,
		      "%s, directory: %#x", cache, o.open_flags);
	func_end();
}

START_TEST(cache_policy_says_how_files_are_cached)
{
	expect_open_flags("--cache=never", FOPEN_DIRECT_IO, 0);
	expect_open_flags("--cache=auto", 0, 0);
	expect_open_flags("--cache=always", FOPEN_KEEP_CACHE, FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR);
	expect_open_flags("--cache=metadata", FOPEN_DIRECT_IO,
			  FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR);
}
END_TEST

int main(int argc, char **argv)
{
	func_init("attr", argc, argv);
	func_test(mode_is_set);
	func_test(owner_and_group_are_set_one_by_one);
	func_test(setattr_of_nothing_is_a_change);
	func_test(size_is_set_by_node_and_by_handle);
	func_test(size_of_what_has_none_is_an_error);
	func_test(times_are_set_to_the_nanosecond);
	func_test(times_are_set_to_now);
	func_test(setattr_of_several_things_at_once);
	func_test(wrong_handles_are_ebadf_in_getattr_and_setattr);
	func_test(getattr_by_handle);
	func_test(readlink_gives_the_target_to_the_byte);
	func_test(statfs_tells_what_the_host_shows);
	func_test(special_files_are_never_opened);
	func_test(device_nodes_are_never_opened);
	func_test(cache_policy_says_how_long_the_guest_may_keep);
	func_test(cache_policy_says_how_files_are_cached);
	return func_done();
}
