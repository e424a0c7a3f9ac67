/* SPDX-License-Identifier: BSD-3-Clause */
/* Hard and symbolic links. */
#include "posix.h"

CHECK(link_counts)
{
	put("a", "x");
	IS(nlink("a"), 1);
	OK(link("a", "b"));
	IS(nlink("a"), 2);
	IS(nlink("b"), 2);
	YES(same("a", "b"));
	OK(link("b", "c"));
	IS(nlink("a"), 3);
	OK(unlink("a"));
	IS(nlink("b"), 2);
	OK(rename("b", "d"));
	IS(nlink("d"), 2);
	OK(unlink("c"));
	IS(nlink("d"), 1);
}

CHECK(link_counts_of_directories)
{
	dir("d", 0755);
	GIVES(nlink("d"));
	dir("d/a", 0755);
	GIVES(nlink("d"));
	dir("d/b", 0755);
	GIVES(nlink("d"));
	put("d/f", "");
	GIVES(nlink("d"));
	OK(rename("d/a", "a"));
	GIVES(nlink("d"));
	OK(rmdir("d/b"));
	GIVES(nlink("d"));
	OK(rename("a", "d/a"));
	GIVES(nlink("d"));
	GIVES(nlink("d/a"));
}

CHECK(link_shares_content)
{
	int fd;

	put("a", "one");
	OK(link("a", "b"));
	put("b", "second");
	TEXT_IS(content("a"), "second");
	fd = opened("a", O_WRONLY | O_APPEND);
	OK(write(fd, "+", 1));
	TEXT_IS(content("b"), "second+");
	IS(size("a"), 7);
	IS(size("b"), 7);
	OK(chmod("a", 0600));
	IS(mode("b"), 0600);
	OK(truncate("b", 3));
	IS(size("a"), 3);
}

static const char *const kinds[] = { "file", "dir", "link", "fifo", "socket", "chr", "dangling" };

static void make(const char *word, const char *path)
{
	if (strcmp(word, "file") == 0)
		put(path, "x");
	else if (strcmp(word, "dir") == 0)
		dir(path, 0755);
	else if (strcmp(word, "link") == 0)
		symlink("target", path);
	else if (strcmp(word, "dangling") == 0)
		symlink("nowhere", path);
	else if (strcmp(word, "fifo") == 0)
		mkfifo(path, 0644);
	else if (strcmp(word, "socket") == 0)
		mknod(path, S_IFSOCK | 0644, 0);
	else
		mknod(path, S_IFCHR | 0644, 0x0103);
}

CHECK_EACH(link_to, kinds)
{
	put("target", "t");
	make(kinds[nr], "a");
	TRY(link("a", "b"));
	TEXT(kind("b"));
	GIVES(nlink("a"));
	TRY(linkat(AT_FDCWD, "a", AT_FDCWD, "c", AT_SYMLINK_FOLLOW));
	TEXT(kind("c"));
	GIVES(nlink("a"));
	GIVES(nlink("target"));
	TRY(linkat(AT_FDCWD, "a", AT_FDCWD, "d", AT_EMPTY_PATH));
	TRY(linkat(AT_FDCWD, "a", AT_FDCWD, "e", 0x4000));
}

CHECK_EACH(link_onto, kinds)
{
	put("target", "t");
	put("a", "x");
	make(kinds[nr], "b");
	NO(link("a", "b"), EEXIST);
	TEXT(kind("b"));
	IS(nlink("a"), 1);
}

CHECK(link_by_descriptor)
{
	char path[64];
	int fd;

	put("a", "x");
	fd = opened("a", O_RDONLY);
	OK(linkat(fd, "", AT_FDCWD, "b", AT_EMPTY_PATH));
	YES(same("a", "b"));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	OK(linkat(AT_FDCWD, path, AT_FDCWD, "c", AT_SYMLINK_FOLLOW));
	IS(nlink("a"), 3);
	NO(linkat(AT_FDCWD, path, AT_FDCWD, "d", 0), EXDEV);
	NO(linkat(fd, "x", AT_FDCWD, "d", 0), ENOTDIR);
}

CHECK(link_to_other_file_system)
{
	NO(link("/proc/self/status", "a"), EXDEV);
	put("f", "");
	NO(link("f", "/dev/shm/f"), EXDEV);
	NO(rename("f", "/dev/shm/f"), EXDEV);
	NO(rename("/proc/self/status", "f"), EXDEV);
}

CHECK(link_many)
{
	char name[16];
	int made = 0;

	put("f", "");
	while (made < 70) {
		snprintf(name, sizeof(name), "l%d", made);
		if (link("f", name) < 0)
			break;
		made++;
	}
	IS(made, 70);
	IS(nlink("f"), 71);
}

