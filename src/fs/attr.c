/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

/* syscalls: statx */
int attr_get(int fd, struct statx *ret)
{
	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
		  ATTR_MASK, ret) < 0)
		return -errno;
	return 0;
}

/* The kernel's 32-bit encoding of a device number (new_encode_dev()). */
static uint32_t encode_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xffU) | (major << 8) | ((minor & ~0xffU) << 12);
}

void attr_fill(const struct fs *fs, const struct statx *stx,
	       struct fuse_attr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->ino = stx->stx_ino;
	ret->size = stx->stx_size;
	ret->blocks = stx->stx_blocks;
	ret->atime = (uint64_t)stx->stx_atime.tv_sec;
	ret->mtime = (uint64_t)stx->stx_mtime.tv_sec;
	ret->ctime = (uint64_t)stx->stx_ctime.tv_sec;
	ret->atimensec = stx->stx_atime.tv_nsec;
	ret->mtimensec = stx->stx_mtime.tv_nsec;
	ret->ctimensec = stx->stx_ctime.tv_nsec;
	ret->mode = stx->stx_mode;
	ret->nlink = stx->stx_nlink;
	ret->uid = idmap_to_guest(&fs->uids, stx->stx_uid);
	ret->gid = idmap_to_guest(&fs->gids, stx->stx_gid);
	ret->rdev = encode_dev(stx->stx_rdev_major, stx->stx_rdev_minor);
	ret->blksize = stx->stx_blksize;
}

/*
 * How long the guest may go by them. Where set-id bits fall on the host, at a
 * write for instance, no reply tells the guest, and it would go on to run the
 * file with them: of such a file it has to ask each time.
 */
static void set_valid(const struct fs *fs, const struct statx *stx,
		      uint64_t *ret_sec, uint32_t *ret_nsec)
{
	bool set_id = S_ISREG(stx->stx_mode) &&
		      stx->stx_mode & (S_ISUID | S_ISGID);
	bool keep = !(fs->killpriv_v2 && set_id);

	*ret_sec = keep ? fs->cache.attr.sec : 0;
	*ret_nsec = keep ? fs->cache.attr.nsec : 0;
}

void attr_fill_entry(const struct fs *fs, const struct statx *stx,
		     uint64_t nodeid, struct fuse_entry_out *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->nodeid = nodeid;
	ret->entry_valid = fs->cache.entry.sec;
	ret->entry_valid_nsec = fs->cache.entry.nsec;
	set_valid(fs, stx, &ret->attr_valid, &ret->attr_valid_nsec);
	attr_fill(fs, stx, &ret->attr);
}

void attr_fill_out(const struct fs *fs, const struct statx *stx,
		   struct fuse_attr_out *ret)
{
	memset(ret, 0, sizeof(*ret));
	set_valid(fs, stx, &ret->attr_valid, &ret->attr_valid_nsec);
	attr_fill(fs, stx, &ret->attr);
}

static struct wire_fuse_sx_time sx_time(const struct statx_timestamp *t)
{
	return (struct wire_fuse_sx_time){ .tv_sec = t->tv_sec,
					   .tv_nsec = t->tv_nsec };
}

static void statx_fill(const struct fs *fs, const struct statx *stx,
		       struct wire_fuse_statx *ret)
{
	ret->mask = stx->stx_mask & (STATX_BASIC_STATS | STATX_BTIME);
	ret->blksize = stx->stx_blksize;
	ret->attributes = stx->stx_attributes;
	ret->attributes_mask = stx->stx_attributes_mask;
	ret->nlink = stx->stx_nlink;
	ret->uid = idmap_to_guest(&fs->uids, stx->stx_uid);
	ret->gid = idmap_to_guest(&fs->gids, stx->stx_gid);
	ret->mode = stx->stx_mode;
	ret->ino = stx->stx_ino;
	ret->size = stx->stx_size;
	ret->blocks = stx->stx_blocks;
	ret->atime = sx_time(&stx->stx_atime);
	ret->btime = sx_time(&stx->stx_btime);
	ret->ctime = sx_time(&stx->stx_ctime);
	ret->mtime = sx_time(&stx->stx_mtime);
	ret->rdev_major = stx->stx_rdev_major;
	ret->rdev_minor = stx->stx_rdev_minor;
	ret->dev_major = stx->stx_dev_major;
	ret->dev_minor = stx->stx_dev_minor;
}

void attr_fill_statx(const struct fs *fs, const struct statx *stx,
		     struct wire_fuse_statx_out *ret)
{
	memset(ret, 0, sizeof(*ret));
	set_valid(fs, stx, &ret->attr_valid, &ret->attr_valid_nsec);
	statx_fill(fs, stx, &ret->stat);
}

/* syscalls: fstatfs */
int attr_reply_statfs(struct request *rq, int fd)
{
	struct fuse_statfs_out out;
	struct statvfs sv;

	if (fstatvfs(fd, &sv) < 0)
		return -errno;
	memset(&out, 0, sizeof(out));
	out.st.blocks = sv.f_blocks;
	out.st.bfree = sv.f_bfree;
	out.st.bavail = sv.f_bavail;
	out.st.files = sv.f_files;
	out.st.ffree = sv.f_ffree;
	/* The blocks above are counted in f_frsize; many programs multiply them
	 * by the block size instead, which on network file systems is that of a
	 * transfer. */
	out.st.bsize = (uint32_t)sv.f_frsize;
	out.st.frsize = (uint32_t)sv.f_frsize;
	out.st.namelen = (uint32_t)sv.f_namemax;
	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}
