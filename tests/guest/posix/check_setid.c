/* SPDX-License-Identifier: BSD-3-Clause */
/* Set-id bits and capabilities of files; set-id and sticky directories. */
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>

#include "posix.h"

/* A security.capability value, version 2: CAP_NET_RAW permitted. */
static const unsigned char capability[20] = { 1, 0, 0, 2, 0, 32 };

static const char *const bits[] = { "4755", "2755", "6755", "2745", "6777", "4644", "1777" };

static mode_t bit(unsigned int nr)
{
	return (mode_t)strtol(bits[nr], NULL, 8);
}

static void with_bits(unsigned int nr)
{
	put("f", "text");
	OK(chmod("f", 0777));
	OK(chmod("f", bit(nr) | 0222));
}

CHECK_EACH(setid_write_by_user, bits)
{
	with_bits(nr);
	AS(USER, USER) {
		OK(write(opened("f", O_WRONLY), "x", 1));
		GIVES(mode("f"));
	}
	GIVES(mode("f"));
}

CHECK_EACH(setid_pwritev_by_user, bits)
{
	with_bits(nr);
	AS(USER, USER) {
		int fd = opened("f", O_WRONLY | O_APPEND);

		OK(write(fd, "x", 1));
		OK(write(fd, "x", 1));
	}
	GIVES(mode("f"));
}

CHECK_EACH(setid_empty_write_by_user, bits)
{
	with_bits(nr);
	AS(USER, USER)
		OK(write(opened("f", O_WRONLY), "", 0));
	GIVES(mode("f"));
}

CHECK_EACH(setid_write_by_root, bits)
{
	with_bits(nr);
	OK(write(opened("f", O_WRONLY), "x", 1));
	IS(mode("f"), bit(nr) | 0222);
}

CHECK_EACH(setid_truncate_by_user, bits)
{
	with_bits(nr);
	AS(USER, USER)
		OK(truncate("f", 1));
	GIVES(mode("f"));
	with_bits(nr);
	AS(USER, USER)
		OK(truncate("f", 100));
	GIVES(mode("f"));
	with_bits(nr);
	AS(USER, USER)
		OK(ftruncate(opened("f", O_WRONLY), 4));
	GIVES(mode("f"));
}

CHECK_EACH(setid_open_truncate_by_user, bits)
{
	with_bits(nr);
	AS(USER, USER)
		OK(close(open("f", O_WRONLY | O_TRUNC)));
	GIVES(mode("f"));
	with_bits(nr);
	AS(USER, USER)
		OK(close(open("f", O_WRONLY | O_TRUNC | O_CREAT, 0644)));
	GIVES(mode("f"));
	with_bits(nr);
	OK(close(open("f", O_WRONLY | O_TRUNC)));
	GIVES(mode("f"));
}

CHECK_EACH(setid_fallocate_by_user, bits)
{
	with_bits(nr);
	AS(USER, USER)
		TRY(fallocate(opened("f", O_WRONLY), 0, 0, 100));
	GIVES(mode("f"));
	with_bits(nr);
	AS(USER, USER)
		TRY(fallocate(opened("f", O_WRONLY), FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 2));
	GIVES(mode("f"));
}

CHECK_EACH(setid_copy_by_user, bits)
{
	put("src", "source");
	with_bits(nr);
	AS(USER, USER)
		TRY(copy_file_range(opened("src", O_RDONLY), NULL, opened("f", O_WRONLY), NULL, 6, 0));
	GIVES(mode("f"));
	with_bits(nr);
	AS(USER, USER)
		TRY(sendfile(opened("f", O_WRONLY), opened("src", O_RDONLY), NULL, 6));
	GIVES(mode("f"));
}

CHECK_EACH(setid_map_by_user, bits)
{
	char *p;

	with_bits(nr);
	AS(USER, USER) {
		NEED(p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, opened("f", O_RDWR), 0));
		p[0] = 'x';
		OK(msync(p, 4096, MS_SYNC));
	}
	GIVES(mode("f"));
}

CHECK_EACH(setid_kept_by, bits)
{
	with_bits(nr);
	OK(rename("f", "g"));
	IS(mode("g"), bit(nr) | 0222);
	OK(link("g", "f"));
	OK(unlink("g"));
	OK(utimensat(AT_FDCWD, "f", NULL, 0));
	TEXT_IS(content("f"), "text");
	TRY(setxattr("f", "user.a", "1", 1, 0));
	IS(mode("f"), bit(nr) | 0222);
}

/* The owner himself. */
CHECK_EACH(setid_write_by_owner, bits)
{
	with_bits(nr);
	OK(chown("f", USER, USER));
	OK(chmod("f", bit(nr)));
	AS(USER, USER) {
		TRY(write(opened("f", O_WRONLY), "x", 1));
		GIVES(mode("f"));
		OK(chmod("f", bit(nr)));
		GIVES(mode("f"));
		OK(truncate("f", 2));
		GIVES(mode("f"));
	}
}

/* Somebody of the file's group may keep its set-group-id bit in some cases. */
CHECK_EACH(setid_write_by_group_member, bits)
{
	with_bits(nr);
	OK(chown("f", 0, USER));
	OK(chmod("f", bit(nr) | 0020));
	AS(USER, USER)
		OK(write(opened("f", O_WRONLY), "x", 1));
	GIVES(mode("f"));
}

