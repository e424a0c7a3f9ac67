/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fs/cred: who a thread is, for as long as an op wants it. Most of it needs a
 * daemon that may become others; as any other user these tests see to it that
 * nothing changes.
 */
#include "fs/cred.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "unit.h"

static struct cred_base base;

static bool is_root(void)
{
	return geteuid() == 0;
}

static uint64_t caps_effective(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	must(syscall(SYS_capget, &head, data) == 0);
	return (uint64_t)data[1].effective << 32 | data[0].effective;
}

/* The thread's own ids, by raw system calls as they were set. */
struct who {
	uid_t uid;
	gid_t gid;
	int n_groups;
	gid_t group;
	uint64_t caps;
};

static struct who who(void)
{
	gid_t groups[64] = { 0 };
	struct who w = { (uid_t)syscall(SYS_geteuid), (gid_t)syscall(SYS_getegid),
			 0, 0, caps_effective() };

	w.n_groups = getgroups(64, groups);
	w.group = groups[0];
	return w;
}

static void same(struct who was)
{
	struct who now = who();

	must(now.uid == was.uid);
	must(now.gid == was.gid);
	must(now.n_groups == was.n_groups);
	must(now.caps == was.caps);
}

static void setup(void)
{
	log_init(LOG_LEVEL_WARN, false);
	ck_ok(cred_base_init(&base));
}

START_TEST(start_drops_the_groups)
{
	const gid_t groups[2] = { 1, 2 };

	if (!is_root())
		return;
	ck_assert_int_eq(setgroups(2, groups), 0);
	ck_ok(cred_base_init(&base));
	ck_assert_int_eq(getgroups(0, NULL), 0);
}
END_TEST

START_TEST(becomes_the_caller_and_back)
{
	static const struct {
		uid_t uid;
		gid_t gid;
	} users[] = { { 1000, 1000 }, { 1000, 0 }, { 0, 1000 }, { 65534, 7 },
		      { 0, 0 } };
	struct who was = who();
	const gid_t group = 4711;

	if (!is_root())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(users) * 2; i++) {
		uid_t uid = users[i / 2].uid;
		gid_t gid = users[i / 2].gid;
		struct cred_scope s;

		ck_ok(cred_enter_caller(&s, &base, uid, gid,
					i % 2 ? &group : NULL));
		ck_assert_uint_eq(who().uid, uid);
		ck_assert_uint_eq(who().gid, gid);
		ck_assert_int_eq(who().n_groups, i % 2);
		if (i % 2)
			ck_assert_uint_eq(who().group, group);
		/* Permissions were the guest's kernel's affair; nothing else. */
		if (uid != 0)
			ck_assert_uint_eq(who().caps, 1U << CAP_DAC_OVERRIDE);
		cred_leave(&s);
		same(was);
		cred_leave(&s);
		same(was);
	}
}
END_TEST

START_TEST(unchanged_is_nobody)
{
	struct who was = who();
	struct cred_scope s;

	ck_assert_int_lt(cred_enter_caller(&s, &base, (uid_t)-1, 0, NULL), 0);
	same(was);
	ck_assert_int_lt(cred_enter_caller(&s, &base, 0, (gid_t)-1, NULL), 0);
	same(was);
	cred_leave(&s);
}
END_TEST

START_TEST(fsetid_is_put_aside)
{
	struct who was = who();
	struct cred_scope s;

	ck_ok(cred_drop_fsetid(&s, &base));
	ck_assert_uint_eq(who().caps, was.caps & ~(1ULL << CAP_FSETID));
	ck_assert_uint_eq(who().uid, was.uid);
	cred_leave(&s);
	same(was);
}
END_TEST

START_TEST(files_belong_to_the_caller)
{
	const gid_t group = 4711;
	struct cred_scope s;
	struct stat st;
	char path[128];
	int fd;

	if (!is_root())
		return;
	snprintf(path, sizeof(path), "%s/callers", unit_dir);
	ck_assert_int_eq(chmod(unit_dir, 0700), 0);
	ck_ok(cred_enter_caller(&s, &base, 1000, 2000, &group));
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
	cred_leave(&s);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_uid, 1000);
	ck_assert_uint_eq(st.st_gid, 2000);
	close(fd);
}
END_TEST

/* A caller's change is one thread's: the others stay who they are. */
static struct who daemon_is;

