/* SPDX-License-Identifier: BSD-3-Clause */
/* Extended attributes: names, sizes, lists, name spaces, kinds of files. */
#include <sys/xattr.h>

#include "posix.h"

#define NONE "(none)"

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names but security.selinux and the like of the host's own, sorted. */
static const char *list(const char *path)
{
	static char names[65536], buf[4000];
	char *name[1000];
	ssize_t n = llistxattr(path, names, sizeof(names));
	size_t count = 0, len = 0;

	if (n < 0) {
		snprintf(buf, sizeof(buf), "(%s)", strerrorname_np(errno));
		return buf;
	}
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
		if (strncmp(names + at, "security.", 9) != 0)
			name[count++] = names + at;
	qsort(name, count, sizeof(*name), by_bytes);
	snprintf(buf, sizeof(buf), "%s", count ? "" : NONE);
	for (size_t i = 0; i < count && len < sizeof(buf); i++)
		len += (size_t)snprintf(buf + len, sizeof(buf) - len, "%s%s", i ? " " : "", name[i]);
	return buf;
}

static const char *value(const char *path, const char *name)
{
	static char buf[4096];
	ssize_t n = lgetxattr(path, name, buf, sizeof(buf) - 1);

	if (n < 0)
		snprintf(buf, sizeof(buf), "(%s)", strerrorname_np(errno));
	else
		buf[n] = 0;
	return buf;
}

CHECK(xattr_life)
{
	put("f", "");
	TEXT_IS(list("f"), NONE);
	NO(getxattr("f", "user.a", NULL, 0), ENODATA);
	OK(setxattr("f", "user.a", "one", 3, 0));
	TEXT_IS(value("f", "user.a"), "one");
	IS(getxattr("f", "user.a", NULL, 0), 3);
	OK(setxattr("f", "user.a", "longer", 6, 0));
	TEXT_IS(value("f", "user.a"), "longer");
	OK(setxattr("f", "user.b", "", 0, 0));
	TEXT_IS(value("f", "user.b"), "");
	IS(getxattr("f", "user.b", NULL, 0), 0);
	TEXT_IS(list("f"), "user.a user.b");
	OK(removexattr("f", "user.a"));
	NO(removexattr("f", "user.a"), ENODATA);
	TEXT_IS(list("f"), "user.b");
}

CHECK(xattr_flags)
{
	put("f", "");
	NO(setxattr("f", "user.a", "1", 1, XATTR_REPLACE), ENODATA);
	OK(setxattr("f", "user.a", "1", 1, XATTR_CREATE));
	NO(setxattr("f", "user.a", "2", 1, XATTR_CREATE), EEXIST);
	OK(setxattr("f", "user.a", "3", 1, XATTR_REPLACE));
	TEXT_IS(value("f", "user.a"), "3");
	TRY(setxattr("f", "user.a", "4", 1, XATTR_CREATE | XATTR_REPLACE));
	NO(setxattr("f", "user.a", "5", 1, 4), EINVAL);
}

CHECK(xattr_room)
{
	char buf[16];

	put("f", "");
	OK(setxattr("f", "user.a", "12345678", 8, 0));
	NO(getxattr("f", "user.a", buf, 7), ERANGE);
	IS(getxattr("f", "user.a", buf, 8), 8);
	IS(getxattr("f", "user.a", buf, 16), 8);
	NO(listxattr("f", buf, 3), ERANGE);
	TRY(listxattr("f", buf, 16));
}

static const char *const names[] = {
	"user", "trusted", "security", "system", "user-dot", "user-alone", "trusted-dot",
	"no-space", "other-space", "empty", "bytes", "blank", "upper", "posix-acl-none",
	"btrfs", "system-dot", "security-dot", "dot", "nested", "overlay",
};

static const char *const name_of[] = {
	"user.a", "trusted.a", "security.a", "system.a", "user.", "user", "trusted.", "nospace",
	"other.a", "", "user.\377bytes", "user.a b", "USER.a",
	"system.posix_acl_none", "btrfs.a", "system.", "security.", ".", "user.user.trusted.x",
	"trusted.overlay.opaque",
};

CHECK_EACH(xattr_name, names)
{
	put("f", "");
	TRY(setxattr("f", name_of[nr], "v", 1, 0));
	TEXT(value("f", name_of[nr]));
	TEXT(list("f"));
	TRY(removexattr("f", name_of[nr]));
	OK(chown("f", USER, USER));
	AS(USER, USER) {
		with("user");
		TRY(setxattr("f", name_of[nr], "v", 1, 0));
		TEXT(value("f", name_of[nr]));
		TEXT(list("f"));
		TRY(removexattr("f", name_of[nr]));
	}
}

CHECK(xattr_name_length)
{
	char name[300];

	put("f", "");
	snprintf(name, sizeof(name), "user.%s", fill('n', 250));
	OK(setxattr("f", name, "v", 1, 0));
	TEXT_IS(value("f", name), "v");
	OK(removexattr("f", name));
	snprintf(name, sizeof(name), "user.%s", fill('n', 251));
	NO(setxattr("f", name, "v", 1, 0), ERANGE);
	NO(getxattr("f", name, NULL, 0), ERANGE);
	NO(removexattr("f", name), ERANGE);
	TEXT_IS(list("f"), NONE);
}

static const char *const sizes[] = { "0", "1", "255", "1000", "3000", "4096", "16384", "65535",
				     "65536" };

CHECK_EACH(xattr_size, sizes)
{
	size_t n = (size_t)atol(sizes[nr]);
	char *back = malloc(n + 1);

	put("f", "");
	NEED(setxattr("f", "user.a", fill('v', n), n, 0));
	IS(getxattr("f", "user.a", NULL, 0), (long)n);
	IS(getxattr("f", "user.a", back, n + 1), (long)n);
	YES(memcmp(back, fill('v', n), n) == 0);
	OK(setxattr("f", "user.a", "short", 5, 0));
	TEXT_IS(value("f", "user.a"), "short");
}

