/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POSIX ACLs: agreed on only as a whole, inherited from the directory by the host, which then
 * applies the caller's umask as well. What the guest makes is compared with what the same calls
 * make on the host beside it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/sysmacros.h>
#include <sys/mount.h>
#include <sys/xattr.h>

#include "func.h"

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

#define ACL_FLAGS ((uint64_t)(FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT))
#define NO_ACL_FLAGS ((uint64_t)GUEST_INIT_FLAGS & ~ACL_FLAGS)

static char buf[4096], value[4096];

/* --- ACLs as bytes: a version, then tag, permissions, id for each entry --- */

enum { USER_OBJ = 1, USER = 2, GROUP_OBJ = 4, GROUP = 8, MASK = 0x10, OTHER = 0x20 };

struct acl {
	uint32_t version;
	struct { uint16_t tag, perm; uint32_t id; } entry[8];
};
#define ACL_SIZE(n) (4 + 8 * (size_t)(n))
#define NO_ID UINT32_MAX

static const struct acl full = { 2, {
	{ USER_OBJ, 7, NO_ID }, { USER, 6, 1234 }, { GROUP_OBJ, 5, NO_ID }, { GROUP, 7, 4321 },
	{ MASK, 7, NO_ID }, { OTHER, 1, NO_ID },
} };
#define FULL_SIZE ACL_SIZE(6)

static const struct acl minimal = { 2, {
	{ USER_OBJ, 7, NO_ID }, { GROUP_OBJ, 7, NO_ID }, { OTHER, 7, NO_ID },
} };
#define MINIMAL_SIZE ACL_SIZE(3)

static void start(const char *mode)
{
	char arg[40];

	snprintf(arg, sizeof(arg), "--posix-acl=%s", mode);
	func_start_daemon((const char *[]){ arg, "--xattr", NULL });
	func_connect(NULL);
}

/* A session where ACLs are agreed on */
static void start_agreed(void)
{
	start("auto");
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS));
	ck_assert((fx.g.agreed & ACL_FLAGS) == ACL_FLAGS);
	if (lsetxattr(fx.d.share, DEFAULT, &full, FULL_SIZE, 0) < 0)
		func_skip("no ACLs on this file system");
	host(lremovexattr(fx.d.share, DEFAULT));
}

/* --- INIT --- */

START_TEST(all_flags_or_none_are_answered)
{
	static const uint64_t one[] = { FUSE_POSIX_ACL, FUSE_DONT_MASK, FUSE_SETXATTR_EXT };

	start("auto");
	for (unsigned int mask = 0; mask < 8; mask++) {
		uint64_t offer = NO_ACL_FLAGS;

		for (int i = 0; i < 3; i++)
			offer |= mask & (1u << i) ? one[i] : 0;
		ok(func_init_with(GUEST_MINOR, offer));
		ck_assert_msg((fx.g.agreed & ACL_FLAGS) == (mask == 7 ? ACL_FLAGS : 0),
			      "offered %u, agreed %lx", mask, fx.g.agreed & ACL_FLAGS);
	}
	/* an old guest has them too: they are in the lower half */
	ok(func_init_with(33, GUEST_INIT_FLAGS));
	ck_assert((fx.g.agreed & ACL_FLAGS) == ACL_FLAGS);
	func_end();
}
END_TEST

START_TEST(never_answers_none)
{
	start("never");
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS));
	ck_assert(!(fx.g.agreed & ACL_FLAGS));
	func_end();
}
END_TEST

START_TEST(the_usual_is_never)
{
	func_start_with((const char *[]){ "--xattr", NULL }, NULL);
	ck_assert(!(fx.g.agreed & ACL_FLAGS));
	func_end();
}
END_TEST

START_TEST(always_refuses_a_guest_that_cannot)
{
	static const uint64_t missing[] = { FUSE_POSIX_ACL, FUSE_DONT_MASK, FUSE_SETXATTR_EXT };
	struct fuse_attr_out a;

	for (int i = 0; i < 3; i++) {
		start("always");
		ck_assert_int_lt(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS & ~missing[i]), 0);
		ck_assert_msg(strcasestr(daemon_log(&fx.d), "acl"), "not said: %s",
			      daemon_log(&fx.d));
		fails(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a), EIO);
		/* the next kernel of the same machine may be a newer one */
		ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS));
		ck_assert((fx.g.agreed & ACL_FLAGS) == ACL_FLAGS);
		func_end();
	}
}
END_TEST

