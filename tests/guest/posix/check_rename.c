/* SPDX-License-Identifier: BSD-3-Clause */
/* Renames: each kind of file onto each other, the flags, open files, directories. */
#include <sys/sysmacros.h>

#include "posix.h"

static const char *const kinds[] = { "none", "file", "hard", "empty", "full", "link", "dirlink",
				     "fifo", "self" };

static void make(const char *word, const char *path, const char *text)
{
	char inner[64];

	if (strcmp(word, "file") == 0) {
		put(path, text);
	} else if (strcmp(word, "empty") == 0) {
		dir(path, 0755);
	} else if (strcmp(word, "full") == 0) {
		dir(path, 0755);
		snprintf(inner, sizeof(inner), "%s/inner-%s", path, text);
		put(inner, text);
	} else if (strcmp(word, "link") == 0) {
		symlink("nowhere", path);
	} else if (strcmp(word, "dirlink") == 0) {
		symlink("aside", path);
	} else if (strcmp(word, "fifo") == 0) {
		mkfifo(path, 0644);
	} else if (strcmp(word, "hard") == 0) {
		put(path, text);
		snprintf(inner, sizeof(inner), "%s.twin", path);
		link(path, inner);
	}
}

static int flagged(const char *from, const char *to, unsigned int flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* The kind onto each kind, in a scene of its own. */
static void onto_each(const char *from, unsigned int flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		CHILD {
			char scene[16];
			const char *to = strcmp(kinds[i], "self") == 0 ? "a" : "b";

			snprintf(scene, sizeof(scene), "%zu", i);
			dir(scene, 0755);
			if (chdir(scene) < 0)
				_exit(2);
			with("onto %s", kinds[i]);
			dir("aside", 0755);
			make(from, "a", "A");
			make(kinds[i], "b", "B");
			if (strcmp(kinds[i], "hard") == 0 && strcmp(from, "hard") == 0) {
				unlink("b");
				link("a", "b");
			}
			TRY(flagged("a", to, flags));
			TEXT(kind("a"));
			TEXT(kind("b"));
			TEXT(content("b"));
			GIVES(nlink("b"));
			TEXT(listing("."));
			TEXT(listing("b"));
		}
	}
}

CHECK_EACH(rename_plain, kinds)
{
	onto_each(kinds[nr], 0);
}

CHECK_EACH(rename_noreplace, kinds)
{
	onto_each(kinds[nr], RENAME_NOREPLACE);
}

CHECK_EACH(rename_exchange, kinds)
{
	onto_each(kinds[nr], RENAME_EXCHANGE);
}

CHECK_EACH(rename_whiteout, kinds)
{
	onto_each(kinds[nr], RENAME_WHITEOUT);
}

