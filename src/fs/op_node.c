/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes new names: SYMLINK, MKNOD, MKDIR, LINK; and READLINK. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/create.h"
#include "fs/name.h"
#include "fs/op.h"

/* syscalls: readlinkat */
int op_readlink(struct fs *fs, struct request *rq)
{
	char *buf = rq->scratch.path;
	ssize_t n = readlinkat(rq->node.fd, "", buf, sizeof(rq->scratch.path));

	if (n < 0)
		/* To this call, a file that is no link does not exist. */
		return errno == ENOENT ? -EINVAL : -errno;
	if ((size_t)n == sizeof(rq->scratch.path))
		return -ENAMETOOLONG;
	return reply_put(rq, buf, (size_t)n) ? 0 : -ERANGE;
}

/* The kernel's 32-bit encoding of a device number (new_decode_dev()). */
static dev_t decode_dev(uint32_t dev)
{
	return ((dev_t)(dev & 0xfff00U) >> 8) << 8 | (dev & 0xffU) |
	       ((dev_t)(dev >> 12) & 0xfff00U) << 12;
}

/* What stands in the way is what an earlier worker has made for this request. */
static bool is_as_made(struct request *rq, mode_t type)
{
	char *target = rq->scratch.path;
	struct statx stx;
	ssize_t n;

	if (!create_was_made(rq, rq->name[0], type, &stx))
		return false;
	if (S_ISREG(type))
		return stx.stx_size == 0;
	if (S_ISCHR(type) || S_ISBLK(type))
		return makedev(stx.stx_rdev_major, stx.stx_rdev_minor) ==
		       decode_dev(rq->arg.mknod.rdev);
	if (!S_ISLNK(type))
		return true;
	n = readlinkat(rq->node.fd, rq->name[0], target, PATH_MAX);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, rq->name[1]) == 0;
}

/* Makes something with the caller's rights and umask, and replies with it. */
static int make(struct fs *fs, struct request *rq, mode_t type, uint32_t umask,
		int (*call)(const struct request *rq))
{
	int r = name_check(rq->name[0]);
	struct cred_scope scope;
	mode_t mask;

	if (r == 0)
		r = request_enter_caller(fs, rq, &scope);
	if (r < 0)
		return r;
	create_begin(rq);
	mask = create_umask_enter(fs, umask);
	r = call(rq) < 0 ? -errno : 0;
	create_umask_leave(mask);
	cred_leave(&scope);
	if (r == -EEXIST && is_as_made(rq, type))
		r = 0;
	return r < 0 ? r : create_reply(fs, rq, rq->name[0]);
}

/* syscalls: symlinkat */
static int call_symlink(const struct request *rq)
{
	return symlinkat(rq->name[1], rq->node.fd, rq->name[0]);
}

int op_symlink(struct fs *fs, struct request *rq)
{
	return make(fs, rq, S_IFLNK, 0, call_symlink);
}

/* syscalls: mknodat */
static int call_mknod(const struct request *rq)
{
	return mknodat(rq->node.fd, rq->name[0], rq->arg.mknod.mode,
		       decode_dev(rq->arg.mknod.rdev));
}

int op_mknod(struct fs *fs, struct request *rq)
{
	mode_t type = rq->arg.mknod.mode & S_IFMT;

	return make(fs, rq, type ? type : S_IFREG, rq->arg.mknod.umask,
		    call_mknod);
}

/* syscalls: mkdirat */
static int call_mkdir(const struct request *rq)
{
	return mkdirat(rq->node.fd, rq->name[0], rq->arg.mkdir.mode);
}

int op_mkdir(struct fs *fs, struct request *rq)
{
	return make(fs, rq, S_IFDIR, rq->arg.mkdir.umask, call_mkdir);
}

/* The name is one of the node already. syscalls: statx */
static bool is_linked(const struct request *rq, const struct node_pin *old)
{
	struct statx stx;

	return rq->again &&
	       statx(rq->node.fd, rq->name[0], AT_SYMLINK_NOFOLLOW,
		     STATX_INO | STATX_MNT_ID, &stx) == 0 &&
	       stx.stx_ino == old->node->ino &&
	       stx.stx_mnt_id == old->node->mnt_id &&
	       stx.stx_dev_major == old->node->dev_major &&
	       stx.stx_dev_minor == old->node->dev_minor;
}

/* syscalls: linkat */
int op_link(struct fs *fs, struct request *rq)
{
	_cleanup_unpin_ struct node_pin old = { 0 };
	int r = name_check(rq->name[0]);

	if (r == 0)
		r = node_pin(&fs->nodes, rq->arg.link.oldnodeid, &old);
	if (r < 0)
		return r;
	/* By the descriptor's own link: one level, never the guest's symlink. */
	if (linkat(AT_FDCWD, fd_name(old.fd).s, rq->node.fd, rq->name[0],
		   AT_SYMLINK_FOLLOW) < 0)
		r = -errno;
	if (r < 0 && !(r == -EEXIST && is_linked(rq, &old)))
		return r;
	return create_reply(fs, rq, rq->name[0]);
}