START_TEST(spellings_of_the_option)
{
	static const struct { const char *args[4]; bool agreed; } lines[] = {
		{ { "--posix-acl" }, true },
		{ { "--posix-acl=always" }, true },
		{ { "-o", "posix_acl" }, true },
		{ { "--posix-acl", "-o", "no_posix_acl" }, false },
		{ { "--posix-acl", "--posix-acl=never" }, false },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		func_start_with(lines[i].args, NULL);
		ck_assert_int_eq((fx.g.agreed & ACL_FLAGS) == ACL_FLAGS, lines[i].agreed);
		host_text("f", "x");
		if (lines[i].agreed)	/* ACLs are xattrs */
			fails(guest_getxattr(&fx.g, func_node("f"), "user.x", buf, 1), ENODATA);
		func_end();
	}
}
END_TEST

/* --- what new files get --- */

/* The ACLs of two files are the same, bytes and absence. */
static void same_acls(const char *a, const char *b)
{
	static const char *const names[] = { ACCESS, DEFAULT };

	for (int i = 0; i < 2; i++) {
		ssize_t na = lgetxattr(host_path(a), names[i], buf, sizeof(buf));
		ssize_t nb = lgetxattr(host_path(b), names[i], value, sizeof(value));

		ck_assert_msg(na == nb, "%s of %s: %zd bytes, host %zd", names[i], a, na, nb);
		if (na > 0)
			ck_assert_mem_eq(buf, value, na);
	}
	ck_assert_msg(host_stat(a).st_mode == host_stat(b).st_mode, "mode of %s: %o, host %o", a,
		      host_stat(a).st_mode, host_stat(b).st_mode);
}

/* Modes are as the guest's kernel sends them: the umask is still to be applied. */
static void make_by_guest(uint64_t dir, mode_t mode, mode_t mask)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	ok(guest_mkdir(&fx.g, dir, "dir", mode, mask, &e));
	ok(guest_create(&fx.g, dir, "file", O_RDWR | O_EXCL, mode, mask, &e, &o));
	ok(guest_mknod(&fx.g, dir, "node", S_IFREG | mode, 0, mask, &e));
	ok(guest_mknod(&fx.g, dir, "fifo", S_IFIFO | mode, 0, mask, &e));
	ok(guest_symlink(&fx.g, dir, "link", "target", &e));
	ok(guest_tmpfile(&fx.g, dir, O_RDWR, mode, mask, &e, &o));
	ck_assert_uint_eq(e.attr.nlink, 0);
	ok(guest_link(&fx.g, e.nodeid, dir, "tmp", &e));
}

static void make_by_host(const char *dir, mode_t mode, mode_t mask)
{
	int d = host(open(host_path(dir), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	mode_t old = umask(mask);
	char proc[40];

	host(mkdirat(d, "dir", mode));
	close(host(openat(d, "file", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode)));
	host(mknodat(d, "node", S_IFREG | mode, 0));
	host(mknodat(d, "fifo", S_IFIFO | mode, 0));
	host(symlinkat("target", d, "link"));

	int t = host(openat(d, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode));

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", t);
	host(linkat(AT_FDCWD, proc, d, "tmp", AT_SYMLINK_FOLLOW));
	umask(old);
	close(t);
	close(d);
}

static void compare_with_host(const struct acl *acl, size_t size, uid_t uid)
{
	static const char *const made[] = { "dir", "file", "node", "fifo", "link", "tmp" };
	static const mode_t modes[] = { 0777, 0666, 0640, 0 }, masks[] = { 0, 022, 077, 0777 };

	for (int m = 0; m < 4; m++)
		for (int k = 0; k < 4; k++) {
			char g[32], h[32], a[64], b[64];

			snprintf(g, sizeof(g), "guest-%d-%d", m, k);
			snprintf(h, sizeof(h), "host-%d-%d", m, k);
			host(mkdir(host_path(g), 0777));
			host(mkdir(host_path(h), 0777));
			host(chmod(host_path(g), 0777));
			host(chmod(host_path(h), 0777));
			if (acl) {
				host(lsetxattr(host_path(g), DEFAULT, acl, size, 0));
				host(lsetxattr(host_path(h), DEFAULT, acl, size, 0));
			}
			fx.g.uid = fx.g.gid = uid;
			make_by_guest(func_node(g), modes[m], masks[k]);
			make_by_host(h, modes[m], masks[k]);
			for (int i = 0; i < 6; i++) {
				snprintf(a, sizeof(a), "%s/%s", g, made[i]);
				snprintf(b, sizeof(b), "%s/%s", h, made[i]);
				same_acls(a, b);
				ck_assert_uint_eq(host_stat(a).st_uid, uid);
			}
		}
}

START_TEST(new_files_inherit_as_on_the_host)
{
	start_agreed();
	compare_with_host(&full, FULL_SIZE, getuid());
	func_end();
}
END_TEST

START_TEST(new_files_inherit_a_short_acl_as_on_the_host)
{
	start_agreed();
	compare_with_host(&minimal, MINIMAL_SIZE, getuid());
	func_end();
}
END_TEST

START_TEST(without_a_default_acl_the_umask_counts)
{
	start_agreed();
	compare_with_host(NULL, 0, getuid());
	func_end();
}
END_TEST

START_TEST(another_users_files_inherit_too)
{
	func_need_root();
	start_agreed();
	compare_with_host(&full, FULL_SIZE, 1234);
	func_end();
}
END_TEST

START_TEST(a_umask_is_for_its_request_alone)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	start_agreed();
	ok(guest_mkdir(&fx.g, FUSE_ROOT_ID, "a", 0777, 077, &e));
	ck_assert_uint_eq(host_stat("a").st_mode & 07777, 0700);
	fails(guest_mkdir(&fx.g, FUSE_ROOT_ID, "a", 0777, 0777, &e), EEXIST);
	ok(guest_mkdir(&fx.g, FUSE_ROOT_ID, "b", 0777, 0, &e));
	ck_assert_uint_eq(host_stat("b").st_mode & 07777, 0777);
	/* only permissions have to do with a umask */
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "c", O_RDWR, 06777, 07022, &e, &o));
	ck_assert_uint_eq(host_stat("c").st_mode & 0777, 0755);
	func_end();
}
END_TEST