CHECK(xattr_too_large)
{
	put("f", "");
	NO(setxattr("f", "user.a", fill('v', 65537), 65537, 0), E2BIG);
	NO(setxattr("f", "user.a", fill('v', 1000000), 1000000, 0), E2BIG);
	TEXT_IS(list("f"), NONE);
}

CHECK(xattr_many)
{
	char name[32];
	int made = 0, right = 0;

	put("f", "");
	for (; made < 40; made++) {
		snprintf(name, sizeof(name), "user.attribute-%02d", made);
		if (setxattr("f", name, name, strlen(name), 0) < 0)
			break;
	}
	IS(made, 40);
	for (int i = 0; i < made; i++) {
		snprintf(name, sizeof(name), "user.attribute-%02d", i);
		right += strcmp(value("f", name), name) == 0;
	}
	IS(right, 40);
	IS(strlen(list("f")), 40 * 18 - 1);
}

static const char *const kinds[] = { "file", "dir", "sticky", "link", "dangling", "fifo", "socket",
				     "chr" };

static void make(unsigned int nr)
{
	put("target", "");
	switch (nr) {
	case 0: put_mode("a", "", 0666); break;
	case 1: dir("a", 0777); break;
	case 2: dir("a", 01777); break;
	case 3: symlink("target", "a"); break;
	case 4: symlink("nowhere", "a"); break;
	case 5: mkfifo("a", 0666); break;
	case 6: mknod("a", S_IFSOCK | 0666, 0); break;
	case 7: mknod("a", S_IFCHR | 0666, 0x0103); break;
	}
}

CHECK_EACH(xattr_on, kinds)
{
	make(nr);
	TRY(lsetxattr("a", "user.a", "u", 1, 0));
	TRY(lsetxattr("a", "trusted.a", "t", 1, 0));
	TRY(lsetxattr("a", "security.a", "s", 1, 0));
	TEXT(value("a", "user.a"));
	TEXT(value("a", "trusted.a"));
	TEXT(value("a", "security.a"));
	TEXT(list("a"));
	TEXT(list("target"));
	TRY(setxattr("a", "trusted.b", "followed", 8, 0));
	TEXT(list("a"));
	TEXT(list("target"));
	TRY(lremovexattr("a", "trusted.a"));
	TEXT(list("a"));
	AS(USER, USER) {
		with("user");
		TRY(lsetxattr("a", "user.b", "u", 1, 0));
		TRY(lsetxattr("a", "trusted.b", "t", 1, 0));
		TRY(lsetxattr("a", "security.b", "s", 1, 0));
		TEXT(value("a", "user.a"));
		TEXT(value("a", "trusted.b"));
		TEXT(value("a", "security.a"));
		TEXT(list("a"));
	}
}

CHECK(xattr_by_descriptor)
{
	char buf[16];
	int fd;

	put("f", "");
	fd = opened("f", O_RDONLY);
	OK(fsetxattr(fd, "user.a", "1", 1, 0));
	IS(fgetxattr(fd, "user.a", buf, 16), 1);
	GIVES(flistxattr(fd, buf, 16));
	OK(fremovexattr(fd, "user.a"));
	fd = opened("f", O_PATH);
	NO(fsetxattr(fd, "user.a", "1", 1, 0), EBADF);
	NO(flistxattr(fd, buf, 16), EBADF);
}

static const char *const rights[] = { "600", "644", "622", "666", "000" };

CHECK_EACH(xattr_rights, rights)
{
	put("f", "");
	OK(setxattr("f", "user.a", "1", 1, 0));
	OK(setxattr("f", "trusted.a", "1", 1, 0));
	OK(chmod("f", (mode_t)strtol(rights[nr], NULL, 8)));
	AS(USER, USER) {
		TEXT(value("f", "user.a"));
		TRY(setxattr("f", "user.a", "2", 1, 0));
		TRY(setxattr("f", "user.b", "2", 1, 0));
		TRY(removexattr("f", "user.a"));
		TEXT(value("f", "trusted.a"));
		TRY(setxattr("f", "trusted.a", "2", 1, 0));
		TEXT(list("f"));
	}
}

CHECK(xattr_stay_with_the_file)
{
	put("f", "");
	put("g", "");
	OK(setxattr("f", "user.a", "of f", 4, 0));
	OK(setxattr("g", "user.b", "of g", 4, 0));
	OK(rename("f", "h"));
	TEXT_IS(list("h"), "user.a");
	OK(rename("h", "g"));
	TEXT_IS(list("g"), "user.a");
	OK(link("g", "l"));
	TEXT_IS(value("l", "user.a"), "of f");
	OK(truncate("l", 100));
	OK(chmod("l", 0));
	TEXT_IS(list("g"), "user.a");
	OK(unlink("g") + unlink("l"));
	put("g", "");
	TEXT_IS(list("g"), NONE);
}

CHECK(xattr_bytes)
{
	char buf[8];

	put("f", "");
	OK(setxattr("f", "user.a", "\0\1\377\0", 4, 0));
	IS(getxattr("f", "user.a", buf, 8), 4);
	YES(memcmp(buf, "\0\1\377\0", 4) == 0);
}

CHECK(xattr_bad_pointers)
{
	put("f", "");
	OK(setxattr("f", "user.a", "value", 5, 0));
	NO(setxattr("f", "user.b", nowhere, 5, 0), EFAULT);
	NO(getxattr("f", "user.a", nowhere, 5), EFAULT);
	NO(listxattr("f", nowhere, 500), EFAULT);
}
