/* SPDX-License-Identifier: BSD-3-Clause */
/* Times: set in each way, by whom, and what moves them. */
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <time.h>

#include "posix.h"

static int set(const char *path, long a_sec, long a_nsec, long m_sec, long m_nsec)
{
	struct timespec ts[2] = { { a_sec, a_nsec }, { m_sec, m_nsec } };

	return utimensat(AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW);
}

static const char *shown(const char *path)
{
	static char buf[128];
	struct times t = times(path);

	snprintf(buf, sizeof(buf), "%lld.%09ld %lld.%09ld", (long long)t.t[0].tv_sec,
		 t.t[0].tv_nsec, (long long)t.t[1].tv_sec, t.t[1].tv_nsec);
	return buf;
}

static bool is_now(struct timespec ts)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return llabs((long long)now.tv_sec - ts.tv_sec) <= 5;
}

static const char *const moments[] = { "0", "1", "-1", "1234567890", "2147483647", "2147483648",
				       "4294967295", "4294967296", "-2147483648", "-2147483649",
				       "15032385535", "15032385536", "99999999999" };

CHECK_EACH(time_set, moments)
{
	long s = atol(moments[nr]);

	put("f", "");
	dir("d", 0755);
	symlink("f", "s");
	mkfifo("p", 0644);
	OK(set("f", s, 0, s, 999999999));
	TEXT(shown("f"));
	OK(set("f", s, 123456789, 5, 1));
	TEXT(shown("f"));
	OK(set("d", 7, 7, s, 1));
	TEXT(shown("d"));
	OK(set("s", s, 2, s, 3));
	TEXT(shown("s"));
	OK(set("p", s, 4, s, 5));
	TEXT(shown("p"));
	TEXT(shown("f"));
}

CHECK(time_now_and_omit)
{
	put("f", "");
	OK(set("f", 5, 5, 6, 6));
	OK(set("f", 0, UTIME_OMIT, 9, 9));
	TEXT_IS(shown("f"), "5.000000005 9.000000009");
	OK(set("f", 4, 4, 0, UTIME_OMIT));
	TEXT_IS(shown("f"), "4.000000004 9.000000009");
	OK(set("f", 0, UTIME_OMIT, 0, UTIME_OMIT));
	TEXT_IS(shown("f"), "4.000000004 9.000000009");
	OK(set("f", 0, UTIME_NOW, 3, 3));
	YES(is_now(times("f").t[0]));
	IS(times("f").t[1].tv_sec, 3);
	OK(set("f", 2, 2, 0, UTIME_NOW));
	YES(is_now(times("f").t[1]));
	IS(times("f").t[0].tv_sec, 2);
	OK(set("f", 1, 1, 1, 1));
	OK(set("f", 0, UTIME_NOW, 0, UTIME_NOW));
	YES(is_now(times("f").t[0]) && is_now(times("f").t[1]));
	OK(set("f", 1, 1, 1, 1));
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	YES(is_now(times("f").t[0]) && is_now(times("f").t[1]));
}

CHECK(time_bad_values)
{
	put("f", "");
	OK(set("f", 1, 1, 1, 1));
	NO(set("f", 0, 1000000000, 0, 0), EINVAL);
	NO(set("f", 0, 0, 0, -1), EINVAL);
	NO(set("f", 0, 0, 0, 2000000000), EINVAL);
	NO(utimensat(AT_FDCWD, "f", NULL, 0x4000), EINVAL);
	TEXT_IS(shown("f"), "1.000000001 1.000000001");
	OK(set("none", 0, UTIME_OMIT, 0, UTIME_OMIT) + 1);
}

CHECK(time_by_descriptor)
{
	struct timespec ts[2] = { { 11, 12 }, { 13, 14 } };
	struct timeval tv[2] = { { 21, 22 }, { 23, 24 } };
	int fd, path;

	put("f", "");
	symlink("f", "s");
	fd = opened("f", O_RDONLY);
	path = opened("s", O_PATH | O_NOFOLLOW);
	OK(futimens(fd, ts));
	TEXT_IS(shown("f"), "11.000000012 13.000000014");
	OK(futimes(fd, tv));
	TEXT_IS(shown("f"), "21.000022000 23.000024000");
	OK(utimensat(path, "", ts, AT_EMPTY_PATH));
	TEXT_IS(shown("s"), "11.000000012 13.000000014");
	OK(unlink("f"));
	OK(futimens(fd, ts));
	IS(fd_times(fd).t[1].tv_nsec, 14);
	NO(futimens(path, ts), EBADF);
}