/* Nor of another queue's: a umask is usually a whole process's. */
struct maker {
	struct guest g;
	pthread_t thread;
	mode_t mask;
	unsigned int id, wrong;
};

static void *make_many(void *arg)
{
	struct maker *m = arg;
	struct fuse_entry_out e;
	char name[32];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "q%u-%d", m->id, i);
		if (guest_mkdir(&m->g, FUSE_ROOT_ID, name, 0777, m->mask, &e) < 0 ||
		    (e.attr.mode & 07777) != (0777 & ~m->mask))
			m->wrong++;
	}
	return NULL;
}

START_TEST(a_umask_is_for_its_queue_alone)
{
	static const mode_t masks[] = { 0, 077, 022 };
	struct vmm_opts o = { .request_queues = 3 };
	static struct maker m[3];

	func_start_daemon((const char *[]){ "--posix-acl=auto", NULL });
	func_connect(&o);
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS));
	for (unsigned int i = 0; i < 3; i++) {
		m[i].id = i;
		m[i].mask = masks[i];
		ok(guest_attach(&m[i].g, &fx.v, 1 + i, 4096));
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&m[i].thread, NULL, make_many, &m[i]), 0);
	for (int i = 0; i < 3; i++) {
		pthread_join(m[i].thread, NULL);
		ck_assert_uint_eq(m[i].wrong, 0);
		guest_detach(&m[i].g);
	}
	func_end();
}
END_TEST

START_TEST(a_guest_without_acls_has_applied_its_umask)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	start("auto");
	ok(func_init_with(GUEST_MINOR, NO_ACL_FLAGS));
	ok(guest_mkdir(&fx.g, FUSE_ROOT_ID, "d", 0777, 077, &e));
	ck_assert_uint_eq(host_stat("d").st_mode & 07777, 0777);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0666, 077, &e, &o));
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 0666);
	func_end();
}
END_TEST

/* --- ACLs as attributes --- */

