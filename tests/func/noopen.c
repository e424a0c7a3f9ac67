/* SPDX-License-Identifier: BSD-3-Clause */
/* --no-open: a guest that opens nothing names files by their nodes, with a handle of 0. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "func.h"
#include "killer.h"

#define ROOT FUSE_ROOT_ID
#define MANY 1500 /* more than are kept open */

static char buf[65536];

#define START(...) \
	func_start_with((const char *[]){ "--cache=always", "--no-open", __VA_ARGS__ __VA_OPT__(,) \
					  NULL }, NULL)

static void reads(uint64_t node, const char *text)
{
	int n = ok(guest_read(&fx.g, node, 0, buf, sizeof(buf), 0));

	ck_assert_int_eq(n, (int)strlen(text));
	ck_assert_mem_eq(buf, text, strlen(text));
}

static int names_in(uint64_t dir)
{
	uint64_t cookie = 0;
	int n = 0, len;

	while ((len = ok(guest_readdir(&fx.g, dir, 0, cookie, buf, 512))) > 0)
		for (int at = 0; at < len;) {
			const struct fuse_dirent *d = (const void *)(buf + at);

			at += (int)FUSE_DIRENT_SIZE(d);
			cookie = d->off;
			n++;
		}
	return n;
}

START_TEST(open_is_answered_once_and_for_all)
{
	struct fuse_open_out o;

	START();
	ck_assert(fx.g.agreed & FUSE_NO_OPEN_SUPPORT);
	ck_assert(fx.g.agreed & FUSE_NO_OPENDIR_SUPPORT);
	/* O_TRUNC would be lost with the OPEN that it comes with */
	ck_assert(!(fx.g.agreed & FUSE_ATOMIC_O_TRUNC));
	host_text("f", "x");

	uint64_t n = func_node("f");

	fails(guest_open(&fx.g, n, O_RDONLY, &o), ENOSYS);
	fails(guest_opendir(&fx.g, ROOT, &o), ENOSYS);
	fails(guest_flush(&fx.g, n, 0), ENOSYS);
	ok(guest_release(&fx.g, n, 0));
	ok(guest_releasedir(&fx.g, ROOT, 0));
	func_end();
}
END_TEST

/* Each of the two by itself; and a guest that has to open is served as ever. */
START_TEST(guest_that_has_to_open_opens)
{
	struct fuse_open_out o;

	func_start_daemon((const char *[]){ "--cache=always", "--no-open", NULL });
	func_connect(NULL);
	host_text("f", "hello");
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS & ~(uint64_t)FUSE_NO_OPEN_SUPPORT));
	ck_assert(fx.g.agreed & FUSE_ATOMIC_O_TRUNC);

	uint64_t n = func_node("f"), fh = func_open(n, O_RDWR);

	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, buf, 100, 0)), 5);
	fails(guest_read(&fx.g, n, 0, buf, 100, 0), EBADF);
	ok(guest_flush(&fx.g, n, fh));
	ok(guest_release(&fx.g, n, fh));
	fails(guest_opendir(&fx.g, ROOT, &o), ENOSYS);
	ck_assert_int_eq(names_in(ROOT), 3);
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS & ~(uint64_t)FUSE_NO_OPENDIR_SUPPORT));
	n = func_node("f");
	reads(n, "hello");
	ok(guest_opendir(&fx.g, ROOT, &o));
	fails(guest_readdir(&fx.g, ROOT, 0, 0, buf, 4096), EBADF);
	ok(guest_releasedir(&fx.g, ROOT, o.fh));
	func_end();
}
END_TEST

START_TEST(without_the_option_nothing_is_opened_for_anybody)
{
	struct fuse_open_out o;

	func_start_with((const char *[]){ "--cache=always", NULL }, NULL);
	ck_assert(!(fx.g.agreed & FUSE_NO_OPEN_SUPPORT));
	host_text("f", "x");

	uint64_t n = func_node("f");

	fails(guest_read(&fx.g, n, 0, buf, 1, 0), EBADF);
	fails(guest_readdir(&fx.g, ROOT, 0, 0, buf, 4096), EBADF);
	fails(guest_release(&fx.g, n, 0), EBADF);
	ok(guest_open(&fx.g, n, O_RDONLY, &o));
	ck_assert_uint_ne(o.fh, 0);
	func_end();
}
END_TEST

