/* SPDX-License-Identifier: BSD-3-Clause */
/* Each call that takes a path, with each kind of path that is hard to resolve. */
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <utime.h>

#include "posix.h"

#define NOBODY_DOES 4095

/* Its file is where the call is to happen, "there" another one that is there. */
static long call(const char *op, const char *p)
{
	char buf[64];
	struct stat st;
	struct statfs sf;
	int fd = -2;

#define IF(word, e) do { if (strcmp(op, word) == 0) return R(e); } while (0)
#define IF_OPEN(word, e) do { if (strcmp(op, word) == 0) fd = (e); } while (0)
	IF("stat", stat(p, &st));
	IF("lstat", lstat(p, &st));
	IF("statfs", statfs(p, &sf));
	IF("access", access(p, R_OK));
	IF("readlink", readlink(p, buf, sizeof(buf)));
	IF("mkdir", mkdir(p, 0755));
	IF("mkfifo", mkfifo(p, 0644));
	IF("mknod", mknod(p, S_IFREG | 0644, 0));
	IF("symlink", symlink("x", p));
	IF("unlink", unlink(p));
	IF("rmdir", rmdir(p));
	IF("removedir", unlinkat(AT_FDCWD, p, AT_REMOVEDIR));
	IF("link-from", link(p, "new"));
	IF("link-to", link("there", p));
	IF("rename-from", rename(p, "new"));
	IF("rename-to", rename("there", p));
	IF("renamedir-to", rename("dir", p));
	IF("chmod", chmod(p, 0700));
	IF("chown", chown(p, 5, 6));
	IF("lchown", lchown(p, 5, 6));
	IF("truncate", truncate(p, 2));
	IF("utimes", utimensat(AT_FDCWD, p, NULL, 0));
	IF("lutimes", utimensat(AT_FDCWD, p, NULL, AT_SYMLINK_NOFOLLOW));
	IF("chdir", chdir(p));
	IF("getxattr", getxattr(p, "user.a", buf, sizeof(buf)));
	IF("setxattr", setxattr(p, "user.a", "v", 1, 0));
	IF("lsetxattr", lsetxattr(p, "trusted.a", "v", 1, 0));
	IF("listxattr", listxattr(p, buf, sizeof(buf)));
	IF("removexattr", removexattr(p, "user.a"));
	IF_OPEN("open", open(p, O_RDONLY | O_NONBLOCK));
	IF_OPEN("open-write", open(p, O_WRONLY));
	IF_OPEN("open-trunc", open(p, O_WRONLY | O_TRUNC));
	IF_OPEN("open-dir", open(p, O_RDONLY | O_DIRECTORY));
	IF_OPEN("open-path", open(p, O_PATH));
	IF_OPEN("open-nofollow", open(p, O_RDONLY | O_NOFOLLOW));
	IF_OPEN("open-tmpfile", open(p, O_TMPFILE | O_RDWR, 0644));
	IF_OPEN("creat", open(p, O_WRONLY | O_CREAT, 0644));
	IF_OPEN("creat-excl", open(p, O_WRONLY | O_CREAT | O_EXCL, 0644));
	IF_OPEN("creat-nofollow", open(p, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644));
#undef IF
#undef IF_OPEN
	if (fd == -2)
		return -NOBODY_DOES;
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static const char *const ops[] = {
	"stat", "lstat", "statfs", "access", "readlink", "mkdir", "mkfifo", "mknod", "symlink",
	"unlink", "rmdir", "removedir", "link-from", "link-to", "rename-from", "rename-to",
	"renamedir-to", "chmod", "chown", "lchown", "truncate", "utimes", "lutimes", "chdir",
	"getxattr", "setxattr", "lsetxattr", "listxattr", "removexattr", "open", "open-write",
	"open-trunc", "open-dir", "open-path", "open-nofollow", "open-tmpfile", "creat",
	"creat-excl", "creat-nofollow",
};

/* Those that leave everything as it is, if they succeed. */
static bool changes(const char *op)
{
	static const char *const harmless[] = {
		"stat", "lstat", "statfs", "access", "readlink", "chdir", "getxattr", "listxattr",
		"open", "open-write", "open-dir", "open-path", "open-nofollow", "open-tmpfile",
		"utimes", "lutimes", "chmod", "chown", "lchown", "setxattr", "lsetxattr",
	};

	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++)
		if (strcmp(op, harmless[i]) == 0)
			return false;
	return true;
}

