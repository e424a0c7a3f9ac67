/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What makes, removes and moves names: MKDIR MKNOD SYMLINK LINK UNLINK RMDIR RENAME RENAME2, and
 * whom they belong to (rows 11, 14, 24, 33; setgid escalation).
 */
#include <fcntl.h>
#include <grp.h>
#include <sys/sysmacros.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID

/* --- each does what it says --- */

START_TEST(mkdir_makes_a_directory)
{
	struct fuse_entry_out e;

	func_start();
	ok(guest_mkdir(&fx.g, ROOT, "d", 0750, 0, &e));
	ck_assert_uint_eq(host_stat("d").st_mode, S_IFDIR | 0750);
	ck_assert_uint_eq(e.attr.ino, host_stat("d").st_ino);
	ck_assert_uint_eq(func_node("d"), e.nodeid);
	ok(guest_mkdir(&fx.g, e.nodeid, "sub", 0777, 0, &e));
	ck_assert_uint_eq(host_stat("d/sub").st_mode, S_IFDIR | 0777);
	func_end();
}
END_TEST

START_TEST(mknod_makes_every_kind)
{
	static const struct { const char *name; mode_t mode; } kinds[] = {
		{ "file", S_IFREG | 0604 }, { "fifo", S_IFIFO | 0640 }, { "sock", S_IFSOCK | 0600 },
	};
	struct fuse_entry_out e;

	func_start();
	for (int i = 0; i < 3; i++) {
		ok(guest_mknod(&fx.g, ROOT, kinds[i].name, kinds[i].mode, 0, 0, &e));
		ck_assert_uint_eq(host_stat(kinds[i].name).st_mode, kinds[i].mode);
		ck_assert_uint_eq(e.attr.mode, kinds[i].mode);
	}
	func_end();
}
END_TEST

START_TEST(mknod_makes_device_nodes_as_root)
{
	struct fuse_entry_out e;

	func_need_root();
	func_start();
	ok(guest_mknod(&fx.g, ROOT, "null", S_IFCHR | 0666, 0x103, 0, &e));
	ck_assert_uint_eq(host_stat("null").st_mode, S_IFCHR | 0666);
	ck_assert_uint_eq(host_stat("null").st_rdev, makedev(1, 3));
	/* the kernel's new_encode_dev() */
	ok(guest_mknod(&fx.g, ROOT, "big", S_IFBLK | 0600,
		       (4097 & 0xff) | (259 << 8) | ((4097 & ~0xff) << 12), 0, &e));
	ck_assert_uint_eq(host_stat("big").st_rdev, makedev(259, 4097));
	func_end();
}
END_TEST

START_TEST(symlink_keeps_its_target_to_the_byte)
{
	static const char *const targets[] = { "x", "/abs/../odd//", "a\nb\377", "../../etc/passwd" };
	struct fuse_entry_out e;
	char got[4096];

	func_start();
	for (int i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof(name), "l%d", i);
		ok(guest_symlink(&fx.g, ROOT, name, targets[i], &e));
		ck_assert(S_ISLNK(e.attr.mode));

		ssize_t n = host(readlink(host_path(name), got, sizeof(got)));

		ck_assert_int_eq(n, strlen(targets[i]));
		ck_assert_mem_eq(got, targets[i], n);
	}
	fails(guest_symlink(&fx.g, ROOT, "empty", "", &e), ENOENT);
	func_end();
}
END_TEST

START_TEST(link_gives_the_same_node_another_name)
{
	struct fuse_entry_out e;

	func_start();
	host_text("f", "x");
	host(mkdir(host_path("d"), 0755));
	host(symlink("f", host_path("l")));

	uint64_t f = func_node("f");

	ok(guest_link(&fx.g, f, func_node("d"), "g", &e));
	ck_assert_uint_eq(e.nodeid, f);
	ck_assert_uint_eq(e.attr.nlink, 2);
	ck_assert_uint_eq(host_stat("d/g").st_ino, host_stat("f").st_ino);
	/* a symlink itself, not what it leads to */
	ok(guest_link(&fx.g, func_node("l"), ROOT, "l2", &e));
	ck_assert(S_ISLNK(host_stat("l2").st_mode));
	/* one lookup by func_node(), one by LINK */
	ok(guest_forget(&fx.g, f, 1));
	func_attr(f);
	ok(guest_forget(&fx.g, f, 1));

	struct fuse_attr_out a;

	fails(guest_getattr(&fx.g, f, GUEST_NO_FH, &a), EBADF);
	func_end();
}
END_TEST

