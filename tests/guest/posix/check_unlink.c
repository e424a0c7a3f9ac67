/* SPDX-License-Identifier: BSD-3-Clause */
/* What has no name any more but is still open, or worked in. */
#include <dirent.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

#include "posix.h"

CHECK(unlinked_is_used_on)
{
	int fd;

	put("f", "hello");
	fd = opened("f", O_RDWR);
	OK(unlink("f"));
	NO(access("f", F_OK), ENOENT);
	TEXT_IS(fd_content(fd, 0, 99), "hello");
	IS(pwrite(fd, " world", 6, 5), 6);
	TEXT_IS(fd_content(fd, 0, 99), "hello world");
	IS(fd_size(fd), 11);
	IS(fd_nlink(fd), 0);
	OK(ftruncate(fd, 4));
	IS(fd_size(fd), 4);
	OK(fchmod(fd, 0640));
	IS(fd_mode(fd), 0640);
	OK(fchown(fd, 5, 6));
	OK(fsync(fd));
	OK(fallocate(fd, 0, 0, 8192));
	IS(fd_size(fd), 8192);
	TEXT_IS(listing("."), "");
}

CHECK(unlinked_while_twice_open)
{
	int a, b;

	put("f", "text");
	a = opened("f", O_RDWR);
	b = opened("f", O_RDONLY);
	OK(unlink("f"));
	OK(pwrite(a, "T", 1, 0));
	TEXT_IS(fd_content(b, 0, 9), "Text");
	OK(close(a));
	TEXT_IS(fd_content(b, 0, 9), "Text");
	IS(fd_nlink(b), 0);
}

