/* SPDX-License-Identifier: BSD-3-Clause */
/* Names: their bytes, their lengths, the dots. */
#include "posix.h"

static const char *const odd[] = {
	"blank", "newline", "tab", "backslash", "quote", "star", "dash", "dots", "latin1", "utf8",
	"bad-utf8", "control", "high", "del", "lead-dot", "case", "colon", "percent",
};

static const char *odd_name(unsigned int nr)
{
	static const char *const names[] = {
		" a b ", "new\nline", "\t", "back\\slash", "quo\"te's", "*", "-rf", "...",
		"\344\366\374", "\303\244\342\202\254\360\237\220\247", "\377\376\300\200x",
		"\001\002\033[m", "\200\201", "\177", ".hidden", "CaSe", "c:stream", "%s%n",
	};

	return names[nr];
}

CHECK_EACH(name_odd, odd)
{
	const char *name = odd_name(nr);
	char twin[64];

	OK(close(open(name, O_CREAT | O_EXCL | O_WRONLY, 0644)));
	NO(open(name, O_CREAT | O_EXCL | O_WRONLY, 0644), EEXIST);
	TEXT_IS(listing("."), name);
	snprintf(twin, sizeof(twin), "%s2", name);
	OK(rename(name, twin));
	TEXT_IS(listing("."), twin);
	OK(symlink(name, "link"));
	TEXT_IS(target("link"), name);
	OK(mkdir(name, 0755));
	OK(link(twin, "hard"));
	OK(unlink(twin));
	OK(rmdir(name));
	TEXT_IS(listing("."), "hard link");
}

static const char *const lengths[] = { "1", "2", "127", "128", "254", "255" };

CHECK_EACH(name_length, lengths)
{
	size_t n = (size_t)atoi(lengths[nr]);
	char name[256], other[256];

	memcpy(name, fill('n', n), n + 1);
	memcpy(other, fill('m', n), n + 1);
	OK(close(open(name, O_CREAT | O_EXCL | O_WRONLY, 0644)));
	IS(strlen(listing(".")), (long)n);
	OK(link(name, other));
	OK(unlink(name));
	OK(mkdir(name, 0755));
	OK(rename(other, "x"));
	OK(rename("x", other));
	OK(unlink(other));
	OK(mkfifo(other, 0600));
	OK(rmdir(name));
	OK(symlink("t", name));
	TEXT_IS(target(name), "t");
	TEXT_IS(kind(other), "fifo");
}

static const char *const too_long[] = { "256", "257", "1000", "1023", "1024", "1025", "4000" };

CHECK_EACH(name_too_long, too_long)
{
	const char *name = fill('n', (size_t)atoi(too_long[nr]));
	struct stat st;

	put("f", "");
	NO(open(name, O_CREAT | O_WRONLY, 0644), ENAMETOOLONG);
	NO(open(name, O_RDONLY), ENAMETOOLONG);
	NO(mkdir(name, 0755), ENAMETOOLONG);
	NO(mkfifo(name, 0755), ENAMETOOLONG);
	NO(symlink("x", name), ENAMETOOLONG);
	NO(link("f", name), ENAMETOOLONG);
	NO(rename("f", name), ENAMETOOLONG);
	NO(unlink(name), ENAMETOOLONG);
	NO(rmdir(name), ENAMETOOLONG);
	NO(lstat(name, &st), ENAMETOOLONG);
	NO(chdir(name), ENAMETOOLONG);
	TEXT_IS(listing("."), "f");
}

CHECK(name_multibyte_255)
{
	char name[260];

	name[0] = 0;
	for (int i = 0; i < 127; i++)
		strcat(name, "\303\244");
	OK(mkdir(name, 0755));          /* 254 bytes */
	strcat(name, "x");
	OK(mkdir(name, 0755));
	strcat(name, "y");
	NO(mkdir(name, 0755), ENAMETOOLONG);
}

CHECK(name_case)
{
	put("a", "lower");
	put("A", "upper");
	TEXT_IS(content("a"), "lower");
	TEXT_IS(content("A"), "upper");
	TEXT_IS(listing("."), "A a");
}

CHECK(name_normalised_differently)
{
	put("\303\244", "one letter");
	put("a\314\210", "two");
	TEXT_IS(content("\303\244"), "one letter");
	TEXT_IS(content("a\314\210"), "two");
}

