/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes: LOOKUP, FORGET, and what becomes of a node while its names change (rows 12, 14, 26).
 * What the guest is told is compared with what plain system calls show on the host.
 */
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "func.h"

static void entry_is(const char *name)
{
	struct fuse_entry_out e = func_entry(name);
	struct stat st = host_stat(name);

	func_attr_is(&e.attr, &st);

	struct fuse_attr a = func_attr(e.nodeid);

	func_attr_is(&a, &st);
}

static bool node_gone(uint64_t node)
{
	struct fuse_attr_out a;
	int r = guest_getattr(&fx.g, node, GUEST_NO_FH, &a);

	ck_assert_msg(r == 0 || r == -EBADF, "%s", strerror(-r));
	return r < 0;
}

/* --- LOOKUP --- */

START_TEST(lookup_and_getattr_tell_what_the_host_shows)
{
	func_start();
	host_text("file", "hello");
	host(chmod(host_path("file"), 04751));
	host(mkdir(host_path("dir"), 01777));
	host(symlink("/nowhere", host_path("link")));
	host(mkfifo(host_path("fifo"), 0600));
	host(link(host_path("file"), host_path("hard")));
	entry_is("file");
	entry_is("dir");
	entry_is("link");
	entry_is("fifo");
	entry_is("hard");
	func_end();
}
END_TEST

START_TEST(device_numbers_are_told)
{
	func_need_root();
	func_start();
	host(mknod(host_path("null"), S_IFCHR | 0666, makedev(1, 3)));
	host(mknod(host_path("big"), S_IFBLK | 0600, makedev(259, 4097)));
	entry_is("null");
	entry_is("big");

	struct fuse_attr a = func_entry("big").attr;

	/* the kernel's new_encode_dev() */
	ck_assert_uint_eq(a.rdev, (4097 & 0xff) | (259 << 8) | ((4097 & ~0xff) << 12));
	func_end();
}
END_TEST

START_TEST(lookup_of_one_file_gives_one_node)
{
	func_start();
	host_text("a", "x");
	host(link(host_path("a"), host_path("b")));

	struct fuse_entry_out a = func_entry("a"), again = func_entry("a"), b = func_entry("b");

	ck_assert_uint_eq(a.nodeid, again.nodeid);
	ck_assert_uint_eq(a.nodeid, b.nodeid);
	ck_assert_uint_eq(a.generation, b.generation);
	ck_assert_uint_gt(a.nodeid, FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(lookup_fails_as_the_host_does)
{
	struct fuse_entry_out e;
	char name[300];

	func_start();
	host_text("file", "x");
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "missing", &e), ENOENT);
	fails(guest_lookup(&fx.g, func_node("file"), "x", &e), ENOTDIR);
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	host_text(name, "x");
	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, name, &e));
	name[255] = 'n';
	name[256] = '\0';
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, name, &e), ENAMETOOLONG);
	func_end();
}
END_TEST