START_TEST(link_of_an_unlinked_node_fails)
{
	struct fuse_entry_out e;

	func_start();
	host_text("f", "x");

	uint64_t f = func_node("f");

	ok(guest_unlink(&fx.g, ROOT, "f"));
	ck_assert_int_lt(guest_link(&fx.g, f, ROOT, "g", &e), 0);
	ck_assert(!host_exists("g"));
	func_end();
}
END_TEST

START_TEST(unlink_and_rmdir_of_names_never_looked_up)
{
	func_start();
	host_text("f", "x");
	host(mkdir(host_path("d"), 0755));
	ok(guest_unlink(&fx.g, ROOT, "f"));
	ok(guest_rmdir(&fx.g, ROOT, "d"));
	ck_assert(!host_exists("f") && !host_exists("d"));
	func_end();
}
END_TEST

START_TEST(rename_of_names_never_looked_up)
{
	func_start();
	host_text("f", "x");
	host(mkdir(host_path("d"), 0755));
	ok(guest_rename(&fx.g, ROOT, "f", func_node("d"), "g"));
	ck_assert(!host_exists("f") && host_exists("d/g"));
	func_end();
}
END_TEST

static char first_byte(const char *name)
{
	char *text = host_read(name, NULL), c = text[0];

	free(text);
	return c;
}

START_TEST(rename2_noreplace_and_exchange)
{
	func_start();
	host_text("a", "A");
	host_text("b", "B");
	fails(guest_rename2(&fx.g, ROOT, "a", ROOT, "b", RENAME_NOREPLACE), EEXIST);
	ok(guest_rename2(&fx.g, ROOT, "a", ROOT, "b", RENAME_EXCHANGE));
	ck_assert_int_eq(first_byte("a"), 'B');
	ck_assert_int_eq(first_byte("b"), 'A');
	ok(guest_rename2(&fx.g, ROOT, "a", ROOT, "c", RENAME_NOREPLACE));
	ok(guest_rename2(&fx.g, ROOT, "b", ROOT, "c", 0));
	ck_assert_int_eq(first_byte("c"), 'A');
	fails(guest_rename2(&fx.g, ROOT, "c", ROOT, "d", 0x100), EINVAL);
	fails(guest_rename2(&fx.g, ROOT, "c", ROOT, "d", RENAME_NOREPLACE | RENAME_EXCHANGE),
	      EINVAL);
	func_end();
}
END_TEST

START_TEST(rename2_leaves_a_whiteout)
{
	func_need_root();
	func_start();
	host_text("a", "A");

	int r = guest_rename2(&fx.g, ROOT, "a", ROOT, "b", RENAME_WHITEOUT);

	if (r == -EINVAL)
		func_skip("the file system has no whiteouts");
	ok(r);
	ck_assert(S_ISCHR(host_stat("a").st_mode));
	ck_assert_uint_eq(host_stat("a").st_rdev, 0);
	func_end();
}
END_TEST

