/* SPDX-License-Identifier: BSD-3-Clause */
/* access() and who else may what. */
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <linux/capability.h>

#include "posix.h"

static int access2(const char *path, int how, int flags)
{
	return (int)syscall(SYS_faccessat2, AT_FDCWD, path, how, flags);
}

CHECK(access_of_root)
{
	put_mode("f", "", 0);
	put_mode("x", "", 0001);
	dir("d", 0);
	OK(access("f", R_OK | W_OK));
	NO(access("f", X_OK), EACCES);
	OK(access("x", X_OK));
	OK(access("d", R_OK | W_OK | X_OK));
	OK(access("f", F_OK));
	NO(access("f", 8), EINVAL);
	NO(access("none", F_OK), ENOENT);
}

CHECK(access_by_real_and_effective_user)
{
	put_mode("f", "", 0600);
	OK(chown("f", USER, USER));
	CHILD {
		if (syscall(SYS_setresuid, OTHER, USER, 0) < 0)
			_exit(2);
		NO(access("f", R_OK), EACCES);
		NO(access2("f", R_OK, 0), EACCES);
		OK(access2("f", R_OK, AT_EACCESS));
		OK(open("f", O_RDONLY));
	}
}

CHECK(access_of_links)
{
	symlink("none", "s");
	NO(access("s", F_OK), ENOENT);
	OK(access2("s", F_OK, AT_SYMLINK_NOFOLLOW));
	OK(access2("s", R_OK | W_OK | X_OK, AT_SYMLINK_NOFOLLOW));
	NO(access2("s", F_OK, 0x8000), EINVAL);
	OK(access2("", F_OK, AT_EMPTY_PATH));
}

CHECK(access_by_fsuid)
{
	put_mode("f", "", 0600);
	dir("open", 0777);
	CHILD {
		setfsgid(USER);
		setfsuid(USER);
		NO(open("f", O_RDONLY), EACCES);
		OK(close(open("open/f", O_CREAT | O_WRONLY, 0600)));
	}
	IS(uid("open/f"), USER);
	IS(gid("open/f"), USER);
}

CHECK(access_by_supplementary_group)
{
	put_mode("f", "text", 0060);
	OK(chown("f", 0, 77));
	dir("d", 0770);
	OK(chown("d", 0, 77));
	AS_GROUPS(USER, USER, 77) {
		OK(open("f", O_RDWR));
		OK(close(open("d/f", O_CREAT | O_WRONLY, 0600)));
		OK(mkdir("d/d", 0700));
		IS(gid("d/f"), USER);
	}
	AS(USER, USER) {
		NO(open("f", O_RDONLY), EACCES);
		NO(open("d/f", O_RDONLY), EACCES);
	}
}

static const char *const counts[] = { "2", "16", "32" };

CHECK_EACH(access_by_many_groups, counts)
{
	gid_t groups[32];
	int n = atoi(counts[nr]);

	for (int i = 0; i < n; i++)
		groups[i] = (gid_t)(200 + i);
	dir("d", 0770);
	OK(chown("d", 0, (gid_t)(200 + n - 1)));
	OK(chmod("d", 02770));
	CHILD {
		if (syscall(SYS_setgroups, n, groups) < 0 || syscall(SYS_setresgid, USER, USER, USER) < 0 ||
		    syscall(SYS_setresuid, USER, USER, USER) < 0)
			_exit(2);
		OK(close(open("d/f", O_CREAT | O_WRONLY, 02750)));
		OK(mkdir("d/d", 0750));
	}
	IS(gid("d/f"), 200 + n - 1);
	GIVES(mode("d/f"));
	GIVES(mode("d/d"));
}

CHECK(access_without_capabilities)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	put_mode("f", "text", 0);
	put_mode("g", "text", 0200);
	dir("d", 0);
	CHILD {
		OK(syscall(SYS_capset, &head, none));
		NO(open("f", O_RDONLY), EACCES);
		OK(open("g", O_WRONLY));
		NO(open("g", O_RDONLY), EACCES);
		TEXT_IS(listing("d"), "(EACCES)");
		OK(chmod("f", 0600));
		OK(open("f", O_RDONLY));
		NO(chown("f", 5, 5), EPERM);
		NO(mknod("c", S_IFCHR | 0600, 0x0103), EPERM);
		OK(mkfifo("p", 0600));
	}
}

CHECK(access_search_only)
{
	dir("d", 0711);
	put_mode("d/f", "text", 0644);
	AS(USER, USER) {
		TEXT_IS(listing("d"), "(EACCES)");
		TEXT_IS(content("d/f"), "text");
		NO(open("d", O_RDONLY), EACCES);
		OK(open("d", O_PATH));
		OK(chdir("d"));
		TEXT_IS(content("f"), "text");
	}
}

CHECK(access_read_only_directory)
{
	dir("d", 0744);
	put_mode("d/f", "text", 0644);
	AS(USER, USER) {
		TEXT_IS(listing("d"), "f");
		TEXT_IS(content("d/f"), "(EACCES)");
		NO(chdir("d"), EACCES);
		NO(access("d/f", F_OK), EACCES);
		NO(access("d/none", F_OK), EACCES);
	}
}

CHECK(access_taken_away_below)
{
	int d;

	dir("d", 0755);
	dir("d/e", 0755);
	put("d/e/f", "text");
	d = opened("d/e", O_RDONLY);
	OK(chmod("d", 0700));
	AS(USER, USER) {
		NO(open("d/e/f", O_RDONLY), EACCES);
		OK(openat(d, "f", O_RDONLY));
		NO(openat(d, "..", O_RDONLY) < 0 ? openat(d, "../e", O_RDONLY) : 0, EACCES);
	}
}

CHECK(access_changes_show_at_once)
{
	put_mode("f", "text", 0600);
	AS(USER, USER)
		NO(open("f", O_RDONLY), EACCES);
	OK(chmod("f", 0644));
	AS(USER, USER)
		OK(open("f", O_RDONLY));
	OK(chmod("f", 0600));
	AS(USER, USER)
		NO(open("f", O_RDONLY), EACCES);
	OK(chown("f", USER, 0));
	AS(USER, USER)
		OK(open("f", O_RDONLY));
}

CHECK(execute_rights)
{
	put_mode("noexec", "#!/bin/true\n", 0644);
	put_mode("bad", "not a program", 0755);
	put_mode("gone", "#!./interpreter\n", 0755);
	dir("d", 0755);
	AS(USER, USER) {
		NO(execl("./noexec", "x", NULL), EACCES);
		NO(execl("./bad", "x", NULL), ENOEXEC);
		NO(execl("./gone", "x", NULL), ENOENT);
		NO(execl("./d", "x", NULL), EACCES);
		NO(execl("./none", "x", NULL), ENOENT);
	}
	NO(execl("./noexec", "x", NULL), EACCES);
}

CHECK(mknod_by_user)
{
	dir("open", 0777);
	AS(USER, USER) {
		NO(mknod("open/c", S_IFCHR | 0600, 0x0103), EPERM);
		NO(mknod("open/b", S_IFBLK | 0600, 0x0103), EPERM);
		OK(mknod("open/p", S_IFIFO | 0600, 0));
		OK(mknod("open/s", S_IFSOCK | 0600, 0));
		OK(mknod("open/f", S_IFREG | 0600, 0));
		TRY(mknod("open/w", S_IFCHR | 0600, 0));
		NO(mknod("open/d", S_IFDIR | 0700, 0), EPERM);
		NO(mknod("open/l", S_IFLNK | 0777, 0), EINVAL);
	}
	TEXT(listing("open"));
}