START_TEST(lookup_of_special_names)
{
	struct fuse_entry_out e;

	func_start();
	host(mkdir(host_path("d"), 0755));
	host(mkdir(host_path("d/e"), 0755));
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "", &e), ENOENT);
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "/", &e), EINVAL);
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "d/e", &e), EINVAL);
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "/etc", &e), EINVAL);
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "../..", &e), EINVAL);
	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "..", &e));
	ck_assert_uint_eq(e.nodeid, FUSE_ROOT_ID);
	ck_assert_uint_eq(e.attr.ino, host_stat("").st_ino);
	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, ".", &e));
	ck_assert_uint_eq(e.nodeid, FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(dot_dot_leads_to_the_parent)
{
	struct fuse_entry_out e;

	func_start();
	host(mkdir(host_path("d"), 0755));
	host(mkdir(host_path("d/e"), 0755));

	uint64_t d = func_node("d"), sub = func_node("d/e");

	ok(guest_lookup(&fx.g, sub, "..", &e));
	ck_assert_uint_eq(e.nodeid, d);
	ok(guest_lookup(&fx.g, d, "..", &e));
	ck_assert_uint_eq(e.nodeid, FUSE_ROOT_ID);
	ok(guest_lookup(&fx.g, sub, ".", &e));
	ck_assert_uint_eq(e.nodeid, sub);
	func_end();
}
END_TEST

START_TEST(lookup_never_follows_a_symlink)
{
	struct fuse_entry_out e;

	func_start();
	host(symlink("/", host_path("root")));
	host(symlink("..", host_path("up")));
	ck_assert(S_ISLNK(func_entry("root").attr.mode));
	fails(guest_lookup(&fx.g, func_node("root"), "etc", &e), ENOTDIR);
	fails(guest_lookup(&fx.g, func_node("up"), "share", &e), ENOTDIR);
	func_end();
}
END_TEST

START_TEST(unknown_parents_are_enoent)
{
	static const uint64_t wrong[] = { 0, 2, 3, 1000, 1ull << 32, ~0ull, 1ull << 63 };
	struct fuse_entry_out e;

	func_start();
	host_text("f", "x");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		fails(guest_lookup(&fx.g, wrong[i], "f", &e), ENOENT);
	func_end();
}
END_TEST

START_TEST(unknown_nodes_are_ebadf)
{
	static const uint64_t wrong[] = { 0, 2, 3, 1000, 1ull << 32, ~0ull, 1ull << 63 };
	struct fuse_attr_out a;
	struct fuse_open_out o;
	struct fuse_entry_out e;
	char buf[64];

	func_start();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		fails(guest_getattr(&fx.g, wrong[i], GUEST_NO_FH, &a), EBADF);
		fails(guest_chmod(&fx.g, wrong[i], 0600), EBADF);
		fails(guest_open(&fx.g, wrong[i], O_RDONLY, &o), EBADF);
		fails(guest_opendir(&fx.g, wrong[i], &o), EBADF);
		fails(guest_readlink(&fx.g, wrong[i], buf, sizeof(buf)), EBADF);
		fails(guest_mkdir(&fx.g, wrong[i], "d", 0755, 0, &e), EBADF);
		fails(guest_unlink(&fx.g, wrong[i], "d"), EBADF);
		fails(guest_link(&fx.g, wrong[i], FUSE_ROOT_ID, "l", &e), EBADF);
		fails(guest_rename(&fx.g, FUSE_ROOT_ID, "a", wrong[i], "b"), EBADF);
	}
	func_end();
}
END_TEST

/* --- FORGET --- */

START_TEST(node_lives_as_long_as_its_count)
{
	func_start();
	host_text("f", "x");

	uint64_t n = func_node("f");

	ck_assert_uint_eq(func_node("f"), n);
	ck_assert_uint_eq(func_node("f"), n);
	ok(guest_forget(&fx.g, n, 2));
	ck_assert(!node_gone(n));
	ok(guest_forget(&fx.g, n, 1));
	ck_assert(node_gone(n));
	func_end();
}
END_TEST

START_TEST(forget_of_more_than_there_is_saturates)
{
	func_start();
	host_text("f", "x");
	for (int i = 0; i < 10; i++) {
		uint64_t n = func_node("f");

		ok(guest_forget(&fx.g, n, i % 2 ? UINT64_MAX : 2));
		ck_assert(node_gone(n));
		ok(guest_forget(&fx.g, n, 1));
		ck_assert(node_gone(n));
	}
	func_end();
}
END_TEST

START_TEST(root_cannot_be_forgotten)
{
	func_start();
	ok(guest_forget(&fx.g, FUSE_ROOT_ID, UINT64_MAX));
	ok(guest_forget(&fx.g, FUSE_ROOT_ID, 1));
	ck_assert(!node_gone(FUSE_ROOT_ID));
	func_end();
}
END_TEST

START_TEST(stale_node_is_not_valid_again)
{
	uint64_t old[50];

	func_start();
	host_text("a", "x");
	host_text("b", "y");
	for (int i = 0; i < 50; i++) {
		old[i] = func_node("a");
		ok(guest_forget(&fx.g, old[i], 1));
	}

	uint64_t b = func_node("b");

	for (int i = 0; i < 50; i++) {
		ck_assert_uint_ne(old[i], b);
		ck_assert(node_gone(old[i]));
	}
	func_end();
}
END_TEST

