/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --translate-uid and --translate-gid: other ids on the host than in the guest, in every place
 * where one comes in (the caller, its group, chown) or goes out (attributes).
 */
#include <fcntl.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID
#define ALLOW_IDMAP (1ULL << 40)

#define START(...) func_start_with((const char *[]){ __VA_ARGS__, NULL }, NULL)

static void host_owner_is(const char *name, uid_t uid, gid_t gid)
{
	struct stat st = host_stat(name);

	ck_assert_msg(st.st_uid == uid && st.st_gid == gid, "%s is of %u:%u on the host, not %u:%u",
		      name, st.st_uid, st.st_gid, uid, gid);
}

static void guest_owner_is(const char *name, uid_t uid, gid_t gid)
{
	struct fuse_entry_out e = func_entry(name);
	struct fuse_attr a = func_attr(e.nodeid);
	struct guest_statx_out x;

	ck_assert_msg(a.uid == uid && a.gid == gid, "%s is of %u:%u for the guest, not %u:%u",
		      name, a.uid, a.gid, uid, gid);
	ck_assert_uint_eq(e.attr.uid, uid);
	ck_assert_uint_eq(e.attr.gid, gid);
	ok(guest_statx(&fx.g, e.nodeid, STATX_BASIC_STATS, &x));
	ck_assert_uint_eq(x.stat.uid, uid);
	ck_assert_uint_eq(x.stat.gid, gid);
}

/* All that makes something, as that caller; the first error. */
static int make_all(uid_t uid, gid_t gid)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	fx.g.uid = uid;
	fx.g.gid = gid;

	int r[] = {
		guest_create(&fx.g, ROOT, "0", O_RDWR, 0644, 0, &e, &o),
		guest_mkdir(&fx.g, ROOT, "1", 0755, 0, &e),
		guest_mknod(&fx.g, ROOT, "2", S_IFIFO | 0644, 0, 0, &e),
		guest_symlink(&fx.g, ROOT, "3", "0", &e),
	};

	fx.g.uid = 0;
	fx.g.gid = 0;
	for (int i = 1; i < 4; i++)
		ck_assert_int_eq(r[i], r[0]);
	return r[0];
}

static void expect_all_of(uid_t uid, gid_t gid, uid_t guest_uid, gid_t guest_gid)
{
	for (char name[2] = "0"; name[0] < '4'; name[0]++) {
		host_owner_is(name, uid, gid);
		guest_owner_is(name, guest_uid, guest_gid);
	}
}

START_TEST(map_goes_both_ways)
{
	func_need_root();
	START("--translate-uid=map:1000:51000:10", "--translate-gid=map:2000:62000:10");
	host(chmod(host_path(""), 0777));
	ok(make_all(1003, 2004));
	expect_all_of(51003, 62004, 1003, 2004);
	/* ids that no rule names are the same */
	host_text("plain", "x");
	host(chown(host_path("plain"), 3, 51003));
	guest_owner_is("plain", 3, 51003);

	uint64_t n = func_node("plain");

	ok(guest_chown(&fx.g, n, 1009, 2000));
	host_owner_is("plain", 51009, 62000);
	guest_owner_is("plain", 1009, 2000);
	ok(guest_chown(&fx.g, n, 1010, 1010));
	host_owner_is("plain", 1010, 1010);
	func_end();
}
END_TEST

START_TEST(guest_and_host_go_one_way)
{
	func_need_root();
	START("--translate-uid=guest:1000:51000:10", "--translate-gid=host:62000:2000:10");
	host(chmod(host_path(""), 0777));
	ok(make_all(1001, 2001));
	expect_all_of(51001, 2001, 51001, 2001);
	host_text("f", "x");
	host(chown(host_path("f"), 51001, 62005));
	guest_owner_is("f", 51001, 2005);
	func_end();
}
END_TEST

START_TEST(squashing_makes_many_one)
{
	func_need_root();
	START("--translate-uid=squash-guest:0:4444:100000", "--translate-uid=squash-host:0:7:100000",
	      "--translate-gid=squash-guest:0:5555:100000", "--translate-gid=squash-host:0:8:100000");
	host(chmod(host_path(""), 0777));
	ok(make_all(1234, 0));
	expect_all_of(4444, 5555, 7, 8);
	ok(guest_chown(&fx.g, func_node("0"), 99, 98));
	expect_all_of(4444, 5555, 7, 8);
	func_end();
}
END_TEST