CHECK(unlinked_opened_again)
{
	char path[64];
	int fd, again;

	put("f", "text");
	fd = opened("f", O_RDONLY);
	OK(unlink("f"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	NEED(again = open(path, O_RDWR));
	OK(pwrite(again, "T", 1, 0));
	TEXT_IS(fd_content(fd, 0, 9), "Text");
	OK(truncate(path, 2));
	IS(fd_size(fd), 2);
	OK(chmod(path, 0600));
	IS(fd_mode(fd), 0600);
	OK(access(path, R_OK));
}

CHECK(unlinked_linked_back)
{
	char path[64];
	int fd;

	put("f", "text");
	fd = opened("f", O_RDWR);
	OK(unlink("f"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	NO(linkat(AT_FDCWD, path, AT_FDCWD, "g", AT_SYMLINK_FOLLOW), ENOENT);
	NO(linkat(fd, "", AT_FDCWD, "g", AT_EMPTY_PATH), ENOENT);
	TEXT_IS(listing("."), "");
}

CHECK(unlinked_and_made_anew)
{
	int fd, fd2;

	put("f", "old");
	fd = opened("f", O_RDWR);
	OK(unlink("f"));
	put("f", "new and longer");
	fd2 = opened("f", O_RDWR);
	OK(pwrite(fd, "OLD", 3, 0));
	TEXT_IS(content("f"), "new and longer");
	TEXT_IS(fd_content(fd, 0, 99), "OLD");
	OK(unlink("f"));
	TEXT_IS(fd_content(fd2, 0, 99), "new and longer");
	IS(fd_size(fd), 3);
	IS(fd_size(fd2), 14);
}

CHECK(unlinked_but_mapped)
{
	char *p;
	int fd;

	put("f", "mapped");
	fd = opened("f", O_RDONLY);
	NEED(p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0));
	OK(unlink("f"));
	OK(close(fd));
	YES(memcmp(p, "mapped", 6) == 0);
}

CHECK(unlinked_path_descriptor)
{
	char path[64];
	struct stat st;
	int fd;

	put("f", "text");
	fd = opened("f", O_PATH);
	OK(unlink("f"));
	OK(fstat(fd, &st));
	IS(st.st_nlink, 0);
	IS(st.st_size, 4);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	TEXT_IS(content(path), "text");
	OK(fchownat(fd, "", 3, 4, AT_EMPTY_PATH));
	OK(fstat(fd, &st));
	IS(st.st_uid, 3);
}

CHECK(unlinked_symlink_descriptor)
{
	char buf[16];
	int fd;

	symlink("there", "s");
	fd = opened("s", O_PATH | O_NOFOLLOW);
	OK(unlink("s"));
	IS(readlinkat(fd, "", buf, sizeof(buf)), 5);
	IS(fd_nlink(fd), 0);
}

CHECK(unlinked_xattrs)
{
	char buf[16];
	int fd;

	put("f", "");
	fd = opened("f", O_RDWR);
	NEED(fsetxattr(fd, "user.a", "1", 1, 0));
	OK(unlink("f"));
	IS(fgetxattr(fd, "user.a", buf, sizeof(buf)), 1);
	OK(fsetxattr(fd, "user.b", "22", 2, 0));
	IS(fgetxattr(fd, "user.b", buf, sizeof(buf)), 2);
	OK(fremovexattr(fd, "user.a"));
	NO(fgetxattr(fd, "user.a", buf, sizeof(buf)), ENODATA);
}

CHECK(unlink_by_whom)
{
	dir("open", 0777);
	dir("shut", 0755);
	dir("search", 0711);
	put_mode("open/f", "", 0);
	put_mode("shut/f", "", 0666);
	put_mode("search/f", "", 0666);
	AS(USER, USER) {
		OK(unlink("open/f"));
		NO(unlink("shut/f"), EACCES);
		NO(unlink("search/f"), EACCES);
		NO(unlink("shut/none"), ENOENT);
		NO(rmdir("search"), EACCES);
	}
}

CHECK(unlink_kinds)
{
	dir("d", 0755);
	NO(unlink("d"), EISDIR);
	NO(unlink("d/"), EISDIR);
	OK(mkfifo("p", 0644));
	OK(unlink("p"));
	OK(mknod("s", S_IFSOCK | 0644, 0));
	OK(unlink("s"));
	OK(mknod("c", S_IFCHR | 0644, 0x0103));
	OK(unlink("c"));
	NO(unlinkat(AT_FDCWD, "d", 0x4000), EINVAL);
	OK(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
	put("f", "");
	NO(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
}

CHECK(rmdir_not_empty)
{
	dir("d", 0755);
	put("d/f", "");
	NO(rmdir("d"), ENOTEMPTY);
	OK(unlink("d/f"));
	symlink("x", "d/s");
	NO(rmdir("d"), ENOTEMPTY);
	OK(unlink("d/s"));
	dir("d/e", 0755);
	NO(rmdir("d"), ENOTEMPTY);
	OK(rmdir("d/e"));
	OK(rmdir("d"));
	NO(rmdir("d"), ENOENT);
}

CHECK(rmdir_of_an_unreadable_directory)
{
	dir("open", 0777);
	dir("open/d", 0);
	AS(USER, USER)
		OK(rmdir("open/d"));
}

CHECK(removed_working_directory)
{
	char buf[4096];
	struct stat st;

	dir("d", 0755);
	OK(chdir("d"));
	OK(rmdir("../d"));
	OK(stat(".", &st));
	TRY(stat("..", &st));
	IS(nlink("."), 0);
	NO(syscall(SYS_getcwd, buf, sizeof(buf)), ENOENT);
	NO(open("f", O_CREAT | O_WRONLY, 0644), ENOENT);
	NO(open("f", O_RDONLY), ENOENT);
	NO(mkdir("e", 0755), ENOENT);
	NO(symlink("x", "s"), ENOENT);
	NO(mkfifo("p", 0644), ENOENT);
	NO(unlink("f"), ENOENT);
	NO(rmdir("."), EINVAL);
	TEXT_IS(listing("."), "");
	OK(chmod(".", 0700));
	IS(mode("."), 0700);
	OK(chdir("."));
	OK(chdir(".."));
	TEXT_IS(listing("."), "");
}

CHECK(removed_directory_made_anew)
{
	int fd;

	dir("d", 0755);
	fd = opened("d", O_RDONLY | O_DIRECTORY);
	OK(rmdir("d"));
	dir("d", 0755);
	put("d/f", "");
	NO(openat(fd, "f", O_RDONLY), ENOENT);
	NO(mkdirat(fd, "x", 0755), ENOENT);
	IS(fd_nlink(fd), 0);
	OK(fchmod(fd, 0700));
	IS(mode("d"), 0755);
}

CHECK(removed_directory_read)
{
	DIR *d;
	int n = 0;

	dir("d", 0755);
	d = opendir("d");
	YES(d != NULL);
	OK(rmdir("d"));
	errno = 0;
	while (readdir(d))
		n++;
	GIVES(errno ? -1 : 0);
	ASK(n == 0);
	rewinddir(d);
	YES(readdir(d) == NULL || n == 2);
	OK(closedir(d));
}

CHECK(removed_directory_tree)
{
	struct stat st;
	int fd;

	dir("a", 0755);
	dir("a/b", 0755);
	fd = opened("a/b", O_RDONLY | O_DIRECTORY);
	OK(rmdir("a/b"));
	OK(rmdir("a"));
	OK(fstat(fd, &st));
	IS(st.st_nlink, 0);
	TRY(fstatat(fd, "..", &st, 0));
	NO(linkat(fd, "", AT_FDCWD, "c", AT_EMPTY_PATH), EPERM);
	TRY(openat(fd, ".", O_TMPFILE | O_RDWR, 0600));
}

CHECK(removed_directory_statfs)
{
	struct statfs sf;

	dir("d", 0755);
	OK(chdir("d"));
	OK(rmdir("../d"));
	OK(statfs(".", &sf));
	YES(sf.f_namelen == 255);
}

CHECK(unlink_in_child_seen_by_parent)
{
	int fd;

	put("f", "text");
	fd = opened("f", O_RDONLY);
	CHILD {
		OK(unlink("f"));
		put("f", "other");
	}
	TEXT_IS(fd_content(fd, 0, 9), "text");
	IS(fd_nlink(fd), 0);
	TEXT_IS(content("f"), "other");
}