START_TEST(acls_are_set_and_read)
{
	func_need_ids();
	start_agreed();
	host_text("f", "x");
	host(mkdir(host_path("d"), 0755));

	uint64_t f = func_node("f"), d = func_node("d");

	ok(guest_setxattr(&fx.g, f, ACCESS, &full, FULL_SIZE, 0));
	ck_assert_uint_eq(lgetxattr(host_path("f"), ACCESS, value, sizeof(value)), FULL_SIZE);
	ck_assert_mem_eq(value, &full, FULL_SIZE);
	/* the mask takes the place of the group's permissions */
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 0771);
	ck_assert_uint_eq(func_attr(f).mode & 07777, 0771);
	ck_assert_uint_eq(ok(guest_getxattr(&fx.g, f, ACCESS, buf, sizeof(buf))), FULL_SIZE);
	ck_assert_mem_eq(buf, &full, FULL_SIZE);
	ck_assert_uint_eq(ok(guest_listxattr(&fx.g, f, buf, sizeof(buf))), sizeof(ACCESS));
	ck_assert_str_eq(buf, ACCESS);

	fails(guest_getxattr(&fx.g, d, DEFAULT, buf, sizeof(buf)), ENODATA);
	ok(guest_setxattr(&fx.g, d, DEFAULT, &full, FULL_SIZE, 0));
	ck_assert_uint_eq(ok(guest_getxattr(&fx.g, d, DEFAULT, buf, sizeof(buf))), FULL_SIZE);
	ok(guest_removexattr(&fx.g, d, DEFAULT));
	fails(guest_getxattr(&fx.g, d, DEFAULT, buf, sizeof(buf)), ENODATA);
	ok(guest_removexattr(&fx.g, f, ACCESS));
	func_end();
}
END_TEST

START_TEST(ids_in_acls_are_translated)
{
	struct acl on_host = full, forbidden = full;

	on_host.entry[1].id = 5234;
	on_host.entry[3].id = 8321;
	forbidden.entry[1].id = 2000;
	func_need_ids();
	func_start_daemon((const char *[]){ "--posix-acl=auto", "--translate-uid=map:1000:5000:1000",
					    "--translate-uid=forbid-guest:2000:1",
					    "--translate-gid=map:4000:8000:500", NULL });
	func_connect(NULL);
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS));
	host_text("f", "x");
	if (lsetxattr(host_path("f"), ACCESS, &full, FULL_SIZE, 0) < 0)
		func_skip("no ACLs on this file system");

	uint64_t f = func_node("f");

	ok(guest_setxattr(&fx.g, f, ACCESS, &full, FULL_SIZE, 0));
	ck_assert_uint_eq(lgetxattr(host_path("f"), ACCESS, value, sizeof(value)), FULL_SIZE);
	ck_assert_mem_eq(value, &on_host, FULL_SIZE);
	ck_assert_uint_eq(ok(guest_getxattr(&fx.g, f, ACCESS, buf, sizeof(buf))), FULL_SIZE);
	ck_assert_mem_eq(buf, &full, FULL_SIZE);
	fails(guest_setxattr(&fx.g, f, ACCESS, &forbidden, FULL_SIZE, 0), EPERM);
	/* What is no ACL by its size is not one by its first half either. */
	fails(guest_setxattr(&fx.g, f, ACCESS, &forbidden, FULL_SIZE - 3, 0), EINVAL);
	func_end();
}
END_TEST

START_TEST(bad_acls_are_refused_as_on_the_host)
{
	struct acl bad[4] = { full, full, full, full };
	static const size_t sizes[] = { FULL_SIZE, FULL_SIZE, FULL_SIZE - 3, FULL_SIZE };

	bad[0].version = 3;
	bad[1].entry[0].tag = 0x40;
	bad[3].entry[4].tag = OTHER;
	func_need_ids();
	start_agreed();
	host_text("f", "x");
	host(symlink("f", host_path("l")));

	uint64_t f = func_node("f");

	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(lsetxattr(host_path("f"), ACCESS, &bad[i], sizes[i], 0), -1);
		fails(guest_setxattr(&fx.g, f, ACCESS, &bad[i], sizes[i], 0), errno);
	}
	ck_assert_int_eq(lsetxattr(host_path("f"), DEFAULT, &full, FULL_SIZE, 0), -1);
	fails(guest_setxattr(&fx.g, f, DEFAULT, &full, FULL_SIZE, 0), errno);
	ck_assert_int_eq(lsetxattr(host_path("l"), ACCESS, &full, FULL_SIZE, 0), -1);
	fails(guest_setxattr(&fx.g, func_node("l"), ACCESS, &full, FULL_SIZE, 0), errno);
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 0644);
	func_end();
}
END_TEST