static const char *const rights[] = { "600", "644", "622", "666", "444", "000" };

CHECK_EACH(time_by_other_user, rights)
{
	put_mode("f", "", (mode_t)strtol(rights[nr], NULL, 8));
	AS(USER, USER) {
		TRY(set("f", 5, 5, 5, 5));
		TRY(set("f", 0, UTIME_NOW, 0, UTIME_NOW));
		TRY(utimensat(AT_FDCWD, "f", NULL, 0));
		TRY(set("f", 0, UTIME_OMIT, 0, UTIME_NOW));
		TRY(set("f", 0, UTIME_NOW, 0, UTIME_OMIT));
		TRY(set("f", 0, UTIME_NOW, 6, 0));
		TRY(set("f", 0, UTIME_OMIT, 0, UTIME_OMIT));
	}
}

CHECK_EACH(time_by_owner, rights)
{
	put_mode("f", "", (mode_t)strtol(rights[nr], NULL, 8));
	OK(chown("f", USER, USER));
	AS(USER, USER) {
		OK(set("f", 5, 5, 5, 5));
		OK(set("f", 0, UTIME_NOW, 0, UTIME_NOW));
		OK(utimensat(AT_FDCWD, "f", NULL, 0));
		OK(set("f", 0, UTIME_OMIT, 0, UTIME_NOW));
		OK(set("f", 0, UTIME_NOW, 6, 0));
	}
}

CHECK(time_setting_moves_ctime)
{
	struct times t;

	put("f", "");
	t = times("f");
	tick();
	OK(set("f", 1, 1, 1, 1));
	TEXT_IS(moved(&t, "f"), "atime mtime ctime");
	t = times("f");
	tick();
	OK(set("f", 0, UTIME_OMIT, 0, UTIME_OMIT));
	TEXT_IS(moved(&t, "f"), "nothing");
	tick();
	OK(set("f", 2, 1, 0, UTIME_OMIT));
	TEXT_IS(moved(&t, "f"), "atime ctime");
}

#define MOVES(path, call)                                                                \
	do {                                                                             \
		struct times t_ = times(path);                                           \
		tick();                                                                  \
		OK(call);                                                                \
		TEXT(moved(&t_, path));                                                  \
	} while (0)

CHECK(time_moved_in_a_file)
{
	int fd;

	put("f", "text");
	fd = opened("f", O_RDWR);
	MOVES("f", write(fd, "x", 1));
	MOVES("f", pwrite(fd, "x", 1, 100));
	MOVES("f", pwrite(fd, "x", 0, 0));
	MOVES("f", ftruncate(fd, 50));
	MOVES("f", ftruncate(fd, 50));
	MOVES("f", ftruncate(fd, 60));
	MOVES("f", truncate("f", 70));
	MOVES("f", truncate("f", 70));
	MOVES("f", close(open("f", O_WRONLY)));
	MOVES("f", close(open("f", O_WRONLY | O_TRUNC)));
	MOVES("f", close(open("f", O_WRONLY | O_TRUNC)));
	MOVES("f", chmod("f", 0600));
	MOVES("f", chown("f", 1, 1));
	MOVES("f", link("f", "g"));
	MOVES("f", rename("g", "h"));
	MOVES("f", unlink("h"));
	MOVES("f", fallocate(fd, 0, 0, 4096));
	MOVES("f", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8192));
	MOVES("f", setxattr("f", "user.a", "1", 1, 0));
	MOVES("f", setxattr("f", "user.a", "1", 1, 0));
	MOVES("f", removexattr("f", "user.a"));
}

CHECK(time_moved_by_size_zero_write)
{
	int fd;

	put("f", "text");
	fd = opened("f", O_WRONLY);
	MOVES("f", write(fd, "", 0));
}

