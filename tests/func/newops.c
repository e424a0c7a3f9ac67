/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that came late to the protocol: TMPFILE STATX SYNCFS IOCTL COPY_FILE_RANGE_64, and
 * the flags of RENAME2. Results are compared with the host's own calls.
 */
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID

static char buf[65536], value[65536];

/* --- TMPFILE --- */

START_TEST(tmpfile_is_a_file_without_a_name)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_start();
	host(mkdir(host_path("d"), 0755));

	uint64_t d = func_node("d");

	ok(guest_tmpfile(&fx.g, d, O_RDWR, 0640, 0, &e, &o));
	ck_assert_uint_eq(e.attr.mode, S_IFREG | 0640);
	ck_assert_uint_eq(e.attr.nlink, 0);
	ck_assert_uint_eq(e.attr.size, 0);
	ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, o.fh, "hello", 5, 0)), 5);
	ck_assert_int_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, buf, 10, 0)), 5);
	ck_assert_uint_eq(func_attr(e.nodeid).size, 5);

	struct fuse_open_out dir;
	size_t at = 0;

	ok(guest_opendir(&fx.g, d, &dir));

	ssize_t len = ok(guest_readdir(&fx.g, d, dir.fh, 0, buf, 4096));
	const struct fuse_dirent *de;

	while ((de = guest_dirent(buf, len, &at)))
		ck_assert_msg(de->name[0] == '.' && de->namelen <= 2, "there is %.*s",
			      de->namelen, de->name);

	/* LINK makes a file like any other of it */
	struct fuse_entry_out linked;

	ok(guest_link(&fx.g, e.nodeid, ROOT, "named", &linked));
	ck_assert_uint_eq(linked.nodeid, e.nodeid);
	ck_assert_uint_eq(linked.attr.nlink, 1);
	host_is("named", "hello", 5);
	ck_assert_uint_eq(host_stat("named").st_mode, S_IFREG | 0640);
	ok(guest_link(&fx.g, e.nodeid, d, "twice", &linked));
	ck_assert_uint_eq(host_stat("named").st_nlink, 2);
	func_end();
}
END_TEST

START_TEST(tmpfile_with_excl_never_gets_a_name)
{
	struct fuse_entry_out e, linked;
	struct fuse_open_out o;
	char proc[40];

	func_start();
	ok(guest_tmpfile(&fx.g, ROOT, O_RDWR | O_EXCL, 0600, 0, &e, &o));

	int t = host(open(fx.d.share, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600));

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", t);
	ck_assert_int_eq(linkat(AT_FDCWD, proc, AT_FDCWD, host_path("n"), AT_SYMLINK_FOLLOW), -1);
	fails(guest_link(&fx.g, e.nodeid, ROOT, "n", &linked), errno);
	ck_assert(!host_exists("n"));
	close(t);
	func_end();
}
END_TEST

START_TEST(tmpfile_belongs_to_the_caller)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_need_root();
	func_start();
	fx.g.uid = 1234;
	fx.g.gid = 4321;
	ok(guest_tmpfile(&fx.g, ROOT, O_WRONLY, 0, 0, &e, &o));
	ck_assert_uint_eq(e.attr.uid, 1234);
	ck_assert_uint_eq(e.attr.gid, 4321);
	ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, o.fh, "x", 1, 0)), 1);
	func_end();
}
END_TEST

START_TEST(tmpfile_where_it_cannot_be)
{
	struct daemon_opts o = { 0 };
	struct fuse_entry_out e;
	struct fuse_open_out out;

	ok(daemon_prepare(&fx.d));
	host_text("f", "x");
	host(mkdir(host_path("proc"), 0755));
	host_mount("proc", "proc");
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
	ck_assert_int_eq(open(host_path("proc"), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), -1);
	ck_assert_int_eq(errno, EOPNOTSUPP);
	fails(guest_tmpfile(&fx.g, func_node("proc"), O_RDWR, 0600, 0, &e, &out), EOPNOTSUPP);
	fails(guest_tmpfile(&fx.g, func_node("f"), O_RDWR, 0600, 0, &e, &out), ENOTDIR);
	fails(guest_tmpfile(&fx.g, 0x7777, O_RDWR, 0600, 0, &e, &out), EBADF);
	/* to be read only, it would be of no use */
	ck_assert_int_eq(open(fx.d.share, O_TMPFILE | O_RDONLY | O_CLOEXEC, 0600), -1);
	fails(guest_tmpfile(&fx.g, ROOT, O_RDONLY, 0600, 0, &e, &out), errno);
	func_end();
}
END_TEST