CHECK(name_dot)
{
	dir("d", 0755);
	NO(mkdir(".", 0755), EEXIST);
	NO(mkdir("..", 0755), EEXIST);
	NO(rmdir("."), EINVAL);
	NO(rmdir(".."), ENOTEMPTY);
	NO(rmdir("d/."), EINVAL);
	NO(rmdir("d/.."), ENOTEMPTY);
	TRY(unlink("."));
	TRY(unlink(".."));
	NO(rename(".", "x"), EBUSY);
	NO(rename("d", "."), EBUSY);
	NO(rename("..", "x"), EBUSY);
	NO(rename("d/.", "x"), EBUSY);
	NO(rename("d", "d/.."), EBUSY);
	NO(symlink("x", "."), EEXIST);
	NO(link("d", "."), EEXIST);
	NO(open(".", O_CREAT | O_WRONLY, 0644), EISDIR);
	NO(open("..", O_CREAT | O_RDONLY, 0644), EISDIR);
}

CHECK(name_dots_lead_where_they_should)
{
	dir("a", 0755);
	dir("a/b", 0755);
	YES(same("a/b/..", "a"));
	YES(same("a/b/../..", "."));
	YES(same("a/.", "a"));
	YES(same("a/b/./../b", "a/b"));
	OK(rename("a/b", "c"));
	YES(same("c/..", "."));
}

CHECK(name_of_root)
{
	YES(same("/", "/.."));
	NO(mkdir("/", 0755), EEXIST);
	NO(rmdir("/"), EBUSY);
}

CHECK(name_reused_at_once)
{
	for (int i = 0; i < 6; i++) {
		with("%d", i);
		OK(mkdir("n", 0755));
		NO(unlink("n"), EISDIR);
		OK(rmdir("n"));
		OK(symlink("x", "n"));
		TEXT_IS(kind("n"), "link");
		OK(unlink("n"));
		OK(close(open("n", O_CREAT | O_EXCL | O_WRONLY, 0600)));
		NO(rmdir("n"), ENOTDIR);
		OK(unlink("n"));
		NO(access("n", F_OK), ENOENT);
	}
}

CHECK(name_negative_then_made)
{
	struct stat st;

	NO(stat("n", &st), ENOENT);
	put("n", "x");
	OK(stat("n", &st));
	OK(rename("n", "m"));
	NO(stat("n", &st), ENOENT);
	OK(link("m", "n"));
	OK(stat("n", &st));
	OK(unlink("n"));
	NO(stat("n", &st), ENOENT);
	OK(symlink("m", "n"));
	OK(stat("n", &st));
}

/* Far beyond PATH_MAX, step by step. */
CHECK(name_deep_tree)
{
	const char *name = fill('d', 100);
	char cwd[8192];
	int depth = 80, up = 0;

	for (int i = 0; i < depth; i++)
		if (mkdir(name, 0755) < 0 || chdir(name) < 0)
			depth = -1;
	IS(depth, 80);
	put("bottom", "here");
	TEXT_IS(content("bottom"), "here");
	NO(syscall(SYS_getcwd, cwd, 4096), ENAMETOOLONG);
	NO(syscall(SYS_getcwd, cwd, sizeof(cwd)), ENAMETOOLONG);
	OK(unlink("bottom"));
	for (; up < depth; up++)
		if (chdir("..") < 0 || rmdir(name) < 0)
			break;
	IS(up, 80);
	TEXT_IS(listing("."), "");
}

CHECK(name_getcwd)
{
	char before[4096], after[4096];

	YES(getcwd(before, sizeof(before)) != NULL);
	dir("a", 0755);
	dir("a/b", 0755);
	OK(chdir("a/b"));
	YES(getcwd(after, sizeof(after)) != NULL);
	TEXT_IS(after + strlen(before), "/a/b");
	OK(rename("../../a", "../../c"));
	YES(getcwd(after, sizeof(after)) != NULL);
	TEXT_IS(after + strlen(before), "/c/b");
	NO(syscall(SYS_getcwd, after, 3), ERANGE);
}

CHECK(name_fchdir)
{
	int top = opened(".", O_RDONLY), d, f;

	dir("d", 0755);
	put("f", "");
	d = opened("d", O_PATH);
	f = opened("f", O_RDONLY);
	OK(fchdir(d));
	NO(access("f", F_OK), ENOENT);
	OK(fchdir(top));
	OK(access("f", F_OK));
	NO(fchdir(f), ENOTDIR);
	NO(fchdir(-1), EBADF);
}
