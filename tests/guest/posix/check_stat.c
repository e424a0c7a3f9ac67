/* SPDX-License-Identifier: BSD-3-Clause */
/* stat, statx, statfs, attribute ioctls, inotify. */
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>

#include "posix.h"

CHECK(stat_fields)
{
	struct stat st, by_fd;
	int fd;

	put("f", "12345");
	fd = opened("f", O_RDONLY);
	OK(stat("f", &st));
	OK(fstat(fd, &by_fd));
	YES(memcmp(&st, &by_fd, sizeof(st)) == 0);
	IS(st.st_size, 5);
	IS(st.st_nlink, 1);
	IS(st.st_rdev, 0);
	IS(st.st_uid + st.st_gid, 0);
	GIVES(st.st_mode);
	YES(st.st_ino != 0);
	YES(st.st_blksize >= 512);
	GIVES(st.st_blksize);
}

CHECK(stat_device_is_one)
{
	struct stat a, b, c;

	dir("d", 0755);
	put("d/f", "");
	symlink("x", "s");
	OK(stat(".", &a));
	OK(stat("d/f", &b));
	OK(lstat("s", &c));
	YES(a.st_dev == b.st_dev && a.st_dev == c.st_dev);
	YES(a.st_ino != b.st_ino && b.st_ino != c.st_ino);
}

CHECK(stat_blocks)
{
	struct stat st;
	int fd = opened("f", O_RDWR | O_CREAT);

	OK(write(fd, fill('x', 100000), 100000));
	OK(fsync(fd));
	OK(fstat(fd, &st));
	YES(st.st_blocks * 512 >= 98304);
	OK(ftruncate(fd, 0));
	OK(fstat(fd, &st));
	IS(st.st_blocks, 0);
}

static unsigned int masks(const char *path, unsigned int mask, struct statx *stx)
{
	memset(stx, 0, sizeof(*stx));
	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, mask, stx) < 0 ? 0 : stx->stx_mask;
}

CHECK(statx_basic)
{
	struct statx stx;
	struct stat st;

	put("f", "12345");
	OK(stat("f", &st));
	YES((masks("f", STATX_BASIC_STATS, &stx) & STATX_BASIC_STATS) == STATX_BASIC_STATS);
	YES(stx.stx_ino == st.st_ino && stx.stx_size == 5 && stx.stx_mode == st.st_mode);
	YES(stx.stx_nlink == 1 && stx.stx_uid == st.st_uid && stx.stx_blksize > 0);
	YES(stx.stx_mtime.tv_sec == st.st_mtim.tv_sec &&
	    stx.stx_mtime.tv_nsec == (unsigned int)st.st_mtim.tv_nsec);
	NO(statx(AT_FDCWD, "f", 0, 0x80000000U, &stx), EINVAL);
	NO(statx(AT_FDCWD, "none", 0, STATX_ALL, &stx), ENOENT);
	NO(statx(AT_FDCWD, "f", 0x4000000, STATX_ALL, &stx), EINVAL);
}

CHECK(statx_birth_time)
{
	struct statx a, b;

	put("f", "12345");
	NEED(masks("f", STATX_BTIME, &a) & STATX_BTIME ? 0 : (errno = ENODATA, -1));
	ASK(llabs(a.stx_btime.tv_sec - (long long)time(NULL)) < 10);
	tick();
	OK(chmod("f", 0600));
	OK(truncate("f", 1));
	masks("f", STATX_BTIME, &b);
	ASK(a.stx_btime.tv_sec == b.stx_btime.tv_sec && a.stx_btime.tv_nsec == b.stx_btime.tv_nsec);
	dir("d", 0755);
	ASK(masks("d", STATX_BTIME, &a) & STATX_BTIME);
	symlink("x", "s");
	ASK(masks("s", STATX_BTIME, &a) & STATX_BTIME);
}

CHECK(statx_mount_id)
{
	struct statx a, b;

	put("f", "");
	dir("d", 0755);
	YES(masks("f", STATX_MNT_ID, &a) & STATX_MNT_ID);
	YES(masks("d", STATX_MNT_ID, &b) & STATX_MNT_ID);
	YES(a.stx_mnt_id == b.stx_mnt_id);
	ASK(a.stx_attributes & STATX_ATTR_MOUNT_ROOT);
	ASK(a.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT);
}

