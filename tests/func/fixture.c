/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "func.h"

struct fixture fx;

void func_start_daemon(const char *const *args)
{
	struct daemon_opts o = { .args = args };

	ok(daemon_start(&fx.d, &o));
}

void func_connect(const struct vmm_opts *opts)
{
	ok(vmm_start(&fx.v, fx.d.socket, opts));
	ok(guest_attach(&fx.g, &fx.v, 1, FUNC_DATA_MAX));
}

void func_init_session(void)
{
	ok(guest_init(&fx.g, GUEST_MINOR, GUEST_INIT_FLAGS, &fx.init));
}

int func_init_with(uint32_t minor, uint64_t flags)
{
	return guest_init(&fx.g, minor, flags, &fx.init);
}

void func_start_with(const char *const *args, const struct vmm_opts *opts)
{
	func_start_daemon(args);
	func_connect(opts);
	func_init_session();
}

void func_start(void)
{
	func_start_with(NULL, NULL);
}

void func_hang_up(void)
{
	guest_detach(&fx.g);
	vmm_stop(&fx.v);
}

void func_end(void)
{
	func_hang_up();

	int status = daemon_stop(&fx.d);

	ck_assert_msg(status == 0, "the daemon ended with %d", status);
}

const char *host_path(const char *name)
{
	static char path[4][PATH_MAX];
	static unsigned int turn;
	char *p = path[turn++ % 4];

	snprintf(p, PATH_MAX, "%s%s%s", fx.d.share, *name ? "/" : "", name);
	return p;
}

void host_write(const char *name, const void *data, size_t len)
{
	int fd = host(open(host_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));

	for (size_t at = 0; at < len;)
		at += host(write(fd, (const char *)data + at, len - at));
	close(fd);
}

void host_text(const char *name, const char *text)
{
	host_write(name, text, strlen(text));
}

char *host_read(const char *name, size_t *ret_len)
{
	int fd = host(open(host_path(name), O_RDONLY | O_CLOEXEC));
	struct stat st;

	host(fstat(fd, &st));

	char *buf = calloc(1, st.st_size + 1);
	ssize_t n = 0;

	for (off_t at = 0; at < st.st_size; at += n) {
		n = host(read(fd, buf + at, st.st_size - at));
		if (n == 0)
			break;
	}
	close(fd);
	if (ret_len)
		*ret_len = st.st_size;
	return buf;
}

struct stat host_stat(const char *name)
{
	struct stat st;

	host(lstat(host_path(name), &st));
	return st;
}

bool host_exists(const char *name)
{
	struct stat st;

	return lstat(host_path(name), &st) == 0;
}

void host_mount(const char *type, const char *name)
{
	func_need_root();
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(type, host_path(name), type, 0, NULL) < 0) {
		daemon_discard(&fx.d);
		func_skip("cannot mount a file system here");
	}
}

void func_pattern(void *buf, size_t n, unsigned int seed)
{
	uint8_t *p = buf;
	uint32_t x = seed * 2654435761u + 1;

	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = x >> 24;
	}
}

struct fuse_entry_out func_entry(const char *path)
{
	struct fuse_entry_out e;
	int r = guest_walk(&fx.g, path, &e);

	ck_assert_msg(r == 0, "lookup of %s: %s", path, strerror(-r));
	return e;
}

uint64_t func_node(const char *path)
{
	return func_entry(path).nodeid;
}

uint64_t func_open(uint64_t node, uint32_t flags)
{
	struct fuse_open_out o;

	ok(guest_open(&fx.g, node, flags, &o));
	return o.fh;
}

bool func_has_places(void)
{
	static const uint32_t known[] = { EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,
					  TMPFS_MAGIC, F2FS_SUPER_MAGIC };
	struct statfs sfs;
	struct statx stx;

	host(statfs(host_path(""), &sfs));
	host(statx(AT_FDCWD, host_path(""), 0, STATX_BTIME, &stx));
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i] == (uint32_t)sfs.f_type)
			return stx.stx_mask & STATX_BTIME;
	return false;
}

struct fuse_attr func_attr(uint64_t node)
{
	struct fuse_attr_out a;

	ok(guest_getattr(&fx.g, node, GUEST_NO_FH, &a));
	return a.attr;
}

void func_attr_is(const struct fuse_attr *a, const struct stat *st)
{
	ck_assert_uint_eq(a->ino, st->st_ino);
	ck_assert_uint_eq(a->size, st->st_size);
	ck_assert_uint_eq(a->blocks, st->st_blocks);
	ck_assert_uint_eq(a->mode, st->st_mode);
	ck_assert_uint_eq(a->nlink, st->st_nlink);
	ck_assert_uint_eq(a->uid, st->st_uid);
	ck_assert_uint_eq(a->gid, st->st_gid);
	ck_assert_uint_eq(a->blksize, st->st_blksize);
	ck_assert_int_eq((int64_t)a->atime, st->st_atim.tv_sec);
	ck_assert_int_eq((int64_t)a->mtime, st->st_mtim.tv_sec);
	ck_assert_int_eq((int64_t)a->ctime, st->st_ctim.tv_sec);
	ck_assert_uint_eq(a->atimensec, st->st_atim.tv_nsec);
	ck_assert_uint_eq(a->mtimensec, st->st_mtim.tv_nsec);
	ck_assert_uint_eq(a->ctimensec, st->st_ctim.tv_nsec);
}

void host_is(const char *name, const void *bytes, size_t len)
{
	size_t got;
	char *now = host_read(name, &got);

	ck_assert_uint_eq(got, len);
	ck_assert_mem_eq(now, bytes, len);
	free(now);
}
