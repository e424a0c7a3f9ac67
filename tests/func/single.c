/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A share that is one regular file: the guest sees a directory with that file in it, and there
 * is no way from it to the file's neighbours on the host.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID

static char buf[65536];

/* {share}/image is shared; {share}/secret and {share}/dir lie beside it. */
static void need_no_chroot(void)
{
	const char *options = getenv("VIRTIOFSD_OPTIONS");

	if (options && strstr(options, "--sandbox=chroot"))
		func_skip("a file is no root directory");
}

static void start(const char *more, const char *still_more)
{
	struct daemon_opts o = {
		.args = (const char *[]){ "--shared-dir={share}/image", more,
					  more ? still_more : NULL, NULL },
	};

	need_no_chroot();
	ok(daemon_prepare(&fx.d));
	host_text("image", "contents");
	host_text("secret", "secret");
	host(mkdir(host_path("dir"), 0777));
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
}

START_TEST(its_name_leads_to_it)
{
	struct fuse_entry_out e;
	struct stat st;

	start(NULL, NULL);
	e = func_entry("image");
	st = host_stat("image");
	func_attr_is(&e.attr, &st);
	ck_assert_uint_ne(e.nodeid, ROOT);
	ck_assert_uint_eq(func_node("image"), e.nodeid);
	/* as for any other file, the node goes and comes again */
	ok(guest_forget(&fx.g, e.nodeid, 2));
	fails(guest_chmod(&fx.g, e.nodeid, 0600), EBADF);
	func_attr(func_node("image"));
	/* and so does the session */
	func_init_session();
	func_attr(func_node("image"));
	func_end();
}
END_TEST

START_TEST(contents_are_read_written_and_cut)
{
	struct fuse_setattr_in times = { .valid = FATTR_MTIME, .mtime = 1000, .mtimensec = 7 };

	start(NULL, NULL);

	uint64_t n = func_node("image"), fh = func_open(n, O_RDWR);

	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, buf, 100, 0)), 8);
	ck_assert_mem_eq(buf, "contents", 8);
	ok(guest_write(&fx.g, n, fh, "CON", 3, 0));
	ok(guest_write(&fx.g, n, fh, "!", 1, 8));
	host_is("image", "CONtents!", 9);
	ok(guest_truncate(&fx.g, n, 3));
	host_is("image", "CON", 3);
	ok(guest_fallocate(&fx.g, n, fh, 0, 0, 4096));
	ck_assert_int_eq(host_stat("image").st_size, 4096);
	ok(guest_fsync(&fx.g, n, fh, false));
	ok(guest_flush(&fx.g, n, fh));
	ok(guest_release(&fx.g, n, fh));
	ok(guest_release(&fx.g, n, func_open(n, O_WRONLY | O_TRUNC)));
	ck_assert_int_eq(host_stat("image").st_size, 0);
	ok(guest_chmod(&fx.g, n, 0640));
	ck_assert_uint_eq(host_stat("image").st_mode, S_IFREG | 0640);
	ok(guest_setattr(&fx.g, n, &times, NULL));
	ck_assert_int_eq(host_stat("image").st_mtim.tv_sec, 1000);
	ck_assert_int_eq(host_stat("image").st_mtim.tv_nsec, 7);
	func_end();
}
END_TEST

START_TEST(root_is_a_directory)
{
	struct fuse_attr a;
	struct guest_statx_out x;
	struct fuse_entry_out e;
	struct stat st;

	start(NULL, NULL);
	a = func_attr(ROOT);
	st = host_stat("image");
	ck_assert_uint_eq(a.mode, S_IFDIR | 0555);
	ck_assert_uint_eq(a.nlink, 2);
	ck_assert_uint_eq(a.uid, st.st_uid);
	ck_assert_uint_ne(a.ino, st.st_ino);
	ck_assert_int_lt(llabs((long long)a.mtime - time(NULL)), 100);
	ok(guest_statx(&fx.g, ROOT, STATX_BASIC_STATS | STATX_BTIME, &x));
	ck_assert_uint_eq(x.stat.mode, a.mode);
	ck_assert_uint_eq(x.stat.ino, a.ino);
	ck_assert_uint_eq(x.stat.btime.sec, a.mtime);
	for (int i = 0; i < 2; i++) {
		ok(guest_lookup(&fx.g, ROOT, i ? ".." : ".", &e));
		ck_assert_uint_eq(e.nodeid, ROOT);
		ck_assert_uint_eq(e.attr.ino, a.ino);
	}
	ck_assert_int_eq(guest_readlink(&fx.g, ROOT, buf, 100), -EINVAL);
	func_end();
}
END_TEST

