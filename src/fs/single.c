/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/single.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "fs/attr.h"
#include "fs/dirent.h"
#include "fs/lookup.h"
#include "fs/name.h"
#include "fs/op.h"

/* No regular file has this number: where it is in use it is a root's. */
#define DIR_INO 1U
#define ENTRIES 3U

struct single {
	int fd; /* the file: O_PATH */
	uint64_t ino;
	const char *name;
	struct statx dir; /* the directory's attributes */
};

/* The file's owner, everybody's to read, and as old as the share. */
static void fill_dir(struct statx *dir, const struct statx *file)
{
	struct timespec now;
	struct statx_timestamp t;

	clock_gettime(CLOCK_REALTIME, &now);
	t = (struct statx_timestamp){ .tv_sec = now.tv_sec,
				      .tv_nsec = (uint32_t)now.tv_nsec };
	*dir = (struct statx){
		.stx_mask = STATX_BASIC_STATS | STATX_BTIME,
		.stx_blksize = file->stx_blksize,
		.stx_nlink = 2,
		.stx_uid = file->stx_uid,
		.stx_gid = file->stx_gid,
		.stx_mode = S_IFDIR | 0555,
		.stx_ino = DIR_INO,
		.stx_atime = t,
		.stx_btime = t,
		.stx_ctime = t,
		.stx_mtime = t,
		.stx_dev_major = file->stx_dev_major,
		.stx_dev_minor = file->stx_dev_minor,
	};
}

int single_init(struct fs *fs, const char *path, int *root_fd)
{
	const char *slash;
	struct statx stx;
	int fd, r = attr_get(*root_fd, &stx);

	if (r < 0 || S_ISDIR(stx.stx_mode))
		return r;
	fd = fd_eventfd(0, 0);
	if (fd < 0)
		return fd;
	fs->single = calloc(1, sizeof(*fs->single));
	if (!fs->single) {
		(void)fd_close(&fd);
		return -ENOMEM;
	}
	slash = strrchr(path, '/');
	fs->single->name = slash ? slash + 1 : path;
	fs->single->ino = stx.stx_ino;
	fill_dir(&fs->single->dir, &stx);
	fs->single->fd = fd_take(root_fd);
	*root_fd = fd;
	return 0;
}

void single_destroy(struct fs *fs)
{
	if (!fs->single)
		return;
	(void)fd_close(&fs->single->fd);
	free(fs->single);
	fs->single = NULL;
}

int single_lookup(struct fs *fs, const struct node_pin *dir, const char *name,
		  struct tally *tally, struct fuse_entry_out *ret)
{
	int fd;

	if (name_is_dot(name) || name_is_dotdot(name)) {
		attr_fill_entry(fs, &fs->single->dir, NODE_ROOT_ID, ret);
		return 0;
	}
	if (strcmp(name, fs->single->name) != 0)
		return -ENOENT;
	fd = fd_dup(fs->single->fd);
	return fd < 0 ? fd : lookup_fd(fs, dir, &fd, tally, ret);
}

static size_t entry_size(const char *name)
{
	size_t size = offsetof(struct linux_dirent64, d_name) +
		      strlen(name) + 1;

	return (size + 7) / 8 * 8;
}

long single_entries(const struct fs *fs, uint64_t cookie, void *buf, size_t size)
{
	const struct {
		const char *name;
		uint64_t ino;
		uint8_t type;
	} entries[ENTRIES] = {
		{ ".", DIR_INO, DT_DIR },
		{ "..", DIR_INO, DT_DIR },
		{ fs->single->name, fs->single->ino, DT_REG },
	};
	size_t at = 0;

	for (uint64_t i = cookie; i < ENTRIES; i++) {
		struct linux_dirent64 *d = (void *)((char *)buf + at);
		size_t n = entry_size(entries[i].name);

		if (n > size - at)
			break;
		d->d_ino = entries[i].ino;
		d->d_off = (int64_t)i + 1;
		d->d_reclen = (uint16_t)n;
		d->d_type = entries[i].type;
		strcpy(d->d_name, entries[i].name);
		at += n;
	}
	return (long)at;
}

static int reply_attr(struct fs *fs, struct request *rq)
{
	struct fuse_attr_out out;

	attr_fill_out(fs, &fs->single->dir, &out);
	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

static int reply_statx(struct fs *fs, struct request *rq)
{
	struct wire_fuse_statx_out out;

	attr_fill_statx(fs, &fs->single->dir, &out);
	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

static int reply_opendir(struct fs *fs, struct request *rq)
{
	struct fuse_open_out out = { .open_flags = fs->cache.opendir_flags };
	_cleanup_close_ int fd = fd_dup(rq->node.fd);
	int r;

	if (reply_room(rq) < sizeof(out))
		return -ERANGE;
	if (fd < 0)
		return fd;
	r = handle_open(&fs->handles, HANDLE_DIR, &fd, &out.fh);
	if (r == 0)
		reply_put(rq, &out, sizeof(out));
	return r;
}

/* syscalls: syncfs */
static int sync_file_system(const struct fs *fs)
{
	_cleanup_close_ int fd = -1;
	int r = fd_open_for_guest(AT_FDCWD, fd_name(fs->single->fd).s, O_RDONLY,
				  0);

	if (r < 0)
		return r;
	fd = r;
	return syncfs(fd) < 0 ? -errno : 0;
}

/* It has none; where a guest goes by ACLs, it takes nothing else for that. */
static int reply_no_xattrs(struct fs *fs, struct request *rq)
{
	struct fuse_getxattr_out out = { 0 };

	if (!fs->xattr)
		return -ENOSYS;
	if (rq->h.opcode == FUSE_GETXATTR)
		return -ENODATA;
	if (rq->arg.getxattr.size)
		return 0;
	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

int single_serve(struct fs *fs, struct request *rq)
{
	switch (rq->h.opcode) {
	case FUSE_LOOKUP:
		return op_lookup(fs, rq);
	case FUSE_GETATTR:
		return reply_attr(fs, rq);
	case WIRE_FUSE_STATX:
		return reply_statx(fs, rq);
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		return reply_no_xattrs(fs, rq);
	case FUSE_OPEN:
		return -EISDIR;
	case FUSE_OPENDIR:
		return reply_opendir(fs, rq);
	case FUSE_READDIR:
		return op_readdir(fs, rq);
	case FUSE_READDIRPLUS:
		return op_readdirplus(fs, rq);
	case FUSE_STATFS:
		return attr_reply_statfs(rq, fs->single->fd);
	case FUSE_SYNCFS:
		return sync_file_system(fs);
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
		return 0;
	default:
		return -EINVAL;
	}
}