/* An overlay on top of the share could not use it. */
START_TEST(tmpfile_is_not_for_the_guests_kernel)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_start();
	fails(guest_kernel_tmpfile(&fx.g, ROOT, O_WRONLY, 0600, 0, &e, &o), EOPNOTSUPP);
	func_end();
}
END_TEST

START_TEST(tmpfile_is_gone_when_it_is_let_go)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	struct fuse_attr_out a;

	func_start();

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 50; i++) {
		ok(guest_tmpfile(&fx.g, ROOT, O_RDWR, 0600, 0, &e, &o));
		ok(guest_release(&fx.g, e.nodeid, o.fh));
		ok(guest_forget(&fx.g, e.nodeid, 1));
	}
	fails(guest_getattr(&fx.g, e.nodeid, GUEST_NO_FH, &a), EBADF);
	ck_assert_int_le(daemon_fds_settle(&fx.d, before, wait_scaled(2000)), before);
	func_end();
}
END_TEST

/* --- STATX --- */

static void same_time(const struct guest_sx_time *a, const struct statx_timestamp *b)
{
	ck_assert_int_eq(a->sec, b->tv_sec);
	ck_assert_uint_eq(a->nsec, b->tv_nsec);
	ck_assert_int_eq(a->reserved, 0);
}

static void statx_is_the_hosts(const char *name)
{
	struct guest_statx_out out;
	struct statx stx;

	memset(&out, 0x55, sizeof(out));
	ok(guest_statx(&fx.g, func_node(name), STATX_BASIC_STATS | STATX_BTIME, &out));
	host(statx(AT_FDCWD, host_path(name), AT_SYMLINK_NOFOLLOW,
		   STATX_BASIC_STATS | STATX_BTIME, &stx));

	const struct guest_statx *s = &out.stat;

	ck_assert_uint_eq(s->mask & (STATX_BASIC_STATS | STATX_BTIME),
			  stx.stx_mask & (STATX_BASIC_STATS | STATX_BTIME));
	ck_assert_uint_eq(s->blksize, stx.stx_blksize);
	ck_assert_uint_eq(s->attributes, stx.stx_attributes);
	ck_assert_uint_eq(s->attributes_mask, stx.stx_attributes_mask);
	ck_assert_uint_eq(s->nlink, stx.stx_nlink);
	ck_assert_uint_eq(s->uid, stx.stx_uid);
	ck_assert_uint_eq(s->gid, stx.stx_gid);
	ck_assert_uint_eq(s->mode, stx.stx_mode);
	ck_assert_uint_eq(s->ino, stx.stx_ino);
	ck_assert_uint_eq(s->size, stx.stx_size);
	ck_assert_uint_eq(s->blocks, stx.stx_blocks);
	ck_assert_uint_eq(s->rdev_major, stx.stx_rdev_major);
	ck_assert_uint_eq(s->rdev_minor, stx.stx_rdev_minor);
	same_time(&s->atime, &stx.stx_atime);
	same_time(&s->mtime, &stx.stx_mtime);
	same_time(&s->ctime, &stx.stx_ctime);
	if (stx.stx_mask & STATX_BTIME)
		same_time(&s->btime, &stx.stx_btime);
	ck_assert_uint_eq(s->spare0, 0);
	for (int i = 0; i < 14; i++)
		ck_assert_uint_eq(s->spare2[i], 0);
	ck_assert_uint_eq(out.spare[0] | out.spare[1], 0);
}

