/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --readonly is the daemon's doing, whatever the guest's kernel thinks of its mount: every
 * request that would change something is EROFS, and the host's tree stays as it was.
 */
#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID

static char buf[8192];

/* --- everything about a tree but the times of reading it, as one number --- */

static uint64_t sum;

static void add(const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
}

static int add_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	struct stat s = *st;
	char all[8192];
	ssize_t n = llistxattr(path, all, sizeof(all));
	int flags = 0;

	memset(&s.st_atim, 0, sizeof(s.st_atim));
	add(path, strlen(path));
	add(&s, sizeof(s));
	if (n > 0)
		add(all, n);
	if (S_ISREG(st->st_mode)) {
		int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);

		n = read(fd, all, sizeof(all));
		if (n > 0)
			add(all, n);
		(void)ioctl(fd, FS_IOC_GETFLAGS, &flags);
		add(&flags, sizeof(flags));
		close(fd);
	}
	return 0;
}

static uint64_t fingerprint(void)
{
	sum = 0xcbf29ce484222325;
	nftw(fx.d.share, add_file, 16, FTW_PHYS);
	return sum;
}

static void start(const char *more)
{
	struct daemon_opts o = {
		.args = (const char *[]){ "--readonly", "--xattr", "--killpriv-v2",
					  "--posix-acl=auto", more, NULL },
	};

	ok(daemon_prepare(&fx.d));
	host_text("f", "hello");
	host(lsetxattr(host_path("f"), "user.a", "1", 1, 0));
	host(mkdir(host_path("d"), 0777));
	host_text("d/x", "x");
	host(symlink("f", host_path("l")));
	host(mkdir(host_path("empty"), 0777));
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
}

START_TEST(names_stay_as_they_are)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	start(NULL);

	uint64_t before = fingerprint(), f = func_node("f"), d = func_node("d");

	fails(guest_mkdir(&fx.g, ROOT, "new", 0755, 0, &e), EROFS);
	fails(guest_mkdir(&fx.g, d, "new", 0755, 0, &e), EROFS);
	fails(guest_mknod(&fx.g, ROOT, "new", S_IFREG | 0644, 0, 0, &e), EROFS);
	fails(guest_mknod(&fx.g, ROOT, "new", S_IFIFO | 0644, 0, 0, &e), EROFS);
	fails(guest_symlink(&fx.g, ROOT, "new", "f", &e), EROFS);
	fails(guest_link(&fx.g, f, d, "new", &e), EROFS);
	fails(guest_unlink(&fx.g, ROOT, "f"), EROFS);
	fails(guest_rmdir(&fx.g, ROOT, "empty"), EROFS);
	fails(guest_rename(&fx.g, ROOT, "f", d, "new"), EROFS);
	fails(guest_rename2(&fx.g, ROOT, "f", d, "new", 0), EROFS);
	fails(guest_rename2(&fx.g, ROOT, "f", d, "new", RENAME_NOREPLACE), EROFS);
	fails(guest_rename2(&fx.g, ROOT, "f", ROOT, "d", RENAME_EXCHANGE), EROFS);
	fails(guest_rename2(&fx.g, ROOT, "f", ROOT, "new", RENAME_WHITEOUT), EROFS);
	fails(guest_create(&fx.g, ROOT, "new", O_RDWR, 0644, 0, &e, &o), EROFS);
	fails(guest_create(&fx.g, ROOT, "new", O_RDONLY, 0644, 0, &e, &o), EROFS);
	fails(guest_create(&fx.g, ROOT, "f", O_RDONLY | O_TRUNC, 0644, 0, &e, &o), EROFS);
	fails(guest_create(&fx.g, ROOT, "f", O_RDWR, 0644, 0, &e, &o), EROFS);
	fails(guest_tmpfile(&fx.g, ROOT, O_RDWR, 0644, 0, &e, &o), EROFS);
	ck_assert_uint_eq(fingerprint(), before);
	func_end();
}
END_TEST