static void change(void *arg, unsigned int no)
{
	for (unsigned int i = 0; i < unit_rounds(3000); i++) {
		const gid_t group = 100 + no;
		struct cred_scope s;

		if (no == 0) {
			same(daemon_is);
			continue;
		}
		must(cred_enter_caller(&s, &base, 1000 + no, 2000 + no,
				       &group) == 0);
		must(who().uid == 1000 + no && who().gid == 2000 + no);
		must(who().group == group);
		cred_leave(&s);
		same(daemon_is);
	}
}

START_TEST(threads_change_alone)
{
	if (!is_root())
		return;
	daemon_is = who();
	unit_threads(4, change, NULL);
	same(daemon_is);
}
END_TEST

/* A daemon without any right: its own user, and the guest's root as that. */
START_TEST(daemon_without_rights)
{
	const gid_t group = 4711;
	struct cred_scope s;
	struct who was;

	if (is_root()) {
		ck_assert_int_eq(setgroups(0, NULL), 0);
		ck_assert_int_eq(setresgid(1000, 1000, 1000), 0);
		ck_assert_int_eq(setresuid(1000, 1000, 1000), 0);
	}
	ck_ok(cred_base_init(&base));
	was = who();
	ck_assert_int_eq(cred_enter_caller(&s, &base, 4242, 4242, NULL), -EPERM);
	same(was);
	ck_assert_int_eq(cred_enter_caller(&s, &base, was.uid, 4242, NULL),
			 -EPERM);
	same(was);
	ck_assert_int_eq(cred_enter_caller(&s, &base, 4242, was.gid, &group),
			 -EPERM);
	same(was);
	ck_ok(cred_enter_caller(&s, &base, was.uid, was.gid, NULL));
	cred_leave(&s);
	same(was);
	ck_ok(cred_enter_caller(&s, &base, 0, 0, NULL));
	same(was);
	cred_leave(&s);
	ck_ok(cred_drop_fsetid(&s, &base));
	cred_leave(&s);
	same(was);
}
END_TEST

/* A daemon that is no root, but may become others: capabilities were given to
 * it (a service manager does that). */
static void keep_caps(uid_t uid)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	ck_assert_int_eq(prctl(PR_SET_KEEPCAPS, 1), 0);
	ck_assert_int_eq(setresgid(uid, uid, uid), 0);
	ck_assert_int_eq(setresuid(uid, uid, uid), 0);
	ck_assert_int_eq(syscall(SYS_capget, &head, data), 0);
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	ck_assert_int_eq(syscall(SYS_capset, &head, data), 0);
}

START_TEST(daemon_with_capabilities_but_no_root)
{
	static const uid_t users[] = { 2000, 0, 1000 };
	const gid_t group = 4711;
	struct cred_scope s;
	struct who was;

	if (!is_root())
		return;
	keep_caps(1000);
	ck_ok(cred_base_init(&base));
	ck_assert(base.may_change);
	was = who();
	ck_ok(cred_enter_caller(&s, &base, users[_i / 2], 3000,
				_i % 2 ? &group : NULL));
	ck_assert_uint_eq(who().uid, users[_i / 2]);
	ck_assert_uint_eq(who().gid, 3000);
	cred_leave(&s);
	same(was);
}
END_TEST

/* A thread that cannot become the daemon again must not serve anybody. */
START_TEST(failure_to_come_back_is_fatal)
{
	struct cred_scope s;

	ck_ok(cred_enter_caller(&s, &base, 1234, 1234, NULL));
	base.uid = 4321;
	cred_leave(&s);
	exit(0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cred");
	TCase *tc = unit_tcase(s, "credentials", 20);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, start_drops_the_groups);
	tcase_add_test(tc, becomes_the_caller_and_back);
	tcase_add_test(tc, unchanged_is_nobody);
	tcase_add_test(tc, fsetid_is_put_aside);
	tcase_add_test(tc, files_belong_to_the_caller);
	tcase_add_test(tc, threads_change_alone);
	tcase_add_test(tc, daemon_without_rights);
	tcase_add_loop_test(tc, daemon_with_capabilities_but_no_root, 0, 6);
	if (is_root())
		tcase_add_test_raise_signal(tc, failure_to_come_back_is_fatal,
					    SIGABRT);
	return unit_run(s);
}