START_TEST(statx_is_that_of_the_host)
{
	func_start();
	host_text("f", "hello");
	host(chmod(host_path("f"), 04751));
	host(mkdir(host_path("d"), 01777));
	host(symlink("f", host_path("l")));
	host(mkfifo(host_path("p"), 0600));
	statx_is_the_hosts("f");
	statx_is_the_hosts("d");
	statx_is_the_hosts("l");
	statx_is_the_hosts("p");
	if (func_is_root()) {
		host(mknod(host_path("c"), S_IFCHR | 0600, makedev(259, 4097)));
		host(lchown(host_path("l"), 7, 8));
		statx_is_the_hosts("c");
		statx_is_the_hosts("l");
	}
	func_end();
}
END_TEST

START_TEST(statx_tells_the_birth_time)
{
	struct guest_statx_out out, later;
	struct statx stx;

	func_start();
	host_text("f", "hello");
	host(statx(AT_FDCWD, host_path("f"), 0, STATX_BTIME, &stx));
	if (!(stx.stx_mask & STATX_BTIME))
		func_skip("this file system keeps no birth times");

	uint64_t n = func_node("f");

	ok(guest_statx(&fx.g, n, STATX_BTIME, &out));
	ck_assert(out.stat.mask & STATX_BTIME);
	same_time(&out.stat.btime, &stx.stx_btime);
	wait_sleep_ms(20);
	ok(guest_chmod(&fx.g, n, 0600));
	ok(guest_statx(&fx.g, n, STATX_BASIC_STATS | STATX_BTIME, &later));
	ck_assert_mem_eq(&later.stat.btime, &out.stat.btime, sizeof(out.stat.btime));
	ck_assert_int_ne(memcmp(&later.stat.ctime, &out.stat.ctime, sizeof(out.stat.ctime)), 0);
	func_end();
}
END_TEST

START_TEST(statx_is_valid_as_long_as_attributes_are)
{
	struct guest_statx_out out;

	func_start_with((const char *[]){ "-o", "timeout=2.5", NULL }, NULL);
	ok(guest_statx(&fx.g, ROOT, STATX_BASIC_STATS, &out));
	ck_assert_uint_eq(out.attr_valid, 2);
	ck_assert_uint_eq(out.attr_valid_nsec, 500000000);
	fails(guest_statx(&fx.g, 0x7777, STATX_BASIC_STATS, &out), EBADF);
	func_end();
}
END_TEST

/* --- SYNCFS --- */

START_TEST(syncfs_of_the_share)
{
	func_start();
	host_text("f", "x");
	ok(guest_syncfs(&fx.g, ROOT));
	ok(guest_syncfs(&fx.g, func_node("f")));
	fails(guest_syncfs(&fx.g, 0x7777), EBADF);
	func_end();
}
END_TEST

/* --- IOCTL --- */

struct file {
	uint64_t node, fh;
	uint32_t flags;		/* of the request */
	int fd;			/* the same on the host */
};

static struct file open_both(const char *name, bool dir)
{
	struct file f = { .node = func_node(name), .flags = dir ? FUSE_IOCTL_DIR : 0 };

	if (dir) {
		struct fuse_open_out o;

		ok(guest_opendir(&fx.g, f.node, &o));
		f.fh = o.fh;
	} else {
		f.fh = func_open(f.node, O_RDONLY);
	}
	f.fd = host(open(host_path(name), O_RDONLY | O_CLOEXEC));
	return f;
}

static ssize_t get(const struct file *f, uint32_t cmd, void *out, uint32_t size)
{
	return guest_ioctl(&fx.g, f->node, f->fh, f->flags, cmd, NULL, 0, out, size);
}

static ssize_t set(const struct file *f, uint32_t cmd, const void *in, uint32_t size)
{
	return guest_ioctl(&fx.g, f->node, f->fh, f->flags, cmd, in, size, NULL, 0);
}

static void start_with_both(struct file *file, struct file *dir)
{
	int flags;

	func_start();
	ck_assert(fx.g.agreed & FUSE_HAS_IOCTL_DIR);
	host_text("f", "hello");
	host(mkdir(host_path("d"), 0755));
	*file = open_both("f", false);
	*dir = open_both("d", true);
	if (ioctl(file->fd, FS_IOC_GETFLAGS, &flags) < 0)
		func_skip("this file system has no such flags");
}