START_TEST(batch_forget_is_bounded_by_its_body)
{
	struct fuse_forget_one one[4];

	func_start();
	for (int i = 0; i < 4; i++) {
		char name[2] = { 'a' + i };

		host_text(name, "x");
		one[i] = (struct fuse_forget_one){ func_node(name), 1 };
	}
	/* fewer than there are: the rest stays; more: what is there counts or nothing does */
	ok(guest_batch_forget(&fx.g, 2, one, 4));
	ck_assert(node_gone(one[0].nodeid) && node_gone(one[1].nodeid));
	ck_assert(!node_gone(one[2].nodeid) && !node_gone(one[3].nodeid));
	ok(guest_batch_forget(&fx.g, UINT32_MAX, one + 2, 1));
	ok(guest_batch_forget(&fx.g, 1000, one + 2, 1));
	ck_assert(!node_gone(one[3].nodeid));
	ok(guest_batch_forget(&fx.g, 0, one + 3, 0));
	ck_assert(!node_gone(one[3].nodeid));
	func_end();
}
END_TEST

START_TEST(forgotten_nodes_leave_no_descriptor)
{
	static struct fuse_forget_one one[2000];

	func_start();

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 2000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, "");
		one[i] = (struct fuse_forget_one){ func_node(name), 1 };
	}
	ok(guest_batch_forget(&fx.g, 2000, one, 2000));
	ck_assert_int_le(daemon_fds_settle(&fx.d, before, 2000), before);
	func_end();
}
END_TEST

/* --- what happens to a node while its names change --- */

START_TEST(unlinked_node_stays_until_forgotten)
{
	char buf[16];

	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f"), fh = func_open(n, O_RDWR);

	ok(guest_unlink(&fx.g, FUSE_ROOT_ID, "f"));
	ck_assert_uint_eq(func_attr(n).nlink, 0);
	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, buf, 5, 0)), 5);
	ck_assert_mem_eq(buf, "hello", 5);
	ok(guest_truncate(&fx.g, n, 3));
	ok(guest_release(&fx.g, n, fh));

	/* and by node alone, with no handle open */
	ck_assert_uint_eq(func_attr(n).size, 3);
	fh = func_open(n, O_RDWR);
	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, buf, 16, 0)), 3);
	ok(guest_release(&fx.g, n, fh));
	ok(guest_forget(&fx.g, n, 1));
	ck_assert(node_gone(n));
	func_end();
}
END_TEST

START_TEST(removed_directory_stays_until_forgotten)
{
	struct fuse_entry_out e;

	func_start();
	host(mkdir(host_path("d"), 0755));

	uint64_t n = func_node("d");

	ok(guest_rmdir(&fx.g, FUSE_ROOT_ID, "d"));
	ck_assert_uint_eq(func_attr(n).nlink, 0);
	fails(guest_lookup(&fx.g, n, "x", &e), ENOENT);
	fails(guest_mkdir(&fx.g, n, "x", 0755, 0, &e), ENOENT);
	func_end();
}
END_TEST

START_TEST(renamed_node_stays_itself)
{
	func_start();
	host_text("a", "x");
	host(mkdir(host_path("d"), 0755));

	uint64_t a = func_node("a"), d = func_node("d");

	ok(guest_rename(&fx.g, FUSE_ROOT_ID, "a", d, "b"));
	ck_assert_uint_eq(func_node("d/b"), a);
	ok(guest_rename(&fx.g, FUSE_ROOT_ID, "d", FUSE_ROOT_ID, "d2"));
	ck_assert_uint_eq(func_node("d2"), d);
	ck_assert_uint_eq(func_node("d2/b"), a);
	ck_assert(!node_gone(a));
	func_end();
}
END_TEST

START_TEST(renamed_on_the_host_is_the_same_node)
{
	func_start();
	host_text("a", "x");

	uint64_t a = func_node("a");

	host(rename(host_path("a"), host_path("b")));
	ck_assert_uint_eq(func_node("b"), a);
	func_end();
}
END_TEST

START_TEST(new_file_with_the_old_inode_number_is_a_new_node)
{
	func_start();
	for (int i = 0; i < 50; i++) {
		host_text("f", "old");

		uint64_t old = func_node("f");

		func_attr(old);
		/* ext4 gives the number out again at once, unless the old inode is held */
		host(unlink(host_path("f")));
		host_text("f", "newer");

		struct fuse_entry_out e = func_entry("f");

		ck_assert_uint_ne(e.nodeid, old);
		ck_assert_uint_eq(e.attr.size, 5);
		ck_assert_uint_eq(func_attr(old).size, 3);
		ck_assert_uint_eq(func_attr(old).nlink, 0);
		host(unlink(host_path("f")));
		ok(guest_forget(&fx.g, old, 1));
		ok(guest_forget(&fx.g, e.nodeid, 1));
	}
	func_end();
}
END_TEST