START_TEST(attributes_stay_as_they_are)
{
	static const uint32_t valid[] = {
		FATTR_MODE, FATTR_UID, FATTR_GID, FATTR_SIZE, FATTR_SIZE | FATTR_KILL_SUIDGID,
		FATTR_ATIME, FATTR_MTIME, FATTR_ATIME_NOW | FATTR_ATIME,
		FATTR_MTIME_NOW | FATTR_MTIME, FATTR_CTIME | FATTR_MTIME,
		FATTR_SIZE | FATTR_FH, FATTR_MODE | FATTR_FH,
	};
	static const char *const names[] = { "f", "d", "l", "d/x" };

	start(NULL);

	uint64_t before = fingerprint(), fh = func_open(func_node("f"), O_RDONLY);

	for (int k = 0; k < 4; k++) {
		uint64_t n = func_node(names[k]);

		for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
			struct fuse_setattr_in in = { .valid = valid[i], .fh = fh, .mode = 0700,
						      .uid = 1, .gid = 1, .size = 1 };

			fails(guest_setattr(&fx.g, n, &in, NULL), EROFS);
		}
		fails(guest_setxattr(&fx.g, n, "user.b", "2", 1, 0), EROFS);
		fails(guest_setxattr(&fx.g, n, "security.b", "2", 1, 0), EROFS);
		fails(guest_setxattr(&fx.g, n, "system.posix_acl_access", "2", 1, 0), EROFS);
		fails(guest_removexattr(&fx.g, n, "user.a"), EROFS);
	}
	ck_assert_uint_eq(fingerprint(), before);
	func_end();
}
END_TEST

static void data_stays(const char *option)
{
	static const uint32_t flags[] = {
		O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_TRUNC, O_RDWR | O_APPEND,
		O_WRONLY | O_DIRECT, O_ACCMODE,
	};
	struct fuse_open_out o;

	start(option);

	uint64_t before = fingerprint(), n = func_node("f"), x = func_node("d/x");
	uint64_t fh = func_open(n, O_RDONLY), fx_fh = func_open(x, O_RDONLY);

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		fails(guest_open(&fx.g, n, flags[i], &o), EROFS);
	fx.g.open_flags = FUSE_OPEN_KILL_SUIDGID;
	fails(guest_open(&fx.g, n, O_RDONLY | O_TRUNC, &o), EROFS);
	fx.g.open_flags = 0;
	fails(guest_write(&fx.g, n, fh, "x", 1, 0), EROFS);
	fx.g.write_flags = FUSE_WRITE_CACHE;
	fails(guest_write(&fx.g, n, fh, "x", 1, 0), EROFS);
	fx.g.write_flags = FUSE_WRITE_KILL_SUIDGID;
	fails(guest_write(&fx.g, n, fh, "x", 1, 0), EROFS);
	for (uint32_t mode = 0; mode < 64; mode++)
		fails(guest_fallocate(&fx.g, n, fh, mode, 0, 4096), EROFS);
	fails(guest_copy_file_range(&fx.g, x, fx_fh, 0, n, fh, 0, 1, 0), EROFS);
	fails(guest_copy_file_range_64(&fx.g, x, fx_fh, 0, n, fh, 0, 1), EROFS);
	ck_assert_uint_eq(fingerprint(), before);
	func_end();
}

START_TEST(data_stays_as_it_is)
{
	data_stays(NULL);
}
END_TEST

START_TEST(data_stays_as_it_is_with_other_options)
{
	data_stays("--writeback");
	data_stays("--allow-direct-io");
	data_stays("--cache=always");
	data_stays("--xattrmap=:map::user.virtiofs.:");
}
END_TEST

START_TEST(ioctls_change_nothing)
{
	struct fsverity_enable_arg verity = { .version = 1, .hash_algorithm = 1,
					      .block_size = 4096 };
	struct fsxattr fsx = { 0 };
	int flags = FS_NODUMP_FL, there = 0;

	start(NULL);

	uint64_t before = fingerprint(), n = func_node("f"), fh = func_open(n, O_RDONLY);

	fails(guest_ioctl(&fx.g, n, fh, 0, FS_IOC_SETFLAGS, &flags, 4, NULL, 0), EROFS);
	fails(guest_ioctl(&fx.g, n, fh, 0, FS_IOC_FSSETXATTR, &fsx, sizeof(fsx), NULL, 0), EROFS);
	fails(guest_ioctl(&fx.g, n, fh, 0, FS_IOC_ENABLE_VERITY, &verity, sizeof(verity), NULL, 0),
	      EROFS);
	ck_assert_uint_eq(fingerprint(), before);

	int fd = host(open(host_path("f"), O_RDONLY | O_CLOEXEC));

	if (ioctl(fd, FS_IOC_GETFLAGS, &there) == 0) {
		ok(guest_ioctl(&fx.g, n, fh, 0, FS_IOC_GETFLAGS, NULL, 0, &flags, 4));
		ck_assert_int_eq(flags, there);
	}
	close(fd);
	func_end();
}
END_TEST