START_TEST(flags_are_read_and_changed)
{
	struct file f[2];

	func_need_root();
	start_with_both(&f[0], &f[1]);
	for (int i = 0; i < 2; i++) {
		int there, here = -1;

		host(ioctl(f[i].fd, FS_IOC_GETFLAGS, &there));
		ck_assert_int_eq(ok(get(&f[i], FS_IOC_GETFLAGS, &here, sizeof(here))), 4);
		ck_assert_int_eq(here, there);

		int want = there | FS_NODUMP_FL | FS_NOATIME_FL;

		ck_assert_int_eq(ok(set(&f[i], FS_IOC_SETFLAGS, &want, sizeof(want))), 0);
		host(ioctl(f[i].fd, FS_IOC_GETFLAGS, &there));
		ck_assert_int_eq(there, want);
		/* what the host refuses */
		want = 0x40000000;

		int err = ioctl(f[i].fd, FS_IOC_SETFLAGS, &want) ? errno : 0;

		ck_assert_int_eq(set(&f[i], FS_IOC_SETFLAGS, &want, sizeof(want)), -err);
		close(f[i].fd);
	}
	func_end();
}
END_TEST

START_TEST(immutable_files_are_immutable)
{
	struct file f, d;
	int flags, was;
	struct fuse_open_out o;

	func_need_cap("linux_immutable");
	start_with_both(&f, &d);
	host(ioctl(f.fd, FS_IOC_GETFLAGS, &was));
	flags = was | FS_IMMUTABLE_FL;

	ssize_t r = set(&f, FS_IOC_SETFLAGS, &flags, sizeof(flags));
	int err = ioctl(f.fd, FS_IOC_SETFLAGS, &flags) ? errno : 0;
	int opened = guest_open(&fx.g, f.node, O_RDWR, &o);

	/* undone before anything can fail: nobody could remove it */
	(void)ioctl(f.fd, FS_IOC_SETFLAGS, &was);
	ck_assert_int_eq(r, -err);
	if (!err)
		ck_assert_int_eq(opened, -EPERM);
	flags = was | FS_APPEND_FL;
	ok(set(&f, FS_IOC_SETFLAGS, &flags, sizeof(flags)));
	opened = guest_open(&fx.g, f.node, O_RDWR, &o);
	(void)ioctl(f.fd, FS_IOC_SETFLAGS, &was);
	ck_assert_int_eq(opened, -EPERM);
	close(f.fd);
	close(d.fd);
	func_end();
}
END_TEST

/* They can only be opened to append on the host too. */
START_TEST(append_only_files_can_be_appended_to)
{
	struct file f, d;
	int flags, was, r;
	ssize_t n = 0;
	struct fuse_open_out o;

	func_need_root();
	start_with_both(&f, &d);
	host(ioctl(f.fd, FS_IOC_GETFLAGS, &was));
	flags = was | FS_APPEND_FL;
	host(ioctl(f.fd, FS_IOC_SETFLAGS, &flags));

	int there = open(host_path("f"), O_WRONLY | O_APPEND | O_CLOEXEC);

	r = guest_open(&fx.g, f.node, O_WRONLY | O_APPEND, &o);
	fx.g.file_flags = O_WRONLY | O_APPEND;
	if (r == 0)
		n = guest_write(&fx.g, f.node, o.fh, "!", 1, 0);
	(void)ioctl(f.fd, FS_IOC_SETFLAGS, &was);
	ck_assert_int_ge(there, 0);
	close(there);
	ck_assert_msg(r == 0, "open: %s", strerror(-r));
	ck_assert_msg(n == 1, "write: %s", strerror((int)-n));
	host_is("f", "hello!", 6);
	close(f.fd);
	close(d.fd);
	func_end();
}
END_TEST

