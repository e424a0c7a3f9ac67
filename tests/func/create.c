/* SPDX-License-Identifier: BSD-3-Clause */
/* CREATE: a name and its open file in one request (rows 13, 30; REFERENCE 2). */
#include <fcntl.h>

#include "func.h"

static char back[4096];

START_TEST(created_file_has_its_mode_and_is_open)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_start();
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR | O_EXCL, 0640, 0, &e, &o));
	ck_assert_uint_eq(host_stat("f").st_mode, S_IFREG | 0640);
	ck_assert_uint_eq(e.attr.mode, S_IFREG | 0640);
	ck_assert_uint_eq(e.attr.ino, host_stat("f").st_ino);
	ck_assert_uint_eq(func_node("f"), e.nodeid);
	ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, o.fh, "x", 1, 0)), 1);
	/* one lookup was given with it, and one by func_node() */
	ok(guest_forget(&fx.g, e.nodeid, 2));

	struct fuse_attr_out a;

	fails(guest_getattr(&fx.g, e.nodeid, GUEST_NO_FH, &a), EBADF);
	func_end();
}
END_TEST

START_TEST(created_read_only_file_is_writable_by_its_handle)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_start();
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR | O_EXCL, 0444, 0, &e, &o));
	ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, o.fh, "x", 1, 0)), 1);
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 0444);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "g", O_WRONLY, 0, 0, &e, &o));
	ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, o.fh, "x", 1, 0)), 1);
	func_end();
}
END_TEST

START_TEST(create_of_what_exists_opens_it_unless_exclusive)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_start();
	host_text("f", "hello");
	host(chmod(host_path("f"), 0604));
	fails(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR | O_EXCL, 0644, 0, &e, &o), EEXIST);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0777, 0, &e, &o));
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 0604);
	ck_assert_int_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, back, 10, 0)), 5);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR | O_TRUNC, 0777, 0, &e, &o));
	ck_assert_int_eq(host_stat("f").st_size, 0);
	func_end();
}
END_TEST

START_TEST(create_follows_no_link_and_opens_no_special_file)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_start();
	host(symlink("target", host_path("dangling")));
	host_text("real", "real");
	host(symlink("real", host_path("link")));
	host(mkfifo(host_path("fifo"), 0666));
	host(mkdir(host_path("dir"), 0777));
	ck_assert_int_lt(guest_create(&fx.g, FUSE_ROOT_ID, "dangling", O_RDWR, 0644, 0, &e, &o), 0);
	ck_assert(!host_exists("target"));
	ck_assert_int_lt(guest_create(&fx.g, FUSE_ROOT_ID, "link", O_RDWR | O_TRUNC, 0644, 0, &e,
				      &o), 0);
	host_is("real", "real", 4);
	ck_assert_int_lt(guest_create(&fx.g, FUSE_ROOT_ID, "fifo", O_RDWR, 0644, 0, &e, &o), 0);
	ck_assert_int_eq(daemon_opened(&fx.d, host_path("fifo")), 0);
	fails(guest_create(&fx.g, FUSE_ROOT_ID, "dir", O_RDWR, 0644, 0, &e, &o), EISDIR);
	func_end();
}
END_TEST

START_TEST(create_mode_is_not_cut_by_the_daemons_umask)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_start();
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR | O_EXCL, 0666, 0, &e, &o));
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 0666);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("create", argc, argv);
	func_test(created_file_has_its_mode_and_is_open);
	func_test(created_read_only_file_is_writable_by_its_handle);
	func_test(create_of_what_exists_opens_it_unless_exclusive);
	func_test(create_follows_no_link_and_opens_no_special_file);
	func_test(create_mode_is_not_cut_by_the_daemons_umask);
	return func_done();
}