CHECK(rename_bad_flags)
{
	put("a", "A");
	put("b", "B");
	NO(flagged("a", "b", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
	NO(flagged("a", "b", RENAME_EXCHANGE | RENAME_WHITEOUT), EINVAL);
	NO(flagged("a", "b", 8), EINVAL);
	NO(flagged("a", "b", 0x80000000), EINVAL);
	TRY(flagged("a", "c", RENAME_NOREPLACE | RENAME_WHITEOUT));
	TEXT(listing("."));
}

CHECK(rename_whiteout_is_a_device)
{
	struct stat st;

	put("a", "A");
	NEED(flagged("a", "b", RENAME_WHITEOUT));
	OK(lstat("a", &st));
	YES(S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0));
	TEXT_IS(content("b"), "A");
	GIVES(mode("a"));
	OK(unlink("a"));
}

CHECK(rename_whiteout_by_user)
{
	dir("open", 0777);
	AS(USER, USER) {
		put("open/a", "A");
		TRY(flagged("open/a", "open/b", RENAME_WHITEOUT));
		TEXT(listing("open"));
		GIVES(uid("open/a"));
	}
}

CHECK(rename_into_own_subtree)
{
	dir("d", 0755);
	dir("d/e", 0755);
	dir("d/e/f", 0755);
	NO(rename("d", "d/x"), EINVAL);
	NO(rename("d", "d/e/x"), EINVAL);
	NO(rename("d", "d/e/f/x"), EINVAL);
	NO(rename("d", "d/e"), EINVAL);
	NO(rename("d/e/f", "d"), ENOTEMPTY);
	NO(rename("d/e", "d"), ENOTEMPTY);
	NO(flagged("d", "d/e", RENAME_EXCHANGE), EINVAL);
	NO(flagged("d/e/f", "d", RENAME_EXCHANGE), EINVAL);
	TEXT_IS(listing("d/e"), "f");
}

CHECK(rename_between_directories)
{
	dir("a", 0755);
	dir("b", 0755);
	put("a/f", "text");
	dir("a/d", 0755);
	put("a/d/g", "in d");
	OK(rename("a/f", "b/f"));
	OK(rename("a/d", "b/e"));
	TEXT_IS(listing("a"), "");
	TEXT_IS(listing("b"), "e f");
	TEXT_IS(content("b/e/g"), "in d");
	YES(same("b/e/..", "b"));
	OK(rename("b", "a/b"));
	TEXT_IS(content("a/b/e/g"), "in d");
	YES(same("a/b/e/../..", "a"));
}

CHECK(rename_of_an_open_file)
{
	int fd;

	put("a", "text");
	fd = opened("a", O_RDWR);
	OK(rename("a", "b"));
	OK(pwrite(fd, "T", 1, 0));
	TEXT_IS(content("b"), "Text");
	put("a", "new a");
	TEXT_IS(fd_content(fd, 0, 9), "Text");
	OK(rename("a", "b"));
	TEXT_IS(fd_content(fd, 0, 9), "Text");
	IS(fd_nlink(fd), 0);
	TEXT_IS(content("b"), "new a");
	OK(write(fd, "more", 4));
	TEXT_IS(fd_content(fd, 0, 9), "more");
	TEXT_IS(content("b"), "new a");
}

CHECK(rename_onto_an_open_directory)
{
	struct stat st;
	int fd;

	dir("a", 0755);
	put("a/f", "");
	dir("b", 0755);
	fd = opened("b", O_RDONLY | O_DIRECTORY);
	OK(rename("a", "b"));
	TEXT_IS(listing("b"), "f");
	OK(fstat(fd, &st));
	IS(st.st_nlink, 0);
	NO(openat(fd, "f", O_RDONLY), ENOENT);
	NO(mkdirat(fd, "x", 0755), ENOENT);
	NO(openat(fd, "x", O_CREAT | O_WRONLY, 0644), ENOENT);
}

CHECK(rename_keeps_the_file)
{
	ino_t before;
	struct times t;

	put("a", "x");
	OK(chmod("a", 04751));
	OK(chown("a", 5, 6));
	OK(chmod("a", 04751));
	before = ino("a");
	t = times("a");
	tick();
	OK(rename("a", "b"));
	YES(ino("b") == before);
	IS(mode("b"), 04751);
	IS(uid("b"), 5);
	TEXT(moved(&t, "b"));
}

CHECK(rename_exchange_of_directories)
{
	dir("a", 0755);
	dir("b", 0755);
	dir("a/x", 0755);
	dir("b/y", 0755);
	put("a/x/f", "ax");
	put("b/y/f", "by");
	OK(flagged("a/x", "b/y", RENAME_EXCHANGE));
	TEXT_IS(content("a/x/f"), "by");
	TEXT_IS(content("b/y/f"), "ax");
	YES(same("a/x/..", "a"));
	YES(same("b/y/..", "b"));
	OK(flagged("a", "b", RENAME_EXCHANGE));
	TEXT_IS(listing("a"), "y");
}

CHECK(rename_exchange_of_file_and_directory)
{
	dir("p", 0755);
	dir("q", 0755);
	put("p/f", "file");
	dir("q/d", 0755);
	put("q/d/in", "inside");
	OK(flagged("p/f", "q/d", RENAME_EXCHANGE));
	TEXT_IS(content("q/d"), "file");
	TEXT_IS(content("p/f/in"), "inside");
	GIVES(nlink("p"));
	GIVES(nlink("q"));
}

static const char *const stickers[] = { "0777", "1777", "0755", "1755", "3777" };

CHECK_EACH(rename_rights_in, stickers)
{
	dir("d", (mode_t)strtol(stickers[nr], NULL, 8));
	dir("mine", 0777);
	put("d/root", "");
	put("d/root2", "");
	put("d/own", "");
	put("d/own2", "");
	dir("d/dir", 0777);
	OK(chown("d/own", USER, USER));
	OK(chown("d/own2", USER, USER));
	AS(USER, USER) {
		TRY(rename("d/root", "d/x"));
		TRY(rename("d/own", "d/root2"));
		TRY(rename("d/own", "d/y"));
		TRY(rename("d/own2", "mine/y"));
		TRY(rename("mine/y", "d/own2"));
		TRY(rename("d/dir", "mine/dir"));
		TRY(flagged("d/own2", "d/root", RENAME_EXCHANGE));
		TRY(unlink("d/root"));
		TRY(rmdir("d/dir"));
		TEXT(listing("d"));
	}
}

/* A directory that moves has its ".." rewritten: that takes the right to write it. */
CHECK(rename_of_a_shut_directory)
{
	dir("a", 0777);
	dir("b", 0777);
	dir("a/d", 0755);
	OK(chown("a/d", OTHER, OTHER));
	AS(USER, USER) {
		NO(rename("a/d", "b/d"), EACCES);
		OK(rename("a/d", "a/e"));
	}
}

CHECK(rename_many_times)
{
	char from[16], to[16];
	ino_t i;

	put("n0", "text");
	i = ino("n0");
	for (int n = 0; n < 50; n++) {
		snprintf(from, sizeof(from), "n%d", n);
		snprintf(to, sizeof(to), "n%d", n + 1);
		if (rename(from, to) < 0)
			break;
	}
	TEXT_IS(listing("."), "n50");
	YES(ino("n50") == i);
}

CHECK(rename_trailing_slash)
{
	dir("d", 0755);
	put("f", "");
	OK(rename("d/", "e/"));
	NO(rename("f/", "g"), ENOTDIR);
	NO(rename("f", "g/"), ENOTDIR);
	OK(rename("e", "h/"));
	TEXT_IS(listing("."), "f h");
}

CHECK(rename_onto_a_working_directory)
{
	dir("a", 0755);
	put("a/new", "");
	dir("b", 0755);
	OK(chdir("b"));
	OK(rename("../a", "../b"));
	TEXT_IS(listing("."), "");
	NO(open("x", O_CREAT | O_WRONLY, 0644), ENOENT);
	TEXT_IS(listing("../b"), "new");
}