START_TEST(reading_works)
{
	struct fuse_statfs_out sfs;
	struct guest_statx_out sx;
	struct fuse_open_out o;
	struct stat st;

	start(NULL);

	uint64_t n = func_node("f"), fh = func_open(n, O_RDONLY | O_NONBLOCK);
	struct fuse_attr a = func_attr(n);

	st = host_stat("f");
	func_attr_is(&a, &st);
	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, buf, 100, 0)), 5);
	ck_assert_mem_eq(buf, "hello", 5);
	ok(guest_statx(&fx.g, n, 0x7ff, &sx));
	ck_assert_int_eq(ok(guest_readlink(&fx.g, func_node("l"), buf, 100)), 1);
	ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, "user.a", buf, 100)), 1);
	ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, buf, 100)), sizeof("user.a"));
	ok(guest_statfs(&fx.g, ROOT, &sfs));
	ck_assert_int_eq(ok(guest_lseek(&fx.g, n, fh, 0, SEEK_DATA)), 0);
	ok(guest_opendir(&fx.g, ROOT, &o));
	ck_assert_int_gt(ok(guest_readdir(&fx.g, ROOT, o.fh, 0, buf, 4096)), 0);
	ck_assert_int_gt(ok(guest_readdirplus(&fx.g, ROOT, o.fh, 0, buf, 4096)), 0);
	ok(guest_releasedir(&fx.g, ROOT, o.fh));
	ok(guest_fsync(&fx.g, n, fh, false));
	ok(guest_syncfs(&fx.g, ROOT));
	ok(guest_flush(&fx.g, n, fh));
	ok(guest_release(&fx.g, n, fh));
	/* what the host changes is seen */
	host_text("f", "changed");
	fh = func_open(n, O_RDONLY);
	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, buf, 100, 0)), 7);
	func_end();
}
END_TEST

/* As on a file system that is mounted read-only, reading leaves no time behind. */
START_TEST(reading_leaves_no_trace)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct fuse_open_out o;

	func_need_root();
	start(NULL);
	host(utimensat(AT_FDCWD, host_path("f"), old, 0));
	host(utimensat(AT_FDCWD, host_path("d"), old, 0));
	host(utimensat(AT_FDCWD, host_path("l"), old, AT_SYMLINK_NOFOLLOW));

	uint64_t n = func_node("f"), d = func_node("d");

	ok(guest_read(&fx.g, n, func_open(n, O_RDONLY), buf, 100, 0));
	ok(guest_opendir(&fx.g, d, &o));
	ok(guest_readdir(&fx.g, d, o.fh, 0, buf, 4096));
	ck_assert_int_eq(host_stat("f").st_atim.tv_sec, 1000);
	ck_assert_int_eq(host_stat("d").st_atim.tv_sec, 1000);
	func_end();
}
END_TEST

START_TEST(without_the_option_all_of_it_works)
{
	struct fuse_entry_out e;

	func_start();

	uint64_t before = fingerprint();

	ok(guest_mkdir(&fx.g, ROOT, "new", 0755, 0, &e));
	ck_assert_uint_ne(fingerprint(), before);	/* this file's own eyes */
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("readonly", argc, argv);
	func_test(names_stay_as_they_are);
	func_test(attributes_stay_as_they_are);
	func_test(data_stays_as_it_is);
	func_test(data_stays_as_it_is_with_other_options);
	func_test(ioctls_change_nothing);
	func_test(reading_works);
	func_test(reading_leaves_no_trace);
	func_test(without_the_option_all_of_it_works);
	return func_done();
}