START_TEST(extended_flags_are_read_and_changed)
{
	struct file f[2];

	func_need_root();
	start_with_both(&f[0], &f[1]);
	for (int i = 0; i < 2; i++) {
		struct fsxattr there, here;

		if (ioctl(f[i].fd, FS_IOC_FSGETXATTR, &there) < 0)
			func_skip("this file system has no FSGETXATTR");
		memset(&here, 0x55, sizeof(here));
		ck_assert_int_eq(ok(get(&f[i], FS_IOC_FSGETXATTR, &here, sizeof(here))),
				 sizeof(here));
		ck_assert_mem_eq(&here, &there, sizeof(here));
		here.fsx_xflags |= FS_XFLAG_NODUMP;
		ck_assert_int_eq(ok(set(&f[i], FS_IOC_FSSETXATTR, &here, sizeof(here))), 0);
		host(ioctl(f[i].fd, FS_IOC_FSGETXATTR, &there));
		ck_assert_mem_eq(&here, &there, sizeof(here));
		here.fsx_projid = 77;

		int err = ioctl(f[i].fd, FS_IOC_FSSETXATTR, &here) ? errno : 0;

		ck_assert_int_eq(set(&f[i], FS_IOC_FSSETXATTR, &here, sizeof(here)), -err);
		close(f[i].fd);
	}
	func_end();
}
END_TEST

START_TEST(other_commands_are_unknown)
{
	static const uint32_t cmds[] = {
		0, FIONREAD, FIBMAP, FICLONE, FICLONERANGE, FIDEDUPERANGE, FS_IOC_FIEMAP,
		FS_IOC_GETVERSION, FS_IOC_SETVERSION, FIFREEZE, FITHAW, FITRIM, FIONBIO, FIOASYNC,
		TCGETS, BLKGETSIZE64, FS_IOC32_GETFLAGS, UINT32_MAX,
	};
	struct file f, d;

	start_with_both(&f, &d);
	for (size_t i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		fails(guest_ioctl(&fx.g, f.node, f.fh, 0, cmds[i], buf, 64, value, 64), ENOTTY);
		fails(guest_ioctl(&fx.g, d.node, d.fh, FUSE_IOCTL_DIR, cmds[i], buf, 64, value,
				  64), ENOTTY);
	}
	close(f.fd);
	close(d.fd);
	func_end();
}
END_TEST

START_TEST(wrong_sizes_change_nothing)
{
	static const uint32_t sizes[] = { 0, 1, 3, 5, 8, 27, 29, 4096 };
	struct file f, d;
	int before, after, flags = FS_NODUMP_FL;

	start_with_both(&f, &d);
	host(ioctl(f.fd, FS_IOC_GETFLAGS, &before));
	memset(buf, 0, sizeof(buf));
	memcpy(buf, &flags, sizeof(flags));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fails(set(&f, FS_IOC_SETFLAGS, buf, sizes[i]), EINVAL);
		fails(set(&f, FS_IOC_FSSETXATTR, buf, sizes[i]), EINVAL);
	}
	fails(get(&f, FS_IOC_GETFLAGS, buf, 3), EINVAL);
	fails(get(&f, FS_IOC_GETFLAGS, buf, 0), EINVAL);
	fails(get(&f, FS_IOC_FSGETXATTR, buf, sizeof(struct fsxattr) - 1), EINVAL);

	/* it says four bytes and sends none, or has room for none */
	struct call *c = guest_begin(&fx.g, FUSE_IOCTL, f.node);
	struct fuse_ioctl_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_ioctl_in){ .fh = f.fh, .cmd = FS_IOC_SETFLAGS, .in_size = 4 };
	call_room(c, sizeof(struct fuse_ioctl_out));
	fails(guest_call(&fx.g), EINVAL);
	c = guest_begin(&fx.g, FUSE_IOCTL, f.node);
	in = call_arg(c, sizeof(*in));
	*in = (struct fuse_ioctl_in){ .fh = f.fh, .cmd = FS_IOC_GETFLAGS, .out_size = 4 };
	call_room(c, sizeof(struct fuse_ioctl_out));
	fails(guest_call(&fx.g), ERANGE);
	host(ioctl(f.fd, FS_IOC_GETFLAGS, &after));
	ck_assert_int_eq(before, after);
	close(f.fd);
	close(d.fd);
	func_end();
}
END_TEST