static const char *const names[] = { ".", "..", "image" };

START_TEST(root_is_read)
{
	struct fuse_open_out o;
	const struct fuse_dirent *d;
	uint64_t cookie = 0;
	int i = 0;

	start(NULL, NULL);
	ok(guest_opendir(&fx.g, ROOT, &o));
	/* with room for one entry at a time, then for all */
	for (;;) {
		size_t at = 0;
		ssize_t n = ok(guest_readdir(&fx.g, ROOT, o.fh, cookie, buf, 32));

		d = guest_dirent(buf, n, &at);
		if (!d)
			break;
		ck_assert_int_lt(i, 3);
		ck_assert_uint_eq(d->namelen, strlen(names[i]));
		ck_assert_mem_eq(d->name, names[i], d->namelen);
		ck_assert_uint_eq(d->type, i == 2 ? DT_REG : DT_DIR);
		ck_assert_uint_eq(d->ino, i == 2 ? host_stat("image").st_ino : func_attr(ROOT).ino);
		cookie = d->off;
		i++;
	}
	ck_assert_int_eq(i, 3);
	ck_assert_int_eq(guest_readdir(&fx.g, ROOT, o.fh, 99, buf, 4096), 0);
	ck_assert_int_eq(guest_readdir(&fx.g, ROOT, o.fh, 0, buf, 8), -EINVAL);
	ok(guest_fsyncdir(&fx.g, ROOT, o.fh, false));
	ok(guest_releasedir(&fx.g, ROOT, o.fh));
	fails(guest_readdir(&fx.g, ROOT, o.fh, 0, buf, 4096), EBADF);
	func_end();
}
END_TEST

START_TEST(root_is_read_with_attributes)
{
	struct fuse_open_out o;
	const struct fuse_direntplus *d;
	size_t at = 0;

	start("--cache=auto", NULL);
	ok(guest_opendir(&fx.g, ROOT, &o));

	ssize_t n = ok(guest_readdirplus(&fx.g, ROOT, o.fh, 0, buf, sizeof(buf)));

	for (int i = 0; i < 3; i++) {
		d = guest_direntplus(buf, n, &at);
		ck_assert_ptr_nonnull(d);
		ck_assert_mem_eq(d->dirent.name, names[i], strlen(names[i]));
	}
	ck_assert_uint_eq(d->entry_out.nodeid, func_node("image"));
	ck_assert_ptr_null(guest_direntplus(buf, n, &at));
	func_end();
}
END_TEST

START_TEST(file_system_is_the_files)
{
	struct fuse_statfs_out out, of_file;
	struct statvfs sv;

	start(NULL, NULL);
	host(statvfs(host_path("image"), &sv));
	ok(guest_statfs(&fx.g, ROOT, &out));
	ck_assert_uint_eq(out.st.blocks, sv.f_blocks);
	ck_assert_uint_eq(out.st.bsize, sv.f_frsize);
	ck_assert_uint_eq(out.st.namelen, sv.f_namemax);
	ok(guest_statfs(&fx.g, func_node("image"), &of_file));
	ck_assert_uint_eq(of_file.st.blocks, sv.f_blocks);
	ok(guest_syncfs(&fx.g, ROOT));
	func_end();
}
END_TEST

START_TEST(nothing_else_is_reachable)
{
	static const char *const others[] = { "secret", "dir", "imag", "image2", "IMAGE", "sock" };
	struct fuse_entry_out e;

	start(NULL, NULL);

	uint64_t n = func_node("image");

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		fails(guest_lookup(&fx.g, ROOT, others[i], &e), ENOENT);
	fails(guest_lookup(&fx.g, ROOT, "", &e), ENOENT);
	fails(guest_lookup(&fx.g, ROOT, "../share/secret", &e), EINVAL);
	fails(guest_lookup(&fx.g, ROOT, "image/../secret", &e), EINVAL);
	fails(guest_lookup(&fx.g, n, "..", &e), ENOTDIR);
	fails(guest_lookup(&fx.g, n, "secret", &e), ENOTDIR);
	ok(guest_lookup(&fx.g, n, ".", &e));
	ck_assert_uint_eq(e.nodeid, n);
	func_end();
}
END_TEST