START_TEST(errors_are_the_hosts)
{
	struct fuse_entry_out e;

	func_start();
	host_text("f", "x");
	host(mkdir(host_path("d"), 0755));
	host(mkdir(host_path("d/sub"), 0755));

	uint64_t f = func_node("f"), d = func_node("d"), sub = func_node("d/sub");

	fails(guest_mkdir(&fx.g, ROOT, "f", 0755, 0, &e), EEXIST);
	fails(guest_mkdir(&fx.g, f, "x", 0755, 0, &e), ENOTDIR);
	fails(guest_mknod(&fx.g, ROOT, "d", S_IFREG | 0644, 0, 0, &e), EEXIST);
	fails(guest_symlink(&fx.g, ROOT, "f", "t", &e), EEXIST);
	fails(guest_link(&fx.g, f, ROOT, "d", &e), EEXIST);
	fails(guest_link(&fx.g, d, ROOT, "d2", &e), EPERM);
	fails(guest_unlink(&fx.g, ROOT, "none"), ENOENT);
	fails(guest_unlink(&fx.g, ROOT, "d"), EISDIR);
	fails(guest_rmdir(&fx.g, ROOT, "none"), ENOENT);
	fails(guest_rmdir(&fx.g, ROOT, "f"), ENOTDIR);
	fails(guest_rmdir(&fx.g, ROOT, "d"), ENOTEMPTY);
	fails(guest_rename(&fx.g, ROOT, "none", ROOT, "x"), ENOENT);
	fails(guest_rename(&fx.g, ROOT, "f", ROOT, "d"), EISDIR);
	fails(guest_rename(&fx.g, ROOT, "d", ROOT, "f"), ENOTDIR);
	fails(guest_rename(&fx.g, ROOT, "d", sub, "x"), EINVAL);
	fails(guest_unlink(&fx.g, f, "x"), ENOTDIR);
	func_end();
}
END_TEST

/* --- names that are none --- */

static int try_name(int op, const char *name)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	switch (op) {
	case 0: return guest_mkdir(&fx.g, ROOT, name, 0755, 0, &e);
	case 1: return guest_mknod(&fx.g, ROOT, name, S_IFREG | 0644, 0, 0, &e);
	case 2: return guest_symlink(&fx.g, ROOT, name, "t", &e);
	case 3: return guest_link(&fx.g, func_node("f"), ROOT, name, &e);
	case 4: return guest_create(&fx.g, ROOT, name, O_RDWR, 0644, 0, &e, &o);
	case 5: return guest_unlink(&fx.g, ROOT, name);
	case 6: return guest_rmdir(&fx.g, ROOT, name);
	case 7: return guest_rename(&fx.g, ROOT, name, ROOT, "new");
	case 8: return guest_rename(&fx.g, ROOT, "f", ROOT, name);
	case 9: return guest_rename2(&fx.g, ROOT, name, ROOT, "new", RENAME_NOREPLACE);
	default: return guest_rename2(&fx.g, ROOT, "f", ROOT, name, RENAME_EXCHANGE);
	}
}

START_TEST(names_that_are_none_are_invalid_in_all_that_change)
{
	static const char *const wrong[] = { "", ".", "..", "/", "a/b", "d/f", "/f", "f/",
					     "../share", "./f" };

	func_start();
	host_text("f", "x");
	host(mkdir(host_path("d"), 0755));
	host_text("d/f", "x");
	for (int op = 0; op <= 10; op++)
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			int r = try_name(op, wrong[i]);

			ck_assert_msg(r == -EINVAL, "op %d, name '%s': %s", op, wrong[i],
				      r < 0 ? strerror(-r) : "success");
		}
	ck_assert(host_exists("f") && host_exists("d/f") && !host_exists("new"));
	func_end();
}
END_TEST

START_TEST(longest_name_is_255_bytes)
{
	char name[300];

	func_start();
	host_text("f", "x");
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	for (int op = 0; op <= 10; op++)
		fails(try_name(op, name), ENAMETOOLONG);
	name[255] = '\0';
	ok(try_name(4, name));
	ck_assert(host_exists(name));
	ok(try_name(5, name));
	func_end();
}
END_TEST

/* --- whom what was made belongs to --- */

static void expect_owner(const char *name, uid_t uid, gid_t gid)
{
	struct stat st = host_stat(name);

	ck_assert_msg(st.st_uid == uid && st.st_gid == gid, "%s belongs to %u:%u", name, st.st_uid,
		      st.st_gid);
}

/* One of each kind, named with the prefix. The first error, or 0. */
static int make_one_of_each(const char *prefix)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	char name[5][32];
	int r;

	for (int i = 0; i < 5; i++)
		snprintf(name[i], sizeof(name[i]), "%s%d", prefix, i);
	r = guest_mkdir(&fx.g, ROOT, name[0], 0755, 0, &e);
	if (r == 0)
		r = guest_mknod(&fx.g, ROOT, name[1], S_IFREG | 0644, 0, 0, &e);
	if (r == 0)
		r = guest_mknod(&fx.g, ROOT, name[2], S_IFIFO | 0644, 0, 0, &e);
	if (r == 0)
		r = guest_symlink(&fx.g, ROOT, name[3], "t", &e);
	if (r == 0)
		r = guest_create(&fx.g, ROOT, name[4], O_RDWR | O_EXCL, 0644, 0, &e, &o);
	return r;
}