CHECK(link_by_user)
{
	put_mode("f", "", 0600);
	dir("open", 0777);
	dir("shut", 0755);
	put("open/mine", "");
	OK(chown("open/mine", USER, USER));
	AS(USER, USER) {
		TRY(link("f", "open/l"));
		NO(link("open/mine", "shut/l"), EACCES);
		OK(link("open/mine", "open/m"));
	}
	GIVES(nlink("f"));
}

CHECK(link_survives_its_twin)
{
	int fd;

	put("a", "text");
	fd = opened("a", O_RDWR);
	OK(link("a", "b"));
	OK(unlink("a"));
	put("a", "another");
	OK(pwrite(fd, "T", 1, 0));
	TEXT_IS(content("b"), "Text");
	TEXT_IS(content("a"), "another");
	YES(!same("a", "b"));
	IS(fd_nlink(fd), 1);
}

static const char *const targets[] = { "1", "59", "60", "61", "255", "1023", "1024", "4000",
				       "4094", "4095" };

CHECK_EACH(symlink_long, targets)
{
	size_t n = (size_t)atoi(targets[nr]);
	char buf[4200];

	NEED(symlink(fill('t', n), "s"));
	IS(size("s"), (long)n);
	IS(readlink("s", buf, sizeof(buf)), (long)n);
	YES(memcmp(buf, fill('t', n), n) == 0);
	IS(readlink("s", buf, 1), 1);
	NO(readlink("s", buf, 0), EINVAL);
}

CHECK(symlink_too_long)
{
	NO(symlink(fill('t', 4096), "s"), ENAMETOOLONG);
	NO(symlink("", "s"), ENOENT);
	TEXT_IS(listing("."), "");
}

CHECK(symlink_text_is_kept)
{
	static const char *const texts[] = { ".", "..", "/", "a//b", "a/", "../x/./y", "\377\001",
					     " ", "/none/such/path" };
	char name[8];

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		snprintf(name, sizeof(name), "s%zu", i);
		OK(symlink(texts[i], name));
		TEXT_IS(target(name), texts[i]);
		IS(size(name), (long)strlen(texts[i]));
	}
}

CHECK(symlink_followed)
{
	dir("d", 0755);
	put("d/f", "text");
	symlink("d", "s");
	symlink("s/f", "t");
	symlink("../t", "d/u");
	TEXT_IS(content("s/f"), "text");
	TEXT_IS(content("t"), "text");
	TEXT_IS(content("d/u"), "text");
	TEXT_IS(content("s/u"), "text");
	OK(rename("d", "e"));
	TEXT_IS(content("t"), "(ENOENT)");
	symlink("e", "d");
	TEXT_IS(content("t"), "text");
}

CHECK(symlink_chain)
{
	char from[16], to[16];

	put("s0", "end");
	for (int i = 1; i <= 42; i++) {
		snprintf(from, sizeof(from), "s%d", i);
		snprintf(to, sizeof(to), "s%d", i - 1);
		symlink(to, from);
	}
	TEXT_IS(content("s39"), "end");
	TEXT_IS(content("s40"), "end");
	TEXT_IS(content("s41"), "(ELOOP)");
	NO(open("s42", O_CREAT | O_WRONLY, 0644), ELOOP);
}

CHECK(symlink_made_through)
{
	symlink("new", "s");
	OK(close(open("s", O_CREAT | O_WRONLY, 0644)));
	TEXT_IS(kind("new"), "file");
	TEXT_IS(kind("s"), "link");
	NO(open("s", O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
	symlink("other", "t");
	NO(mkdir("t", 0755), EEXIST);
	NO(mkdir("t/", 0755), EEXIST);
	TEXT_IS(listing("."), "new s t");
}

CHECK(symlink_removed_not_followed)
{
	put("f", "");
	dir("d", 0755);
	symlink("f", "s");
	symlink("d", "t");
	OK(unlink("s"));
	NO(rmdir("t"), ENOTDIR);
	NO(rmdir("t/"), ENOTDIR);
	OK(unlink("t"));
	TEXT_IS(listing("."), "d f");
}

CHECK(symlink_replaced)
{
	put("one", "1");
	put("two", "2");
	symlink("one", "s");
	TEXT_IS(content("s"), "1");
	symlink("two", "t");
	OK(rename("t", "s"));
	TEXT_IS(content("s"), "2");
	TEXT_IS(target("s"), "two");
	OK(unlink("s"));
	symlink("one", "s");
	TEXT_IS(target("s"), "one");
}

CHECK(symlink_absolute)
{
	char cwd[4096], path[4200];

	YES(getcwd(cwd, sizeof(cwd)) != NULL);
	put("f", "text");
	snprintf(path, sizeof(path), "%s/f", cwd);
	symlink(path, "s");
	TEXT_IS(content("s"), "text");
	YES(strcmp(target("s"), path) == 0);
}