/* A place that the calls may spoil. */
static void scene(size_t i)
{
	char name[16];

	snprintf(name, sizeof(name), "scene%zu", i);
	dir(name, 0755);
	if (chdir(name) < 0)
		_exit(2);
	put("there", "text");
	put("file", "text");
	dir("dir", 0755);
	dir("empty", 0755);
	dir("full", 0755);
	put("full/file", "text");
	symlink("loop2", "loop1");
	symlink("loop1", "loop2");
	symlink("nowhere", "dangling");
	symlink("file", "to-file");
	symlink("full", "to-dir");
	symlink("no/where", "deep-dangling");
	mkfifo("fifo", 0644);
}

/* What came of it, and of the scene; each call finds it unspoilt. */
static void each_path(const char *op, const char *const *paths, size_t n)
{
	int top = opened(".", O_RDONLY | O_DIRECTORY), here;
	bool spoilt = true;

	for (size_t i = 0; i < n; i++) {
		with("%.40s%s", paths[i], strlen(paths[i]) > 40 ? "..." : "");
		if (fchdir(top) < 0)
			_exit(2);
		if (spoilt) {
			scene(i);
			here = opened(".", O_RDONLY | O_DIRECTORY);
		}
		if (fchdir(here) < 0)
			_exit(2);
		spoilt = step_try(op, call(op, paths[i])) >= 0 && changes(op);
		if (spoilt)
			TEXT(listing("."));
	}
	with("%s", "");
	TEXT(spoilt ? "spoilt" : listing("."));
}

CHECK_EACH(path_missing, ops)
{
	static const char *const paths[] = {
		"none", "none/", "none/x", "none/.", "none/..", "", "full/none", "full/none/x",
	};

	each_path(ops[nr], paths, ARRAY_SIZE(paths));
}

CHECK_EACH(path_no_dir, ops)
{
	static const char *const paths[] = {
		"file/", "file/x", "file/.", "file/..", "to-file/", "to-file/x", "fifo/x", "fifo/",
	};

	each_path(ops[nr], paths, ARRAY_SIZE(paths));
}

CHECK_EACH(path_dir, ops)
{
	static const char *const paths[] = {
		"empty", "empty/", "empty/.", "empty/..", "full", "full/", "full/.", "full/..",
		"full/../empty", ".", "..", "./", "full//file", "./full/./file",
	};

	each_path(ops[nr], paths, ARRAY_SIZE(paths));
}

CHECK_EACH(path_link, ops)
{
	static const char *const paths[] = {
		"to-file", "to-dir", "to-dir/", "to-dir/file", "to-dir/.", "to-dir/..", "dangling",
		"dangling/", "dangling/x", "deep-dangling", "loop1", "loop1/", "loop1/x",
	};

	each_path(ops[nr], paths, ARRAY_SIZE(paths));
}

/* "full", slashes, "file": @size bytes with the NUL, and few components. */
static void slashes(char *buf, size_t size)
{
	memset(buf, '/', size);
	memcpy(buf, "full", 4);
	memcpy(buf + size - 5, "file", 5);
}

CHECK_EACH(path_long, ops)
{
	static char longest[256], too_long[257], in_dir[300], path[5000], path_max[4096];
	static const char *const paths[] = { longest, too_long, in_dir, path, path_max };

	memset(longest, 'n', 255);
	memset(too_long, 'N', 256);
	snprintf(in_dir, sizeof(in_dir), "full/%s", too_long);
	slashes(path, sizeof(path));
	slashes(path_max, 4096);
	each_path(ops[nr], paths, ARRAY_SIZE(paths));
}