CHECK(time_moved_in_a_directory)
{
	dir("d", 0755);
	put("f", "");
	dir("other", 0755);
	MOVES("d", close(open("d/f", O_CREAT | O_WRONLY, 0644)));
	MOVES("d", close(open("d/f", O_CREAT | O_WRONLY, 0644)));
	MOVES("d", chmod("d/f", 0600));
	MOVES("d", truncate("d/f", 100));
	MOVES("d", mkdir("d/d", 0755));
	MOVES("d", mkdir("d/d/e", 0755));
	MOVES("d", rmdir("d/d/e"));
	MOVES("d", symlink("x", "d/s"));
	MOVES("d", mkfifo("d/p", 0644));
	MOVES("d", mknod("d/n", S_IFREG | 0644, 0));
	MOVES("d", link("f", "d/l"));
	MOVES("d", rename("d/l", "d/m"));
	MOVES("d", rename("d/m", "d/f"));
	MOVES("d", rename("d/f", "other/f"));
	MOVES("d", rename("other/f", "d/f"));
	MOVES("d", unlink("d/f"));
	MOVES("d", rmdir("d/d"));
	MOVES("d", unlink("d/s"));
	MOVES("d", rename("d", "e") + rename("e", "d"));
}

CHECK(time_moved_by_rename_of_a_directory)
{
	dir("a", 0755);
	dir("b", 0755);
	dir("a/d", 0755);
	MOVES("a", rename("a/d", "b/d"));
	MOVES("b", rename("b/d", "a/d"));
	MOVES("a/d", rename("a/d", "b/d") + rename("b/d", "a/d"));
}

CHECK(time_moved_by_exchange)
{
	dir("a", 0755);
	dir("b", 0755);
	put("a/f", "1");
	put("b/f", "2");
	MOVES("a", renameat2(AT_FDCWD, "a/f", AT_FDCWD, "b/f", RENAME_EXCHANGE));
	OK(renameat2(AT_FDCWD, "a/f", AT_FDCWD, "b/f", RENAME_EXCHANGE));
	MOVES("a/f", renameat2(AT_FDCWD, "a/f", AT_FDCWD, "b/f", RENAME_EXCHANGE) +
		     renameat2(AT_FDCWD, "a/f", AT_FDCWD, "b/f", RENAME_EXCHANGE));
}

CHECK(time_failed_call_moves_nothing)
{
	struct times t;

	dir("d", 0755);
	put("d/f", "x");
	t = times("d");
	tick();
	NO(mkdir("d/f", 0755), EEXIST);
	NO(unlink("d/none"), ENOENT);
	NO(rmdir("d/f"), ENOTDIR);
	NO(link("d/f", "d/f"), EEXIST);
	NO(rename("d/none", "d/f"), ENOENT);
	OK(rename("d/f", "d/f"));
	TEXT_IS(moved(&t, "d"), "nothing");
}

CHECK(time_unlinked_file)
{
	struct times t;
	int fd;

	put("f", "x");
	fd = opened("f", O_RDWR);
	t = fd_times(fd);
	tick();
	OK(unlink("f"));
	TEXT_IS(fd_moved(&t, fd), "ctime");
	t = fd_times(fd);
	tick();
	OK(write(fd, "y", 1));
	TEXT_IS(fd_moved(&t, fd), "mtime ctime");
}

CHECK(time_read_moves_an_old_atime)
{
	struct times t;

	put("f", "text");
	OK(set("f", 1, 1, 2, 2));
	t = times("f");
	TEXT_IS(content("f"), "text");
	TEXT(moved(&t, "f"));
	dir("d", 0755);
	put("d/x", "");
	OK(set("d", 1, 1, 2, 2));
	t = times("d");
	TEXT_IS(listing("d"), "x");
	TEXT(moved(&t, "d"));
	symlink("x", "s");
	OK(set("s", 1, 1, 2, 2));
	t = times("s");
	TEXT_IS(target("s"), "x");
	TEXT(moved(&t, "s"));
}

CHECK(time_noatime)
{
	struct times t;
	int fd;

	put("f", "text");
	OK(chown("f", USER, USER));
	OK(set("f", 1, 1, 2, 2));
	t = times("f");
	fd = opened("f", O_RDONLY | O_NOATIME);
	TEXT_IS(fd_content(fd, 0, 9), "text");
	TEXT(moved(&t, "f"));
	AS(USER, USER)
		OK(open("f", O_RDONLY | O_NOATIME));
	AS(OTHER, OTHER)
		NO(open("f", O_RDONLY | O_NOATIME), EPERM);
}

CHECK(time_new_file_is_new)
{
	dir("d", 0755);
	put("d/f", "");
	YES(is_now(times("d/f").t[0]) && is_now(times("d/f").t[1]) && is_now(times("d/f").t[2]));
	YES(is_now(times("d").t[1]));
	symlink("x", "s");
	YES(is_now(times("s").t[0]) && is_now(times("s").t[1]));
}