CHECK(statx_sync_modes)
{
	struct statx stx;

	put("f", "12345");
	OK(statx(AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_SIZE, &stx));
	IS(stx.stx_size, 5);
	OK(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_SIZE, &stx));
	IS(stx.stx_size, 5);
	NO(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &stx), EINVAL);
	OK(statx(opened("f", O_PATH), "", AT_EMPTY_PATH, STATX_SIZE, &stx));
	IS(stx.stx_size, 5);
}

CHECK(statx_attributes)
{
	struct statx stx;
	int flags, fd;

	put("f", "");
	fd = opened("f", O_RDONLY);
	NEED(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	flags |= FS_APPEND_FL;
	NEED(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	masks("f", STATX_BASIC_STATS, &stx);
	ASK(stx.stx_attributes & STATX_ATTR_APPEND);
	ASK(stx.stx_attributes_mask & STATX_ATTR_APPEND);
	flags &= ~FS_APPEND_FL;
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

CHECK(statfs_is_consistent)
{
	struct statfs a, b;
	struct statvfs v;

	put("f", "");
	OK(statfs(".", &a));
	OK(fstatfs(opened("f", O_RDONLY), &b));
	OK(statvfs("f", &v));
	YES(a.f_blocks == b.f_blocks && a.f_bsize == b.f_bsize);
	YES(v.f_blocks == a.f_blocks && v.f_namemax == (unsigned long)a.f_namelen);
	YES(a.f_bfree <= a.f_blocks && a.f_bavail <= a.f_bfree);
	YES(a.f_ffree <= a.f_files);
	IS(a.f_namelen, 255);
	GIVES(a.f_bsize);
	GIVES(a.f_frsize);
	GIVES(a.f_blocks);
	GIVES(v.f_flag & (ST_RDONLY | ST_NOSUID));
	NO(statfs("none", &a), ENOENT);
}

CHECK(statfs_pathconf)
{
	put("f", "");
	IS(pathconf(".", _PC_NAME_MAX), 255);
	IS(pathconf(".", _PC_PATH_MAX), 4096);
	IS(pathconf(".", _PC_NO_TRUNC), 1);
	IS(pathconf(".", _PC_CHOWN_RESTRICTED), 1);
}

CHECK(ioctl_flags)
{
	int flags = 0, fd;

	put("f", "text");
	fd = opened("f", O_RDONLY);
	NEED(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	GIVES(flags);
	flags |= FS_NODUMP_FL;
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	flags = 0;
	OK(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	YES(flags & FS_NODUMP_FL);
	AS(USER, USER) {
		TRY(ioctl(fd, FS_IOC_GETFLAGS, &flags));
		TRY(ioctl(fd, FS_IOC_SETFLAGS, &flags));
		flags |= FS_IMMUTABLE_FL;
		TRY(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	}
}

static const char *const flagged[] = { "immutable", "append" };

CHECK_EACH(ioctl_protects, flagged)
{
	int flags, fd, protect = nr == 0 ? FS_IMMUTABLE_FL : FS_APPEND_FL;

	put("f", "text");
	fd = opened("f", O_RDONLY);
	NEED(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	flags |= protect;
	NEED(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	TRY(open("f", O_WRONLY));
	TRY(open("f", O_WRONLY | O_APPEND));
	TRY(open("f", O_WRONLY | O_TRUNC));
	TRY(write(open("f", O_WRONLY | O_APPEND), "+", 1));
	TRY(truncate("f", 0));
	TRY(chmod("f", 0600));
	TRY(chown("f", 5, 5));
	TRY(unlink("f"));
	TRY(rename("f", "g"));
	TRY(link("f", "g"));
	TRY(utimensat(AT_FDCWD, "f", NULL, 0));
	TEXT(content("f"));
	flags &= ~protect;
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	OK(rename("f", "h"));
}

CHECK(ioctl_directory_flags)
{
	int flags = 0, fd;

	dir("d", 0755);
	fd = opened("d", O_RDONLY | O_DIRECTORY);
	NEED(ioctl(fd, FS_IOC_GETFLAGS, &flags));
	flags |= FS_APPEND_FL;
	NEED(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	OK(close(open("d/f", O_CREAT | O_WRONLY, 0644)));
	TRY(unlink("d/f"));
	flags &= ~FS_APPEND_FL;
	OK(ioctl(fd, FS_IOC_SETFLAGS, &flags));
	OK(unlink("d/f"));
}

CHECK(ioctl_xflags)
{
	struct fsxattr x;
	int fd;

	put("f", "");
	fd = opened("f", O_RDONLY);
	NEED(ioctl(fd, FS_IOC_FSGETXATTR, &x));
	GIVES(x.fsx_projid);
	GIVES(x.fsx_nextents);
	GIVES(x.fsx_xflags & (FS_XFLAG_IMMUTABLE | FS_XFLAG_APPEND | FS_XFLAG_NODUMP));
	x.fsx_xflags |= FS_XFLAG_NODUMP;
	OK(ioctl(fd, FS_IOC_FSSETXATTR, &x));
	OK(ioctl(fd, FS_IOC_FSGETXATTR, &x));
	YES(x.fsx_xflags & FS_XFLAG_NODUMP);
}

CHECK(ioctl_others)
{
	int n = -1, fd;
	long b;

	put("f", "text");
	fd = opened("f", O_RDWR);
	TRY(ioctl(fd, FIONREAD, &n));
	GIVES(n);
	TRY(ioctl(fd, FIGETBSZ, &n));
	TRY(ioctl(fd, FS_IOC_GETVERSION, &b));
	NO(ioctl(fd, 0x12345678, &b), ENOTTY);
	NO(ioctl(fd, TCGETS, &b), ENOTTY);
	NO(ioctl(opened(".", O_RDONLY), TCGETS, &b), ENOTTY);
	NO(isatty(fd) ? 0 : (errno = ENOTTY, -1), ENOTTY);
}

/* What this system itself does it hears of. */
CHECK(inotify_of_own_changes)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} kinds[] = {
		{ IN_CREATE, "create" }, { IN_MODIFY, "modify" }, { IN_ATTRIB, "attrib" },
		{ IN_MOVED_FROM, "from" }, { IN_MOVED_TO, "to" }, { IN_DELETE, "delete" },
		{ IN_CLOSE_WRITE, "closed" }, { IN_DELETE_SELF, "gone" },
	};
	char buf[8192] __attribute__((aligned(8))), text[1000] = "";
	uint32_t wanted = 0;
	int in = inotify_init1(IN_NONBLOCK);
	ssize_t n;

	dir("d", 0755);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		wanted |= kinds[i].bit;
	OK(inotify_add_watch(in, "d", wanted));
	put("d/f", "text");
	OK(rename("d/f", "d/g"));
	OK(chmod("d/g", 0600));
	OK(unlink("d/g"));
	OK(mkdir("d/e", 0755));
	OK(rmdir("d/e"));
	OK(rmdir("d"));
	n = read(in, buf, sizeof(buf));
	for (char *p = buf; p < buf + n;) {
		struct inotify_event *e = (struct inotify_event *)p;

		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			if (e->mask & kinds[i].bit)
				snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s:%s ",
					 kinds[i].name, e->len ? e->name : "");
		p += sizeof(*e) + e->len;
	}
	TEXT_IS(text, "create:f modify:f attrib:f closed:f from:f to:g attrib:g delete:g "
		      "create:e delete:e gone: ");
}

CHECK(name_to_handle)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} h;
	int id;

	put("f", "");
	h.head.handle_bytes = MAX_HANDLE_SZ;
	TRY(name_to_handle_at(AT_FDCWD, "f", &h.head, &id, 0));
}

CHECK(handle_opened)
{
	struct {
		struct file_handle head;
		unsigned char bytes[MAX_HANDLE_SZ];
	} h;
	int id, dirfd;

	dir("d", 0755);
	put("d/f", "text");
	h.head.handle_bytes = MAX_HANDLE_SZ;
	NEED(name_to_handle_at(AT_FDCWD, "d/f", &h.head, &id, 0));
	dirfd = opened(".", O_RDONLY | O_DIRECTORY);
	OK(rename("d/f", "g"));
	NEED(open_by_handle_at(dirfd, &h.head, O_RDWR));
	TEXT_IS(fd_content(open_by_handle_at(dirfd, &h.head, O_RDONLY), 0, 9), "text");
	OK(unlink("g"));
}