START_TEST(the_sgid_bit_goes_when_the_guest_says_so)
{
	func_need_ids();
	start_agreed();
	host_text("f", "x");
	host(chmod(host_path("f"), 02755));

	uint64_t f = func_node("f");

	ok(guest_setxattr(&fx.g, f, ACCESS, &full, FULL_SIZE, 0));
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 02771);
	fx.g.setxattr_flags = FUSE_SETXATTR_ACL_KILL_SGID;
	ok(guest_setxattr(&fx.g, f, ACCESS, &full, FULL_SIZE, 0));
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 0771);
	/* nor without it, and the other bits stay */
	host(chmod(host_path("f"), 07755));
	ok(guest_setxattr(&fx.g, f, ACCESS, &full, FULL_SIZE, 0));
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 05771);
	/* not if it failed */
	host(chmod(host_path("f"), 02755));
	fails(guest_setxattr(&fx.g, f, ACCESS, &full, FULL_SIZE - 1, 0), EINVAL);
	ck_assert_uint_eq(host_stat("f").st_mode & 07777, 02755);
	func_end();
}
END_TEST

/* --- where they are not agreed on --- */

static void expect_no_acls(void)
{
	uint64_t f = func_node("f"), d = func_node("d");

	fails(guest_getxattr(&fx.g, f, ACCESS, buf, sizeof(buf)), EOPNOTSUPP);
	fails(guest_getxattr(&fx.g, d, DEFAULT, buf, sizeof(buf)), EOPNOTSUPP);
	fails(guest_getxattr(&fx.g, d, DEFAULT, NULL, 0), EOPNOTSUPP);
	fails(guest_setxattr(&fx.g, f, ACCESS, &minimal, MINIMAL_SIZE, 0), EOPNOTSUPP);
	fails(guest_setxattr(&fx.g, d, DEFAULT, &minimal, MINIMAL_SIZE, 0), EOPNOTSUPP);
	fails(guest_removexattr(&fx.g, f, ACCESS), EOPNOTSUPP);
	fails(guest_removexattr(&fx.g, d, DEFAULT), EOPNOTSUPP);
	ck_assert_uint_eq(lgetxattr(host_path("f"), ACCESS, value, sizeof(value)), FULL_SIZE);
	ck_assert_mem_eq(value, &full, FULL_SIZE);
	ck_assert_uint_eq(lgetxattr(host_path("d"), DEFAULT, value, sizeof(value)), FULL_SIZE);
	ck_assert_mem_eq(value, &full, FULL_SIZE);
	/* what else there is can be seen */
	ck_assert_uint_eq(ok(guest_listxattr(&fx.g, f, NULL, 0)), sizeof("user.x"));
	ck_assert_uint_eq(ok(guest_listxattr(&fx.g, f, buf, sizeof(buf))), sizeof("user.x"));
	ck_assert_str_eq(buf, "user.x");
	ck_assert_uint_eq(ok(guest_listxattr(&fx.g, d, buf, sizeof(buf))), 0);
}

static void make_acls(void)
{
	host_text("f", "x");
	host(mkdir(host_path("d"), 0755));
	if (lsetxattr(host_path("f"), ACCESS, &full, FULL_SIZE, 0) < 0)
		func_skip("no ACLs on this file system");
	host(lsetxattr(host_path("d"), DEFAULT, &full, FULL_SIZE, 0));
	host(lsetxattr(host_path("f"), "user.x", "", 0, 0));
}

START_TEST(acls_are_hidden_and_refused_if_not_agreed)
{
	start("never");
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS));
	make_acls();
	expect_no_acls();
	func_end();

	start("auto");
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS & ~(uint64_t)FUSE_DONT_MASK));
	make_acls();
	expect_no_acls();
	/* of this session */
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS));
	ck_assert_uint_eq(ok(guest_getxattr(&fx.g, func_node("f"), ACCESS, buf, sizeof(buf))),
			  FULL_SIZE);
	ok(func_init_with(GUEST_MINOR, NO_ACL_FLAGS));
	expect_no_acls();
	func_end();
}
END_TEST

/* A map that leaves the names as they are changes nothing about that. */
START_TEST(where_the_host_has_none_a_file_has_none)
{
	struct daemon_opts o = { .args = (const char *[]){ "--posix-acl=always", NULL } };

	ok(daemon_prepare(&fx.d));
	host(mkdir(host_path("proc"), 0755));
	host_mount("proc", "proc");
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();

	uint64_t n = func_node("proc/version");

	ck_assert_int_eq(getxattr(host_path("proc/version"), ACCESS, buf, 100), -1);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	/* any other error keeps the guest's users out */
	fails(guest_getxattr(&fx.g, n, ACCESS, buf, 100), ENODATA);
	fails(guest_getxattr(&fx.g, func_node("proc"), DEFAULT, NULL, 0), ENODATA);
	fails(guest_getxattr(&fx.g, n, "user.a", buf, 100), EOPNOTSUPP);
	/* to set one is an error as ever */
	fails(guest_setxattr(&fx.g, n, ACCESS, "\2\0\0\0", 4, 0), EOPNOTSUPP);
	host(umount2(host_path("proc"), MNT_DETACH));
	func_end();
}
END_TEST