START_TEST(forbidden_ids_make_nothing)
{
	func_need_root();
	START("--translate-uid=forbid-guest:1000:10", "--translate-gid=forbid-guest:2000:10");
	host(chmod(host_path(""), 0777));
	ck_assert_int_eq(make_all(1000, 0), -EPERM);
	ck_assert_int_eq(make_all(0, 2009), -EPERM);
	ck_assert(!host_exists("0") && !host_exists("1") && !host_exists("2") && !host_exists("3"));
	host_text("f", "x");

	uint64_t n = func_node("f");
	struct fuse_setattr_in group = { .valid = FATTR_GID, .gid = 2000 };

	fails(guest_chown(&fx.g, n, 1005, 0), EPERM);
	fails(guest_setattr(&fx.g, n, &group, NULL), EPERM);
	host_owner_is("f", 0, 0);
	/* what is there may be seen, and used by others */
	host(chown(host_path("f"), 1005, 2005));
	guest_owner_is("f", 1005, 2005);
	ok(make_all(1010, 2010));
	func_end();
}
END_TEST

START_TEST(supplementary_group_is_translated)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_need_root();
	START("--translate-gid=map:2000:62000:10");
	host(chown(host_path(""), 0, 62001));
	host(chmod(host_path(""), 02777));
	fx.g.uid = 1234;
	fx.g.gid = 1234;
	fx.g.supp_group = 2001;
	ok(guest_create(&fx.g, ROOT, "member", O_RDWR, 02770, 0, &e, &o));
	ck_assert(host_stat("member").st_mode & S_ISGID);
	fx.g.supp_group = 2002;
	ok(guest_create(&fx.g, ROOT, "other", O_RDWR, 02770, 0, &e, &o));
	ck_assert(!(host_stat("other").st_mode & S_ISGID));
	func_end();
}
END_TEST

/* A guest mounts with ids of its own choice only where it also goes by ACLs. */
START_TEST(mounts_with_other_ids_need_acls)
{
	START("--posix-acl=auto");
	ok(func_init_with(GUEST_MINOR + 4, GUEST_INIT_FLAGS | ALLOW_IDMAP));
	ck_assert(fx.g.agreed & ALLOW_IDMAP);
	ok(func_init_with(GUEST_MINOR + 4, GUEST_INIT_FLAGS));
	ck_assert(!(fx.g.agreed & ALLOW_IDMAP));
	ok(func_init_with(GUEST_MINOR + 4,
			  (GUEST_INIT_FLAGS | ALLOW_IDMAP) & ~(uint64_t)FUSE_POSIX_ACL));
	ck_assert(!(fx.g.agreed & ALLOW_IDMAP));
	func_end();
	func_start();
	ok(func_init_with(GUEST_MINOR + 4, GUEST_INIT_FLAGS | ALLOW_IDMAP));
	ck_assert(!(fx.g.agreed & ALLOW_IDMAP));
	func_end();
}
END_TEST

static void expect_refusal(const char *arg)
{
	struct daemon_opts o = {
		.args = (const char *[]){ "--rlimit-nofile=0", arg, NULL }, .no_wait = true,
	};

	unlink(fx.d.log);
	ok(daemon_spawn(&fx.d, &o));
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	ck_assert_msg(daemon_log_lines(&fx.d) == 1, "%s: not one line:\n%s", arg, daemon_log(&fx.d));
	ck_assert(daemon_log_has(&fx.d, "--translate-"));
}

START_TEST(bad_rules_are_refused)
{
	ok(daemon_prepare(&fx.d));
	expect_refusal("--translate-uid=map:1:2");
	expect_refusal("--translate-gid=all:1:2:3");
	expect_refusal("--translate-uid=map:0:0:0");
	daemon_discard(&fx.d);
}
END_TEST

int main(int argc, char **argv)
{
	func_init("idmap", argc, argv);
	func_test(map_goes_both_ways);
	func_test(guest_and_host_go_one_way);
	func_test(squashing_makes_many_one);
	func_test(forbidden_ids_make_nothing);
	func_test(supplementary_group_is_translated);
	func_test(mounts_with_other_ids_need_acls);
	func_test(bad_rules_are_refused);
	return func_done();
}