/* Everything that would change the directory, or use the file as one. */
static void expect_unchangeable(uint64_t dir, int err)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	uint64_t n = func_node("image");

	fails(guest_create(&fx.g, dir, "new", O_RDWR, 0644, 0, &e, &o), err);
	fails(guest_create(&fx.g, dir, "secret", O_RDWR, 0644, 0, &e, &o), err);
	fails(guest_tmpfile(&fx.g, dir, O_RDWR, 0644, 0, &e, &o), err);
	fails(guest_mkdir(&fx.g, dir, "new", 0755, 0, &e), err);
	fails(guest_mknod(&fx.g, dir, "new", S_IFREG | 0644, 0, 0, &e), err);
	fails(guest_symlink(&fx.g, dir, "new", "secret", &e), err);
	fails(guest_link(&fx.g, n, dir, "new", &e), err);
	fails(guest_unlink(&fx.g, dir, "image"), err);
	fails(guest_unlink(&fx.g, dir, "secret"), err);
	fails(guest_rmdir(&fx.g, dir, "dir"), err);
	fails(guest_rename(&fx.g, dir, "image", dir, "new"), err);
	fails(guest_rename(&fx.g, dir, "secret", n, "new"), err);
	fails(guest_rename2(&fx.g, dir, "image", dir, "secret", RENAME_EXCHANGE), err);
}

START_TEST(directory_is_not_changed)
{
	struct fuse_open_out o;

	start("--xattr", NULL);
	expect_unchangeable(ROOT, EPERM);
	expect_unchangeable(func_node("image"), ENOTDIR);
	fails(guest_rename(&fx.g, func_node("image"), "x", ROOT, "new"), ENOTDIR);
	fails(guest_chmod(&fx.g, ROOT, 0777), EPERM);
	fails(guest_chown(&fx.g, ROOT, 1, 1), EPERM);
	fails(guest_truncate(&fx.g, ROOT, 0), EPERM);
	fails(guest_setxattr(&fx.g, ROOT, "user.a", "1", 1, 0), EPERM);
	fails(guest_removexattr(&fx.g, ROOT, "user.a"), EPERM);
	fails(guest_open(&fx.g, ROOT, O_RDWR, &o), EISDIR);
	host_is("image", "contents", 8);
	host_is("secret", "secret", 6);
	ck_assert(host_exists("dir") && !host_exists("new"));
	ck_assert_uint_eq(func_attr(ROOT).mode, S_IFDIR | 0555);
	/* by an open file of it neither */
	ok(guest_opendir(&fx.g, ROOT, &o));
	ck_assert_int_eq(guest_ioctl(&fx.g, ROOT, o.fh, FUSE_IOCTL_DIR, FS_IOC_GETFLAGS, NULL, 0,
				     buf, sizeof(int)), -ENOTTY);
	func_end();
}
END_TEST

START_TEST(attributes_with_names_are_the_files)
{
	start("--xattr", "--posix-acl=auto");
	if (lsetxattr(host_path("image"), "user.a", "1", 1, 0) < 0)
		func_skip("no extended attributes here");

	uint64_t n = func_node("image");

	ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, "user.a", buf, 10)), 1);
	ok(guest_setxattr(&fx.g, n, "user.b", "22", 2, 0));
	ck_assert_int_eq(lgetxattr(host_path("image"), "user.b", buf, 10), 2);
	fails(guest_getxattr(&fx.g, ROOT, "user.a", buf, 10), ENODATA);
	/* anything but this would keep all users but the owner out */
	fails(guest_getxattr(&fx.g, ROOT, "system.posix_acl_access", buf, 100), ENODATA);
	ck_assert_int_eq(guest_listxattr(&fx.g, ROOT, NULL, 0), 0);
	ck_assert_int_eq(guest_listxattr(&fx.g, ROOT, buf, 100), 0);
	func_end();
}
END_TEST

