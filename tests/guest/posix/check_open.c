/* SPDX-License-Identifier: BSD-3-Clause */
/* Flags of open, O_TMPFILE, O_PATH, openat2. */
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "posix.h"

static int open2(int at, const char *path, unsigned long flags, unsigned long resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };

	if (flags & (O_CREAT | O_TMPFILE) & ~O_DIRECTORY)
		how.mode = 0644;
	return (int)syscall(SYS_openat2, at, path, &how, sizeof(how));
}

CHECK(open_create)
{
	int fd;

	OK(fd = open("f", O_CREAT | O_EXCL | O_RDWR, 0644));
	OK(write(fd, "text", 4));
	NO(open("f", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
	OK(open("f", O_CREAT | O_RDWR, 0600));
	IS(mode("f"), 0644);
	TEXT_IS(content("f"), "text");
	OK(open("f", O_CREAT | O_TRUNC | O_RDONLY, 0600));
	IS(size("f"), 0);
	OK(open("g", O_CREAT | O_RDONLY, 0));
	IS(mode("g"), 0);
	TRY(open("h", O_CREAT | O_DIRECTORY | O_RDONLY, 0755));
	TEXT(kind("h"));
}

CHECK(open_truncate)
{
	int fd;

	put("f", "text");
	fd = opened("f", O_RDONLY);
	OK(close(open("f", O_WRONLY | O_TRUNC)));
	IS(fd_size(fd), 0);
	put("f", "text");
	OK(close(open("f", O_RDWR | O_TRUNC | O_APPEND)));
	IS(size("f"), 0);
	put("f", "text");
	OK(close(open("f", O_RDONLY | O_TRUNC)));
	GIVES(size("f"));
	NO(open(".", O_RDONLY | O_TRUNC), EISDIR);
}

CHECK(open_flags_kept)
{
	static const int set[] = { O_RDONLY, O_WRONLY, O_RDWR, O_RDWR | O_APPEND,
				   O_RDONLY | O_NONBLOCK, O_RDWR | O_DSYNC, O_RDWR | O_NOATIME };
	int fd;

	put("f", "");
	for (size_t i = 0; i < ARRAY_SIZE(set); i++) {
		with("%#o", set[i]);
		OK(fd = open("f", set[i]));
		IS(fcntl(fd, F_GETFL) & ~0100000, set[i]);
		IS(fcntl(fd, F_GETFD), 0);
		close(fd);
	}
	OK(fd = open("f", O_RDONLY | O_CLOEXEC));
	IS(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

CHECK(open_nofollow)
{
	put("f", "");
	dir("d", 0755);
	put("d/f", "");
	symlink("f", "s");
	symlink("d", "t");
	symlink("none", "u");
	OK(open("f", O_RDONLY | O_NOFOLLOW));
	NO(open("s", O_RDONLY | O_NOFOLLOW), ELOOP);
	NO(open("t", O_RDONLY | O_NOFOLLOW), ELOOP);
	NO(open("t", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
	OK(open("t/f", O_RDONLY | O_NOFOLLOW));
	NO(open("u", O_WRONLY | O_CREAT | O_NOFOLLOW, 0644), ELOOP);
	TEXT_IS(listing("."), "d f s t u");
}

CHECK(open_directory)
{
	put("f", "");
	dir("d", 0755);
	mkfifo("p", 0644);
	OK(open("d", O_RDONLY | O_DIRECTORY));
	OK(open("d", O_RDONLY));
	NO(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	NO(open("p", O_RDONLY | O_DIRECTORY), ENOTDIR);
	NO(open("d", O_WRONLY), EISDIR);
	NO(open("d", O_RDONLY | O_CREAT, 0644), EISDIR);
	NO(open("d/", O_RDONLY | O_CREAT, 0644), EISDIR);
}

static const char *const rights[] = { "000", "400", "200", "600", "100", "644", "622", "640",
				      "604", "006", "060", "111", "777" };
static const char *const classes[] = { "owner", "group", "other" };

CHECK_EACH(open_rights_of_owner, rights)
{
	put_mode("f", "text", 0644);
	OK(chown("f", USER, USER));
	OK(chmod("f", (mode_t)strtol(rights[nr], NULL, 8)));
	AS(USER, USER) {
		TRY(open("f", O_RDONLY));
		TRY(open("f", O_WRONLY));
		TRY(open("f", O_RDWR));
		TRY(open("f", O_WRONLY | O_APPEND));
		TRY(open("f", O_RDONLY | O_TRUNC));
		TRY(open("f", O_WRONLY | O_CREAT, 0644));
		OK(open("f", O_PATH));
		TRY(access("f", X_OK));
	}
	OK(open("f", O_RDWR));
	TRY(access("f", X_OK));
}

CHECK_EACH(open_rights_by_class, classes)
{
	for (int m = 0; m < 8; m++) {
		with("%d", m);
		put_mode("f", "text", 0);
		OK(chown("f", nr == 0 ? USER : OTHER, nr == 1 ? USER : OTHER));
		OK(chmod("f", (mode_t)(m << (6 - 3 * nr))));
		AS(USER, USER) {
			TRY(access("f", R_OK));
			TRY(access("f", W_OK));
			TRY(access("f", X_OK));
			TRY(open("f", O_RDONLY));
			TRY(open("f", O_RDWR));
		}
	}
}

CHECK_EACH(open_rights_in_directory, classes)
{
	for (int m = 0; m < 8; m++) {
		char name[16];

		snprintf(name, sizeof(name), "d%d", m);
		with("%d", m);
		dir(name, 0755);
		snprintf(name, sizeof(name), "d%d/f", m);
		put("f", "");
		OK(rename("f", name));
		name[2] = 0;
		OK(chown(name, nr == 0 ? USER : OTHER, nr == 1 ? USER : OTHER));
		OK(chmod(name, (mode_t)(m << (6 - 3 * nr))));
		AS(USER, USER) {
			TEXT(listing(name));
			name[2] = '/';
			TRY(open(name, O_RDONLY));
			TRY(access(name, F_OK));
			name[3] = 'g';
			TRY(open(name, O_WRONLY | O_CREAT, 0644));
			TRY(unlink(name));
			TRY(mkdir(name, 0755));
			TRY(symlink("x", name));
			name[2] = 0;
			TRY(chdir(name));
		}
	}
}

CHECK(open_tmpfile)
{
	char path[64];
	int fd;

	NEED(fd = open(".", O_TMPFILE | O_RDWR, 0640));
	IS(fd_nlink(fd), 0);
	IS(fd_mode(fd), 0640);
	IS(write(fd, "text", 4), 4);
	TEXT_IS(listing("."), "");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	IS(fd_nlink(fd), 1);
	TEXT_IS(content("f"), "text");
	NO(linkat(fd, "", AT_FDCWD, "f", AT_EMPTY_PATH), EEXIST);
	OK(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH));
	IS(nlink("f"), 2);
	OK(write(fd, "+", 1));
	OK(close(fd));
	TEXT_IS(content("g"), "text+");
}

CHECK(open_tmpfile_excl)
{
	int fd;

	NEED(fd = open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	OK(write(fd, "text", 4));
	NO(linkat(fd, "", AT_FDCWD, "f", AT_EMPTY_PATH), ENOENT);
	TEXT_IS(fd_content(fd, 0, 9), "text");
	OK(close(fd));
	TEXT_IS(listing("."), "");
}

CHECK(open_tmpfile_errors)
{
	put("f", "");
	NO(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
	NO(open("f", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
	NO(open("none", O_TMPFILE | O_RDWR, 0600), ENOENT);
	TRY(open(".", O_TMPFILE | O_CREAT | O_RDWR, 0600));
	dir("shut", 0755);
	AS(USER, USER)
		NO(open("shut", O_TMPFILE | O_RDWR, 0600), EACCES);
}

CHECK(open_tmpfile_of_user)
{
	char path[64];
	int fd;

	dir("open", 0777);
	AS(USER, USER) {
		umask(027);
		NEED(fd = open("open", O_TMPFILE | O_WRONLY, 0666));
		IS(fd_mode(fd), 0640);
		OK(write(fd, "text", 4));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		OK(linkat(AT_FDCWD, path, AT_FDCWD, "open/f", AT_SYMLINK_FOLLOW));
	}
	IS(uid("open/f"), USER);
	IS(gid("open/f"), USER);
	TEXT_IS(content("open/f"), "text");
}

CHECK(open_tmpfile_is_used)
{
	int fd;

	NEED(fd = open(".", O_TMPFILE | O_RDWR, 0600));
	IS(pwrite(fd, fill('x', 100000), 100000, 0), 100000);
	OK(ftruncate(fd, 5));
	IS(fd_size(fd), 5);
	OK(fchmod(fd, 0755));
	IS(fd_mode(fd), 0755);
	OK(fsync(fd));
	OK(fallocate(fd, 0, 0, 4096));
	TRY(fsetxattr(fd, "user.a", "1", 1, 0));
	TEXT_IS(fd_content(fd, 0, 6), "xxxxx~");
}

CHECK(open_path)
{
	char buf[8];
	struct stat st;
	struct statfs sf;
	int fd;

	put("f", "text");
	OK(fd = open("f", O_PATH));
	NO(read(fd, buf, 1), EBADF);
	NO(write(fd, buf, 1), EBADF);
	NO(fsync(fd), EBADF);
	NO(ioctl(fd, 0, 0), EBADF);
	NO(fgetxattr(fd, "user.a", buf, 1), EBADF);
	OK(fstat(fd, &st));
	OK(fstatfs(fd, &sf));
	YES(fcntl(fd, F_GETFL) & O_PATH);
	OK(fd = dup(fd));
	OK(openat(AT_FDCWD, "f", O_PATH | O_WRONLY | O_TRUNC));
	IS(size("f"), 4);
}

CHECK(open_path_of_directory)
{
	int fd;

	dir("d", 0755);
	put("d/f", "text");
	OK(fd = open("d", O_PATH | O_DIRECTORY));
	OK(openat(fd, "f", O_RDONLY));
	OK(mkdirat(fd, "e", 0755));
	OK(unlinkat(fd, "f", 0));
	OK(rename("d", "x"));
	OK(faccessat(fd, "e", F_OK, 0));
	OK(fchdir(fd));
	TEXT_IS(listing("."), "e");
}

CHECK(open_path_of_links_and_others)
{
	char buf[16];
	struct stat st;
	int fd;

	symlink("nowhere", "s");
	mkfifo("p", 0644);
	mknod("k", S_IFSOCK | 0644, 0);
	NO(open("s", O_PATH), ENOENT);
	OK(fd = open("s", O_PATH | O_NOFOLLOW));
	OK(fstat(fd, &st));
	YES(S_ISLNK(st.st_mode));
	IS(readlinkat(fd, "", buf, sizeof(buf)), 7);
	OK(fd = open("p", O_PATH));
	OK(fstat(fd, &st));
	YES(S_ISFIFO(st.st_mode));
	OK(open("k", O_PATH));
	NO(open("k", O_RDONLY), ENXIO);
}

CHECK(open_path_again)
{
	char path[64];
	int fd;

	put("f", "text");
	fd = opened("f", O_PATH);
	OK(rename("f", "g"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(fd = open(path, O_RDWR));
	OK(write(fd, "T", 1));
	TEXT_IS(content("g"), "Text");
	OK(chmod("g", 0));
	AS(USER, USER)
		NO(open(path, O_RDONLY), EACCES);
}

static const char *const beneath_paths[] = { "f", "d/f", "../x", "d/../f", "abs", "up", "in", "out",
					     "magic", "/", "d/..", ".", "loop", "d/../.." };

CHECK_EACH(openat2_resolve, beneath_paths)
{
	const char *p = beneath_paths[nr];
	int fd;

	dir("top", 0755);
	dir("top/d", 0755);
	put("top/f", "f");
	put("top/d/f", "df");
	put("x", "outside");
	symlink("/", "top/abs");
	symlink("../x", "top/up");
	symlink("d/f", "top/in");
	symlink("d/../../x", "top/out");
	symlink("/proc/self/exe", "top/magic");
	symlink("loop", "top/loop");
	fd = opened("top", O_PATH);
	TRY(open2(fd, p, O_RDONLY, 0));
	TRY(open2(fd, p, O_RDONLY, RESOLVE_BENEATH));
	TRY(open2(fd, p, O_RDONLY, RESOLVE_IN_ROOT));
	TRY(open2(fd, p, O_RDONLY, RESOLVE_NO_SYMLINKS));
	TRY(open2(fd, p, O_RDONLY, RESOLVE_NO_MAGICLINKS));
	TRY(open2(fd, p, O_RDONLY, RESOLVE_NO_XDEV));
	NO(open2(fd, p, O_RDONLY, RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL);
	NO(open2(fd, p, O_RDONLY, 1 << 20), EINVAL);
}

CHECK(openat2_create)
{
	struct open_how how = { .flags = O_CREAT | O_WRONLY, .mode = 0644 };
	int fd;

	dir("d", 0755);
	fd = opened("d", O_PATH);
	OK(open2(fd, "f", O_CREAT | O_WRONLY, RESOLVE_BENEATH));
	NO(open2(fd, "../f", O_CREAT | O_WRONLY, RESOLVE_BENEATH), EXDEV);
	how.mode = 0100644;
	NO(syscall(SYS_openat2, fd, "g", &how, sizeof(how)), EINVAL);
	how = (struct open_how){ .flags = O_RDONLY, .mode = 0644 };
	NO(syscall(SYS_openat2, fd, "f", &how, sizeof(how)), EINVAL);
	how = (struct open_how){ .flags = 1UL << 40 };
	NO(syscall(SYS_openat2, fd, "f", &how, sizeof(how)), EINVAL);
	NO(open2(fd, "f", O_PATH | O_RDWR | O_CREAT, 0), EINVAL);
	TEXT_IS(listing("d"), "f");
}

CHECK(open_at_descriptor)
{
	int d, f;

	dir("d", 0755);
	put("f", "");
	d = opened("d", O_RDONLY);
	f = opened("f", O_RDONLY);
	OK(openat(d, "g", O_CREAT | O_WRONLY, 0644));
	NO(openat(f, "g", O_RDONLY), ENOTDIR);
	NO(openat(-1, "g", O_RDONLY), EBADF);
	OK(openat(-1, "/", O_RDONLY));
	NO(openat(d, "", O_RDONLY), ENOENT);
	OK(renameat(d, "g", AT_FDCWD, "h"));
	OK(symlinkat("x", d, "s"));
	OK(linkat(AT_FDCWD, "h", d, "l", 0));
	OK(mkdirat(d, "e", 0755));
	OK(mkfifoat(d, "p", 0644));
	TEXT_IS(listing("d"), "e l p s");
}

CHECK(open_many)
{
	int fds[60], n = 0;

	put("f", "text");
	while (n < 60 && (fds[n] = open("f", O_RDWR)) >= 0)
		n++;
	IS(n, 60);
	OK(write(fds[0], "T", 1));
	TEXT_IS(fd_content(fds[59], 0, 9), "Text");
	while (n-- > 0)
		close(fds[n]);
}