START_TEST(what_is_made_belongs_to_the_caller)
{
	static const uid_t ids[][2] = { { 1234, 5678 }, { 0, 0 }, { 1234, 0 }, { 0, 5678 },
					{ 65534, 65534 }, { 4000000000, 4000000001 } };

	func_need_root();
	func_start();
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		char prefix[8], name[16];

		fx.g.uid = ids[i][0];
		fx.g.gid = ids[i][1];
		snprintf(prefix, sizeof(prefix), "p%zu.", i);
		ok(make_one_of_each(prefix));
		for (int k = 0; k < 5; k++) {
			snprintf(name, sizeof(name), "%s%d", prefix, k);
			expect_owner(name, ids[i][0], ids[i][1]);
		}
	}
	func_end();
}
END_TEST

/*
 * The guest's kernel has checked the caller's rights, with all of its groups; whether the host
 * checks them once more is the daemon's choice. But nothing may be made as anyone else.
 */
START_TEST(what_a_caller_may_not_make_is_refused_or_its_own)
{
	func_need_root();
	func_start();
	host(chmod(host_path(""), 0755));
	fx.g.uid = 1234;
	fx.g.gid = 5678;

	int r = make_one_of_each("p");

	ck_assert_msg(r == 0 || r == -EACCES, "%s", strerror(-r));
	if (r == 0)
		expect_owner("p4", 1234, 5678);
	/* and the next one of root has root's rights again */
	fx.g.uid = fx.g.gid = 0;
	ok(make_one_of_each("yes"));
	expect_owner("yes0", 0, 0);
	func_end();
}
END_TEST

START_TEST(only_what_makes_something_acts_as_the_caller)
{
	func_need_root();
	func_start();
	host(chmod(host_path(""), 0700));
	host_text("f", "x");
	host_text("g", "x");
	fx.g.uid = 1234;
	fx.g.gid = 5678;
	/* the guest has checked these */
	ok(guest_unlink(&fx.g, ROOT, "f"));
	ok(guest_rename(&fx.g, ROOT, "g", ROOT, "h"));
	ok(guest_chmod(&fx.g, func_node("h"), 0600));
	func_end();
}
END_TEST

START_TEST(impossible_ids_are_refused)
{
	struct fuse_entry_out e;

	func_need_root();
	func_start();
	/* -1 means "leave it" to the system calls: never as the daemon itself */
	fx.g.uid = -1;
	ck_assert_int_lt(guest_mkdir(&fx.g, ROOT, "d", 0755, 0, &e), 0);
	fx.g.uid = 0;
	fx.g.gid = -1;
	ck_assert_int_lt(guest_mkdir(&fx.g, ROOT, "d", 0755, 0, &e), 0);
	ck_assert(!host_exists("d"));
	fx.g.gid = 0;
	ok(guest_mkdir(&fx.g, ROOT, "d", 0755, 0, &e));
	func_end();
}
END_TEST

static mode_t mode_made_in_setgid_directory(const char *name)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	ok(guest_create(&fx.g, ROOT, name, O_RDWR | O_EXCL, 02755, 0, &e, &o));
	ck_assert_uint_eq(host_stat(name).st_gid, 4000);
	ck_assert_uint_eq(host_stat(name).st_uid, fx.g.uid);
	return host_stat(name).st_mode;
}

START_TEST(supplementary_group_of_the_caller_counts)
{
	func_need_root();
	func_start();
	ck_assert(fx.init.flags2 & (FUSE_CREATE_SUPP_GROUP >> 32));
	host(chown(host_path(""), 0, 4000));
	host(chmod(host_path(""), 02777));
	fx.g.uid = 1234;
	fx.g.gid = 5678;
	/* only a member of the directory's group may make a file that is setgid for it */
	fx.g.supp_group = 4000;
	ck_assert(mode_made_in_setgid_directory("member") & S_ISGID);
	fx.g.supp_group = 4001;
	ck_assert(!(mode_made_in_setgid_directory("other") & S_ISGID));
	/* and it does not stick */
	fx.g.supp_group = GUEST_NO_GROUP;
	ck_assert(!(mode_made_in_setgid_directory("none") & S_ISGID));
	func_end();
}
END_TEST