START_TEST(ioctl_wants_a_handle_of_the_right_kind)
{
	struct file f, d;
	int flags;

	start_with_both(&f, &d);
	f.flags = FUSE_IOCTL_DIR;
	fails(get(&f, FS_IOC_GETFLAGS, &flags, 4), EBADF);
	d.flags = 0;
	fails(get(&d, FS_IOC_GETFLAGS, &flags, 4), EBADF);
	f.flags = 0;
	f.fh = 0x7777;
	fails(get(&f, FS_IOC_GETFLAGS, &flags, 4), EBADF);
	close(f.fd);
	close(d.fd);
	func_end();
}
END_TEST

/* --- fs-verity --- */

static void verity_request(struct fsverity_enable_arg *arg)
{
	*arg = (struct fsverity_enable_arg){ .version = 1, .hash_algorithm = 1,
					     .block_size = 4096 };
}

/* Ends the test unless the host's file can be sealed; the guest's is to be sealed alike. */
static void need_verity(void)
{
	struct fsverity_enable_arg arg;

	host_text("v", "hello");

	int fd = host(open(host_path("v"), O_RDONLY | O_CLOEXEC));

	verity_request(&arg);

	int r = ioctl(fd, FS_IOC_ENABLE_VERITY, &arg);

	close(fd);
	if (r < 0)
		func_skip("no fs-verity on this file system");
}

START_TEST(verity_is_enabled_and_measured)
{
	struct fsverity_enable_arg arg;
	struct file f;
	struct { struct fsverity_digest h; uint8_t d[64]; } here = { 0 }, there = { 0 };

	func_start();
	need_verity();
	host_text("f", "hello");
	f = open_both("f", false);
	here.h.digest_size = there.h.digest_size = 64;
	fails(guest_ioctl(&fx.g, f.node, f.fh, 0, FS_IOC_MEASURE_VERITY, &here, sizeof(here),
			  &here, sizeof(here)), ENODATA);
	verity_request(&arg);
	memcpy(buf, &arg, sizeof(arg));
	ok(set(&f, FS_IOC_ENABLE_VERITY, buf, sizeof(arg)));
	fails(set(&f, FS_IOC_ENABLE_VERITY, buf, sizeof(arg)), EEXIST);

	int fd = host(open(host_path("v"), O_RDONLY | O_CLOEXEC));

	host(ioctl(fd, FS_IOC_MEASURE_VERITY, &there));
	ck_assert_int_eq(ok(guest_ioctl(&fx.g, f.node, f.fh, 0, FS_IOC_MEASURE_VERITY, &here,
					sizeof(here), &here, sizeof(here))), 4 + 32);
	ck_assert_mem_eq(&here, &there, 4 + 32);
	here.h.digest_size = 31;
	fails(guest_ioctl(&fx.g, f.node, f.fh, 0, FS_IOC_MEASURE_VERITY, &here, 4 + 31, &here,
			  4 + 31), EOVERFLOW);
	close(fd);
	close(f.fd);
	func_end();
}
END_TEST

/* With or without fs-verity there: what is refused before the file system is asked. */
START_TEST(verity_requests_that_lie_are_refused)
{
	struct fsverity_enable_arg arg;
	struct file f, d;

	start_with_both(&f, &d);
	verity_request(&arg);
	memset(buf, 0, sizeof(buf));
	memcpy(buf, &arg, sizeof(arg));
	fails(set(&f, FS_IOC_ENABLE_VERITY, buf, sizeof(arg) - 1), EINVAL);
	fails(set(&f, FS_IOC_ENABLE_VERITY, buf, 0), EINVAL);
	arg.salt_size = 33;
	memcpy(buf, &arg, sizeof(arg));
	fails(set(&f, FS_IOC_ENABLE_VERITY, buf, sizeof(arg) + 33), EINVAL);
	arg.salt_size = 32;
	memcpy(buf, &arg, sizeof(arg));
	fails(set(&f, FS_IOC_ENABLE_VERITY, buf, sizeof(arg) + 31), EINVAL);
	arg.salt_size = 0;
	arg.sig_size = UINT32_MAX;
	memcpy(buf, &arg, sizeof(arg));
	fails(set(&f, FS_IOC_ENABLE_VERITY, buf, sizeof(arg) + 100), EINVAL);
	/* the guest's pointers are never the host's */
	arg.sig_size = 0;
	arg.salt_size = 16;
	arg.salt_ptr = 0x1000;
	memcpy(buf, &arg, sizeof(arg));

	ssize_t r = set(&f, FS_IOC_ENABLE_VERITY, buf, sizeof(arg) + 16);

	ck_assert_msg(r == 0 || r == -EOPNOTSUPP || r == -ENOTTY, "%s", strerror(-(int)r));
	fails(guest_ioctl(&fx.g, f.node, f.fh, 0, FS_IOC_MEASURE_VERITY, buf, 3, buf, 64), EINVAL);
	close(f.fd);
	close(d.fd);
	func_end();
}
END_TEST