/* One descriptor for the file, to read; one to read and write instead when it is written. */
START_TEST(file_is_opened_once)
{
	START();
	host_text("f", "hello");

	uint64_t n = func_node("f");

	func_attr(n);

	int fds = daemon_fds(&fx.d);

	for (int i = 0; i < 20; i++)
		reads(n, "hello");
	ck_assert_int_eq(daemon_fds(&fx.d), fds + 1);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(ok(guest_write(&fx.g, n, 0, "J", 1, 0)), 1);
	reads(n, "Jello");
	host_is("f", "Jello", 5);
	ck_assert_int_eq(daemon_fds_settle(&fx.d, fds + 1, 2000), fds + 1);
	ok(guest_forget(&fx.g, n, 1));
	ck_assert_int_le(daemon_fds_settle(&fx.d, fds - 1, 2000), fds - 1);
	fails(guest_read(&fx.g, n, 0, buf, 5, 0), EBADF);
	func_end();
}
END_TEST

START_TEST(created_file_is_open)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	START();
	ok(guest_create(&fx.g, ROOT, "new", O_WRONLY, 0644, 0, &e, &o));
	ck_assert_uint_eq(o.fh, 0);
	ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, 0, "text", 4, 0)), 4);
	reads(e.nodeid, "text");
	ok(guest_release(&fx.g, e.nodeid, 0));
	reads(e.nodeid, "text");
	host_is("new", "text", 4);
	ok(guest_create(&fx.g, ROOT, "new", O_RDWR, 0644, 0, &e, &o));
	ck_assert_uint_eq(o.fh, 0);
	reads(e.nodeid, "text");
	ok(guest_tmpfile(&fx.g, ROOT, O_RDWR, 0600, 0, &e, &o));
	ck_assert_uint_eq(o.fh, 0);
	ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, 0, "tmp", 3, 0)), 3);
	reads(e.nodeid, "tmp");
	func_end();
}
END_TEST

START_TEST(file_without_a_name_is_still_there)
{
	START();
	host_text("f", "hello");

	uint64_t n = func_node("f");

	ok(guest_unlink(&fx.g, ROOT, "f"));
	reads(n, "hello");
	ok(guest_write(&fx.g, n, 0, "more", 4, 5));
	reads(n, "hellomore");
	ck_assert_uint_eq(func_attr(n).nlink, 0);
	func_end();
}
END_TEST

/* Two that read a directory do not get into each other's way, though it is open once. */
START_TEST(directories_are_read_from_any_place)
{
	struct fuse_dirent *d = (void *)buf;
	uint64_t first;
	int whole;

	START();
	host(mkdir(host_path("d"), 0755));
	for (int i = 0; i < 300; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d/n%d", i);
		host_text(name, "");
	}

	uint64_t dir = func_node("d");
	int fds = daemon_fds(&fx.d);

	ck_assert_int_eq(names_in(dir), 302);
	ck_assert_int_gt(ok(guest_readdir(&fx.g, dir, 0, 0, buf, 4096)), 0);
	first = d->off;
	ck_assert_int_gt(ok(guest_readdir(&fx.g, dir, 0, first, buf, 4096)), 0);
	whole = d->off != first;
	ck_assert(whole);
	ck_assert_int_eq(names_in(dir), 302);
	/* what is new is there when it is read from the start */
	host_text("d/new", "");
	ck_assert_int_eq(names_in(dir), 303);
	ck_assert_int_eq(daemon_fds(&fx.d), fds + 1);
	ok(guest_fsyncdir(&fx.g, dir, 0, false));
	func_end();
}
END_TEST