/* A setgid directory of a group that the caller is not in: its file must not be setgid. */
START_TEST(setgid_is_dropped_for_a_caller_outside_the_group)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_need_root();
	/* even if the daemon itself was started with that group */
	ck_assert_int_eq(setgroups(1, (gid_t[]){ 4000 }), 0);
	func_start();
	host(chown(host_path(""), 0, 4000));
	host(chmod(host_path(""), 02777));
	fx.g.uid = 1234;
	fx.g.gid = 5678;
	ok(guest_create(&fx.g, ROOT, "f", O_RDWR | O_EXCL, 02755, 0, &e, &o));
	ck_assert_uint_eq(host_stat("f").st_gid, 4000);
	ck_assert_msg(!(host_stat("f").st_mode & S_ISGID), "mode %o", host_stat("f").st_mode);
	ok(guest_mknod(&fx.g, ROOT, "g", S_IFREG | 02755, 0, 0, &e));
	ck_assert_msg(!(host_stat("g").st_mode & S_ISGID), "mode %o", host_stat("g").st_mode);
	/* a directory inherits it */
	ok(guest_mkdir(&fx.g, ROOT, "d", 0755, 0, &e));
	ck_assert_uint_eq(host_stat("d").st_mode, S_IFDIR | S_ISGID | 0755);
	func_end();
}
END_TEST

START_TEST(failures_of_all_kinds_leave_nothing_behind)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_need_root();
	func_start();
	host_text("f", "x");

	uint64_t f = func_node("f");

	func_attr(f); /* opens its node */

	int fds = daemon_fds(&fx.d), threads = daemon_threads(&fx.d);

	fx.g.uid = 1234;
	fx.g.gid = 5678;
	for (int i = 0; i < 300; i++) {
		fails(guest_mkdir(&fx.g, ROOT, "f", 0755, 0, &e), EEXIST);
		fails(guest_create(&fx.g, ROOT, "f", O_RDWR | O_EXCL, 0644, 0, &e, &o), EEXIST);
		fails(guest_create(&fx.g, f, "x", O_RDWR, 0644, 0, &e, &o), ENOTDIR);
		fails(guest_symlink(&fx.g, ROOT, "f", "y", &e), EEXIST);
		fails(guest_link(&fx.g, f, ROOT, "f", &e), EEXIST);
		fails(guest_rename(&fx.g, ROOT, "x", ROOT, "y"), ENOENT);
	}
	ck_assert_int_eq(daemon_fds(&fx.d), fds);
	ck_assert_int_le(daemon_threads(&fx.d), threads + 4);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("name", argc, argv);
	func_test(mkdir_makes_a_directory);
	func_test(mknod_makes_every_kind);
	func_test(mknod_makes_device_nodes_as_root);
	func_test(symlink_keeps_its_target_to_the_byte);
	func_test(link_gives_the_same_node_another_name);
	func_test(link_of_an_unlinked_node_fails);
	func_test(unlink_and_rmdir_of_names_never_looked_up);
	func_test(rename_of_names_never_looked_up);
	func_test(rename2_noreplace_and_exchange);
	func_test(rename2_leaves_a_whiteout);
	func_test(errors_are_the_hosts);
	func_test(names_that_are_none_are_invalid_in_all_that_change);
	func_test(longest_name_is_255_bytes);
	func_test(what_is_made_belongs_to_the_caller);
	func_test(what_a_caller_may_not_make_is_refused_or_its_own);
	func_test(only_what_makes_something_acts_as_the_caller);
	func_test(impossible_ids_are_refused);
	func_test(supplementary_group_of_the_caller_counts);
	func_test(setgid_is_dropped_for_a_caller_outside_the_group);
	func_test(failures_of_all_kinds_leave_nothing_behind);
	return func_done();
}
