/* SPDX-License-Identifier: BSD-3-Clause */
/* Modes, the umask and chmod. */
#include "posix.h"

static const char *const modes[] = {
	"0", "1", "7", "70", "111", "222", "400", "444", "644", "666", "700", "777", "1777", "2755",
	"4755", "6777", "7777",
};

CHECK_EACH(mode_set, modes)
{
	mode_t m = (mode_t)strtol(modes[nr], NULL, 8);
	int fd;

	put("f", "");
	dir("d", 0755);
	mkfifo("p", 0644);
	OK(chmod("f", m));
	IS(mode("f"), m);
	OK(chmod("d", m));
	IS(mode("d"), m);
	OK(chmod("p", m));
	IS(mode("p"), m);
	fd = opened("f", O_RDONLY);
	OK(fchmod(fd, 0600));
	IS(mode("f"), 0600);
	OK(fchmod(fd, m));
	IS(fd_mode(fd), m);
}

CHECK_EACH(mode_made, modes)
{
	mode_t m = (mode_t)strtol(modes[nr], NULL, 8);

	umask(0);
	OK(close(open("f", O_CREAT | O_WRONLY, m)));
	IS(mode("f"), m);
	OK(mkdir("d", m));
	TEXT_IS(kind("d"), "dir");
	GIVES(mode("d"));
	OK(mkfifo("p", m));
	IS(mode("p"), m);
	OK(mknod("n", S_IFREG | m, 0));
	IS(mode("n"), m);
	OK(close(open("t", O_CREAT | O_TRUNC | O_RDWR, m)));
	IS(mode("t"), m);
}

static const char *const masks[] = { "0", "2", "22", "27", "77", "177", "222", "777" };

CHECK_EACH(mode_umask, masks)
{
	mode_t mask = (mode_t)strtol(masks[nr], NULL, 8);

	umask(mask);
	OK(close(open("f", O_CREAT | O_WRONLY, 0666)));
	IS(mode("f"), 0666 & ~mask);
	OK(mkdir("d", 0777));
	IS(mode("d"), 0777 & ~mask);
	OK(mkfifo("p", 0666));
	IS(mode("p"), 0666 & ~mask);
	OK(mknod("n", S_IFREG | 0777, 0));
	IS(mode("n"), 0777 & ~mask);
	OK(symlink("x", "s"));
	IS(mode("s"), 0777);
	OK(chmod("f", 0777));
	IS(mode("f"), 0777);
}

CHECK_EACH(mode_umask_of_user, masks)
{
	umask((mode_t)strtol(masks[nr], NULL, 8));
	dir("open", 0777);
	AS(USER, USER) {
		OK(close(open("open/f", O_CREAT | O_WRONLY, 0666)));
		OK(mkdir("open/d", 0777));
		OK(mkfifo("open/p", 0666));
		IS(uid("open/f"), USER);
		IS(gid("open/d"), USER);
	}
	GIVES(mode("open/f"));
	GIVES(mode("open/d"));
	GIVES(mode("open/p"));
}

/* A new file gets its mode when it is closed, so to speak: the opener may write it. */
CHECK(mode_made_without_rights)
{
	int fd;

	dir("open", 0777);
	AS(USER, USER) {
		fd = opened("open/f", O_CREAT | O_RDWR);
		OK(fchmod(fd, 0));
		OK(write(fd, "text", 4));
		TEXT_IS(fd_content(fd, 0, 9), "text");
		OK(fd = open("open/g", O_CREAT | O_RDWR, 0));
		OK(write(fd, "text", 4));
		OK(ftruncate(fd, 2));
		TEXT_IS(fd_content(fd, 0, 9), "te");
		NO(open("open/g", O_RDONLY), EACCES);
		OK(fd = open("open/h", O_CREAT | O_WRONLY, 0444));
		OK(write(fd, "text", 4));
		NO(open("open/h", O_WRONLY), EACCES);
		NO(open("open/h", O_CREAT | O_WRONLY, 0644), EACCES);
	}
}

CHECK(mode_of_link)
{
	put("f", "");
	symlink("f", "s");
	OK(chmod("s", 0600));
	IS(mode("f"), 0600);
	IS(mode("s"), 0777);
	TRY(syscall(SYS_fchmodat, AT_FDCWD, "s", 0640));
	IS(mode("f"), 0640);
	TRY(fchmodat(AT_FDCWD, "s", 0600, AT_SYMLINK_NOFOLLOW));
	IS(mode("s"), 0777);
}

CHECK(mode_by_descriptor)
{
	int path, fd;

	put("f", "");
	path = opened("f", O_PATH);
	NO(fchmod(path, 0600), EBADF);
	fd = opened("f", O_RDONLY);
	OK(unlink("f"));
	OK(fchmod(fd, 0612));
	IS(fd_mode(fd), 0612);
	IS(fd_mode(path), 0612);
	NO(fchmod(-1, 0), EBADF);
}

static const char *const users[] = { "owner", "group", "other" };

CHECK_EACH(mode_change_by, users)
{
	put_mode("f", "", 0644);
	dir("d", 0755);
	OK(chown("f", nr == 0 ? USER : 0, nr == 1 ? USER : 0));
	OK(chown("d", nr == 0 ? USER : 0, nr == 1 ? USER : 0));
	AS(USER, USER) {
		TRY(chmod("f", 0600));
		TRY(chmod("f", 0644));
		TRY(chmod("f", 04755));
		GIVES(mode("f"));
		TRY(chmod("f", 02755));
		GIVES(mode("f"));
		TRY(chmod("d", 01777));
		GIVES(mode("d"));
		TRY(chmod("d", 02755));
		GIVES(mode("d"));
	}
}

CHECK(mode_setgid_by_member)
{
	put("f", "");
	dir("d", 0755);
	OK(chown("f", USER, OTHER));
	OK(chown("d", USER, OTHER));
	AS_GROUPS(USER, USER, OTHER) {
		OK(chmod("f", 02755));
		IS(mode("f"), 02755);
		OK(chmod("d", 02755));
		IS(mode("d"), 02755);
	}
	AS(USER, USER) {
		OK(chmod("f", 02755));
		IS(mode("f"), 0755);
		OK(chmod("d", 02755));
		IS(mode("d"), 0755);
	}
}

CHECK(mode_changes_ctime_only)
{
	struct times t;

	put("f", "");
	t = times("f");
	tick();
	OK(chmod("f", 0600));
	TEXT_IS(moved(&t, "f"), "ctime");
}

CHECK(mode_open_file_keeps_its_rights)
{
	int fd;

	put("f", "text");
	OK(chown("f", USER, USER));
	AS(USER, USER) {
		fd = opened("f", O_RDWR);
		OK(chmod("f", 0));
		NO(open("f", O_RDONLY), EACCES);
		TEXT_IS(fd_content(fd, 0, 9), "text");
		OK(pwrite(fd, "T", 1, 0));
		OK(ftruncate(fd, 2));
		OK(fsync(fd));
		TEXT_IS(fd_content(fd, 0, 9), "Te");
	}
}