START_TEST(all_that_names_a_handle)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_FH, .size = 3 };
	struct fuse_attr_out a;

	START();
	host_text("f", "0123456789");
	host_text("g", "");

	uint64_t f = func_node("f"), g = func_node("g");

	ck_assert_int_eq(ok(guest_copy_file_range(&fx.g, f, 0, 2, g, 0, 0, 5, 0)), 5);
	host_is("g", "23456", 5);
	ok(guest_fsync(&fx.g, g, 0, true));
	ok(guest_fallocate(&fx.g, g, 0, FALLOC_FL_KEEP_SIZE, 0, 4096));
	ck_assert_int_eq(ok(guest_lseek(&fx.g, f, 0, 0, SEEK_HOLE)), 10);
	ok(guest_setattr(&fx.g, f, &in, &a));
	ck_assert_uint_eq(a.attr.size, 3);
	host_is("f", "012", 3);
	/* an append goes where the file ends */
	fx.g.file_flags = O_WRONLY | O_APPEND;
	ok(guest_write(&fx.g, f, 0, "x", 1, 0));
	host_is("f", "012x", 4);
	func_end();
}
END_TEST

/* However many: the ones used last are open, and the limit holds. */
START_TEST(no_end_of_files)
{
	static uint64_t node[MANY];
	char name[16];

	START("--rlimit-nofile=400");
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, name);
		node[i] = func_node(name);
	}
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < MANY; i++) {
			snprintf(name, sizeof(name), "f%d", i);
			if (geteuid() != 0 && i == 100)
				break; /* each has a descriptor besides */
			reads(node[i], name);
			ok(guest_write(&fx.g, node[i], 0, "f", 1, 0));
		}
	ck_assert_int_le(daemon_fds(&fx.d), 400);
	func_end();
}
END_TEST

START_TEST(what_is_no_file_is_not_opened)
{
	struct fuse_entry_out e;

	START();
	host(mkdir(host_path("d"), 0755));
	host_text("f", "x");
	host(mkfifo(host_path("fifo"), 0644));
	host(symlink("f", host_path("link")));

	fails(guest_read(&fx.g, func_node("d"), 0, buf, 1, 0), EISDIR);
	fails(guest_readdir(&fx.g, func_node("f"), 0, 0, buf, 4096), ENOTDIR);
	fails(guest_read(&fx.g, func_node("fifo"), 0, buf, 1, 0), EBADF);
	fails(guest_read(&fx.g, func_node("link"), 0, buf, 1, 0), ELOOP);
	fails(guest_read(&fx.g, 0x7777, 0, buf, 1, 0), EBADF);
	fails(guest_write(&fx.g, 0x7777, 0, "x", 1, 0), EBADF);
	/* no number leads to what is open here */
	for (uint64_t fh = 1; fh < 200; fh++)
		fails(guest_read(&fx.g, func_node("f"), fh, buf, 1, 0), EBADF);
	ok(guest_lookup(&fx.g, ROOT, "f", &e));
	func_end();
}
END_TEST

START_TEST(read_only_share_stays_so)
{
	START("--readonly");
	host_text("f", "x");

	uint64_t n = func_node("f");

	reads(n, "x");
	fails(guest_write(&fx.g, n, 0, "y", 1, 0), EROFS);
	host_is("f", "x", 1);
	func_end();
}
END_TEST

START_TEST(next_worker_opens_again)
{
	START("--restart-limit=1000/60");
	host_text("f", "hello");

	uint64_t n = func_node("f");
	int fds;

	reads(n, "hello");
	fds = daemon_fds(&fx.d);
	ok(guest_write(&fx.g, n, 0, "J", 1, 0));
	for (int i = 0; i < 3; i++) {
		killer_kill(SIGKILL);
		reads(n, "Jello");
		ok(guest_write(&fx.g, n, 0, "J", 1, 0));
		ck_assert_int_eq(names_in(ROOT), 3);
	}
	ck_assert_int_le(daemon_fds_settle(&fx.d, fds + 1, 2000), fds + 1);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("noopen", argc, argv);
	func_test(open_is_answered_once_and_for_all);
	func_test(guest_that_has_to_open_opens);
	func_test(without_the_option_nothing_is_opened_for_anybody);
	func_test(file_is_opened_once);
	func_test(created_file_is_open);
	func_test(file_without_a_name_is_still_there);
	func_test(directories_are_read_from_any_place);
	func_test(all_that_names_a_handle);
	func_test(no_end_of_files);
	func_test(what_is_no_file_is_not_opened);
	func_test(read_only_share_stays_so);
	func_test(next_worker_opens_again);
	return func_done();
}