/* --- COPY_FILE_RANGE_64 --- */

START_TEST(copy_with_a_count_of_64_bits)
{
	func_start();
	func_pattern(value, 50000, 1);
	host_write("a", value, 50000);
	host_text("b", "");

	uint64_t a = func_node("a"), b = func_node("b");
	uint64_t fa = func_open(a, O_RDONLY), fb = func_open(b, O_RDWR);

	ck_assert_int_eq(ok(guest_copy_file_range_64(&fx.g, a, fa, 0, b, fb, 0, 50000)), 50000);
	host_is("b", value, 50000);
	ck_assert_int_eq(ok(guest_copy_file_range_64(&fx.g, a, fa, 49000, b, fb, 0, 5000)), 1000);
	ck_assert_int_eq(ok(guest_copy_file_range_64(&fx.g, a, fa, 50000, b, fb, 0, 5000)), 0);
	ck_assert_int_eq(ok(guest_copy_file_range_64(&fx.g, a, fa, 0, b, fb, 0, 1ull << 40)),
			 50000);
	fails(guest_copy_file_range_64(&fx.g, a, fa, 0, b, 0x7777, 0, 1), EBADF);
	fails(guest_copy_file_range_64(&fx.g, a, 0x7777, 0, b, fb, 0, 1), EBADF);
	fails(guest_copy_file_range_64(&fx.g, a, fa, 0, a, fa, 0, 1), EBADF);
	fails(guest_copy_file_range_64(&fx.g, b, fb, 0, b, fb, 100, 1000), EINVAL);
	ck_assert_int_lt(guest_copy_file_range_64(&fx.g, a, fa, 1ull << 63, b, fb, 0, 1), 0);
	func_end();
}
END_TEST

START_TEST(copy_of_more_than_a_count_of_32_bits_can_tell)
{
	const uint64_t size = 5ull << 30;	/* a hole */

	func_start();
	host_text("a", "");
	host_text("b", "");
	host(truncate(host_path("a"), size));

	uint64_t a = func_node("a"), b = func_node("b"), done = 0;
	uint64_t fa = func_open(a, O_RDONLY), fb = func_open(b, O_RDWR);

	/* a piece of it, told right */
	done = ok(guest_copy_file_range_64(&fx.g, a, fa, size - 8192, b, fb, size - 8192,
					   1ull << 33));
	ck_assert_uint_eq(done, 8192);
	ck_assert_int_eq(host_stat("b").st_size, (off_t)size);
	func_end();
}
END_TEST

/* --- RENAME2 --- */

START_TEST(rename_without_replacing)
{
	func_start();
	host_text("a", "a");
	host_text("b", "b");
	fails(guest_rename2(&fx.g, ROOT, "a", ROOT, "b", RENAME_NOREPLACE), EEXIST);
	host_is("a", "a", 1);
	host_is("b", "b", 1);
	ok(guest_rename2(&fx.g, ROOT, "a", ROOT, "c", RENAME_NOREPLACE));
	host_is("c", "a", 1);
	ck_assert(!host_exists("a"));
	fails(guest_rename2(&fx.g, ROOT, "a", ROOT, "d", RENAME_NOREPLACE), ENOENT);
	func_end();
}
END_TEST