static const char *const makers[] = { "root", "member", "stranger" };

CHECK_EACH(setid_made_in_setgid_directory, makers)
{
	umask(0);
	dir("d", 0777);
	OK(chown("d", OTHER, 77));
	OK(chmod("d", 02777));
	CHILD {
		int as = nr == 0 ? child_begin(0, 1, 0) :
				   child_begin(USER, USER, nr == 1 ? 77 : 0);

		if (!as)
			child_end();
		OK(close(open("d/f", O_CREAT | O_WRONLY, 0666)));
		OK(close(open("d/g", O_CREAT | O_WRONLY, 02775)));
		OK(close(open("d/h", O_CREAT | O_WRONLY, 02745)));
		OK(mkdir("d/d", 0775));
		OK(mkdir("d/d/d", 0700));
		OK(mkdir("d/e", 02775));
		OK(mkfifo("d/p", 0666));
		OK(symlink("x", "d/s"));
		TRY(mknod("d/n", S_IFREG | 02777, 0));
	}
	for (const char *n = "fghdepsn"; *n; n++) {
		char path[] = { 'd', '/', *n, 0 };

		with("%s", path);
		GIVES(gid(path));
		GIVES(mode(path));
	}
	with("%s", "");
	GIVES(gid("d/d/d"));
	GIVES(mode("d/d/d"));
}

CHECK(setid_tmpfile_in_setgid_directory)
{
	char path[64];
	int fd;

	dir("d", 0777);
	OK(chown("d", 0, 77));
	OK(chmod("d", 02777));
	AS(USER, USER) {
		NEED(fd = open("d", O_TMPFILE | O_RDWR, 02775));
		GIVES(fd_mode(fd));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		OK(linkat(AT_FDCWD, path, AT_FDCWD, "d/f", AT_SYMLINK_FOLLOW));
	}
	GIVES(gid("d/f"));
}

CHECK(setid_sticky_directory)
{
	dir("d", 01777);
	put_mode("d/root", "", 0666);
	put_mode("d/own", "", 0666);
	dir("d/dir", 0777);
	put_mode("d/dir/in", "", 0666);
	OK(chown("d/own", USER, USER));
	AS(USER, USER) {
		NO(unlink("d/root"), EPERM);
		NO(rename("d/root", "d/x"), EPERM);
		NO(rmdir("d/dir"), EPERM);
		OK(unlink("d/dir/in"));
		OK(write(opened("d/root", O_WRONLY), "x", 1));
		OK(close(open("d/new", O_CREAT | O_WRONLY, 0666)));
		NO(rename("d/new", "d/root"), EPERM);
	}
	AS(OTHER, OTHER) {
		NO(unlink("d/own"), EPERM);
		NO(rename("d/own", "d/x"), EPERM);
		NO(unlink("d/new"), EPERM);
	}
	OK(chown("d", OTHER, OTHER));
	AS(OTHER, OTHER) {
		OK(unlink("d/own"));
		OK(rename("d/new", "d/y"));
	}
	AS(USER, USER)
		OK(unlink("d/y"));
	OK(unlink("d/root"));
}

CHECK(capability_lost_by)
{
	char buf[32];

	put("f", "text");
	OK(chmod("f", 0777));
	NEED(setxattr("f", "security.capability", capability, 20, 0));
	IS(getxattr("f", "security.capability", buf, 32), 20);
	OK(chmod("f", 0766));
	IS(getxattr("f", "security.capability", buf, 32), 20);
	OK(rename("f", "g") + rename("g", "f"));
	IS(getxattr("f", "security.capability", buf, 32), 20);
	OK(write(opened("f", O_WRONLY), "x", 1));
	TRY(getxattr("f", "security.capability", buf, 32));
	OK(setxattr("f", "security.capability", capability, 20, 0));
	OK(truncate("f", 1));
	TRY(getxattr("f", "security.capability", buf, 32));
	OK(setxattr("f", "security.capability", capability, 20, 0));
	OK(chown("f", 5, 5));
	TRY(getxattr("f", "security.capability", buf, 32));
	OK(setxattr("f", "security.capability", capability, 20, 0));
	OK(close(open("f", O_WRONLY | O_TRUNC)));
	TRY(getxattr("f", "security.capability", buf, 32));
}

CHECK(capability_lost_by_users_write)
{
	char buf[32];

	put_mode("f", "text", 0666);
	NEED(setxattr("f", "security.capability", capability, 20, 0));
	AS(USER, USER)
		OK(write(opened("f", O_WRONLY), "x", 1));
	NO(getxattr("f", "security.capability", buf, 32), ENODATA);
	OK(setxattr("f", "security.capability", capability, 20, 0));
	AS(USER, USER)
		OK(truncate("f", 0));
	TRY(getxattr("f", "security.capability", buf, 32));
}

CHECK(capability_set_by_whom)
{
	put("f", "");
	OK(chown("f", USER, USER));
	AS(USER, USER)
		NO(setxattr("f", "security.capability", capability, 20, 0), EPERM);
	NO(setxattr("f", "security.capability", "short", 5, 0), EINVAL);
	dir("d", 0755);
	TRY(setxattr("d", "security.capability", capability, 20, 0));
}