/* Such a file takes no descriptor, where the host tells when files were born. What the host
 * does with its name, the guest's kernel finds out by looking the name up again. */
START_TEST(file_that_was_only_looked_up_is_opened_in_its_place)
{
	struct fuse_attr_out a;
	struct fuse_entry_out e;

	func_start();
	host_text("a", "x");
	if (!func_has_places())
		func_skip("the share's file system does not tell when files were born");

	int fds = daemon_fds(&fx.d);
	uint64_t n = func_node("a");

	ck_assert_int_eq(daemon_fds(&fx.d), fds);
	host(rename(host_path("a"), host_path("b")));
	fails(guest_getattr(&fx.g, n, GUEST_NO_FH, &a), ESTALE);
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "a", &e), ENOENT);
	ck_assert_uint_eq(func_node("b"), n);
	ck_assert_uint_eq(func_attr(n).size, 1);
	ck_assert_int_eq(daemon_fds(&fx.d), fds + 1);
	/* from the first use on it goes where the file goes */
	host(rename(host_path("b"), host_path("a")));
	ck_assert_uint_eq(func_attr(n).size, 1);
	host(unlink(host_path("a")));
	ck_assert_uint_eq(func_attr(n).nlink, 0);
	func_end();
}
END_TEST

START_TEST(file_that_was_replaced_before_its_first_use)
{
	char buf[8];

	func_start();
	host_text("f", "old");
	if (!func_has_places())
		func_skip("the share's file system does not tell when files were born");

	uint64_t old = func_node("f"), fh;
	struct fuse_open_out o;

	usleep(20000); /* the host's dates tick */
	host_text("tmp", "newer");
	host(rename(host_path("tmp"), host_path("f")));
	fails(guest_open(&fx.g, old, O_RDONLY, &o), ESTALE);

	uint64_t now = func_node("f");

	ck_assert_uint_ne(now, old);
	fh = func_open(now, O_RDONLY);
	ck_assert_int_eq(ok(guest_read(&fx.g, now, fh, buf, 8, 0)), 5);
	func_end();
}
END_TEST

START_TEST(overwritten_by_rename_is_another_node)
{
	func_start();
	host_text("a", "new");
	host_text("b", "oldest");

	uint64_t a = func_node("a"), b = func_node("b");

	ok(guest_rename(&fx.g, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "b"));
	ck_assert_uint_eq(func_node("b"), a);
	ck_assert_uint_eq(func_attr(b).nlink, 0);
	ck_assert_uint_eq(func_attr(b).size, 6);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("node", argc, argv);
	func_test(lookup_and_getattr_tell_what_the_host_shows);
	func_test(device_numbers_are_told);
	func_test(lookup_of_one_file_gives_one_node);
	func_test(lookup_fails_as_the_host_does);
	func_test(lookup_of_special_names);
	func_test(dot_dot_leads_to_the_parent);
	func_test(lookup_never_follows_a_symlink);
	func_test(unknown_parents_are_enoent);
	func_test(unknown_nodes_are_ebadf);
	func_test(node_lives_as_long_as_its_count);
	func_test(forget_of_more_than_there_is_saturates);
	func_test(root_cannot_be_forgotten);
	func_test(stale_node_is_not_valid_again);
	func_test(batch_forget_is_bounded_by_its_body);
	func_test(forgotten_nodes_leave_no_descriptor);
	func_test(unlinked_node_stays_until_forgotten);
	func_test(removed_directory_stays_until_forgotten);
	func_test(renamed_node_stays_itself);
	func_test(renamed_on_the_host_is_the_same_node);
	func_test(new_file_with_the_old_inode_number_is_a_new_node);
	func_test(file_that_was_only_looked_up_is_opened_in_its_place);
	func_test(file_that_was_replaced_before_its_first_use);
	func_test(overwritten_by_rename_is_another_node);
	return func_done();
}