START_TEST(rename_exchanges)
{
	func_start();
	host_text("a", "a");
	host(mkdir(host_path("d"), 0755));
	host_text("d/x", "x");

	uint64_t a = func_node("a"), d = func_node("d");

	ok(guest_rename2(&fx.g, ROOT, "a", ROOT, "d", RENAME_EXCHANGE));
	host_is("d", "a", 1);
	host_is("a/x", "x", 1);
	/* the nodes are the same files under their new names */
	ck_assert_uint_eq(func_node("d"), a);
	ck_assert_uint_eq(func_node("a"), d);
	fails(guest_rename2(&fx.g, ROOT, "a", ROOT, "none", RENAME_EXCHANGE), ENOENT);
	fails(guest_rename2(&fx.g, ROOT, "a", ROOT, "d", RENAME_EXCHANGE | RENAME_NOREPLACE),
	      EINVAL);
	fails(guest_rename2(&fx.g, ROOT, "a", ROOT, "d", 1u << 20), EINVAL);
	fails(guest_rename2(&fx.g, ROOT, "a", ROOT, "..", RENAME_EXCHANGE), EINVAL);
	func_end();
}
END_TEST

START_TEST(rename_leaves_a_whiteout)
{
	func_need_root();
	func_start();
	host_text("a", "a");
	host_text("h", "h");
	if (syscall(SYS_renameat2, AT_FDCWD, host_path("h"), AT_FDCWD, host_path("i"),
		    RENAME_WHITEOUT) < 0)
		func_skip("no whiteouts on this file system");
	ok(guest_rename2(&fx.g, ROOT, "a", ROOT, "b", RENAME_WHITEOUT));
	host_is("b", "a", 1);
	ck_assert_uint_eq(host_stat("a").st_mode, host_stat("h").st_mode);
	ck_assert(S_ISCHR(host_stat("a").st_mode));
	ck_assert_uint_eq(host_stat("a").st_rdev, 0);
	ck_assert_uint_eq(func_entry("a").attr.mode & S_IFMT, S_IFCHR);
	fx.g.uid = 1234;
	fx.g.gid = 5678;
	ok(guest_rename2(&fx.g, ROOT, "b", ROOT, "c", RENAME_WHITEOUT));
	ck_assert_uint_eq(host_stat("b").st_uid, 1234);
	ck_assert_uint_eq(host_stat("b").st_gid, 5678);
	ck_assert_uint_eq(host_stat("c").st_uid, 0);
	host(unlink(host_path("b")));
	host(rename(host_path("c"), host_path("b")));
	fails(guest_rename2(&fx.g, ROOT, "b", ROOT, "i", RENAME_WHITEOUT | RENAME_NOREPLACE),
	      EEXIST);
	fails(guest_rename2(&fx.g, ROOT, "b", ROOT, "i", RENAME_WHITEOUT | RENAME_EXCHANGE),
	      EINVAL);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("newops", argc, argv);
	func_test(tmpfile_is_a_file_without_a_name);
	func_test(tmpfile_with_excl_never_gets_a_name);
	func_test(tmpfile_belongs_to_the_caller);
	func_test(tmpfile_where_it_cannot_be);
	func_test(tmpfile_is_not_for_the_guests_kernel);
	func_test(tmpfile_is_gone_when_it_is_let_go);
	func_test(statx_is_that_of_the_host);
	func_test(statx_tells_the_birth_time);
	func_test(statx_is_valid_as_long_as_attributes_are);
	func_test(syncfs_of_the_share);
	func_test(flags_are_read_and_changed);
	func_test(immutable_files_are_immutable);
	func_test(append_only_files_can_be_appended_to);
	func_test(extended_flags_are_read_and_changed);
	func_test(other_commands_are_unknown);
	func_test(wrong_sizes_change_nothing);
	func_test(ioctl_wants_a_handle_of_the_right_kind);
	func_test(verity_is_enabled_and_measured);
	func_test(verity_requests_that_lie_are_refused);
	func_test(copy_with_a_count_of_64_bits);
	func_test(copy_of_more_than_a_count_of_32_bits_can_tell);
	func_test(rename_without_replacing);
	func_test(rename_exchanges);
	func_test(rename_leaves_a_whiteout);
	return func_done();
}