START_TEST(replaced_on_the_host_the_old_one_stays)
{
	start(NULL, NULL);

	uint64_t n = func_node("image"), fh = func_open(n, O_RDWR);

	host_text("newer", "something else");
	host(rename(host_path("newer"), host_path("image")));
	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, buf, 100, 0)), 8);
	ok(guest_write(&fx.g, n, fh, "x", 1, 0));
	ok(guest_release(&fx.g, n, fh));
	ok(guest_forget(&fx.g, n, 1));
	n = func_node("image");
	ck_assert_uint_eq(func_attr(n).nlink, 0);
	fh = func_open(n, O_RDWR);
	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, buf, 100, 0)), 8);
	ck_assert_mem_eq(buf, "xontents", 8);
	ok(guest_truncate(&fx.g, n, 0));
	host_is("image", "something else", 14);
	/* removed, or a directory by now: all the same */
	host(unlink(host_path("image")));
	host(mkdir(host_path("image"), 0755));
	host_text("image/inside", "x");
	ck_assert_uint_eq(func_attr(func_node("image")).mode & S_IFMT, S_IFREG);
	func_init_session();
	ck_assert_uint_eq(func_attr(func_node("image")).mode & S_IFMT, S_IFREG);
	func_end();
}
END_TEST

START_TEST(readonly_goes_for_it)
{
	struct fuse_open_out o;
	struct fuse_entry_out e;

	start("--readonly", NULL);

	uint64_t n = func_node("image");

	fails(guest_open(&fx.g, n, O_RDWR, &o), EROFS);
	fails(guest_truncate(&fx.g, n, 0), EROFS);
	fails(guest_mkdir(&fx.g, ROOT, "new", 0755, 0, &e), EROFS);
	ok(guest_read(&fx.g, n, func_open(n, O_RDONLY), buf, 100, 0));
	func_end();
}
END_TEST

START_TEST(a_link_to_it_gives_the_name)
{
	struct daemon_opts o = {
		.args = (const char *[]){ "-o", "source={share}/link", NULL },
	};
	struct fuse_entry_out e;
	struct stat st;

	need_no_chroot();
	ok(daemon_prepare(&fx.d));
	host_text("image", "contents");
	host(symlink("image", host_path("link")));
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
	st = host_stat("image");
	e = func_entry("link");
	func_attr_is(&e.attr, &st);
	fails(guest_lookup(&fx.g, ROOT, "image", &e), ENOENT);
	func_end();
}
END_TEST

/* Refused with one line that says what can be shared. */
static void expect_refusal(const char *path)
{
	char arg[200];
	struct daemon_opts o = {
		.args = (const char *[]){ arg, "--rlimit-nofile=0", NULL }, .no_wait = true,
	};

	snprintf(arg, sizeof(arg), "--shared-dir=%s", path);
	unlink(fx.d.log);
	ok(daemon_spawn(&fx.d, &o));
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	ck_assert_msg(daemon_log_lines(&fx.d) == 1, "%s: not one line:\n%s", path,
		      daemon_log(&fx.d));
	ck_assert(daemon_log_has(&fx.d, "neither a directory nor a regular file"));
	ck_assert_int_ne(access(fx.d.socket, F_OK), 0);
}

START_TEST(other_types_are_refused)
{
	ok(daemon_prepare(&fx.d));
	host(mkfifo(host_path("fifo"), 0666));
	host(symlink("fifo", host_path("link")));
	expect_refusal("{share}/fifo");
	expect_refusal("{share}/link");
	expect_refusal("/dev/null");
	daemon_discard(&fx.d);
}
END_TEST

int main(int argc, char **argv)
{
	func_init("single", argc, argv);
	func_test(its_name_leads_to_it);
	func_test(contents_are_read_written_and_cut);
	func_test(root_is_a_directory);
	func_test(root_is_read);
	func_test(root_is_read_with_attributes);
	func_test(file_system_is_the_files);
	func_test(nothing_else_is_reachable);
	func_test(directory_is_not_changed);
	func_test(attributes_with_names_are_the_files);
	func_test(replaced_on_the_host_the_old_one_stays);
	func_test(readonly_goes_for_it);
	func_test(a_link_to_it_gives_the_name);
	func_test(other_types_are_refused);
	return func_done();
}