START_TEST(a_map_does_not_bring_them_back)
{
	func_start_with((const char *[]){ "--xattrmap=:map:trusted.:user.virtiofs.:", NULL },
			NULL);
	make_acls();
	expect_no_acls();
	func_end();
	func_start_with((const char *[]){ "--xattrmap=:ok:all:::", NULL }, NULL);
	make_acls();
	expect_no_acls();
	func_end();
}
END_TEST

/* Nor does one that would put them elsewhere: they would be set and never be heard of again. */
START_TEST(a_map_that_takes_everything_takes_no_acls)
{
	func_start_with((const char *[]){ "--xattrmap=:map::user.virtiofs.:", NULL }, NULL);
	host_text("f", "x");

	uint64_t f = func_node("f");

	fails(guest_setxattr(&fx.g, f, ACCESS, &full, FULL_SIZE, 0), EOPNOTSUPP);
	fails(guest_getxattr(&fx.g, f, ACCESS, buf, sizeof(buf)), EOPNOTSUPP);
	host(lsetxattr(host_path("f"), "user.virtiofs." ACCESS, &full, FULL_SIZE, 0));
	fails(guest_getxattr(&fx.g, f, ACCESS, buf, sizeof(buf)), EOPNOTSUPP);
	ck_assert_int_eq(ok(guest_listxattr(&fx.g, f, NULL, 0)), 0);
	func_end();
}
END_TEST

/* The host would not go by them there, and the guest leaves it to the host. */
START_TEST(a_map_that_moves_acls_and_acls_exclude_each_other)
{
	static const char *const maps[] = { "--xattrmap=:map::user.virtiofs.:",
					    "--xattrmap=:bad:all:system.posix_acl_default:::ok:all:::" };

	for (size_t i = 0; i < 2; i++) {
		func_start_daemon((const char *[]){ "--posix-acl=auto", maps[i], NULL });
		func_connect(NULL);
		ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS));
		ck_assert_uint_eq(fx.g.agreed & ACL_FLAGS & ~(uint64_t)FUSE_SETXATTR_EXT, 0);
		ck_assert(daemon_log_has(&fx.d, "no POSIX ACLs"));
		func_end();

		struct daemon_opts o = { .no_wait = true,
			.args = (const char *[]){ "--posix-acl=always", maps[i], NULL } };

		ok(daemon_prepare(&fx.d));
		ok(daemon_spawn(&fx.d, &o));
		ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 1);
		ck_assert(daemon_log_has(&fx.d, "--posix-acl=always"));
		daemon_discard(&fx.d);
	}
	/* One that leaves them alone does not. */
	func_start_daemon((const char *[]){ "--posix-acl=auto",
					    "--xattrmap=:map:trusted.:user.virtiofs.:", NULL });
	func_connect(NULL);
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS));
	ck_assert((fx.g.agreed & ACL_FLAGS) == ACL_FLAGS);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("acl", argc, argv);
	func_test(all_flags_or_none_are_answered);
	func_test(never_answers_none);
	func_test(the_usual_is_never);
	func_test(always_refuses_a_guest_that_cannot);
	func_test(spellings_of_the_option);
	func_test(new_files_inherit_as_on_the_host);
	func_test(new_files_inherit_a_short_acl_as_on_the_host);
	func_test(without_a_default_acl_the_umask_counts);
	func_test(another_users_files_inherit_too);
	func_test(a_umask_is_for_its_request_alone);
	func_test(a_umask_is_for_its_queue_alone);
	func_test(a_guest_without_acls_has_applied_its_umask);
	func_test(acls_are_set_and_read);
	func_test(ids_in_acls_are_translated);
	func_test(bad_acls_are_refused_as_on_the_host);
	func_test(the_sgid_bit_goes_when_the_guest_says_so);
	func_test(acls_are_hidden_and_refused_if_not_agreed);
	func_test(where_the_host_has_none_a_file_has_none);
	func_test(a_map_does_not_bring_them_back);
	func_test(a_map_that_moves_acls_and_acls_exclude_each_other);
	func_test(a_map_that_takes_everything_takes_no_acls);
	return func_done();
}
